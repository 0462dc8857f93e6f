/* vf.c: attaching, restarting and detaching the DPDK port. */
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
#include "vf/drivers.h"
#include "vf/eal.h"
#include "vf/offload.h"
#include "vf/pool.h"

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
	rc = drivers_probe(device, vf->facts.pci);

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

int vf_pool_new(struct vf_pool *pool, uint16_t mtu, struct err *e)
{
	pool->buffers = packet_pool_new("godwit", POOL_MBUFS, 128,
					(uint16_t)(vf_offload_room(mtu) + RTE_PKTMBUF_HEADROOM));
	if (!pool->buffers)
		return err_set(e, -ENOMEM, "no memory for %d packet buffers: raise --memory",
			       POOL_MBUFS);
	return 0;
}

void vf_pool_free(struct vf_pool *pool)
{
	rte_mempool_free(pool->buffers);
	pool->buffers = NULL;
}

static int port_pool(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	struct vf_pool own = { NULL };
	int rc = cfg->pool ? 0 : vf_pool_new(&own, cfg->mtu, e);

	vf->own_pool = !cfg->pool;
	vf->pool = cfg->pool ? cfg->pool->buffers : own.buffers;
	return rc;
}

/*
 * The guest keeps the MTU that it was given, whatever the device could do beyond it. What the
 * interface or the card has been set to may be less than DPDK believes.
 */
static int port_mtu(struct vf *vf, uint16_t want, struct err *e)
{
	/* The usual one is left as it is, at an attach like at the first: a device may be set to more. */
	int rc = want && want != RTE_ETHER_MTU ? rte_eth_dev_set_mtu(vf->port, want) : 0;

	if (rte_eth_dev_get_mtu(vf->port, &vf->mtu) || vf->mtu < RTE_ETHER_MIN_MTU)
		vf->mtu = RTE_ETHER_MTU;
	if (!want && vf->mtu > RTE_MBUF_DEFAULT_DATAROOM - RTE_ETHER_HDR_LEN - 8)
		vf->mtu = RTE_ETHER_MTU;
	if ((rc && rc != -ENOTSUP) || vf->mtu < want)
		return err_set(e, -EMSGSIZE,
			       "the device takes an MTU of %u at most, and the guest was given %u: "
			       "raise it on the PF, or choose another device",
			       vf->mtu, want);
	if (want)
		vf->mtu = want;
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
	vf->silent = strcmp(vf->driver, "net_e1000_igb_vf") == 0 ||
		     strcmp(vf->driver, "net_ixgbe_vf") == 0;
	rc = vf_offload_choose(vf, &info, cfg->mtu, &conf, e);
	if (!rc &&
	    vf_offload_room(cfg->mtu) > rte_pktmbuf_data_room_size(vf->pool) - RTE_PKTMBUF_HEADROOM)
		rc = err_set(e, -EMSGSIZE, "frames of MTU %u do not fit the buffers that there are",
			     cfg->mtu);
	if (rc)
		return rc;
	vf->rx_depth = RING_DEPTH;
	vf->tx_depth = RING_DEPTH;
	conf.intr_conf.rxq = !vf->interrupts.refused && vf_interrupts_wanted(vf->driver);
	/* Twice: what a status call rounds up to must have been reported too. */
	vf->tx_lag = (uint16_t)(info.default_txconf.tx_rs_thresh > 1 ?
					2 * info.default_txconf.tx_rs_thresh :
					0);
	/*
	 * A VF's filter is its PF's, and cannot be switched off from here: the VLANs that the guest
	 * uses are added to it. Any other device receives all VLANs as long as this is not asked for.
	 */
	vf->vlan_filter = vf->facts.is_vf &&
			  (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER);
	if (vf->vlan_filter)
		conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_VLAN_FILTER;
	if (*info.dev_flags & RTE_ETH_DEV_INTR_LSC)
		conf.intr_conf.lsc = 1;
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
	vf_interrupts_find(vf);
	return 0;
}

static int port_bring_up(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	int rc = port_configure(vf, cfg, e);

	if (!rc)
		rc = port_mac(vf, cfg->mac, e);
	if (!rc)
		rc = port_start(vf, e);
	return rc;
}

/*
 * The drivers of igb's and ixgbe's VFs start a port and say that all is well when their PF did not
 * answer. Taking VLAN 0 away, which no PF does, is a question that they pass on, and whose failure
 * they do pass back. A "no" (a VF in a VLAN of its PF's choice) is an answer too: -EINVAL, or a
 * positive number.
 */
static int port_answered(const struct vf *vf, struct err *e)
{
	int rc = vf->silent && vf->vlan_filter ? rte_eth_dev_vlan_filter(vf->port, 0, 0) : 0;

	if (rc >= 0 || rc == -EINVAL)
		return 0;
	return err_set(e, -EAGAIN, "the PF does not answer: is it up (ip link set PF up)?");
}

int vf_attach(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	struct err unanswered;
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
	vf->notify = cfg->notify;
	rc = port_pool(vf, cfg, e);
	if (!rc)
		rc = port_bring_up(vf, cfg, e);
	if (rc && !vf->interrupts.refused && vf->pool) {
		/* Perhaps for its receive interrupts, at once or at the start: then without. */
		vf->interrupts.refused = true;
		rc = port_bring_up(vf, cfg, e);
	}
	if (!rc) {
		rc = vf_watch(vf);
		if (rc)
			err_set(e, rc, "the device's events cannot be watched: %s",
				rte_strerror(-rc));
	}
	if (rc)
		vf_detach(vf);
	/* Taken all the same: it will come back as after a reset. */
	else if (port_answered(vf, &unanswered)) {
		log_warning("%s", unanswered.text);
		if (vf->notify)
			vf_notify_raise(vf->notify, VF_NEWS_RESET);
	}
	return rc;
}

int vf_restart(struct vf *vf, const struct vf_config *cfg, struct err *e)
{
	int rc;

	rte_eth_dev_stop(vf->port);
	rc = rte_eth_dev_reset(vf->port);
	/* A driver without a reset of its own (igb's VF) resets the VF at each start. */
	if (rc && rc != -ENOTSUP)
		return err_set(e, rc, "the driver cannot reset the device: %s", rte_strerror(-rc));
	rc = port_bring_up(vf, cfg, e);
	if (!rc)
		rc = port_answered(vf, e);
	if (rc)
		rte_eth_dev_stop(vf->port);
	return rc;
}

int vf_vlan_add(const struct vf *vf, uint16_t vlan)
{
	int rc = vf->vlan_filter ? rte_eth_dev_vlan_filter(vf->port, vlan, 1) : 0;

	/* ixgbe's VF driver passes its PF's "no" on as a positive number. */
	return rc > 0 ? -EPERM : rc;
}

void vf_detach(struct vf *vf)
{
	struct rte_eth_dev_info info;
	bool known;

	if (!vf->attached)
		return;
	known = rte_eth_dev_info_get(vf->port, &info) == 0;
	vf_unwatch(vf);
	rte_eth_dev_stop(vf->port);
	rte_eth_dev_close(vf->port);
	if (known && info.device)
		rte_dev_remove(info.device);
	if (vf->own_pool)
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
