/* Command-line options that the peer and the guest role share. */
#include "opts.h"

#include "timing.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

volatile int opts_end, opts_quiet;

static const struct option LONG[] = {
	{ "iface", required_argument, NULL, 'i' },
	{ "other-mac", required_argument, NULL, 'm' },
	{ "guest-mac", required_argument, NULL, 'm' },
	{ "peer-mac", required_argument, NULL, 'm' },
	{ "run", required_argument, NULL, 'r' },
	{ "rate", required_argument, NULL, 'f' },
	{ "out", required_argument, NULL, 'o' },
	{ "tick-us", required_argument, NULL, 't' },
	{ "gap-ms", required_argument, NULL, 'g' },
	{ "tcp-mbit", required_argument, NULL, 'b' },
	{ "tcp-port", required_argument, NULL, 'p' },
	{ "tcp-to", required_argument, NULL, 'c' },
	{ NULL, 0, NULL, 0 },
};

static int parse_mac(const char *text, uint8_t mac[6])
{
	char end;

	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%c", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5], &end) == 6 ?
		       0 :
		       2;
}

static int take(struct opts *o, int c)
{
	switch (c) {
	case 'i':
		o->iface = optarg;
		return 0;
	case 'm':
		return parse_mac(optarg, o->mac);
	case 'r':
		o->run = (uint32_t)strtoul(optarg, NULL, 0);
		return 0;
	case 'f':
		o->rate = strtoull(optarg, NULL, 0);
		return 0;
	case 'o':
		o->out = optarg;
		return 0;
	case 't':
		o->tick_ns = strtoull(optarg, NULL, 0) * 1000;
		return o->tick_ns ? 0 : 2;
	case 'g':
		o->gap_min_ns = strtoull(optarg, NULL, 0) * NS_PER_MS;
		return 0;
	case 'b':
		o->tcp_rate = strtoull(optarg, NULL, 0) * 125000;
		return 0;
	case 'p':
		o->tcp_port = (uint16_t)strtoul(optarg, NULL, 0);
		return 0;
	case 'c':
		o->tcp_to = optarg;
		return 0;
	default:
		return 2;
	}
}

int opts_parse(struct opts *o, int argc, char **argv)
{
	int c;

	*o = (struct opts){ .run = 1,
			    .rate = 1500,
			    .tick_ns = NS_PER_MS,
			    .gap_min_ns = 20 * NS_PER_MS,
			    .tcp_port = 7001 };
	while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1)
		if (take(o, c)) {
			fprintf(stderr, "gwtraffic: wrong option or value: %s\n", argv[optind - 1]);
			return 2;
		}
	if (!o->iface || !o->out ||
	    !(o->mac[0] | o->mac[1] | o->mac[2] | o->mac[3] | o->mac[4] | o->mac[5])) {
		fprintf(stderr, "gwtraffic: --iface, --other-mac and --out are needed\n");
		return 2;
	}
	return 0;
}

static void on_signal(int sig)
{
	opts_quiet = 1;
	if (sig != SIGUSR1)
		opts_end = 1;
}

void opts_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
}

uint64_t opts_next_tick(const struct opts *o, uint64_t deadline_ns)
{
	uint64_t now = mono_ns();
	struct timespec ts;

	deadline_ns += o->tick_ns;
	if (deadline_ns < now)
		deadline_ns = now;
	ts = (struct timespec){ .tv_sec = (time_t)(deadline_ns / NS_PER_S),
				.tv_nsec = (long)(deadline_ns % NS_PER_S) };
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	return deadline_ns;
}
