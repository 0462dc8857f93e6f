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
/** As many as ADD_MEM_REG can bring together: one more than QEMU's machines have slots for is of no use. */
#define GUEST_MAX_SLOTS 512
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

/**
 * Mapped regions, sorted by guest physical address. They change only while no thread uses them, and
 * what stays is not mapped anew: pointers into it stay good.
 */
struct guest_memory {
	unsigned int count;
	struct guest_region region[GUEST_MAX_SLOTS];
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

/**
 * Map one region more.
 * @param m   made when it points to NULL; untouched on failure
 * @param fd  stays the caller's
 * @return    0, -ENOSPC (GUEST_MAX_SLOTS are there), or as guest_memory_new()
 * Thread:    control, with the worker paused.
 */
int guest_memory_add(struct guest_memory **m, const struct guest_region_spec *spec, int fd,
		     struct err *e);

/**
 * Find the region that has exactly these addresses and this size; fd_offset is not looked at.
 * @return  its index in @p m, or -ENOENT. NULL is an empty memory.
 * Spec:    vhost-user, REM_MEM_REG: "identified by its guest address, user address and size"
 */
int guest_memory_find(const struct guest_memory *m, const struct guest_region_spec *spec);

/** Unmap region @p index, and only it. Freed and NULL with the last. Thread: control, paused. */
void guest_memory_remove(struct guest_memory **m, unsigned int index);

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
	unsigned int low = 0, high = m->count;
	const struct guest_region *r;
	uint64_t offset;

	/* The last region that begins at the address or before it. */
	while (high - low > 1) {
		unsigned int middle = (low + high) / 2;

		if (m->region[middle].gpa.v <= gpa.v)
			low = middle;
		else
			high = middle;
	}
	r = &m->region[low];
	offset = gpa.v - r->gpa.v;
	if (!m->count || gpa.v < r->gpa.v || offset >= r->size_bytes)
		return NULL;
	if (*len > r->size_bytes - offset)
		*len = r->size_bytes - offset;
	return r->host + offset;
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
