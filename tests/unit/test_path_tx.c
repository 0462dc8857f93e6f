/* test_path_tx.c: guest to port, step by step with the worker paused. */
#include <poll.h>

#include "base/clock.h"
#include "ring/split.h"
#include "sim_path.h"
#include "unit.h"

static struct sim_path s;
static uint8_t frame[4096], got[4096];

static int dpdk(void **state)
{
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

static void send_number(uint32_t number, uint32_t len, uint32_t piece)
{
	sim_frame(frame, len, number);
	sim_transmit(&s, frame, len, piece);
}

static void assert_sent(uint32_t number, uint32_t len)
{
	/* What is too short for the wire comes padded with zeroes. */
	memset(frame, 0, 60);
	sim_frame(frame, len, number);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), len < 60 ? 60 : len);
	assert_memory_equal(got, frame, len < 60 ? 60 : len);
}

static void assert_nothing_sent(void)
{
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), -1);
}

static unsigned int used_entries(void)
{
	unsigned int n = 0;
	uint32_t id, len;

	for (; sim_used(&s.tx, &id, &len); n++)
		assert_int_equal(len, 0);
	return n;
}

static void frames_arrive_whole_and_in_order(void **state)
{
	static const uint32_t pieces[] = { 0, 12, 1000, 13, 200, 7 };
	uint32_t sent = 0;

	for (uint32_t round = 0; round < 40; round++) {
		uint32_t first = sent;

		/* One by one: the smallest pieces fill the ring's descriptors. */
		for (size_t i = 0; i < COUNT(pieces); i++) {
			send_number(sent++, 14 + round * 37, pieces[i]);
			assert_int_equal(path_tx_poll(s.path), 1);
		}
		for (uint32_t n = first; n < sent; n++)
			assert_sent(n, 14 + round * 37);
		assert_nothing_sent();
		assert_int_equal(used_entries(), COUNT(pieces));
	}
	assert_int_equal(sim_counter(&s, tx_frames), sent);
}

static void header_of_ten_bytes(void **state)
{
	s.header_bytes = 10;
	path_set_layout(s.path, 10, false);
	send_number(1, 100, 0);
	send_number(2, 100, 9);
	path_tx_poll(s.path);
	assert_sent(1, 100);
	assert_sent(2, 100);
	assert_int_equal(sim_counter(&s, tx_bytes), 200);
}

static void a_burst_is_32_frames(void **state)
{
	for (uint32_t n = 0; n < 100; n++)
		send_number(n, 60, 0);
	assert_int_equal(path_tx_poll(s.path), 32);
	assert_int_equal(sim_used_idx(&s.tx), 32);
	while (path_tx_poll(s.path))
		;
	for (uint32_t n = 0; n < 100; n++)
		assert_sent(n, 60);
	assert_int_equal(path_tx_poll(s.path), 0);
}

/* The shortest and the longest that pass, and one byte beyond each. */
static void too_short_and_too_long_are_dropped(void **state)
{
	send_number(0, 14, 0);
	send_number(1, 13, 0);
	send_number(2, 0, 0);
	send_number(3, 1522, 0);
	send_number(4, 1523, 0);
	send_number(5, 60, 0);
	assert_int_equal(path_tx_poll(s.path), 6);
	assert_sent(0, 14);
	assert_sent(3, 1522);
	assert_sent(5, 60);
	assert_nothing_sent();
	assert_int_equal(used_entries(), 6);
	assert_int_equal(sim_counter(&s, tx_drop_short), 2);
	assert_int_equal(sim_counter(&s, tx_drop_long), 1);
	assert_int_equal(sim_counter(&s, tx_frames), 3);
}

/* The buffer was another frame's before: nothing of it goes out. */
static void padding_shows_nothing_old(void **state)
{
	send_number(0, 1500, 0);
	path_tx_poll(s.path);
	assert_sent(0, 1500);
	send_number(1, 14, 0);
	path_tx_poll(s.path);
	assert_sent(1, 14);
}

