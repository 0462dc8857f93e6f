/* test_memory.c: the checks of a memory table, and translation of guest addresses. */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sim_guest.h"
#include "sim_random.h"
#include "unit.h"

#define PAGE 4096ull

static int file_of(uint64_t bytes)
{
	int fd = memfd_create("sim-memory", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

struct refusal {
	const char *what;
	unsigned int count;
	struct guest_region_spec spec[2];
	const char *word;
};

/* Each is one step away from a table that is taken: see near_misses_are_taken. The file has 16 pages. */
static const struct refusal refusals[] = {
	{ "size 0", 1, { { { 0 }, { PAGE }, 0, 0 } }, "empty" },
	{ "gpa not aligned", 1, { { { 0x800 }, { PAGE }, PAGE, 0 } }, "aligned" },
	{ "uva not aligned", 1, { { { 0 }, { PAGE + 1 }, PAGE, 0 } }, "aligned" },
	{ "size not aligned", 1, { { { 0 }, { PAGE }, PAGE + 2048, 0 } }, "aligned" },
	{ "offset not aligned", 1, { { { 0 }, { PAGE }, PAGE, 512 } }, "aligned" },
	{ "gpa wraps", 1, { { { -2 * PAGE }, { PAGE }, 3 * PAGE, 0 } }, "wraps" },
	{ "gpa ends at 2^64", 1, { { { -2 * PAGE }, { PAGE }, 2 * PAGE, 0 } }, "wraps" },
	{ "uva wraps", 1, { { { 0 }, { -2 * PAGE }, 3 * PAGE, 0 } }, "wraps" },
	{ "offset wraps", 1, { { { 0 }, { PAGE }, 3 * PAGE, -2 * PAGE } }, "wraps" },
	{ "offset is negative", 1, { { { 0 }, { PAGE }, PAGE, 1ull << 63 } }, "wraps" },
	{ "size is huge", 1, { { { 0 }, { 0 }, 1ull << 63, 0 } }, "wraps" },
	{ "beyond the file", 1, { { { 0 }, { PAGE }, 17 * PAGE, 0 } }, "file of 65536" },
	{ "beyond the file by offset", 1, { { { 0 }, { PAGE }, PAGE, 16 * PAGE } }, "file of" },
	{ "gpa overlap by a page",
	  2,
	  { { { 0 }, { PAGE }, 2 * PAGE, 0 }, { { PAGE }, { 8 * PAGE }, PAGE, 0 } },
	  "overlap" },
	{ "gpa within",
	  2,
	  { { { PAGE }, { 20 * PAGE }, PAGE, 0 }, { { 0 }, { 8 * PAGE }, 4 * PAGE, 0 } },
	  "overlap" },
	{ "gpa the same",
	  2,
	  { { { 0 }, { 20 * PAGE }, PAGE, 0 }, { { 0 }, { 8 * PAGE }, PAGE, 0 } },
	  "overlap" },
	{ "uva overlap",
	  2,
	  { { { 0 }, { PAGE }, 2 * PAGE, 0 }, { { 4 * PAGE }, { 2 * PAGE }, PAGE, 0 } },
	  "overlap" },
	{ "the second one is bad",
	  2,
	  { { { 0 }, { PAGE }, PAGE, 0 }, { { PAGE }, { 2 * PAGE }, 0, 0 } },
	  "empty" },
	{ "no region", 0, { { { 0 }, { PAGE }, PAGE, 0 } }, "0 memory regions" },
	{ "nine regions", 9, { { { 0 }, { PAGE }, PAGE, 0 } }, "9 memory regions" },
};

static void bad_tables_are_refused(void **state)
{
	int fd = file_of(16 * PAGE);
	int fds[9];

	for (unsigned int i = 0; i < COUNT(fds); i++)
		fds[i] = fd;
	for (size_t i = 0; i < COUNT(refusals); i++) {
		struct guest_region_spec spec[9] = { refusals[i].spec[0], refusals[i].spec[1] };
		struct guest_memory *m = NULL;
		struct err e = { "" };
		int rc = guest_memory_new(spec, fds, refusals[i].count, &m, &e);

		if (rc != -EINVAL || m || !strstr(e.text, refusals[i].word))
			fail_msg("%s: returned %d, '%s'", refusals[i].what, rc, e.text);
	}
	close(fd);
}

static void near_misses_are_taken(void **state)
{
	static const struct guest_region_spec good[][2] = {
		/* Up to the file's last page. */
		{ { { 0 }, { PAGE }, 16 * PAGE, 0 } },
		{ { { 0 }, { PAGE }, PAGE, 15 * PAGE } },
		/* Up to one page below 2^64. */
		{ { { -3 * PAGE }, { -3 * PAGE }, 2 * PAGE, 0 } },
		/* Side by side, either order, over the same part of a file. */
		{ { { 0 }, { PAGE }, 2 * PAGE, 0 }, { { 2 * PAGE }, { 3 * PAGE }, PAGE, 0 } },
		{ { { 2 * PAGE }, { PAGE }, PAGE, 0 }, { { 0 }, { 2 * PAGE }, 2 * PAGE, 0 } },
	};
	int fd = file_of(16 * PAGE), fds[2] = { fd, fd };

	for (size_t i = 0; i < COUNT(good); i++) {
		unsigned int count = good[i][1].size_bytes ? 2 : 1;
		struct guest_memory *m;
		struct err e = { "" };

		assert_ok(guest_memory_new(good[i], fds, count, &m, &e), e);
		assert_int_equal(m->count, count);
		for (unsigned int j = 1; j < count; j++)
			assert_true(m->region[j - 1].gpa.v < m->region[j].gpa.v);
		guest_memory_free(m);
	}
	close(fd);
}

static void descriptors_that_cannot_be_mapped(void **state)
{
	struct guest_region_spec spec = { { 0 }, { PAGE }, PAGE, 0 };
	struct guest_memory *m = NULL;
	int pair[2], bad[4];
	struct err e;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	bad[0] = -1;
	bad[1] = pair[0];
	bad[2] = eventfd(0, 0);
	bad[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < COUNT(bad); i++) {
		e.text[0] = 0;
		assert_true(guest_memory_new(&spec, &bad[i], 1, &m, &e) < 0);
		assert_null(m);
		assert_non_null(strstr(e.text, "memory region at 0x0"));
	}
	for (size_t i = 1; i < COUNT(bad); i++)
		close(bad[i]);
	close(pair[1]);
}

static void failing_leaves_nothing_mapped(void **state)
{
	struct guest_region_spec spec[2] = { { { 0 }, { PAGE }, PAGE, 0 },
					     { { PAGE }, { 4 * PAGE }, PAGE, 0 } };
	int fds[2] = { file_of(PAGE), file_of(0) };
	unsigned int open_fds = sim_fds_open();
	struct guest_memory *m;
	struct err e;

	/* More often than there are watches of fault.c: each must be given back. */
	for (int i = 0; i < 100; i++)
		assert_err(guest_memory_new(spec, fds, 2, &m, &e), -EINVAL, e, "file of 0 bytes");
	assert_int_equal(ftruncate(fds[1], (off_t)PAGE), 0);
	for (int i = 0; i < 100; i++) {
		assert_ok(guest_memory_new(spec, fds, 2, &m, &e), e);
		guest_memory_free(m);
	}
	assert_int_equal(sim_fds_open(), open_fds);
	guest_memory_free(NULL);
	close(fds[0]);
	close(fds[1]);
}

static void at_translates_to_the_end_of_a_region(void **state)
{
	static const struct {
		uint64_t gpa, want, got;
	} cases[] = {
		{ SIM_R0, 1, 1 },
		{ SIM_R0 + 100, SIM_R0_BYTES, SIM_R0_BYTES - 100 },
		{ SIM_R1 - 1, 1, 1 },
		{ SIM_R1 - 1, 2, 1 },
		{ SIM_R1, 2, 2 },
		{ SIM_HOLE - 1, UINT64_MAX, 1 },
		{ SIM_R2, UINT64_MAX, SIM_R2_BYTES },
		{ SIM_END - 7, 8, 7 },
	};
	static const uint64_t nowhere[] = { SIM_HOLE, SIM_R2 - 1, SIM_END, UINT64_MAX };
	struct sim_guest g;

	sim_guest_new(&g);
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t len = cases[i].want;
		uint8_t *p = guest_at(g.mem, (struct gpa){ cases[i].gpa }, &len);
		struct gpa back;

		assert_non_null(p);
		assert_int_equal(len, cases[i].got);
		/* The very byte that the guest sees there. */
		*(uint8_t *)sim_at(&g, cases[i].gpa) = (uint8_t)(0x51 + i);
		assert_int_equal(*p, 0x51 + i);
		assert_true(guest_gpa_of(g.mem, p, &back));
		assert_int_equal(back.v, cases[i].gpa);
	}
	for (size_t i = 0; i < COUNT(nowhere); i++) {
		uint64_t len = 1;

		assert_null(guest_at(g.mem, (struct gpa){ nowhere[i] }, &len));
	}
	sim_guest_free(&g);
}

static void uva_must_lie_in_one_region(void **state)
{
	struct sim_guest g;
	uint64_t len = 1;
	struct gpa gpa;
	int outside;

	sim_guest_new(&g);
	assert_ptr_equal(guest_at_uva(g.mem, sim_uva(SIM_R2 + 16), SIM_R2_BYTES - 16),
			 guest_at(g.mem, (struct gpa){ SIM_R2 + 16 }, &len));
	assert_null(guest_at_uva(g.mem, sim_uva(SIM_R2 + 16), SIM_R2_BYTES - 15));
	assert_null(guest_at_uva(g.mem, sim_uva(SIM_R2 + 16), UINT64_MAX));
	assert_non_null(guest_at_uva(g.mem, sim_uva(SIM_R1 - 1), 1));
	assert_null(guest_at_uva(g.mem, (struct uva){ SIM_UVA(0) + SIM_R0_BYTES }, 1));
	assert_null(guest_at_uva(g.mem, (struct uva){ SIM_UVA(0) - 1 }, 1));
	assert_null(guest_at_uva(g.mem, (struct uva){ 0 }, 1));
	assert_false(guest_gpa_of(g.mem, &outside, &gpa));
	sim_guest_free(&g);
}

static void read_crosses_regions_and_stops_at_holes(void **state)
{
	uint8_t want[64], got[65];
	struct sim_guest g;

	sim_guest_new(&g);
	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 7 + 1);
	sim_write(&g, SIM_R1 - 20, want, sizeof(want));
	assert_int_equal(guest_read(g.mem, (struct gpa){ SIM_R1 - 20 }, got, sizeof(want)), 0);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(guest_read(g.mem, (struct gpa){ SIM_HOLE - 64 }, got, 64), 0);
	assert_int_equal(guest_read(g.mem, (struct gpa){ SIM_HOLE - 64 }, got, 65), -EFAULT);
	assert_int_equal(guest_read(g.mem, (struct gpa){ SIM_HOLE }, got, 1), -EFAULT);
	assert_int_equal(guest_read(g.mem, (struct gpa){ SIM_HOLE }, got, 0), 0);
	assert_int_equal(guest_read(g.mem, (struct gpa){ UINT64_MAX }, got, 2), -EFAULT);
	sim_guest_free(&g);
}

