/* Remembers when each numbered frame came, and which came twice, late or broken. */
#include "track.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int track_gaps_init(struct track_gaps *g, uint64_t min_ns)
{
	*g = (struct track_gaps){ .min_ns = min_ns,
				  .list = calloc(TRACK_EVENTS_MAX, sizeof(*g->list)) };
	return g->list ? 0 : -ENOMEM;
}

void track_gap_arrival(struct track_gaps *g, uint64_t when_ns)
{
	uint64_t gap = g->last_ns && when_ns > g->last_ns ? when_ns - g->last_ns : 0;

	if (gap > g->sample_ns)
		g->sample_ns = gap;
	if (gap >= g->min_ns) {
		if (g->count < TRACK_EVENTS_MAX)
			g->list[g->count] = (struct track_gap){ g->last_ns, when_ns };
		g->count++;
	}
	if (when_ns > g->last_ns)
		g->last_ns = when_ns;
}

int track_init(struct track *t, uint64_t gap_min_ns)
{
	*t = (struct track){ 0 };
	t->when_ns = mmap(NULL, TRACK_SEQ_MAX * sizeof(*t->when_ns), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (t->when_ns == MAP_FAILED)
		return -ENOMEM;
	t->duplicated.list = calloc(TRACK_EVENTS_MAX, sizeof(struct track_event));
	t->reordered.list = calloc(TRACK_EVENTS_MAX, sizeof(struct track_event));
	if (!t->duplicated.list || !t->reordered.list)
		return -ENOMEM;
	return track_gaps_init(&t->gaps, gap_min_ns);
}

static void note_event(struct track_events *e, uint32_t seq, uint64_t when_ns)
{
	if (e->count < TRACK_EVENTS_MAX)
		e->list[e->count] = (struct track_event){ seq, when_ns };
	e->count++;
}

void track_arrival(struct track *t, uint32_t seq, uint64_t when_ns)
{
	if (!seq || seq >= TRACK_SEQ_MAX)
		return;
	track_gap_arrival(&t->gaps, when_ns);
	if (t->when_ns[seq]) {
		note_event(&t->duplicated, seq, when_ns);
		return;
	}
	t->when_ns[seq] = when_ns;
	t->distinct++;
	if (seq < t->highest)
		note_event(&t->reordered, seq, when_ns);
	else
		t->highest = seq;
}
