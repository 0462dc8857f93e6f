/*
 * facts.h: all there is to say about a vNIC, copied at one moment. Text (show.c) and JSON (the control
 * socket) are both made from it.
 */
#ifndef GODWIT_VNIC_FACTS_H
#define GODWIT_VNIC_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "path/counters.h"

#define VNIC_RINGS 2

#define X(name, meaning) VNIC_COUNTER_##name,
enum { PATH_COUNTERS(X) VNIC_COUNTERS };
#undef X

/* Counters of the port itself: field of struct vf_stats, meaning. */
#define VNIC_PORT_COUNTERS_TABLE(X)                             \
	X(rx_missed, "frames for which the port had no room")   \
	X(rx_errors, "bad frames at the port")                  \
	X(rx_no_mbuf, "times that the port had no host buffer") \
	X(tx_errors, "frames that the port could not send")

#define X(name, meaning) VNIC_PORT_COUNTER_##name,
enum { VNIC_PORT_COUNTERS_TABLE(X) VNIC_PORT_COUNTERS };
#undef X

struct vnic_counter {
	/** Constants, "rx_frames" and a sentence's end. */
	const char *name;
	const char *meaning;
	uint64_t value;
};

struct vnic_ring_facts {
	/** "receive" or "transmit", as the guest sees it. */
	const char *direction;
	/** "running", "stopped", "broken" or "waits for the dirty log". */
	const char *state;
	/** The rest means something only then. */
	bool bound;
	bool logging;
	/** Entries, and the next one to take. */
	uint16_t size, next;
	/** Interrupts sent to the guest. */
	uint64_t calls;
};

struct vnic_device_facts {
	bool attached;
	/** Devargs; the rest means something only while attached. */
	const char *name;
	const char *driver;
	bool link_up, allmulticast;
	uint8_t mac[6];
	uint16_t mtu, rx_depth, tx_depth;
};

struct vnic_facts {
	const char *name;
	const char *state;
	/** How long it has been in this state. */
	uint64_t state_ns;
	/** A front-end is connected; how many have been, with it. */
	bool connected;
	uint64_t connections;
	bool incoming;
	struct vnic_device_facts device;
	struct vnic_ring_facts rings[VNIC_RINGS];
	/** Of the connection at hand. */
	uint64_t features, messages;
	struct vnic_counter counters[VNIC_COUNTERS];
	/** All zero while no device is attached. */
	struct vnic_counter port[VNIC_PORT_COUNTERS];
};

#endif
