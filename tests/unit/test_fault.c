/* test_fault.c: guest memory and dirty log that are truncated under us; other bus errors end the process. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "guest/fault.h"
#include "ring/split.h"
#include "sim_guest.h"
#include "unit.h"

/* In each test: cmocka takes SIGBUS for itself before every one. */
static void install(void)
{
	assert_int_equal(fault_install(), 0);
}

static void access_after_truncation_survives(void **state)
{
	struct sim_guest g;
	uint64_t len = 1;
	volatile uint8_t *p;

	install();
	sim_guest_new(&g);
	p = guest_at(g.mem, (struct gpa){ SIM_R1 + 0x5000 }, &len);
	*p = 0x5a;
	assert_false(guest_memory_lost(g.mem));
	assert_int_equal(ftruncate(g.fd[1], 0x1000), 0);
	assert_int_equal(*p, 0);
	assert_true(guest_memory_lost(g.mem));
	assert_true(fault_any());
	/* The whole range is replaced, and stays writable. */
	*p = 1;
	assert_int_equal(*p, 1);
	sim_guest_free(&g);
}

static void write_after_truncation_survives(void **state)
{
	struct sim_guest g;
	uint64_t len = 1;
	volatile uint8_t *p;

	install();
	sim_guest_new(&g);
	p = guest_at(g.mem, (struct gpa){ SIM_R2 + 0x9000 }, &len);
	assert_int_equal(ftruncate(g.fd[2], 0), 0);
	*p = 0x33;
	assert_int_equal(*p, 0x33);
	assert_true(guest_memory_lost(g.mem));
	sim_guest_free(&g);
}

static void only_the_truncated_memory_is_lost(void **state)
{
	struct sim_guest a, b;
	uint64_t len = 1;
	volatile uint8_t *other;

	install();
	sim_guest_new(&a);
	sim_guest_new(&b);
	assert_int_equal(ftruncate(a.fd[0], 0), 0);
	other = guest_at(b.mem, (struct gpa){ SIM_R0 }, &len);
	*other = 0x44;
	*(volatile uint8_t *)guest_at(a.mem, (struct gpa){ SIM_R0 }, &len) = 1;
	assert_true(guest_memory_lost(a.mem));
	assert_false(guest_memory_lost(b.mem));
	assert_int_equal(*(uint8_t *)sim_at(&b, SIM_R0), 0x44);
	sim_guest_free(&a);
	/* A new memory in the same watches begins unharmed. */
	sim_guest_new(&a);
	assert_false(guest_memory_lost(a.mem));
	sim_guest_free(&a);
	sim_guest_free(&b);
}

static void ring_on_truncated_memory_goes_on_without_crash(void **state)
{
	struct ring r = { 0 };
	struct ring_chain *c = calloc(1, sizeof(*c));
	struct sim_ring s;
	struct sim_guest g;

	install();
	assert_non_null(c);
	sim_guest_new(&g);
	sim_ring_new(&s, &g, 8, SIM_R2);
	sim_ring_bind(&s, &r, NULL, 0);
	sim_desc(&s, 0, SIM_R1, 64, 0, 0);
	sim_offer(&s, 0);
	assert_int_equal(ftruncate(g.fd[2], 0), 0);
	assert_int_equal(ring_pop(&r, c), 0);
	ring_push(&r, 0, 0);
	ring_publish(&r);
	assert_true(guest_memory_lost(g.mem));
	sim_ring_free(&s);
	sim_guest_free(&g);
	free(c);
}

static void truncated_log_is_lost(void **state)
{
	struct sim_log l;

	install();
	sim_log_new(&l, 8 * 4096);
	assert_false(dirty_log_lost(l.log));
	assert_int_equal(ftruncate(l.fd, 0), 0);
	dirty_mark(l.log, (struct gpa){ 0 }, 1);
	assert_true(dirty_log_lost(l.log));
	sim_log_free(&l);
}

static void watches_are_counted_and_reused(void **state)
{
	static uint8_t bytes[64];
	static int slot[1024];
	int n = 0;

	while (n < 1023 && (slot[n] = fault_watch(bytes, sizeof(bytes))) >= 0)
		n++;
	/* All memory slots, a table that replaces them, two logs and two in-flight records at least. */
	assert_true(n >= GUEST_MAX_SLOTS + GUEST_MAX_REGIONS + 4);
	assert_true(n < 1023);
	assert_int_equal(slot[n], -ENOSPC);
	fault_unwatch(slot[3]);
	assert_int_equal(fault_watch(bytes, sizeof(bytes)), slot[3]);
	while (n)
		fault_unwatch(slot[--n]);
	fault_unwatch(-1);
	assert_false(fault_lost(-1));
}

static void too_many_memories_are_refused_cleanly(void **state)
{
	struct guest_region_spec spec = { { 0 }, { 4096 }, 4096, 0 };
	int fd = memfd_create("sim-many", MFD_CLOEXEC), n = 0, rc;
	static struct guest_memory *m[1024];
	struct err e;

	assert_int_equal(ftruncate(fd, 4096), 0);
	do {
		rc = guest_memory_new(&spec, &fd, 1, &m[n], &e);
	} while (rc == 0 && ++n < 1024);
	assert_err(rc, -ENOSPC, e, "too many");
	while (n)
		guest_memory_free(m[--n]);
	close(fd);
}

/* In a child: how it ends after touching a truncated mapping that is not watched. */
static int child_status(bool watch_another)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		int fd = memfd_create("sim-stray", MFD_CLOEXEC);
		volatile uint8_t *p;

		/* Should it fault for ever, it ends all the same. */
		alarm(10);
		setrlimit(RLIMIT_CORE, &none);
		if (ftruncate(fd, 8192) || fault_install())
			_exit(90);
		p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		/* The watch ends right below the page that is touched. */
		if (watch_another && fault_watch((void *)(uintptr_t)p, 4096) < 0)
			_exit(91);
		if (ftruncate(fd, 0))
			_exit(92);
		p[4096] = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void other_bus_errors_still_kill(void **state)
{
	for (int i = 0; i < 2; i++) {
		int status = child_status(i);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGBUS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_after_truncation_survives),
		cmocka_unit_test(write_after_truncation_survives),
		cmocka_unit_test(only_the_truncated_memory_is_lost),
		cmocka_unit_test(ring_on_truncated_memory_goes_on_without_crash),
		cmocka_unit_test(truncated_log_is_lost),
		cmocka_unit_test(watches_are_counted_and_reused),
		cmocka_unit_test(too_many_memories_are_refused_cleanly),
		cmocka_unit_test(other_bus_errors_still_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
