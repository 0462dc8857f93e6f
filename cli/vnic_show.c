/* vnic_show.c: godwit show: one vNIC at a glance. */
#include "vnic_show.h"

#include <stdio.h>
#include <string.h>

#include "remote.h"
#include "verb.h"

enum { OPT_JSON };

const struct cli_option show_options[] = {
	[OPT_JSON] = { "json", NULL, "print it as JSON: docs/protocol.md, method show", 0 },
	{ 0 },
};

static void duration(double seconds, char *to, size_t size)
{
	long long s = (long long)seconds;

	if (s < 120)
		snprintf(to, size, "%.1f s", seconds);
	else if (s < 7200)
		snprintf(to, size, "%lld min", s / 60);
	else if (s < 172800)
		snprintf(to, size, "%lld h %lld min", s / 3600, s / 60 % 60);
	else
		snprintf(to, size, "%lld days %lld h", s / 86400, s / 3600 % 24);
}

static void print_state(const json_t *v)
{
	char age[48];

	duration(json_number_value(json_object_get(v, "state_seconds")), age, sizeof(age));
	printf("vNIC       %s: %s for %s%s\n", remote_text(v, "name"), remote_text(v, "state"), age,
	       json_is_true(json_object_get(v, "incoming")) ? ", awaits a VM" : "");
	printf("process    %lld, godwitd %s\n", remote_number(v, "pid"), remote_text(v, "version"));
	printf("front-end  %s, %lld so far, %lld messages, features %s\n",
	       json_is_true(json_object_get(v, "connected")) ? "connected" : "none",
	       remote_number(v, "connections"), remote_number(v, "messages"),
	       remote_text(v, "features"));
}

static void print_device(const json_t *d)
{
	if (json_object_get(d, "attempt")) {
		printf("device     was reset: attempt %lld to bring it back\n",
		       remote_number(d, "attempt"));
		return;
	}
	if (!json_is_true(json_object_get(d, "attached"))) {
		printf("device     none: what the guest sends %s\n",
		       json_is_true(json_object_get(d, "hold")) ? "waits" : "is dropped");
		return;
	}
	printf("device     %.69s\n", remote_text(d, "name"));
	printf("           %.24s, link %s, MAC %s, MTU %lld\n", remote_text(d, "driver"),
	       remote_text(d, "link"), remote_text(d, "mac"), remote_number(d, "mtu"));
	if (!json_is_true(json_object_get(d, "allmulticast")))
		printf("           refuses all-multicast: IPv6 neighbour discovery may fail\n");
}

static void print_virtqueue(const json_t *q)
{
	printf("virtqueue  %s: %s", remote_text(q, "direction"), remote_text(q, "state"));
	if (json_object_get(q, "size"))
		printf(", size %lld, wakes by %s, calls %lld%s", remote_number(q, "size"),
		       remote_text(q, "wakes_by"), remote_number(q, "calls"),
		       json_is_true(json_object_get(q, "logging")) ? ", logging" : "");
	printf("\n");
}

static void print_traffic(const json_t *v, const char *title, const char *direction)
{
	const json_t *c = json_object_get(v, "counters");
	char frames[16], bytes[16];

	snprintf(frames, sizeof(frames), "%s_frames", direction);
	snprintf(bytes, sizeof(bytes), "%s_bytes", direction);
	printf("%-9s  %lld frames, %lld bytes, %lld dropped\n", title, remote_number(c, frames),
	       remote_number(c, bytes), remote_dropped(v, direction));
}

/* The other counters, as far as they tell anything. */
static void print_counters(json_t *counters)
{
	const char *name;
	json_t *value;

	json_object_foreach(counters, name, value) {
		const char *kind = strlen(name) > 2 ? name + 2 : name;

		if (json_integer_value(value) == 0 || !strcmp(kind, "_frames") ||
		    !strcmp(kind, "_bytes"))
			continue;
		printf("  %-24s %lld\n", name, (long long)json_integer_value(value));
	}
}

void vnic_show_text(const json_t *shown)
{
	const json_t *q;
	size_t i;

	print_state(shown);
	print_device(json_object_get(shown, "device"));
	json_array_foreach(json_object_get(shown, "virtqueues"), i, q)
		print_virtqueue(q);
	print_traffic(shown, "received", "rx");
	print_traffic(shown, "sent", "tx");
	print_counters(json_object_get(shown, "counters"));
	print_counters(json_object_get(shown, "port"));
	print_counters(json_object_get(shown, "devices"));
}

int show_verb(const struct cli_args *args)
{
	json_t *shown;
	int status = remote_ask(args->operands[0], "show", NULL, REMOTE_TIMEOUT_MS, &shown);

	if (status)
		return status;
	if (args->value[OPT_JSON]) {
		remote_print(shown);
		return remote_end();
	}
	vnic_show_text(shown);
	json_decref(shown);
	return remote_end();
}
