/* Clocks of the traffic program, and a pacer that spaces frames or bytes evenly. */
#ifndef GWTRAFFIC_TIMING_H
#define GWTRAFFIC_TIMING_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

static inline uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/** Wall clock, ns since 1970: the one clock of every time that leaves this program on the peer. */
static inline uint64_t real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/** Monotonic clock in ns: what pacing and time-outs use. */
static inline uint64_t mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/**
 * Spaces units (frames, bytes) at a fixed rate from absolute deadlines. A sender that fell behind
 * catches up by bursts, but never owes more than @backlog units: what it owes beyond that is
 * forgiven and counted.
 */
struct pacer {
	uint64_t rate;	   /* units a second; 0 = never due */
	uint64_t backlog;  /* the most units that may be owed */
	uint64_t start_ns; /* monotonic time at which unit 0 was due */
	uint64_t done;	   /* units sent or forgiven since start_ns */
	uint64_t forgiven; /* units never sent, because the sender was too late */
};

static inline void pacer_start(struct pacer *p, uint64_t rate, uint64_t backlog)
{
	*p = (struct pacer){ .rate = rate,
			     .backlog = backlog ? backlog : 1,
			     .start_ns = mono_ns() };
}

/** Units due at @now (monotonic ns) and not yet done: 0..backlog. */
static inline uint64_t pacer_due(struct pacer *p, uint64_t now)
{
	uint64_t owed = (uint64_t)((__uint128_t)(now - p->start_ns) * p->rate / NS_PER_S) - p->done;

	if (owed > p->backlog) {
		p->forgiven += owed - p->backlog;
		p->done += owed - p->backlog;
		owed = p->backlog;
	}
	return owed;
}

#endif