/* Not even a header: a byte, or all but one. */
static void less_than_a_header(void **state)
{
	sim_desc(&s.tx, 0, SIM_TX_BUFFER(0), 1, 0, 0);
	sim_offer(&s.tx, 0);
	sim_desc(&s.tx, 1, SIM_TX_BUFFER(1), 11, 0, 0);
	sim_offer(&s.tx, 1);
	assert_int_equal(path_tx_poll(s.path), 2);
	assert_nothing_sent();
	assert_int_equal(used_entries(), 2);
	assert_int_equal(sim_counter(&s, tx_drop_short), 2);
}

static void disabled_ring_consumes_and_drops(void **state)
{
	path_enable(s.path, PATH_TX, false);
	send_number(0, 60, 0);
	assert_int_equal(path_tx_poll(s.path), 1);
	assert_nothing_sent();
	assert_int_equal(used_entries(), 1);
	assert_int_equal(sim_counter(&s, tx_drop_disabled), 1);
	path_enable(s.path, PATH_TX, true);
	send_number(1, 60, 0);
	path_tx_poll(s.path);
	assert_sent(1, 60);
}

static void inactive_ring_is_not_touched(void **state)
{
	path_activate(s.path, PATH_TX, false);
	send_number(0, 60, 0);
	assert_int_equal(path_tx_poll(s.path), 0);
	assert_int_equal(used_entries(), 0);
	assert_int_equal(s.path->ring[PATH_TX].next_avail, 0);
}

/*
 * What the port cannot take is kept, and no more is taken. Buffers are shown as used once the port has all their frames:
 * killed before, our successor sends them again.
 */
static void full_port_loses_nothing(void **state)
{
	atomic_store(&s.port.tx_room, 5);
	for (uint32_t n = 0; n < 60; n++)
		send_number(n, 60, 0);
	path_tx_poll(s.path);
	for (int i = 0; i < 10; i++)
		path_tx_poll(s.path);
	assert_int_equal(s.path->ring[PATH_TX].next_avail, 32);
	assert_int_equal(used_entries(), 0);
	for (uint32_t n = 0; n < 60; n++) {
		assert_sent(n, 60);
		path_tx_poll(s.path);
	}
	assert_nothing_sent();
	assert_int_equal(used_entries(), 60);
	assert_int_equal(sim_counter(&s, tx_frames), 60);
}

static void no_host_buffer_loses_nothing(void **state)
{
	unsigned int held = 0;

	while (sim_port_arrive(&s.port, frame, 60, 0))
		held++;
	assert_int_equal(held, SIM_PORT_MBUFS);
	for (uint32_t n = 0; n < 3; n++)
		send_number(n, 60, 0);
	assert_int_equal(path_tx_poll(s.path), 0);
	assert_int_equal(sim_counter(&s, tx_wait_mbuf), 1);
	assert_int_equal(used_entries(), 0);
	/* Two come free. */
	path_enable(s.path, PATH_RX, false);
	path_rx_poll(s.path);
	assert_int_equal(path_tx_poll(s.path), 3);
	for (uint32_t n = 0; n < 3; n++)
		assert_sent(n, 60);
}

static void flush_sends_what_is_held(void **state)
{
	atomic_store(&s.port.tx_room, 0);
	for (uint32_t n = 0; n < 8; n++)
		send_number(n, 60, 0);
	path_tx_poll(s.path);
	assert_nothing_sent();
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	path_flush_tx(s.path, 1000000000);
	for (uint32_t n = 0; n < 8; n++)
		assert_sent(n, 60);
	assert_int_equal(sim_counter(&s, tx_drop_stopped), 0);
}

static void flush_gives_up_after_its_limit(void **state)
{
	uint64_t start;

	atomic_store(&s.port.tx_room, 3);
	for (uint32_t n = 0; n < 8; n++)
		send_number(n, 60, 0);
	path_tx_poll(s.path);
	start = clock_now_ns();
	path_flush_tx(s.path, 20000000);
	assert_true(clock_now_ns() - start >= 20000000);
	assert_int_equal(sim_counter(&s, tx_drop_stopped), 5);
	for (uint32_t n = 0; n < 3; n++)
		assert_sent(n, 60);
	assert_nothing_sent();
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
}

