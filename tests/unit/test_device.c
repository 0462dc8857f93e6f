/* test_device.c: the device of a living vNIC is detached and attached: what the guest keeps, what is refused, and why. */
#include <rte_ethdev.h>
#include <rte_ether.h>

#include "sim_vnic.h"
#include "unit.h"

static struct sim_vnic s;

static int running(void **state)
{
	sim_vnic_new(&s, "net_ring0");
	return 0;
}

static int none(void **state)
{
	sim_vnic_new(&s, "none");
	return 0;
}

static int teardown(void **state)
{
	sim_vnic_free(&s);
	return 0;
}

static void attach(const char *device)
{
	struct err e = { "" };

	assert_ok(vnic_attach(s.v, device, NULL, &e), e);
}

static void detach(bool hold)
{
	struct err e = { "" };

	assert_ok(vnic_detach(s.v, hold, &e), e);
}

static void show_says(const char *word)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	vnic_show(s.v, f);
	fclose(f);
	if (!strstr(text, word))
		fail_msg("it does not say '%s':\n%s", word, text);
	free(text);
}

static void frames_are_dropped_while_detached(void **state)
{
	uint8_t frame[2048];

	sim_vnic_works(&s);
	detach(false);
	show_says("device none: what the guest sends is dropped");
	sim_vnic_post(&s, 50);
	sim_vnic_send(&s, 100);
	assert_int_equal(sim_vnic_consumed(&s, 101), 101);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 100);
	assert_int_equal(sim_vnic_receive(&s, frame, 20), -1);
	attach("net_ring0");
	sim_vnic_works(&s);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 100);
	assert_string_equal(s.events, "detached attached ");
}

static void frames_are_held_while_detached(void **state)
{
	detach(true);
	show_says("waits in its ring");
	sim_vnic_send(&s, 100);
	sim_vnic_run(&s, 20);
	assert_int_equal(sim_used_idx(&s.f.ring[1]), 0);
	attach("net_ring0");
	assert_int_equal(sim_vnic_consumed(&s, 100), 100);
	assert_int_equal(sim_vnic_counter(&s, tx_frames), 100);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 0);
}

static void cycles_under_traffic(void **state)
{
	unsigned int fds = 0;

	for (int i = 0; i < 100; i++) {
		bool hold = i % 2;

		sim_vnic_send(&s, 20);
		detach(hold);
		sim_vnic_send(&s, 20);
		attach("net_ring0");
		assert_int_equal((uint16_t)sim_vnic_consumed(&s, s.sent), (uint16_t)s.sent);
		if (i == 1)
			fds = sim_fds_open();
	}
	assert_int_equal(sim_fds_open(), fds);
	/* Of the cycles that held, nothing was dropped; of the others, what came in between may be. */
	assert_int_equal(sim_vnic_counter(&s, tx_frames) + sim_vnic_counter(&s, tx_drop_no_device),
			 s.sent);
	assert_true(sim_vnic_counter(&s, tx_drop_no_device) <= 50 * 40);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_stopped), 0);
	sim_vnic_works(&s);
}

static void attach_when_attached(void **state)
{
	struct err e = { "" };

	assert_err(vnic_attach(s.v, "net_null0", NULL, &e), -EBUSY, e,
		   "device net_ring0 is attached: detach it first");
	sim_vnic_works(&s);
}

static void detach_when_detached(void **state)
{
	struct err e = { "" };

	assert_err(vnic_detach(s.v, false, &e), -ENODEV, e, "no device is attached");
}

