/* test_ring_copy.c: copies between flat memory and chains of any cut, against a flat oracle, and the pages they log. */
#include "ring/split.h"
#include "sim_guest.h"
#include "sim_random.h"
#include "unit.h"

#define NEXT RING_DESC_NEXT
#define WRITE RING_DESC_WRITE
#define FLAT_MAX 20000
#define CUTS_MAX 40

struct fixture {
	struct sim_guest guest;
	struct sim_ring ring;
	struct ring r;
	struct ring_chain chain;
	struct sim_log log;
	struct sim_random random;
	/** The chain's bytes, and the guest address of each. */
	uint8_t flat[FLAT_MAX], copy[FLAT_MAX];
	uint64_t at[FLAT_MAX];
	size_t bytes;
	uint8_t *before[SIM_REGIONS];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sim_random_seed(&f->random, 20);
	sim_guest_new(&f->guest);
	sim_ring_new(&f->ring, &f->guest, 64, 0);
	f->ring.cfg.device_writes = true;
	f->ring.cfg.log_used = true;
	/* Elsewhere than the used ring itself: it must be this address that counts. */
	f->ring.cfg.used_log.v = 5 * 4096 - 8;
	sim_log_new(&f->log, 1024);
	sim_ring_bind(&f->ring, &f->r, f->log.log, 0);
	for (int i = 0; i < SIM_REGIONS; i++) {
		f->before[i] = malloc(f->guest.spec[i].size_bytes);
		assert_non_null(f->before[i]);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < SIM_REGIONS; i++)
		free(f->before[i]);
	sim_log_free(&f->log);
	sim_ring_free(&f->ring);
	sim_guest_free(&f->guest);
	free(f);
	return 0;
}

/* Buffers of a chain in slots of their own: 40 of 8 KiB in region 2, some laid across the border of regions 0 and 1. */
static void random_chain(struct fixture *f)
{
	uint32_t cuts = 1 + sim_below(&f->random, CUTS_MAX),
		 border = sim_below(&f->random, 3 * cuts);

	f->bytes = 0;
	for (uint32_t i = 0; i < cuts; i++) {
		uint32_t len = 1 + (sim_below(&f->random, 4) ? sim_below(&f->random, 300) :
							       sim_below(&f->random, 5000));
		uint64_t gpa = i == border ? SIM_R1 - sim_below(&f->random, len + 1) :
					     SIM_R2 + i * 8192ull + sim_below(&f->random, 3000);

		if (f->bytes + len > FLAT_MAX - CUTS_MAX)
			len = 1;
		sim_desc(&f->ring, (uint16_t)i, gpa, len,
			 (uint16_t)(WRITE | (i + 1 < cuts ? NEXT : 0)), (uint16_t)(i + 1));
		for (uint32_t b = 0; b < len; b++)
			f->at[f->bytes++] = gpa + b;
	}
	sim_offer(&f->ring, 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(f->chain.len_bytes, f->bytes);
}

static void snapshot(struct fixture *f)
{
	for (int i = 0; i < SIM_REGIONS; i++)
		memcpy(f->before[i], f->guest.map[i], f->guest.spec[i].size_bytes);
}

/* Guest memory is what it was, but for the chain's bytes from..to, which are those of flat. */
static void assert_written(struct fixture *f, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		uint8_t *p = sim_at(&f->guest, f->at[i]);
		int region = f->at[i] >= SIM_R2 ? 2 : f->at[i] >= SIM_R1 ? 1 : 0;

		assert_int_equal(*p, f->flat[i]);
		f->before[region][f->at[i] - f->guest.spec[region].gpa.v] = *p;
	}
	for (int i = 0; i < SIM_REGIONS; i++)
		assert_memory_equal(f->guest.map[i], f->before[i], f->guest.spec[i].size_bytes);
}

/* The log holds the pages of the chain's bytes from..to, and no other. */
static void assert_logged(struct fixture *f, size_t from, size_t to)
{
	uint8_t want[1024] = { 0 };

	for (size_t i = from; i < to; i++)
		want[f->at[i] / 4096] = 1;
	for (uint64_t page = 0; page < 1024; page++)
		if (sim_logged(&f->log, page) != want[page])
			fail_msg("page %u is %slogged", (unsigned int)page,
				 want[page] ? "not " : "");
	sim_log_clear(&f->log);
}

