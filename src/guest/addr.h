/*
 * addr.h: the address spaces of a guest, as distinct types, so that the compiler catches a mix-up.
 */
#ifndef GODWIT_GUEST_ADDR_H
#define GODWIT_GUEST_ADDR_H

#include <stdint.h>

/** Guest physical address: what descriptors carry and what the dirty log counts. */
struct gpa {
	uint64_t v;
};

/** Front-end virtual address: what the vhost-user messages give for the rings. */
struct uva {
	uint64_t v;
};

#endif
