/*
 * handlers.c: the table of messages, and what those about features and rings do to the state. Every handler runs with the rings paused when
 * its rule says
 * "changes", checks before it changes anything, and returns 0 or -errno with a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "vhost/internal.h"

int vhost_reply_u64(struct vhost_session *s, uint64_t value)
{
	s->reply.u64 = value;
	s->reply_bytes = sizeof(s->reply.u64);
	return 0;
}

/* NULL, with the sentence, when there is no such virtqueue. */
static struct vhost_vring *vring_at(struct vhost_session *s, uint32_t index, struct err *e)
{
	if (index < VHOST_VRINGS)
		return &s->state.vring[index];
	err_set(e, -EINVAL, "virtqueue %" PRIu32 " does not exist", index);
	return NULL;
}

static void fd_replace(int *slot, int fd)
{
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
}

static int get_features(struct vhost_session *s, struct err *e)
{
	return vhost_reply_u64(s, s->offered);
}

static int set_features(struct vhost_session *s, struct err *e)
{
	uint64_t features = s->payload.u64;
	bool log = features >> VHOST_F_LOG_ALL & 1;
	int rc;

	if (features & ~s->offered)
		return err_set(e, -EINVAL, "features 0x%" PRIx64 " were not offered",
			       features & ~s->offered);
	if (log && s->state.log) {
		rc = vhost_memory_logged(s->state.mem, s->state.log, e);
		if (rc)
			return rc;
	}
	/*
	 * Spec: vhost-user, Ring states: without the protocol features a ring is enabled from the
	 * start.
	 */
	if (!(features >> VHOST_USER_F_PROTOCOL_FEATURES & 1)) {
		for (unsigned int i = 0; i < VHOST_VRINGS; i++)
			s->state.vring[i].enabled = true;
	}
	if (!log && vhost_has(&s->state, VHOST_F_LOG_ALL)) {
		dirty_log_free(s->state.log);
		s->state.log = NULL;
	}
	s->state.features = features;
	s->state.features_set = true;
	return 0;
}

static int nothing(struct vhost_session *s, struct err *e)
{
	return 0;
}

static int set_vring_num(struct vhost_session *s, struct err *e)
{
	uint32_t size = s->payload.state.num;
	struct vhost_vring *v = vring_at(s, s->payload.state.index, e);

	if (!v)
		return -EINVAL;
	if (v->started)
		return err_set(e, -EBUSY, "the ring runs");
	if (size == 0 || size > 32768 || (size & (size - 1)))
		return err_set(e, -EINVAL, "ring size %" PRIu32 " is no power of two up to 32768",
			       size);
	v->size = size;
	v->has_size = true;
	return 0;
}

static int set_vring_addr(struct vhost_session *s, struct err *e)
{
	const struct vhost_vring_addr *a = &s->payload.addr;
	struct vhost_vring *v = vring_at(s, a->index, e);

	if (!v)
		return -EINVAL;
	if (a->flags & ~VHOST_VRING_LOG)
		return err_set(e, -EINVAL, "unknown flags 0x%" PRIx32, a->flags);
	v->desc.v = a->desc;
	v->avail.v = a->avail;
	v->used.v = a->used;
	v->used_log.v = a->log;
	v->log_used = a->flags & VHOST_VRING_LOG;
	v->has_addr = true;
	return 0;
}

static int set_vring_base(struct vhost_session *s, struct err *e)
{
	struct vhost_vring *v = vring_at(s, s->payload.state.index, e);

	if (!v)
		return -EINVAL;
	if (v->started)
		return err_set(e, -EBUSY, "the ring runs");
	if (s->payload.state.num > UINT16_MAX)
		return err_set(e, -EINVAL, "index %" PRIu32 " is no 16-bit number",
			       s->payload.state.num);
	v->base = (uint16_t)s->payload.state.num;
	return 0;
}

/*
 * A front-end gives up its log when the device stops, and sends a new one after the next start, with
 * the rings started already: marks in the old one would be lost.
 */
static void log_end(struct vhost_session *s)
{
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		if (s->state.vring[i].started)
			return;
	dirty_log_free(s->state.log);
	s->state.log = NULL;
}

static void ring_ended(struct vhost_vring *v)
{
	v->started = false;
	fd_replace(&v->kick_fd, -1);
}

/* They keep their place, for a GET_VRING_BASE that comes later. */
void vhost_rings_stop(struct vhost_session *s)
{
	struct vhost_vring *v = s->state.vring;

	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		if (v[i].started)
			v[i].base = s->ops->vring_base(s->arg, i);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		if (v[i].started)
			ring_ended(&v[i]);
	log_end(s);
}

