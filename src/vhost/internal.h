/* internal.h: what the two halves of the protocol room share: the session and its message table. */
#ifndef GODWIT_VHOST_INTERNAL_H
#define GODWIT_VHOST_INTERNAL_H

#include "vhost/message.h"
#include "vhost/session.h"

#define VHOST_MAX_FDS GUEST_MAX_REGIONS
#define VHOST_PROTOCOL_FEATURES                                                             \
	(1ull << VHOST_PROTOCOL_MQ | 1ull << VHOST_PROTOCOL_LOG_SHMFD |                     \
	 1ull << VHOST_PROTOCOL_RARP | 1ull << VHOST_PROTOCOL_REPLY_ACK |                   \
	 1ull << VHOST_PROTOCOL_MTU | 1ull << VHOST_PROTOCOL_INFLIGHT_SHMFD |               \
	 1ull << VHOST_PROTOCOL_RESET_DEVICE | 1ull << VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS | \
	 1ull << VHOST_PROTOCOL_STATUS)

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
	/* The reply to it, when there is one, and a descriptor with it, or -1. */
	union vhost_payload reply;
	uint32_t reply_bytes;
	int reply_fd;
	/* An errno: it was understood, and is refused; the connection goes on. */
	int refused;
};

/* In vhost_rule.needs: legal whatever was negotiated. */
#define VHOST_ALWAYS (-1)

/** How a message must look, and who handles it. */
struct vhost_rule {
	uint32_t request;
	const char *name;
	/* Payload bytes. */
	uint32_t min_bytes, max_bytes;
	unsigned int max_fds;
	/* It changes what rings use: bracketed by ops->pause and ops->apply. */
	bool changes;
	/* The protocol feature that must have been negotiated, or VHOST_ALWAYS. */
	int needs;
	/* 0: no reply of its own; handlers put it into s->reply and s->reply_bytes. */
	int (*handle)(struct vhost_session *s, struct err *e);
};

/** The rule for a request; NULL when there is none. */
const struct vhost_rule *vhost_rule_find(uint32_t request);
/** Hand descriptor @p i of the message over to the caller; the session closes what nobody took. */
int vhost_take_fd(struct vhost_session *s, unsigned int i);
/** Let the reply be @p value. Returns 0. */
int vhost_reply_u64(struct vhost_session *s, uint64_t value);
/** 0 when @p l has a bit for every page of @p m (NULL is none), else -EINVAL with the sentence. */
int vhost_memory_logged(const struct guest_memory *m, const struct dirty_log *l, struct err *e);
/** Stop the rings that run, in order: the base of each is where it stands then. Paused only. */
void vhost_rings_stop(struct vhost_session *s);

/* Handlers of vhost/memory.c and vhost/device.c. */
int vhost_set_mem_table(struct vhost_session *s, struct err *e);
int vhost_get_max_mem_slots(struct vhost_session *s, struct err *e);
int vhost_add_mem_reg(struct vhost_session *s, struct err *e);
int vhost_rem_mem_reg(struct vhost_session *s, struct err *e);
int vhost_set_log_base(struct vhost_session *s, struct err *e);
int vhost_set_status(struct vhost_session *s, struct err *e);
int vhost_get_status(struct vhost_session *s, struct err *e);
int vhost_reset_device(struct vhost_session *s, struct err *e);
int vhost_net_set_mtu(struct vhost_session *s, struct err *e);
int vhost_get_inflight_fd(struct vhost_session *s, struct err *e);
int vhost_set_inflight_fd(struct vhost_session *s, struct err *e);

#endif
