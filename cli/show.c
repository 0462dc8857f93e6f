/* show.c: progress on standard error, results on standard output. */
#include "show.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "migrate/report.h"

#define QUIET_S 2.0 /* shorter migrations need no progress line */
#define LINE_EVERY_S 2.0
#define STALL_EVERY_S 30.0
#define MIB (1024.0 * 1024.0)

static int columns(void)
{
	struct winsize w;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) || !w.ws_col)
		return 80;
	return w.ws_col;
}

static int format_figures(const struct vm_migration *m, int eta_s, char *text, size_t size)
{
	double dirty = (double)m->dirty_pages_rate * (double)m->page_size / MIB;
	int n;

	if (m->transferred_bytes < 0)
		return 0;
	n = snprintf(text, size, "  %.0f MiB sent, %.0f left, %.1f MiB/s, guest writes %.1f MiB/s",
		     (double)m->transferred_bytes / MIB, (double)m->remaining_bytes / MIB,
		     m->mbps > 0 ? m->mbps * 1e6 / 8 / MIB : 0.0,
		     m->dirty_pages_rate > 0 ? dirty : 0.0);
	if (eta_s >= 0 && n > 0 && (size_t)n < size)
		n += snprintf(text + n, size - (size_t)n, ", %d s to go", eta_s);
	return n;
}

static void tell_stall(struct show *s, const struct migrate_progress *p)
{
	if (!p->stall || p->elapsed_s < s->next_stall_s)
		return;
	s->next_stall_s = p->elapsed_s + STALL_EVERY_S;
	show_end(s);
	fprintf(stderr, "godwit: %s: does not converge: %s\n", s->name, p->stall);
}

void show_progress(void *arg, const struct migrate_progress *p)
{
	struct show *s = arg;
	char line[256];
	int n;

	tell_stall(s, p);
	if (s->terminal && p->elapsed_s < QUIET_S)
		return;
	if (!s->terminal && !strcmp(s->phase, p->phase) && p->elapsed_s < s->next_line_s)
		return;
	/* A phase is named as it begins; its first figures follow as soon as there are any. */
	s->next_line_s = p->elapsed_s + (p->figures ? LINE_EVERY_S : 0);
	snprintf(s->phase, sizeof(s->phase), "%s", p->phase);
	n = snprintf(line, sizeof(line), "%s: %5.1f s  %s", s->name, p->elapsed_s, p->phase);
	if (p->figures && n > 0 && (size_t)n < sizeof(line))
		format_figures(p->figures, p->eta_s, line + n, sizeof(line) - (size_t)n);
	if (s->terminal)
		fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
	else
		fprintf(stderr, "%s\n", line);
	fflush(stderr);
	s->drawn = s->terminal;
}

void show_end(struct show *s)
{
	if (s->drawn)
		fputs("\r\033[K", stderr);
	s->drawn = false;
}

void show_notice(void *arg, const char *text)
{
	struct show *s = arg;

	show_end(s);
	fprintf(stderr, "godwit: %s: note: %s\n", s->name, text);
}

void show_table(const struct migrate_request *req, const struct migrate_result *res)
{
	const struct vm_migration *m = &res->figures;
	double gap = report_stop_resume_ms(res);

	printf("VM           %s, mode %s, QEMU %s to %s\n", req->name, req->mode,
	       res->source_version, res->destination_version);
	if (m->downtime_ms >= 0)
		printf("downtime     %lld ms (as QEMU counts)\n", (long long)m->downtime_ms);
	if (gap >= 0)
		printf("STOP-RESUME  %.1f ms\n", gap);
	if (m->total_ms >= 0)
		printf("total        %.2f s\n", (double)m->total_ms / 1000);
	if (m->transferred_bytes >= 0)
		printf("transferred  %.1f MiB of %.0f in %lld passes\n",
		       (double)m->transferred_bytes / MIB, (double)m->total_bytes / MIB,
		       (long long)m->passes);
	printf("state        %s (%s)\n", res->state.text, res->destination_state);
}