static int get_vring_base(struct vhost_session *s, struct err *e)
{
	uint32_t index = s->payload.state.index;
	struct vhost_vring *v = vring_at(s, index, e);

	if (!v)
		return -EINVAL;
	if (v->started) {
		v->base = s->ops->vring_base(s->arg, index);
		ring_ended(v);
		log_end(s);
	}
	s->reply.state = (struct vhost_vring_state){ .index = index, .num = v->base };
	s->reply_bytes = sizeof(s->reply.state);
	return 0;
}

/*
 * The part that KICK, CALL and ERR share: the u64 holds the index and says whether a descriptor
 * comes. Returns NULL with the
 * sentence, or the virtqueue; then the descriptor is taken by fd_take().
 */
static struct vhost_vring *vring_of_fd(struct vhost_session *s, struct err *e)
{
	uint64_t value = s->payload.u64;
	bool has_fd = !(value & VHOST_VRING_NO_FD);

	if (value & ~(uint64_t)(VHOST_VRING_INDEX_MASK | VHOST_VRING_NO_FD)) {
		err_set(e, -EINVAL, "unknown bits in 0x%" PRIx64, value);
		return NULL;
	}
	if (s->fd_count != has_fd) {
		err_set(e, -EINVAL, "%u descriptors came where %d belong", s->fd_count, has_fd);
		return NULL;
	}
	return vring_at(s, value & VHOST_VRING_INDEX_MASK, e);
}

static int fd_take(struct vhost_session *s)
{
	return s->fd_count ? vhost_take_fd(s, 0) : -1;
}

/* Spec: vhost-user, Starting and stopping rings. */
static int set_vring_kick(struct vhost_session *s, struct err *e)
{
	struct vhost_vring *v = vring_of_fd(s, e);

	if (!v)
		return -EINVAL;
	/* A front-end that adds regions one by one (CONFIGURE_MEM_SLOTS) adds none that has no file. */
	if (v->has_size && v->has_addr && s->state.features_set && !s->state.mem)
		return err_set(
			e, -EINVAL,
			"comes before any memory (no ring progress: is guest memory shared? QEMU "
			"needs -object memory-backend-memfd,share=on for the guest's memory)");
	if (!v->has_size || !v->has_addr || !s->state.mem || !s->state.features_set)
		return err_set(
			e, -EINVAL,
			"comes before the ring's size, addresses, features or the memory table");
	fd_replace(&v->kick_fd, fd_take(s));
	v->started = true;
	return 0;
}

/* Signalling must never block the worker, whatever kind of descriptor the front-end chose. */
static int signal_fd_replace(struct vhost_session *s, int *slot, struct err *e)
{
	if (s->fd_count && fcntl(s->fds[0], F_SETFL, fcntl(s->fds[0], F_GETFL) | O_NONBLOCK) < 0)
		return err_set(e, -EINVAL, "its descriptor does not become non-blocking: %s",
			       strerror(errno));
	fd_replace(slot, fd_take(s));
	return 0;
}

static int set_vring_call(struct vhost_session *s, struct err *e)
{
	struct vhost_vring *v = vring_of_fd(s, e);

	if (!v)
		return -EINVAL;
	return signal_fd_replace(s, &v->call_fd, e);
}

static int set_vring_err(struct vhost_session *s, struct err *e)
{
	struct vhost_vring *v = vring_of_fd(s, e);

	if (!v)
		return -EINVAL;
	return signal_fd_replace(s, &v->err_fd, e);
}

