/* internal.h: the vNIC's parts, shared by its life cycle, announcement, watch and show. */
#ifndef GODWIT_VNIC_INTERNAL_H
#define GODWIT_VNIC_INTERNAL_H

#include "path/path.h"
#include "vf/vf.h"
#include "vhost/session.h"
#include "vnic/facts.h"
#include "vnic/vnic.h"

enum device_state {
	DEVICE_NONE,
	/** Attached, and in the path's hands. */
	DEVICE_THERE,
	/** Reset by its PF or by a third party: taken from the path until it is back. */
	DEVICE_LOST,
};

/** The device that the vNIC has, or had, and what is to be given to the next one. */
struct device {
	enum device_state state;
	/** Devargs of the device; NULL before the first. */
	char *name;
	/** What the guest was promised: 0, and no address, until there is a first device. */
	uint16_t mtu;
	bool has_mac;
	uint8_t mac[6];
	/** With no device the guest's frames wait. */
	bool hold;
	bool link_up;
	/** VLANs of the guest that the port was told of. */
	unsigned int vlans;
	/** Attempts since the last reset, and times in a row that transmit stood still. */
	unsigned int tries, stalls;
	/** When it last came back, ns. */
	uint64_t back_ns;
	struct vf_notify notify;
	struct vf_pool pool;
	int tick_timer, retry_timer;
	uint64_t attaches, detaches, attach_failures, port_resets, port_backs, port_removals,
		link_changes;
};

struct vnic {
	struct vnic_config cfg;
	struct loop *loop;
	struct vf vf;
	struct device dev;
	struct path *path;
	struct vhost_session *session;
	enum vnic_state state;
	/** A ring is bound: it has a place to keep. */
	bool bound[VHOST_VRINGS];
	/** A ring is in the worker's hands. */
	bool running[VHOST_VRINGS];
	/** A ring is broken, and was said to be. */
	bool reported[VHOST_VRINGS];
	/** A ring was stopped on this connection, at which entry. */
	bool stopped[VHOST_VRINGS];
	uint16_t stopped_at[VHOST_VRINGS];
	/** A ring was bound on this connection. */
	bool ever_bound;
	/** No ring was started on this connection yet. */
	bool fresh;
	/** The VM has yet to arrive. */
	bool awaiting_arrival;

	int announce_timer, progress_timer;
	/** RARPs still to send; they wait while the transmit ring does not run. */
	unsigned int announce_left;
	bool announce_armed;
	uint8_t announce_mac[6];

	bool progress_watched;
	uint64_t connections;
	void (*on_disconnect)(void *arg);
	void *on_disconnect_arg;

	void (*on_event)(void *arg, const struct vnic_event *ev);
	void *on_event_arg;
	uint64_t state_since_ns;
	/** The worker's share of the last facts, and when it was copied; 0: take it anew. */
	struct vnic_ring_facts ring_facts[VHOST_VRINGS];
	uint64_t ring_facts_ns;
};

/** Tell who listens, and see that the next facts are fresh. Strings are not kept. Thread: control. */
void vnic_event(struct vnic *v, const char *name, const char *detail);

/** Make buffers, timers and the port's eventfd; the path exists. Returns 0 or -errno. */
int device_init(struct vnic *v, struct err *e);
/** Give the device back and free what device_init() made, whole or in part. The path is freed. */
void device_end(struct vnic *v);
/** What vf_attach() and vf_restart() are given for @p name. */
struct vf_config device_config(struct vnic *v, const char *name, const uint8_t *mac);
/** The port is ready: the path has it from now on, and the guest is announced. */
void device_in(struct vnic *v);
/** Take the port from the path; the guest's frames wait meanwhile, or not. */
void device_out(struct vnic *v, bool hold);
/** The guest has sent frames in VLANs that are new: have the port receive them. */
void device_vlans(struct vnic *v);
/** Begin and end to look after the port: its events, its link, whether it moves. */
int recover_init(struct vnic *v);
void recover_end(struct vnic *v);

/** Make the announcement timer. Returns 0 or -errno. */
int announce_init(struct vnic *v);
/** Announce @p mac several times, as soon as the transmit ring runs. */
void announce_start(struct vnic *v, const uint8_t mac[6]);
/** The rings have started or stopped: send what was held, or hold what is left. */
void announce_update(struct vnic *v);

/**
 * Make the timer that looks for rings without progress, and watch the path's alarms. Returns 0 or
 * -errno.
 */
int watch_init(struct vnic *v);
/** The guest's driver is there: see in a while whether its rings can move. */
void watch_progress(struct vnic *v);
/** No more looking. */
void watch_end(struct vnic *v);

#endif
