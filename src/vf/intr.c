/*
 * intr.c: the port's receive interrupts.
 *
 * They are asked for when the port is configured. Whether there are any shows only once it has
 * started: then its queue has a descriptor, and switching them on succeeds. (Read in DPDK 22.11
 * and 24.11: ixgbevf, iavf, mlx5, virtio, ena, hns3, bnxt and others have them; igbvf, af_packet,
 * null, af_xdp and memif have none.)
 */
#include <string.h>

#include <rte_ethdev.h>

#include "base/fd.h"
#include "vf/eal.h"
#include "vf/vf.h"

bool vf_interrupts_wanted(const char *driver)
{
	/* It would set up vectors for them, and has no call that switches them on. */
	return strcmp(driver, "net_e1000_igb_vf") != 0;
}

/* The descriptor is the interface itself, readable while a frame waits: there is no switch. */
static bool always_on(const char *driver)
{
	return strcmp(driver, "net_tap") == 0 || strcmp(driver, "net_tun") == 0;
}

void vf_interrupts_find(struct vf *vf)
{
	struct vf_interrupts found = { .always_on = always_on(vf->driver) };

	vf->interrupts = (struct vf_interrupts){ .refused = vf->interrupts.refused };
	if (vf->interrupts.refused || !vf_interrupts_wanted(vf->driver))
		return;
	found.fd = rte_eth_dev_rx_intr_ctl_q_get_fd(vf->port, 0);
	/* A driver without them makes DPDK complain: no failure of ours. */
	eal_error_clear();
	if (found.fd < 0)
		return;
	if (!found.always_on && rte_eth_dev_rx_intr_enable(vf->port, 0))
		return;
	if (!found.always_on)
		rte_eth_dev_rx_intr_disable(vf->port, 0);
	found.eventfd = fd_is_eventfd(found.fd);
	found.there = true;
	vf->interrupts = found;
}

int vf_interrupt_enable(const struct vf *vf)
{
	return vf->interrupts.always_on ? 0 : rte_eth_dev_rx_intr_enable(vf->port, 0);
}

void vf_interrupt_disable(const struct vf *vf)
{
	if (!vf->interrupts.always_on)
		rte_eth_dev_rx_intr_disable(vf->port, 0);
}
