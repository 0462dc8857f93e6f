/* vnic.c: mode vnic: godwitd serves the guest's network card on both sides, QEMU moves the VM. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "run.h"

#define SETTLE_MS 10000 /* for the source to put its affairs in order */
#define ENDING_MS 400
#define ASK_MS 250 /* how often a silent QEMU is asked, where events should do */

static int set_events(struct vm *vm, bool on, struct err *e)
{
	return vm_call(vm, "migrate-set-capabilities",
		       json_pack("{s:[{s:s,s:b}]}", "capabilities", "capability", "events", "state",
				 on),
		       NULL, e);
}

static int set_parameter(struct vm *vm, const char *name, int64_t value, struct err *e)
{
	return vm_call(vm, "migrate-set-parameters", json_pack("{s:I}", name, (json_int_t)value),
		       NULL, e);
}

static int parameters_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	int64_t bandwidth = (int64_t)c->req->bandwidth_mib << 20;
	json_int_t old_downtime = 0, old_bandwidth = 0;
	json_t *old;
	int rc;

	rc = vm_call(&c->source, "query-migrate-parameters", NULL, &old, e);
	if (rc)
		return rc;
	json_unpack(old, "{s?I,s?I}", "downtime-limit", &old_downtime, "max-bandwidth",
		    &old_bandwidth);
	json_decref(old);
	c->limit_bytes = c->req->bandwidth_mib ? bandwidth : old_bandwidth;
	rc = set_parameter(&c->source, "downtime-limit", c->req->downtime_ms, e);
	if (rc)
		return rc;
	c->old_downtime_ms = old_downtime;
	if (c->req->bandwidth_mib) {
		rc = set_parameter(&c->source, "max-bandwidth", bandwidth, e);
		if (rc)
			return rc;
		c->old_bandwidth_bytes = old_bandwidth;
	}
	rc = set_events(&c->source, true, e);
	if (!rc)
		c->events_set = true;
	return rc ? rc : set_events(&c->destination, true, e);
}

static int parameters_undo(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	int rc = 0, one;

	if (!vm_connected(&c->source))
		return 0; /* gone with its QEMU; whoever lost it said so */
	if (c->events_set)
		rc = set_events(&c->source, false, e);
	if (c->old_bandwidth_bytes >= 0) {
		one = set_parameter(&c->source, "max-bandwidth", c->old_bandwidth_bytes, e);
		rc = rc ? rc : one;
	}
	if (c->old_downtime_ms >= 0) {
		one = set_parameter(&c->source, "downtime-limit", c->old_downtime_ms, e);
		rc = rc ? rc : one;
	}
	return rc;
}

static int listen_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	bool listening;
	json_t *reply;
	int rc;

	rc = vm_call(&c->destination, "query-migrate", NULL, &reply, e);
	if (rc)
		return rc;
	listening = json_object_get(reply, "socket-address") != NULL;
	json_decref(reply);
	if (listening)
		return 0; /* started with -incoming URI, or an attempt before this one */
	rc = vm_call(&c->destination, "migrate-incoming", json_pack("{s:s}", "uri", c->req->uri),
		     NULL, e);
	return rc ? err_prefix(e, rc, "listening on %s", c->req->uri) : 0;
}

static int start_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	int rc;

	c->source.stop_at = c->source.resume_at = c->destination.resume_at = 0;
	c->source.migration[0] = '\0';
	/* From here on there may be something to cancel, whatever becomes of the reply. */
	c->started = true;
	rc = vm_call(&c->source, "migrate", json_pack("{s:s}", "uri", c->req->uri), NULL, e);
	if (rc == -EREMOTEIO)
		c->started = false;
	return rc ? err_prefix(e, rc, "starting the migration") : 0;
}

