/* run.h: what the steps of one migration share; private to this room. */
#ifndef GODWIT_MIGRATE_RUN_H
#define GODWIT_MIGRATE_RUN_H

#include "migrate.h"

#define MIGRATE_TICK_MS 250 /* how often figures are asked for during the copy */

struct migrate_ctx {
	const struct migrate_request *req;
	const struct migrate_hooks *hooks; /* never NULL here */
	struct migrate_result *out;
	struct plan_run plan;
	struct vm source, destination;
	bool was_running; /* the source, before the migration */
	bool started;	  /* `migrate` was accepted: there is something to cancel */
	char stall[256];  /* why it does not converge, "" when it does or nothing is known */
	/* What the parameters step found, to be put back; -1 not changed. */
	int64_t old_downtime_ms, old_bandwidth_bytes;
	int64_t limit_bytes; /* bandwidth limit in force, bytes/s, 0 none, -1 unknown */
	bool events_set;
};

/** Tell the user one sentence, and keep it for the report. */
void migrate_notice(struct migrate_ctx *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/** Look before anything is touched; sets was_running. A plan step. */
int preflight_run(void *ctx, struct err *e);

/** Figures of @p m (NULL: none) to the progress hook, with the estimate and the reason of a stall. */
void progress_report(struct migrate_ctx *c, const struct vm_migration *m);

/**
 * Why a copy does not converge and what to do about it.
 * @param limit_bytes  bandwidth limit in bytes/s, 0 none, -1 unknown
 * @param text         one sentence, or "" when it converges or it is too early to say
 */
void progress_stall(const struct vm_migration *m, unsigned int downtime_ms, int64_t limit_bytes,
		    char *text, size_t size);

/** Seconds until the running copy is done at its present pace, -1 unknown. */
int progress_eta_s(const struct vm_migration *m);

/**
 * End a migration that is under way and see the VM running at the source again. A plan step's undo.
 * @return 0 (c->out->state says so); -EALREADY it had been completed; -errno with the sentence on
 *         what was left and what to do
 */
int recover_source(void *ctx, struct err *e);

/** Is this the last word on a migration ("completed", "failed", "cancelled")? */
bool migrate_is_over(const char *status);

/** The steps of mode vnic. */
extern const struct plan_step vnic_steps[];
extern const size_t vnic_step_count;

#endif
