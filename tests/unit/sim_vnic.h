/*
 * sim_vnic.h: a whole vNIC with a simulated front-end and guest, on DPDK's virtual devices, for the tests of what changes
 * under a living guest. On net_ring what the guest sends comes back to it.
 */
#ifndef GODWIT_TESTS_SIM_VNIC_H
#define GODWIT_TESTS_SIM_VNIC_H

#include "sim_frontend.h"
#include "vnic/internal.h"

struct sim_vnic {
	struct sim_frontend f;
	struct vnic *v;
	/** Names of the events so far, each followed by a blank; without "state". */
	char events[1024];
	uint32_t sent, got;
	uint16_t rx_head;
};

/** DPDK, once a process; fits cmocka's group set-up. */
int sim_vnic_dpdk(void **state);
/** A vNIC on @p device, running, with a connected front-end and both rings started at entry 0. */
void sim_vnic_new(struct sim_vnic *s, const char *device);
/** The same without a front-end. */
void sim_vnic_idle(struct sim_vnic *s, const char *device, const uint8_t *mac);
void sim_vnic_free(struct sim_vnic *s);
/** Let the loop run for about @p ms. */
void sim_vnic_run(struct sim_vnic *s, unsigned int ms);
/** The guest sends @p n numbered frames of 64 bytes. */
void sim_vnic_send(struct sim_vnic *s, unsigned int n);
/** Frames of the guest that were consumed; waits until they are @p n, or 2 s. */
uint32_t sim_vnic_consumed(struct sim_vnic *s, uint32_t n);
/** The guest posts @p n receive buffers. */
void sim_vnic_post(struct sim_vnic *s, unsigned int n);
/** Take one received frame, waiting up to @p ms; returns its bytes without header, or -1. */
int sim_vnic_receive(struct sim_vnic *s, uint8_t frame[2048], unsigned int ms);
/** Put a frame in front of the attached port, as from the wire (net_ring only; path paused). */
void sim_vnic_arrive(struct sim_vnic *s, uint32_t number);
/** A frame of the guest's passes, and comes back through net_ring. */
void sim_vnic_works(struct sim_vnic *s);
/** A counter of the path. */
#define sim_vnic_counter(s, name) path_counted(&path_counters((s)->v->path)->name)

#endif
