/*
 * memory.h: the guest's memory regions, and the only code that turns a guest address into a
 * pointer.
 */
#ifndef GODWIT_GUEST_MEMORY_H
#define GODWIT_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/addr.h"

/** As many as a SET_MEM_TABLE message carries. */
#define GUEST_MAX_REGIONS 8
#define GUEST_PAGE_BYTES 4096u

/**
 * One region as the front-end describes it. All four are multiples of GUEST_PAGE_BYTES, size is not
 * 0.
 */
struct guest_region_spec {
	struct gpa gpa;
	struct uva uva;
	uint64_t size_bytes;
	uint64_t fd_offset;
};

struct guest_region {
	struct gpa gpa;
	struct uva uva;
	uint64_t size_bytes;
	uint8_t *host;
	void *map;
	size_t map_bytes;
	int watch;
};

/** An immutable set of mapped regions, sorted by guest physical address. */
struct guest_memory {
	unsigned int count;
	struct guest_region region[GUEST_MAX_REGIONS];
};

/**
 * Check and map a memory table.
 * @param spec   @p count regions, untrusted
 * @param fds    @p count descriptors, one a region; they stay the caller's (the mapping outlives
 *               them)
 * @param count  1 to GUEST_MAX_REGIONS
 * @param out    a new memory, owned by the caller, freed with guest_memory_free()
 * @return       0, -EINVAL (overlap, wrap, alignment, beyond the file), -ENOMEM, or mmap's error
 * Thread:       control.
 */
int guest_memory_new(const struct guest_region_spec *spec, const int *fds, unsigned int count,
		     struct guest_memory **out, struct err *e);

/** Unmap. No thread may use the memory any more. NULL is fine. Thread: control. */
void guest_memory_free(struct guest_memory *m);

/**
 * True when a page of @p m could not be read any more (its file was truncated): contents are void.
 * Thread: any.
 */
bool guest_memory_lost(const struct guest_memory *m);

/**
 * Translate @p gpa.
 * @param len  in: bytes wanted, at least 1; out: bytes that lie in one piece behind the pointer (1
 *             to wanted)
 * @return     pointer into guest memory, valid as long as @p m; NULL when the address belongs to no
 *             region
 * Thread:     any; no lock.
 */
static inline void *guest_at(const struct guest_memory *m, struct gpa gpa, uint64_t *len)
{
	for (unsigned int i = 0; i < m->count; i++) {
		const struct guest_region *r = &m->region[i];
		uint64_t offset = gpa.v - r->gpa.v;

		if (gpa.v < r->gpa.v || offset >= r->size_bytes)
			continue;
		if (*len > r->size_bytes - offset)
			*len = r->size_bytes - offset;
		return r->host + offset;
	}
	return NULL;
}

/**
 * Translate a front-end address whose @p len bytes must lie in one region.
 * @return  pointer, or NULL
 */
void *guest_at_uva(const struct guest_memory *m, struct uva uva, uint64_t len);

/**
 * The guest physical address of a pointer that guest_at_uva() gave; false when it points nowhere in
 * @p m.
 */
bool guest_gpa_of(const struct guest_memory *m, const void *host, struct gpa *out);

/**
 * Copy @p len bytes out of guest memory, across region borders.
 * @return  0, or -EFAULT when a byte belongs to no region
 */
int guest_read(const struct guest_memory *m, struct gpa gpa, void *to, size_t len);

#endif
