/*
 * vf.h: the port that a vNIC is wired to: a VF through DPDK's driver for it, or any other DPDK
 * device.
 */
#ifndef GODWIT_VF_VF_H
#define GODWIT_VF_VF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "vf/facts.h"
#include "vf/notify.h"

struct rte_mempool;

/** Host buffers that outlive a device: frames held in them wait for the next one. */
struct vf_pool {
	struct rte_mempool *buffers;
};

/** An attached, started port with one receive and one transmit queue. */
struct vf {
	bool attached;
	uint16_t port;
	uint16_t rx_depth, tx_depth;
	/** Transmit descriptors that may be sent without being reported so. */
	uint16_t tx_lag;
	uint16_t mtu;
	/** The largest frame taken from the guest: MTU, Ethernet header and two VLAN tags. */
	uint16_t max_frame_bytes;
	uint8_t mac[6];
	bool allmulticast;
	/** It drops tagged frames of every VLAN that vf_vlan_add() did not name. */
	bool vlan_filter;
	char driver[64];
	struct vf_facts facts;
	/** Host buffers of both queues, and whether they go with the port. */
	struct rte_mempool *pool;
	bool own_pool;
	/** Where its events go, or NULL. */
	struct vf_notify *notify;
};

struct vf_config {
	/** DPDK devargs: a PCI address or a vdev, with options. */
	const char *device;
	/** The MAC address that the port shall have; NULL: keep its own. */
	const uint8_t *mac;
	/** The MTU that the guest was promised; 0: the device's own. */
	uint16_t mtu;
	/** Buffers to use, which must outlive the port; NULL: buffers of its own. */
	const struct vf_pool *pool;
	/** Told of the port's events until it is detached; NULL: nobody is. */
	struct vf_notify *notify;
};

/** Counters of the port itself. */
struct vf_stats {
	uint64_t rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};

/** Make buffers for one device at a time. Returns 0 or -ENOMEM. Freed with vf_pool_free(). */
int vf_pool_new(struct vf_pool *pool, struct err *e);
/** Free them; no port and no path may use them. One that was never made, zeroed, is fine. */
void vf_pool_free(struct vf_pool *pool);

/**
 * Take a device: probe, configure, all-multicast on, start. Its link may come up later.
 * @param vf  filled in; on failure nothing is left attached
 * @return    0 or -errno, with a sentence that says what to do; -EMSGSIZE: cfg->mtu is too large
 *            for it
 * Thread:    control; takes milliseconds to seconds.
 */
int vf_attach(struct vf *vf, const struct vf_config *cfg, struct err *e);
/** Stop and give the device back. Idempotent. No thread may use its queues. */
void vf_detach(struct vf *vf);
/**
 * Bring an attached port back after a reset: stop, reset by its driver's own means, configure,
 * start, address and all-multicast again. No thread may use its queues.
 * @param cfg  as for vf_attach(); the device is the one that is attached
 * @return     0, or -errno with a sentence: the port is stopped, and may be tried again
 * Thread:     control; takes milliseconds, up to a second or two when the PF does not answer.
 */
int vf_restart(struct vf *vf, const struct vf_config *cfg, struct err *e);
/**
 * Have tagged frames of @p vlan (1 to 4094) received, where vf->vlan_filter.
 * @return  0, or -errno: the PF refuses
 * Thread:  control; asks the PF, up to milliseconds.
 */
int vf_vlan_add(const struct vf *vf, uint16_t vlan);
/** True when the link is up. Never waits. */
bool vf_link_up(const struct vf *vf);
/** Read the port's counters. */
void vf_stats(const struct vf *vf, struct vf_stats *out);

#endif
