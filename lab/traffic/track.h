/* Remembers when each numbered frame came, and which came twice, late or broken. */
#ifndef GWTRAFFIC_TRACK_H
#define GWTRAFFIC_TRACK_H

#include <stdint.h>

#define TRACK_SEQ_MAX (32u << 20) /* numbers one run may use: three hours at 3,000 a second */
#define TRACK_EVENTS_MAX 4096 /* duplicates and late frames listed one by one; all are counted */

struct track_event {
	uint32_t seq;
	uint64_t when_ns;
};

struct track_events {
	struct track_event *list; /* the first TRACK_EVENTS_MAX */
	uint32_t count;		  /* all of them */
};

/** One interval between two arrivals, in the receiver's clock. */
struct track_gap {
	uint64_t from_ns, to_ns;
};

struct track_gaps {
	struct track_gap *list; /* the first TRACK_EVENTS_MAX at least min_ns long */
	uint32_t count;		/* all of those */
	uint64_t min_ns;
	uint64_t last_ns;   /* the latest arrival; 0 = none yet */
	uint64_t sample_ns; /* the longest gap that ended since the last sample was taken */
};

struct track {
	uint64_t *when_ns; /* by number: time of arrival, 0 = never; TRACK_SEQ_MAX entries, backed on use */
	uint32_t highest;  /* 0 = nothing came yet */
	uint32_t distinct; /* different numbers received */
	uint32_t corrupt;
	struct track_events duplicated, reordered;
	struct track_gaps gaps;
};

/** @return 0 or -ENOMEM. @gap_min_ns: shorter gaps between arrivals are not listed. */
int track_init(struct track *t, uint64_t gap_min_ns);

/** Notes that number @seq (1..TRACK_SEQ_MAX - 1; others are ignored) came at @when_ns. */
void track_arrival(struct track *t, uint32_t seq, uint64_t when_ns);

/** @return 0 or -ENOMEM */
int track_gaps_init(struct track_gaps *g, uint64_t min_ns);

/** Notes an arrival for gaps alone. */
void track_gap_arrival(struct track_gaps *g, uint64_t when_ns);

#endif
