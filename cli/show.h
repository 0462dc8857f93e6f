/* show.h: a migration for the eye: the progress line and the closing table. */
#ifndef GODWIT_CLI_SHOW_H
#define GODWIT_CLI_SHOW_H

#include <stdbool.h>

#include "migrate/migrate.h"

/** State of the progress display on standard error. Zero it, set name and terminal. */
struct show {
	const char *name;		  /* the VM's */
	bool terminal;			  /* redraw one line; else print plain ones */
	bool drawn;			  /* a line is on the terminal that must be wiped */
	double next_line_s, next_stall_s; /* when the next plain line is due */
	char phase[32];			  /* the last one shown */
};

/** The hooks of migrate_run(); @p arg is a struct show. */
void show_progress(void *arg, const struct migrate_progress *p);
void show_notice(void *arg, const char *text);

/** Wipe the progress line, if there is one. */
void show_end(struct show *s);

/** Standard output: what a successful migration cost. */
void show_table(const struct migrate_request *req, const struct migrate_result *res);

#endif
