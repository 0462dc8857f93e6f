/* link.c: noticing that the port's link has changed. */
#include "base/log.h"
#include "vnic/internal.h"

/* Not every driver has an interrupt for it. */
#define LINK_EVERY_NS 1000000000u

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
