/* vf.c: attaching and detaching the DPDK port. */
#include "vf/vf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "base/log.h"
#include "vf/eal.h"
#include "vf/offload.h"

#define RING_DEPTH 512
/* Both rings full, a burst held on each side, and some in the driver's hands. */
#define POOL_MBUFS (2 * RING_DEPTH + 1024 - 1)

static int port_find(const char *device, uint16_t *port)
{
	struct rte_dev_iterator it;
	uint16_t id;

	RTE_ETH_FOREACH_MATCHING_DEV(id, device, &it)
	{
		*port = id;
		rte_eth_iterator_cleanup(&it);
		return 0;
	}
	/*
	 * Matching knows no vdev by its full devargs in every release: this process has one device,
	 * so the first is it.
	 */
	RTE_ETH_FOREACH_DEV(id) {
		*port = id;
		return 0;
	}
	return -ENODEV;
}

static int port_probe(struct vf *vf, const char *device, struct err *e)
{
	const char *why = eal_error();
	int rc;

	eal_error_clear();
	rc = rte_dev_probe(device);

	if (rc == 0)
		rc = port_find(device, &vf->port);
	if (rc == 0)
		return 0;
	if (vf->facts.pci[0])
		return err_set(e, rc, "device %s: DPDK has no network driver that takes it%s%s",
			       vf->facts.pci, *why ? ": " : "", why);
	return err_set(
		e, rc,
		"device '%s' is not known or does not start%s%s: give a PCI address (0000:01:10.0) or a DPDK vdev (net_tap0,…)",
		device, *why ? ": " : "", why);
}

