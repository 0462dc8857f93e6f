/*
 * sim_frontend.c: the simulated front-end.
 *
 * The recorded ops check on every call what the session promises: pause comes while the state is still what it was before the
 * message, apply comes after a pause, and nothing changes without the two.
 */
#include "sim_frontend.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unit.h"

static void record(struct sim_frontend *f, char c)
{
	assert_true(f->count < sizeof(f->calls) - 1);
	f->calls[f->count++] = c;
	f->calls[f->count] = 0;
}

static void assert_same(const struct vhost_state *a, const struct vhost_state *b)
{
	struct vhost_state x = *a, y = *b;

	/* What no ring uses may change at any time. */
	x.protocol_features = y.protocol_features;
	assert_memory_equal(&x, &y, sizeof(x));
}

/* Memory, log and eventfds can be used. */
static void assert_usable(const struct vhost_state *s)
{
	for (unsigned int i = 0; s->mem && i < s->mem->count; i++)
		(void)*(volatile uint8_t *)s->mem->region[i].host;
	if (s->log)
		(void)*(volatile uint8_t *)s->log->bits;
	for (int i = 0; i < VHOST_VRINGS; i++) {
		const struct vhost_vring *v = &s->vring[i];
		const int fds[] = { v->kick_fd, v->call_fd, v->err_fd };

		for (int k = 0; k < 3; k++)
			assert_true(fds[k] < 0 || fcntl(fds[k], F_GETFD) == FD_CLOEXEC);
	}
}

static void on_pause(void *arg)
{
	struct sim_frontend *f = arg;

	record(f, 'P');
	assert_same(vhost_session_state(f->session), &f->before);
	assert_usable(&f->before);
	f->paused = true;
}

static int on_apply(void *arg, const struct vhost_state *s, struct err *e)
{
	struct sim_frontend *f = arg;

	record(f, 'A');
	assert_true(f->paused);
	assert_usable(s);
	f->paused = false;
	f->applied = *s;
	f->before = *s;
	return f->apply_rc ? err_set(e, f->apply_rc, "the simulated owner does not want it") : 0;
}

static uint16_t on_vring_base(void *arg, unsigned int index)
{
	struct sim_frontend *f = arg;

	record(f, 'B');
	assert_true(f->paused);
	assert_true(index < VHOST_VRINGS);
	/* The ring is stopped before its eventfds go. */
	assert_usable(&f->before);
	return f->base[index];
}

static void on_announce(void *arg, const uint8_t mac[6])
{
	struct sim_frontend *f = arg;

	record(f, 'R');
	memcpy(f->mac, mac, 6);
}

static void on_closed(void *arg, const char *reason)
{
	struct sim_frontend *f = arg;

	record(f, 'C');
	assert_false(f->closed);
	for (int i = 0; i < VHOST_VRINGS; i++)
		assert_false(f->applied.vring[i].started);
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
	f->closed = true;
	f->session = NULL;
}

static const struct vhost_ops ops = { .pause = on_pause,
				      .apply = on_apply,
				      .vring_base = on_vring_base,
				      .announce = on_announce,
				      .closed = on_closed };

/* Ends the loop once the session has nothing more to read. */
static void on_turn(void *arg, int fd, uint32_t events)
{
	struct sim_frontend *f = arg;
	struct pollfd p = { .fd = f->session_fd, .events = POLLIN };

	/* Alone: whatever is ready, messages, timers and eventfds, gets its turn before the third. */
	if (!f->session && !f->closed) {
		if (++f->turns % 3 == 0)
			loop_stop(f->loop);
		return;
	}
	if (f->closed || poll(&p, 1, 0) == 0)
		loop_stop(f->loop);
}

int sim_frontend_alone(struct sim_frontend *f)
{
	int pair[2];

	memset(f, 0, sizeof(*f));
	sim_guest_new(&f->guest);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		sim_ring_new(&f->ring[i], &f->guest, 256, i * 0x10000);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	f->fd = pair[0];
	f->session_fd = pair[1];
	f->turn_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(loop_add(f->loop, f->turn_fd, EPOLLIN, on_turn, f), 0);
	return f->session_fd;
}

void sim_frontend_new(struct sim_frontend *f)
{
	int fd = sim_frontend_alone(f);

	assert_int_equal(vhost_session_new(f->loop, fd, SIM_FEATURES, &ops, f, &f->session), 0);
	f->before = *vhost_session_state(f->session);
}

void sim_pump(struct sim_frontend *f)
{
	if (f->session)
		f->before = *vhost_session_state(f->session);
	assert_int_equal(loop_run(f->loop), 0);
	assert_false(f->paused);
	/* No change goes by without an apply. */
	if (f->session)
		assert_same(vhost_session_state(f->session), &f->before);
}

void sim_frontend_free(struct sim_frontend *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->session) {
		sim_pump(f);
		assert_true(f->closed);
	}
	loop_free(f->loop);
	close(f->turn_fd);
	for (unsigned int i = 0; i < VHOST_VRINGS; i++)
		sim_ring_free(&f->ring[i]);
	sim_guest_free(&f->guest);
}

