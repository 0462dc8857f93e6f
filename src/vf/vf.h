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

/** An attached, started port with one receive and one transmit queue. */
struct vf {
	bool attached;
	uint16_t port;
	uint16_t rx_depth, tx_depth;
	uint16_t mtu;
	/** The largest frame taken from the guest: MTU, Ethernet header and two VLAN tags. */
	uint16_t max_frame_bytes;
	uint8_t mac[6];
	bool allmulticast;
	char driver[64];
	struct vf_facts facts;
	struct vf_interrupts interrupts;
	/** Host buffers of both queues; the port's. */
	struct rte_mempool *pool;
};

struct vf_config {
	/** DPDK devargs: a PCI address or a vdev, with options. */
	const char *device;
	/** The MAC address that the port shall have; NULL: keep its own. */
	const uint8_t *mac;
};

/** Counters of the port itself. */
struct vf_stats {
	uint64_t rx_missed, rx_errors, tx_errors, rx_no_mbuf;
};

/**
 * Take a device: probe, configure, all-multicast on, start. Its link may come up later.
 * @param vf  filled in; on failure nothing is left attached
 * @return    0 or -errno, with a sentence that says what to do
 * Thread:    control; takes milliseconds to seconds.
 */
int vf_attach(struct vf *vf, const struct vf_config *cfg, struct err *e);
/** Stop and give the device back. Idempotent. No thread may use its queues. */
void vf_detach(struct vf *vf);
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
