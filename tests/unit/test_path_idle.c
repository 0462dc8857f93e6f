/*
 * test_path_idle.c: an idle worker sleeps, and whatever comes wakes it: kicks that are sent only when asked for, and interrupts
 * that are raised only while they are on. The slow tick is put off where it would hide a lost wake-up.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "path/internal.h"
#include "ring/split.h"
#include "sim_path.h"
#include "sim_random.h"
#include "unit.h"

#define ROUNDS 20000
#define DUELS 100000
/* For one test: it is for a machine that does much else. */
#define LIMIT_S 200
#define NEVER_NS 3600000000000u

static struct sim_path s;
static int kick[PATH_DIRECTIONS];
static struct sim_random rnd;

static int dpdk(void **state)
{
	sim_port_dpdk();
	return 0;
}

static void kicks_attach(void)
{
	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		kick[d] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(kick[d] >= 0);
		path_set_kick(s.path, d, kick[d]);
	}
}

static int setup(void **state)
{
	alarm(LIMIT_S);
	sim_random_seed(&rnd, 7);
	sim_path_new(&s, 12, true);
	s.path->idle.tick_ns = NEVER_NS;
	kicks_attach();
	sim_port_interrupts(&s.port);
	path_port_changed(s.path);
	return 0;
}

static int setup_event_idx(void **state)
{
	setup(state);
	s.rx.cfg.event_idx = true;
	s.tx.cfg.event_idx = true;
	sim_path_bind(&s, NULL);
	return 0;
}

static int teardown(void **state)
{
	sim_path_free(&s);
	for (int d = 0; d < PATH_DIRECTIONS; d++)
		close(kick[d]);
	return 0;
}

/* Spec: 2.7.10, the driver's side: what was made available is kicked for only when asked. Entries came one by one. */
static bool kick_asked(struct sim_ring *ring)
{
	uint16_t *event = sim_at(&s.guest, ring->used + 4 + 8ull * ring->size);

	if (!ring->cfg.event_idx)
		return !(sim_used_flags(ring) & RING_USED_NO_NOTIFY);
	return __atomic_load_n(event, __ATOMIC_RELAXED) == (uint16_t)(ring->avail_idx - 1);
}

static void kick_if_asked(struct sim_ring *ring, int fd)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (kick_asked(ring))
		assert_int_equal(eventfd_write(fd, 1), 0);
}

static void transmit_one(void)
{
	uint8_t frame[64];

	sim_frame(frame, sizeof(frame), 1);
	sim_transmit(&s, frame, sizeof(frame), 0);
	kick_if_asked(&s.tx, kick[PATH_TX]);
}

static void arrive_one(void)
{
	uint8_t frame[64];

	sim_frame(frame, sizeof(frame), 2);
	assert_true(sim_port_arrive(&s.port, frame, sizeof(frame), 0));
}

static void post_one(void)
{
	sim_post(&s, 2048);
	kick_if_asked(&s.rx, kick[PATH_RX]);
}

static bool sent_one(void)
{
	uint8_t frame[2048];
	uint32_t id, len;

	if (sim_port_sent(&s.port, frame, sizeof(frame)) < 0)
		return false;
	while (!sim_used(&s.tx, &id, &len))
		sched_yield();
	return true;
}

static bool received_one(void)
{
	uint8_t frame[2048];

	return sim_receive(&s, frame, sizeof(frame), NULL) >= 0;
}

static void wait_for(bool (*done)(void), const char *what)
{
	uint64_t limit = clock_now_ns() + 10000000000u;

	while (!done()) {
		if (clock_now_ns() > limit)
			fail_msg("%s: a wake-up was lost", what);
		sched_yield();
	}
}

static void spin_ns(uint64_t ns)
{
	uint64_t end = clock_now_ns() + ns;

	while (clock_now_ns() < end)
		;
}

/* The worker goes to sleep some 50 µs after the last frame: the next comes about then. */
static void about_when_it_falls_asleep(void)
{
	spin_ns(40000 + sim_below(&rnd, 30000));
}

static uint64_t slept(void)
{
	return sim_counter(&s, sleeps);
}

static void no_transmit_kick_is_lost(void **state)
{
	path_resume(s.path);
	for (int i = 0; i < ROUNDS; i++) {
		about_when_it_falls_asleep();
		transmit_one();
		wait_for(sent_one, "transmit");
	}
	path_pause(s.path);
	assert_int_equal(sim_counter(&s, tx_frames), ROUNDS);
	/* Else nothing was tried. */
	assert_true(sim_counter(&s, wakes_kick) > ROUNDS / 100);
	assert_int_equal(sim_counter(&s, wakes_timer), 0);
}

