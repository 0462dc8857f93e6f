/* internal.h: the vNIC's parts, shared by its life cycle, announcement, watch and show. */
#ifndef GODWIT_VNIC_INTERNAL_H
#define GODWIT_VNIC_INTERNAL_H

#include "path/path.h"
#include "vf/vf.h"
#include "vhost/session.h"
#include "vnic/facts.h"
#include "vnic/vnic.h"

struct vnic {
	struct vnic_config cfg;
	/** cfg.device, where it was attached at run time. */
	char *own_device;
	struct loop *loop;
	struct vf vf;
	struct path *path;
	struct vhost_session *session;
	enum vnic_state state;
	/** A ring is bound: it has a place to keep. */
	bool bound[VHOST_VRINGS];
	/** A ring is in the worker's hands. */
	bool running[VHOST_VRINGS];
	/** A ring is broken, and was said to be. */
	bool reported[VHOST_VRINGS];
	/** A ring was bound on this connection. */
	bool ever_bound;
	/** No ring was started on this connection yet. */
	bool fresh;
	/** The VM has yet to arrive. */
	bool awaiting_arrival;

	int announce_timer, progress_timer, link_timer;
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
	bool link_up;
	uint64_t state_since_ns;
	/** The worker's share of the last facts, and when it was copied; 0: take it anew. */
	struct vnic_ring_facts ring_facts[VHOST_VRINGS];
	uint64_t ring_facts_ns;
};

/** Tell who listens, and see that the next facts are fresh. Strings are not kept. Thread: control. */
void vnic_event(struct vnic *v, const char *name, const char *detail);
/** Make the timer that looks at the port's link. Returns 0 or -errno. */
int link_init(struct vnic *v);
/** Look at the link now: at each attach, so that only changes are told. */
void link_look(struct vnic *v);
/** No more looking. */
void link_end(struct vnic *v);

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
