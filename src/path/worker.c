/*
 * worker.c: the thread that polls, and the handshake by which control stops it between two bursts.
 *
 * Control sets want_pause and waits under the lock for `paused`; the worker looks at want_pause
 * before each round, so a pause
 * takes one burst at most. While paused the worker sleeps, and control may touch everything of the
 * path's: the lock is the
 * barrier. A path without an active ring is left paused, so an idle vNIC costs nothing.
 *
 * A worker that finds nothing to do goes on polling for a while, then sleeps for a bounded time,
 * longer each round.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "base/clock.h"
#include "guest/fault.h"
#include "path/internal.h"

#define SPIN_NS 50000
#define SLEEP_MIN_NS 20000
#define SLEEP_MAX_NS 100000

static void pause_here(struct path *p)
{
	uint64_t ticks;

	pthread_mutex_lock(&p->lock);
	while (atomic_load(&p->want_pause) && !p->quit) {
		/*
		 * Said anew at each wake-up: a resume and the next pause can both pass while we
		 * sleep.
		 */
		p->paused = true;
		pthread_cond_broadcast(&p->changed);
		pthread_cond_wait(&p->changed, &p->lock);
	}
	p->paused = false;
	pthread_mutex_unlock(&p->lock);
	/* What woke us is done with. An empty eventfd (EAGAIN) is fine. */
	if (read(p->wake_fd, &ticks, sizeof(ticks)) < 0)
		return;
}

static void sleep_bounded(struct path *p, uint64_t ns)
{
	struct pollfd pfd = { .fd = p->wake_fd, .events = POLLIN };
	struct timespec ts = { .tv_nsec = (long)ns };

	path_count(&p->counters.sleeps, 1);
	ppoll(&pfd, 1, &ts, NULL);
}

/* Truncated guest memory shows as zeroes: nothing read from it means anything. */
static void memory_check(struct path *p)
{
	if (!fault_any())
		return;
	for (int d = 0; d < PATH_DIRECTIONS; d++) {
		struct ring *r = &p->ring[d];

		if (!p->active[d] || r->broken == -EFAULT || !r->mem)
			continue;
		if (!guest_memory_lost(r->mem) && !(r->log && dirty_log_lost(r->log)))
			continue;
		r->broken = -EFAULT;
		path_alarm(p);
	}
}

static int worker_main(void *arg)
{
	struct path *p = arg;
	uint64_t idle_since = 0, nap = SLEEP_MIN_NS;

	prctl(PR_SET_NAME, "godwit-path");
	prctl(PR_SET_TIMERSLACK, 1000);
	while (!p->quit) {
		unsigned int done;

		if (atomic_load_explicit(&p->want_pause, memory_order_acquire)) {
			pause_here(p);
			idle_since = 0;
			continue;
		}
		done = path_rx_poll(p) + path_tx_poll(p);
		if (p->announce && p->active[PATH_TX])
			path_rarp_send(p);
		memory_check(p);
		if (done) {
			idle_since = 0;
			nap = SLEEP_MIN_NS;
			continue;
		}
		if (!idle_since) {
			idle_since = clock_now_ns();
		} else if (clock_now_ns() - idle_since > SPIN_NS) {
			sleep_bounded(p, nap);
			nap = nap * 2 < SLEEP_MAX_NS ? nap * 2 : SLEEP_MAX_NS;
		}
	}
	return 0;
}

int path_new(struct vf *vf, struct path **out, struct err *e)
{
	struct path *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "no memory for the data path");
	p->vf = vf;
	p->header_bytes = 12;
	p->paused = true;
	atomic_init(&p->want_pause, true);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->lcore = rte_get_next_lcore(-1, 1, 0);
	if (p->wake_fd < 0 || p->event_fd < 0 || p->lcore >= RTE_MAX_LCORE ||
	    rte_eal_remote_launch(worker_main, p, p->lcore)) {
		path_free(p);
		return err_set(e, -EIO, "the worker thread does not start");
	}
	p->launched = true;
	*out = p;
	return 0;
}

void path_free(struct path *p)
{
	if (!p)
		return;
	if (p->launched) {
		path_pause(p);
		path_flush_tx(p, 1000000);
		path_rx_drop_held(p, &p->counters.rx_drop_stale);
		pthread_mutex_lock(&p->lock);
		p->quit = true;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
		rte_eal_wait_lcore(p->lcore);
	}
	if (p->wake_fd >= 0)
		close(p->wake_fd);
	if (p->event_fd >= 0)
		close(p->event_fd);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void path_pause(struct path *p)
{
	uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	atomic_store(&p->want_pause, true);
	/* It cannot fail but for a full counter, and then the worker wakes too. */
	if (write(p->wake_fd, &one, sizeof(one)) < 0)
		atomic_store(&p->want_pause, true);
	while (!p->paused)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void path_resume(struct path *p)
{
	if (!p->active[PATH_RX] && !p->active[PATH_TX])
		return;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->want_pause, false);
	/*
	 * Set here, not by the worker: a pause that follows at once must wait for the worker's own
	 * answer.
	 */
	p->paused = false;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void path_alarm(struct path *p)
{
	uint64_t one = 1;

	if (write(p->event_fd, &one, sizeof(one)) < 0)
		return;
}

struct ring *path_ring(struct path *p, enum path_direction d)
{
	return &p->ring[d];
}

void path_activate(struct path *p, enum path_direction d, bool active)
{
	p->active[d] = active;
	if (d != PATH_TX || active)
		return;
	/* What it gave goes out now or never, and so does its announcement. */
	path_flush_tx(p, 0);
	p->announce = false;
}

void path_enable(struct path *p, enum path_direction d, bool enabled)
{
	p->enabled[d] = enabled;
}

void path_set_layout(struct path *p, uint8_t header_bytes, bool mergeable)
{
	p->header_bytes = header_bytes;
	p->mergeable = mergeable;
}

void path_announce(struct path *p, const uint8_t mac[6])
{
	path_pause(p);
	for (int i = 0; i < 6; i++)
		p->announce_mac[i] = mac[i];
	p->announce = true;
	path_resume(p);
}

int path_event_fd(const struct path *p)
{
	return p->event_fd;
}

const struct path_counters *path_counters(const struct path *p)
{
	return &p->counters;
}