static int pool_create(struct vf *vf, uint16_t room, struct err *e)
{
	vf->pool = rte_pktmbuf_pool_create("godwit", POOL_MBUFS, 128, 0,
					   (uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (!vf->pool)
		return err_set(e, -ENOMEM, "no memory for %d packet buffers: raise --memory",
			       POOL_MBUFS);
	return 0;
}

/* What the interface or the card has been set to, which may be less than DPDK believes. */
static int port_mtu(struct vf *vf, uint16_t wanted, struct err *e)
{
	int rc = wanted ? rte_eth_dev_set_mtu(vf->port, wanted) : 0;

	if (rc && rc != -ENOTSUP)
		return err_set(e, rc,
			       "the device does not take MTU %u (%s): set it on the PF first",
			       wanted, rte_strerror(-rc));
	if (rte_eth_dev_get_mtu(vf->port, &vf->mtu) || vf->mtu < RTE_ETHER_MIN_MTU)
		vf->mtu = RTE_ETHER_MTU;
	if (!wanted && vf->mtu > RTE_MBUF_DEFAULT_DATAROOM - RTE_ETHER_HDR_LEN - 8)
		vf->mtu = RTE_ETHER_MTU;
	vf->max_frame_bytes = (uint16_t)(vf->mtu + RTE_ETHER_HDR_LEN + 8);
	return 0;
}

/* What the guest was offered needs no offload of the port's: what there is, is used. */
static int port_configure(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	struct rte_eth_conf conf = { .rxmode = { .mq_mode = RTE_ETH_MQ_RX_NONE } };
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(vf->port, &info);

	if (rc)
		return err_set(e, rc, "the driver does not describe its device: %s",
			       rte_strerror(-rc));
	snprintf(vf->driver, sizeof(vf->driver), "%s", info.driver_name);
	rc = vf_offload_choose(vf, &info, cfg->mtu, &conf, e);
	if (!rc)
		rc = pool_create(vf, vf_offload_room(cfg->mtu), e);
	if (rc)
		return rc;
	vf->rx_depth = RING_DEPTH;
	vf->tx_depth = RING_DEPTH;
	rc = rte_eth_dev_configure(vf->port, 1, 1, &conf);
	if (!rc)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(vf->port, &vf->rx_depth, &vf->tx_depth);
	if (!rc)
		rc = rte_eth_rx_queue_setup(vf->port, 0, vf->rx_depth, SOCKET_ID_ANY, NULL,
					    vf->pool);
	if (!rc)
		rc = rte_eth_tx_queue_setup(vf->port, 0, vf->tx_depth, SOCKET_ID_ANY, NULL);
	if (rc)
		return err_set(e, rc, "device does not take its configuration: %s",
			       rte_strerror(-rc));
	return port_mtu(vf, cfg->mtu, e);
}

static int port_mac(struct vf *vf, const uint8_t *mac, struct err *e)
{
	struct rte_ether_addr has, want;
	int rc = rte_eth_macaddr_get(vf->port, &has);

	if (rc)
		return err_set(e, rc, "the device tells no MAC address: %s", rte_strerror(-rc));
	memcpy(vf->mac, has.addr_bytes, sizeof(vf->mac));
	if (!mac || memcmp(mac, has.addr_bytes, sizeof(has.addr_bytes)) == 0)
		return 0;
	memcpy(want.addr_bytes, mac, sizeof(want.addr_bytes));
	rc = rte_eth_dev_default_mac_addr_set(vf->port, &want);
	memcpy(vf->mac, mac, sizeof(vf->mac));
	if (rc == -ENOTSUP && !vf->facts.pci[0])
		return 0;
	if (rc)
		return err_set(e, rc,
			       "the device does not take MAC address " RTE_ETHER_ADDR_PRT_FMT
			       " (%s): set it on the PF (ip link set PF vf N mac …)",
			       RTE_ETHER_ADDR_BYTES(&want), rte_strerror(-rc));
	/* Some drivers say yes when the PF says no. */
	if (vf->facts.pci[0])
		log_warning("the VF had address " RTE_ETHER_ADDR_PRT_FMT
			    ": if nothing arrives, its PF refuses the new one: set it there "
			    "(ip link set PF vf N mac ...)",
			    RTE_ETHER_ADDR_BYTES(&has));
	return 0;
}

static int port_start(struct vf *vf, struct err *e)
{
	int rc = rte_eth_dev_start(vf->port);

	if (rc)
		return err_set(e, rc, "device does not start: %s", rte_strerror(-rc));
	/*
	 * The guest's receive filters go to QEMU, not to us: all multicast is what IPv6 neighbour
	 * discovery needs.
	 */
	rc = rte_eth_allmulticast_enable(vf->port);
	vf->allmulticast = rc == 0;
	if (rc && vf->facts.pci[0])
		log_warning(
			"the device refuses all-multicast (%s): IPv6 neighbour discovery may fail",
			rte_strerror(-rc));
	return 0;
}

int vf_attach(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	int rc;

	*vf = (struct vf){ 0 };
	rc = vf_facts(cfg->device, "", &vf->facts, e);
	if (rc)
		return rc;
	rc = port_probe(vf, cfg->device, e);
	if (rc)
		return rc;
	if (vf->facts.pci[0] && !vf->facts.is_vf)
		log_notice("%s is no VF: the whole card is taken", vf->facts.pci);
	vf->attached = true;
	rc = port_configure(vf, cfg, e);
	if (!rc)
		rc = port_mac(vf, cfg->mac, e);
	if (!rc)
		rc = port_start(vf, e);
	if (rc)
		vf_detach(vf);
	return rc;
}

void vf_detach(struct vf *vf)
{
	struct rte_eth_dev_info info;
	bool known;

	if (!vf->attached)
		return;
	known = rte_eth_dev_info_get(vf->port, &info) == 0;
	rte_eth_dev_stop(vf->port);
	rte_eth_dev_close(vf->port);
	if (known && info.device)
		rte_dev_remove(info.device);
	rte_mempool_free(vf->pool);
	vf->pool = NULL;
	vf->attached = false;
}

bool vf_link_up(const struct vf *vf)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(vf->port, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

void vf_stats(const struct vf *vf, struct vf_stats *out)
{
	struct rte_eth_stats s;

	*out = (struct vf_stats){ 0 };
	if (rte_eth_stats_get(vf->port, &s))
		return;
	*out = (struct vf_stats){ .rx_missed = s.imissed,
				  .rx_errors = s.ierrors,
				  .tx_errors = s.oerrors,
				  .rx_no_mbuf = s.rx_nombuf };
}
