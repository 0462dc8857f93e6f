/* plan.c: running a plan's steps, and undoing them in reverse. */
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

static double since_start_ms(const struct plan_run *r)
{
	return (double)(clock_now_ns() - r->start_ns) / 1e6;
}

static double wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_phase(struct plan_run *r, const struct plan_step *s, const char *prefix,
		     int (*fn)(void *, struct err *), struct err *e)
{
	struct plan_phase spare = { 0 }, *ph;
	int rc;

	ph = r->phase_count < PLAN_PHASES_MAX ? &r->phases[r->phase_count++] : &spare;
	snprintf(ph->name, sizeof(ph->name), "%s%s", prefix, s->name);
	ph->start_at = wall_clock();
	ph->start_ms = since_start_ms(r);
	r->deadline_ns = s->deadline_s ? clock_now_ns() + s->deadline_s * 1000000000ull : 0;
	if (r->entered)
		r->entered(r->ctx, ph->name);
	rc = fn(r->ctx, e);
	ph->end_ms = since_start_ms(r);
	return rc;
}

/* Undo steps [0, failed] backwards; -EALREADY ends it at once, other failures do not. */
static int undo_from(struct plan_run *r, size_t failed)
{
	struct err e;
	int rc;

	for (size_t i = failed + 1; i-- > 0;) {
		if (!r->steps[i].undo)
			continue;
		rc = run_phase(r, &r->steps[i], "undo ", r->steps[i].undo, &e);
		if (rc == -EALREADY && !r->committed)
			return rc;
		/* The first sentence stays: it is about the step closest to the failure. */
		if (rc && !r->undo_failed) {
			r->undo_failed = true;
			r->undo_err = e;
		}
	}
	return 0;
}

int plan_run(struct plan_run *r, struct err *e)
{
	const struct plan_step *s;
	int rc;

	r->start_ns = clock_now_ns();
	for (size_t i = 0; i < r->count; i++) {
		s = &r->steps[i];
		rc = plan_interrupted(r) ? err_set(e, -ECANCELED, "cancelled before %s", s->name) :
					   run_phase(r, s, "", s->run, e);
		if (!rc)
			continue;
		if (undo_from(r, i) != -EALREADY)
			return rc;
		r->committed = true;
		i--;
	}
	return 0;
}

int plan_left_ms(const struct plan_run *r, int most_ms)
{
	uint64_t now = clock_now_ns(), left;

	if (!r->deadline_ns)
		return most_ms;
	if (now >= r->deadline_ns)
		return 0;
	left = (r->deadline_ns - now + 999999u) / 1000000u;
	return left < (uint64_t)most_ms ? (int)left : most_ms;
}

bool plan_interrupted(const struct plan_run *r)
{
	return !r->committed && r->interrupted && r->interrupted(r->ctx);
}
