/*
 * vnic.c: the life cycle.
 *
 * The front-end's messages come as changes of one state (vhost/session.h). Before each, the path is
 * paused; after it,
 * vnic_apply() makes rings and path match what the state now says, and lets the worker go on. So
 * there is one place that
 * starts, re-binds and stops rings, and none where a ring runs on memory that is going away.
 *
 * While LOG_ALL is set and no log has come, nothing may run, or its writes would be missed: QEMU
 * starts the rings of a guest that
 * resets in mid-migration in that order.
 */
#include "vnic/vnic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "vnic/internal.h"

/* How long a stop may wait for the port to take the guest's last frames. */
#define FLUSH_LIMIT_NS 5000000u

uint64_t vnic_features(void)
{
	return 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_INDIRECT_DESC |
	       1ull << VIRTIO_F_EVENT_IDX | 1ull << VIRTIO_F_VERSION_1 | 1ull << VHOST_F_LOG_ALL |
	       1ull << VHOST_USER_F_PROTOCOL_FEATURES;
}

static void state_set(struct vnic *v, enum vnic_state to)
{
	if (to == v->state)
		return;
	if (!vnic_state_allowed(v->state, to))
		log_error("state %s follows %s, which the table does not allow",
			  vnic_state_name(to), vnic_state_name(v->state));
	log_write(to == VNIC_CLOSING ? LOG_INFO : LOG_NOTICE, "%s", vnic_state_name(to));
	v->state = to;
	v->state_since_ns = clock_now_ns();
	vnic_event(v, "state", vnic_state_name(to));
}

static enum vnic_state state_of(const struct vnic *v, const struct vhost_state *s)
{
	if (v->bound[PATH_RX] || v->bound[PATH_TX])
		return vhost_has(s, VHOST_F_LOG_ALL) ? VNIC_LOGGING : VNIC_RUNNING;
	return v->ever_bound ? VNIC_STOPPED : VNIC_NEGOTIATING;
}

static void ring_stop(struct vnic *v, int i)
{
	if (v->bound[i]) {
		v->stopped[i] = true;
		v->stopped_at[i] = path_ring(v->path, i)->next_avail;
	}
	v->bound[i] = false;
	v->running[i] = false;
	path_activate(v->path, i, false);
}

/*
 * A ring that was stopped and starts again: of the same guest, which was paused, or of another one?
 * The front-end's messages are the same (QEMU sends features, memory table and all the rest after
 * `cont`, too); only the entry tells. A paused guest goes on where its ring stopped, and then
 * nothing of what the port has received meanwhile may be lost. After a reset the driver begins anew,
 * at entry 0: what the port holds was meant for a guest that is no more. (A ring that was reset when
 * it stood at 0 had just begun, or has gone round by a multiple of 65,536: then nothing is lost, and
 * the new guest may see an old frame.)
 */
static bool starts_afresh(const struct vnic *v, int i, uint16_t base)
{
	return !v->bound[i] && v->stopped[i] && v->stopped_at[i] != base;
}

static int ring_start(struct vnic *v, int i, const struct vhost_state *s, struct err *e)
{
	static const char *const name[] = { "receive", "transmit" };
	const struct vhost_vring *vr = &s->vring[i];
	bool log = vhost_has(s, VHOST_F_LOG_ALL), waits = log && !s->log;
	struct ring *r = path_ring(v->path, i);
	struct ring_config cfg = {
		.size = (uint16_t)vr->size,
		.desc = vr->desc,
		.avail = vr->avail,
		.used = vr->used,
		.used_log = vr->used_log,
		.log_used = vr->log_used,
		.event_idx = vhost_has(s, VIRTIO_F_EVENT_IDX),
		.indirect = vhost_has(s, VIRTIO_F_INDIRECT_DESC),
		.device_writes = i == PATH_RX,
		.call_fd = vr->call_fd,
	};
	bool again = v->bound[i], afresh = starts_afresh(v, i, vr->base),
	     call = !v->running[i] || r->cfg.call_fd != vr->call_fd;
	int rc = ring_bind(r, &cfg, s->mem, log ? s->log : NULL, again, vr->base, e);

	if (rc)
		return err_prefix(e, rc, "%s ring", name[i]);
	if (afresh && i == PATH_RX)
		path_discard(v->path);
	v->bound[i] = true;
	v->ever_bound = true;
	v->reported[i] = v->reported[i] && again;
	path_enable(v->path, i, vr->enabled);
	path_activate(v->path, i, !waits && !(r->broken && i == PATH_TX));
	if (waits) {
		v->running[i] = false;
		return 0;
	}
	if (!r->broken)
		ring_suppress_kicks(r, true);
	if (!v->running[i] && !r->broken)
		log_info("%s ring starts at entry %u of %u", name[i], r->next_avail, r->cfg.size);
	v->running[i] = !r->broken;
	/* A call that went to an eventfd now gone is lost: one too many costs nothing. */
	if (call && (again || r->published_used || r->next_avail))
		ring_call(r);
	return 0;
}

/*
 * The first start of a connection: what the port holds was meant for nobody, or for an earlier
 * guest.
 */
static void first_start(struct vnic *v)
{
	v->fresh = false;
	path_discard(v->path);
	if (!v->awaiting_arrival)
		return;
	v->awaiting_arrival = false;
	log_notice("the VM has arrived");
	/* Without an address there was no device yet: the first one that comes is announced. */
	if (v->dev.has_mac)
		announce_start(v, v->dev.mac);
}

static void vnic_pause(void *arg)
{
	struct vnic *v = arg;

	path_pause(v->path);
}

