/*
 * ring.h: virtqueues as the path sees them: take a chain of buffers, fill or read it, give it back.
 */
#ifndef GODWIT_RING_RING_H
#define GODWIT_RING_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/addr.h"
#include "guest/dirty.h"
#include "guest/inflight.h"
#include "guest/memory.h"

/**
 * The most pieces one chain may have, region borders included. QEMU's own limit is 1024
 * descriptors.
 */
#define RING_CHAIN_MAX 1024
/** Spec: virtio 1.2, 2.7: the queue size of a split virtqueue is at most 32768. */
#define RING_SIZE_MAX 32768

struct ring_desc;

/** One piece of guest memory, contiguous for us and for the guest. */
struct ring_seg {
	uint8_t *host;
	struct gpa gpa;
	uint32_t len;
};

/** One chain of buffers, all of one direction. Its memory stays valid until it is pushed. */
struct ring_chain {
	uint16_t head;
	uint16_t count;
	uint64_t len_bytes;
	struct ring_seg seg[RING_CHAIN_MAX];
};

/** A place in a chain, for copying in several steps. Starts as zeroes. */
struct ring_cursor {
	uint16_t seg;
	uint32_t offset;
};

/** What a ring is made from. Addresses are the front-end's. */
struct ring_config {
	uint16_t size;
	struct uva desc, avail, used;
	/** Where used-ring writes count in the dirty log. */
	struct gpa used_log;
	bool log_used;
	bool event_idx;
	bool indirect;
	/**
	 * True when we write into the buffers (receive ring), false when we read them (transmit
	 * ring).
	 */
	bool device_writes;
	/** Signalled when the guest wants to know; -1: the guest polls. Stays the caller's. */
	int call_fd;
	/** The record of buffers in flight, of the ring's size; NULL when none is kept. */
	struct inflight_queue *inflight;
};

/**
 * A split virtqueue. Owned by the worker while it runs, by the control thread while the worker is
 * paused.
 */
struct ring {
	struct ring_config cfg;
	const struct guest_memory *mem;
	/** NULL while nothing is logged. */
	struct dirty_log *log;
	volatile struct ring_desc *desc;
	volatile uint16_t *avail;
	volatile uint8_t *used;
	/** Next entry to take from the available ring. */
	uint16_t next_avail;
	/** Entries the guest has made available, as last read: a monotonic shadow. */
	uint16_t avail_seen;
	/** Next entry to fill in the used ring, and what the guest knows of it. */
	uint16_t next_used, published_used;
	/** 0, or the -errno for which the ring stopped; only a new start mends it. */
	int broken;
	/** Statistics: notifications sent to the guest. */
	uint64_t calls;
	/** Odd while a notification is being sent, which may block. Any thread reads. */
	uint32_t calling;
	/** Chains taken so far, and the one used last, for the in-flight record. */
	uint64_t inflight_counter;
	uint16_t inflight_last;
};

/**
 * Start or re-bind a ring. A started ring keeps its place when it is bound again to new memory, log
 * or configuration.
 * @param r       zeroes, or a ring that was bound before
 * @param cfg     untrusted; copied
 * @param mem     stays the caller's and must outlive the ring's use
 * @param log     likewise; NULL when LOG_ALL is off
 * @param resume  true: keep the ring's place; false: start at @p base
 * @param base    next available entry to take; not looked at when the in-flight record says that
 *                the process before us was killed: then it is the used ring's idx
 * @return        0, -EINVAL (size, alignment, address outside memory, in-flight record)
 * Thread:        control, with the worker paused.
 * Spec:          virtio 1.2, 2.7 (alignment 16, 2, 4)
 */
int ring_bind(struct ring *r, const struct ring_config *cfg, const struct guest_memory *mem,
	      struct dirty_log *log, bool resume, uint16_t base, struct err *e);

/** Tell the guest not to kick us (we poll), or that it may. Logged. Thread: the ring's owner. */
void ring_suppress_kicks(struct ring *r, bool suppress);
/**
 * Ask the guest for a kick at the next entry that it makes available. Logged.
 * @return  true: it will kick; false: it has made some available since the last look, and may have
 *          seen no need to kick: look again
 * Thread:  the ring's owner. No system call.
 * Spec:    virtio 1.2, 2.7.10 (available buffer notification suppression), 2.7.13.4
 */
bool ring_ask_kick(struct ring *r);

/**
 * How many entries wait in the available ring.
 * @return  0 to size, or -EPROTO when the guest broke the ring (then r->broken is set)
 * Thread:  the ring's owner. No system call.
 * Spec:    virtio 1.2, 2.7.6; idx moves forward by at most the queue's size
 */
int ring_available(struct ring *r);

/**
 * Take the next available chain.
 * @param c  filled in; its memory stays valid until ring_push()
 * @return   1 taken, 0 empty, -EPROTO the guest broke the ring
 * Thread:   the ring's owner. Never blocks, allocates or logs.
 * Spec:     virtio 1.2, 2.7.5 (descriptors), 2.7.5.3 (indirect)
 */
int ring_pop(struct ring *r, struct ring_chain *c);
/** Put the last @p n popped chains back; they will be taken again. None of them was pushed. */
void ring_unpop(struct ring *r, uint16_t n);

/**
 * Give a chain back. The guest sees it after ring_publish().
 * @param written_bytes  that we stored into it, counted from its first byte
 * Spec:                 virtio 1.2, 2.7.8
 */
void ring_push(struct ring *r, uint16_t head, uint32_t written_bytes);
/**
 * Show all pushed chains to the guest, and notify it when it asked for that. The notification blocks
 * for as long as the front-end wants, which can make its eventfd blocking and full at any time: r->calling
 * tells, and unblock_thread() breaks it.
 */
void ring_publish(struct ring *r);
/**
 * Show what is pushed, and close the in-flight record: the ring ends in order, and its owner tells
 * the front-end where. The memory is still mapped. Thread: control.
 */
void ring_finish(struct ring *r);
/** Notify the guest whether it asked or not: after a start, a call may have been lost. Thread: control. */
void ring_call(struct ring *r);

/** Step over @p len bytes, or to the chain's end. */
void ring_skip(const struct ring_chain *c, struct ring_cursor *at, size_t len);
/** Copy out of a chain. Returns the bytes copied, fewer than @p len at the chain's end. */
size_t ring_copy_from(const struct ring_chain *c, struct ring_cursor *at, void *to, size_t len);
/** Copy into a chain of @p r, and log the pages. Returns the bytes copied. */
size_t ring_copy_to(struct ring *r, const struct ring_chain *c, struct ring_cursor *at,
		    const void *from, size_t len);

#endif
