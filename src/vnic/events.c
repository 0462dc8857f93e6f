/* events.c: telling what happened to a vNIC, and noticing changes of the port's link. */
#include "base/log.h"
#include "vnic/internal.h"

/* Not every driver has an interrupt for it. */
#define LINK_EVERY_NS 1000000000u

void vnic_event(struct vnic *v, const char *name, const char *detail)
{
	const struct vnic_event ev = { .name = name, .detail = detail };

	v->ring_facts_ns = 0;
	if (v->on_event)
		v->on_event(v->on_event_arg, &ev);
}

void vnic_on_event(struct vnic *v, void (*fn)(void *arg, const struct vnic_event *ev), void *arg)
{
	v->on_event = fn;
	v->on_event_arg = arg;
}

static void link_due(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;
	bool was = v->link_up;

	if (!v->vf.attached)
		return;
	link_look(v);
	if (v->link_up == was)
		return;
	log_notice("the device's link is %s", v->link_up ? "up" : "down");
	vnic_event(v, "link", v->link_up ? "up" : "down");
}

void link_look(struct vnic *v)
{
	v->link_up = vf_link_up(&v->vf);
}

int link_init(struct vnic *v)
{
	v->link_timer = loop_timer(v->loop, link_due, v);
	if (v->link_timer < 0)
		return v->link_timer;
	link_look(v);
	return loop_timer_set(v->loop, v->link_timer, LINK_EVERY_NS, LINK_EVERY_NS);
}

void link_end(struct vnic *v)
{
	loop_timer_free(v->loop, v->link_timer);
}
