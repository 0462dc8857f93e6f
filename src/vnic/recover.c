/*
 * recover.c: looking after the port: resets and removals that its driver reports, a link that
 * changes, transmit that stands still.
 *
 * A port that was reset is taken from the path, and started anew: at first by what its driver has
 * for that, now and then by giving the device back and taking it again. A PF may be away for as long
 * as its administrator likes, so attempts are repeated, ever more slowly, for some ten minutes. What
 * the guest sends waits during the first attempt, and is dropped during the others.
 *
 * Not every reset is reported. A VF that was reset through sysfs looks well, but sends nothing: so
 * once a second it is seen whether frames that the port was given have left (path_tx_stalled()).
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/log.h"
#include "vnic/internal.h"

#define TICK_NS 1000000000u
#define RETRY_FIRST_NS 100000000u
#define RETRY_LAST_NS 10000000000u
#define TRIES_MAX 64
/* Every so many attempts the device is given back and taken again. */
#define REPROBE_EACH 2
/* A port that was well for so long starts with short delays again. */
#define SETTLED_NS 10000000000u
#define STALLS_MAX 2

static uint64_t retry_delay_ns(const struct device *d)
{
	uint64_t delay = RETRY_FIRST_NS;

	for (unsigned int i = 0; i < d->tries && delay < RETRY_LAST_NS; i++)
		delay *= 2;
	return delay < RETRY_LAST_NS ? delay : RETRY_LAST_NS;
}

static void port_reset(struct vnic *v, const char *why)
{
	struct device *d = &v->dev;

	/* While it is being brought back, news of resets is old, or met by the next attempt. */
	if (d->state != DEVICE_THERE)
		return;
	d->port_resets++;
	if (clock_now_ns() - d->back_ns > SETTLED_NS)
		d->tries = 0;
	log_warning("device %s was reset (%s): it is started anew", d->name, why);
	device_out(v, true);
	d->state = DEVICE_LOST;
	loop_timer_set(v->loop, d->retry_timer, retry_delay_ns(d), 0);
	vnic_event(v, "port-reset", why);
}

static void port_gone(struct vnic *v, const char *why)
{
	struct device *d = &v->dev;

	if (d->state == DEVICE_NONE)
		return;
	d->port_removals++;
	log_error("device %s is given back: %s; what the guest sends is dropped until another one "
		  "is attached",
		  d->name, why);
	device_out(v, false);
	d->state = DEVICE_NONE;
	loop_timer_set(v->loop, d->retry_timer, 0, 0);
	vf_detach(&v->vf);
	vnic_event(v, "port-removed", why);
}

static int port_again(struct vnic *v, struct err *e)
{
	struct vf_config cfg = device_config(v, v->dev.name, NULL);
	int rc;

	if (v->vf.attached && v->dev.tries % REPROBE_EACH)
		return vf_restart(&v->vf, &cfg, e);
	vf_detach(&v->vf);
	vf_notify_take(&v->dev.notify);
	rc = vf_attach(&v->vf, &cfg, e);
	if (!rc && (vf_notify_take(&v->dev.notify) & VF_NEWS_RESET))
		rc = err_set(e, -EAGAIN, "its PF does not answer");
	return rc;
}

static void retry_due(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;
	struct device *d = &v->dev;
	struct err e = { "" };
	int rc;

	if (d->state != DEVICE_LOST)
		return;
	d->tries++;
	rc = port_again(v, &e);
	if (!rc) {
		d->port_backs++;
		d->back_ns = clock_now_ns();
		device_in(v);
		log_notice("device %s is back after %u attempts", d->name, d->tries);
		vnic_event(v, "port-back", d->name);
		return;
	}
	log_write(d->tries == 1 ? LOG_WARNING : LOG_INFO, "attempt %u to bring device %s back: %s",
		  d->tries, d->name, e.text);
	if (d->tries >= TRIES_MAX) {
		port_gone(v, "it does not come back after its reset");
		return;
	}
	if (d->hold)
		device_out(v, false);
	loop_timer_set(v->loop, d->retry_timer, retry_delay_ns(d), 0);
}

static void link_look(struct vnic *v)
{
	struct device *d = &v->dev;
	bool up;

	if (d->state != DEVICE_THERE)
		return;
	up = vf_link_up(&v->vf);
	if (up == d->link_up)
		return;
	d->link_up = up;
	d->link_changes++;
	log_notice("the device's link is %s", up ? "up" : "down");
	vnic_event(v, "link", up ? "up" : "down");
}

static void news_ready(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;
	unsigned int news = vf_notify_take(&v->dev.notify);

	if (news & VF_NEWS_REMOVED)
		port_gone(v, "it is being removed, or taken away from its driver");
	else if (news & VF_NEWS_RESET)
		port_reset(v, "its driver says so");
	if (news & VF_NEWS_LINK)
		link_look(v);
}

/* Of PCI devices only: a virtual one that takes no frames is not mended by a restart. */
static void progress_look(struct vnic *v)
{
	struct device *d = &v->dev;
	bool stalled;

	if (d->state != DEVICE_THERE || !v->vf.facts.pci[0])
		return;
	path_pause(v->path);
	stalled = path_tx_stalled(v->path);
	path_resume(v->path);
	/* Without a link nothing is sent, and that is no fault of the port's. */
	d->stalls = stalled && d->link_up ? d->stalls + 1 : 0;
	if (d->stalls >= STALLS_MAX)
		port_reset(v, "it sends nothing any more");
}

static void tick_due(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;

	link_look(v);
	progress_look(v);
}

int recover_init(struct vnic *v)
{
	struct device *d = &v->dev;

	d->tick_timer = loop_timer(v->loop, tick_due, v);
	if (d->tick_timer < 0)
		return d->tick_timer;
	d->retry_timer = loop_timer(v->loop, retry_due, v);
	if (d->retry_timer < 0)
		return d->retry_timer;
	loop_timer_set(v->loop, d->tick_timer, TICK_NS, TICK_NS);
	return loop_add(v->loop, d->notify.fd, EPOLLIN, news_ready, v);
}

void recover_end(struct vnic *v)
{
	loop_timer_free(v->loop, v->dev.tick_timer);
	loop_timer_free(v->loop, v->dev.retry_timer);
	loop_remove(v->loop, v->dev.notify.fd);
}
