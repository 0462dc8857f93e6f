/* sim_frontend.h: a simulated vhost-user front-end over a socketpair, and recorded vhost_ops behind the session. */
#ifndef GODWIT_TESTS_SIM_FRONTEND_H
#define GODWIT_TESTS_SIM_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "sim_guest.h"
#include "vhost/message.h"
#include "vhost/session.h"

#define SIM_FEATURES                                                                         \
	(1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_INDIRECT_DESC |                   \
	 1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_F_LOG_ALL | \
	 1ull << VHOST_USER_F_PROTOCOL_FEATURES)
#define SIM_PLAIN (1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_USER_F_PROTOCOL_FEATURES)
#define SIM_LOG_PAGES 1024

struct sim_frontend {
	struct loop *loop;
	/** The front-end's end of the connection, and the session's own. */
	int fd, session_fd;
	int turn_fd;
	unsigned int turns;
	struct vhost_session *session;
	struct sim_guest guest;
	struct sim_ring ring[VHOST_VRINGS];
	/** 'P' pause, 'A' apply, 'B' vring_base, 'R' announce, 'C' closed: since the last look. */
	char calls[256];
	unsigned int count;
	/** What the state was before the message, and at the last apply. */
	struct vhost_state before, applied;
	bool paused, closed;
	char reason[512];
	uint8_t mac[6];
	/** What the ops shall answer. */
	int apply_rc;
	uint16_t base[VHOST_VRINGS];
};

/** Connect. Ends the test on failure, as all of these. */
void sim_frontend_new(struct sim_frontend *f);
/**
 * Without a session and without recorded ops: returns the other end of the connection, non-blocking, for whoever serves
 * it in f->loop.
 */
int sim_frontend_alone(struct sim_frontend *f);
/** Hang up if that did not happen, let the session notice, free. Alone: whoever serves it has ended. */
void sim_frontend_free(struct sim_frontend *f);
/** Let the session read all that was sent. */
void sim_pump(struct sim_frontend *f);
/** The recorded calls as a string; forgets them. */
const char *sim_calls_seen(struct sim_frontend *f);

/** Send bytes with descriptors, as they are. */
void sim_send_raw(struct sim_frontend *f, const void *bytes, size_t len, const int *fds,
		  unsigned int fd_count);
/** Send one request (flags: VERSION is set besides), and pump. */
void sim_send(struct sim_frontend *f, uint32_t request, uint32_t flags, const void *payload,
	      uint32_t size, const int *fds, unsigned int fd_count);
void sim_send_u64(struct sim_frontend *f, uint32_t request, uint32_t flags, uint64_t value);
void sim_send_state(struct sim_frontend *f, uint32_t request, uint32_t index, uint32_t num);
/** A reply's payload bytes; fails unless one to @p request is there, of @p size bytes. */
void sim_reply(struct sim_frontend *f, uint32_t request, void *payload, uint32_t size);
uint64_t sim_reply_u64(struct sim_frontend *f, uint32_t request);
/** True when nothing waits to be read. */
bool sim_no_reply(struct sim_frontend *f);

/** SET_MEM_TABLE of the simulated guest's regions. */
void sim_send_memory(struct sim_frontend *f, uint32_t flags);
/** SET_VRING_ADDR of ring @p i; @p flags VHOST_VRING_LOG or 0. */
void sim_send_addr(struct sim_frontend *f, uint32_t i, uint32_t flags);
/** SET_VRING_KICK or CALL or ERR with a new eventfd, which is closed here after. */
void sim_send_eventfd(struct sim_frontend *f, uint32_t request, uint32_t index);
/** SET_LOG_BASE with a log of @p pages. */
void sim_send_log(struct sim_frontend *f, uint32_t flags, uint64_t pages);
/** Everything QEMU sends up to running rings, with @p features. Forgets the calls. */
void sim_start(struct sim_frontend *f, uint64_t features, uint64_t protocol_features);

#endif
