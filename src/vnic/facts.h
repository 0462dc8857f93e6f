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

/* What happened to the vNIC's devices: field of struct device, meaning. */
#define VNIC_DEVICE_COUNTERS_TABLE(X)                               \
	X(attaches, "devices attached")                             \
	X(detaches, "devices detached")                             \
	X(attach_failures, "attempts to attach that failed")        \
	X(port_resets, "resets of the port that were noticed")      \
	X(port_backs, "times that it came back")                    \
	X(port_removals, "times that it went away, or stayed away") \
	X(link_changes, "times that the port's link changed")

#define X(name, meaning) VNIC_DEVICE_COUNTER_##name,
enum { VNIC_DEVICE_COUNTERS_TABLE(X) VNIC_DEVICE_COUNTERS };
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
	/** What ends the worker's sleep: "kick", "port interrupt", "timer", "polling" or "nothing". */
	const char *wakes_by;
	/** The rest means something only then. */
	bool bound;
	bool logging;
	/** Entries, and the next one to take. */
	uint16_t size, next;
	/** Interrupts sent to the guest. */
	uint64_t calls;
};

struct vnic_device_facts {
	/** It is there, and works. */
	bool attached;
	/** It was reset, and is being brought back; at which attempt. */
	bool lost;
	unsigned int attempt;
	/** With none, what the guest sends waits in its ring. */
	bool hold;
	/** Devargs of the device, or of the last one; NULL before the first. */
	const char *name;
	/** What the vNIC keeps whatever device it has; has_mac false, mtu 0: not known yet. */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu;
	/** The rest means something only while attached. */
	const char *driver;
	bool link_up, allmulticast;
	uint16_t rx_depth, tx_depth;
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
	struct vnic_counter devices[VNIC_DEVICE_COUNTERS];
};

#endif
