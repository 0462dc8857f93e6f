/* test_path_rx.c: port to guest, step by step with the worker paused. */
#include <poll.h>

#include "ring/split.h"
#include "sim_path.h"
#include "unit.h"

static struct sim_path s;
static uint8_t frame[9000], got[9000];

static int dpdk(void **state)
{
	sim_port_dpdk();
	return 0;
}

static int mergeable(void **state)
{
	sim_path_new(&s, 12, true);
	return 0;
}

static int plain(void **state)
{
	sim_path_new(&s, 12, false);
	return 0;
}

static int legacy(void **state)
{
	sim_path_new(&s, 10, false);
	return 0;
}

static int teardown(void **state)
{
	sim_path_free(&s);
	return 0;
}

static void arrive(uint32_t number, uint32_t len, uint32_t segment)
{
	sim_frame(frame, len, number);
	assert_true(sim_port_arrive(&s.port, frame, len, segment));
}

static void assert_received(uint32_t number, uint32_t len, unsigned int buffers)
{
	unsigned int n = 0;
	int rc = sim_receive(&s, got, sizeof(got), &n);

	assert_int_equal(rc, len);
	assert_int_equal(n, buffers);
	sim_frame(frame, len, number);
	assert_memory_equal(got, frame, len);
}

static void assert_nothing_received(void)
{
	assert_int_equal(sim_receive(&s, got, sizeof(got), NULL), -1);
}

static void poll_all(void)
{
	while (path_rx_poll(s.path))
		;
}

/* Frame lengths and buffer lengths of all sorts, over the ring's end. */
static void frames_arrive_whole_and_in_order(void **state)
{
	for (uint32_t n = 0; n < 600; n++) {
		uint32_t len = 60 + n * 53 % 1455;

		sim_post(&s, 1526);
		arrive(n, len, 0);
		poll_all();
		assert_received(n, len, 1);
	}
	assert_nothing_received();
	assert_int_equal(sim_counter(&s, rx_frames), 600);
}

static void a_frame_over_several_buffers(void **state)
{
	/* header and frame, buffer: how many are needed */
	static const struct {
		uint32_t len, buffer;
		unsigned int buffers;
	} cases[] = {
		{ 1500, 512, 3 }, { 500, 512, 1 }, { 501, 512, 2 }, { 1012, 512, 2 },
		{ 1013, 512, 3 }, { 60, 13, 6 },   { 60, 12, 6 },   { 8000, 100, 81 },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		for (unsigned int k = 0; k < cases[i].buffers + 2; k++)
			sim_post(&s, cases[i].buffer);
		arrive((uint32_t)i, cases[i].len, 700);
		poll_all();
		assert_received((uint32_t)i, cases[i].len, cases[i].buffers);
		assert_nothing_received();
		/* Two are left: a small frame each. */
		sim_path_bind(&s, NULL);
	}
}

static void frame_of_several_segments(void **state)
{
	static const uint32_t segments[] = { 1, 13, 60, 500, 1499 };

	for (uint32_t i = 0; i < COUNT(segments); i++) {
		uint32_t len = segments[i] == 1 ? 60 : 1500;

		sim_post(&s, 2048);
		arrive(i, len, segments[i]);
		poll_all();
		assert_received(i, len, 1);
	}
}

static void header_of_ten_bytes(void **state)
{
	sim_post(&s, 110);
	arrive(3, 100, 0);
	poll_all();
	assert_received(3, 100, 1);
}

/* Only what was written: header and frame, nothing behind. */
static void bytes_behind_the_frame_stay(void **state)
{
	sim_post(&s, 2048);
	arrive(1, 100, 0);
	poll_all();
	for (unsigned int i = 112; i < 2048; i++)
		assert_int_equal(((uint8_t *)sim_at(&s.guest, SIM_RX_BUFFER(0)))[i], 0xa5);
	assert_received(1, 100, 1);
}

