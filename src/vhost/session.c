/*
 * session.c: the connection: assembling messages, dispatch, replies, the end.
 *
 * The socket never blocks us. A message is read to its last byte and never beyond, in as many pieces
 * as it comes; its descriptors are those that came with any of its bytes. A message that breaks a
 * rule ends the connection, not the process. One that was read whole and then refused is answered
 * with a negative acknowledgement first, where one was asked for.
 */
#include "vhost/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/internal.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct vhost_header))

int vhost_take_fd(struct vhost_session *s, unsigned int i)
{
	int fd = s->fds[i];

	s->fds[i] = -1;
	return fd;
}

static void message_fds_close(struct vhost_session *s)
{
	for (unsigned int i = 0; i < s->fd_count; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	s->fd_count = 0;
}

static void vring_release(struct vhost_vring *v)
{
	int *fds[] = { &v->kick_fd, &v->call_fd, &v->err_fd };

	for (unsigned int i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static void session_ready(void *arg, int fd, uint32_t events);

int vhost_session_new(struct loop *l, int fd, uint64_t features, const struct vhost_ops *ops,
		      void *arg, struct vhost_session **out)
{
	struct vhost_session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		close(fd);
		return -ENOMEM;
	}
	*s = (struct vhost_session){
		.loop = l, .fd = fd, .offered = features, .ops = ops, .arg = arg, .reply_fd = -1
	};
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		s->state.vring[i] =
			(struct vhost_vring){ .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
	rc = loop_add(l, fd, EPOLLIN, session_ready, s);
	if (rc) {
		close(fd);
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

/*
 * Rings stop before what they use goes: pause, stop them in order, apply, and only then unmap and
 * close. What the guest has sent goes out, and is shown as used: whoever serves the guest next starts there.
 */
void vhost_session_close(struct vhost_session *s, const char *reason)
{
	struct err ignored;

	if (!s)
		return;
	loop_remove(s->loop, s->fd);
	s->ops->pause(s->arg);
	vhost_rings_stop(s);
	s->ops->apply(s->arg, &s->state, &ignored);
	message_fds_close(s);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		vring_release(&s->state.vring[i]);
	guest_memory_free(s->state.mem);
	dirty_log_free(s->state.log);
	inflight_free(s->state.inflight);
	close(s->fd);
	s->ops->closed(s->arg, reason);
	free(s);
}

static int send_reply(struct vhost_session *s)
{
	struct vhost_header h = { .request = s->header.request,
				  .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
				  .size = s->reply_bytes };
	struct iovec iov[] = { { &h, sizeof(h) }, { &s->reply, s->reply_bytes } };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (s->reply_fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &s->reply_fd, sizeof(int));
	}
	/*
	 * A reply fits the socket buffer many times over: a peer that left no room does not read,
	 * and is let go.
	 */
	if (sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)(sizeof(h) + s->reply_bytes))
		return -EPIPE;
	s->stats.replies++;
	return 0;
}

static void reply_fd_close(struct vhost_session *s)
{
	if (s->reply_fd >= 0)
		close(s->reply_fd);
	s->reply_fd = -1;
}

static bool ack_wanted(const struct vhost_session *s)
{
	return (s->header.flags & VHOST_FLAG_NEED_REPLY) &&
	       (s->state.protocol_features >> VHOST_PROTOCOL_REPLY_ACK & 1);
}

static int rule_check(const struct vhost_session *s, const struct vhost_rule *rule, struct err *e)
{
	const struct vhost_header *h = &s->header;

	if ((h->flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION ||
	    (h->flags & VHOST_FLAG_REPLY))
		return err_set(e, -EPROTO,
			       "flags 0x%" PRIx32 " are not those of a request of version 1",
			       h->flags);
	if (!rule)
		return err_set(e, -ENOTSUP, "is not known, or its feature is not offered");
	if (rule->needs != VHOST_ALWAYS && !(s->state.protocol_features >> rule->needs & 1))
		return err_set(e, -ENOTSUP, "needs protocol feature %d, which was not negotiated",
			       rule->needs);
	if (h->size < rule->min_bytes || h->size > rule->max_bytes)
		return err_set(e, -EPROTO,
			       "has %" PRIu32 " bytes, %" PRIu32 " to %" PRIu32 " are right",
			       h->size, rule->min_bytes, rule->max_bytes);
	return 0;
}

static int message_run(struct vhost_session *s, const struct vhost_rule *rule, struct err *e)
{
	int rc;

	if (s->fd_count > rule->max_fds)
		return err_set(e, -EPROTO, "came with %u descriptors, at most %u belong there",
			       s->fd_count, rule->max_fds);
	if (!rule->changes)
		return rule->handle(s, e);
	s->ops->pause(s->arg);
	rc = rule->handle(s, e);
	/*
	 * After a failure the state is what it was, and the rings must go on or stop by it all the
	 * same.
	 */
	if (rc) {
		struct err ignored;

		s->ops->apply(s->arg, &s->state, &ignored);
		return rc;
	}
	return s->ops->apply(s->arg, &s->state, e);
}

/* One whole message is there. Returns 0, or -errno when the connection has to end. */
static int message_done(struct vhost_session *s, struct err *e)
{
	const struct vhost_rule *rule = vhost_rule_find(s->header.request);
	bool ack;
	int rc;

	s->stats.messages++;
	s->reply_bytes = 0;
	s->refused = 0;
	rc = message_run(s, rule, e);
	ack = ack_wanted(s);
	if (rc || (ack && !s->reply_bytes)) {
		s->reply.u64 = rc ? (uint64_t)-rc : (uint64_t)s->refused;
		s->reply_bytes = ack ? sizeof(s->reply.u64) : 0;
		reply_fd_close(s);
	}
	if (s->reply_bytes && send_reply(s) && !rc)
		rc = err_set(e, -EPIPE, "its reply is not read");
	reply_fd_close(s);
	message_fds_close(s);
	s->got_bytes = 0;
	return rc;
}

static int fds_collect(struct vhost_session *s, struct msghdr *msg, struct err *e)
{
	bool too_many = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (s->fd_count < VHOST_MAX_FDS) {
				s->fds[s->fd_count++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	return too_many ? err_set(e, -EPROTO, "more than %d descriptors came", VHOST_MAX_FDS) : 0;
}

/* Read what is missing of the header, or of the payload. Returns bytes, 0 at hang-up, or -errno. */
static ssize_t piece_read(struct vhost_session *s, struct err *e)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * (VHOST_MAX_FDS + 8))];
	} control;
	bool in_header = s->got_bytes < HEADER_BYTES;
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n;
	int rc;

	if (in_header) {
		iov.iov_base = (uint8_t *)&s->header + s->got_bytes;
		iov.iov_len = HEADER_BYTES - s->got_bytes;
	} else {
		iov.iov_base = (uint8_t *)&s->payload + (s->got_bytes - HEADER_BYTES);
		iov.iov_len = s->header.size - (s->got_bytes - HEADER_BYTES);
	}
	n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -errno;
	rc = fds_collect(s, &msg, e);
	if (rc)
		return rc;
	s->got_bytes += (uint32_t)n;
	return n;
}

/*
 * Returns 1 a message was handled, 0 nothing more to read now, or -errno the connection has to end.
 */
static int session_step(struct vhost_session *s, struct err *e)
{
	ssize_t n = piece_read(s, e);
	int rc;

	if (n == -EAGAIN || n == -EINTR)
		return 0;
	if (n == 0)
		return err_set(e, -ECONNRESET,
			       s->got_bytes ? "the front-end hung up within a message" :
					      "the front-end hung up");
	if (n < 0)
		return n == -EPROTO ? (int)n :
				      err_set(e, (int)n, "reading failed: %s", strerror((int)-n));
	if (s->got_bytes < HEADER_BYTES)
		return 1;
	if (s->got_bytes == HEADER_BYTES) {
		rc = rule_check(s, vhost_rule_find(s->header.request), e);
		if (rc)
			goto bad;
	}
	if (s->got_bytes < HEADER_BYTES + s->header.size)
		return 1;
	rc = message_done(s, e);
	if (rc)
		goto bad;
	return 1;
bad:
	return err_prefix(e, rc, "%s (%" PRIu32 ")", vhost_request_name(s->header.request),
			  s->header.request);
}

static void session_ready(void *arg, int fd, uint32_t events)
{
	struct vhost_session *s = arg;
	struct err e = { "" };
	int rc;

	/* Bounded, so that a flood of messages leaves the loop its turn. */
	for (int i = 0; i < 64; i++) {
		rc = session_step(s, &e);
		if (rc < 0) {
			vhost_session_close(s, e.text);
			return;
		}
		if (rc == 0)
			return;
	}
}

const struct vhost_state *vhost_session_state(const struct vhost_session *s)
{
	return &s->state;
}

struct vhost_stats vhost_session_stats(const struct vhost_session *s)
{
	return s->stats;
}
