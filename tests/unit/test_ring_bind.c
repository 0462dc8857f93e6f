/* test_ring_bind.c: binding a ring: what is refused, what a re-bind keeps, and the guest's kicks. */
#include "ring/split.h"
#include "sim_guest.h"
#include "unit.h"

struct fixture {
	struct sim_guest guest;
	struct sim_ring ring;
	struct ring r;
	struct ring_chain chain;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sim_guest_new(&f->guest);
	sim_ring_new(&f->ring, &f->guest, 256, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sim_ring_free(&f->ring);
	sim_guest_free(&f->guest);
	free(f);
	return 0;
}

static void refuse(struct fixture *f, const struct ring_config *cfg, struct dirty_log *log,
		   const char *word)
{
	struct ring before = f->r;
	struct err e = { "" };

	assert_err(ring_bind(&f->r, cfg, f->guest.mem, log, false, 0, &e), -EINVAL, e, word);
	assert_memory_equal(&before, &f->r, sizeof(before));
}

static void sizes(void **state)
{
	static const uint16_t bad[] = { 0, 3, 255, 257, 32767, 32769, 65535 };
	struct fixture *f = *state;
	struct ring_config cfg = f->ring.cfg;
	struct err e = { "" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		cfg.size = bad[i];
		refuse(f, &cfg, NULL, "no power of two");
	}
	for (uint32_t size = 1; size <= 32768; size *= 2) {
		struct sim_ring s;

		sim_ring_new(&s, &f->guest, (uint16_t)size, 0);
		assert_ok(ring_bind(&f->r, &s.cfg, f->guest.mem, NULL, false, 0, &e), e);
		sim_ring_free(&s);
	}
}

static void misaligned_addresses(void **state)
{
	struct fixture *f = *state;
	struct ring_config good = f->ring.cfg, cfg;

	for (unsigned int off = 1; off < 16; off++) {
		cfg = good;
		cfg.desc.v += off;
		refuse(f, &cfg, NULL, "not aligned");
	}
	for (unsigned int off = 1; off < 4; off++) {
		cfg = good;
		cfg.used.v += off;
		refuse(f, &cfg, NULL, "not aligned");
	}
	cfg = good;
	cfg.avail.v += 1;
	refuse(f, &cfg, NULL, "not aligned");
	/* The least alignments that the specification asks for are enough. */
	cfg = good;
	cfg.desc.v += 16;
	cfg.avail.v += 18;
	cfg.used.v += 4;
	assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, NULL, false, 0, NULL), 0);
}

/* Each part ends right at the end of a region, or a bit beyond. */
static void addresses_outside_of_memory(void **state)
{
	struct fixture *f = *state;
	struct ring_config good = f->ring.cfg, cfg;
	uint64_t end = SIM_UVA(0) + SIM_R0_BYTES;

	for (int event = 0; event < 2; event++) {
		good.event_idx = event;
		cfg = good;
		cfg.desc.v = end - 16 * 256;
		assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, NULL, false, 0, NULL), 0);
		cfg.desc.v += 16;
		refuse(f, &cfg, NULL, "outside of guest memory");
		cfg = good;
		cfg.avail.v = end - ring_avail_bytes(256, event);
		assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, NULL, false, 0, NULL), 0);
		cfg.avail.v += 2;
		refuse(f, &cfg, NULL, "outside of guest memory");
		cfg = good;
		cfg.used.v = (end - ring_used_bytes(256, event)) & ~3ull;
		assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, NULL, false, 0, NULL), 0);
		cfg.used.v += 4;
		refuse(f, &cfg, NULL, "outside of guest memory");
	}
	cfg = good;
	cfg.desc.v = 0;
	refuse(f, &cfg, NULL, "outside of guest memory");
	cfg.desc.v = -16ull;
	refuse(f, &cfg, NULL, "outside of guest memory");
}

/* The event words exist only with EVENT_IDX: 6 and 6 bytes of header and ring ends, by hand from 2.7.6 and 2.7.8. */
static void lengths_of_the_parts(void **state)
{
	assert_int_equal(ring_desc_bytes(256), 4096);
	assert_int_equal(ring_avail_bytes(256, 0), 516);
	assert_int_equal(ring_avail_bytes(256, 1), 518);
	assert_int_equal(ring_used_bytes(256, 0), 2052);
	assert_int_equal(ring_used_bytes(256, 1), 2054);
	assert_int_equal(ring_used_bytes(32768, 1), 262150);
	assert_int_equal(sizeof(struct ring_desc), 16);
	assert_int_equal(sizeof(struct ring_used_elem), 8);
}

