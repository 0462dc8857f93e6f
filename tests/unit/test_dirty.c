/* test_dirty.c: the dirty log: which pages a write marks, what the log covers, and marking from two threads. */
#include <pthread.h>
#include <sys/mman.h>

#include "sim_guest.h"
#include "unit.h"

#define PAGE 4096ull

static void marks_exactly_the_pages_written(void **state)
{
	static const struct {
		uint64_t gpa, len, first, count;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 5 * PAGE, 0, 0, 0 },
		{ 0, 1, 0, 1 },
		{ PAGE - 1, 1, 0, 1 },
		{ PAGE - 1, 2, 0, 2 },
		{ PAGE, 1, 1, 1 },
		{ PAGE, PAGE, 1, 1 },
		{ PAGE, PAGE + 1, 1, 2 },
		{ 7 * PAGE, 3 * PAGE, 7, 3 },
		{ 7 * PAGE + 1, 3 * PAGE, 7, 4 },
		{ 15 * PAGE + 4095, 2 * PAGE, 15, 3 },
		{ 63 * PAGE, PAGE, 63, 1 },
		/* What lies beyond is left out. */
		{ 63 * PAGE, 5 * PAGE, 63, 1 },
		{ 64 * PAGE, 1, 0, 0 },
		{ UINT64_MAX, 1, 0, 0 },
		{ 62 * PAGE, UINT64_MAX - 62 * PAGE, 62, 2 },
	};
	struct sim_log l;

	sim_log_new(&l, 64);
	for (size_t i = 0; i < COUNT(cases); i++) {
		sim_log_clear(&l);
		dirty_mark(l.log, (struct gpa){ cases[i].gpa }, cases[i].len);
		assert_int_equal(sim_log_count(&l), cases[i].count);
		for (uint64_t p = 0; p < cases[i].count; p++)
			assert_true(sim_logged(&l, cases[i].first + p));
	}
	sim_log_free(&l);
}

static void marking_keeps_other_bits(void **state)
{
	struct sim_log l;

	sim_log_new(&l, 64);
	for (uint64_t page = 0; page < 64; page += 3)
		dirty_mark(l.log, (struct gpa){ page * PAGE }, 1);
	dirty_mark(l.log, (struct gpa){ 0 }, 1);
	assert_int_equal(sim_log_count(&l), 22);
	sim_log_free(&l);
}

static void covers_tells_every_border(void **state)
{
	struct sim_log l;

	sim_log_new(&l, 64);
	assert_true(dirty_log_covers(l.log, (struct gpa){ 0 }, 64 * PAGE));
	assert_false(dirty_log_covers(l.log, (struct gpa){ 0 }, 64 * PAGE + 1));
	assert_true(dirty_log_covers(l.log, (struct gpa){ 64 * PAGE - 1 }, 1));
	assert_false(dirty_log_covers(l.log, (struct gpa){ 64 * PAGE - 1 }, 2));
	assert_false(dirty_log_covers(l.log, (struct gpa){ 64 * PAGE }, 1));
	assert_false(dirty_log_covers(l.log, (struct gpa){ UINT64_MAX }, 2));
	assert_false(dirty_log_covers(l.log, (struct gpa){ 1 }, UINT64_MAX));
	assert_true(dirty_log_covers(l.log, (struct gpa){ UINT64_MAX }, 0));
	sim_log_free(&l);
}

static void log_with_an_offset_in_its_file(void **state)
{
	uint8_t before[8], *map;
	int fd = memfd_create("sim-log", MFD_CLOEXEC);
	struct dirty_log *l;
	struct err e = { "" };

	assert_int_equal(ftruncate(fd, 3 * (off_t)PAGE), 0);
	map = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	/* Not at a page, and across two. */
	assert_ok(dirty_log_new(fd, PAGE, PAGE + 100, &l, &e), e);
	assert_int_equal(l->pages, 8 * PAGE);
	dirty_mark(l, (struct gpa){ 0 }, 1);
	dirty_mark(l, (struct gpa){ (8 * PAGE - 1) * PAGE }, 2 * PAGE);
	assert_int_equal(map[PAGE + 100], 1);
	assert_int_equal(map[2 * PAGE + 99], 0x80);
	memset(before, 0, sizeof(before));
	assert_memory_equal(map + PAGE + 92, before, 8);
	assert_memory_equal(map + 2 * PAGE + 100, before, 8);
	dirty_log_free(l);
	munmap(map, 3 * PAGE);
	close(fd);
}

static void bad_logs_are_refused(void **state)
{
	static const struct {
		uint64_t bytes, offset;
		const char *word;
	} cases[] = {
		{ 0, 0, "dirty log of 0 bytes" },
		{ 0, 64, "dirty log of 0 bytes" },
		{ PAGE + 1, 0, "ends at 4097 of a file of 4096" },
		{ PAGE, 1, "ends at 4097" },
		{ 1, PAGE, "ends at 4097" },
		{ 2, UINT64_MAX, "dirty log of 2 bytes" },
		{ UINT64_MAX, 1, "dirty log of" },
		{ 1ull << 63, 0, "dirty log of" },
	};
	int fd = memfd_create("sim-log", MFD_CLOEXEC);
	struct dirty_log *l = NULL;
	struct err e;

	assert_int_equal(ftruncate(fd, (off_t)PAGE), 0);
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_err(dirty_log_new(fd, cases[i].bytes, cases[i].offset, &l, &e), -EINVAL, e,
			   cases[i].word);
	assert_err(dirty_log_new(-1, PAGE, 0, &l, &e), -EBADF, e, "fstat");
	close(fd);
	assert_null(l);
	dirty_log_free(NULL);
}

struct marker {
	struct dirty_log *log;
	unsigned int phase;
	pthread_barrier_t *begin;
};

enum { RACE_PAGES = 1 << 16 };

/* Every second page: each byte of the log is shared by both threads. */
static void *mark_half(void *arg)
{
	struct marker *m = arg;

	pthread_barrier_wait(m->begin);
	for (uint64_t page = m->phase; page < RACE_PAGES; page += 2)
		dirty_mark(m->log, (struct gpa){ page * PAGE }, 1);
	return NULL;
}

static void two_threads_lose_no_bit(void **state)
{
	pthread_barrier_t begin;
	struct sim_log l;

	pthread_barrier_init(&begin, NULL, 2);
	sim_log_new(&l, RACE_PAGES);
	for (int round = 0; round < 30; round++) {
		struct marker m[2] = { { l.log, 0, &begin }, { l.log, 1, &begin } };
		pthread_t t[2];

		sim_log_clear(&l);
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_create(&t[i], NULL, mark_half, &m[i]), 0);
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
		assert_int_equal(sim_log_count(&l), RACE_PAGES);
	}
	sim_log_free(&l);
	pthread_barrier_destroy(&begin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks_exactly_the_pages_written),
		cmocka_unit_test(marking_keeps_other_bits),
		cmocka_unit_test(covers_tells_every_border),
		cmocka_unit_test(log_with_an_offset_in_its_file),
		cmocka_unit_test(bad_logs_are_refused),
		cmocka_unit_test(two_threads_lose_no_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
