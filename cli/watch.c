/* watch.c: godwit watch: events as they come. */
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "remote.h"
#include "verb.h"

enum { OPT_COUNT, OPT_JSON };

const struct cli_option watch_options[] = {
	[OPT_COUNT] = { "count", "N", "end after N events", 0 },
	[OPT_JSON] = { "json", NULL, "print each event as a line of JSON", 0 },
	{ 0 },
};

static void print_text(const struct godwit_event *ev)
{
	time_t t = (time_t)ev->time;
	int ms = (int)((ev->time - (double)t) * 1000);
	char clock[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03d  %-12s  %s\n", clock, ms, ev->event, ev->detail);
}

static void print_json(const char *vnic, const struct godwit_event *ev)
{
	remote_print(json_pack("{s:s, s:s, s:s, s:I, s:f}", "vnic", vnic, "event", ev->event,
			       "detail", ev->detail, "number", (json_int_t)ev->number, "time",
			       ev->time));
}

static int print_events(struct godwit *g, const char *vnic, unsigned int count, bool json)
{
	struct godwit_event ev;
	struct godwit_error e;

	for (unsigned int n = 0; !count || n < count; n++) {
		if (godwit_next_event(g, GODWIT_FOREVER, &ev, &e)) {
			fprintf(stderr, "godwit: %s\n", e.text);
			return EXIT_FAILED;
		}
		if (json)
			print_json(vnic, &ev);
		else
			print_text(&ev);
		if (remote_end())
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

int watch_verb(const struct cli_args *args)
{
	const char *vnic = args->operands[0];
	unsigned int count = 0;
	struct godwit_error e;
	struct godwit *g;
	int status;

	if (args->value[OPT_COUNT] &&
	    cli_uint("--count", args->value[OPT_COUNT], 1, 1u << 30, &count))
		return EXIT_USAGE;
	status = remote_open(vnic, &g);
	if (status)
		return status;
	if (godwit_subscribe(g, REMOTE_TIMEOUT_MS, &e)) {
		fprintf(stderr, "godwit: %s\n", e.text);
		status = EXIT_FAILED;
	} else {
		/* On standard error, so that scripts see nothing but events. */
		fprintf(stderr, "godwit: watching %s\n", vnic);
		status = print_events(g, vnic, count, args->value[OPT_JSON]);
	}
	godwit_free(g);
	return status;
}
