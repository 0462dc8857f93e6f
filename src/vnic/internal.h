/* internal.h: the vNIC's parts, shared by its life cycle, announcement, watch and show. */
#ifndef GODWIT_VNIC_INTERNAL_H
#define GODWIT_VNIC_INTERNAL_H

#include "path/path.h"
#include "vf/vf.h"
#include "vhost/session.h"
#include "vnic/vnic.h"

struct vnic {
	struct vnic_config cfg;
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
	/** What the guest may rely on: the MTU of its first device. 0: it had none yet. */
	uint16_t mtu;
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
};

/**
 * Whether @p vf can carry what the guest was promised.
 * @return  0, or -ERANGE with the sentence that says what the port lacks
 */
int vnic_features_check(const struct vnic *v, const struct vf *vf, struct err *e);

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
