/*
 * facts.c: copying what there is to say about a vNIC.
 *
 * The rings are the worker's: it stands still while they are copied. Who asks a thousand times a second
 * must not cost the guest its traffic, so that copy is kept for a moment.
 */
#include <string.h>

#include "base/clock.h"
#include "vnic/internal.h"

#define RINGS_KEPT_NS 10000000u

static const char *ring_state(const struct vnic *v, int i, const struct ring *r)
{
	if (!v->bound[i])
		return "stopped";
	if (r->broken)
		return "broken";
	return v->running[i] ? "running" : "waits for the dirty log";
}

static void rings_copy(struct vnic *v)
{
	uint64_t now = clock_now_ns();

	if (v->ring_facts_ns && now - v->ring_facts_ns < RINGS_KEPT_NS)
		return;
	path_pause(v->path);
	for (int i = 0; i < VHOST_VRINGS; i++) {
		const struct ring *r = path_ring(v->path, i);

		v->ring_facts[i] = (struct vnic_ring_facts){
			.direction = i == PATH_RX ? "receive" : "transmit",
			.state = ring_state(v, i, r),
			.bound = v->bound[i],
			.logging = r->log,
			.size = r->cfg.size,
			.next = r->next_avail,
			.calls = r->calls,
		};
	}
	path_resume(v->path);
	v->ring_facts_ns = now;
}

static void counter_set(struct vnic_counter *c, const char *name, const char *meaning,
			uint64_t value)
{
	*c = (struct vnic_counter){ .name = name, .meaning = meaning, .value = value };
}

static void device_copy(struct vnic *v, struct vnic_facts *out)
{
	const struct vf *vf = &v->vf;
	struct vf_stats s = { 0 };
	struct vnic_counter *c = out->port;

	out->device.attached = vf->attached;
	if (vf->attached) {
		out->device = (struct vnic_device_facts){ .attached = true,
							  .name = v->cfg.device,
							  .driver = vf->driver,
							  .link_up = vf_link_up(vf),
							  .allmulticast = vf->allmulticast,
							  .mtu = vf->mtu,
							  .rx_depth = vf->rx_depth,
							  .tx_depth = vf->tx_depth };
		memcpy(out->device.mac, vf->mac, sizeof(out->device.mac));
		vf_stats(vf, &s);
	}
#define X(field, text) counter_set(c++, "port_" #field, text, s.field);
	VNIC_PORT_COUNTERS_TABLE(X)
#undef X
}

void vnic_facts(struct vnic *v, struct vnic_facts *out)
{
	const struct path_counters *from = path_counters(v->path);
	struct vnic_counter *c;

	*out = (struct vnic_facts){ .name = v->cfg.name,
				    .state = vnic_state_name(v->state),
				    .state_ns = clock_now_ns() - v->state_since_ns,
				    .connected = v->session,
				    .connections = v->connections,
				    .incoming = v->awaiting_arrival };
	c = out->counters;
	rings_copy(v);
	memcpy(out->rings, v->ring_facts, sizeof(out->rings));
	if (v->session) {
		out->features = vhost_session_state(v->session)->features;
		out->messages = vhost_session_stats(v->session).messages;
	}
#define X(field, text) counter_set(c++, #field, text, path_counted(&from->field));
	PATH_COUNTERS(X)
#undef X
	device_copy(v, out);
}
