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

/** Receive interrupts of a port. All zero: it has none. */
struct vf_interrupts {
	bool there;
	/** The device did not start with them: they are asked for no more. */
	bool refused;
	/** Readable when a frame has come. The driver's; another one after each start. */
	int fd;
	/** It counts interrupts, and is to be read; else it is readable while frames wait. */
	bool eventfd;
	/** They cannot be switched. */
	bool always_on;
};

/** Host buffers that outlive a device: frames held in them wait for the next one. */
struct vf_pool {
	struct rte_mempool *buffers;
};

/** What a port does by itself, as a mask. */
enum vf_offload {
	/** It computes the checksum of an IPv4 header, of TCP, of UDP. */
	VF_TX_IP_CSUM = 1,
	VF_TX_TCP_CSUM = 2,
	VF_TX_UDP_CSUM = 4,
	/** It cuts TCP over IPv4 and over IPv6 into segments. */
	VF_TX_TSO = 8,
	/** It sends a frame that lies in several buffers. */
	VF_TX_SCATTER = 16,
	/** It checks received checksums, and says which are good. */
	VF_RX_CSUM = 32,
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
	/** A mask of enum vf_offload. */
	unsigned int offloads;
	/** The most buffers of a frame to be cut, and of what becomes one frame on the wire. */
	uint16_t tx_segments_max, tx_frame_segments_max;
	uint8_t mac[6];
	bool allmulticast;
	/** It drops tagged frames of every VLAN that vf_vlan_add() did not name. */
	bool vlan_filter;
	/** Its driver starts it whatever the PF says, and may not tell of the PF's resets. */
	bool silent;
	char driver[64];
	struct vf_facts facts;
	struct vf_interrupts interrupts;
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

/**
 * Make buffers for one device at a time, freed with vf_pool_free().
 * @param mtu  of the largest frames; 0: 1500
 * @return     0 or -ENOMEM
 */
int vf_pool_new(struct vf_pool *pool, uint16_t mtu, struct err *e);
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
/** False for a driver that is known to have no receive interrupts. */
bool vf_interrupts_wanted(const char *driver);
/** Look what receive interrupts the port has, now that it has started. Fills vf->interrupts. */
void vf_interrupts_find(struct vf *vf);
/**
 * Switch the receive interrupt on, which is there, or off. A frame that came before may raise none.
 * Thread: the worker. Returns 0 or -errno.
 */
int vf_interrupt_enable(const struct vf *vf);
void vf_interrupt_disable(const struct vf *vf);
/** Read the port's counters. */
void vf_stats(const struct vf *vf, struct vf_stats *out);

#endif
