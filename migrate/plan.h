/* plan.h: a migration as a constant array of steps that can be undone in reverse order. */
#ifndef GODWIT_MIGRATE_PLAN_H
#define GODWIT_MIGRATE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/**
 * One step. Both functions return 0 or -errno with a sentence in @p e, and keep to plan_left_ms().
 * `undo` is also called for the step that failed, so it copes with half of it; NULL when there is
 * nothing to undo. It returns -EALREADY when what it should undo has been completed instead: then
 * the plan is carried on from the step that had failed, and can no longer be interrupted.
 */
struct plan_step {
	const char *name;
	int (*run)(void *ctx, struct err *e);
	int (*undo)(void *ctx, struct err *e);
	unsigned int deadline_s; /* 0: none of its own */
};

#define PLAN_PHASES_MAX 24

/** What was done when; an undone step appears once more as "undo NAME". */
struct plan_phase {
	char name[32];
	double start_ms, end_ms; /* since the plan's start, monotonic */
	double start_at;	 /* seconds since 1970 */
};

/** One run of a plan. The caller fills in the first part and zeroes the rest. */
struct plan_run {
	const struct plan_step *steps;
	size_t count;
	void *ctx;
	bool (*interrupted)(void *ctx);		       /* asked before each step; may be NULL */
	void (*entered)(void *ctx, const char *phase); /* may be NULL */

	uint64_t start_ns, deadline_ns; /* deadline_ns 0: none */
	bool committed;			/* past the point where an interruption is heeded */
	bool undo_failed;		/* something is not as it was before: undo_err says what */
	struct err undo_err;
	struct plan_phase phases[PLAN_PHASES_MAX];
	size_t phase_count;
};

/**
 * Run all steps; on a failure undo, from that step backwards.
 * @param e  why it failed (the step's sentence); what could not be undone is in r->undo_err
 * @return   0, -ECANCELED interrupted, or the failing step's -errno
 */
int plan_run(struct plan_run *r, struct err *e);

/** Milliseconds that the running step has left, at most @p most_ms; 0 when its time is up. */
int plan_left_ms(const struct plan_run *r, int most_ms);

/** True when somebody asked to stop and stopping is still possible. */
bool plan_interrupted(const struct plan_run *r);

#endif
