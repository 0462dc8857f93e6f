/* event.c: telling whoever listens what happens to a vNIC. */
#include "vnic/internal.h"

void vnic_on_event(struct vnic *v, void (*fn)(void *arg, const struct vnic_event *ev), void *arg)
{
	v->on_event = fn;
	v->on_event_arg = arg;
}

void vnic_event(struct vnic *v, const char *name, const char *detail)
{
	const struct vnic_event ev = { .name = name, .detail = detail };

	v->ring_facts_ns = 0;
	if (v->on_event)
		v->on_event(v->on_event_arg, &ev);
}
