/* test_vf_offload.c: what is chosen of what a port says of itself. */
#include <rte_ethdev.h>

#include "unit.h"
#include "vf/offload.h"

#define TX_ALL                                                          \
	(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | \
	 RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO |    \
	 RTE_ETH_TX_OFFLOAD_MULTI_SEGS)
#define RX_CSUM                                                         \
	(RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | \
	 RTE_ETH_RX_OFFLOAD_UDP_CKSUM)

static struct rte_eth_dev_info card(void)
{
	return (struct rte_eth_dev_info){
		.driver_name = "net_card",
		.max_rx_pktlen = 9728,
		.max_mtu = 9702,
		.tx_offload_capa = TX_ALL | RTE_ETH_TX_OFFLOAD_VLAN_INSERT,
		.rx_offload_capa = RX_CSUM | RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN,
		.tx_desc_lim = { .nb_seg_max = 40, .nb_mtu_seg_max = 8 },
	};
}

struct choice {
	struct vf vf;
	struct rte_eth_conf conf;
};

static struct choice choose(const struct rte_eth_dev_info *info, uint16_t mtu)
{
	struct choice c = { .vf = { 0 } };
	struct err e = { "" };

	assert_ok(vf_offload_choose(&c.vf, info, mtu, &c.conf, &e), e);
	return c;
}

static void what_there_is_is_used(void **state)
{
	struct rte_eth_dev_info info = card();
	struct choice c = choose(&info, 0);

	assert_int_equal(c.conf.txmode.offloads, TX_ALL);
	assert_int_equal(c.conf.rxmode.offloads, RX_CSUM);
	assert_int_equal(c.vf.offloads, VF_TX_IP_CSUM | VF_TX_TCP_CSUM | VF_TX_UDP_CSUM |
						VF_TX_TSO | VF_TX_SCATTER | VF_RX_CSUM);
	assert_int_equal(c.vf.tx_segments_max, 40);
	assert_int_equal(c.vf.tx_frame_segments_max, 8);
	assert_int_equal(c.conf.rxmode.mtu, 0);
}

static void a_port_without_abilities(void **state)
{
	struct rte_eth_dev_info info = { .driver_name = "net_plain", .max_rx_pktlen = 1518 };
	struct choice c = choose(&info, 0);

	assert_int_equal(c.conf.txmode.offloads, 0);
	assert_int_equal(c.conf.rxmode.offloads, 0);
	assert_int_equal(c.vf.offloads, 0);
	/* No limit was given: there is none. */
	assert_int_equal(c.vf.tx_segments_max, UINT16_MAX);
	assert_int_equal(c.vf.tx_frame_segments_max, UINT16_MAX);
}

static void tap_cuts_nothing(void **state)
{
	struct rte_eth_dev_info info = card();
	struct choice c;

	info.driver_name = "net_tap";
	c = choose(&info, 0);
	assert_int_equal(c.conf.txmode.offloads, TX_ALL & ~RTE_ETH_TX_OFFLOAD_TCP_TSO);
	assert_int_equal(c.vf.offloads & VF_TX_TSO, 0);
}

/* A frame fits one buffer, so no port has to receive into several. */
static void large_frames(void **state)
{
	struct rte_eth_dev_info info = card();
	struct choice c = choose(&info, 9000);

	assert_int_equal(c.conf.rxmode.mtu, 9000);
	assert_int_equal(c.conf.rxmode.offloads, RX_CSUM);
	assert_int_equal(vf_offload_room(0), 2048);
	assert_int_equal(vf_offload_room(1500), 2048);
	assert_true(vf_offload_room(9000) >= 9000 + 14 + 8 + 4 &&
		    vf_offload_room(9000) % 1024 == 0);
	/* The largest that fits a buffer of the usual size, and one byte more. */
	assert_int_equal(vf_offload_room(2048 - 26), 2048);
	assert_int_equal(vf_offload_room(2048 - 25), 3072);
}

static void more_than_the_port_takes(void **state)
{
	struct rte_eth_dev_info info = card();
	struct rte_eth_conf conf = { 0 };
	struct err e = { "" };
	struct vf vf = { 0 };

	assert_int_equal(choose(&info, 9702).conf.rxmode.mtu, 9702);
	assert_err(vf_offload_choose(&vf, &info, 9703, &conf, &e), -EMSGSIZE, e,
		   "an MTU of 9702 at most");
	info.max_mtu = UINT16_MAX;
	assert_err(vf_offload_choose(&vf, &info, 9711, &conf, &e), -EMSGSIZE, e,
		   "an MTU of 9710 at most");
	info.max_rx_pktlen = UINT32_MAX;
	assert_int_equal(choose(&info, 9711).conf.rxmode.mtu, 9711);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_there_is_is_used),
		cmocka_unit_test(a_port_without_abilities),
		cmocka_unit_test(tap_cuts_nothing),
		cmocka_unit_test(large_frames),
		cmocka_unit_test(more_than_the_port_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
