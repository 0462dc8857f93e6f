/* report.h: a migration's result as JSON, schema 1 (godwit(1), JSON). */
#ifndef GODWIT_MIGRATE_REPORT_H
#define GODWIT_MIGRATE_REPORT_H

#include <jansson.h>

#include "migrate.h"

/** Build the object; the caller owns it. NULL when out of memory. */
json_t *report_json(const struct migrate_request *req, const struct migrate_result *res);

/** STOP to RESUME in milliseconds, -1 when one of them did not happen. */
double report_stop_resume_ms(const struct migrate_result *res);

/** "ok", "failed" or "cancelled". */
const char *report_outcome(enum migrate_outcome o);

/** Write @p report to @p path, replacing it whole or not at all. Returns 0 or -errno. */
int report_write(const char *path, const json_t *report, struct err *e);

#endif
