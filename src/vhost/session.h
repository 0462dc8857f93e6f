/*
 * session.h: one front-end connection: messages in, checked calls out. Knows bytes; knows no rings
 * and no port.
 */
#ifndef GODWIT_VHOST_SESSION_H
#define GODWIT_VHOST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/loop.h"
#include "guest/dirty.h"
#include "guest/inflight.h"
#include "guest/memory.h"

/** Receive is virtqueue 0, transmit is virtqueue 1, of the one queue pair. */
#define VHOST_VRINGS 2

/* Feature bits, as numbers. Spec: virtio 1.2, 5.1.3 and 6; vhost-user, Feature bits. */
#define VIRTIO_NET_F_CSUM 0
#define VIRTIO_NET_F_GUEST_CSUM 1
#define VIRTIO_NET_F_MTU 3
#define VIRTIO_NET_F_HOST_TSO4 11
#define VIRTIO_NET_F_HOST_TSO6 12
#define VIRTIO_NET_F_HOST_ECN 13
#define VIRTIO_NET_F_MRG_RXBUF 15
#define VIRTIO_NET_F_GUEST_ANNOUNCE 21
#define VHOST_F_LOG_ALL 26
#define VIRTIO_F_ANY_LAYOUT 27
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_IN_ORDER 35

/** What the front-end has said of one virtqueue. */
struct vhost_vring {
	uint32_t size;
	uint16_t base;
	struct uva desc, avail, used;
	struct gpa used_log;
	bool log_used;
	bool has_size, has_addr;
	/** SET_VRING_KICK came: the ring is started until GET_VRING_BASE. */
	bool started;
	bool enabled;
	/** eventfds, -1 when there are none; the session's. */
	int kick_fd, call_fd, err_fd;
};

/** All that the front-end has said. */
struct vhost_state {
	uint64_t features;
	uint64_t protocol_features;
	bool features_set;
	struct guest_memory *mem;
	struct dirty_log *log;
	/** The record of buffers in flight; NULL when the front-end keeps none. */
	struct inflight_area *inflight;
	/** The virtio device status, as SET_STATUS gave it. Rings start and stop by messages of their own. */
	uint8_t status;
	struct vhost_vring vring[VHOST_VRINGS];
};

/** True when @p bit (a number) was acknowledged. */
static inline bool vhost_has(const struct vhost_state *s, unsigned int bit)
{
	return s->features >> bit & 1;
}

/**
 * What the owner of the rings does. All are called on the control thread.
 *
 * pause comes before anything in the state changes; when it returns, no thread touches guest
 * memory, log or eventfds.
 * apply comes after, with the new state: rings are started, re-bound and stopped to match it, and
 * work goes on. It
 * returns 0, or -errno with a sentence: then the connection is closed, and the rings must be
 * stopped.
 * vring_base stops a ring and gives its next available index. The ring's memory is still there.
 */
struct vhost_ops {
	void (*pause)(void *arg);
	int (*apply)(void *arg, const struct vhost_state *s, struct err *e);
	uint16_t (*vring_base)(void *arg, unsigned int index);
	/** SEND_RARP: announce @p mac, now or once the transmit ring runs. */
	void (*announce)(void *arg, const uint8_t mac[6]);
	/**
	 * NET_SET_MTU: the guest is told @p mtu. Returns 0, or -errno: the front-end is told so, and
	 * the connection goes on.
	 */
	int (*mtu)(void *arg, uint64_t mtu);
	/**
	 * The connection has ended, with the reason; rings are stopped (apply was called) and the
	 * session is gone after it.
	 */
	void (*closed)(void *arg, const char *reason);
};

/** Counters of a connection. */
struct vhost_stats {
	uint64_t messages;
	uint64_t replies;
};

struct vhost_session;

/**
 * Serve a connection.
 * @param l         loop of the control thread
 * @param fd        a connected, non-blocking socket; the session's from now on, even when this
 *                  fails
 * @param features  offered feature bits
 * @param ops       kept; must outlive the session
 * @param out       owned by the caller until ops->closed, ended with vhost_session_close()
 * @return          0 or -errno
 */
int vhost_session_new(struct loop *l, int fd, uint64_t features, const struct vhost_ops *ops,
		      void *arg, struct vhost_session **out);

/** End a connection from our side, with @p reason to ops->closed, and free it. NULL is fine. */
void vhost_session_close(struct vhost_session *s, const char *reason);

/** What the front-end has said so far. */
const struct vhost_state *vhost_session_state(const struct vhost_session *s);
/** Counters. */
struct vhost_stats vhost_session_stats(const struct vhost_session *s);
/** The name of a request ("SET_MEM_TABLE"), or "unknown request". */
const char *vhost_request_name(uint32_t request);

#endif
