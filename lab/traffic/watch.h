/* What the guest saw: link events (as `ip monitor link` would show them) and kernel log lines,
 * since a mark. */
#ifndef GWTRAFFIC_WATCH_H
#define GWTRAFFIC_WATCH_H

#include <stdio.h>

#define WATCH_BYTES_MAX (256 << 10)

/** Text that grows up to WATCH_BYTES_MAX: finished JSON items, joined with commas. */
struct watch_items {
	char *text;
	size_t len;
	unsigned int count, dropped; /* dropped: no room was left */
};

struct watch {
	int link_fd, kmsg_fd;
	struct watch_items links, lines;
};

/** Starts watching. @return 0 or -errno */
int watch_start(struct watch *w);

/** Takes what has come so far. Never waits. */
void watch_poll(struct watch *w);

/** Forgets everything taken so far. */
void watch_mark(struct watch *w);

/**
 * Writes boot id, uptime, carrier changes by interface, link events and kernel log lines as JSON
 * members.
 */
void watch_write(struct watch *w, FILE *out);

#endif
