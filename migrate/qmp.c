/* qmp.c: connecting, sending, and waiting for replies; the far end may be slow, wrong or dying. */
#include "qmp.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "qmp_msg.h"

#define MESSAGE_MAX ((size_t)8 << 20) /* far above any reply this program asks for */
#define READ_SIZE 65536u
#define EVENTS_MAX 256u

struct qmp {
	int fd;
	int broken; /* negative errno, 0 while it works */
	pid_t peer;
	char *path;
	char version[64];
	bool greeted;
	char *in; /* bytes of the line that is not complete yet */
	size_t in_len, in_size;
	uint64_t last_id;
	struct qmp_msg reply; /* to last_id, once has_reply */
	bool has_reply;
	struct qmp_event events[EVENTS_MAX]; /* a ring; when full, the oldest goes */
	unsigned int first, count;
};

static int left_ms(uint64_t deadline_ns)
{
	uint64_t now = clock_now_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now + 999999u) / 1000000u);
}

static int break_off(struct qmp *q, int code)
{
	if (!q->broken)
		q->broken = code;
	if (q->fd >= 0)
		close(q->fd);
	q->fd = -1;
	return q->broken;
}

static void keep_event(struct qmp *q, struct qmp_msg *m)
{
	struct qmp_event *ev;

	if (q->count == EVENTS_MAX) {
		json_decref(q->events[q->first].data);
		q->first = (q->first + 1) % EVENTS_MAX;
		q->count--;
	}
	ev = &q->events[(q->first + q->count++) % EVENTS_MAX];
	memcpy(ev->name, m->name, sizeof(ev->name));
	ev->at = m->at;
	ev->data = m->data;
	m->data = NULL;
}

static int take_line(struct qmp *q, const char *line, size_t len)
{
	struct qmp_msg m;

	if (len && line[len - 1] == '\r')
		len--;
	if (!len)
		return 0;
	if (qmp_msg_parse(line, len, &m))
		return break_off(q, -EPROTO);
	if (m.kind == QMP_MSG_GREETING) {
		memcpy(q->version, m.name, sizeof(q->version));
		q->greeted = true;
	} else if (m.kind == QMP_MSG_EVENT) {
		keep_event(q, &m);
	} else if (!q->has_reply && (m.id == q->last_id || !m.id)) {
		/* QEMU leaves the id out when it could not read the command. */
		q->reply = m;
		q->has_reply = true;
		return 0;
	}
	qmp_msg_free(&m);
	return 0;
}

static int take_bytes(struct qmp *q, size_t fresh)
{
	size_t start = 0, scan = q->in_len;
	char *nl;
	int rc = 0;

	q->in_len += fresh;
	while (!rc && (nl = memchr(q->in + scan, '\n', q->in_len - scan))) {
		rc = take_line(q, q->in + start, (size_t)(nl - q->in) - start);
		start = scan = (size_t)(nl - q->in) + 1;
	}
	memmove(q->in, q->in + start, q->in_len - start);
	q->in_len -= start;
	return rc;
}

static int make_room(struct qmp *q)
{
	size_t size = q->in_size * 2;
	char *bigger;

	if (q->in_size - q->in_len >= READ_SIZE)
		return 0;
	if (q->in_len > MESSAGE_MAX)
		return break_off(q, -EMSGSIZE);
	bigger = realloc(q->in, size);
	if (!bigger)
		return break_off(q, -ENOMEM);
	q->in = bigger;
	q->in_size = size;
	return 0;
}

int qmp_pump(struct qmp *q)
{
	ssize_t n;
	int rc;

	while (!q->broken) {
		rc = make_room(q);
		if (rc)
			return rc;
		n = recv(q->fd, q->in + q->in_len, READ_SIZE, MSG_DONTWAIT);
		if (n > 0)
			take_bytes(q, (size_t)n);
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		else
			break_off(q, -ECONNRESET);
	}
	return q->broken;
}

/* Wait until *done, pumping. A signal does not cut it short: QEMU answers soon, or the time is up. */
static int wait_for(struct qmp *q, const bool *done, uint64_t deadline_ns)
{
	struct pollfd p = { .events = POLLIN };
	int rc;

	for (;;) {
		rc = qmp_pump(q);
		if (*done)
			return 0;
		if (rc)
			return rc;
		if (!left_ms(deadline_ns))
			return -ETIMEDOUT;
		p.fd = q->fd;
		poll(&p, 1, left_ms(deadline_ns));
	}
}

static int send_all(struct qmp *q, const char *text, size_t len, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = q->fd, .events = POLLOUT };
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = send(q->fd, text + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			/* Half a command cannot be taken back: the connection is lost with it. */
			if (!left_ms(deadline_ns))
				return break_off(q, -ETIMEDOUT);
			poll(&p, 1, left_ms(deadline_ns));
		} else if (errno != EINTR) {
			return break_off(q, -ECONNRESET);
		}
	}
	return 0;
}