static int vnic_apply(void *arg, const struct vhost_state *s, struct err *e)
{
	struct vnic *v = arg;
	bool first;
	int rc = 0;

	path_set_layout(v->path,
			vhost_has(s, VIRTIO_F_VERSION_1) || vhost_has(s, VIRTIO_NET_F_MRG_RXBUF) ?
				12 :
				10,
			vhost_has(s, VIRTIO_NET_F_MRG_RXBUF));
	for (int i = 0; i < VHOST_VRINGS && !rc; i++) {
		if (s->vring[i].started)
			rc = ring_start(v, i, s, e);
		else
			ring_stop(v, i);
	}
	for (int i = 0; i < VHOST_VRINGS && rc; i++)
		ring_stop(v, i);
	first = v->fresh && (v->running[PATH_RX] || v->running[PATH_TX]);
	if (first)
		first_start(v);
	if (v->state != VNIC_CLOSING)
		state_set(v, state_of(v, s));
	if (s->features_set && !v->progress_watched) {
		v->progress_watched = true;
		watch_progress(v);
	}
	announce_update(v);
	v->ring_facts_ns = 0;
	path_resume(v->path);
	return rc;
}

static uint16_t vnic_vring_base(void *arg, unsigned int index)
{
	struct vnic *v = arg;
	struct ring *r = path_ring(v->path, index);

	if (!v->bound[index])
		return vhost_session_state(v->session)->vring[index].base;
	if (index == PATH_TX)
		path_flush_tx(v->path, FLUSH_LIMIT_NS);
	if (v->running[index] && !r->broken)
		ring_suppress_kicks(r, false);
	log_info("%s ring stops at entry %u", index == PATH_RX ? "receive" : "transmit",
		 r->next_avail);
	ring_stop(v, (int)index);
	return r->next_avail;
}

static void vnic_announce(void *arg, const uint8_t mac[6])
{
	announce_start(arg, mac);
}

static void vnic_closed(void *arg, const char *reason)
{
	struct vnic *v = arg;

	log_notice("the front-end is gone: %s", reason);
	v->session = NULL;
	v->announce_left = 0;
	/* A front-end that died asked for no stop: what its guest has sent is still to go out. */
	path_flush_tx(v->path, FLUSH_LIMIT_NS);
	if (v->state == VNIC_CLOSING)
		return;
	state_set(v, VNIC_WAITING);
	if (v->on_disconnect)
		v->on_disconnect(v->on_disconnect_arg);
}

static const struct vhost_ops ops = {
	.pause = vnic_pause,
	.apply = vnic_apply,
	.vring_base = vnic_vring_base,
	.announce = vnic_announce,
	.closed = vnic_closed,
};

int vnic_connect(struct vnic *v, int fd)
{
	int rc;

	if (v->session) {
		log_warning("a second front-end is refused: one is connected");
		close(fd);
		return -EBUSY;
	}
	v->fresh = true;
	v->ever_bound = false;
	memset(v->stopped, 0, sizeof(v->stopped));
	v->progress_watched = false;
	rc = vhost_session_new(v->loop, fd, vnic_features(), &ops, v, &v->session);
	if (rc) {
		log_error("the connection cannot be served: %s", strerror(-rc));
		return rc;
	}
	v->connections++;
	state_set(v, VNIC_NEGOTIATING);
	return 0;
}

int vnic_new(struct loop *l, const struct vnic_config *cfg, struct vnic **out, struct err *e)
{
	struct vnic *v = calloc(1, sizeof(*v));
	int rc;

	if (!v)
		return err_set(e, -ENOMEM, "no memory for a vNIC");
	v->cfg = *cfg;
	v->loop = l;
	v->awaiting_arrival = cfg->incoming;
	v->announce_timer = -1;
	v->progress_timer = -1;
	v->state_since_ns = clock_now_ns();
	v->dev.tick_timer = -1;
	v->dev.retry_timer = -1;
	v->dev.notify.fd = -1;
	v->dev.has_mac = cfg->mac != NULL;
	if (cfg->mac)
		memcpy(v->dev.mac, cfg->mac, sizeof(v->dev.mac));
	rc = path_new(NULL, &v->path, e);
	if (!rc)
		rc = device_init(v, e);
	if (!rc && strcmp(cfg->device, "none") != 0)
		rc = vnic_attach(v, cfg->device, NULL, e);
	if (!rc) {
		rc = announce_init(v);
		if (!rc)
			rc = watch_init(v);
		if (rc)
			err_set(e, rc, "the event loop takes no timer: %s", strerror(-rc));
	}
	if (rc) {
		vnic_free(v);
		return rc;
	}
	*out = v;
	return 0;
}

void vnic_free(struct vnic *v)
{
	if (!v)
		return;
	state_set(v, VNIC_CLOSING);
	vhost_session_close(v->session, "godwitd ends");
	loop_timer_free(v->loop, v->announce_timer);
	if (v->path)
		watch_end(v);
	recover_end(v);
	if (v->dev.state == DEVICE_THERE)
		device_out(v, false);
	path_free(v->path);
	device_end(v);
	free(v);
}

int vnic_set_incoming(struct vnic *v, bool incoming, struct err *e)
{
	if (v->state != VNIC_WAITING && v->state != VNIC_NEGOTIATING)
		return err_set(e, -EBUSY,
			       "a VM is here already: 'incoming' is said before its first start");
	v->awaiting_arrival = incoming;
	return 0;
}

bool vnic_incoming(const struct vnic *v)
{
	return v->awaiting_arrival;
}

enum vnic_state vnic_state(const struct vnic *v)
{
	return v->state;
}

void vnic_on_disconnect(struct vnic *v, void (*fn)(void *arg), void *arg)
{
	v->on_disconnect = fn;
	v->on_disconnect_arg = arg;
}
