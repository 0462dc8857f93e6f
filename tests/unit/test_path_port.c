/* test_path_port.c: a path whose port goes and another one comes: what is dropped, what waits, and what is counted. */
#include "sim_path.h"
#include "unit.h"

static struct sim_path s;
static struct sim_port other;

static int dpdk(void **state)
{
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
	path_set_port(s.path, NULL, false, 0);
	sim_port_free(&other);
	sim_path_free(&s);
	return 0;
}

static void transmit(uint32_t first, uint32_t count)
{
	uint8_t frame[64];

	for (uint32_t i = first; i < first + count; i++) {
		sim_frame(frame, sizeof(frame), i);
		sim_transmit(&s, frame, sizeof(frame), 0);
	}
}

static void arrive(struct sim_port *p, uint32_t first, uint32_t count)
{
	uint8_t frame[64];

	for (uint32_t i = first; i < first + count; i++) {
		sim_frame(frame, sizeof(frame), i);
		assert_true(sim_port_arrive(p, frame, sizeof(frame), 0));
	}
}

static void poll_all(void)
{
	for (int i = 0; i < 8; i++) {
		path_rx_poll(s.path);
		path_tx_poll(s.path);
	}
}

/* The wire took frames first to first + count - 1 from @p p, in order, and no more. */
static void sent(struct sim_port *p, uint32_t first, uint32_t count)
{
	uint8_t frame[2048], want[64];

	for (uint32_t i = first; i < first + count; i++) {
		sim_frame(want, sizeof(want), i);
		assert_int_equal(sim_port_sent(p, frame, sizeof(frame)), 64);
		assert_memory_equal(frame, want, 64);
	}
	assert_int_equal(sim_port_sent(p, frame, sizeof(frame)), -1);
}

static void received(uint32_t first, uint32_t count)
{
	uint8_t frame[2048], want[64];

	for (uint32_t i = first; i < first + count; i++) {
		sim_frame(want, sizeof(want), i);
		assert_int_equal(sim_receive(&s, frame, sizeof(frame), NULL), 64);
		assert_memory_equal(frame, want, 64);
	}
	assert_int_equal(sim_receive(&s, frame, sizeof(frame), NULL), -1);
}

static void post(unsigned int count)
{
	while (count--)
		sim_post(&s, 2048);
}

static void without_a_port_frames_are_dropped_and_counted(void **state)
{
	unsigned long bursts;

	path_set_port(s.path, NULL, false, 0);
	bursts = atomic_load(&s.port.bursts);
	post(10);
	transmit(0, 40);
	arrive(&s.port, 0, 5);
	poll_all();
	assert_int_equal(sim_used_idx(&s.tx), 40);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 40);
	assert_int_equal(sim_counter(&s, tx_frames), 0);
	assert_int_equal(sim_used_idx(&s.rx), 0);
	assert_int_equal(atomic_load(&s.port.bursts), bursts);
}

static void another_port_goes_on(void **state)
{
	path_set_port(s.path, NULL, false, 0);
	transmit(0, 3);
	poll_all();
	path_set_port(s.path, &other.vf, false, 0);
	post(10);
	transmit(3, 4);
	arrive(&other, 0, 4);
	poll_all();
	sent(&other, 3, 4);
	received(0, 4);
	sent(&s.port, 0, 0);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 3);
}

static void held_frames_wait_in_the_guests_ring(void **state)
{
	path_set_port(s.path, NULL, true, 0);
	transmit(0, 40);
	poll_all();
	assert_int_equal(sim_used_idx(&s.tx), 0);
	assert_int_equal(path_ring(s.path, PATH_TX)->next_avail, 0);
	path_set_port(s.path, &other.vf, false, 0);
	poll_all();
	sent(&other, 0, 40);
	assert_int_equal(sim_used_idx(&s.tx), 40);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 0);
}

/* A disabled ring is to be consumed, whatever else (vhost-user, Ring states). */
static void a_disabled_ring_does_not_wait(void **state)
{
	path_set_port(s.path, NULL, true, 0);
	path_enable(s.path, PATH_TX, false);
	transmit(0, 5);
	poll_all();
	assert_int_equal(sim_used_idx(&s.tx), 5);
}

