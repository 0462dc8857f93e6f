/*
 * inflight.h: the record of buffers in flight, in memory that the front-end keeps while we are gone.
 * Spec: vhost-user, Inflight I/O tracking.
 */
#ifndef GODWIT_GUEST_INFLIGHT_H
#define GODWIT_GUEST_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/** One descriptor of a split virtqueue, by the index of its chain's head. */
struct inflight_desc {
	uint8_t inflight;
	uint8_t padding[5];
	/** The head that was used before this one. */
	uint16_t next;
	/** Order in which heads were taken. */
	uint64_t counter;
};

/** One split virtqueue. */
struct inflight_queue {
	uint64_t features;
	/** 0: not in use yet. */
	uint16_t version;
	uint16_t desc_num;
	/** The head that was used last. */
	uint16_t last_batch_head;
	/** The used ring's idx when all before it was settled. */
	uint16_t used_idx;
	struct inflight_desc desc[];
};

#define INFLIGHT_VERSION 1

/** A mapped record of several virtqueues of one size. */
struct inflight_area {
	uint8_t *base;
	uint16_t queues, queue_size;
	void *map;
	size_t map_bytes;
	int watch;
};

/** Bytes of a record for @p queues virtqueues of @p queue_size entries. */
uint64_t inflight_bytes(uint16_t queues, uint16_t queue_size);

/**
 * Make an empty record.
 * @return  a memfd of inflight_bytes(), the caller's; or -errno with a sentence
 */
int inflight_make(uint16_t queues, uint16_t queue_size, struct err *e);

/**
 * Map a record.
 * @param fd      shared memory, stays the caller's
 * @param bytes   what the front-end says of its size; at least inflight_bytes()
 * @param offset  of the record in @p fd
 * @param out     a new area, owned by the caller, freed with inflight_free()
 * @return        0, -EINVAL (too small, beyond the file), -ENOMEM, or mmap's error
 * Thread:        control.
 */
int inflight_map(int fd, uint64_t bytes, uint64_t offset, uint16_t queues, uint16_t queue_size,
		 struct inflight_area **out, struct err *e);
/** Unmap. No thread may use it any more. NULL is fine. */
void inflight_free(struct inflight_area *a);
/** The part of virtqueue @p index; NULL when there is none, or no area. */
struct inflight_queue *inflight_queue(const struct inflight_area *a, unsigned int index);

#endif
