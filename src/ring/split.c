/*
 * split.c: the split virtqueue.
 *
 * Theory of operation. The guest owns descriptors and the available ring, we own the used ring.
 * Everything of the
 * guest's is read once into a local and checked there, since the guest can change it at any time.
 * Entries are used in
 * the order in which they were made available, always: so the next entry to take is all there is to
 * know of a ring when it
 * stops, and GET_VRING_BASE needs no in-flight record.
 *
 * Barriers. available: idx is loaded with acquire before the entries and descriptors behind it.
 * used: entries are stored
 * before idx with release; idx is stored before the guest's wish for a notification is read (full
 * fence), pairing
 * with the guest's fence between its wish and its last look at idx (virtio 1.2, 2.7.13.4). The same
 * with the roles changed when we ask for a kick: our wish, full fence, last look at available's idx.
 *
 * Dirty log. A page is marked after it was stored to and before the chain is shown as used, so that
 * a page is either
 * copied again by the front-end or was not yet given to the guest.
 *
 * In-flight record. Kept beside each step where the front-end gave one; see ring/inflight.h.
 */
#include "ring/split.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/unblock.h"
#include "ring/inflight.h"
#include "ring/ring.h"

static int config_check(const struct ring_config *cfg, struct err *e)
{
	if (cfg->size == 0 || cfg->size > RING_SIZE_MAX || (cfg->size & (cfg->size - 1)))
		return err_set(e, -EINVAL, "ring size %u is no power of two up to %d", cfg->size,
			       RING_SIZE_MAX);
	if (cfg->desc.v % 16 || cfg->avail.v % 2 || cfg->used.v % 4)
		return err_set(e, -EINVAL, "ring addresses are not aligned");
	return 0;
}

/*
 * Where to begin, when the front-end says @p base. DPDK's virtio-user in server mode says 0 to a
 * back-end that connects again, however far its rings are. A base that the driver cannot mean, for
 * more entries would be available than the ring has, gives way to the used ring's index: entries
 * are used in order, so that is where a process before us stopped.
 */
static uint16_t base_possible(const struct ring *r, uint16_t base)
{
	uint16_t avail = *(volatile uint16_t *)(r->avail + RING_AVAIL_IDX);
	uint16_t used = *(volatile uint16_t *)(r->used + RING_USED_IDX);

	if ((uint16_t)(avail - base) <= r->cfg.size || (uint16_t)(avail - used) > r->cfg.size)
		return base;
	return used;
}

int ring_bind(struct ring *r, const struct ring_config *cfg, const struct guest_memory *mem,
	      struct dirty_log *log, bool resume, uint16_t base, struct err *e)
{
	uint64_t used_bytes = ring_used_bytes(cfg->size, cfg->event_idx);
	void *desc, *avail, *used;
	int rc = config_check(cfg, e);

	if (rc)
		return rc;
	desc = guest_at_uva(mem, cfg->desc, ring_desc_bytes(cfg->size));
	avail = guest_at_uva(mem, cfg->avail, ring_avail_bytes(cfg->size, cfg->event_idx));
	used = guest_at_uva(mem, cfg->used, used_bytes);
	if (!desc || !avail || !used)
		return err_set(e, -EINVAL,
			       "ring addresses 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64
			       " lie outside of guest memory",
			       cfg->desc.v, cfg->avail.v, cfg->used.v);
	if (log && cfg->log_used && !dirty_log_covers(log, cfg->used_log, used_bytes))
		return err_set(e, -EINVAL,
			       "used ring at 0x%" PRIx64 " lies outside of the dirty log",
			       cfg->used_log.v);
	r->cfg = *cfg;
	r->mem = mem;
	r->log = log;
	r->desc = desc;
	r->avail = avail;
	r->used = used;
	if (!resume) {
		base = base_possible(r, base);
		r->next_avail = base;
		r->avail_seen = base;
		r->next_used = *(volatile uint16_t *)(r->used + RING_USED_IDX);
		r->published_used = r->next_used;
		r->broken = 0;
		rc = r->cfg.inflight ? inflight_start(r, e) : 0;
		if (rc < 0)
			return rc;
		/* The process before us was killed: what it had not shown as used is still to do. */
		if (rc > 0) {
			r->next_avail = r->next_used;
			r->avail_seen = r->next_used;
		}
	}
	return 0;
}