/* The old port had no room: what the path took from the guest already goes out through the new one. */
static void held_frames_that_were_taken_are_not_lost(void **state)
{
	atomic_store(&s.port.tx_room, 0);
	transmit(0, 40);
	poll_all();
	assert_true(path_ring(s.path, PATH_TX)->next_avail > 0);
	path_set_port(s.path, NULL, true, 1000);
	poll_all();
	path_set_port(s.path, &other.vf, false, 0);
	poll_all();
	sent(&other, 0, 40);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 0);
}

static void taken_frames_are_dropped_when_nothing_is_held(void **state)
{
	unsigned int taken;

	atomic_store(&s.port.tx_room, 0);
	transmit(0, 40);
	poll_all();
	taken = path_ring(s.path, PATH_TX)->next_avail;
	assert_true(taken > 0 && taken < 40);
	path_set_port(s.path, NULL, false, 1000);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), taken);
	poll_all();
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 40);
}

/* A port with room takes the frames before it goes, even with no time to wait. */
static void what_the_path_holds_is_handed_over_first(void **state)
{
	atomic_store(&s.port.tx_room, 0);
	transmit(0, 10);
	poll_all();
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	path_set_port(s.path, NULL, false, 0);
	sent(&s.port, 0, 10);
	assert_int_equal(sim_counter(&s, tx_drop_no_device), 0);
}

static void received_frames_that_wait_for_the_guest_stay(void **state)
{
	arrive(&s.port, 0, 40);
	poll_all();
	assert_int_equal(sim_port_waiting(&s.port), 8);
	path_set_port(s.path, NULL, false, 0);
	assert_int_equal(sim_counter(&s, rx_drop_detached), 8);
	post(100);
	poll_all();
	received(0, 32);
	path_set_port(s.path, &other.vf, false, 0);
	arrive(&other, 50, 3);
	poll_all();
	received(50, 3);
}

static void an_announcement_without_a_port_is_forgotten(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };

	path_set_port(s.path, NULL, false, 0);
	memcpy(s.path->announce_mac, mac, 6);
	s.path->announce = true;
	path_rarp_send(s.path);
	assert_false(s.path->announce);
	assert_int_equal(sim_counter(&s, announcements), 0);
	path_discard(s.path);
	path_flush_tx(s.path, 1000000000);
}

/* Frames that the port was given a look ago, and has not sent: told, whatever came since. */
static void a_port_that_stands_still_is_noticed(void **state)
{
	assert_false(path_tx_stalled(s.path));
	transmit(0, 10);
	poll_all();
	/* Given since the last look: too early to tell. */
	assert_false(path_tx_stalled(s.path));
	assert_true(path_tx_stalled(s.path));
	transmit(10, 5);
	poll_all();
	assert_true(path_tx_stalled(s.path));
	sent(&s.port, 0, 15);
	assert_false(path_tx_stalled(s.path));
	assert_false(path_tx_stalled(s.path));
}

static void a_full_port_that_stands_still_is_noticed(void **state)
{
	transmit(0, 10);
	poll_all();
	sent(&s.port, 0, 10);
	assert_false(path_tx_stalled(s.path));
	atomic_store(&s.port.tx_room, 0);
	transmit(10, 40);
	poll_all();
	assert_true(path_tx_stalled(s.path));
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	poll_all();
	assert_false(path_tx_stalled(s.path));
}

static void a_port_that_moves_is_left_alone(void **state)
{
	for (uint32_t round = 0; round < 20; round++) {
		uint32_t many = round % 2 ? 200 : 3;

		for (uint32_t i = 0; i < many; i++) {
			transmit(i, 1);
			poll_all();
			sent(&s.port, i, 1);
			while (sim_used(&s.tx, &(uint32_t){ 0 }, &(uint32_t){ 0 }))
				;
		}
		assert_false(path_tx_stalled(s.path));
	}
	/* Nothing at all is no standstill either. */
	assert_false(path_tx_stalled(s.path));
	path_set_port(s.path, NULL, false, 0);
	assert_false(path_tx_stalled(s.path));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_port_frames_are_dropped_and_counted),
		T(another_port_goes_on),
		T(held_frames_wait_in_the_guests_ring),
		T(a_disabled_ring_does_not_wait),
		T(held_frames_that_were_taken_are_not_lost),
		T(taken_frames_are_dropped_when_nothing_is_held),
		T(what_the_path_holds_is_handed_over_first),
		T(received_frames_that_wait_for_the_guest_stay),
		T(an_announcement_without_a_port_is_forgotten),
		T(a_port_that_stands_still_is_noticed),
		T(a_full_port_that_stands_still_is_noticed),
		T(a_port_that_moves_is_left_alone),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
