/*
 * watch.c: noticing what goes wrong while rings run: broken rings, lost memory, rings that cannot
 * move.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "vnic/internal.h"

#define PROGRESS_AFTER_NS 3000000000u

static const char *const ring_name[] = { "receive", "transmit" };

static void error_signal(const struct vhost_vring *v)
{
	uint64_t one = 1;

	if (v->err_fd >= 0 && write(v->err_fd, &one, sizeof(one)) < 0)
		log_debug("an error descriptor cannot be signalled");
}

/*
 * The worker met a ring that it cannot go on with. Bad memory ends the connection, a bad ring only
 * itself.
 */
static void alarm_ready(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;
	bool lost = false;
	uint64_t ticks;

	if (read(fd, &ticks, sizeof(ticks)) < 0)
		return;
	device_vlans(v);
	if (!v->session)
		return;
	path_pause(v->path);
	for (int i = 0; i < VHOST_VRINGS; i++) {
		struct ring *r = path_ring(v->path, i);

		if (!v->bound[i] || !r->broken || v->reported[i])
			continue;
		if (r->broken == -EFAULT) {
			lost = true;
			continue;
		}
		v->reported[i] = true;
		v->running[i] = false;
		/*
		 * A receive ring that is broken goes on dropping; a transmit ring has nothing left
		 * to do.
		 */
		if (i == PATH_TX)
			path_activate(v->path, PATH_TX, false);
		vnic_event(v, "ring-broken", ring_name[i]);
		error_signal(&vhost_session_state(v->session)->vring[i]);
		log_error("the guest broke its %s ring at entry %u: it stands still until the "
			  "guest's driver resets the device%s",
			  ring_name[i], r->next_avail,
			  r->avail[1] == 0 && r->next_avail ?
				  " (no ring progress: is guest memory shared?)" :
				  "");
	}
	path_resume(v->path);
	if (lost)
		vhost_session_close(v->session,
				    "guest memory or its dirty log was truncated by the front-end");
}

/*
 * Memory that is not shared shows in two ways. QEMU cannot send a table of memory without a file:
 * the guest's features come, and
 * no memory after them. Or there is a file, and the guest works in a private copy of it: it has
 * kicked, and posted
 * nothing that we can see. Only the receive ring tells: a driver always posts buffers there.
 */
static bool nothing_posted(const struct ring *r)
{
	return r->avail[1] == 0 && r->avail[2] == 0 && r->next_avail == 0;
}

static bool was_kicked(const struct vhost_vring *v)
{
	struct pollfd kick = { .fd = v->kick_fd, .events = POLLIN };

	return kick.fd >= 0 && poll(&kick, 1, 0) == 1;
}

static bool memory_unseen(struct vnic *v, const struct vhost_state *s)
{
	bool unseen;

	if (!s->mem)
		return s->features_set;
	if (!v->running[PATH_RX])
		return false;
	path_pause(v->path);
	unseen = nothing_posted(path_ring(v->path, PATH_RX));
	path_resume(v->path);
	/* Once is enough: memory that was seen stays seen. */
	if (!unseen)
		loop_timer_set(v->loop, v->progress_timer, 0, 0);
	return unseen && was_kicked(&s->vring[PATH_RX]);
}

static void progress_due(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;

	if (!v->session || !memory_unseen(v, vhost_session_state(v->session)))
		return;
	loop_timer_set(v->loop, v->progress_timer, 0, 0);
	log_warning("no ring progress: is guest memory shared? "
		    "QEMU needs -object memory-backend-memfd,share=on for the guest's memory");
}

int watch_init(struct vnic *v)
{
	v->progress_timer = loop_timer(v->loop, progress_due, v);
	if (v->progress_timer < 0)
		return v->progress_timer;
	return loop_add(v->loop, path_event_fd(v->path), EPOLLIN, alarm_ready, v);
}

void watch_progress(struct vnic *v)
{
	loop_timer_set(v->loop, v->progress_timer, PROGRESS_AFTER_NS, PROGRESS_AFTER_NS);
}

void watch_end(struct vnic *v)
{
	loop_remove(v->loop, path_event_fd(v->path));
	loop_timer_free(v->loop, v->progress_timer);
}
