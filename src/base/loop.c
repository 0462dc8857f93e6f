/* loop.c: epoll loop. Sources are looked up by fd at dispatch, so a removed one is never called. */
#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL };

struct source {
	int fd;
	uint32_t generation;
	enum source_kind kind;
	loop_fn *fn;
	void *arg;
	struct source *next;
};

struct loop {
	int epfd;
	bool stop;
	uint32_t generation;
	struct source *sources;
};

int loop_new(struct loop **out)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0) {
		int rc = -errno;

		free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->sources) {
		struct source *s = l->sources;

		l->sources = s->next;
		if (s->kind != SOURCE_FD)
			close(s->fd);
		free(s);
	}
	close(l->epfd);
	free(l);
}

static struct source *source_find(struct loop *l, int fd)
{
	for (struct source *s = l->sources; s; s = s->next)
		if (s->fd == fd)
			return s;
	return NULL;
}

/* The generation tells an fd number that was closed and used again within one batch of events. */
static uint64_t source_tag(const struct source *s)
{
	return (uint64_t)s->generation << 32 | (uint32_t)s->fd;
}

static int source_add(struct loop *l, int fd, uint32_t events, enum source_kind kind, loop_fn *fn,
		      void *arg)
{
	struct source *s = calloc(1, sizeof(*s));
	struct epoll_event ev = { .events = events };

	if (!s)
		return -ENOMEM;
	*s = (struct source){
		.fd = fd, .generation = ++l->generation, .kind = kind, .fn = fn, .arg = arg
	};
	ev.data.u64 = source_tag(s);
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int rc = -errno;

		free(s);
		return rc;
	}
	s->next = l->sources;
	l->sources = s;
	return 0;
}

int loop_add(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg)
{
	return source_add(l, fd, events, SOURCE_FD, fn, arg);
}

int loop_modify(struct loop *l, int fd, uint32_t events)
{
	struct source *s = source_find(l, fd);
	struct epoll_event ev = { .events = events };

	if (!s)
		return -ENOENT;
	ev.data.u64 = source_tag(s);
	return epoll_ctl(l->epfd, EPOLL_CTL_MOD, fd, &ev) < 0 ? -errno : 0;
}

void loop_remove(struct loop *l, int fd)
{
	for (struct source **p = &l->sources; *p; p = &(*p)->next) {
		struct source *s = *p;

		if (s->fd != fd)
			continue;
		epoll_ctl(l->epfd, EPOLL_CTL_DEL, fd, NULL);
		*p = s->next;
		free(s);
		return;
	}
}

int loop_timer(struct loop *l, loop_fn *fn, void *arg)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), rc;

	if (fd < 0)
		return -errno;
	rc = source_add(l, fd, EPOLLIN, SOURCE_TIMER, fn, arg);
	if (rc) {
		close(fd);
		return rc;
	}
	return fd;
}

int loop_timer_set(struct loop *l, int timer, uint64_t after_ns, uint64_t every_ns)
{
	struct itimerspec its = {
		.it_value = { .tv_sec = (time_t)(after_ns / 1000000000u),
			      .tv_nsec = (long)(after_ns % 1000000000u) },
		.it_interval = { .tv_sec = (time_t)(every_ns / 1000000000u),
				 .tv_nsec = (long)(every_ns % 1000000000u) },
	};

	return timerfd_settime(timer, 0, &its, NULL) < 0 ? -errno : 0;
}

void loop_timer_free(struct loop *l, int timer)
{
	if (timer < 0)
		return;
	loop_remove(l, timer);
	close(timer);
}

int loop_signals(struct loop *l, const int *signals, loop_fn *fn, void *arg)
{
	sigset_t set;
	int fd, rc;

	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = source_add(l, fd, EPOLLIN, SOURCE_SIGNAL, fn, arg);
	if (rc)
		close(fd);
	return rc;
}

static void source_dispatch(struct source *s, uint32_t events)
{
	struct signalfd_siginfo info;
	uint64_t ticks;

	switch (s->kind) {
	case SOURCE_TIMER:
		if (read(s->fd, &ticks, sizeof(ticks)) != sizeof(ticks))
			return;
		break;
	case SOURCE_SIGNAL:
		if (read(s->fd, &info, sizeof(info)) != sizeof(info))
			return;
		events = info.ssi_signo;
		break;
	case SOURCE_FD:
		break;
	}
	s->fn(s->arg, s->fd, events);
}

int loop_run(struct loop *l)
{
	struct epoll_event events[16];

	l->stop = false;
	while (!l->stop) {
		int n = epoll_wait(l->epfd, events, 16, -1);

		if (n < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < n && !l->stop; i++) {
			struct source *s = source_find(l, (int)(uint32_t)events[i].data.u64);

			if (s && source_tag(s) == events[i].data.u64)
				source_dispatch(s, events[i].events);
		}
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}
