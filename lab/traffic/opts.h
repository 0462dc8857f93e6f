/* Command-line options that the peer and the guest role share. */
#ifndef GWTRAFFIC_OPTS_H
#define GWTRAFFIC_OPTS_H

#include <stdint.h>

struct opts {
	const char *iface, *out;
	uint8_t mac[6]; /* the other end's */
	uint32_t run;
	uint64_t rate;	     /* frames a second */
	uint64_t tick_ns;    /* how often the loop runs */
	uint64_t gap_min_ns; /* gaps at least this long are listed */
	uint64_t tcp_rate;   /* bytes a second; 0 = no stream */
	uint16_t tcp_port;
	const char *tcp_to; /* the peer connects there; NULL = wait for a connection */
};

/** Parses @argv after the role's name. Prints what is wrong. @return 0, or 2 on wrong usage */
int opts_parse(struct opts *o, int argc, char **argv);

/** Set by SIGTERM and SIGINT: end; by SIGUSR1: stop sending. */
extern volatile int opts_end, opts_quiet;

/** Installs the handlers of these signals. */
void opts_catch_signals(void);

/** Sleeps until the next multiple of the tick after @deadline_ns (monotonic). @return that time */
uint64_t opts_next_tick(const struct opts *o, uint64_t deadline_ns);

#endif
