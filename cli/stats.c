/* stats.c: godwit stats: counters once, or rates as they come. */
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "remote.h"
#include "verb.h"

#define HEAD_EVERY 20

enum { OPT_WATCH, OPT_INTERVAL, OPT_COUNT, OPT_JSON };

const struct cli_option stats_options[] = {
	[OPT_WATCH] = { "watch", NULL, "print a line of rates every interval, until Ctrl-C", 0 },
	[OPT_INTERVAL] = { "interval", "S", "seconds between two lines (default 1)", 0 },
	[OPT_COUNT] = { "count", "N", "with --watch: end after N lines", 0 },
	[OPT_JSON] = { "json", NULL, "print counters as JSON: one line each time", 0 },
	{ 0 },
};

static void print_counters(json_t *counters)
{
	const char *name;
	json_t *value;

	json_object_foreach(counters, name, value)
		printf("%-24s %20lld\n", name, (long long)json_integer_value(value));
}

static double rate(const json_t *before, const json_t *now, const char *counter, double seconds)
{
	const json_t *a = json_object_get(before, "counters");
	const json_t *b = json_object_get(now, "counters");

	return (double)(remote_number(b, counter) - remote_number(a, counter)) / seconds;
}

static void print_head(void)
{
	printf("%-8s  %11s %10s  %11s %10s  %10s\n", "", "received/s", "Mbit/s", "sent/s", "Mbit/s",
	       "dropped");
}

static void print_rates(const json_t *before, const json_t *now)
{
	double seconds =
		(double)(remote_number(now, "time_ns") - remote_number(before, "time_ns")) / 1e9;
	long long lost = remote_dropped(now, "rx") + remote_dropped(now, "tx") -
			 remote_dropped(before, "rx") - remote_dropped(before, "tx");
	time_t t = time(NULL);
	char clock[16];
	struct tm tm;

	if (seconds <= 0)
		return;
	localtime_r(&t, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s  %11.0f %10.2f  %11.0f %10.2f  %10lld\n", clock,
	       rate(before, now, "rx_frames", seconds),
	       rate(before, now, "rx_bytes", seconds) * 8 / 1e6,
	       rate(before, now, "tx_frames", seconds),
	       rate(before, now, "tx_bytes", seconds) * 8 / 1e6, lost);
}

static void pause_for(unsigned int seconds)
{
	struct timespec ts = { .tv_sec = (time_t)seconds };

	nanosleep(&ts, NULL);
}

/* JSON gives counters, each time; text gives what has changed since the last time. */
static int watch(struct godwit *g, unsigned int interval, unsigned int count, bool json)
{
	json_t *before = NULL, *now;
	int status = EXIT_OK;

	for (unsigned int n = 0; !status && (!count || n < count + !json); n++) {
		if (n)
			pause_for(interval);
		status = remote_call(g, "stats", NULL, REMOTE_TIMEOUT_MS, &now);
		if (status)
			break;
		if (json) {
			remote_print(json_incref(now));
		} else {
			if (n % HEAD_EVERY == 0)
				print_head();
			if (before)
				print_rates(before, now);
		}
		json_decref(before);
		before = now;
		status = remote_end();
	}
	json_decref(before);
	return status;
}

static int once(struct godwit *g, bool json)
{
	json_t *stats;
	int status = remote_call(g, "stats", NULL, REMOTE_TIMEOUT_MS, &stats);

	if (status)
		return status;
	if (json) {
		remote_print(stats);
		return remote_end();
	}
	print_counters(json_object_get(stats, "counters"));
	print_counters(json_object_get(stats, "port"));
	print_counters(json_object_get(stats, "devices"));
	json_decref(stats);
	return remote_end();
}

int stats_verb(const struct cli_args *args)
{
	unsigned int interval = 1, count = 0;
	bool json = args->value[OPT_JSON];
	struct godwit *g;
	int status;

	if (args->value[OPT_INTERVAL] &&
	    cli_uint("--interval", args->value[OPT_INTERVAL], 1, 86400, &interval))
		return EXIT_USAGE;
	if (args->value[OPT_COUNT] &&
	    cli_uint("--count", args->value[OPT_COUNT], 1, 1u << 30, &count))
		return EXIT_USAGE;
	status = remote_open(args->operands[0], &g);
	if (status)
		return status;
	status = args->value[OPT_WATCH] ? watch(g, interval, count, json) : once(g, json);
	godwit_free(g);
	return status;
}
