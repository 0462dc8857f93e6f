/* What the guest saw: link events (as `ip monitor link` would show them) and kernel log lines,
 * since a mark. */
#include "watch.h"

#include "json.h"
#include "timing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int watch_start(struct watch *w)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int bytes = 4 << 20;

	*w = (struct watch){ .link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
					       NETLINK_ROUTE) };
	w->links.text = malloc(WATCH_BYTES_MAX);
	w->lines.text = malloc(WATCH_BYTES_MAX);
	if (!w->links.text || !w->lines.text)
		return -ENOMEM;
	setsockopt(w->link_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (w->link_fd < 0 || bind(w->link_fd, (struct sockaddr *)&nl, sizeof(nl)))
		return -errno;
	w->kmsg_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return w->kmsg_fd < 0 ? -errno : 0;
}

static void add_item(struct watch_items *it, const char *text, size_t len)
{
	if (it->len + len + 1 > WATCH_BYTES_MAX) {
		it->dropped++;
		return;
	}
	if (it->count++)
		it->text[it->len++] = ',';
	memcpy(it->text + it->len, text, len);
	it->len += len;
}

static const char *event_name(uint32_t event)
{
	static const char *const NAMES[] = { "none",	       "reboot",
					     "features",       "bonding_failover",
					     "notify_peers",   "igmp_resend",
					     "bonding_options" };

	return event < sizeof(NAMES) / sizeof(NAMES[0]) ? NAMES[event] : "unknown";
}

static void take_link(struct watch *w, struct nlmsghdr *h)
{
	struct ifinfomsg *ifi = NLMSG_DATA(h);
	const char *name = "", *event = "";
	int operstate = -1, carrier = -1;
	char *text = NULL;
	size_t len = 0;
	FILE *out;
	int left = (int)IFLA_PAYLOAD(h);

	if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK)
		return;
	for (struct rtattr *a = IFLA_RTA(ifi); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_IFNAME)
			name = RTA_DATA(a);
		else if (a->rta_type == IFLA_OPERSTATE)
			operstate = *(uint8_t *)RTA_DATA(a);
		else if (a->rta_type == IFLA_CARRIER)
			carrier = *(uint8_t *)RTA_DATA(a);
		else if (a->rta_type == IFLA_EVENT)
			event = event_name(*(uint32_t *)RTA_DATA(a));
	}
	out = open_memstream(&text, &len);
	if (!out)
		return;
	fprintf(out, "{\"uptime_ns\":%" PRIu64 ",\"type\":\"%s\",\"ifname\":", mono_ns(),
		h->nlmsg_type == RTM_NEWLINK ? "new" : "del");
	json_string(out, name);
	fprintf(out,
		",\"flags\":%u,\"change\":%u,\"operstate\":%d,\"carrier\":%d,\"event\":\"%s\"}",
		ifi->ifi_flags, ifi->ifi_change, operstate, carrier, event);
	if (!fclose(out))
		add_item(&w->links, text, len);
	free(text);
}

static void poll_links(struct watch *w)
{
	char buf[16384] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		ssize_t n = recv(w->link_fd, buf, sizeof(buf), 0);
		unsigned int left = n > 0 ? (unsigned int)n : 0;

		if (n < 0 && errno == ENOBUFS) {
			w->links.dropped++;
			continue;
		}
		if (n <= 0)
			return;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			take_link(w, h);
	}
}

/*
 * A record is "priority,sequence,time,flags;text\n"; continuation lines begin with a space and
 * are left out.
 */
static void take_line(struct watch *w, char *record)
{
	char *text = strchr(record, ';'), *item = NULL;
	size_t len = 0;
	FILE *out;

	if (!text || strtoul(record, NULL, 10) >> 3)
		return; /* not written by the kernel */
	text++;
	text[strcspn(text, "\n")] = '\0';
	out = open_memstream(&item, &len);
	if (!out)
		return;
	json_string(out, text);
	if (!fclose(out))
		add_item(&w->lines, item, len);
	free(item);
}

static void poll_lines(struct watch *w)
{
	char record[8193];

	for (;;) {
		ssize_t n = read(w->kmsg_fd, record, sizeof(record) - 1);

		if (n < 0 && errno == EPIPE) {
			w->lines.dropped++;
			continue;
		}
		if (n <= 0)
			return;
		record[n] = '\0';
		take_line(w, record);
	}
}

void watch_poll(struct watch *w)
{
	poll_links(w);
	poll_lines(w);
}

void watch_mark(struct watch *w)
{
	watch_poll(w);
	w->links.len = w->links.count = w->links.dropped = 0;
	w->lines.len = w->lines.count = w->lines.dropped = 0;
}

static void first_line(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static void write_carriers(FILE *out)
{
	DIR *d = opendir("/sys/class/net");
	const char *comma = "";

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		char path[512], value[32];

		if (e->d_name[0] == '.' || !strcmp(e->d_name, "lo"))
			continue;
		snprintf(path, sizeof(path), "/sys/class/net/%s/carrier_changes", e->d_name);
		first_line(path, value, sizeof(value));
		fputs(comma, out);
		json_string(out, e->d_name);
		fprintf(out, ":%s", *value ? value : "null");
		comma = ",";
	}
	if (d)
		closedir(d);
}

void watch_write(struct watch *w, FILE *out)
{
	char boot_id[64];

	watch_poll(w);
	first_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	fprintf(out, "\"boot_id\":\"%s\",\"uptime_ns\":%" PRIu64 ",\"carrier_changes\":{", boot_id,
		mono_ns());
	write_carriers(out);
	fprintf(out, "},\"link_events\":[%.*s],\"kernel_log\":[%.*s],\"dropped\":%u",
		(int)w->links.len, w->links.text, (int)w->lines.len, w->lines.text,
		w->links.dropped + w->lines.dropped);
}