static void a_failed_attach_changes_nothing(void **state)
{
	static const uint8_t multicast[6] = { 1, 0, 0x5e, 0, 0, 1 };
	static const char *const bad[] = { "net_nonsense0", "", "net_af_packet0,iface=no-such-if",
					   "ffff:fe:1e.6", "none" };
	uint8_t mac[6];
	struct err e;

	memcpy(mac, s.v->dev.mac, 6);
	detach(true);
	sim_vnic_send(&s, 10);
	for (size_t i = 0; i < COUNT(bad); i++) {
		unsigned int fds = sim_fds_open();

		e.text[0] = 0;
		assert_true(vnic_attach(s.v, bad[i], NULL, &e) < 0);
		assert_true(strlen(e.text) > 10);
		assert_int_equal(s.v->dev.state, DEVICE_NONE);
		if (i)
			assert_int_equal(sim_fds_open(), fds);
	}
	assert_err(vnic_attach(s.v, "net_ring0", multicast, &e), -EINVAL, e, "no station's");
	/* What is held is held still. */
	sim_vnic_run(&s, 10);
	assert_int_equal(sim_used_idx(&s.f.ring[1]), 0);
	assert_int_equal(s.v->dev.attach_failures, COUNT(bad));
	attach("net_ring1");
	assert_memory_equal(s.v->dev.mac, mac, 6);
	assert_int_equal(sim_vnic_consumed(&s, 10), 10);
	sim_vnic_works(&s);
}

static void the_next_device_gets_address_and_mtu(void **state)
{
	struct rte_ether_addr has;
	uint8_t mac[6];
	uint16_t mtu = s.v->dev.mtu;

	memcpy(mac, s.v->dev.mac, 6);
	assert_int_equal(mtu, 1500);
	for (int i = 0; i < 3; i++) {
		detach(false);
		attach(i % 2 ? "net_ring0" : "net_null0");
		/* net_ring has nowhere to put it. */
		assert_int_equal(rte_eth_macaddr_get(s.v->vf.port, &has), 0);
		if (i % 2 == 0)
			assert_memory_equal(has.addr_bytes, mac, 6);
		assert_memory_equal(s.v->vf.mac, mac, 6);
		assert_int_equal(s.v->vf.mtu, mtu);
	}
}

static void a_new_address_is_kept(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct err e = { "" };

	detach(false);
	assert_ok(vnic_attach(s.v, "net_ring0", mac, &e), e);
	detach(false);
	attach("net_ring0");
	assert_memory_equal(s.v->vf.mac, mac, 6);
}

static void a_device_with_a_smaller_mtu_is_refused(void **state)
{
	struct err e = { "" };

	detach(false);
	s.v->dev.mtu = 1600;
	assert_err(vnic_attach(s.v, "net_ring0", NULL, &e), -EMSGSIZE, e,
		   "takes an MTU of 1500 at most, and the guest was given 1600");
	assert_int_equal(s.v->dev.state, DEVICE_NONE);
	s.v->dev.mtu = 1400;
	attach("net_null0");
	assert_int_equal(s.v->vf.mtu, 1400);
	assert_int_equal(s.v->vf.max_frame_bytes, 1422);
}

static void a_vnic_begins_without_a_device(void **state)
{
	show_says("device none: what the guest sends is dropped");
	sim_vnic_send(&s, 5);
	assert_int_equal(sim_vnic_consumed(&s, 5), 5);
	assert_int_equal(sim_vnic_counter(&s, tx_drop_no_device), 5);
	attach("net_ring0");
	show_says("device net_ring0: driver net_ring");
	sim_vnic_works(&s);
}

static void an_address_given_at_the_start_waits_for_a_device(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 7, 8, 9 };
	struct sim_vnic idle;
	struct err e = { "" };

	sim_vnic_idle(&idle, "none", mac);
	assert_ok(vnic_attach(idle.v, "net_null0", NULL, &e), e);
	assert_memory_equal(idle.v->vf.mac, mac, 6);
	sim_vnic_free(&idle);
}

/* The network may know the guest elsewhere: the new port tells it, with the guest's address. */
static void an_attach_announces_the_guest(void **state)
{
	uint8_t frame[2048];
	int n;

	assert_int_equal(sim_vnic_counter(&s, announcements), 0);
	detach(false);
	sim_vnic_post(&s, 20);
	attach("net_ring0");
	do {
		n = sim_vnic_receive(&s, frame, 2000);
	} while (n > 0 && memcmp(frame + 12, "\x80\x35", 2) != 0);
	assert_int_equal(n, 60);
	assert_memory_equal(frame + 6, s.v->dev.mac, 6);
	sim_vnic_run(&s, 400);
	assert_int_equal(sim_vnic_counter(&s, announcements), 4);
}