static void used_ring_beyond_the_log(void **state)
{
	struct fixture *f = *state;
	struct ring_config cfg = f->ring.cfg;
	struct sim_log l;

	sim_log_new(&l, 64);
	cfg.log_used = true;
	/* 2052 bytes from the last page's beginning fit, from its middle they do not. */
	cfg.used_log.v = 63 * 4096;
	assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, l.log, false, 0, NULL), 0);
	cfg.used_log.v = 64 * 4096 - 2052;
	assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, l.log, false, 0, NULL), 0);
	cfg.used_log.v += 4;
	refuse(f, &cfg, l.log, "outside of the dirty log");
	cfg.used_log.v = -1024ull;
	refuse(f, &cfg, l.log, "outside of the dirty log");
	/* Without the flag, or without a log, the address means nothing. */
	assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, NULL, false, 0, NULL), 0);
	cfg.log_used = false;
	assert_int_equal(ring_bind(&f->r, &cfg, f->guest.mem, l.log, false, 0, NULL), 0);
	sim_log_free(&l);
}

static void resume_keeps_the_place(void **state)
{
	struct fixture *f = *state;
	struct sim_log l;
	struct err e = { "" };

	sim_ring_start_at(&f->ring, 65530);
	sim_ring_bind(&f->ring, &f->r, NULL, 65530);
	for (uint16_t i = 0; i < 10; i++) {
		sim_desc(&f->ring, i, SIM_R2 + i * 64u, 64, 0, 0);
		sim_offer(&f->ring, i);
	}
	for (int i = 0; i < 7; i++)
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	for (uint16_t i = 0; i < 7; i++)
		ring_push(&f->r, i, 0);
	ring_publish(&f->r);
	/* A log comes in mid-flight, and the base of a fresh start is not looked at. */
	sim_log_new(&l, 1024);
	assert_ok(ring_bind(&f->r, &f->ring.cfg, f->guest.mem, l.log, true, 4711, &e), e);
	assert_int_equal(f->r.next_avail, 1);
	assert_ptr_equal(f->r.log, l.log);
	for (uint16_t i = 7; i < 10; i++) {
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
		assert_int_equal(f->chain.head, i);
		ring_push(&f->r, i, 0);
	}
	assert_int_equal(ring_pop(&f->r, &f->chain), 0);
	ring_publish(&f->r);
	assert_int_equal(sim_used_idx(&f->ring), 4);
	sim_log_free(&l);
}

/* A fresh start goes on where the used ring stands: GET_VRING_BASE tells only the available index. */
static void fresh_start_reads_the_used_index(void **state)
{
	struct fixture *f = *state;
	uint16_t used = 295;
	uint32_t id, len;

	/* Not the same as the available index: a back-end before us may have ended with buffers in hand. */
	sim_ring_start_at(&f->ring, 300);
	f->ring.used_idx = used;
	memcpy(sim_at(&f->guest, f->ring.used + RING_USED_IDX), &used, sizeof(used));
	sim_ring_bind(&f->ring, &f->r, NULL, 300);
	sim_desc(&f->ring, 9, SIM_R2, 64, 0, 0);
	sim_offer(&f->ring, 9);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	ring_push(&f->r, 9, 5);
	ring_publish(&f->r);
	assert_int_equal(sim_used_idx(&f->ring), 296);
	assert_true(sim_used(&f->ring, &id, &len));
	assert_int_equal(id, 9);
	assert_int_equal(len, 5);
}

/* As DPDK's virtio-user in server mode does: the rings are far, and the base it says is 0. */
static void impossible_base_gives_way_to_the_used_index(void **state)
{
	struct fixture *f = *state;
	uint16_t used = 1495;

	sim_ring_start_at(&f->ring, 1495);
	memcpy(sim_at(&f->guest, f->ring.used + RING_USED_IDX), &used, sizeof(used));
	f->ring.used_idx = used;
	sim_desc(&f->ring, 3, SIM_R2, 64, 0, 0);
	sim_offer(&f->ring, 3);
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(f->chain.head, 3);
	ring_push(&f->r, 3, 0);
	ring_publish(&f->r);
	assert_int_equal(sim_used_idx(&f->ring), 1496);
	/* Where the used index is no better, the base stays what was said, and the ring breaks. */
	used = 700;
	memcpy(sim_at(&f->guest, f->ring.used + RING_USED_IDX), &used, sizeof(used));
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	assert_int_equal(f->r.next_avail, 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), -EPROTO);
}

