/* stream.c: messages over a socket, one a line, with deadlines. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "client/internal.h"

#define IN_FIRST 4096

uint64_t stream_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? UINT64_MAX : clock_now_ns() + (uint64_t)timeout_ms * 1000000u;
}

/* Returns 0 when the socket is ready, or -ETIMEDOUT. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = clock_now_ns();
		uint64_t left = deadline > now ? (deadline - now + 999999) / 1000000 : 0;
		int ms = deadline == UINT64_MAX ? -1 : left > 1000000 ? 1000000 : (int)left;
		int n = poll(&pfd, 1, ms);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && (uint64_t)ms == left)
			return -ETIMEDOUT;
	}
}

int stream_write(struct stream *s, const char *text, size_t len, uint64_t deadline)
{
	while (len) {
		ssize_t n = send(s->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int rc;

		if (n >= 0) {
			text += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return errno == EPIPE ? -ECONNRESET : -errno;
		rc = wait_for(s->fd, POLLOUT, deadline);
		if (rc)
			return rc;
	}
	return 0;
}

static int grow(struct stream *s)
{
	size_t size = s->in_size ? s->in_size * 2 : IN_FIRST;
	char *in;

	if (s->in_end < s->in_size)
		return 0;
	if (size > CLIENT_LINE_MAX)
		return -EPROTO;
	in = realloc(s->in, size);
	if (!in)
		return -ENOMEM;
	s->in = in;
	s->in_size = size;
	return 0;
}

static int fill(struct stream *s, uint64_t deadline)
{
	int rc = grow(s);
	ssize_t n;

	if (!rc)
		rc = wait_for(s->fd, POLLIN, deadline);
	if (rc)
		return rc;
	n = recv(s->fd, s->in + s->in_end, s->in_size - s->in_end, MSG_DONTWAIT);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	s->in_end += (size_t)n;
	return 0;
}

int stream_read(struct stream *s, uint64_t deadline, json_t **out)
{
	size_t looked = 0, len;
	char *end;

	while (!(end = s->in_end > looked ? memchr(s->in + looked, '\n', s->in_end - looked) :
					    NULL)) {
		int rc;

		looked = s->in_end;
		rc = fill(s, deadline);
		if (rc)
			return rc;
	}
	len = (size_t)(end - s->in);
	*out = json_loadb(s->in, len, JSON_REJECT_DUPLICATES, NULL);
	s->in_end -= len + 1;
	memmove(s->in, end + 1, s->in_end);
	return *out ? 0 : -EPROTO;
}

void stream_clear(struct stream *s)
{
	free(s->in);
	s->in = NULL;
	s->in_end = s->in_size = 0;
}