static int failed(struct migrate_ctx *c, const struct vm_migration *m, struct err *e)
{
	/* A destination that breaks the stream ends a moment later. */
	for (int waited = 0; waited < ENDING_MS && vm_connected(&c->destination); waited += 20)
		vm_wait(&c->source, &c->destination, 20);
	if (!vm_connected(&c->destination))
		return err_set(e, -ECONNRESET, "the destination's QEMU ended: look at its log");
	if (!strcmp(m->status, "cancelled"))
		return err_set(e, -ECANCELED, "the migration was cancelled at the source's QEMU");
	return err_set(e, -EIO, "QEMU gave the migration up%s%s", m->error[0] ? ": " : "",
		       m->error);
}

/* One look at the copy: 0 go on, 1 the guest stands still or all is over, -errno failed. */
static int copy_look(struct migrate_ctx *c, struct err *e)
{
	struct vm_migration *m = &c->out->figures;
	int rc;

	if (c->source.stop_at > 0 || !strcmp(c->source.migration, "completed"))
		return 1;
	rc = vm_query_migration(&c->source, m, e);
	if (rc)
		return rc;
	if (c->source.stop_at > 0 || !strcmp(m->status, "completed") ||
	    !strcmp(m->status, "device"))
		return 1;
	if (migrate_is_over(m->status))
		return failed(c, m, e);
	progress_stall(m, c->req->downtime_ms, c->limit_bytes, c->stall, sizeof(c->stall));
	progress_report(c, m);
	return 0;
}

static int copy_timeout(struct migrate_ctx *c, struct err *e)
{
	return err_set(e, -ETIMEDOUT, "memory was not copied within --timeout %u: %s",
		       c->req->timeout_s, c->stall[0] ? c->stall : "allow it more time");
}

/* 0 both are there, 1 the plan goes on without them, -errno. */
static int copy_alive(struct migrate_ctx *c, struct err *e)
{
	bool ended = !vm_connected(&c->destination) && vm_probe(&c->destination) != VM_ALIVE;

	if (ended) /* because the source died? Then its monitor closes within a moment */
		vm_wait(&c->source, &c->destination, 100);
	if (!vm_connected(&c->source) && c->plan.committed)
		return 1; /* the VM is said to be there already: confirm finds out */
	if (!vm_connected(&c->source))
		return err_set(e, -ECONNRESET,
			       "the source's QEMU ended in mid-copy: look at its log");
	if (ended)
		return err_set(e, -ECONNRESET,
			       "the destination's QEMU ended in mid-copy: look at its "
			       "log");
	return 0;
}

static int precopy_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	uint64_t next_ns = 0;
	int rc = 0;

	if (c->req->timeout_s)
		c->plan.deadline_ns = clock_now_ns() + c->req->timeout_s * 1000000000ull;
	while (!rc) {
		if (plan_interrupted(&c->plan))
			return err_set(e, -ECANCELED, "cancelled by the user");
		rc = copy_alive(c, e);
		if (rc)
			break;
		if (!plan_left_ms(&c->plan, 1))
			return copy_timeout(c, e);
		if (clock_now_ns() >= next_ns || c->source.stop_at > 0 ||
		    migrate_is_over(c->source.migration)) {
			rc = copy_look(c, e);
			if (rc < 0 && !vm_connected(&c->source))
				rc = 0; /* said above, in better words */
			next_ns = clock_now_ns() + MIGRATE_TICK_MS * 1000000ull;
		}
		if (!rc)
			vm_wait(&c->source, &c->destination,
				plan_left_ms(&c->plan, MIGRATE_TICK_MS));
	}
	return rc < 0 ? rc : 0;
}

/* The guest stands still: no questions that could wait, events tell the end. */
static int switchover_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	struct vm_migration *m = &c->out->figures;
	int rc;

	while (vm_connected(&c->source)) {
		if (plan_interrupted(&c->plan))
			return err_set(e, -ECANCELED, "cancelled by the user");
		if (!migrate_is_over(c->source.migration))
			vm_wait(&c->source, &c->destination, ASK_MS);
		rc = vm_query_migration(&c->source, m, e);
		if (rc && vm_connected(&c->source))
			return rc;
		if (!rc && !strcmp(m->status, "completed"))
			return 0;
		if (!rc && migrate_is_over(m->status))
			return failed(c, m, e);
		if (!plan_left_ms(&c->plan, 1))
			return err_set(e, -ETIMEDOUT, "the switch-over did not end");
	}
	/* All may have been sent before it died: the destination knows. */
	migrate_notice(c, "the source's QEMU ended during the switch-over");
	return 0;
}