/* What a guest gave and its announcement end with the ring: neither comes out under the next guest. */
static void inactive_ring_keeps_nothing_back(void **state)
{
	atomic_store(&s.port.tx_room, 3);
	for (uint32_t n = 0; n < 8; n++)
		send_number(n, 60, 0);
	path_tx_poll(s.path);
	s.path->announce = true;
	path_activate(s.path, PATH_TX, false);
	assert_false(s.path->announce);
	assert_int_equal(sim_counter(&s, tx_drop_stopped), 5);
	path_activate(s.path, PATH_TX, true);
	atomic_store(&s.port.tx_room, SIM_PORT_QUEUE);
	send_number(8, 60, 0);
	path_tx_poll(s.path);
	for (uint32_t n = 0; n < 3; n++)
		assert_sent(n, 60);
	assert_sent(8, 60);
	assert_nothing_sent();
}

static void broken_ring_alarms_once(void **state)
{
	struct pollfd p = { .fd = path_event_fd(s.path), .events = POLLIN };
	uint64_t ticks;

	send_number(0, 60, 0);
	sim_desc(&s.tx, 1, SIM_HOLE, 60, 0, 0);
	sim_offer(&s.tx, 1);
	assert_int_equal(path_tx_poll(s.path), 1);
	assert_sent(0, 60);
	assert_int_equal(used_entries(), 1);
	assert_int_equal(s.path->ring[PATH_TX].broken, -EPROTO);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(read(p.fd, &ticks, sizeof(ticks)), sizeof(ticks));
	assert_int_equal(path_tx_poll(s.path), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
}

/* Only the used ring is written. */
static void log_holds_the_used_ring_only(void **state)
{
	struct sim_log l;

	sim_log_new(&l, 1024);
	sim_path_bind(&s, l.log);
	send_number(0, 600, 100);
	path_tx_poll(s.path);
	assert_sent(0, 600);
	assert_int_equal(sim_log_count(&l), 1);
	assert_true(sim_logged(&l, s.tx.used / 4096));
	sim_path_bind(&s, NULL);
	sim_log_free(&l);
}

static void announcement_is_a_reverse_arp(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
	/* RFC 903: Ethernet to all, type 0x8035; hardware 1, protocol 0x0800, 6, 4, operation 3; sender and target. */
	static const uint8_t want[60] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1,	 2,    3, 0x80,
		0x35, 0,    1,	  8,	0,    6,    4,	  0,	3, 0x52, 0x54, 0, 1,
		2,    3,    0,	  0,	0,    0,    0x52, 0x54, 0, 1,	 2,    3,
	};

	memcpy(s.path->announce_mac, mac, 6);
	s.path->announce = true;
	atomic_store(&s.port.tx_room, 0);
	path_rarp_send(s.path);
	/* No room: it stays due, and no buffer is lost. */
	assert_true(s.path->announce);
	assert_int_equal(sim_port_free_mbufs(&s.port), SIM_PORT_MBUFS);
	atomic_store(&s.port.tx_room, 10);
	path_rarp_send(s.path);
	assert_false(s.path->announce);
	assert_int_equal(sim_counter(&s, announcements), 1);
	assert_int_equal(sim_port_sent(&s.port, got, sizeof(got)), 60);
	assert_memory_equal(got, want, 60);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(frames_arrive_whole_and_in_order),
		T(header_of_ten_bytes),
		T(a_burst_is_32_frames),
		T(too_short_and_too_long_are_dropped),
		T(padding_shows_nothing_old),
		T(less_than_a_header),
		T(disabled_ring_consumes_and_drops),
		T(inactive_ring_is_not_touched),
		T(full_port_loses_nothing),
		T(no_host_buffer_loses_nothing),
		T(flush_sends_what_is_held),
		T(flush_gives_up_after_its_limit),
		T(inactive_ring_keeps_nothing_back),
		T(broken_ring_alarms_once),
		T(log_holds_the_used_ring_only),
		T(announcement_is_a_reverse_arp),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
