/* test_drivers.c: a process loads the drivers that its device needs, and all of them only when those do not do. */
#include <stdio.h>

#include "unit.h"
#include "vf/drivers.h"
#include "vf/eal.h"

/* How many files with @p part in their names are mapped; a library counts once. */
static int mapped(const char *part)
{
	char line[4352], last[4352] = "";
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *path = strchr(line, '/');

		if (!path || !strstr(path, part) || strcmp(path, last) == 0)
			continue;
		n++;
		snprintf(last, sizeof(last), "%s", path);
	}
	fclose(f);
	return n;
}

static int dpdk(void **state)
{
	struct eal_config cfg = { .memory_mib = 64, .name = "unit" };
	struct eal_facts facts;
	struct err e = { "" };

	assert_ok(eal_start(&cfg, &facts, &e), e);
	return 0;
}

/* DPDK linked statically has no drivers to load. */
static void shared_or_skip(void)
{
	if (!mapped("librte_eal.so"))
		skip();
}

static void the_start_loads_no_network_driver(void **state)
{
	shared_or_skip();
	assert_int_equal(mapped("librte_bus_pci.so"), 1);
	assert_int_equal(mapped("librte_mempool_ring.so"), 1);
	assert_int_equal(mapped("librte_net_"), 0);
	assert_int_equal(mapped("librte_crypto_"), 0);
}

static void a_device_loads_its_own_driver(void **state)
{
	shared_or_skip();
	assert_int_equal(drivers_probe("net_null0", ""), 0);
	assert_int_equal(mapped("librte_net_null.so"), 1);
	assert_int_equal(mapped("librte_net_"), 1);
}

static void each_maker_has_drivers(void **state)
{
	static const unsigned int vendors[] = { 0x8086, 0x15b3, 0x14e4, 0x1077, 0x10ee,
						0x1924, 0x1425, 0x1137, 0x19e5, 0x19ee,
						0x1da8, 0x1dd8, 0x1d0f, 0x8088, 0x1af4 };

	shared_or_skip();
	for (size_t i = 0; i < COUNT(vendors); i++)
		if (drivers_load_vendor(vendors[i]) == 0)
			fail_msg("vendor %04x has no driver", vendors[i]);
	assert_true(drivers_load_vendor(0x8086) >= 7);
	assert_int_equal(mapped("librte_net_iavf.so"), 1);
	assert_int_equal(drivers_load_vendor(0), 0);
	assert_int_equal(drivers_load_vendor(0xdead), 0);
	assert_int_equal(mapped("librte_net_memif.so"), 0);
}

static void an_unknown_device_gets_them_all(void **state)
{
	shared_or_skip();
	assert_int_not_equal(drivers_probe("net_nonsense0", ""), 0);
	assert_int_equal(mapped("librte_net_memif.so"), 1);
	assert_true(mapped("librte_net_") >= 30);
	assert_int_equal(mapped("librte_crypto_ipsec"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_loads_no_network_driver),
		cmocka_unit_test(a_device_loads_its_own_driver),
		cmocka_unit_test(each_maker_has_drivers),
		cmocka_unit_test(an_unknown_device_gets_them_all),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
