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
	uint16_t mtu;
	/** The largest frame taken from the guest: MTU, Ethernet header and two VLAN tags. */
	uint16_t max_frame_bytes;
	/** A mask of enum vf_offload. */
	unsigned int offloads;
	/** The most buffers of a frame to be cut, and of what becomes one frame on the wire. */
	uint16_t tx_segments_max, tx_frame_segments_max;
	uint8_t mac[6];
	bool allmulticast;
	char driver[64];
	struct vf_facts facts;
	/** Host buffers of both queues; the port's. */
	struct rte_mempool *pool;
};

struct vf_config {
	/** DPDK devargs: a PCI address or a vdev, with options. */
	const char *device;
	/** The MAC address that the port shall have; NULL: keep its own. */
	const uint8_t *mac;
	/** The MTU that the port shall have; 0: its own, 1500 at most. */
	uint16_t mtu;
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
/** Read the port's counters. */
void vf_stats(const struct vf *vf, struct vf_stats *out);

#endif
