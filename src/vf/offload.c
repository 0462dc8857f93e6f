/* offload.c: what of a port's own abilities is used. */
#include "vf/offload.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

/* Ethernet header, two VLAN tags. */
#define OVERHEAD (RTE_ETHER_HDR_LEN + 8)

#define TX(name) RTE_ETH_TX_OFFLOAD_##name
#define RX(name) RTE_ETH_RX_OFFLOAD_##name
#define RX_CSUM (RX(IPV4_CKSUM) | RX(TCP_CKSUM) | RX(UDP_CKSUM))

static unsigned int tx_abilities(const struct rte_eth_dev_info *info)
{
	static const struct {
		uint64_t dpdk;
		unsigned int ours;
	} map[] = { { TX(IPV4_CKSUM), VF_TX_IP_CSUM },
		    { TX(TCP_CKSUM), VF_TX_TCP_CSUM },
		    { TX(UDP_CKSUM), VF_TX_UDP_CSUM },
		    { TX(TCP_TSO), VF_TX_TSO },
		    { TX(MULTI_SEGS), VF_TX_SCATTER } };
	unsigned int has = 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		has |= info->tx_offload_capa & map[i].dpdk ? map[i].ours : 0;
	/* It cuts IPv4 only, in software, and is stuck for good on the first frame of IPv6. */
	if (strcmp(info->driver_name, "net_tap") == 0)
		has &= ~(unsigned int)VF_TX_TSO;
	return has;
}

static uint64_t tx_flags(unsigned int has)
{
	return (has & VF_TX_IP_CSUM ? TX(IPV4_CKSUM) : 0) |
	       (has & VF_TX_TCP_CSUM ? TX(TCP_CKSUM) : 0) |
	       (has & VF_TX_UDP_CSUM ? TX(UDP_CKSUM) : 0) | (has & VF_TX_TSO ? TX(TCP_TSO) : 0) |
	       (has & VF_TX_SCATTER ? TX(MULTI_SEGS) : 0);
}

/* The largest MTU that the port knows of. */
static uint32_t mtu_max(const struct rte_eth_dev_info *info)
{
	uint32_t frame = info->max_rx_pktlen ? info->max_rx_pktlen : RTE_ETHER_MAX_LEN;
	uint32_t by_frame = frame - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN;

	return info->max_mtu && info->max_mtu < by_frame ? info->max_mtu : by_frame;
}

static int mtu_choose(struct vf *vf, const struct rte_eth_dev_info *info, uint16_t mtu,
		      struct rte_eth_conf *conf, struct err *e)
{
	if (mtu && mtu > mtu_max(info))
		return err_set(e, -EMSGSIZE,
			       "the device takes an MTU of %u at most, and the guest was given %u: "
			       "raise it on the PF, or choose another device",
			       mtu_max(info), mtu);
	vf->mtu = mtu;
	/* 0 means 1500 to DPDK, or what less the port takes. */
	conf->rxmode.mtu = mtu;
	return 0;
}

uint16_t vf_offload_room(uint16_t mtu)
{
	unsigned int frame = (mtu ? mtu : RTE_ETHER_MTU) + OVERHEAD + RTE_ETHER_CRC_LEN;

	/* Cards count the size of their buffers in KiB. */
	return frame <= RTE_MBUF_DEFAULT_DATAROOM ? RTE_MBUF_DEFAULT_DATAROOM :
						    (uint16_t)RTE_ALIGN_CEIL(frame, 1024u);
}

int vf_offload_choose(struct vf *vf, const struct rte_eth_dev_info *info, uint16_t mtu,
		      struct rte_eth_conf *conf, struct err *e)
{
	int rc = mtu_choose(vf, info, mtu, conf, e);

	if (rc)
		return rc;
	vf->offloads = tx_abilities(info);
	vf->tx_segments_max = info->tx_desc_lim.nb_seg_max;
	vf->tx_frame_segments_max = info->tx_desc_lim.nb_mtu_seg_max;
	/* Some drivers leave out what has no limit. */
	if (!vf->tx_segments_max)
		vf->tx_segments_max = UINT16_MAX;
	if (!vf->tx_frame_segments_max)
		vf->tx_frame_segments_max = UINT16_MAX;
	conf->txmode.offloads = tx_flags(vf->offloads);
	conf->rxmode.offloads = info->rx_offload_capa & RX_CSUM;
	vf->offloads |= conf->rxmode.offloads ? VF_RX_CSUM : 0;
	return 0;
}
