/* inflight.c: taking up the in-flight record when a ring starts. The record is not trusted. */
#include "ring/inflight.h"

#include <errno.h>
#include <string.h>

#include "ring/split.h"

static void record_init(struct inflight_queue *q, uint16_t size, uint16_t used_idx)
{
	q->features = 0;
	q->desc_num = size;
	q->last_batch_head = 0;
	q->used_idx = used_idx;
	memset(q->desc, 0, size * sizeof(q->desc[0]));
	__atomic_store_n(&q->version, INFLIGHT_VERSION, __ATOMIC_RELEASE);
}

/* What was shown to the guest, but not noted as shown any more, is not in flight. */
static int batch_settle(struct inflight_queue *q, uint16_t size, uint16_t used_idx)
{
	uint16_t n = (uint16_t)(used_idx - q->used_idx), head = q->last_batch_head;

	if (n > size)
		return -EINVAL;
	while (n--) {
		if (head >= size)
			return -EINVAL;
		q->desc[head].inflight = 0;
		head = q->desc[head].next;
	}
	return 0;
}

/* The head that lies @p k entries behind the used ring's idx in the available ring. */
static uint16_t head_at(const struct ring *r, uint32_t k)
{
	return r->avail[RING_AVAIL_RING + ((r->next_used + k) & (r->cfg.size - 1u))];
}

/*
 * In flight must be the entries from the used ring's idx on: else buffers would be used twice, or
 * never. They are taken anew, the newest cleared first: killed in between, the rest is still as it must be.
 */
static int flight_settle(const struct ring *r)
{
	struct inflight_queue *q = r->cfg.inflight;
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->cfg.size; i++)
		n += q->desc[i].inflight == 1;
	for (uint32_t k = 0; k < n; k++) {
		uint16_t head = head_at(r, k);

		if (head >= r->cfg.size || q->desc[head].inflight != 1)
			return -EINVAL;
	}
	while (n--) {
		uint16_t head = head_at(r, n);

		if (head < r->cfg.size)
			__atomic_store_n(&q->desc[head].inflight, 0, __ATOMIC_RELEASE);
	}
	return 0;
}

int inflight_start(struct ring *r, struct err *e)
{
	struct inflight_queue *q = r->cfg.inflight;
	uint16_t used_idx = r->next_used, version = q->version;

	r->inflight_counter = 0;
	r->inflight_last = 0;
	if (version == 0) {
		record_init(q, r->cfg.size, used_idx);
		return 0;
	}
	if (version != INFLIGHT_VERSION || q->desc_num != r->cfg.size)
		return err_set(e, -EINVAL,
			       "the in-flight record has version %u and %u descriptors: version %d "
			       "and %u are right",
			       version, q->desc_num, INFLIGHT_VERSION, r->cfg.size);
	if (batch_settle(q, r->cfg.size, used_idx))
		return err_set(e, -EINVAL, "the in-flight record does not belong to this ring");
	__atomic_store_n(&q->used_idx, used_idx, __ATOMIC_RELEASE);
	if (flight_settle(r))
		return err_set(e, -EINVAL,
			       "the in-flight record is of a back-end that uses buffers out of "
			       "order: its guest has to reset the device");
	return 1;
}

void inflight_stop(struct ring *r)
{
	if (r->cfg.inflight)
		__atomic_store_n(&r->cfg.inflight->version, 0, __ATOMIC_RELEASE);
}
