/*
 * vnic.h: one vNIC: a front-end's connection, its rings, the path and the port, and their life
 * together.
 */
#ifndef GODWIT_VNIC_VNIC_H
#define GODWIT_VNIC_VNIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/loop.h"
#include "vnic/state.h"

struct vnic_config {
	const char *name;
	/** DPDK devargs. */
	const char *device;
	/** NULL: the port's own. */
	const uint8_t *mac;
	/** The first start is a VM's arrival: announce it. */
	bool incoming;
	/** Mask of feature bits that are not offered (vnic/features.h). */
	uint64_t features_off;
	/** The port's MTU, in bytes; 0: as the port has it, 1500 at most. */
	uint16_t mtu;
};

/** The feature bits that a vNIC offers, whatever its port: they are a migration ABI. */
uint64_t vnic_features(const struct vnic_config *cfg);

struct vnic;

/**
 * Make a vNIC: take the device, start the path, and wait for a front-end. DPDK has been started.
 * @param out  owned by the caller, freed with vnic_free()
 * @return     0 or -errno with a sentence
 * Thread:     control (the loop's), as all of these.
 */
int vnic_new(struct loop *l, const struct vnic_config *cfg, struct vnic **out, struct err *e);
/** End it: the front-end is let go, the path stopped, the device given back. NULL is fine. */
void vnic_free(struct vnic *v);

/**
 * A front-end has connected. The descriptor is the vNIC's, whatever happens.
 * @return  0, or -EBUSY when one is connected already (the new one is closed)
 */
int vnic_connect(struct vnic *v, int fd);

/** State. */
enum vnic_state vnic_state(const struct vnic *v);
/** Print state and counters as text. */
void vnic_show(struct vnic *v, FILE *to);
/** Call @p fn when a front-end has gone. For a process that serves one connection only. */
void vnic_on_disconnect(struct vnic *v, void (*fn)(void *arg), void *arg);

#endif
