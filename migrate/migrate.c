/* migrate.c: one migration from request to result. */
#include "migrate.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

void migrate_notice(struct migrate_ctx *c, const char *fmt, ...)
{
	struct migrate_result *out = c->out;
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (out->notice_count < MIGRATE_NOTICES_MAX)
		memcpy(out->notices[out->notice_count++], text, sizeof(text));
	if (c->hooks->notice)
		c->hooks->notice(c->hooks->arg, text);
}

static int check_tcp(const char *uri, struct err *e)
{
	const char *colon = strrchr(uri + 4, ':');
	char *end = NULL;
	long port = colon ? strtol(colon + 1, &end, 10) : 0;

	if (!colon || colon == uri + 4 || *end || port < 1 || port > 65535)
		return err_set(e, -EINVAL,
			       "--uri %s: expected tcp:HOST:PORT with a port from 1 to "
			       "65535",
			       uri);
	return 0;
}

int migrate_check(const struct migrate_request *req, struct err *e)
{
	json_t *name = json_string(req->name);

	json_decref(name);
	if (!name || !req->name[0])
		return err_set(e, -EINVAL, "the VM's name is empty or not UTF-8");
	if (strcmp(req->mode, "vnic"))
		return err_set(e, -EINVAL, "mode %s is not known; there is: vnic", req->mode);
	if (!strncmp(req->uri, "tcp:", 4))
		return check_tcp(req->uri, e);
	if (strncmp(req->uri, "unix:", 5) || !req->uri[5])
		return err_set(e, -EINVAL, "--uri %s: expected tcp:HOST:PORT or unix:PATH",
			       req->uri);
	return 0;
}

static bool ctx_interrupted(void *ctx)
{
	struct migrate_ctx *c = ctx;

	return c->hooks->interrupted && c->hooks->interrupted(c->hooks->arg);
}

static void ctx_entered(void *ctx, const char *phase)
{
	(void)phase; /* progress_report() finds it in the plan */
	progress_report(ctx, NULL);
}

static void final_state(struct vm *vm, char *state, size_t size)
{
	snprintf(state, size, "unknown");
	if (!vm->qmp)
		return;
	if (vm_connected(vm) && !vm_state(vm, state, size, NULL))
		return;
	if (vm_probe(vm) == VM_ENDED)
		snprintf(state, size, "gone");
}

static void fill_result(struct migrate_ctx *c, int rc)
{
	struct migrate_result *out = c->out;

	out->outcome = !rc ? MIGRATE_OK : rc == -ECANCELED ? MIGRATE_CANCELLED : MIGRATE_FAILED;
	if (c->plan.undo_failed)
		out->state = c->plan.undo_err;
	else if (!rc)
		err_set(&out->state, 0, "the VM is at the destination");
	else if (!out->state.text[0])
		err_set(&out->state, 0, "nothing was changed");
	memcpy(out->source_version, c->source.version, sizeof(out->source_version));
	memcpy(out->destination_version, c->destination.version, sizeof(out->destination_version));
	memcpy(out->phases, c->plan.phases, sizeof(out->phases));
	out->phase_count = c->plan.phase_count;
	out->stop_at = c->source.stop_at;
	out->resume_at = c->destination.resume_at;
	final_state(&c->source, out->source_state, sizeof(out->source_state));
	final_state(&c->destination, out->destination_state, sizeof(out->destination_state));
}

int migrate_run(const struct migrate_request *req, const struct migrate_hooks *hooks,
		struct migrate_result *out)
{
	static const struct migrate_hooks no_hooks;
	struct migrate_ctx c = {
		.req = req,
		.hooks = hooks ? hooks : &no_hooks,
		.out = out,
		.old_downtime_ms = -1,
		.old_bandwidth_bytes = -1,
		.limit_bytes = -1,
	};
	int rc;

	memset(out, 0, sizeof(*out));
	vm_migration_init(&out->figures);
	rc = migrate_check(req, &out->reason);
	if (rc) {
		out->outcome = MIGRATE_FAILED;
		return rc;
	}
	c.plan.steps = vnic_steps;
	c.plan.count = vnic_step_count;
	c.plan.ctx = &c;
	c.plan.interrupted = ctx_interrupted;
	c.plan.entered = ctx_entered;
	rc = plan_run(&c.plan, &out->reason);
	fill_result(&c, rc);
	if (!rc)
		out->reason.text[0] = '\0';
	vm_close(&c.source);
	vm_close(&c.destination);
	return rc;
}
