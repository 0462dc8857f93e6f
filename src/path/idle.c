/*
 * idle.c: what the worker does when there is nothing to do.
 *
 * It goes on polling for a while, then sleeps. Each direction has something that ends the sleep,
 * its waker: for transmit the guest's kick; for receive the port's interrupt, or the guest's kick
 * while a received frame waits for buffers. A waker is armed first and its ring or port looked at
 * once more, since what came before raises nothing; only then the worker waits. A direction whose
 * waker is not there is looked at by time: a nap lasts a fifth of the silence before it, up to a
 * limit. So the nap adds a fifth to the latency of whatever came after that silence, and a request
 * is not answered late after a short one.
 *
 * Nobody's promise to wake us is relied on. A slow tick looks at everything anyway. A waker that
 * missed what the tick found, several times in a row, is given up; one that fires and brings
 * nothing, several times in a row, is left aside until its direction moves again: a descriptor
 * that never rests costs less than polling.
 */
#include <poll.h>
#include <time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "path/internal.h"

#define SPIN_NS 50000u
#define NAP_MIN_NS 20000u
/* A nap is the silence so far, divided by this. */
#define NAP_SHARE 5u
#define USELESS_MAX 8u
#define LOST_MAX 3u
#define NS_PER_S 1000000000u

/* How a direction waits. */
enum wait { WAIT_NOT, WAIT_WAKER, WAIT_TIMER, WAIT_NEWS };

static bool waker_usable(const struct path_waker *w)
{
	return w->fd >= 0 && w->useless < USELESS_MAX && w->lost < LOST_MAX;
}

static bool rx_holds(const struct path *p)
{
	return p->rx_at < p->rx_count;
}

static bool has_port(const struct path *p)
{
	return p->vf && p->vf->attached;
}

/* What the transmit ring waits for is not the guest. */
static bool tx_stuck(const struct path *p)
{
	const struct ring *r = &p->ring[PATH_TX];

	return p->tx_count || p->announce || r->broken || r->next_avail != r->avail_seen;
}

/*
 * An entry that was there before the guest was asked: look once more, then by time if nothing
 * helps.
 */
static enum wait kick_arm(struct path *p, enum path_direction d)
{
	if (!waker_usable(&p->idle.kick[d]))
		return WAIT_TIMER;
	p->idle.asked[d] = true;
	if (ring_ask_kick(&p->ring[d]))
		return WAIT_WAKER;
	if (p->idle.news[d])
		return WAIT_TIMER;
	p->idle.news[d] = true;
	return WAIT_NEWS;
}

static enum wait port_arm(struct path *p)
{
	if (!waker_usable(&p->idle.port) || vf_interrupt_enable(p->vf))
		return WAIT_TIMER;
	p->idle.port_armed = true;
	return WAIT_WAKER;
}

static enum wait direction_arm(struct path *p, enum path_direction d)
{
	struct path_idle *idle = &p->idle;

	idle->slept[d] = NULL;
	if (!p->active[d] || (!has_port(p) && (d == PATH_RX || p->hold)))
		return WAIT_NOT;
	if (d == PATH_TX && tx_stuck(p))
		return WAIT_TIMER;
	if (d == PATH_TX || rx_holds(p)) {
		idle->slept[d] = &idle->kick[d];
		return kick_arm(p, d);
	}
	idle->slept[d] = &idle->port;
	return port_arm(p);
}

static void port_disarm(struct path *p)
{
	if (p->idle.port_armed)
		vf_interrupt_disable(p->vf);
	p->idle.port_armed = false;
}

/* Wakers that fired, and brought nothing until now. */
static void wakers_judge(struct path_idle *idle)
{
	struct path_waker *all[] = { &idle->kick[PATH_RX], &idle->kick[PATH_TX], &idle->port };

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		all[i]->useless += all[i]->woke;
		all[i]->woke = false;
	}
}

/* Arm everything. Returns true to sleep then, and what is to be watched in @p fds. */
static bool wakers_arm(struct path *p, struct pollfd fds[PATH_DIRECTIONS], bool *by_time)
{
	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		enum wait how = direction_arm(p, d);

		if (how == WAIT_NEWS)
			return false;
		*by_time = *by_time || how == WAIT_TIMER;
		fds[d] = (struct pollfd){ .fd = how == WAIT_WAKER ? p->idle.slept[d]->fd : -1,
					  .events = POLLIN };
		if (how != WAIT_WAKER)
			p->idle.slept[d] = NULL;
	}
	if (p->idle.port_armed) {
		unsigned int done = path_rx_poll(p);

		/* Delivered, or held: then it is a kick that receive waits for. */
		if (done)
			path_busy(p, done, 0);
		return !done && !rx_holds(p);
	}
	return true;
}

static void waker_woke(struct path *p, enum path_direction d, short revents)
{
	struct path_waker *w = p->idle.slept[d];
	bool port = w == &p->idle.port;

	w->woke = true;
	p->idle.since_ns = 0;
	if (port) {
		path_count(&p->counters.wakes_port, 1);
		if (p->vf->interrupts.eventfd)
			fd_drain(w->fd);
		return;
	}
	path_count(&p->counters.wakes_kick, 1);
	w->kicked = true;
	if ((revents & POLLNVAL) || fd_drain(w->fd))
		w->fd = -1;
}

