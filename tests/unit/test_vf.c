/* test_vf.c: attaching, describing and detaching a port, with DPDK devices that need no hardware. */
#include <fcntl.h>

#include "sim_guest.h"
#include "unit.h"
#include "vf/eal.h"
#include "vf/vf.h"

static int dpdk(void **state)
{
	struct eal_config cfg = { .memory_mib = 64, .name = "unit", .cpus = "4095" };
	struct eal_facts facts;
	struct err e = { "" };

	/* Before DPDK has started: what is wrong with a CPU list is said, and nothing is spoilt. */
	assert_err(eal_start(&cfg, &facts, &e), -EINVAL, e, "CPU list '4095'");
	cfg.cpus = NULL;
	assert_ok(eal_start(&cfg, &facts, &e), e);
	assert_non_null(strstr(facts.dpdk_version, "DPDK"));
	return 0;
}

static int attach(struct vf *vf, const char *device, const uint8_t *mac, struct err *e)
{
	struct vf_config cfg = { .device = device, .mac = mac };

	e->text[0] = 0;
	return vf_attach(vf, &cfg, e);
}

static void bad_cpu_lists(void **state)
{
	static const char *const bad[] = { "",	 "x",	 "0-",	   "-1",    "1-0", "0,,1", "0;1",
					   "0,", "4096", "0-4095", "99999", "0 1", " 0" };

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct eal_config cfg = { .memory_mib = 64, .name = "unit", .cpus = bad[i] };
		struct eal_facts facts;
		struct err e = { "" };

		if (eal_start(&cfg, &facts, &e) != -EINVAL || !strstr(e.text, "CPU list"))
			fail_msg("CPU list '%s': '%s'", bad[i], e.text);
	}
}

static void attaches_and_detaches_again_and_again(void **state)
{
	unsigned int open_fds = 0;

	for (int i = 0; i < 5; i++) {
		struct vf_stats stats;
		struct err e;
		struct vf vf;

		assert_ok(attach(&vf, "net_null0", NULL, &e), e);
		assert_true(vf.attached);
		assert_true(vf.rx_depth > 0 && vf.tx_depth > 0);
		assert_int_equal(vf.max_frame_bytes, vf.mtu + 22);
		assert_non_null(vf.pool);
		assert_string_equal(vf.facts.pci, "");
		assert_string_not_equal(vf.driver, "");
		vf_link_up(&vf);
		vf_stats(&vf, &stats);
		vf_detach(&vf);
		assert_false(vf.attached);
		assert_null(vf.pool);
		vf_detach(&vf);
		/* The first one may load things for good. */
		if (i == 0)
			open_fds = sim_fds_open();
		assert_int_equal(sim_fds_open(), open_fds);
	}
}

static void mac_is_given_to_the_port(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 9, 8, 7 };
	struct err e;
	struct vf vf;

	assert_ok(attach(&vf, "net_null0", mac, &e), e);
	assert_memory_equal(vf.mac, mac, 6);
	vf_detach(&vf);
}

/* One sentence each, nothing left attached, and a good device works afterwards. */
static void devices_that_are_none(void **state)
{
	static const struct {
		const char *device, *word;
	} bad[] = {
		{ "net_nonsense0", "device 'net_nonsense0' is not known" },
		{ "", "device '' is not known" },
		{ "net_af_packet0,iface=no-such-if", "device 'net_af_packet0,iface=no-such-if'" },
		{ "ffff:fe:1e.6", "device ffff:fe:1e.6 does not exist" },
	};
	struct err e;
	struct vf vf;

	for (size_t i = 0; i < COUNT(bad); i++) {
		int rc = attach(&vf, bad[i].device, NULL, &e);

		if (rc >= 0 || !strstr(e.text, bad[i].word))
			fail_msg("'%s' returned %d, '%s'", bad[i].device, rc, e.text);
		assert_false(vf.attached);
		assert_null(vf.pool);
		vf_detach(&vf);
	}
	assert_ok(attach(&vf, "net_null0", NULL, &e), e);
	vf_detach(&vf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_cpu_lists),
		cmocka_unit_test(attaches_and_detaches_again_and_again),
		cmocka_unit_test(mac_is_given_to_the_port),
		cmocka_unit_test(devices_that_are_none),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