/* The offset of a hugetlb region need not be a multiple of the huge page, but mmap() wants one. */
static void hugetlb_with_an_offset_within_a_page(void **state)
{
	enum { HUGE = 2 << 20 };
	struct guest_region_spec spec = { { 0 }, { PAGE }, PAGE, 3 * PAGE };
	int fd = memfd_create("sim-huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct guest_memory *m;
	struct err e = { "" };
	uint64_t len = 1;
	uint8_t *map;

	map = fd < 0 || ftruncate(fd, HUGE) < 0 ?
		      MAP_FAILED :
		      mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		print_message("# no free huge page of 2 MiB: set vm.nr_hugepages to 1 or more\n");
		skip();
	}
	map[3 * PAGE] = 0x77;
	assert_ok(guest_memory_new(&spec, &fd, 1, &m, &e), e);
	assert_int_equal(*(uint8_t *)guest_at(m, (struct gpa){ 0 }, &len), 0x77);
	guest_memory_free(m);
	munmap(map, HUGE);
	close(fd);
}

/* Added in no order, removed in another: each address is found, or not, as a search through all of them says. */
static void regions_come_and_go(void **state)
{
	enum { MANY = 200 };
	struct guest_region_spec spec[MANY];
	struct guest_memory *m = NULL;
	bool there[MANY] = { false };
	struct err e = { "" };
	int fd = file_of(MANY * PAGE);
	struct sim_random random;

	sim_random_seed(&random, 3);
	for (uint32_t i = 0; i < MANY; i++)
		spec[i] = (struct guest_region_spec){ { i * 3 * PAGE },
						      { (MANY - i) * 5 * PAGE },
						      (1 + i % 2) * PAGE,
						      (i / 2) * PAGE };
	for (int step = 0; step < 4000; step++) {
		uint32_t i = sim_below(&random, MANY), probe = sim_below(&random, MANY);
		uint64_t len = 3 * PAGE;
		void *at;
		int index = guest_memory_find(m, &spec[i]);

		assert_int_equal(index >= 0, there[i]);
		if (there[i])
			guest_memory_remove(&m, (unsigned int)index);
		else
			assert_ok(guest_memory_add(&m, &spec[i], fd, &e), e);
		there[i] = !there[i];
		if (!m)
			continue;
		at = guest_at(m, (struct gpa){ spec[probe].gpa.v + 5 }, &len);
		assert_int_equal(at != NULL, there[probe]);
		if (at)
			assert_int_equal(len, spec[probe].size_bytes - 5);
		len = 1;
		assert_null(guest_at(m, (struct gpa){ spec[probe].gpa.v + 2 * PAGE }, &len));
	}
	guest_memory_free(m);
	close(fd);
}

