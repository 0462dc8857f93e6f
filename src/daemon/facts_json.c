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
	json_t *o = json_pack("{s:b}", "attached", (int)d->attached);
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", d->mac[0], d->mac[1], d->mac[2],
		 d->mac[3], d->mac[4], d->mac[5]);
	if (d->has_mac)
		json_object_set_new(o, "mac", json_string(mac));
	if (d->mtu)
		json_object_set_new(o, "mtu", json_integer(d->mtu));
	if (!d->attached) {
		json_object_set_new(o, "hold", json_boolean(d->hold));
		if (d->lost)
			json_object_set_new(o, "attempt", json_integer(d->attempt));
		return o;
	}
	json_object_set_new(o, "name", json_string(d->name));
	json_object_set_new(o, "driver", json_string(d->driver));
	json_object_set_new(o, "link", json_string(d->link_up ? "up" : "down"));
	json_object_set_new(o, "rx_depth", json_integer(d->rx_depth));
	json_object_set_new(o, "tx_depth", json_integer(d->tx_depth));
	json_object_set_new(o, "allmulticast", json_boolean(d->allmulticast));
	return o;
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
	json_object_set_new(q, "wakes_by", json_string(r->wakes_by));
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
	return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "name", f->name, "state", f->state,
			 "time_ns", (json_int_t)clock_now_ns(), "counters",
			 counters(f->counters, VNIC_COUNTERS), "port",
			 counters(f->port, VNIC_PORT_COUNTERS), "devices",
			 counters(f->devices, VNIC_DEVICE_COUNTERS));
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