static void used_mark(struct ring *r, uint64_t offset, uint64_t len)
{
	if (r->log && r->cfg.log_used)
		dirty_mark(r->log, (struct gpa){ r->cfg.used_log.v + offset }, len);
}

void ring_suppress_kicks(struct ring *r, bool suppress)
{
	uint16_t flags = suppress ? RING_USED_NO_NOTIFY : 0;
	volatile uint16_t *at = (volatile uint16_t *)(r->used + RING_USED_FLAGS);

	/*
	 * With EVENT_IDX flags must stay 0; an avail_event that is never moved silences the guest
	 * by itself.
	 */
	if (r->cfg.event_idx)
		flags = 0;
	if (*at == flags)
		return;
	*at = flags;
	used_mark(r, RING_USED_FLAGS, 2);
}

static void avail_event_set(struct ring *r, uint16_t event)
{
	uint64_t offset = RING_USED_RING + sizeof(struct ring_used_elem) * r->cfg.size;
	volatile uint16_t *at = (volatile uint16_t *)(r->used + offset);

	if (*at == event)
		return;
	*at = event;
	used_mark(r, offset, 2);
}

static uint16_t avail_idx(const struct ring *r)
{
	return __atomic_load_n((const uint16_t *)&r->avail[RING_AVAIL_IDX], __ATOMIC_ACQUIRE);
}

bool ring_ask_kick(struct ring *r)
{
	if (r->cfg.event_idx)
		avail_event_set(r, r->avail_seen);
	else
		ring_suppress_kicks(r, false);
	/* Pairs with the driver's fence between its store of idx and its look at our wish. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return avail_idx(r) == r->avail_seen;
}

static int ring_break(struct ring *r)
{
	r->broken = -EPROTO;
	return -EPROTO;
}

int ring_available(struct ring *r)
{
	uint16_t seen, fresh;

	if (r->broken)
		return r->broken;
	seen = avail_idx(r);
	fresh = (uint16_t)(seen - r->avail_seen);
	/* A backward move looks like a large forward one: more than the ring can hold. */
	if (fresh && (uint16_t)(seen - r->next_avail) > r->cfg.size)
		return ring_break(r);
	if (fresh && (uint16_t)(seen - r->next_avail) < (uint16_t)(r->avail_seen - r->next_avail))
		return ring_break(r);
	r->avail_seen = seen;
	return (uint16_t)(seen - r->next_avail);
}

/* One descriptor's memory becomes one segment, or several where it crosses region borders. */
static int chain_add(struct ring *r, struct ring_chain *c, struct gpa gpa, uint32_t len)
{
	while (len) {
		uint64_t piece = len;
		void *host;

		if (c->count == RING_CHAIN_MAX)
			return -EPROTO;
		host = guest_at(r->mem, gpa, &piece);
		if (!host)
			return -EPROTO;
		c->seg[c->count++] =
			(struct ring_seg){ .host = host, .gpa = gpa, .len = (uint32_t)piece };
		c->len_bytes += piece;
		gpa.v += piece;
		len -= (uint32_t)piece;
	}
	return 0;
}

static int desc_take(struct ring *r, struct ring_chain *c, const struct ring_desc *d)
{
	bool writable = d->flags & RING_DESC_WRITE;

	if (writable != r->cfg.device_writes)
		return -EPROTO;
	/* An empty buffer says nothing, and a guest could make us walk millions of them. */
	if (!d->len || d->addr + d->len < d->addr)
		return -EPROTO;
	return chain_add(r, c, (struct gpa){ d->addr }, d->len);
}

/*
 * Spec: 2.7.5.3.1: no table within a table, no NEXT beside INDIRECT; the table is bounded like a
 * chain.
 */
static int indirect_walk(struct ring *r, struct ring_chain *c, const struct ring_desc *table)
{
	uint32_t count = table->len / sizeof(struct ring_desc), i = 0;
	struct ring_desc d;

	if (!r->cfg.indirect || table->len % sizeof(struct ring_desc) || !count ||
	    count > RING_SIZE_MAX)
		return -EPROTO;
	for (uint32_t steps = 0; steps < count; steps++) {
		struct gpa at = { table->addr + i * sizeof(d) };

		if (at.v < table->addr || guest_read(r->mem, at, &d, sizeof(d)) ||
		    (d.flags & RING_DESC_INDIRECT))
			return -EPROTO;
		if (desc_take(r, c, &d))
			return -EPROTO;
		if (!(d.flags & RING_DESC_NEXT))
			return 0;
		i = d.next;
		if (i >= count)
			return -EPROTO;
	}
	return -EPROTO;
}