static void adding_is_checked_like_a_table(void **state)
{
	const struct guest_region_spec first = { { 16 * PAGE }, { 64 * PAGE }, 2 * PAGE, 0 };
	const struct guest_region_spec bad[] = {
		{ { 17 * PAGE }, { 0 }, PAGE, 0 }, { { 0 }, { 65 * PAGE }, PAGE, 0 },
		{ { 0 }, { 0 }, 17 * PAGE, 0 },	   { { 0 }, { 0 }, 0, 0 },
		{ { 0 }, { 1 }, PAGE, 0 },
	};
	struct guest_memory *m = NULL;
	struct err e = { "" };
	int fd = file_of(4 * PAGE);

	assert_ok(guest_memory_add(&m, &first, fd, &e), e);
	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_int_equal(guest_memory_add(&m, &bad[i], fd, &e), -EINVAL);
		assert_int_equal(m->count, 1);
		assert_int_equal(guest_memory_find(m, &bad[i]), -ENOENT);
	}
	guest_memory_remove(&m, 0);
	assert_null(m);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_tables_are_refused),
		cmocka_unit_test(near_misses_are_taken),
		cmocka_unit_test(descriptors_that_cannot_be_mapped),
		cmocka_unit_test(failing_leaves_nothing_mapped),
		cmocka_unit_test(at_translates_to_the_end_of_a_region),
		cmocka_unit_test(uva_must_lie_in_one_region),
		cmocka_unit_test(read_crosses_regions_and_stops_at_holes),
		cmocka_unit_test(hugetlb_with_an_offset_within_a_page),
		cmocka_unit_test(regions_come_and_go),
		cmocka_unit_test(adding_is_checked_like_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
