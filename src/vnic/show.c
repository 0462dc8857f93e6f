/* show.c: state and counters as text that reads at a glance. */
#include <inttypes.h>

#include "vnic/internal.h"

static void show_device(const struct vnic_device_facts *d, FILE *to)
{
	const uint8_t *m = d->mac;

	if (d->lost)
		fprintf(to, "  device %s: reset, attempt %u to bring it back", d->name, d->attempt);
	else if (!d->attached)
		fprintf(to, "  device none: what the guest sends %s",
			d->hold ? "waits in its ring" : "is dropped");
	else
		fprintf(to, "  device %s: driver %s, link %s, depth rx %u tx %u", d->name,
			d->driver, d->link_up ? "up" : "down", d->rx_depth, d->tx_depth);
	if (d->has_mac)
		fprintf(to, ", mac %02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4],
			m[5]);
	if (d->mtu)
		fprintf(to, ", mtu %u", d->mtu);
	fprintf(to, "\n");
}

static void show_ring(const struct vnic_ring_facts *r, int i, FILE *to)
{
	fprintf(to, "  virtqueue %d (%s): %s", i, r->direction, r->state);
	if (r->bound)
		fprintf(to, ", size %u, next %u, calls %" PRIu64 ", wakes by %s%s", r->size,
			r->next, r->calls, r->wakes_by, r->logging ? ", logging" : "");
	fprintf(to, "\n");
}

static void show_counters(const struct vnic_counter *c, int n, FILE *to)
{
	for (int i = 0; i < n; i++)
		fprintf(to, "  %-18s %12" PRIu64 "  %s\n", c[i].name, c[i].value, c[i].meaning);
}

void vnic_show(struct vnic *v, FILE *to)
{
	struct vnic_facts f;

	vnic_facts(v, &f);
	fprintf(to, "vnic %s: %s, front-ends so far %" PRIu64 "%s\n", f.name, f.state,
		f.connections, f.incoming ? ", awaits a VM" : "");
	show_device(&f.device, to);
	for (int i = 0; i < VNIC_RINGS; i++)
		show_ring(&f.rings[i], i, to);
	if (f.connected)
		fprintf(to, "  features 0x%" PRIx64 ", messages %" PRIu64 "\n", f.features,
			f.messages);
	show_counters(f.counters, VNIC_COUNTERS, to);
	show_counters(f.port, VNIC_PORT_COUNTERS, to);
	show_counters(f.devices, VNIC_DEVICE_COUNTERS, to);
}
