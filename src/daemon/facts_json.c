/* facts_json.c: a vNIC's facts as JSON. */
#include "daemon/facts_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *counters(const struct vnic_counter *c, int n)
{
	json_t *all = json_object();

	for (int i = 0; i < n; i++)
		json_object_set_new(all, c[i].name, number(c[i].value));
	return all;
}

static json_t *device(const struct vnic_device_facts *d)
{
	char mac[18];

	if (!d->attached)
		return json_pack("{s:b}", "attached", 0);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", d->mac[0], d->mac[1], d->mac[2],
		 d->mac[3], d->mac[4], d->mac[5]);
	return json_pack("{s:b, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:b}", "attached", 1, "name",
			 d->name, "driver", d->driver, "link", d->link_up ? "up" : "down", "mac",
			 mac, "mtu", (int)d->mtu, "rx_depth", (int)d->rx_depth, "tx_depth",
			 (int)d->tx_depth, "allmulticast", (int)d->allmulticast);
}

static json_t *virtqueue(const struct vnic_ring_facts *r, int index)
{
	json_t *q = json_pack("{s:i, s:s, s:s}", "index", index, "direction", r->direction, "state",
			      r->state);

	if (!r->bound)
		return q;
	json_object_set_new(q, "size", json_integer(r->size));
	json_object_set_new(q, "next", json_integer(r->next));
	json_object_set_new(q, "calls", number(r->calls));
	json_object_set_new(q, "logging", json_boolean(r->logging));
	return q;
}

static json_t *virtqueues(const struct vnic_facts *f)
{
	json_t *all = json_array();

	for (int i = 0; i < VNIC_RINGS; i++)
		json_array_append_new(all, virtqueue(&f->rings[i], i));
	return all;
}

json_t *facts_json_stats(const struct vnic_facts *f)
{
	return json_pack("{s:s, s:s, s:I, s:o, s:o}", "name", f->name, "state", f->state, "time_ns",
			 (json_int_t)clock_now_ns(), "counters",
			 counters(f->counters, VNIC_COUNTERS), "port",
			 counters(f->port, VNIC_PORT_COUNTERS));
}

json_t *facts_json_show(const struct vnic_facts *f)
{
	json_t *all = facts_json_stats(f);
	uint64_t state_ms = f->state_ns / 1000000;
	char features[24];

	snprintf(features, sizeof(features), "0x%" PRIx64, f->features);
	json_object_set_new(all, "version", json_string(GODWIT_VERSION));
	json_object_set_new(all, "pid", json_integer(getpid()));
	json_object_set_new(all, "state_seconds", json_real((double)state_ms / 1e3));
	json_object_set_new(all, "connected", json_boolean(f->connected));
	json_object_set_new(all, "connections", number(f->connections));
	json_object_set_new(all, "incoming", json_boolean(f->incoming));
	json_object_set_new(all, "device", device(&f->device));
	json_object_set_new(all, "virtqueues", virtqueues(f));
	json_object_set_new(all, "features", f->connected ? json_string(features) : json_null());
	json_object_set_new(all, "messages", number(f->messages));
	return all;
}