static int chain_walk(struct ring *r, struct ring_chain *c, uint16_t head)
{
	uint16_t i = head;

	for (uint32_t steps = 0; steps < r->cfg.size; steps++) {
		struct ring_desc d;

		if (i >= r->cfg.size)
			return -EPROTO;
		d.addr = r->desc[i].addr;
		d.len = r->desc[i].len;
		d.flags = r->desc[i].flags;
		d.next = r->desc[i].next;
		if (d.flags & RING_DESC_INDIRECT)
			return (d.flags & RING_DESC_NEXT) ? -EPROTO : indirect_walk(r, c, &d);
		if (desc_take(r, c, &d))
			return -EPROTO;
		if (!(d.flags & RING_DESC_NEXT))
			return 0;
		i = d.next;
	}
	return -EPROTO;
}

int ring_pop(struct ring *r, struct ring_chain *c)
{
	if (r->broken)
		return r->broken;
	if (r->next_avail == r->avail_seen) {
		int n = ring_available(r);

		if (n <= 0)
			return n;
	}
	c->head = r->avail[RING_AVAIL_RING + (r->next_avail & (r->cfg.size - 1))];
	c->count = 0;
	c->len_bytes = 0;
	if (chain_walk(r, c, c->head))
		return ring_break(r);
	if (r->cfg.inflight)
		inflight_take(r, c->head);
	r->next_avail++;
	return 1;
}

void ring_unpop(struct ring *r, uint16_t n)
{
	if (!r->cfg.inflight) {
		r->next_avail = (uint16_t)(r->next_avail - n);
		return;
	}
	/* The newest first: what stays in flight has no gap, whenever we are killed. */
	while (n--) {
		r->next_avail--;
		inflight_untake(r, r->avail[RING_AVAIL_RING + (r->next_avail & (r->cfg.size - 1))]);
	}
}

void ring_push(struct ring *r, uint16_t head, uint32_t written_bytes)
{
	uint64_t offset = RING_USED_RING +
			  sizeof(struct ring_used_elem) * (r->next_used & (r->cfg.size - 1u));
	volatile struct ring_used_elem *elem = (volatile struct ring_used_elem *)(r->used + offset);

	elem->id = head;
	elem->len = written_bytes;
	used_mark(r, offset, sizeof(*elem));
	if (r->cfg.inflight)
		inflight_use(r, head);
	r->next_used++;
}

static void calling(struct ring *r)
{
	__atomic_store_n(&r->calling, r->calling + 1, __ATOMIC_RELAXED);
}

static void call_send(struct ring *r)
{
	uint64_t one = 1;
	ssize_t n;

	if (r->cfg.call_fd < 0)
		return;
	calling(r);
	n = write(r->cfg.call_fd, &one, sizeof(one));
	calling(r);
	/* A full eventfd counter (EAGAIN) is a notification that is already pending. */
	if (n == sizeof(one))
		r->calls++;
	/* It blocked until somebody broke it: the front-end had made it blocking, which we undo. */
	else if (errno == EINTR)
		fcntl(r->cfg.call_fd, F_SETFL, fcntl(r->cfg.call_fd, F_GETFL) | O_NONBLOCK);
}

static bool call_wanted(const struct ring *r, uint16_t old)
{
	if (r->cfg.event_idx)
		return ring_need_event(r->avail[RING_AVAIL_RING + r->cfg.size], r->next_used, old);
	return !(r->avail[RING_AVAIL_FLAGS] & RING_AVAIL_NO_INTERRUPT);
}

void ring_publish(struct ring *r)
{
	uint16_t old = r->published_used;

	if (r->next_used == old)
		return;
	__atomic_store_n((uint16_t *)(r->used + RING_USED_IDX), r->next_used, __ATOMIC_RELEASE);
	used_mark(r, RING_USED_IDX, 2);
	if (r->cfg.inflight)
		inflight_show(r, (uint16_t)(r->next_used - old), r->next_used);
	r->published_used = r->next_used;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (call_wanted(r, old))
		call_send(r);
}

void ring_call(struct ring *r)
{
	unblock_begin();
	call_send(r);
	unblock_end();
}

void ring_finish(struct ring *r)
{
	unblock_begin();
	ring_publish(r);
	unblock_end();
	inflight_stop(r);
}
