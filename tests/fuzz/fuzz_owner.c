/* fuzz_owner.c: rings behind a fuzzed session. */
#include "fuzz_owner.h"

#include "fuzz.h"
#include "ring/ring.h"

static struct {
	bool paused, closed;
	struct ring ring[VHOST_VRINGS];
	bool bound[VHOST_VRINGS];
} owner;
static struct ring_chain chain;

void fuzz_owner_reset(void)
{
	memset(&owner, 0, sizeof(owner));
}

bool fuzz_owner_closed(void)
{
	return owner.closed;
}

static void on_pause(void *arg)
{
	owner.paused = true;
}

/* Uses what the rings were given: a chain or two, taken, filled and given back. */
static void ring_work(struct ring *r)
{
	static uint8_t bytes[3000];

	for (int i = 0; i < 3 && !r->broken && ring_pop(r, &chain) == 1; i++) {
		struct ring_cursor at = { 0 };

		if (r->cfg.device_writes)
			ring_copy_to(r, &chain, &at, bytes, sizeof(bytes));
		else
			ring_copy_from(&chain, &at, bytes, sizeof(bytes));
		ring_push(r, chain.head, 7);
	}
	ring_suppress_kicks(r, true);
	ring_publish(r);
}

static int ring_match(const struct vhost_state *s, int i, struct err *e)
{
	const struct vhost_vring *v = &s->vring[i];
	struct ring_config cfg = { .size = (uint16_t)v->size,
				   .desc = v->desc,
				   .avail = v->avail,
				   .used = v->used,
				   .used_log = v->used_log,
				   .log_used = v->log_used,
				   .event_idx = vhost_has(s, VIRTIO_F_EVENT_IDX),
				   .indirect = vhost_has(s, VIRTIO_F_INDIRECT_DESC),
				   .device_writes = i == 0,
				   .call_fd = v->call_fd,
				   .inflight = inflight_queue(s->inflight, (unsigned int)i) };
	int rc;

	if (!v->started) {
		owner.bound[i] = false;
		return 0;
	}
	REQUIRE(s->mem && v->has_addr && v->has_size);
	if (cfg.inflight && v->size > s->inflight->queue_size)
		return err_set(e, -22, "the record is too small");
	rc = ring_bind(&owner.ring[i], &cfg, s->mem, vhost_has(s, VHOST_F_LOG_ALL) ? s->log : NULL,
		       owner.bound[i], v->base, e);
	owner.bound[i] = rc == 0;
	if (!rc)
		ring_work(&owner.ring[i]);
	return rc;
}

static int on_apply(void *arg, const struct vhost_state *s, struct err *e)
{
	int rc = 0;

	REQUIRE(owner.paused);
	owner.paused = false;
	/* Logging covers all memory, always. */
	for (unsigned int i = 0;
	     s->mem && s->log && vhost_has(s, VHOST_F_LOG_ALL) && i < s->mem->count; i++)
		REQUIRE(dirty_log_covers(s->log, s->mem->region[i].gpa,
					 s->mem->region[i].size_bytes));
	for (int i = 0; i < VHOST_VRINGS && !rc; i++)
		rc = ring_match(s, i, e);
	return rc;
}

static uint16_t on_vring_base(void *arg, unsigned int index)
{
	REQUIRE(owner.paused && index < VHOST_VRINGS);
	if (owner.bound[index])
		ring_finish(&owner.ring[index]);
	owner.bound[index] = false;
	return owner.ring[index].next_avail;
}

static void on_announce(void *arg, const uint8_t mac[6])
{
}

static void on_closed(void *arg, const char *reason)
{
	REQUIRE(!owner.closed && !owner.paused && reason[0]);
	REQUIRE(!owner.bound[0] && !owner.bound[1]);
	owner.closed = true;
}

static int on_mtu(void *arg, uint64_t mtu)
{
	return mtu > 1500 ? -22 : 0;
}

const struct vhost_ops fuzz_owner_ops = { .pause = on_pause,
					  .apply = on_apply,
					  .vring_base = on_vring_base,
					  .announce = on_announce,
					  .mtu = on_mtu,
					  .closed = on_closed };
