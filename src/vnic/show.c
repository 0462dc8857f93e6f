/* show.c: state and counters as text that reads at a glance. */
#include <inttypes.h>
#include <string.h>

#include "vnic/internal.h"

/** What is copied while the worker stands still, and printed once it goes on. */
struct ring_facts {
	bool bound, running, broken, logging;
	uint16_t size, next;
	uint64_t calls;
};

static struct ring_facts ring_facts(struct vnic *v, int i)
{
	const struct ring *r = path_ring(v->path, i);

	return (struct ring_facts){ .bound = v->bound[i],
				    .running = v->running[i],
				    .broken = r->broken,
				    .logging = r->log,
				    .size = r->cfg.size,
				    .next = r->next_avail,
				    .calls = r->calls };
}

static void show_ring(const struct ring_facts *r, int i, FILE *to)
{
	fprintf(to, "  virtqueue %d (%s): ", i, i == PATH_RX ? "receive" : "transmit");
	if (!r->bound) {
		fprintf(to, "stopped\n");
		return;
	}
	fprintf(to, "%s, size %u, next %u, calls %" PRIu64 "%s\n",
		r->broken  ? "broken" :
		r->running ? "running" :
			     "waits for the dirty log",
		r->size, r->next, r->calls, r->logging ? ", logging" : "");
}

static void show_rings(struct vnic *v, FILE *to)
{
	struct ring_facts facts[VHOST_VRINGS];

	path_pause(v->path);
	for (int i = 0; i < VHOST_VRINGS; i++)
		facts[i] = ring_facts(v, i);
	path_resume(v->path);
	for (int i = 0; i < VHOST_VRINGS; i++)
		show_ring(&facts[i], i, to);
}

static void show_counter(FILE *to, const char *name, uint64_t value, const char *meaning)
{
	fprintf(to, "  %-18s %12" PRIu64 "  %s\n", name, value, meaning);
}

static void show_port(const struct vf *vf, FILE *to)
{
	struct vf_stats s = { 0 };

	if (vf->attached)
		vf_stats(vf, &s);
	show_counter(to, "port_rx_missed", s.rx_missed, "frames for which the port had no room");
	show_counter(to, "port_rx_errors", s.rx_errors, "bad frames at the port");
	show_counter(to, "port_rx_no_mbuf", s.rx_no_mbuf, "times that the port had no host buffer");
	show_counter(to, "port_tx_errors", s.tx_errors, "frames that the port could not send");
}

static void show_device(struct vnic *v, FILE *to)
{
	const struct device *d = &v->dev;
	const uint8_t *m = d->mac;

	if (d->state == DEVICE_NONE)
		fprintf(to, "  device none: what the guest sends %s",
			d->hold ? "waits in its ring" : "is dropped");
	else if (d->state == DEVICE_LOST)
		fprintf(to, "  device %s: reset, attempt %u to bring it back", d->name,
			d->tries + 1);
	else
		fprintf(to, "  device %s: driver %s, link %s, depth rx %u tx %u", d->name,
			v->vf.driver, vf_link_up(&v->vf) ? "up" : "down", v->vf.rx_depth,
			v->vf.tx_depth);
	if (d->has_mac)
		fprintf(to, ", mac %02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
			m[5]);
	if (d->mtu)
		fprintf(to, ", mtu %u", d->mtu);
	fprintf(to, "\n");
}

static void show_device_counters(const struct device *d, FILE *to)
{
	show_counter(to, "attaches", d->attaches, "devices attached");
	show_counter(to, "detaches", d->detaches, "devices detached");
	show_counter(to, "attach_failures", d->attach_failures, "attempts to attach that failed");
	show_counter(to, "port_resets", d->port_resets, "resets of the port that were noticed");
	show_counter(to, "port_backs", d->port_backs, "times that it came back");
	show_counter(to, "port_removals", d->port_removals,
		     "times that it went away, or stayed away");
	show_counter(to, "link_changes", d->link_changes, "times that the port's link changed");
}

void vnic_show(struct vnic *v, FILE *to)
{
	const struct path_counters *c = path_counters(v->path);

	fprintf(to, "vnic %s: %s, front-ends so far %" PRIu64 "%s\n", v->cfg.name,
		vnic_state_name(v->state), v->connections,
		v->awaiting_arrival ? ", awaits a VM" : "");
	show_device(v, to);
	show_rings(v, to);
	if (v->session)
		fprintf(to, "  features 0x%" PRIx64 ", messages %" PRIu64 "\n",
			vhost_session_state(v->session)->features,
			vhost_session_stats(v->session).messages);
#define X(name, meaning) show_counter(to, #name, path_counted(&c->name), meaning);
	PATH_COUNTERS(X)
#undef X
	show_device_counters(&v->dev, to);
	show_port(&v->vf, to);
}