const char *sim_calls_seen(struct sim_frontend *f)
{
	static char seen[sizeof(f->calls)];

	memcpy(seen, f->calls, sizeof(seen));
	f->count = 0;
	f->calls[0] = 0;
	return seen;
}

void sim_send_raw(struct sim_frontend *f, const void *bytes, size_t len, const int *fds,
		  unsigned int fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	assert_true(fd_count <= 64);
	if (fd_count) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
	}
	/* A session that let us go meanwhile is for the test to see. */
	if (sendmsg(f->fd, &msg, MSG_NOSIGNAL) < 0)
		assert_int_equal(errno, EPIPE);
}

void sim_send(struct sim_frontend *f, uint32_t request, uint32_t flags, const void *payload,
	      uint32_t size, const int *fds, unsigned int fd_count)
{
	struct vhost_header h = { request, flags | VHOST_FLAG_VERSION, size };
	uint8_t bytes[4096];

	assert_true(sizeof(h) + size <= sizeof(bytes));
	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	sim_send_raw(f, bytes, sizeof(h) + size, fds, fd_count);
	sim_pump(f);
}

void sim_send_u64(struct sim_frontend *f, uint32_t request, uint32_t flags, uint64_t value)
{
	sim_send(f, request, flags, &value, sizeof(value), NULL, 0);
}

void sim_send_state(struct sim_frontend *f, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state s = { index, num };

	sim_send(f, request, 0, &s, sizeof(s), NULL, 0);
}

void sim_reply(struct sim_frontend *f, uint32_t request, void *payload, uint32_t size)
{
	struct vhost_header h;

	assert_int_equal(recv(f->fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(h.request, request);
	assert_int_equal(h.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	assert_int_equal(h.size, size);
	assert_int_equal(recv(f->fd, payload, size, 0), size);
}

uint64_t sim_reply_u64(struct sim_frontend *f, uint32_t request)
{
	uint64_t v;

	sim_reply(f, request, &v, sizeof(v));
	return v;
}

bool sim_no_reply(struct sim_frontend *f)
{
	char byte;

	return recv(f->fd, &byte, 1, MSG_PEEK) <= 0;
}

void sim_send_memory(struct sim_frontend *f, uint32_t flags)
{
	struct vhost_mem_table t = { .count = SIM_REGIONS };

	for (int i = 0; i < SIM_REGIONS; i++) {
		const struct guest_region_spec *s = &f->guest.spec[i];

		t.region[i] =
			(struct vhost_region){ s->gpa.v, s->size_bytes, s->uva.v, s->fd_offset };
	}
	sim_send(f, VHOST_SET_MEM_TABLE, flags, &t,
		 (uint32_t)(offsetof(struct vhost_mem_table, region) +
			    SIM_REGIONS * sizeof(t.region[0])),
		 f->guest.fd, SIM_REGIONS);
}

void sim_send_addr(struct sim_frontend *f, uint32_t i, uint32_t flags)
{
	const struct ring_config *c = &f->ring[i].cfg;
	struct vhost_vring_addr a = { .index = i,
				      .flags = flags,
				      .desc = c->desc.v,
				      .used = c->used.v,
				      .avail = c->avail.v,
				      .log = f->ring[i].used };

	sim_send(f, VHOST_SET_VRING_ADDR, 0, &a, sizeof(a), NULL, 0);
}

void sim_send_eventfd(struct sim_frontend *f, uint32_t request, uint32_t index)
{
	uint64_t value = index;
	int fd = eventfd(0, EFD_CLOEXEC);

	sim_send(f, request, 0, &value, sizeof(value), &fd, 1);
	close(fd);
}

void sim_send_log(struct sim_frontend *f, uint32_t flags, uint64_t pages)
{
	struct vhost_log l = { .mmap_size = pages / 8 };
	struct sim_log log;

	sim_log_new(&log, pages);
	sim_send(f, VHOST_SET_LOG_BASE, flags, &l, sizeof(l), &log.fd, 1);
	sim_log_free(&log);
}

void sim_start(struct sim_frontend *f, uint64_t features, uint64_t protocol_features)
{
	sim_send_u64(f, VHOST_SET_PROTOCOL_FEATURES, 0, protocol_features);
	sim_send(f, VHOST_SET_OWNER, 0, NULL, 0, NULL, 0);
	sim_send_u64(f, VHOST_SET_FEATURES, 0, features);
	sim_send_memory(f, 0);
	for (uint32_t i = 0; i < VHOST_VRINGS; i++) {
		sim_send_state(f, VHOST_SET_VRING_NUM, i, f->ring[i].size);
		sim_send_state(f, VHOST_SET_VRING_BASE, i, 0);
		sim_send_addr(f, i, 0);
		sim_send_eventfd(f, VHOST_SET_VRING_CALL, i);
		sim_send_eventfd(f, VHOST_SET_VRING_KICK, i);
		sim_send_state(f, VHOST_SET_VRING_ENABLE, i, 1);
	}
	assert_false(f->closed);
	sim_calls_seen(f);
}
