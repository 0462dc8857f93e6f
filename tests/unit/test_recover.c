/* test_recover.c: a port that is reset, removed, or does not come back: what the vNIC does about it, and what it tells. */
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "sim_vnic.h"
#include "unit.h"

static struct sim_vnic s;

static int setup(void **state)
{
	sim_vnic_new(&s, "net_ring0");
	return 0;
}

static int teardown(void **state)
{
	sim_vnic_free(&s);
	return 0;
}

/* As DPDK's interrupt thread does. */
static void *raise_main(void *news)
{
	vf_notify_raise(&s.v->dev.notify, (unsigned int)(uintptr_t)news);
	return NULL;
}

static void raise_news(unsigned int news)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, raise_main, (void *)(uintptr_t)news), 0);
	pthread_join(t, NULL);
	sim_vnic_run(&s, 5);
}

static void wait_for(const char *events)
{
	uint64_t end = clock_now_ns() + 5000000000ull;

	while (strcmp(s.events, events) != 0 && clock_now_ns() < end)
		sim_vnic_run(&s, 10);
	assert_string_equal(s.events, events);
}

static void a_reset_port_comes_back(void **state)
{
	sim_vnic_works(&s);
	raise_news(VF_NEWS_RESET);
	assert_string_equal(s.events, "port-reset ");
	assert_int_equal(s.v->dev.state, DEVICE_LOST);
	/* What the guest sends meanwhile waits. */
	sim_vnic_send(&s, 10);
	wait_for("port-reset port-back ");
	assert_int_equal(sim_vnic_consumed(&s, 11), 11);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 0);
	sim_vnic_works(&s);
	assert_int_equal(s.v->dev.port_resets, 1);
	assert_int_equal(s.v->dev.port_backs, 1);
}

static void news_while_it_comes_back_is_old(void **state)
{
	raise_news(VF_NEWS_RESET);
	raise_news(VF_NEWS_RESET);
	raise_news(VF_NEWS_RESET | VF_NEWS_LINK);
	wait_for("port-reset port-back ");
	assert_int_equal(s.v->dev.port_resets, 1);
}

/* A PF that resets all the time costs ever fewer attempts. */
static void resets_in_a_row_back_off(void **state)
{
	uint64_t begin = clock_now_ns();

	for (int i = 0; i < 3; i++) {
		s.events[0] = 0;
		raise_news(VF_NEWS_RESET);
		wait_for("port-reset port-back ");
	}
	/* 100 + 200 + 400 ms. */
	assert_true(clock_now_ns() - begin >= 700000000);
	assert_int_equal(s.v->dev.tries, 3);
}

/* Devargs that are none make every attempt fail that takes the device anew. */
static void break_device(void)
{
	free(s.v->dev.name);
	s.v->dev.name = strdup("net_nonsense0");
	s.v->dev.tries = 1;
	s.v->dev.back_ns = clock_now_ns();
}

static void mend_device(void)
{
	free(s.v->dev.name);
	s.v->dev.name = strdup("net_ring0");
}

static void attempts_are_repeated(void **state)
{
	unsigned int fds;

	break_device();
	fds = sim_fds_open();
	raise_news(VF_NEWS_RESET);
	while (s.v->dev.tries < 3)
		sim_vnic_run(&s, 10);
	assert_string_equal(s.events, "port-reset ");
	/* Held during the first attempt, not for ever. */
	sim_vnic_send(&s, 10);
	assert_int_equal(sim_vnic_consumed(&s, 10), 10);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 10);
	mend_device();
	wait_for("port-reset port-back ");
	sim_vnic_works(&s);
	assert_true(sim_fds_open() <= fds);
}

static void attempts_end(void **state)
{
	struct err e = { "" };

	break_device();
	s.v->dev.tries = 1;
	raise_news(VF_NEWS_RESET);
	s.v->dev.tries = 63;
	wait_for("port-reset port-removed ");
	assert_int_equal(s.v->dev.state, DEVICE_NONE);
	assert_int_equal(s.v->dev.port_removals, 1);
	assert_ok(vnic_attach(s.v, "net_ring0", NULL, &e), e);
	sim_vnic_works(&s);
}

static void detached_while_it_comes_back(void **state)
{
	struct err e = { "" };

	raise_news(VF_NEWS_RESET);
	assert_err(vnic_attach(s.v, "net_ring1", NULL, &e), -EBUSY, e, "is attached");
	assert_ok(vnic_detach(s.v, false, &e), e);
	sim_vnic_run(&s, 300);
	assert_string_equal(s.events, "port-reset detached ");
	assert_ok(vnic_attach(s.v, "net_ring1", NULL, &e), e);
	sim_vnic_works(&s);
}

static void a_removed_device_is_given_back(void **state)
{
	struct err e = { "" };

	raise_news(VF_NEWS_REMOVED | VF_NEWS_RESET);
	assert_string_equal(s.events, "port-removed ");
	assert_false(s.v->vf.attached);
	sim_vnic_send(&s, 10);
	assert_int_equal(sim_vnic_consumed(&s, 10), 10);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 10);
	assert_ok(vnic_attach(s.v, "net_ring0", NULL, &e), e);
	sim_vnic_works(&s);
}

static void removed_while_it_comes_back(void **state)
{
	raise_news(VF_NEWS_RESET);
	raise_news(VF_NEWS_REMOVED);
	sim_vnic_run(&s, 300);
	assert_string_equal(s.events, "port-reset port-removed ");
	assert_false(s.v->vf.attached);
}

/* Said by a device that was detached since: not to be taken for the next one's. */
static void old_news_is_forgotten(void **state)
{
	struct err e = { "" };

	vf_notify_raise(&s.v->dev.notify, VF_NEWS_REMOVED);
	assert_ok(vnic_detach(s.v, false, &e), e);
	vf_notify_raise(&s.v->dev.notify, VF_NEWS_RESET | VF_NEWS_REMOVED);
	assert_ok(vnic_attach(s.v, "net_ring0", NULL, &e), e);
	sim_vnic_run(&s, 300);
	assert_string_equal(s.events, "detached attached ");
}

static void link_changes_are_told(void **state)
{
	/* What the last look found, changed behind the watcher's back. */
	s.v->dev.link_up = !s.v->dev.link_up;
	raise_news(VF_NEWS_LINK);
	assert_string_equal(s.events, "link ");
	assert_int_equal(s.v->dev.link_changes, 1);
	/* And found without news, by the look that comes once a second. */
	s.v->dev.link_up = !s.v->dev.link_up;
	wait_for("link link ");
}

static void ended_while_it_comes_back(void **state)
{
	raise_news(VF_NEWS_RESET);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_reset_port_comes_back),
		T(news_while_it_comes_back_is_old),
		T(resets_in_a_row_back_off),
		T(attempts_are_repeated),
		T(attempts_end),
		T(detached_while_it_comes_back),
		T(a_removed_device_is_given_back),
		T(removed_while_it_comes_back),
		T(old_news_is_forgotten),
		T(link_changes_are_told),
		T(ended_while_it_comes_back),
	};

	return cmocka_run_group_tests(tests, sim_vnic_dpdk, NULL);
}
