/*
 * test_path_pause.c: the worker moves numbered frames both ways while control pauses and resumes it thousands of times, and
 * touches everything of the path's in between. A deadlock ends the test through an alarm; TSan watches the hand-over.
 */
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "sim_path.h"
#include "unit.h"

#define PAUSES 10000
#define LIMIT_S 100

static struct sim_path s;

static int dpdk(void **state)
{
	alarm(LIMIT_S);
	sim_port_dpdk();
	return 0;
}

static int setup(void **state)
{
	sim_path_new(&s, 12, true);
	return 0;
}

static int teardown(void **state)
{
	sim_path_free(&s);
	return 0;
}

/* The guest and the wire in one thread: both ends of both directions. */
struct traffic {
	atomic_bool stop;
	/** Frames put in and taken out, port to guest and guest to port. */
	uint32_t arrived, received, transmitted, sent;
	/** The first thing that went wrong; no assertions in a thread of its own. */
	const char *wrong;
};

static bool number_is(const uint8_t *bytes, int len, uint32_t number)
{
	uint8_t want[64];

	sim_frame(want, sizeof(want), number);
	return len == 64 && memcmp(bytes, want, 64) == 0;
}

static bool put_in(struct traffic *t)
{
	uint8_t frame[64];
	bool some = false;

	if (t->arrived - t->received < 100) {
		sim_frame(frame, sizeof(frame), t->arrived);
		if (sim_port_arrive(&s.port, frame, sizeof(frame), 0)) {
			t->arrived++;
			some = true;
		}
	}
	if (t->transmitted - t->sent < 100) {
		sim_frame(frame, sizeof(frame), t->transmitted++);
		sim_transmit(&s, frame, sizeof(frame), 0);
		some = true;
	}
	return some;
}

static bool take_out(struct traffic *t)
{
	uint8_t frame[2048];
	bool some = false;
	uint32_t id, len;
	int n = sim_receive(&s, frame, sizeof(frame), NULL);

	if (n >= 0) {
		some = true;
		if (!number_is(frame, n, t->received++))
			t->wrong = "a frame for the guest is lost, changed or out of order";
		sim_post(&s, 2048);
	}
	n = sim_port_sent(&s.port, frame, sizeof(frame));
	if (n >= 0) {
		some = true;
		if (!number_is(frame, n, t->sent++))
			t->wrong = "a frame from the guest is lost, changed or out of order";
	}
	while (sim_used(&s.tx, &id, &len))
		some = true;
	return some;
}

static void *traffic_main(void *arg)
{
	struct traffic *t = arg;
	uint64_t idle_since = clock_now_ns();

	while (!t->wrong) {
		bool stop = atomic_load(&t->stop), some = stop ? false : put_in(t);

		if (take_out(t) || some)
			idle_since = clock_now_ns();
		else if (stop && t->received == t->arrived && t->sent == t->transmitted)
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
	if (t->wrong)
		fail_msg("%s (received %u of %u, sent %u of %u)", t->wrong, t->received, t->arrived,
			 t->sent, t->transmitted);
	path_pause(s.path);
	assert_int_equal(sim_counter(&s, rx_frames), t->arrived);
	assert_int_equal(sim_counter(&s, tx_frames), t->transmitted);
}

/* Paused means: nothing is called and nothing moves, however long control takes. */
static void assert_still(void)
{
	unsigned long bursts = atomic_load(&s.port.bursts);
	uint16_t rx = path_ring(s.path, PATH_RX)->next_avail, tx = sim_used_idx(&s.tx);

	sched_yield();
	assert_int_equal(atomic_load(&s.port.bursts), bursts);
	assert_int_equal(path_ring(s.path, PATH_RX)->next_avail, rx);
	assert_int_equal(sim_used_idx(&s.tx), tx);
}

/* What a front-end's message does: a re-bind in the middle of everything. */
static void rebind(struct dirty_log *log)
{
	struct sim_ring *rings[] = { &s.rx, &s.tx };
	struct err e = { "" };

	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		struct ring *r = path_ring(s.path, d);

		rings[d]->cfg.log_used = log != NULL;
		assert_ok(ring_bind(r, &rings[d]->cfg, s.guest.mem, log, true, 0, &e), e);
	}
}

