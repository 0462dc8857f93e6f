/*
 * sim_port.h: a simulated VF: two queues of frames behind DPDK's burst calls, with a transmit ring that can be full.
 *
 * It stands in DPDK's table of ports, so the path calls it as it calls any driver. Its frames' buffers come from a pool that
 * is a stack under a mutex, so that a thread checker sees who hands a buffer to whom.
 */
#ifndef GODWIT_TESTS_SIM_PORT_H
#define GODWIT_TESTS_SIM_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vf/vf.h"

#define SIM_PORT_MBUFS 600u
#define SIM_PORT_QUEUE 1024u

struct rte_mbuf;

/** One producer, one consumer. */
struct sim_queue {
	struct rte_mbuf *slot[SIM_PORT_QUEUE];
	atomic_uint head, tail;
};

struct sim_port {
	struct vf vf;
	/** Received from the wire; sent to the wire. */
	struct sim_queue rx, tx;
	/** The port's transmit ring: takes no frame beyond this many. */
	atomic_uint tx_room;
	/** Burst calls so far. */
	atomic_ulong bursts;
	/** Its place in DPDK's table of ports, and whether its buffers are another one's. */
	uint16_t number;
	bool beside;
	/** What stands in that table. */
	void *queue[1], *callbacks[1];
};

/** Start DPDK without huge pages. Once a process; ends the test on failure. */
void sim_port_dpdk(void);
void sim_port_new(struct sim_port *p);
/** A second port, whose buffers are those of @p first; freed before it. */
void sim_port_new_beside(struct sim_port *p, struct sim_port *first);
/** Frees queued frames; fails when a buffer was leaked. */
void sim_port_free(struct sim_port *p);
/** A frame arrives, in buffers of @p segment bytes (0: one). False when no buffer or no room is left. */
bool sim_port_arrive(struct sim_port *p, const void *bytes, uint32_t len, uint32_t segment);
/**
 * The next one that arrives has tag @p vlan, which the port took off: in its descriptor, not in its
 * bytes. Returns as sim_port_arrive().
 */
bool sim_port_arrive_stripped(struct sim_port *p, const void *bytes, uint32_t len, uint16_t vlan);
/** Take a frame that was sent; returns its length, or -1 when there is none. */
int sim_port_sent(struct sim_port *p, void *bytes, uint32_t size);
/** Buffers that nobody holds. */
unsigned int sim_port_free_mbufs(const struct sim_port *p);
/** Frames that wait to be received. */
unsigned int sim_port_waiting(const struct sim_port *p);

#endif
