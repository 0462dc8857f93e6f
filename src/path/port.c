/*
 * port.c: the path and its port: changing it under a living guest, what it still holds, whether it
 * moves, and the VLANs that it has to be told of.
 */
#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "base/clock.h"
#include "path/internal.h"

/* Takes all frames that the port has received, and counts them under @p reason. */
static void port_rx_drop(struct path *p, uint64_t *reason)
{
	struct rte_mbuf *burst[PATH_BURST];
	uint32_t limit = 2u * p->vf->rx_depth;
	uint16_t n;

	/* Bounded: under full-rate traffic the port never is empty. */
	do {
		n = rte_eth_rx_burst(p->vf->port, 0, burst, PATH_BURST);
		path_count(reason, n);
		limit -= n < limit ? n : limit;
		rte_pktmbuf_free_bulk(burst, n);
	} while (n && limit);
}

void path_discard(struct path *p)
{
	path_rx_drop_held(p, &p->counters.rx_drop_stale);
	if (p->vf)
		port_rx_drop(p, &p->counters.rx_drop_stale);
}

/*
 * The state of the descriptor that was filled @p back descriptors before the last one; DONE where
 * that is not known. Drivers that report only every so many descriptors round up to the next that
 * they do report: one that was filled later than that report's threshold may never be.
 */
static int descriptor_state(const struct path *p, uint64_t back)
{
	int rc;

	if (back >= p->vf->tx_depth)
		return RTE_ETH_TX_DESC_DONE;
	rc = rte_eth_tx_descriptor_status(p->vf->port, 0, (uint16_t)(p->vf->tx_depth - 1 - back));
	return rc < 0 ? RTE_ETH_TX_DESC_DONE : rc;
}

/* Hands over what the path holds, then waits for the port to have sent it: a stopped port forgets. */
static void port_tx_drain(struct path *p, uint64_t limit_ns)
{
	uint64_t end = clock_now_ns() + limit_ns;

	while (!path_tx_push(p) && clock_now_ns() < end)
		;
	while (descriptor_state(p, p->vf->tx_lag) == RTE_ETH_TX_DESC_FULL && clock_now_ns() < end)
		;
}

void path_set_port(struct path *p, struct vf *vf, bool hold, uint64_t limit_ns)
{
	if (p->vf) {
		port_tx_drain(p, limit_ns);
		path_settle_tx(p);
		port_rx_drop(p, &p->counters.rx_drop_detached);
	}
	p->vf = vf;
	p->hold = hold;
	p->tx_given = 0;
	p->tx_seen = 0;
	path_port_changed(p);
	if (vf || hold)
		return;
	path_count(&p->counters.tx_drop_no_device, p->tx_count);
	while (p->tx_count)
		rte_pktmbuf_free(p->tx_held[--p->tx_count]);
}

bool path_tx_stalled(struct path *p)
{
	uint64_t seen = p->tx_seen, newer = p->tx_given - seen;

	p->tx_seen = p->tx_given;
	if (!p->vf || !seen)
		return false;
	/* More than a ring's worth since then: it moves. Else look at what was the last one then. */
	if (descriptor_state(p, newer + p->vf->tx_lag) == RTE_ETH_TX_DESC_FULL)
		return true;
	return p->tx_count && !newer;
}

void path_vlan_note(struct path *p, const struct rte_mbuf *m)
{
	const struct rte_vlan_hdr *tag =
		rte_pktmbuf_mtod_offset(m, const struct rte_vlan_hdr *, RTE_ETHER_HDR_LEN);
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	unsigned int n = atomic_load_explicit(&p->vlan_count, memory_order_relaxed);
	uint16_t vlan;

	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN) || n == PATH_VLANS_MAX)
		return;
	vlan = rte_be_to_cpu_16(tag->vlan_tci) & 0xfff;
	if (vlan == 0 || vlan == 0xfff)
		return;
	for (unsigned int i = 0; i < n; i++)
		if (p->vlan[i] == vlan)
			return;
	p->vlan[n] = vlan;
	atomic_store_explicit(&p->vlan_count, n + 1, memory_order_release);
	path_alarm(p);
}

unsigned int path_vlans(const struct path *p, uint16_t vlan[PATH_VLANS_MAX])
{
	unsigned int n = atomic_load_explicit(&p->vlan_count, memory_order_acquire);

	for (unsigned int i = 0; i < n; i++)
		vlan[i] = p->vlan[i];
	return n;
}

/*
 * A PF may strip the tags of a VF that has VLANs, without being asked (igb does): the guest was
 * promised no such thing.
 */
uint16_t path_vlan_restore(struct path *p, struct rte_mbuf **m, uint16_t n)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < n; i++) {
		if ((m[i]->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) && rte_vlan_insert(&m[i])) {
			path_count(&p->counters.rx_drop_tag, 1);
			rte_pktmbuf_free(m[i]);
			continue;
		}
		m[left++] = m[i];
	}
	return left;
}
