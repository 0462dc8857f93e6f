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
	/** DPDK devargs; "none": start without a device, and wait for vnic_attach(). */
	const char *device;
	/** NULL: the port's own. */
	const uint8_t *mac;
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

/**
 * Take a device while the vNIC lives: it gets the vNIC's MAC address and MTU, and the guest, which
 * saw nothing but silence, is announced. When this fails, nothing has changed.
 * @param device  DPDK devargs
 * @param mac     the vNIC's MAC address from now on; NULL: the one that it has, or, before its first
 *                device, that device's
 * @return        0; -EBUSY: one is attached; -EINVAL: no device is named so, or no such address;
 *                -EMSGSIZE: its MTU is below what the guest was promised; others as of vf_attach()
 * Thread:        control; takes milliseconds to seconds, while the worker goes on.
 */
int vnic_attach(struct vnic *v, const char *device, const uint8_t *mac, struct err *e);
/**
 * Give the device back while the vNIC lives: the front-end, its rings and a migration go on.
 * @param hold  what the guest sends meanwhile waits in its ring instead of being dropped
 * @return      0, or -ENODEV: there is none
 * Thread:      control, as above.
 */
int vnic_detach(struct vnic *v, bool hold, struct err *e);
/**
 * Say whether the next first start is a VM's arrival, as vnic_config.incoming does.
 * @return  0, or -EBUSY with a sentence when rings have been started
 */
int vnic_set_incoming(struct vnic *v, bool incoming, struct err *e);
/** What vnic_set_incoming() or the configuration said, until the VM has come. */
bool vnic_incoming(const struct vnic *v);

/** State. */
enum vnic_state vnic_state(const struct vnic *v);
/**
 * Copy all there is to say (vnic/facts.h). Strings in it stay the vNIC's, good until its next
 * change.
 */
struct vnic_facts;
void vnic_facts(struct vnic *v, struct vnic_facts *out);
/** Print state and counters as text. */
void vnic_show(struct vnic *v, FILE *to);
/**
 * Something happened that who watches wants to hear of. Names: state (detail: the new one), attached
 * and detached (the device), port-reset, port-removed, port-back, ring-broken (which), link (up,
 * down).
 */
struct vnic_event {
	const char *name;
	const char *detail;
};
/**
 * Call @p fn at each event, on the control thread. It may be called while the path is paused: it
 * must not call back into the vNIC. NULL: nobody listens any more.
 */
void vnic_on_event(struct vnic *v, void (*fn)(void *arg, const struct vnic_event *ev), void *arg);
/** Call @p fn when a front-end has gone. For a process that serves one connection only. */
void vnic_on_disconnect(struct vnic *v, void (*fn)(void *arg), void *arg);

#endif
