/* report.c: the result of a migration as JSON. */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *report_outcome(enum migrate_outcome o)
{
	static const char *const names[] = { "ok", "failed", "cancelled" };

	return names[o];
}

double report_stop_resume_ms(const struct migrate_result *res)
{
	if (res->stop_at <= 0 || res->resume_at <= 0 || res->resume_at < res->stop_at)
		return -1;
	return (res->resume_at - res->stop_at) * 1000;
}

static json_t *figure(int64_t v)
{
	return v < 0 ? json_null() : json_integer((json_int_t)v);
}

/* Microseconds are what QEMU gives; more digits would be made up. */
static json_t *real(double v, double digits)
{
	return v <= 0 ? json_null() : json_real(round(v * digits) / digits);
}

static json_t *text(const char *s)
{
	size_t len = strlen(s);
	json_t *t = NULL;

	/* A sentence that was cut short may end in half a UTF-8 character. */
	while (len && !(t = json_stringn(s, len)))
		len--;
	return t ? t : json_null();
}

static json_t *phases_json(const struct migrate_result *res)
{
	json_t *list = json_array();

	for (size_t i = 0; i < res->phase_count; i++) {
		const struct plan_phase *p = &res->phases[i];

		json_array_append_new(list, json_pack("{s:s,s:f,s:f,s:o}", "name", p->name,
						      "start_ms", round(p->start_ms * 1e3) / 1e3,
						      "end_ms", round(p->end_ms * 1e3) / 1e3,
						      "start_at", real(p->start_at, 1e6)));
	}
	return list;
}

static json_t *ram_json(const struct vm_migration *m)
{
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "total_bytes", figure(m->total_bytes),
			 "transferred_bytes", figure(m->transferred_bytes), "normal_bytes",
			 figure(m->normal_bytes), "remaining_bytes", figure(m->remaining_bytes),
			 "passes", figure(m->passes), "mbps", real(m->mbps, 1e3));
}

static json_t *notices_json(const struct migrate_result *res)
{
	json_t *list = json_array();

	for (size_t i = 0; i < res->notice_count; i++)
		json_array_append_new(list, text(res->notices[i]));
	return list;
}

json_t *report_json(const struct migrate_request *req, const struct migrate_result *res)
{
	double gap = report_stop_resume_ms(res);
	json_t *root;

	root = json_pack("{s:i,s:s,s:s,s:s,s:o,s:o}", "schema", 1, "mode", req->mode, "name",
			 req->name, "result", report_outcome(res->outcome), "reason",
			 text(res->reason.text), "state", text(res->state.text));
	if (!root)
		return NULL;
	json_object_set_new(root, "downtime_ms", figure(res->figures.downtime_ms));
	json_object_set_new(root, "total_ms", figure(res->figures.total_ms));
	json_object_set_new(root, "stop_resume_ms",
			    gap < 0 ? json_null() : json_real(round(gap * 1e3) / 1e3));
	json_object_set_new(root, "stop_at", real(res->stop_at, 1e6));
	json_object_set_new(root, "resume_at", real(res->resume_at, 1e6));
	json_object_set_new(root, "phases", phases_json(res));
	json_object_set_new(root, "qemu",
			    json_pack("{s:o,s:o}", "source", text(res->source_version),
				      "destination", text(res->destination_version)));
	json_object_set_new(root, "vm",
			    json_pack("{s:o,s:o}", "source", text(res->source_state), "destination",
				      text(res->destination_state)));
	json_object_set_new(root, "ram", ram_json(&res->figures));
	json_object_set_new(root, "notices", notices_json(res));
	return root;
}

int report_write(const char *path, const json_t *report, struct err *e)
{
	char *tmp = NULL;
	int rc = 0;

	if (asprintf(&tmp, "%s.part%d", path, (int)getpid()) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	errno = EIO;
	if (json_dump_file(report, tmp, JSON_INDENT(2)) || rename(tmp, path)) {
		rc = err_set(e, -errno, "cannot write the report %s: %s", path, strerror(errno));
		unlink(tmp);
	}
	free(tmp);
	return rc;
}