static int get_protocol_features(struct vhost_session *s, struct err *e)
{
	return vhost_reply_u64(s, VHOST_PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vhost_session *s, struct err *e)
{
	uint64_t unknown = s->payload.u64 & ~VHOST_PROTOCOL_FEATURES;

	if (unknown)
		return err_set(e, -EINVAL, "protocol features 0x%" PRIx64 " were not offered",
			       unknown);
	s->state.protocol_features = s->payload.u64;
	return 0;
}

static int get_queue_num(struct vhost_session *s, struct err *e)
{
	return vhost_reply_u64(s, VHOST_VRINGS / 2);
}

static int set_vring_enable(struct vhost_session *s, struct err *e)
{
	struct vhost_vring *v = vring_at(s, s->payload.state.index, e);

	if (!v)
		return -EINVAL;
	if (s->payload.state.num > 1)
		return err_set(e, -EINVAL, "%" PRIu32 " is neither 0 nor 1", s->payload.state.num);
	v->enabled = s->payload.state.num;
	return 0;
}

static int send_rarp(struct vhost_session *s, struct err *e)
{
	uint8_t mac[6];

	memcpy(mac, &s->payload.u64, sizeof(mac));
	s->ops->announce(s->arg, mac);
	return 0;
}

#define MEM_TABLE_MIN offsetof(struct vhost_mem_table, region)

static const struct vhost_rule rules[] = {
	/* request, name, payload min and max, fds, changes, needs, handler */
	{ VHOST_GET_FEATURES, "GET_FEATURES", 0, 0, 0, false, VHOST_ALWAYS, get_features },
	{ VHOST_SET_FEATURES, "SET_FEATURES", 8, 8, 0, true, VHOST_ALWAYS, set_features },
	{ VHOST_SET_OWNER, "SET_OWNER", 0, 0, 0, false, VHOST_ALWAYS, nothing },
	/*
	 * Deprecated, and by the specification's advice ignored: it says nothing of what should be
	 * reset.
	 */
	{ VHOST_RESET_OWNER, "RESET_OWNER", 0, 0, 0, false, VHOST_ALWAYS, nothing },
	{ VHOST_SET_MEM_TABLE, "SET_MEM_TABLE", MEM_TABLE_MIN, sizeof(struct vhost_mem_table),
	  GUEST_MAX_REGIONS, true, VHOST_ALWAYS, vhost_set_mem_table },
	{ VHOST_SET_LOG_BASE, "SET_LOG_BASE", 16, 16, 1, true, VHOST_ALWAYS, vhost_set_log_base },
	{ VHOST_SET_LOG_FD, "SET_LOG_FD", 0, 0, 1, false, VHOST_ALWAYS, nothing },
	{ VHOST_SET_VRING_NUM, "SET_VRING_NUM", 8, 8, 0, true, VHOST_ALWAYS, set_vring_num },
	{ VHOST_SET_VRING_ADDR, "SET_VRING_ADDR", 40, 40, 0, true, VHOST_ALWAYS, set_vring_addr },
	{ VHOST_SET_VRING_BASE, "SET_VRING_BASE", 8, 8, 0, true, VHOST_ALWAYS, set_vring_base },
	{ VHOST_GET_VRING_BASE, "GET_VRING_BASE", 8, 8, 0, true, VHOST_ALWAYS, get_vring_base },
	{ VHOST_SET_VRING_KICK, "SET_VRING_KICK", 8, 8, 1, true, VHOST_ALWAYS, set_vring_kick },
	{ VHOST_SET_VRING_CALL, "SET_VRING_CALL", 8, 8, 1, true, VHOST_ALWAYS, set_vring_call },
	{ VHOST_SET_VRING_ERR, "SET_VRING_ERR", 8, 8, 1, true, VHOST_ALWAYS, set_vring_err },
	{ VHOST_GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES", 0, 0, 0, false, VHOST_ALWAYS,
	  get_protocol_features },
	{ VHOST_SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", 8, 8, 0, false, VHOST_ALWAYS,
	  set_protocol_features },
	{ VHOST_GET_QUEUE_NUM, "GET_QUEUE_NUM", 0, 0, 0, false, VHOST_ALWAYS, get_queue_num },
	{ VHOST_SET_VRING_ENABLE, "SET_VRING_ENABLE", 8, 8, 0, true, VHOST_ALWAYS,
	  set_vring_enable },
	/* These two are legal where the feature is offered, the ones below where it was negotiated. */
	{ VHOST_SEND_RARP, "SEND_RARP", 8, 8, 0, false, VHOST_ALWAYS, send_rarp },
	{ VHOST_RESET_DEVICE, "RESET_DEVICE", 0, 0, 0, true, VHOST_ALWAYS, vhost_reset_device },
	{ VHOST_NET_SET_MTU, "NET_SET_MTU", 8, 8, 0, false, VHOST_PROTOCOL_MTU, vhost_net_set_mtu },
	{ VHOST_GET_INFLIGHT_FD, "GET_INFLIGHT_FD", VHOST_INFLIGHT_BYTES,
	  sizeof(struct vhost_inflight), 0, false, VHOST_PROTOCOL_INFLIGHT_SHMFD,
	  vhost_get_inflight_fd },
	{ VHOST_SET_INFLIGHT_FD, "SET_INFLIGHT_FD", VHOST_INFLIGHT_BYTES,
	  sizeof(struct vhost_inflight), 1, true, VHOST_PROTOCOL_INFLIGHT_SHMFD,
	  vhost_set_inflight_fd },
	{ VHOST_GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS", 0, 0, 0, false,
	  VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS, vhost_get_max_mem_slots },
	{ VHOST_ADD_MEM_REG, "ADD_MEM_REG", 40, 40, 1, true, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS,
	  vhost_add_mem_reg },
	{ VHOST_REM_MEM_REG, "REM_MEM_REG", 40, 40, 1, true, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS,
	  vhost_rem_mem_reg },
	{ VHOST_SET_STATUS, "SET_STATUS", 8, 8, 0, true, VHOST_PROTOCOL_STATUS, vhost_set_status },
	{ VHOST_GET_STATUS, "GET_STATUS", 0, 0, 0, false, VHOST_PROTOCOL_STATUS, vhost_get_status },
};

const struct vhost_rule *vhost_rule_find(uint32_t request)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].request == request)
			return &rules[i];
	return NULL;
}

const char *vhost_request_name(uint32_t request)
{
	const struct vhost_rule *rule = vhost_rule_find(request);

	return rule ? rule->name : "unknown request";
}