static void no_interrupt_is_lost(void **state)
{
	path_resume(s.path);
	for (int i = 0; i < ROUNDS; i++) {
		sim_post(&s, 2048);
		about_when_it_falls_asleep();
		arrive_one();
		wait_for(received_one, "receive");
	}
	path_pause(s.path);
	assert_true(sim_counter(&s, wakes_port) > ROUNDS / 100);
	assert_int_equal(sim_counter(&s, wakes_timer), 0);
}

/* A frame is held for want of buffers: the guest's kick for the receive ring ends the wait. */
static void no_buffer_kick_is_lost(void **state)
{
	path_resume(s.path);
	for (int i = 0; i < ROUNDS; i++) {
		arrive_one();
		about_when_it_falls_asleep();
		post_one();
		wait_for(received_one, "buffers");
	}
	path_pause(s.path);
	assert_true(sim_counter(&s, wakes_kick) > ROUNDS / 100);
	assert_true(path_kicked(s.path, PATH_RX));
	assert_int_equal(sim_counter(&s, wakes_timer), 0);
}

/* The guest's side of a duel: an entry, and a look at the wish. */
struct duel {
	atomic_uint round, done;
	bool kicks;
};

static void *duel_guest(void *arg)
{
	struct duel *duel = arg;

	for (unsigned int i = 1; i <= DUELS; i++) {
		while (atomic_load(&duel->round) != i)
			;
		sim_offer(&s.tx, 0);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		duel->kicks = kick_asked(&s.tx);
		atomic_store(&duel->done, i);
	}
	return NULL;
}

/*
 * Both at once, over and over: the guest stores an entry and looks at the wish, we store the wish and look for entries. At
 * least one must see the other's store, or both go to sleep. (No worker: the path stays paused.)
 */
static void wish_and_entry_never_pass_each_other(void **state)
{
	struct duel duel = { .round = 0 };
	struct ring *r = path_ring(s.path, PATH_TX);
	struct ring_chain *chain = &s.path->chain;
	unsigned int unseen = 0;
	pthread_t guest;

	sim_desc(&s.tx, 0, SIM_TX_BUFFER(0), 64, 0, 0);
	assert_int_equal(pthread_create(&guest, NULL, duel_guest, &duel), 0);
	for (unsigned int i = 1; i <= DUELS; i++) {
		bool sleep;

		ring_suppress_kicks(r, true);
		atomic_store(&duel.round, i);
		/* The other one needs a moment to see it: meet it half way. */
		for (unsigned int k = sim_below(&rnd, 200); k > 0; k--)
			__asm__ volatile("");
		sleep = ring_ask_kick(r);
		while (atomic_load(&duel.done) != i)
			;
		unseen += sleep && !duel.kicks;
		assert_int_equal(ring_pop(r, chain), 1);
	}
	pthread_join(guest, NULL);
	assert_int_equal(unseen, 0);
}

/* Asleep it costs nothing but its tick, and a pause ends the sleep at once. */
static void sleeps_until_the_tick_or_a_pause(void **state)
{
	uint64_t before;

	path_resume(s.path);
	usleep(20000);
	before = slept();
	usleep(200000);
	assert_int_equal(slept(), before);
	for (int i = 0; i < 2000; i++) {
		path_pause(s.path);
		path_resume(s.path);
		usleep(100);
	}
	path_pause(s.path);
	s.path->idle.tick_ns = 10000000;
	before = sim_counter(&s, wakes_timer);
	path_resume(s.path);
	usleep(200000);
	path_pause(s.path);
	assert_in_range(sim_counter(&s, wakes_timer) - before, 1, 25);
}

static void way_is_shown(void **state)
{
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_INTERRUPT);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_KICK);
	path_set_kick(s.path, PATH_TX, -1);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_TIMER);
	s.port.vf.interrupts.there = false;
	path_port_changed(s.path);
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_TIMER);
	path_set_nap_max(s.path, 0);
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_POLL);
	path_activate(s.path, PATH_TX, false);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_NONE);
	path_activate(s.path, PATH_TX, true);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_POLL);
}

static void both_ways(void)
{
	sim_post(&s, 2048);
	arrive_one();
	wait_for(received_one, "receive");
	transmit_one();
	wait_for(sent_one, "transmit");
}