/* QEMU's own request while there is no device: it waits, and its address counts. */
static void an_announcement_waits_for_a_device(void **state)
{
	uint8_t frame[2048];
	int n;

	detach(false);
	sim_send_u64(&s.f, VHOST_SEND_RARP, 0, 0x0605040302010252ull & 0xffffffffffffull);
	sim_vnic_run(&s, 500);
	assert_int_equal(sim_vnic_counter(&s, announcements), 0);
	sim_vnic_post(&s, 20);
	attach("net_ring0");
	n = sim_vnic_receive(&s, frame, 2000);
	assert_int_equal(n, 60);
	assert_memory_equal(frame + 6, "\x52\x02\x01\x02\x03\x04", 6);
}

static uint32_t vring_base(uint32_t ring)
{
	struct vhost_vring_state st;

	sim_send_state(&s.f, VHOST_GET_VRING_BASE, ring, 0);
	sim_reply(&s.f, VHOST_GET_VRING_BASE, &st, sizeof(st));
	return st.num;
}

/* All of a migration away, with no device: the log goes on, and the rings stop where they are. */
static void a_migration_while_detached(void **state)
{
	sim_vnic_works(&s);
	detach(false);
	sim_send_log(&s.f, 0, SIM_LOG_PAGES);
	assert_int_equal(sim_reply_u64(&s.f, VHOST_SET_LOG_BASE), 0);
	sim_send_u64(&s.f, VHOST_SET_FEATURES, 0, SIM_FEATURES);
	assert_int_equal(vnic_state(s.v), VNIC_LOGGING);
	sim_send_memory(&s.f, 0);
	sim_vnic_send(&s, 7);
	assert_int_equal(sim_vnic_consumed(&s, 8), 8);
	assert_int_equal(vring_base(0), 1);
	assert_int_equal(vring_base(1), 8);
	assert_int_equal(vnic_state(s.v), VNIC_STOPPED);
	attach("net_ring0");
}

static void a_migration_while_held(void **state)
{
	detach(true);
	sim_vnic_send(&s, 7);
	sim_vnic_run(&s, 10);
	assert_int_equal(vring_base(1), 0);
	assert_int_equal(vring_base(0), 0);
	assert_int_equal(sim_used_idx(&s.f.ring[1]), 0);
}

static void ended_while_detached(void **state)
{
	detach(true);
	sim_vnic_send(&s, 7);
}

static void a_front_end_comes_and_goes_while_detached(void **state)
{
	detach(false);
	close(s.f.fd);
	s.f.fd = -1;
	sim_vnic_run(&s, 20);
	assert_int_equal(vnic_state(s.v), VNIC_WAITING);
	attach("net_ring0");
	assert_int_equal(s.v->dev.state, DEVICE_THERE);
}

#define R(name) cmocka_unit_test_setup_teardown(name, running, teardown)
#define N(name) cmocka_unit_test_setup_teardown(name, none, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		R(frames_are_dropped_while_detached),
		R(frames_are_held_while_detached),
		R(cycles_under_traffic),
		R(attach_when_attached),
		N(detach_when_detached),
		R(a_failed_attach_changes_nothing),
		R(the_next_device_gets_address_and_mtu),
		R(a_new_address_is_kept),
		R(a_device_with_a_smaller_mtu_is_refused),
		N(a_vnic_begins_without_a_device),
		R(an_announcement_waits_for_a_device),
		R(an_attach_announces_the_guest),
		R(a_migration_while_detached),
		R(a_migration_while_held),
		R(ended_while_detached),
		R(a_front_end_comes_and_goes_while_detached),
		cmocka_unit_test(an_address_given_at_the_start_waits_for_a_device),
	};

	return cmocka_run_group_tests(tests, sim_vnic_dpdk, NULL);
}
