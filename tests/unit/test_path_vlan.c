/* test_path_vlan.c: the VLANs that a guest uses are noticed where the port filters them, and tags that it strips come back. */
#include <poll.h>

#include "sim_path.h"
#include "unit.h"

static struct sim_path s;

static int dpdk(void **state)
{
	sim_port_dpdk();
	return 0;
}

static int setup(void **state)
{
	sim_path_new(&s, 12, true);
	s.port.vf.vlan_filter = true;
	return 0;
}

static int teardown(void **state)
{
	sim_path_free(&s);
	return 0;
}

static void tag(uint8_t *frame, uint16_t type, uint16_t tci)
{
	sim_frame(frame, 64, 1);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
}

static void transmit(uint16_t type, uint16_t tci, uint32_t len)
{
	uint8_t frame[2048];
	uint32_t id, written;

	tag(frame, type, tci);
	sim_transmit(&s, frame, len, 0);
	path_tx_poll(s.path);
	assert_true(sim_port_sent(&s.port, frame, sizeof(frame)) >= 60);
	while (sim_used(&s.tx, &id, &written))
		;
}

static bool alarmed(void)
{
	struct pollfd pfd = { .fd = path_event_fd(s.path), .events = POLLIN };
	uint64_t ticks;

	return poll(&pfd, 1, 0) == 1 && read(pfd.fd, &ticks, sizeof(ticks)) > 0;
}

static void each_vlan_is_told_once(void **state)
{
	uint16_t vlan[PATH_VLANS_MAX];

	transmit(0x8100, 100, 64);
	assert_true(alarmed());
	/* The same one with a priority, and again. */
	transmit(0x8100, 0xe000 | 100, 64);
	transmit(0x8100, 100, 64);
	assert_false(alarmed());
	transmit(0x8100, 4094, 64);
	assert_true(alarmed());
	assert_int_equal(path_vlans(s.path, vlan), 2);
	assert_int_equal(vlan[0], 100);
	assert_int_equal(vlan[1], 4094);
}

static void what_is_no_vlan_is_not_told(void **state)
{
	uint16_t vlan[PATH_VLANS_MAX];

	transmit(0x0800, 100, 64);
	transmit(0x8100, 0, 64);
	transmit(0x8100, 0xfff, 64);
	/* Cut off behind the type: the tag is what the frame was padded with. */
	transmit(0x8100, 100, 14);
	assert_false(alarmed());
	assert_int_equal(path_vlans(s.path, vlan), 0);
}

static void a_port_without_a_filter_needs_none(void **state)
{
	uint16_t vlan[PATH_VLANS_MAX];

	s.port.vf.vlan_filter = false;
	transmit(0x8100, 100, 64);
	assert_int_equal(path_vlans(s.path, vlan), 0);
}

/* A PF's table is small, and shared: a guest cannot fill it. */
static void a_guest_has_a_limited_number(void **state)
{
	uint16_t vlan[PATH_VLANS_MAX];

	for (uint16_t i = 1; i < 200; i++)
		transmit(0x8100, i, 64);
	assert_int_equal(path_vlans(s.path, vlan), PATH_VLANS_MAX);
	assert_int_equal(vlan[PATH_VLANS_MAX - 1], PATH_VLANS_MAX);
}

static void stripped_tags_come_back(void **state)
{
	uint8_t frame[64], got[2048];

	for (int i = 0; i < 3; i++)
		sim_post(&s, 2048);
	sim_frame(frame, sizeof(frame), 7);
	sim_port_arrive(&s.port, frame, sizeof(frame), 0);
	sim_port_arrive_stripped(&s.port, frame, sizeof(frame), 0x6064);
	sim_port_arrive(&s.port, frame, sizeof(frame), 0);
	path_rx_poll(s.path);
	assert_int_equal(sim_receive(&s, got, sizeof(got), NULL), 64);
	assert_memory_equal(got, frame, 64);
	assert_int_equal(sim_receive(&s, got, sizeof(got), NULL), 68);
	assert_memory_equal(got, frame, 12);
	assert_memory_equal(got + 12, "\x81\x00\x60\x64", 4);
	assert_memory_equal(got + 16, frame + 12, 52);
	assert_int_equal(sim_receive(&s, got, sizeof(got), NULL), 64);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_vlan_is_told_once),
		T(what_is_no_vlan_is_not_told),
		T(a_port_without_a_filter_needs_none),
		T(a_guest_has_a_limited_number),
		T(stripped_tags_come_back),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