/* Nothing can wake it: naps, growing to the limit. */
static void naps_where_nothing_wakes(void **state)
{
	uint64_t before;

	path_set_kick(s.path, PATH_TX, -1);
	s.port.vf.interrupts.there = false;
	path_port_changed(s.path);
	path_resume(s.path);
	for (int i = 0; i < 20; i++) {
		usleep(5000);
		both_ways();
	}
	usleep(20000);
	before = slept();
	usleep(200000);
	/* 1 ms each. */
	assert_in_range(slept() - before, 2, 220);
	path_pause(s.path);
	assert_int_equal(sim_counter(&s, wakes_kick) + sim_counter(&s, wakes_port), 0);
	path_set_nap_max(s.path, 0);
	before = slept();
	path_resume(s.path);
	usleep(20000);
	both_ways();
	path_pause(s.path);
	assert_int_equal(slept(), before);
}

/* The limit of naps holds for what has no waker only. */
static void one_way_by_time_and_one_by_kick(void **state)
{
	s.port.vf.interrupts.there = false;
	path_port_changed(s.path);
	path_set_nap_max(s.path, 100000000);
	path_resume(s.path);
	for (int i = 0; i < 20; i++) {
		usleep(5000);
		both_ways();
	}
	path_pause(s.path);
	assert_true(sim_counter(&s, wakes_kick) > 0);
	assert_int_equal(sim_counter(&s, wakes_port), 0);
}

/* A descriptor that is always readable: left aside after a few times, and back when frames move. */
static void kicks_without_end(void **state)
{
	int storm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	uint64_t fired;

	assert_int_equal(eventfd_write(storm, 1ull << 40), 0);
	path_set_kick(s.path, PATH_TX, storm);
	path_resume(s.path);
	usleep(200000);
	path_pause(s.path);
	fired = sim_counter(&s, wakes_kick);
	assert_in_range(fired, 1, 20);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_TIMER);
	path_resume(s.path);
	both_ways();
	usleep(20000);
	path_pause(s.path);
	assert_true(sim_counter(&s, wakes_kick) > fired);
	path_resume(s.path);
	both_ways();
	path_pause(s.path);
	close(storm);
}

static void interrupts_without_end(void **state)
{
	int storm = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	/* Readable like net_tap's: nothing to take from it. */
	s.port.vf.interrupts = (struct vf_interrupts){ .there = true, .fd = storm };
	path_port_changed(s.path);
	path_resume(s.path);
	usleep(200000);
	path_pause(s.path);
	assert_in_range(sim_counter(&s, wakes_port), 1, 20);
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_TIMER);
	path_resume(s.path);
	both_ways();
	path_pause(s.path);
	close(storm);
}

/* Blocking descriptors, and what is no eventfd at all. */
static void odd_kick_descriptors(void **state)
{
	int pair[2], fds[3];

	fds[0] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pipe(pair), 0);
	fds[1] = pair[0];
	fds[2] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < COUNT(fds); i++) {
		path_set_kick(s.path, PATH_TX, fds[i]);
		assert_int_equal(path_wake(s.path, PATH_TX), i ? PATH_WAKE_TIMER : PATH_WAKE_KICK);
		path_resume(s.path);
		for (int k = 0; k < 20; k++) {
			/* The guest's kicks go to kick[], which nobody reads: these go to nobody. */
			if (i == 0)
				assert_int_equal(eventfd_write(fds[0], 1), 0);
			usleep(500);
		}
		path_pause(s.path);
		path_set_kick(s.path, PATH_TX, kick[PATH_TX]);
		path_resume(s.path);
		both_ways();
		path_pause(s.path);
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
	close(pair[1]);
}

/* Somebody else reads the eventfd before us: we must not wait for more. */
static void kicks_that_others_take(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	eventfd_t ticks;

	assert_int_equal(fd_drain(fd), 0);
	assert_int_equal(eventfd_write(fd, 3), 0);
	assert_int_equal(fd_drain(fd), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(eventfd_read(fd, &ticks), -1);
	close(fd);
	assert_int_equal(fd_drain(fd), -EBADF);
	assert_false(fd_is_eventfd(fd));
	assert_false(fd_is_eventfd(0));
}

/* The port promises interrupts and raises none: the tick finds the frames, and then time is relied on. */
static void interrupts_that_get_lost(void **state)
{
	atomic_store(&s.port.intr_lost, true);
	s.path->idle.tick_ns = 5000000;
	path_resume(s.path);
	for (int i = 0; i < 10; i++) {
		sim_post(&s, 2048);
		usleep(8000);
		arrive_one();
		wait_for(received_one, "receive");
	}
	path_pause(s.path);
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_TIMER);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_KICK);
	atomic_store(&s.port.intr_lost, false);
	path_port_changed(s.path);
	assert_int_equal(path_wake(s.path, PATH_RX), PATH_WAKE_INTERRUPT);
	path_resume(s.path);
	both_ways();
	path_pause(s.path);
}

