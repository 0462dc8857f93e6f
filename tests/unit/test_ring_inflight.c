/* test_ring_inflight.c: the in-flight record step by step, and what a ring makes of one that a killed process left. */
#include "ring/inflight.h"
#include "ring/split.h"
#include "sim_guest.h"
#include "sim_random.h"
#include "unit.h"

#define SIZE 64

struct fixture {
	struct sim_guest guest;
	struct sim_ring ring;
	struct ring r;
	struct ring_chain chain;
	struct inflight_area *area;
	struct inflight_queue *q;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { "" };
	int fd;

	assert_non_null(f);
	sim_guest_new(&f->guest);
	sim_ring_new(&f->ring, &f->guest, SIZE, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		sim_desc(&f->ring, i, SIM_R2 + i * 64u, 64, 0, 0);
	fd = inflight_make(2, SIZE, &e);
	assert_true(fd >= 0);
	assert_ok(inflight_map(fd, inflight_bytes(2, SIZE), 0, 2, SIZE, &f->area, &e), e);
	close(fd);
	f->q = inflight_queue(f->area, 1);
	assert_null(inflight_queue(f->area, 2));
	assert_null(inflight_queue(NULL, 0));
	f->ring.cfg.inflight = f->q;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	inflight_free(f->area);
	sim_ring_free(&f->ring);
	sim_guest_free(&f->guest);
	free(f);
	return 0;
}

static void offer(struct fixture *f, unsigned int n)
{
	while (n--)
		sim_offer(&f->ring, (uint16_t)(f->ring.avail_idx * 37u % SIZE));
}

static unsigned int flags_set(const struct fixture *f)
{
	unsigned int n = 0;

	for (int i = 0; i < SIZE; i++)
		n += f->q->desc[i].inflight;
	return n;
}

/* Spec: vhost-user, Inflight I/O tracking: what is to be stored at which step. */
static void every_step_is_noted(void **state)
{
	struct fixture *f = *state;
	uint16_t head[3];

	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	assert_int_equal(f->q->version, 1);
	assert_int_equal(f->q->features, 0);
	assert_int_equal(f->q->desc_num, SIZE);
	offer(f, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ring_pop(&f->r, &f->chain), 1);
		head[i] = f->chain.head;
		assert_int_equal(f->q->desc[head[i]].inflight, 1);
		assert_int_equal(f->q->desc[head[i]].counter, i);
	}
	ring_unpop(&f->r, 1);
	assert_int_equal(f->q->desc[head[2]].inflight, 0);
	ring_push(&f->r, head[0], 0);
	assert_int_equal(f->q->last_batch_head, head[0]);
	ring_push(&f->r, head[1], 0);
	assert_int_equal(f->q->last_batch_head, head[1]);
	assert_int_equal(f->q->desc[head[1]].next, head[0]);
	assert_int_equal(f->q->used_idx, 0);
	assert_int_equal(flags_set(f), 2);
	ring_publish(&f->r);
	assert_int_equal(f->q->used_idx, 2);
	assert_int_equal(flags_set(f), 0);
	/* The other virtqueue's part was not touched. */
	assert_int_equal(inflight_queue(f->area, 0)->version, 0);
	ring_finish(&f->r);
	assert_int_equal(f->q->version, 0);
}

static void finish_shows_what_was_pushed(void **state)
{
	struct fixture *f = *state;

	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	offer(f, 1);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	ring_push(&f->r, f->chain.head, 0);
	assert_int_equal(sim_used_idx(&f->ring), 0);
	ring_finish(&f->r);
	assert_int_equal(sim_used_idx(&f->ring), 1);
}

/* A new process: it knows memory and record, and is told a base that is wrong. */
static void born_again(struct fixture *f)
{
	memset(&f->r, 0xee, sizeof(f->r));
	sim_ring_bind(&f->ring, &f->r, NULL, 0x5555);
	assert_int_equal(f->r.next_avail, sim_used_idx(&f->ring));
	assert_int_equal(flags_set(f), 0);
}

/*
 * Killed at any point of 20,000: after any step, within the steps of a batch that was shown and is being noted, and within
 * the settling itself. Each entry is used once, in order.
 */