static void fresh_start_mends_a_broken_ring(void **state)
{
	struct fixture *f = *state;

	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	sim_set_avail_idx(&f->ring, 400);
	assert_int_equal(ring_pop(&f->r, &f->chain), -EPROTO);
	assert_int_equal(f->r.broken, -EPROTO);
	assert_int_equal(ring_bind(&f->r, &f->ring.cfg, f->guest.mem, NULL, true, 0, NULL), 0);
	assert_int_equal(ring_available(&f->r), -EPROTO);
	sim_set_avail_idx(&f->ring, 0);
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	assert_int_equal(ring_available(&f->r), 0);
}

static void kicks_are_suppressed_and_logged(void **state)
{
	struct fixture *f = *state;
	struct sim_log l;

	sim_log_new(&l, 1024);
	f->ring.cfg.log_used = true;
	f->ring.cfg.used_log.v = 77 * 4096;
	sim_ring_bind(&f->ring, &f->r, l.log, 0);
	ring_suppress_kicks(&f->r, false);
	assert_int_equal(sim_log_count(&l), 0);
	ring_suppress_kicks(&f->r, true);
	assert_int_equal(sim_used_flags(&f->ring), RING_USED_NO_NOTIFY);
	assert_int_equal(sim_log_count(&l), 1);
	assert_true(sim_logged(&l, 77));
	ring_suppress_kicks(&f->r, false);
	assert_int_equal(sim_used_flags(&f->ring), 0);
	/* Spec: 2.7.10.1: with EVENT_IDX the flags stay 0. */
	f->ring.cfg.event_idx = true;
	sim_ring_bind(&f->ring, &f->r, l.log, 0);
	ring_suppress_kicks(&f->r, true);
	assert_int_equal(sim_used_flags(&f->ring), 0);
	sim_log_free(&l);
}

/* With either way of asking: the wish stands where the guest looks, is logged, and a late entry is noticed. */
static void kick_is_asked_for_and_logged(void **state)
{
	struct fixture *f = *state;
	struct sim_log l;

	sim_log_new(&l, 1024);
	f->ring.cfg.log_used = true;
	f->ring.cfg.used_log.v = 77 * 4096;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		uint16_t *event;

		f->ring.cfg.event_idx = event_idx;
		sim_ring_start_at(&f->ring, 0xfffe);
		sim_ring_bind(&f->ring, &f->r, l.log, 0xfffe);
		event = sim_at(&f->guest, f->ring.used + 4 + 8ull * f->ring.size);
		ring_suppress_kicks(&f->r, true);
		*event = 0;
		sim_log_clear(&l);
		assert_true(ring_ask_kick(&f->r));
		assert_int_equal(*event, event_idx ? 0xfffe : 0);
		assert_int_equal(sim_used_flags(&f->ring), 0);
		assert_int_equal(sim_log_count(&l), 1);
		assert_true(sim_logged(&l, 77));
		/* Nothing changes: nothing is stored. */
		sim_log_clear(&l);
		assert_true(ring_ask_kick(&f->r));
		assert_int_equal(sim_log_count(&l), 0);
		/* An entry that nobody has looked at. */
		sim_offer(&f->ring, 0);
		assert_false(ring_ask_kick(&f->r));
		assert_int_equal(ring_available(&f->r), 1);
		assert_true(ring_ask_kick(&f->r));
		assert_int_equal(*event, event_idx ? 0xffff : 0);
		/* An index that breaks the ring is news too, and for ring_available() to judge. */
		sim_set_avail_idx(&f->ring, 0x4000);
		assert_false(ring_ask_kick(&f->r));
		assert_int_equal(f->r.broken, 0);
		assert_int_equal(ring_available(&f->r), -EPROTO);
	}
	sim_log_free(&l);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sizes),
		T(misaligned_addresses),
		T(addresses_outside_of_memory),
		T(lengths_of_the_parts),
		T(used_ring_beyond_the_log),
		T(resume_keeps_the_place),
		T(fresh_start_reads_the_used_index),
		T(impossible_base_gives_way_to_the_used_index),
		T(fresh_start_mends_a_broken_ring),
		T(kicks_are_suppressed_and_logged),
		T(kick_is_asked_for_and_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