/* A guest that never kicks, though asked. */
static void kicks_that_never_come(void **state)
{
	uint8_t frame[64];

	s.path->idle.tick_ns = 5000000;
	path_resume(s.path);
	for (int i = 0; i < 10; i++) {
		usleep(8000);
		sim_frame(frame, sizeof(frame), 1);
		sim_transmit(&s, frame, sizeof(frame), 0);
		wait_for(sent_one, "transmit");
	}
	path_pause(s.path);
	assert_int_equal(path_wake(s.path, PATH_TX), PATH_WAKE_TIMER);
}

/* What waits for the port's room is tried again, though nobody kicks; so is what waits for a host buffer. */
static void full_port_is_tried_again(void **state)
{
	atomic_store(&s.port.tx_room, 0);
	path_resume(s.path);
	transmit_one();
	usleep(50000);
	assert_false(sent_one());
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	wait_for(sent_one, "held transmit");
	path_pause(s.path);
}

static bool announced(void)
{
	return sim_counter(&s, announcements) == 1;
}

static void announcement_wakes(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	uint8_t frame[2048];

	atomic_store(&s.port.tx_room, 0);
	path_resume(s.path);
	usleep(20000);
	path_announce(s.path, mac);
	usleep(20000);
	assert_false(announced());
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	wait_for(announced, "announcement");
	assert_int_equal(sim_port_sent(&s.port, frame, sizeof(frame)), 60);
	path_pause(s.path);
}

/* Kicks are quiet while frames move, and asked for when it sleeps. */
static void guest_is_asked_only_for_sleep(void **state)
{
	path_resume(s.path);
	usleep(50000);
	assert_int_equal(sim_used_flags(&s.tx), 0);
	path_pause(s.path);
	s.path->idle.nap_max_ns = 0;
	path_resume(s.path);
	transmit_one();
	wait_for(sent_one, "transmit");
	usleep(1000);
	assert_int_equal(sim_used_flags(&s.tx), RING_USED_NO_NOTIFY);
	path_pause(s.path);
}

/* A ring that stopped is slept on no more, and what it had been kicked for is forgotten. */
static void stopped_ring_is_forgotten(void **state)
{
	path_resume(s.path);
	usleep(1000);
	arrive_one();
	usleep(20000);
	post_one();
	wait_for(received_one, "buffers");
	path_pause(s.path);
	assert_true(path_kicked(s.path, PATH_RX));
	path_activate(s.path, PATH_RX, false);
	assert_false(path_kicked(s.path, PATH_RX));
	path_resume(s.path);
	usleep(1000);
	assert_int_equal(eventfd_write(kick[PATH_RX], 1), 0);
	transmit_one();
	wait_for(sent_one, "transmit");
	path_pause(s.path);
	path_activate(s.path, PATH_RX, true);
	path_set_kick(s.path, PATH_RX, kick[PATH_RX]);
	path_resume(s.path);
	both_ways();
	path_pause(s.path);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define E(name)                                                           \
	{                                                                 \
#name "_event_idx", name, setup_event_idx, teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_transmit_kick_is_lost),
		E(no_transmit_kick_is_lost),
		T(no_interrupt_is_lost),
		T(no_buffer_kick_is_lost),
		E(no_buffer_kick_is_lost),
		T(wish_and_entry_never_pass_each_other),
		E(wish_and_entry_never_pass_each_other),
		T(sleeps_until_the_tick_or_a_pause),
		T(way_is_shown),
		T(naps_where_nothing_wakes),
		T(one_way_by_time_and_one_by_kick),
		T(kicks_without_end),
		T(interrupts_without_end),
		T(odd_kick_descriptors),
		T(kicks_that_others_take),
		T(interrupts_that_get_lost),
		T(kicks_that_never_come),
		T(full_port_is_tried_again),
		T(announcement_wakes),
		T(guest_is_asked_only_for_sleep),
		T(stopped_ring_is_forgotten),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