static void killed_at_any_point(void **state)
{
	struct fixture *f = *state;
	uint8_t before[sizeof(*f->q) + SIZE * sizeof(f->q->desc[0])];
	struct sim_random random;
	uint16_t used = 0;

	sim_random_seed(&random, 7);
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	for (int step = 0; step < 20000; step++) {
		uint32_t what = sim_below(&random, 16), n = sim_below(&random, 8);

		offer(f, (uint16_t)(f->ring.avail_idx - used) + n <= SIZE ? n : 0);
		for (; n && ring_pop(&f->r, &f->chain) == 1; n--) {
			if (what == 1 && n == 1)
				ring_unpop(&f->r, 1);
			else
				ring_push(&f->r, f->chain.head, 0);
		}
		if (what == 2) {
			/* Taken, and not used yet. */
			offer(f, (uint16_t)(f->ring.avail_idx - used) + 3 <= SIZE ? 3 : 0);
			ring_pop(&f->r, &f->chain);
			ring_pop(&f->r, &f->chain);
			born_again(f);
		}
		memcpy(before, f->q, sizeof(before));
		n = (uint16_t)(f->r.next_used - f->r.published_used);
		if (what != 3)
			ring_publish(&f->r);
		for (uint32_t id, len; sim_used(&f->ring, &id, &len); used++)
			assert_int_equal(id, used * 37u % SIZE);
		if (what == 4 && n) {
			/* The used ring's idx is stored, and the first k flags are cleared. */
			uint16_t head = f->r.inflight_last;

			memcpy(f->q, before, sizeof(before));
			for (uint32_t k = sim_below(&random, n + 1); k; k--) {
				f->q->desc[head].inflight = 0;
				head = f->q->desc[head].next;
			}
			born_again(f);
		}
	}
	assert_true(used > 10000);
}

static void refused(struct fixture *f, const char *word)
{
	struct err e = { "" };
	int rc = ring_bind(&f->r, &f->ring.cfg, f->guest.mem, NULL, false, 0, &e);

	assert_err(rc, -EINVAL, e, word);
}

static void records_that_do_not_fit(void **state)
{
	struct fixture *f = *state;
	const struct inflight_queue good = { .version = 1, .desc_num = SIZE };

	*f->q = good;
	f->q->version = 2;
	refused(f, "version 2");
	*f->q = good;
	f->q->desc_num = SIZE / 2;
	refused(f, "32 descriptors");
	*f->q = good;
	f->q->used_idx = 100;
	refused(f, "does not belong to this ring");
	*f->q = good;
	f->q->used_idx = (uint16_t)-3;
	f->q->last_batch_head = SIZE;
	refused(f, "does not belong to this ring");
	*f->q = good;
	offer(f, 3);
	f->q->desc[37 * 2 % SIZE].inflight = 1;
	refused(f, "out of order");
}

static void areas(void **state)
{
	uint64_t need = inflight_bytes(2, SIZE);
	struct inflight_area *a;
	struct err e = { "" };
	int fd = inflight_make(2, SIZE, &e), rc;
	unsigned int before = sim_fds_open();

	rc = inflight_map(fd, need - 1, 0, 2, SIZE, &a, &e);
	assert_err(rc, -EINVAL, e, "are needed");
	rc = inflight_map(fd, need, 8, 2, SIZE, &a, &e);
	assert_err(rc, -EINVAL, e, "of a file of");
	rc = inflight_map(fd, UINT64_MAX, 8, 2, SIZE, &a, &e);
	assert_err(rc, -EINVAL, e, "in-flight record of");
	rc = inflight_map(fd, need, 4, 2, SIZE, &a, &e);
	assert_err(rc, -EINVAL, e, "in-flight record of");
	assert_ok(ftruncate(fd, (off_t)need + 5000), e);
	assert_ok(inflight_map(fd, need, 4104, 2, SIZE, &a, &e), e);
	inflight_queue(a, 0)->version = 77;
	inflight_free(a);
	inflight_free(NULL);
	assert_int_equal(sim_fds_open(), before);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_step_is_noted),	    T(finish_shows_what_was_pushed), T(killed_at_any_point),
		T(records_that_do_not_fit), cmocka_unit_test(areas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
