/* A TCP stream that carries seeded bytes both ways at a bounded rate, with a digest at each end
 * of each direction. */
#include "stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RETRY_NS (200 * NS_PER_MS)
#define READS_PER_TICK 8

/*
 * The two directions have seeds of their own, so that an echoed stream is not taken for a
 * received one.
 */
static void start(struct stream *s, uint32_t run, bool connecting, uint64_t bytes_per_s)
{
	memset(s, 0, sizeof(*s));
	s->wanted = true;
	s->fd = s->listen_fd = -1;
	s->rx_bad = -1;
	s->tx.seed = ((uint64_t)run << 32) + (connecting ? 1 : 2);
	s->rx.seed = ((uint64_t)run << 32) + (connecting ? 2 : 1);
	digest_init(&s->tx.digest);
	digest_init(&s->rx.digest);
	s->pacer.rate = bytes_per_s;
}

int stream_listen(struct stream *s, uint16_t port, uint32_t run, uint64_t bytes_per_s)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, err;

	start(s, run, false, bytes_per_s);
	s->listen_fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listen_fd < 0)
		return -errno;
	setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(s->listen_fd, (struct sockaddr *)&any, sizeof(any)) && !listen(s->listen_fd, 1))
		return 0;
	err = -errno;
	close(s->listen_fd);
	s->listen_fd = -1;
	return err;
}

int stream_connect(struct stream *s, const char *addr, uint16_t port, uint32_t run,
		   uint64_t bytes_per_s)
{
	start(s, run, true, bytes_per_s);
	if (inet_pton(AF_INET, addr, &s->to.v4.sin_addr) == 1) {
		s->to.v4.sin_family = AF_INET;
		s->to.v4.sin_port = htons(port);
	} else if (inet_pton(AF_INET6, addr, &s->to.v6.sin6_addr) == 1) {
		s->to.v6.sin6_family = AF_INET6;
		s->to.v6.sin6_port = htons(port);
	} else {
		return -EINVAL;
	}
	return 0;
}

static void established(struct stream *s)
{
	uint64_t burst = s->pacer.rate / 50;

	s->connected = true;
	s->connects++;
	pacer_start(&s->pacer, s->pacer.rate, burst > 65536 ? burst : 65536);
}

static void broken(struct stream *s, int error)
{
	s->error = error;
	s->connected = false;
	close(s->fd);
	s->fd = -1;
}

static void try_accept(struct stream *s)
{
	s->fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (s->fd >= 0)
		established(s);
}

/*
 * connect() again on a socket that is connecting tells how it went: EALREADY, EISCONN or the
 * error.
 */
static void try_connect(struct stream *s)
{
	socklen_t len = s->to.sa.sa_family == AF_INET ? sizeof(s->to.v4) : sizeof(s->to.v6);

	if (s->fd < 0) {
		if (mono_ns() < s->retry_ns)
			return;
		s->retry_ns = mono_ns() + RETRY_NS;
		s->fd = socket(s->to.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (s->fd < 0)
			return;
	}
	if (!connect(s->fd, &s->to.sa, len) || errno == EISCONN) {
		established(s);
	} else if (errno != EINPROGRESS && errno != EALREADY) {
		close(s->fd);
		s->fd = -1;
	}
}

static void send_due(struct stream *s)
{
	uint64_t due = pacer_due(&s->pacer, mono_ns());

	while (s->chunk_len || (due && !s->finishing)) {
		ssize_t n;

		if (!s->chunk_len) {
			s->chunk_at = 0;
			s->chunk_len = due < STREAM_CHUNK ? (uint32_t)due : STREAM_CHUNK;
			pattern_fill(s->tx.seed, s->tx.bytes, s->chunk, s->chunk_len);
			due -= s->chunk_len;
			s->pacer.done += s->chunk_len;
		}
		n = send(s->fd, s->chunk + s->chunk_at, s->chunk_len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				broken(s, errno);
			return;
		}
		digest_add(&s->tx.digest, s->chunk + s->chunk_at, (size_t)n);
		s->tx.bytes += (uint64_t)n;
		s->chunk_at += (uint32_t)n;
		s->chunk_len -= (uint32_t)n;
	}
	if (s->finishing) {
		shutdown(s->fd, SHUT_WR);
		s->tx.ended = true;
	}
}

static void check_received(struct stream *s, const uint8_t *data, size_t len)
{
	uint8_t want[STREAM_CHUNK];

	digest_add(&s->rx.digest, data, len);
	if (s->rx_bad < 0) {
		pattern_fill(s->rx.seed, s->rx.bytes, want, len);
		for (size_t i = 0; memcmp(data, want, len) && i < len; i++) {
			if (data[i] != want[i]) {
				s->rx_bad = (int64_t)(s->rx.bytes + i);
				break;
			}
		}
	}
	s->rx.bytes += len;
}

static void receive_come(struct stream *s)
{
	uint8_t buf[STREAM_CHUNK];

	for (int i = 0; i < READS_PER_TICK; i++) {
		ssize_t n = recv(s->fd, buf, sizeof(buf), 0);

		if (n > 0) {
			check_received(s, buf, (size_t)n);
			continue;
		}
		if (n == 0)
			s->rx.ended = true;
		else if (errno != EAGAIN && errno != EINTR)
			broken(s, errno);
		return;
	}
}

void stream_tick(struct stream *s)
{
	if (!s->wanted || stream_over(s))
		return;
	if (!s->connected) {
		if (s->error || s->finishing)
			return;
		if (s->listen_fd >= 0)
			try_accept(s);
		else
			try_connect(s);
	}
	if (s->connected && !s->rx.ended)
		receive_come(s);
	if (s->connected && !s->tx.ended)
		send_due(s);
}

void stream_finish(struct stream *s)
{
	s->finishing = true;
}

/* What the kernel still holds for the other end has not arrived there. */
static bool delivered(const struct stream *s)
{
	int unacknowledged = 0;

	return ioctl(s->fd, SIOCOUTQ, &unacknowledged) || !unacknowledged;
}

bool stream_over(const struct stream *s)
{
	return !s->wanted || s->error || (s->finishing && !s->connected) ||
	       (s->tx.ended && s->rx.ended && delivered(s));
}
