/*
 * inflight.h: keeping a ring's in-flight record, so that a process started after this one was killed
 * knows which buffers the guest still waits for.
 *
 * What is in flight are always the entries from the used ring's idx on, since entries are used in
 * order. So the record says nothing that the ring does not say too; it is kept as the specification
 * lays it out, and what is found in one decides only whether a ring goes on where its used ring stands.
 * The front-end can write into the record at any time: the data path only stores to it, but for the
 * list it made itself, whose indices it masks.
 * Spec: vhost-user, Inflight I/O tracking (split virtqueues).
 */
#ifndef GODWIT_RING_INFLIGHT_H
#define GODWIT_RING_INFLIGHT_H

#include "guest/inflight.h"
#include "ring/ring.h"

/**
 * Take up a record when a ring starts. An empty one is filled in; one that a killed process left
 * is settled.
 * @return  1 the ring goes on at the used ring's idx, 0 it starts where the front-end says, -EINVAL
 *          the record fits neither ring nor our order
 * Thread:  control, with the worker paused.
 */
int inflight_start(struct ring *r, struct err *e);
/** Nothing is in flight, and the front-end knows where the ring stands: empty the record. */
void inflight_stop(struct ring *r);

/** Chain @p head was taken. */
static inline void inflight_take(struct ring *r, uint16_t head)
{
	struct inflight_desc *d = &r->cfg.inflight->desc[head];

	d->counter = r->inflight_counter++;
	__atomic_store_n(&d->inflight, 1, __ATOMIC_RELEASE);
}

/** Chain @p head was put back. */
static inline void inflight_untake(struct ring *r, uint16_t head)
{
	if (head < r->cfg.size)
		__atomic_store_n(&r->cfg.inflight->desc[head].inflight, 0, __ATOMIC_RELEASE);
}

/** Chain @p head is in the used ring, and not shown yet. */
static inline void inflight_use(struct ring *r, uint16_t head)
{
	struct inflight_queue *q = r->cfg.inflight;

	q->desc[head].next = r->inflight_last;
	r->inflight_last = head;
	__atomic_store_n(&q->last_batch_head, head, __ATOMIC_RELEASE);
}

/** The last @p n used chains are shown; idx is @p used_idx now. */
static inline void inflight_show(struct ring *r, uint16_t n, uint16_t used_idx)
{
	struct inflight_queue *q = r->cfg.inflight;
	uint16_t head = r->inflight_last;

	/* What a killed process leaves is what it stored: only the compiler could change the order. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	while (n--) {
		struct inflight_desc *d = &q->desc[head & (r->cfg.size - 1u)];

		d->inflight = 0;
		head = d->next;
	}
	__atomic_store_n(&q->used_idx, used_idx, __ATOMIC_RELEASE);
}

#endif
