/* progress.c: what the figures of a running copy mean: how long still, and why it does not end. */
#include <stdio.h>

#include "base/clock.h"
#include "run.h"

#define MIB (1024.0 * 1024.0)
#define PASSES_TO_JUDGE 3 /* the first pass copies everything, the second sees what that cost */

static double rate_bytes(const struct vm_migration *m)
{
	return m->mbps > 0 ? m->mbps * 1e6 / 8 : 0;
}

static double dirty_bytes(const struct vm_migration *m)
{
	if (m->dirty_pages_rate <= 0 || m->page_size <= 0)
		return 0;
	return (double)m->dirty_pages_rate * (double)m->page_size;
}

int progress_eta_s(const struct vm_migration *m)
{
	double net = rate_bytes(m) - dirty_bytes(m);

	if (m->remaining_bytes < 0 || net <= 0)
		return -1;
	return (int)((double)m->remaining_bytes / net + 0.999);
}

void progress_stall(const struct vm_migration *m, unsigned int downtime_ms, int64_t limit_bytes,
		    char *text, size_t size)
{
	double rate = rate_bytes(m), dirty = dirty_bytes(m);
	long long needed;

	text[0] = '\0';
	if (m->passes < PASSES_TO_JUDGE || rate <= 0 || dirty < 0.9 * rate)
		return;
	if (limit_bytes > 0 && rate > 0.7 * (double)limit_bytes) {
		snprintf(text, size,
			 "the guest writes %.0f MiB/s and the limit lets %.0f MiB/s "
			 "through: raise --bandwidth above %.0f",
			 dirty / MIB, (double)limit_bytes / MIB, dirty / MIB);
		return;
	}
	/* What is left now, sent with the guest stopped, plus a quarter. */
	needed = (long long)((double)m->remaining_bytes / rate * 1250) + 1;
	if (needed <= (long long)downtime_ms)
		return;
	snprintf(text, size,
		 "the guest writes %.0f MiB/s and the link carries %.0f MiB/s: raise "
		 "--downtime-ms to %lld, or let the guest write less",
		 dirty / MIB, rate / MIB, needed);
}

void progress_report(struct migrate_ctx *c, const struct vm_migration *m)
{
	struct migrate_progress p = { .eta_s = -1, .figures = m };

	if (!c->hooks->progress || !c->plan.phase_count)
		return;
	p.phase = c->plan.phases[c->plan.phase_count - 1].name;
	p.elapsed_s = (double)(clock_now_ns() - c->plan.start_ns) / 1e9;
	if (m) {
		p.eta_s = progress_eta_s(m);
		p.stall = c->stall[0] ? c->stall : NULL;
	}
	c->hooks->progress(c->hooks->arg, &p);
}
