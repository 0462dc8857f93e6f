/* show.c: state and counters as text that reads at a glance. */
#include <inttypes.h>
#include <string.h>

#include "vnic/internal.h"

static void show_ring(struct vnic *v, int i, FILE *to)
{
	const struct ring *r = path_ring(v->path, i);

	fprintf(to, "  virtqueue %d (%s): ", i, i == PATH_RX ? "receive" : "transmit");
	if (!v->bound[i]) {
		fprintf(to, "stopped\n");
		return;
	}
	fprintf(to, "%s, size %u, next %u, calls %" PRIu64 "%s\n",
		r->broken     ? "broken" :
		v->running[i] ? "running" :
				"waits for the dirty log",
		r->cfg.size, r->next_avail, r->calls, r->log ? ", logging" : "");
}

void vnic_show(struct vnic *v, FILE *to)
{
	const struct path_counters *c = path_counters(v->path);
	const uint8_t *m = v->vf.mac;
	struct vf_stats s;

	vf_stats(&v->vf, &s);
	fprintf(to, "vnic %s: %s, front-ends so far %" PRIu64 "%s\n", v->cfg.name,
		vnic_state_name(v->state), v->connections,
		v->awaiting_arrival ? ", awaits a VM" : "");
	fprintf(to,
		"  device %s: driver %s, link %s, mac %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, depth rx %u tx %u\n",
		v->cfg.device, v->vf.driver, vf_link_up(&v->vf) ? "up" : "down", m[0], m[1], m[2],
		m[3], m[4], m[5], v->vf.mtu, v->vf.rx_depth, v->vf.tx_depth);
	path_pause(v->path);
	for (int i = 0; i < VHOST_VRINGS; i++)
		show_ring(v, i, to);
	path_resume(v->path);
	if (v->session)
		fprintf(to, "  features 0x%" PRIx64 ", messages %" PRIu64 "\n",
			vhost_session_state(v->session)->features,
			vhost_session_stats(v->session).messages);
#define X(name, meaning) \
	fprintf(to, "  %-18s %12" PRIu64 "  %s\n", #name, path_counted(&c->name), meaning);
	PATH_COUNTERS(X)
#undef X
	fprintf(to, "  %-18s %12" PRIu64 "  %s\n", "port_rx_missed", s.rx_missed,
		"frames for which the port had no room");
	fprintf(to, "  %-18s %12" PRIu64 "  %s\n", "port_rx_errors", s.rx_errors,
		"bad frames at the port");
	fprintf(to, "  %-18s %12" PRIu64 "  %s\n", "port_tx_errors", s.tx_errors,
		"frames that the port could not send");
	fflush(to);
}
