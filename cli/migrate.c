/* migrate.c: godwit migrate: move a running VM to another QEMU. */
#include "migrate/migrate.h"

#include <stdio.h>
#include <unistd.h>

#include "migrate/report.h"
#include "show.h"
#include "stop.h"
#include "verb.h"

/* Low, because QEMU may use all of it up in the last memory pass, whatever would be needed. */
#define DEFAULT_DOWNTIME_MS 150

enum {
	OPT_QMP,
	OPT_TO_QMP,
	OPT_URI,
	OPT_DOWNTIME,
	OPT_BANDWIDTH,
	OPT_TIMEOUT,
	OPT_JSON,
	OPT_REPORT
};

const struct cli_option migrate_options[] = {
	[OPT_QMP] = { "qmp", "SOCKET", "QMP monitor of the QEMU that runs the VM", 1 },
	[OPT_TO_QMP] = { "to-qmp", "SOCKET", "QMP monitor of the QEMU that takes it over", 1 },
	[OPT_URI] = { "uri", "URI", "way between them: tcp:HOST:PORT or unix:PATH", 1 },
	[OPT_DOWNTIME] = { "downtime-ms", "N", "longest stop to aim at (default 150)", 0 },
	[OPT_BANDWIDTH] = { "bandwidth", "MIB", "most MiB a second (default: QEMU's own limit)",
			    0 },
	[OPT_TIMEOUT] = { "timeout", "S", "give up when memory is not copied in S seconds", 0 },
	[OPT_JSON] = { "json", NULL, "print the result as JSON on standard output", 0 },
	[OPT_REPORT] = { "report", "FILE", "write the same JSON to FILE", 0 },
	{ 0 },
};

static int read_numbers(const struct cli_args *args, struct migrate_request *req)
{
	const char *const *v = args->value;
	int rc = 0;

	req->downtime_ms = DEFAULT_DOWNTIME_MS;
	if (v[OPT_DOWNTIME])
		rc = cli_uint("--downtime-ms", v[OPT_DOWNTIME], 1, 2000000, &req->downtime_ms);
	if (!rc && v[OPT_BANDWIDTH])
		rc = cli_uint("--bandwidth", v[OPT_BANDWIDTH], 1, 1u << 30, &req->bandwidth_mib);
	if (!rc && v[OPT_TIMEOUT])
		rc = cli_uint("--timeout", v[OPT_TIMEOUT], 1, 1000000, &req->timeout_s);
	return rc;
}

static bool interrupted(void *arg)
{
	(void)arg;
	return stop_wanted();
}

static void tell_failure(const struct migrate_request *req, const struct migrate_result *res)
{
	fprintf(stderr, "godwit: %s: %s: %s\n", req->name,
		res->outcome == MIGRATE_CANCELLED ? "cancelled" : "not migrated", res->reason.text);
	fprintf(stderr, "godwit: %s: %s\n", req->name, res->state.text);
}

/* Returns an exit status: a report that cannot be written fails the command, not the migration. */
static int put_report(const struct migrate_request *req, const struct migrate_result *res,
		      const struct cli_args *args)
{
	const char *file = args->value[OPT_REPORT];
	json_t *report = report_json(req, res);
	int status = EXIT_OK;
	struct err e;

	if (!report || (file && report_write(file, report, &e))) {
		fprintf(stderr, "godwit: %s: %s\n", req->name, report ? e.text : "out of memory");
		status = EXIT_FAILED;
	}
	if (report && args->value[OPT_JSON]) {
		json_dumpf(report, stdout, JSON_COMPACT);
		putchar('\n');
	}
	json_decref(report);
	return status;
}

int migrate_verb(const struct cli_args *args)
{
	struct migrate_request req = {
		.mode = "vnic",
		.name = args->operands[0],
		.qmp = args->value[OPT_QMP],
		.to_qmp = args->value[OPT_TO_QMP],
		.uri = args->value[OPT_URI],
	};
	struct show show = { .name = req.name, .terminal = isatty(STDERR_FILENO) };
	struct migrate_hooks hooks = { &show, show_progress, show_notice, interrupted };
	struct migrate_result res;
	struct err e;
	int status;

	if (read_numbers(args, &req))
		return EXIT_USAGE;
	if (migrate_check(&req, &e)) {
		fprintf(stderr, "godwit migrate: %s\n", e.text);
		return EXIT_USAGE;
	}
	stop_catch();
	status = migrate_run(&req, &hooks, &res) ? EXIT_FAILED : EXIT_OK;
	show_end(&show);
	if (status)
		tell_failure(&req, &res);
	else if (!args->value[OPT_JSON])
		show_table(&req, &res);
	if (put_report(&req, &res, args))
		status = EXIT_FAILED;
	return fflush(stdout) ? EXIT_FAILED : status;
}
