/*
 * test_afresh.c: what the port has received while the rings were stopped: kept for a guest that was paused, discarded
 * before one that begins anew.
 */
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

static uint32_t stop(uint32_t ring)
{
	struct vhost_vring_state st;

	sim_send_state(&s.f, VHOST_GET_VRING_BASE, ring, 0);
	sim_reply(&s.f, VHOST_GET_VRING_BASE, &st, sizeof(st));
	return st.num;
}

/* All that QEMU sends when a device starts again, after `cont` and after a reset alike. */
static void start(uint32_t rx_base, uint32_t tx_base)
{
	sim_send_u64(&s.f, VHOST_SET_FEATURES, 0, SIM_FEATURES & ~(1ull << VHOST_F_LOG_ALL));
	sim_send_memory(&s.f, 0);
	for (uint32_t i = 0; i < VHOST_VRINGS; i++) {
		sim_send_state(&s.f, VHOST_SET_VRING_NUM, i, s.f.ring[i].size);
		sim_send_state(&s.f, VHOST_SET_VRING_BASE, i, i ? tx_base : rx_base);
		sim_send_addr(&s.f, i, 0);
		sim_send_eventfd(&s.f, VHOST_SET_VRING_KICK, i);
	}
}

/* The driver of a guest that boots: zeroed rings. */
static void reset_rings(void)
{
	for (int i = 0; i < VHOST_VRINGS; i++) {
		struct sim_ring *r = &s.f.ring[i];

		memset(sim_at(&s.f.guest, r->avail), 0, 6 + 2u * r->size);
		memset(sim_at(&s.f.guest, r->used), 0, 6 + 8u * r->size);
		sim_ring_start_at(r, 0);
	}
	s.rx_head = 0;
	s.sent = 0;
}

static int next_number(unsigned int ms)
{
	uint8_t frame[2048];
	uint32_t number;

	if (sim_vnic_receive(&s, frame, ms) < 0)
		return -1;
	memcpy(&number, frame + 14, 4);
	return (int)number;
}

static void arrive(uint32_t first, uint32_t count)
{
	while (count--)
		sim_vnic_arrive(&s, first++);
}

static void after_a_pause_nothing_is_lost(void **state)
{
	uint32_t rx, tx;

	sim_vnic_works(&s);
	rx = stop(0);
	tx = stop(1);
	assert_int_equal(rx, 1);
	arrive(100, 5);
	start(rx, tx);
	for (int i = 0; i < 5; i++)
		assert_int_equal(next_number(2000), 100 + i);
	assert_int_equal(sim_vnic_counter(&s, rx_drop_stale), 0);
}

/* Also what was already taken from the port, and waited for buffers of the guest's. */
static void after_a_pause_frames_that_waited_are_not_lost(void **state)
{
	uint32_t rx, tx;

	sim_vnic_works(&s);
	sim_vnic_send(&s, 12);
	sim_vnic_consumed(&s, s.sent);
	sim_vnic_run(&s, 20);
	rx = stop(0);
	tx = stop(1);
	start(rx, tx);
	sim_vnic_post(&s, 20);
	for (int i = 0; i < 12; i++)
		assert_int_equal(next_number(2000), 1 + i);
}

static void a_new_guest_gets_none_of_the_old_ones_frames(void **state)
{
	sim_vnic_works(&s);
	/* 8 buffers are left: 4 of these 12 frames stay with us. */
	sim_vnic_send(&s, 12);
	sim_vnic_consumed(&s, s.sent);
	sim_vnic_run(&s, 20);
	stop(0);
	stop(1);
	arrive(100, 6);
	reset_rings();
	start(0, 0);
	sim_vnic_post(&s, 20);
	assert_int_equal(next_number(30), -1);
	assert_int_equal(sim_vnic_counter(&s, rx_drop_stale), 10);
}

/* The receive ring was never used, and the guest goes on: its entry is 0 before and after. */
static void a_pause_before_the_first_frame_loses_nothing(void **state)
{
	sim_vnic_post(&s, 20);
	assert_int_equal(stop(0), 0);
	stop(1);
	arrive(100, 3);
	start(0, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(next_number(2000), 100 + i);
}

/* A memory table or a log under way re-binds running rings: no start at all. */
static void a_change_under_way_is_no_start(void **state)
{
	sim_vnic_works(&s);
	sim_send_memory(&s.f, 0);
	sim_send_addr(&s.f, 0, 0);
	sim_vnic_works(&s);
	assert_int_equal(sim_vnic_counter(&s, rx_drop_stale), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(after_a_pause_nothing_is_lost),
		T(after_a_pause_frames_that_waited_are_not_lost),
		T(a_new_guest_gets_none_of_the_old_ones_frames),
		T(a_pause_before_the_first_frame_loses_nothing),
		T(a_change_under_way_is_no_start),
	};

	return cmocka_run_group_tests(tests, sim_vnic_dpdk, NULL);
}
