/* internal.h: what the two halves of the protocol room share: the session and its message table. */
#ifndef GODWIT_VHOST_INTERNAL_H
#define GODWIT_VHOST_INTERNAL_H

#include "vhost/message.h"
#include "vhost/session.h"

#define VHOST_MAX_FDS GUEST_MAX_REGIONS
#define VHOST_PROTOCOL_FEATURES                                         \
	(1ull << VHOST_PROTOCOL_MQ | 1ull << VHOST_PROTOCOL_LOG_SHMFD | \
	 1ull << VHOST_PROTOCOL_RARP | 1ull << VHOST_PROTOCOL_REPLY_ACK)

struct vhost_session {
	struct loop *loop;
	int fd;
	uint64_t offered;
	const struct vhost_ops *ops;
	void *arg;
	struct vhost_state state;
	struct vhost_stats stats;

	/* The message that is coming in. */
	struct vhost_header header;
	union vhost_payload payload;
	uint32_t got_bytes;
	int fds[VHOST_MAX_FDS];
	unsigned int fd_count;
	/* The reply to it, when there is one. */
	union vhost_payload reply;
	uint32_t reply_bytes;
};

/** How a message must look, and who handles it. */
struct vhost_rule {
	uint32_t request;
	const char *name;
	/* Payload bytes. */
	uint32_t min_bytes, max_bytes;
	unsigned int max_fds;
	/* It changes what rings use: bracketed by ops->pause and ops->apply. */
	bool changes;
	/* 0: no reply of its own; handlers put it into s->reply and s->reply_bytes. */
	int (*handle)(struct vhost_session *s, struct err *e);
};

/** The rule for a request; NULL when there is none. */
const struct vhost_rule *vhost_rule_find(uint32_t request);
/** Hand descriptor @p i of the message over to the caller; the session closes what nobody took. */
int vhost_take_fd(struct vhost_session *s, unsigned int i);

#endif