static void copy_to_equals_the_oracle(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 150; round++) {
		struct ring_cursor at = { 0 };
		size_t done, skip, end;

		random_chain(f);
		snapshot(f);
		for (size_t i = 0; i < FLAT_MAX; i++)
			f->flat[i] = (uint8_t)sim_next(&f->random);
		skip = sim_below(&f->random, 64);
		ring_skip(&f->chain, &at, skip);
		done = skip = skip < f->bytes ? skip : f->bytes;
		/* In pieces of any size, up to somewhere, or to the end and beyond. */
		end = sim_below(&f->random, 2) ? f->bytes :
						 sim_below(&f->random, (uint32_t)f->bytes);
		while (done < end) {
			size_t want = 1 + sim_below(&f->random, 3000), n;

			n = end < f->bytes && want > end - done ? end - done : want;
			n = n < FLAT_MAX - done ? n : FLAT_MAX - done;
			want = n < f->bytes - done ? n : f->bytes - done;
			assert_int_equal(ring_copy_to(&f->r, &f->chain, &at, f->flat + done, n),
					 want);
			done += want;
		}
		if (end == f->bytes)
			assert_int_equal(ring_copy_to(&f->r, &f->chain, &at, f->flat, 1), 0);
		assert_written(f, skip, done);
		assert_logged(f, skip, done);
	}
}

static void copy_from_equals_the_oracle(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 300; round++) {
		struct ring_cursor at = { 0 };
		size_t done = 0;

		random_chain(f);
		for (size_t i = 0; i < f->bytes; i++) {
			f->flat[i] = (uint8_t)sim_next(&f->random);
			*(uint8_t *)sim_at(&f->guest, f->at[i]) = f->flat[i];
		}
		/* Copies and steps in turn: what is stepped over keeps its mark. */
		memset(f->copy, 0xee, sizeof(f->copy));
		while (done < f->bytes) {
			size_t n = 1 + sim_below(&f->random, 2000);

			n = n < f->bytes - done ? n : f->bytes - done;
			if (sim_below(&f->random, 3)) {
				assert_int_equal(ring_copy_from(&f->chain, &at, f->copy + done, n),
						 n);
			} else {
				ring_skip(&f->chain, &at, n);
				memset(f->flat + done, 0xee, n);
			}
			done += n;
		}
		assert_memory_equal(f->copy, f->flat, f->bytes);
		assert_int_equal(ring_copy_from(&f->chain, &at, f->copy, 10), 0);
		ring_skip(&f->chain, &at, 10);
		assert_int_equal(sim_log_count(&f->log), 0);
	}
}

static void nothing_is_logged_without_a_log(void **state)
{
	struct fixture *f = *state;
	struct ring_cursor at = { 0 };

	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	random_chain(f);
	ring_copy_to(&f->r, &f->chain, &at, f->flat, sizeof(f->flat));
	ring_push(&f->r, 0, 1);
	ring_publish(&f->r);
	assert_int_equal(sim_log_count(&f->log), 0);
}

/* The element's and the index's pages, at the address that the front-end gave for logging: each once, and none more. */
static void used_ring_is_logged_exactly(void **state)
{
	struct fixture *f = *state;

	/* The index lies 6 bytes before the end of page 4, element 0 over the border to page 5. */
	for (uint16_t i = 0; i < 128; i++) {
		uint64_t first = 5 * 4096 - 8 + 4 + 8ull * (i % 64), last = first + 7;

		random_chain(f);
		ring_push(&f->r, 0, 7);
		assert_int_equal(sim_log_count(&f->log), last / 4096 - first / 4096 + 1);
		assert_true(sim_logged(&f->log, first / 4096));
		assert_true(sim_logged(&f->log, last / 4096));
		sim_log_clear(&f->log);
		ring_publish(&f->r);
		assert_int_equal(sim_log_count(&f->log), 1);
		assert_true(sim_logged(&f->log, 4));
		sim_log_clear(&f->log);
	}
	ring_publish(&f->r);
	assert_int_equal(sim_log_count(&f->log), 0);
}

static void used_ring_is_not_logged_unless_asked(void **state)
{
	struct fixture *f = *state;

	f->ring.cfg.log_used = false;
	sim_ring_bind(&f->ring, &f->r, f->log.log, 0);
	random_chain(f);
	ring_push(&f->r, 0, 7);
	ring_suppress_kicks(&f->r, true);
	ring_publish(&f->r);
	assert_int_equal(sim_log_count(&f->log), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(copy_to_equals_the_oracle),
		T(copy_from_equals_the_oracle),
		T(nothing_is_logged_without_a_log),
		T(used_ring_is_logged_exactly),
		T(used_ring_is_not_logged_unless_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
