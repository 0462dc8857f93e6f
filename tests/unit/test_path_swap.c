/*
 * test_path_swap.c: control changes the port of a working path thousands of times, between two and none, while numbered
 * frames flow. What the guest sends while nothing is held may be dropped, and is counted; else nothing is lost. TSan
 * watches.
 */
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "sim_path.h"
#include "unit.h"

#define SWAPS 2000
#define LIMIT_S 100

static struct sim_path s;
static struct sim_port other;

static int dpdk(void **state)
{
	alarm(LIMIT_S);
	sim_port_dpdk();
	return 0;
}

static int setup(void **state)
{
	sim_path_new(&s, 12, true);
	sim_port_new_beside(&other, &s.port);
	return 0;
}

static int teardown(void **state)
{
	path_pause(s.path);
	path_set_port(s.path, NULL, false, 0);
	sim_port_free(&other);
	sim_path_free(&s);
	return 0;
}

/* The guest and both wires, in one thread. */
struct traffic {
	atomic_bool stop;
	bool loss_allowed;
	/** Frames that the guest gave, the number that a wire waits for next, and those that came. */
	uint32_t given, next, came;
	/** Frames put on the wires, and the number that the guest waits for next. */
	uint32_t arrived, rx_next, rx_came;
	const char *wrong;
};

static uint32_t number_of(const uint8_t *bytes)
{
	uint32_t n;

	memcpy(&n, bytes, sizeof(n));
	return n;
}

static bool whole(const uint8_t *bytes, int len)
{
	uint8_t want[64];

	sim_frame(want, sizeof(want), number_of(bytes));
	return len == 64 && memcmp(bytes, want, sizeof(want)) == 0;
}

static bool from_wire(struct traffic *t, struct sim_port *p)
{
	uint8_t frame[2048];
	int n = sim_port_sent(p, frame, sizeof(frame));

	if (n < 0)
		return false;
	t->came++;
	if (!whole(frame, n))
		t->wrong = "a frame from the guest was changed";
	else if (number_of(frame) < t->next || (number_of(frame) > t->next && !t->loss_allowed))
		t->wrong = "a frame from the guest is lost, doubled or out of order";
	t->next = number_of(frame) + 1;
	return true;
}

static bool to_guest(struct traffic *t)
{
	uint8_t frame[2048];
	int n = sim_receive(&s, frame, sizeof(frame), NULL);

	if (n < 0)
		return false;
	t->rx_came++;
	/* Frames on a port that is away, or goes away, are lost or come late: each is whole. */
	if (!whole(frame, n))
		t->wrong = "a frame for the guest was changed";
	sim_post(&s, 2048);
	return true;
}

static bool put_in(struct traffic *t)
{
	uint8_t frame[64];
	bool some = false;
	uint32_t id, len;

	while (sim_used(&s.tx, &id, &len))
		some = true;
	if ((uint16_t)(s.tx.avail_idx - s.tx.used_idx) < 100) {
		sim_frame(frame, sizeof(frame), t->given++);
		sim_transmit(&s, frame, sizeof(frame), 0);
		some = true;
	}
	for (int i = 0; i < 2; i++) {
		struct sim_port *p = i ? &other : &s.port;

		if (sim_port_waiting(p) > 20)
			continue;
		sim_frame(frame, sizeof(frame), t->arrived);
		t->arrived += sim_port_arrive(p, frame, sizeof(frame), 0);
	}
	return some;
}

static void *traffic_main(void *arg)
{
	struct traffic *t = arg;
	uint64_t idle_since = clock_now_ns();

	while (!t->wrong) {
		bool stop = atomic_load(&t->stop), some = stop ? false : put_in(t);

		/* The older port's frames first: what it has goes before what the other one gets. */
		some = from_wire(t, &s.port) || some;
		some = from_wire(t, &other) || some;
		some = to_guest(t) || some;
		if (some)
			idle_since = clock_now_ns();
		else if (stop && clock_now_ns() - idle_since > 200000000)
			break;
		else if (clock_now_ns() - idle_since > 20000000000u)
			t->wrong = "no frame moves any more";
		else
			sched_yield();
	}
	return NULL;
}

static void start(struct traffic *t, pthread_t *thread)
{
	for (int i = 0; i < 200; i++)
		sim_post(&s, 2048);
	path_resume(s.path);
	assert_int_equal(pthread_create(thread, NULL, traffic_main, t), 0);
}

static void finish(struct traffic *t, pthread_t thread)
{
	atomic_store(&t->stop, true);
	pthread_join(thread, NULL);
	path_pause(s.path);
	if (t->wrong)
		fail_msg("%s (given %u, came %u, next %u)", t->wrong, t->given, t->came, t->next);
	assert_true(t->came > 0 && t->rx_came > 0);
	assert_int_equal(t->given, t->came + sim_counter(&s, tx_drop_no_device));
	assert_int_equal(t->arrived, sim_counter(&s, rx_frames) +
					     sim_counter(&s, rx_drop_detached) +
					     sim_port_waiting(&s.port) + sim_port_waiting(&other));
}

static void set_port(struct vf *vf, bool hold)
{
	path_pause(s.path);
	/* The wire takes what the port was given: one port's frames before the next one's. */
	path_set_port(s.path, vf, hold, 1000000000);
	path_resume(s.path);
}

static void swap(bool hold)
{
	for (int i = 0; i < SWAPS; i++) {
		set_port(NULL, hold);
		for (int k = i % 5; k > 2; k--)
			sched_yield();
		if (i % 100 == 0)
			usleep(300);
		set_port(i % 2 ? &s.port.vf : &other.vf, false);
		for (int k = i % 7; k > 3; k--)
			sched_yield();
	}
}

static void held_frames_come_all_and_in_order(void **state)
{
	struct traffic t = { .loss_allowed = false };
	pthread_t thread;

	start(&t, &thread);
	swap(true);
	finish(&t, thread);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 0);
}

static void dropped_frames_are_counted(void **state)
{
	struct traffic t = { .loss_allowed = true };
	pthread_t thread;

	start(&t, &thread);
	swap(false);
	finish(&t, thread);
	assert_true(sim_counter(&s, tx_drop_no_device) > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(held_frames_come_all_and_in_order),
		T(dropped_frames_are_counted),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
