/* dirty.h: the dirty log of a migration: one bit for each 4 KiB page that we wrote. */
#ifndef GODWIT_GUEST_DIRTY_H
#define GODWIT_GUEST_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "guest/addr.h"

struct dirty_log {
	uint8_t *bits;
	uint64_t pages;
	void *map;
	size_t map_bytes;
	int watch;
};

/**
 * Map the log that SET_LOG_BASE brought.
 * @param fd      shared memory, stays the caller's
 * @param bytes   size of the log: pages / 8
 * @param offset  of the log in @p fd
 * @param out     a new log, owned by the caller, freed with dirty_log_free()
 * @return        0, -EINVAL (size 0, wrap, beyond the file), -ENOMEM, or mmap's error
 * Thread:        control.
 */
int dirty_log_new(int fd, uint64_t bytes, uint64_t offset, struct dirty_log **out, struct err *e);
/** Unmap. No thread may mark any more. NULL is fine. */
void dirty_log_free(struct dirty_log *l);
/** True when the log's file was truncated under us: the migration cannot succeed. */
bool dirty_log_lost(const struct dirty_log *l);
/** True when the pages of [@p gpa, @p gpa + @p len) all have a bit in the log. */
bool dirty_log_covers(const struct dirty_log *l, struct gpa gpa, uint64_t len);

/**
 * Mark the pages of [@p gpa, @p gpa + @p len) as written. Call it after the store: the front-end
 * clears a bit, then
 * copies the page. The atomic or is a full barrier, so the store is seen before the bit is. Pages
 * beyond the log's end are
 * left out: the log was checked against the memory table, so there are none (see vhost/).
 * Thread:  any.
 * Spec:    vhost-user, Migration: bit (page % 8) of byte (page / 8), page = address / 4096
 */
static inline void dirty_mark(struct dirty_log *l, struct gpa gpa, uint64_t len)
{
	if (!len)
		return;
	for (uint64_t page = gpa.v / 4096, last = (gpa.v + len - 1) / 4096;
	     page <= last && page < l->pages; page++)
		__atomic_fetch_or(&l->bits[page / 8], (uint8_t)(1u << (page % 8)),
				  __ATOMIC_SEQ_CST);
}

#endif
