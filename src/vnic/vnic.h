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

/** The feature bits that every vNIC offers, whatever its port: they are a migration ABI. */
uint64_t vnic_features(void);

struct vnic_config {
	const char *name;
	/** DPDK devargs. */
	const char *device;
	/** NULL: the port's own. */
	const uint8_t *mac;
	/** Longest sleep where nothing can wake the worker; 0: it never sleeps. */
	unsigned int idle_us;
	/** The first start is a VM's arrival: announce it. */
	bool incoming;
};

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

/** True when the front-end that is connected, or else the last one, has sent anything. */
bool vnic_served(const struct vnic *v);
/** State. */
enum vnic_state vnic_state(const struct vnic *v);
/** Print state and counters as text. */
void vnic_show(struct vnic *v, FILE *to);
/** Call @p fn when a front-end has gone. For a process that serves one connection only. */
void vnic_on_disconnect(struct vnic *v, void (*fn)(void *arg), void *arg);

#endif
