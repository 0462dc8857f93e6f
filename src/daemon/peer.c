/* peer.c: bounded buffers between a control client's socket and its requests. */
#include "daemon/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OUT_FIRST 4096

int peer_fill(struct peer *p)
{
	ssize_t n;

	memmove(p->in, p->in + p->in_at, p->in_end - p->in_at);
	p->in_end -= p->in_at;
	p->in_at = 0;
	n = recv(p->fd, p->in + p->in_end, sizeof(p->in) - p->in_end, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	p->in_end += (size_t)n;
	return n > 0;
}

int peer_line(struct peer *p, const char **line, size_t *len)
{
	const char *from = p->in + p->in_at;
	const char *end = memchr(from, '\n', p->in_end - p->in_at);

	if (!end)
		return p->in_end - p->in_at < sizeof(p->in) ? 0 : -EMSGSIZE;
	*line = from;
	*len = (size_t)(end - from);
	p->in_at += *len + 1;
	return 1;
}

static int out_grow(struct peer *p, size_t need)
{
	size_t size = p->out_size ? p->out_size : OUT_FIRST;
	char *out;

	while (size < need)
		size *= 2;
	if (size == p->out_size)
		return 0;
	out = realloc(p->out, size);
	if (!out)
		return -ENOMEM;
	p->out = out;
	p->out_size = size;
	return 0;
}

int peer_queue(struct peer *p, const char *text, size_t len)
{
	int rc;

	if (len > PEER_OUT_MAX - peer_waiting(p))
		return -ENOBUFS;
	if (p->out_at) {
		memmove(p->out, p->out + p->out_at, peer_waiting(p));
		p->out_end -= p->out_at;
		p->out_at = 0;
	}
	rc = out_grow(p, p->out_end + len);
	if (rc)
		return rc;
	memcpy(p->out + p->out_end, text, len);
	p->out_end += len;
	return 0;
}

int peer_flush(struct peer *p)
{
	while (peer_waiting(p)) {
		ssize_t n = send(p->fd, p->out + p->out_at, peer_waiting(p),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		p->out_at += (size_t)n;
	}
	/* An idle client costs no buffer. */
	free(p->out);
	p->out = NULL;
	p->out_at = p->out_end = p->out_size = 0;
	return 0;
}

size_t peer_waiting(const struct peer *p)
{
	return p->out_end - p->out_at;
}

void peer_clear(struct peer *p)
{
	free(p->out);
	p->out = NULL;
	p->out_at = p->out_end = p->out_size = 0;
	p->in_at = p->in_end = 0;
}
