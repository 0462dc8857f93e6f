/* device.c: the messages about the device as a whole: status, reset, MTU, and the in-flight record. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vhost/internal.h"

/*
 * Spec: virtio 1.2, 2.1: writing 0 resets the device. QEMU does it whenever the guest pauses, before or
 * after it asks for the rings' places, and says everything else anew when the guest goes on. So rings
 * stop, and nothing is forgotten.
 */
int vhost_set_status(struct vhost_session *s, struct err *e)
{
	if (s->payload.u64 > UINT8_MAX)
		return err_set(e, -EINVAL, "0x%" PRIx64 " is no 8-bit status", s->payload.u64);
	s->state.status = (uint8_t)s->payload.u64;
	if (!s->state.status)
		vhost_rings_stop(s);
	return 0;
}

int vhost_get_status(struct vhost_session *s, struct err *e)
{
	return vhost_reply_u64(s, s->state.status);
}

/*
 * Spec: vhost-user, RESET_DEVICE: rings disabled, device state initial. What belongs to the connection
 * stays: memory, protocol features, CALL and ERR, which QEMU does not send again.
 */
int vhost_reset_device(struct vhost_session *s, struct err *e)
{
	struct vhost_state *st = &s->state;

	vhost_rings_stop(s);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		st->vring[i] = (struct vhost_vring){ .kick_fd = -1,
						     .call_fd = st->vring[i].call_fd,
						     .err_fd = st->vring[i].err_fd };
	st->features = 0;
	st->features_set = false;
	st->status = 0;
	dirty_log_free(st->log);
	st->log = NULL;
	inflight_free(st->inflight);
	st->inflight = NULL;
	return 0;
}

/* Refusing an MTU is an answer, not the end of the connection. */
int vhost_net_set_mtu(struct vhost_session *s, struct err *e)
{
	s->refused = s->ops->mtu ? -s->ops->mtu(s->arg, s->payload.u64) : 0;
	return 0;
}

static int inflight_check(const struct vhost_session *s, struct err *e)
{
	const struct vhost_inflight *f = &s->payload.inflight;

	/* The fields, or QEMU's structure of them with its padding. */
	if (s->header.size != VHOST_INFLIGHT_BYTES && s->header.size != sizeof(*f))
		return err_set(e, -EPROTO, "has %" PRIu32 " bytes, %u or %zu are right",
			       s->header.size, VHOST_INFLIGHT_BYTES, sizeof(*f));
	if (f->num_queues == 0 || f->num_queues > VHOST_VRINGS)
		return err_set(e, -EINVAL, "%u virtqueues, 1 to %d are possible", f->num_queues,
			       VHOST_VRINGS);
	if (f->queue_size == 0 || f->queue_size > 32768 || (f->queue_size & (f->queue_size - 1)))
		return err_set(e, -EINVAL, "queue size %u is no power of two up to 32768",
			       f->queue_size);
	return 0;
}

/* The front-end keeps the record; it is taken up once SET_INFLIGHT_FD brings it back. */
int vhost_get_inflight_fd(struct vhost_session *s, struct err *e)
{
	const struct vhost_inflight *f = &s->payload.inflight;
	int rc = inflight_check(s, e);

	if (rc)
		return rc;
	rc = inflight_make(f->num_queues, f->queue_size, e);
	if (rc < 0)
		return rc;
	s->reply_fd = rc;
	memset(&s->reply, 0, sizeof(s->reply));
	s->reply.inflight =
		(struct vhost_inflight){ .mmap_size = inflight_bytes(f->num_queues, f->queue_size),
					 .num_queues = f->num_queues,
					 .queue_size = f->queue_size };
	/* As long as the question. */
	s->reply_bytes = s->header.size;
	return 0;
}

int vhost_set_inflight_fd(struct vhost_session *s, struct err *e)
{
	const struct vhost_inflight *f = &s->payload.inflight;
	struct inflight_area *a;
	int rc = inflight_check(s, e);

	if (rc)
		return rc;
	if (s->fd_count != 1)
		return err_set(e, -EINVAL, "needs one descriptor, %u came", s->fd_count);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		if (s->state.vring[i].started)
			return err_set(e, -EBUSY, "virtqueue %u runs", i);
	rc = inflight_map(s->fds[0], f->mmap_size, f->mmap_offset, f->num_queues, f->queue_size, &a,
			  e);
	if (rc)
		return rc;
	inflight_free(s->state.inflight);
	s->state.inflight = a;
	return 0;
}