static void sleep_until_woken(struct path *p, struct pollfd fds[1 + PATH_DIRECTIONS], uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / NS_PER_S),
			       .tv_nsec = (long)(ns % NS_PER_S) };
	int n;

	path_count(&p->counters.sleeps, 1);
	n = ppoll(fds, 1 + PATH_DIRECTIONS, &ts, NULL);
	/* A nap's end proves nothing: it often falls together with a frame. */
	p->idle.ticked = n == 0 && ns == p->idle.tick_ns;
	if (n == 0)
		path_count(&p->counters.wakes_timer, 1);
	for (int d = 0; n > 0 && d < PATH_DIRECTIONS; d++)
		if (fds[1 + d].revents)
			waker_woke(p, d, fds[1 + d].revents);
}

static uint64_t nap_ns(const struct path_idle *idle, uint64_t silence_ns)
{
	uint64_t nap = silence_ns / NAP_SHARE;

	if (nap > idle->nap_max_ns)
		nap = idle->nap_max_ns;
	return nap > NAP_MIN_NS ? nap : NAP_MIN_NS;
}

void path_idle(struct path *p)
{
	struct pollfd fds[1 + PATH_DIRECTIONS] = { { .fd = p->wake_fd, .events = POLLIN } };
	struct path_idle *idle = &p->idle;
	uint64_t now = clock_now_ns();
	bool by_time = false;

	if (!idle->since_ns)
		idle->since_ns = now;
	if (!idle->nap_max_ns || now - idle->since_ns < SPIN_NS)
		return;
	wakers_judge(idle);
	idle->ticked = false;
	if (wakers_arm(p, fds + 1, &by_time))
		sleep_until_woken(p, fds,
				  by_time ? nap_ns(idle, now - idle->since_ns) : idle->tick_ns);
	port_disarm(p);
}

static void waker_settle(struct path_idle *idle, enum path_direction d)
{
	struct path_waker *w = idle->slept[d];

	if (w->woke)
		w->lost = 0;
	else if (idle->ticked)
		w->lost++;
	w->woke = false;
	idle->slept[d] = NULL;
}

void path_busy(struct path *p, unsigned int rx, unsigned int tx)
{
	const unsigned int done[PATH_DIRECTIONS] = { [PATH_RX] = rx, [PATH_TX] = tx };
	struct path_idle *idle = &p->idle;

	idle->since_ns = 0;
	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		if (!done[d])
			continue;
		idle->news[d] = false;
		idle->kick[d].useless = 0;
		if (d == PATH_RX)
			idle->port.useless = 0;
		if (idle->slept[d])
			waker_settle(idle, d);
		if (idle->asked[d] && !p->ring[d].broken)
			ring_suppress_kicks(&p->ring[d], true);
		idle->asked[d] = false;
	}
	idle->ticked = false;
}

void path_idle_init(struct path *p)
{
	p->idle.nap_max_ns = PATH_NAP_MAX_NS;
	p->idle.tick_ns = PATH_TICK_NS;
	for (int d = 0; d < PATH_DIRECTIONS; d++)
		path_set_kick(p, d, -1);
	path_port_changed(p);
}

void path_idle_forget(struct path *p, enum path_direction d)
{
	p->idle.slept[d] = NULL;
	p->idle.asked[d] = false;
	p->idle.news[d] = false;
	p->idle.kick[d] = (struct path_waker){ .fd = -1 };
}

void path_set_kick(struct path *p, enum path_direction d, int fd)
{
	/* Anything else may block us, or never rest. */
	p->idle.kick[d] = (struct path_waker){ .fd = fd >= 0 && fd_is_eventfd(fd) ? fd : -1,
					       .kicked = p->idle.kick[d].kicked };
}

bool path_kicked(const struct path *p, enum path_direction d)
{
	return p->idle.kick[d].kicked;
}

void path_port_changed(struct path *p)
{
	bool there = has_port(p) && p->vf->interrupts.there;

	p->idle.port = (struct path_waker){ .fd = there ? p->vf->interrupts.fd : -1 };
	p->idle.port_armed = false;
}

void path_set_nap_max(struct path *p, uint64_t ns)
{
	p->idle.nap_max_ns = ns;
}

enum path_wake path_wake(const struct path *p, enum path_direction d)
{
	const struct path_waker *w = d == PATH_RX ? &p->idle.port : &p->idle.kick[PATH_TX];

	if (!p->active[d] || (!has_port(p) && (d == PATH_RX || p->hold)))
		return PATH_WAKE_NONE;
	if (!p->idle.nap_max_ns)
		return PATH_WAKE_POLL;
	if (!waker_usable(w))
		return PATH_WAKE_TIMER;
	return d == PATH_RX ? PATH_WAKE_INTERRUPT : PATH_WAKE_KICK;
}
