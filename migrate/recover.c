/*
 * recover.c: taking a migration back without ever running the VM twice.
 *
 * QEMU starts the source again by itself when a migration fails or is cancelled. What is left to do
 * is to make it end, to see that the VM runs, and to think where QEMU could not know:
 *
 *   the source says        the destination            what is done
 *   completed              is there                   not undone: the plan goes on (-EALREADY)
 *   completed              ended, never resumed       the source is continued
 *   completed              ended after its RESUME     nothing: the source's memory is of the past
 *   completed              cannot be asked            nothing: it may be running
 *   failed or cancelled    runs the VM nevertheless   it is stopped, the source is the VM
 *   failed or cancelled    ended, or holds it paused  the source is continued if QEMU did not
 *
 * QEMU sends RESUME before the first instruction runs (vm_prepare_start), so a destination that
 * ended without one has never run the VM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "run.h"

#define SETTLE_MS 2000 /* QEMU starts the source a moment after it says "failed" */
#define ENDING_MS 5000 /* a destination ends when the stream breaks */

bool migrate_is_over(const char *status)
{
	return !strcmp(status, "completed") || !strcmp(status, "failed") ||
	       !strcmp(status, "cancelled");
}

static int say(struct migrate_ctx *c, const char *text)
{
	err_set(&c->out->state, 0, "%s", text);
	return 0;
}

/* Cancel, and wait for QEMU's last word. */
static int end_migration(struct migrate_ctx *c, struct vm_migration *m, struct err *e)
{
	bool cancelled = false;
	int rc;

	for (;;) {
		rc = vm_query_migration(&c->source, m, e);
		if (rc)
			return rc;
		if (migrate_is_over(m->status) || !m->status[0])
			return 0;
		if (!cancelled)
			rc = vm_call(&c->source, "migrate_cancel", NULL, NULL, e);
		if (rc)
			return rc;
		cancelled = true;
		if (!plan_left_ms(&c->plan, 1))
			return err_set(e, -ETIMEDOUT,
				       "QEMU does not end the migration (%s): see with "
				       "query-migrate on %s",
				       m->status, c->req->qmp);
		vm_wait(&c->source, &c->destination, 50);
	}
}

/* The source in @p want within SETTLE_MS; *state is what it came to. */
static int settle(struct migrate_ctx *c, const char *want, char *state, size_t size, struct err *e)
{
	int rc;

	for (int waited = 0;; waited += 50) {
		rc = vm_state(&c->source, state, size, e);
		if (rc || !strcmp(state, want) || waited >= SETTLE_MS)
			return rc;
		vm_wait(&c->source, &c->destination, 50);
	}
}

static int continue_source(struct migrate_ctx *c, struct err *e)
{
	char state[24] = "";
	int rc = vm_call(&c->source, "cont", NULL, NULL, e);

	if (!rc)
		rc = settle(c, "running", state, sizeof(state), e);
	if (!rc && strcmp(state, "running"))
		rc = err_set(e, -EIO, "the source is \"%s\" and does not continue", state);
	if (rc)
		return err_prefix(e, rc, "the VM runs nowhere; look at the source's log");
	return say(c, "the VM runs at the source again");
}

/* Its end is proven, and no RESUME can have been missed. */
static bool destination_never_ran(struct migrate_ctx *c)
{
	return vm_probe(&c->destination) == VM_ENDED && !c->destination.missed_events &&
	       !c->destination.resume_at;
}

/* Will the destination certainly not run the VM by itself? */
static bool destination_is_harmless(struct migrate_ctx *c)
{
	char state[24];
	enum vm_life life;

	/* QEMU ends when the stream breaks: allow it the time. */
	for (int i = 0; i < ENDING_MS / 50; i++) {
		life = vm_probe(&c->destination);
		if (c->destination.resume_at > 0 || life == VM_UNKNOWN)
			return false;
		if (life == VM_ENDED)
			return destination_never_ran(c);
		if (!vm_state(&c->destination, state, sizeof(state), NULL) &&
		    strcmp(state, "inmigrate"))
			return !strcmp(state, "paused") || !strcmp(state, "prelaunch");
		vm_wait(&c->source, &c->destination, 50);
	}
	return false;
}

/* After "completed": the source must stay still unless the destination is proven never to have run. */
static int after_completion(struct migrate_ctx *c, struct err *e)
{
	enum vm_life life = vm_probe(&c->destination);

	if (life == VM_ALIVE && !c->plan.committed)
		return err_set(e, -EALREADY, "the VM has moved already");
	if (life == VM_ENDED && c->destination.resume_at > 0)
		return err_set(e, -EIO,
			       "the VM ran at the destination before that ended; the source "
			       "is left stopped (postmigrate), its memory is older than the disks");
	if (destination_never_ran(c) && c->was_running)
		return continue_source(c, e);
	if (destination_never_ran(c))
		return say(c, "the VM is at the source, stopped (postmigrate)");
	return err_set(e, -EIO,
		       "the source is left stopped (postmigrate) because the destination may "
		       "be running the VM: look there; only if its QEMU is gone, say cont on %s",
		       c->req->qmp);
}

/* After "failed" or "cancelled": QEMU continues the source, and the destination should be gone. */
static int after_failure(struct migrate_ctx *c, struct err *e)
{
	const char *want = c->was_running ? "running" : "paused";
	char state[24] = "", there[24] = "";
	int rc;

	rc = settle(c, want, state, sizeof(state), e);
	if (rc)
		return rc;
	if (vm_connected(&c->destination))
		vm_state(&c->destination, there, sizeof(there), NULL);
	if (!strcmp(state, "running") && !strcmp(there, "running")) {
		vm_call(&c->destination, "stop", NULL, NULL, NULL);
		return err_set(e, -EIO,
			       "the VM ran at both sides for a moment; the destination was "
			       "stopped: quit its QEMU, and check the VM's disks");
	}
	if (!strcmp(state, want) || !c->was_running)
		return say(c, c->was_running ? "the VM runs at the source, as before" :
					       "the VM is at the source, paused as before");
	if (destination_is_harmless(c))
		return continue_source(c, e);
	return err_set(e, -EIO,
		       "the source is left \"%s\" because the destination may be running the "
		       "VM: look there; only if its QEMU is gone, say cont on %s",
		       state, c->req->qmp);
}

static int source_lost(struct migrate_ctx *c, struct err *e)
{
	char state[24] = "";

	if (vm_probe(&c->destination) == VM_ALIVE)
		vm_state(&c->destination, state, sizeof(state), NULL);
	if (c->destination.resume_at > 0 || !strcmp(state, "running"))
		return err_set(e, c->plan.committed ? -EIO : -EALREADY,
			       "the VM runs at the destination, the source's QEMU is gone");
	if (vm_probe(&c->source) == VM_ENDED)
		return err_set(e, -EIO,
			       "the source's QEMU has ended and the VM with it; the "
			       "destination has not got it");
	return err_set(e, -EIO,
		       "the source's monitor %s is lost: look at the VM there before "
		       "anything else",
		       c->req->qmp);
}

int recover_source(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	struct vm_migration m;
	int rc;

	if (!c->started)
		return 0;
	/* A monitor may have lost its connection and QEMU live on. */
	rc = vm_connected(&c->source) || vm_probe(&c->source) == VM_ALIVE ?
		     end_migration(c, &m, e) :
		     -ECONNRESET;
	if (rc && !vm_connected(&c->source))
		return source_lost(c, e);
	if (rc)
		return rc;
	return strcmp(m.status, "completed") ? after_failure(c, e) : after_completion(c, e);
}