static void pauses_lose_and_move_nothing(void **state)
{
	struct traffic t = { .arrived = 0 };
	struct sim_log l;
	pthread_t thread;

	sim_log_new(&l, 1024);
	start(&t, &thread);
	for (int i = 0; i < PAUSES; i++) {
		path_pause(s.path);
		assert_still();
		if (i % 8 == 0)
			rebind(i % 16 ? l.log : NULL);
		path_resume(s.path);
		/* At once, a little later, and after the worker has gone to sleep. */
		for (int k = i % 7; k > 3; k--)
			sched_yield();
		if (i % 500 == 0)
			usleep(300);
	}
	finish(&t, thread);
	assert_true(t.received > 0 && t.sent > 0);
	rebind(NULL);
	sim_log_free(&l);
}

static void pausing_a_paused_path_returns(void **state)
{
	for (int i = 0; i < 1000; i++) {
		path_pause(s.path);
		path_pause(s.path);
		assert_still();
		path_resume(s.path);
		path_resume(s.path);
	}
	path_pause(s.path);
}

/* With no ring active a resume leaves it paused: nothing polls for nobody. */
static void path_without_rings_stays_paused(void **state)
{
	unsigned long bursts;
	uint64_t sleeps;

	for (int d = 0; d < PATH_DIRECTIONS; d++)
		path_activate(s.path, d, false);
	path_resume(s.path);
	bursts = atomic_load(&s.port.bursts);
	sleeps = sim_counter(&s, sleeps);
	usleep(50000);
	assert_int_equal(atomic_load(&s.port.bursts), bursts);
	/* Not even napping between looks: it waits to be told. */
	assert_int_equal(sim_counter(&s, sleeps), sleeps);
	path_activate(s.path, PATH_TX, true);
	path_resume(s.path);
	usleep(1000);
	path_pause(s.path);
	path_activate(s.path, PATH_RX, true);
}

static void announcements_go_out_under_way(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	uint64_t limit = clock_now_ns() + 20000000000u;
	uint8_t frame[2048];

	path_resume(s.path);
	for (uint64_t i = 1; i <= 50; i++) {
		path_announce(s.path, mac);
		while (sim_counter(&s, announcements) < i && clock_now_ns() < limit)
			sched_yield();
		assert_int_equal(sim_counter(&s, announcements), i);
		assert_int_equal(sim_port_sent(&s.port, frame, sizeof(frame)), 60);
		assert_memory_equal(frame + 6, mac, 6);
	}
	path_pause(s.path);
}

/* An idle worker sleeps, and a pause wakes it: far faster than it would wake by itself, many times over. */
static void idle_worker_sleeps(void **state)
{
	uint64_t sleeps;

	path_resume(s.path);
	usleep(50000);
	sleeps = sim_counter(&s, sleeps);
	/* With nothing to wake it, naps that grow to 1 ms: some 70 of them. */
	assert_true(sleeps > 20);
	path_pause(s.path);
}

static void freed_while_frames_are_everywhere(void **state)
{
	uint8_t frame[64];

	for (int round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 100; i++) {
			sim_frame(frame, sizeof(frame), i);
			sim_port_arrive(&s.port, frame, sizeof(frame), 0);
			if (i < 50)
				sim_transmit(&s, frame, sizeof(frame), 0);
		}
		atomic_store(&s.port.tx_room, (unsigned int)round);
		path_resume(s.path);
		usleep((useconds_t)round * 10);
		/* The teardown inside finds every buffer back in its pool, or fails. */
		sim_path_free(&s);
		sim_path_new(&s, 12, true);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pauses_lose_and_move_nothing),
		T(pausing_a_paused_path_returns),
		T(path_without_rings_stays_paused),
		T(announcements_go_out_under_way),
		T(idle_worker_sleeps),
		T(freed_while_frames_are_everywhere),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