static int destination_lost(struct migrate_ctx *c, struct err *e)
{
	if (c->destination.resume_at > 0)
		return err_set(e, -ECONNRESET,
			       "the destination's QEMU ended just after the VM had "
			       "started there: look at its log");
	return err_set(e, -ECONNRESET,
		       "the destination's QEMU ended while it took the VM over: look "
		       "at its log");
}

/* 1 when the VM is there as it should be, 0 not yet. */
static int arrival_look(struct migrate_ctx *c, bool *told, struct err *e)
{
	char state[24];
	int rc;

	rc = vm_state(&c->destination, state, sizeof(state), e);
	if (rc)
		return vm_connected(&c->destination) ? rc : 0;
	if (!strcmp(state, "inmigrate"))
		return 0;
	if (!c->was_running || !strcmp(state, "running") || c->destination.resume_at > 0)
		return 1;
	/* Started with -S: it has the VM and leaves the word to us. The source has completed. */
	if (!strcmp(state, "paused") || !strcmp(state, "prelaunch")) {
		rc = *told ? 0 : vm_call(&c->destination, "cont", NULL, NULL, e);
		*told = true;
		return rc;
	}
	migrate_notice(c, "the VM arrived in state \"%s\"", state);
	return 1;
}

/* QEMU 7.2 says "completed" first, then counts its figures, then becomes postmigrate. */
static int check_source_is_left(struct migrate_ctx *c, struct err *e)
{
	char state[24];

	for (int waited = 0; waited < SETTLE_MS; waited += 20) {
		if (!vm_connected(&c->source) || vm_state(&c->source, state, sizeof(state), NULL))
			return 0; /* its end was noticed; the VM is where it should be */
		if (!strcmp(state, "running"))
			return err_set(e, -EIO,
				       "somebody continued the source: the VM runs at both "
				       "sides, stop one of them at once");
		if (!strcmp(state, "postmigrate"))
			return vm_query_migration(&c->source, &c->out->figures, e);
		vm_wait(&c->source, &c->destination, 20);
	}
	return err_set(e, -ETIMEDOUT, "the VM runs at the destination, but the source stays \"%s\"",
		       state);
}

static int confirm_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	uint64_t ask_ns = clock_now_ns() + ASK_MS * 1000000ull;
	bool told = false;
	int rc = 0;

	while (!rc) {
		if (!vm_connected(&c->destination) && vm_probe(&c->destination) != VM_ALIVE)
			return destination_lost(c, e);
		if (!plan_left_ms(&c->plan, 1))
			return err_set(e, -ETIMEDOUT,
				       "the destination has the VM and does not run it");
		if (clock_now_ns() >= ask_ns || c->destination.resume_at > 0 ||
		    !strcmp(c->destination.migration, "completed")) {
			rc = arrival_look(c, &told, e);
			ask_ns = clock_now_ns() + ASK_MS * 1000000ull;
		}
		if (!rc)
			vm_wait(&c->source, &c->destination, plan_left_ms(&c->plan, 20));
	}
	return rc < 0 ? rc : check_source_is_left(c, e);
}

const struct plan_step vnic_steps[] = {
	{ "preflight", preflight_run, NULL, 60 },
	{ "parameters", parameters_run, parameters_undo, 30 },
	{ "listen", listen_run, NULL, 30 },
	{ "start", start_run, recover_source, 60 },
	{ "precopy", precopy_run, NULL, 0 },
	{ "switchover", switchover_run, NULL, 60 },
	{ "confirm", confirm_run, NULL, 60 },
};
const size_t vnic_step_count = sizeof(vnic_steps) / sizeof(vnic_steps[0]);