static void nothing_posted_loses_nothing(void **state)
{
	for (uint32_t n = 0; n < 100; n++)
		arrive(n, 60, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(path_rx_poll(s.path), 0);
	/* A burst is held, the rest waits in the port. */
	assert_int_equal(sim_port_waiting(&s.port), 68);
	for (uint32_t n = 0; n < 100; n++) {
		sim_post(&s, 1526);
		path_rx_poll(s.path);
		assert_received(n, 60, 1);
	}
	assert_int_equal(sim_counter(&s, rx_frames), 100);
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
}

/* Two of three buffers are there: nothing is shown, and the third completes it. */
static void too_few_buffers_for_a_frame(void **state)
{
	arrive(7, 1400, 0);
	sim_post(&s, 512);
	sim_post(&s, 512);
	assert_int_equal(path_rx_poll(s.path), 0);
	assert_int_equal(path_rx_poll(s.path), 0);
	assert_nothing_received();
	assert_int_equal(path_ring(s.path, PATH_RX)->next_avail, 0);
	sim_post(&s, 512);
	assert_int_equal(path_rx_poll(s.path), 1);
	assert_received(7, 1400, 3);
}

/* The buffer stays for the next frame. */
static void too_big_for_a_plain_buffer(void **state)
{
	sim_post(&s, 512);
	arrive(1, 501, 0);
	arrive(2, 500, 0);
	poll_all();
	assert_received(2, 500, 1);
	assert_nothing_received();
	assert_int_equal(sim_counter(&s, rx_drop_too_big), 1);
	assert_int_equal(sim_counter(&s, rx_frames), 1);
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
}

static void too_big_for_a_whole_ring(void **state)
{
	for (int i = 0; i < 256; i++)
		sim_post(&s, 13);
	/* 256 * 13 bytes, less the header, is the largest. */
	arrive(1, 3317, 1000);
	arrive(2, 3316, 1000);
	poll_all();
	assert_received(2, 3316, 256);
	assert_int_equal(sim_counter(&s, rx_drop_too_big), 1);
}

static void buffer_without_room_for_the_header(void **state)
{
	struct pollfd p = { .fd = path_event_fd(s.path), .events = POLLIN };

	sim_post(&s, 11);
	sim_post(&s, 2048);
	arrive(1, 60, 0);
	arrive(2, 60, 0);
	poll_all();
	assert_nothing_received();
	assert_int_equal(path_ring(s.path, PATH_RX)->broken, -EPROTO);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(sim_counter(&s, rx_drop_broken), 2);
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
}

static void broken_in_the_middle_of_a_frame(void **state)
{
	sim_post(&s, 512);
	sim_desc(&s.rx, 1, SIM_HOLE, 512, RING_DESC_WRITE, 0);
	sim_offer(&s.rx, 1);
	arrive(1, 60, 0);
	arrive(2, 60, 0);
	poll_all();
	/* What was delivered before is shown. */
	assert_received(1, 60, 1);
	assert_nothing_received();
	assert_int_equal(sim_counter(&s, rx_drop_broken), 1);
}

static void disabled_ring_drops(void **state)
{
	path_enable(s.path, PATH_RX, false);
	sim_post(&s, 2048);
	for (uint32_t n = 0; n < 40; n++)
		arrive(n, 60, 0);
	poll_all();
	assert_nothing_received();
	assert_int_equal(sim_counter(&s, rx_drop_disabled), 40);
	path_enable(s.path, PATH_RX, true);
	arrive(50, 60, 0);
	poll_all();
	assert_received(50, 60, 1);
}

static void inactive_ring_leaves_frames_in_the_port(void **state)
{
	path_activate(s.path, PATH_RX, false);
	sim_post(&s, 2048);
	arrive(1, 60, 0);
	assert_int_equal(path_rx_poll(s.path), 0);
	assert_int_equal(sim_port_waiting(&s.port), 1);
	path_activate(s.path, PATH_RX, true);
	poll_all();
	assert_received(1, 60, 1);
}

/* What is held and what waits, at most twice the port's depth: 128 here. */
static void discard_forgets_what_came_before(void **state)
{
	for (uint32_t n = 0; n < 100; n++)
		arrive(n, 60, 0);
	path_rx_poll(s.path);
	path_discard(s.path);
	assert_int_equal(sim_counter(&s, rx_drop_stale), 100);
	for (uint32_t n = 0; n < 400; n++)
		arrive(n, 60, 0);
	path_discard(s.path);
	assert_int_equal(sim_counter(&s, rx_drop_stale), 228);
	sim_post(&s, 2048);
	path_rx_poll(s.path);
	assert_received(128, 60, 1);
}

/* Payload and header of each buffer, and the used ring: these pages, and no other. */
static void log_holds_what_was_written(void **state)
{
	uint8_t want[1024] = { 0 };
	struct sim_log l;

	sim_log_new(&l, 1024);
	sim_path_bind(&s, l.log);
	for (int i = 0; i < 6; i++)
		sim_post(&s, 600);
	/* 12 + 1500 bytes: buffers 0, 1 and a part of 2. */
	arrive(1, 1500, 0);
	poll_all();
	for (int i = 0; i < 3; i++)
		want[SIM_RX_BUFFER(i) / 4096] = 1;
	want[s.rx.used / 4096] = 1;
	for (uint64_t page = 0; page < 1024; page++)
		if (sim_logged(&l, page) != want[page])
			fail_msg("page %u is %slogged", (unsigned int)page,
				 want[page] ? "not " : "");
	assert_received(1, 1500, 3);
	sim_path_bind(&s, NULL);
	sim_log_free(&l);
}

/* One notification for a burst. */
static void calls_are_batched(void **state)
{
	for (int i = 0; i < 32; i++) {
		sim_post(&s, 2048);
		arrive((uint32_t)i, 60, 0);
	}
	assert_int_equal(path_rx_poll(s.path), 32);
	assert_int_equal(sim_calls(&s.rx), 1);
}

#define T(name, how) cmocka_unit_test_setup_teardown(name, how, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(frames_arrive_whole_and_in_order, mergeable),
		T(a_frame_over_several_buffers, mergeable),
		T(frame_of_several_segments, plain),
		T(header_of_ten_bytes, legacy),
		T(bytes_behind_the_frame_stay, mergeable),
		T(nothing_posted_loses_nothing, mergeable),
		T(too_few_buffers_for_a_frame, mergeable),
		T(too_big_for_a_plain_buffer, plain),
		T(too_big_for_a_whole_ring, mergeable),
		T(buffer_without_room_for_the_header, mergeable),
		T(broken_in_the_middle_of_a_frame, mergeable),
		T(disabled_ring_drops, mergeable),
		T(inactive_ring_leaves_frames_in_the_port, mergeable),
		T(discard_forgets_what_came_before, mergeable),
		T(log_holds_what_was_written, mergeable),
		T(calls_are_batched, mergeable),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
