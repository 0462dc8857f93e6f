/* connect.c: finding a vNIC's control socket, and connecting to it. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/internal.h"

#define BACKLOG_PAUSE_NS 10000000

int client_error(struct godwit_error *e, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return rc;
	e->rpc_code = 0;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return rc;
}

static int has_socket(const struct dirent *d)
{
	char path[sizeof(CLIENT_RUN_DIR) + sizeof(d->d_name) + 16];

	if (d->d_name[0] == '.')
		return 0;
	snprintf(path, sizeof(path), CLIENT_RUN_DIR "/%s/control.sock", d->d_name);
	/* One that may not be looked into may well be there. */
	return access(path, F_OK) == 0 || errno == EACCES;
}

int godwit_each(void (*fn)(void *arg, const char *name), void *arg)
{
	struct dirent **all;
	int n = scandir(CLIENT_RUN_DIR, &all, has_socket, alphasort);

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		fn(arg, all[i]->d_name);
		free(all[i]);
	}
	free(all);
	return n;
}

struct names {
	char text[256];
	size_t used;
};

static void name_add(void *arg, const char *name)
{
	struct names *n = arg;
	size_t len = strlen(name);

	if (n->used + len + 6 >= sizeof(n->text))
		return;
	n->used += (size_t)snprintf(n->text + n->used, sizeof(n->text) - n->used, "%s%s",
				    n->used ? ", " : "", name);
}

static int no_such(const char *vnic, struct godwit_error *e)
{
	struct names n = { "", 0 };
	int count = godwit_each(name_add, &n);

	if (count <= 0)
		return client_error(e, -ENOENT,
				    "no vNIC is named '%s': none has a control socket in %s", vnic,
				    CLIENT_RUN_DIR);
	return client_error(e, -ENOENT, "no vNIC is named '%s'; there %s: %s", vnic,
			    count == 1 ? "is" : "are", n.text);
}

static int cannot(int rc, const char *vnic, const char *path, struct godwit_error *e)
{
	switch (-rc) {
	case ENOENT:
	case ENOTDIR:
		if (!strchr(vnic, '/'))
			return no_such(vnic, e);
		return client_error(e, rc, "no control socket is at %s", path);
	case ECONNREFUSED:
		return client_error(e, rc, "%s: its godwitd has died; start it again", vnic);
	case EACCES:
	case EPERM:
		return client_error(e, rc, "%s: not permitted: be root, or in the group of %s",
				    vnic, path);
	case ETIMEDOUT:
		return client_error(e, rc, "%s: its godwitd does not answer", vnic);
	default:
		return client_error(e, rc, "%s: %s: %s", vnic, path, strerror(-rc));
	}
}

/* A full backlog is EAGAIN on a UNIX socket, and cannot be polled for. */
static int connect_until(int fd, const struct sockaddr_un *sa, uint64_t deadline)
{
	const struct timespec pause = { .tv_nsec = BACKLOG_PAUSE_NS };

	while (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (clock_now_ns() >= deadline)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int path_of(const char *vnic, struct sockaddr_un *sa, struct godwit_error *e)
{
	size_t room = sizeof(sa->sun_path);
	int n;

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strchr(vnic, '/'))
		n = snprintf(sa->sun_path, room, "%s", vnic);
	else
		n = snprintf(sa->sun_path, room, CLIENT_RUN_DIR "/%s/control.sock", vnic);
	if (!*vnic || *vnic == '.' || n < 0 || (size_t)n >= room)
		return client_error(e, -EINVAL, "'%.128s' is no name of a vNIC and no path", vnic);
	return 0;
}

int godwit_connect(const char *vnic, int timeout_ms, struct godwit **out, struct godwit_error *e)
{
	uint64_t deadline = stream_deadline(timeout_ms);
	struct sockaddr_un sa;
	struct godwit *g;
	int rc = path_of(vnic, &sa, e);

	*out = NULL;
	if (rc)
		return rc;
	g = calloc(1, sizeof(*g));
	if (!g || !(g->vnic = strdup(vnic))) {
		free(g);
		return client_error(e, -ENOMEM, "no memory");
	}
	g->s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = g->s.fd < 0 ? -errno : connect_until(g->s.fd, &sa, deadline);
	if (rc) {
		rc = cannot(rc, vnic, sa.sun_path, e);
		godwit_free(g);
		return rc;
	}
	*out = g;
	return 0;
}

void godwit_free(struct godwit *g)
{
	if (!g)
		return;
	if (g->s.fd >= 0)
		close(g->s.fd);
	stream_clear(&g->s);
	free(g->vnic);
	free(g);
}

int godwit_fd(const struct godwit *g)
{
	return g->s.fd;
}