static int explain(const struct qmp *q, int code, const char *command, struct err *e)
{
	switch (-code) {
	case ECONNRESET:
		return err_set(e, code, "QEMU closed its monitor %s during %s", q->path, command);
	case ETIMEDOUT:
		return err_set(e, code, "QEMU did not answer %s on %s in time", command, q->path);
	case EPROTO:
		return err_set(e, code, "%s sent something that is not QMP: name a QMP monitor",
			       q->path);
	case EMSGSIZE:
		return err_set(e, code, "%s sent a message of more than %zu MiB: not a QMP monitor",
			       q->path, MESSAGE_MAX >> 20);
	default:
		return err_set(e, code, "%s: %s", q->path, strerror(-code));
	}
}

static char *make_command(uint64_t id, const char *command, json_t *arguments)
{
	json_t *root = json_pack("{s:s,s:I}", "execute", command, "id", (json_int_t)id);
	char *text = NULL, *line = NULL;

	if (root && arguments)
		json_object_set(root, "arguments", arguments);
	json_decref(arguments);
	if (root)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

int qmp_call(struct qmp *q, const char *command, json_t *arguments, int timeout_ms, json_t **result,
	     struct err *e)
{
	uint64_t deadline = clock_now_ns() + (uint64_t)timeout_ms * 1000000u;
	char *line = make_command(++q->last_id, command, arguments);
	int rc = 0;

	if (result)
		*result = NULL;
	if (!line)
		return explain(q, -ENOMEM, command, e);
	if (q->has_reply)
		qmp_msg_free(&q->reply);
	q->has_reply = false;
	rc = q->broken ? q->broken : send_all(q, line, strlen(line), deadline);
	free(line);
	if (!rc)
		rc = wait_for(q, &q->has_reply, deadline);
	if (rc)
		return explain(q, rc, command, e);
	if (q->reply.kind == QMP_MSG_ERROR)
		return err_set(e, -EREMOTEIO, "%s", q->reply.text);
	if (result)
		*result = json_incref(q->reply.data);
	return 0;
}

static int connect_to(struct qmp *q, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int rc;

	if (strlen(q->path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "%s: longer than a UNIX socket's path can be",
			       q->path);
	memcpy(sa.sun_path, q->path, strlen(q->path) + 1);
	q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (q->fd < 0)
		return err_set(e, -errno, "socket: %s", strerror(errno));
	if (connect(q->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		rc = -errno;
		if (rc == -EAGAIN)
			return err_set(e, rc,
				       "%s is busy with other programs: give godwit a "
				       "monitor of its own",
				       q->path);
		if (rc == -EACCES || rc == -EPERM)
			return err_set(e, rc,
				       "%s: %s: run godwit as the user that runs QEMU, or "
				       "as root",
				       q->path, strerror(-rc));
		return err_set(e, rc,
			       "no QEMU answers at %s (%s): start it with "
			       "-qmp unix:%s,server=on,wait=off",
			       q->path, strerror(-rc), q->path);
	}
	if (!getsockopt(q->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		q->peer = peer.pid;
	return 0;
}

static int negotiate(struct qmp *q, int timeout_ms, struct err *e)
{
	int rc = wait_for(q, &q->greeted, clock_now_ns() + (uint64_t)timeout_ms * 1000000u);

	if (rc == -ETIMEDOUT)
		return err_set(e, rc,
			       "%s says nothing: another program may hold this monitor; "
			       "give godwit one of its own (-qmp unix:…,server=on,wait=off)",
			       q->path);
	if (rc)
		return explain(q, rc, "the greeting", e);
	return qmp_call(q, "qmp_capabilities", NULL, timeout_ms, NULL, e);
}

int qmp_open(struct qmp **out, const char *path, int timeout_ms, struct err *e)
{
	struct qmp *q = calloc(1, sizeof(*q));
	int rc = -ENOMEM;

	*out = NULL;
	if (!q)
		return err_set(e, rc, "out of memory");
	q->fd = -1;
	q->path = strdup(path);
	q->in_size = 2 * READ_SIZE;
	q->in = malloc(q->in_size);
	if (!q->path || !q->in)
		rc = err_set(e, rc, "out of memory");
	else
		rc = connect_to(q, e);
	if (!rc)
		rc = negotiate(q, timeout_ms, e);
	if (rc) {
		qmp_close(q);
		return rc;
	}
	*out = q;
	return 0;
}

void qmp_close(struct qmp *q)
{
	struct qmp_event ev;

	if (!q)
		return;
	while (qmp_event(q, &ev))
		json_decref(ev.data);
	if (q->has_reply)
		qmp_msg_free(&q->reply);
	break_off(q, -ENOTCONN);
	free(q->in);
	free(q->path);
	free(q);
}

bool qmp_event(struct qmp *q, struct qmp_event *ev)
{
	if (!q->count)
		return false;
	*ev = q->events[q->first];
	q->first = (q->first + 1) % EVENTS_MAX;
	q->count--;
	return true;
}

int qmp_fd(const struct qmp *q)
{
	return q->fd;
}

const char *qmp_version(const struct qmp *q)
{
	return q->version;
}

pid_t qmp_peer(const struct qmp *q)
{
	return q->peer;
}
