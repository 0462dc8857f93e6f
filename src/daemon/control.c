/*
 * control.c: the control socket: who may come in, and what all clients hear.
 *
 * It shares the control thread with the front-end's messages, so everything is bounded: places, bytes,
 * requests in a time, log lines. Whoever may connect can fill the places of readers, never those of root.
 */
#include "daemon/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/control_internal.h"
#include "daemon/rpc.h"
#include "daemon/socket.h"

#define TICK_NS 50000000u
#define COMPLAIN_EVERY_NS 1000000000u
/* In one turn of the loop. */
#define ACCEPTS_MAX 8

void control_complain(struct control *c, const struct client *cl, const char *what)
{
	uint64_t now = clock_now_ns();

	if (c->complained_ns && now - c->complained_ns < COMPLAIN_EVERY_NS) {
		c->not_complained++;
		return;
	}
	log_warning("control client (process %d, user %u) %s%s", (int)cl->pid,
		    (unsigned int)cl->uid, what,
		    c->not_complained ? ", and others before it misbehaved" : "");
	c->complained_ns = now;
	c->not_complained = 0;
}

void control_forget(struct control *c, const struct client *cl)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i] == cl)
			c->clients[i] = NULL;
}

static void tick(void *arg, int fd, uint32_t events)
{
	struct control *c = arg;
	bool again = false;

	c->ticking = false;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i] && client_tick(c->clients[i]))
			again = true;
	if (again)
		control_tick_soon(c);
}

void control_tick_soon(struct control *c)
{
	if (c->ticking)
		return;
	c->ticking = true;
	loop_timer_set(c->loop, c->tick_timer, TICK_NS, 0);
}

static struct client **place_for(struct control *c, bool may_write)
{
	int used = 0;

	for (int i = 0; i < CLIENTS_MAX; i++)
		used += c->clients[i] != NULL;
	if (used >= (may_write ? CLIENTS_MAX : CLIENTS_READERS_MAX))
		return NULL;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (!c->clients[i])
			return &c->clients[i];
	return NULL;
}

static void client_refuse(struct client *cl)
{
	size_t len;
	char *text = control_line(rpc_refusal(RPC_LIMIT, "too many clients are connected"), &len);

	if (text && send(cl->peer.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a refused control client is gone already");
	free(text);
	cl->dropped = "is refused: too many are connected";
	client_free(cl);
}

static void client_take(struct control *c, int fd)
{
	struct client **place, *cl;
	int rc = client_new(c, fd, &cl);

	if (rc) {
		log_error("a control client cannot be served: %s", strerror(-rc));
		return;
	}
	place = place_for(c, cl->may_write);
	if (place)
		*place = cl;
	else
		client_refuse(cl);
}

static void accept_ready(void *arg, int fd, uint32_t events)
{
	struct control *c = arg;

	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (conn >= 0) {
			client_take(c, conn);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			listener_refuse(fd, c->cfg.spare_fd, "a control client");
		else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			log_error("control socket: accept: %s", strerror(errno));
		return;
	}
}

static json_t *event_params(const struct control *c, const struct vnic_event *ev)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return json_pack("{s:s, s:s, s:s, s:I, s:f}", "vnic", c->cfg.name, "event", ev->name,
			 "detail", ev->detail ? ev->detail : "", "number", (json_int_t)c->events,
			 "time", (double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* Only queues: it may be called from within a client's own request. */
static void event_tell(void *arg, const struct vnic_event *ev)
{
	struct control *c = arg;
	char *text = NULL;
	size_t len = 0;

	c->events++;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (!c->clients[i] || !c->clients[i]->subscribed)
			continue;
		if (!text)
			text = control_line(rpc_notification("event", event_params(c, ev)), &len);
		if (text)
			client_tell(c->clients[i], text, len);
	}
	free(text);
}

int control_new(struct loop *l, struct vnic *v, const struct control_config *cfg,
		struct control **out, struct err *e)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(e, -ENOMEM, "no memory for the control socket");
	*c = (struct control){ .loop = l, .vnic = v, .cfg = *cfg };
	c->tick_timer = loop_timer(l, tick, c);
	rc = c->tick_timer < 0 ? c->tick_timer : 0;
	if (!rc)
		rc = loop_add(l, cfg->listen_fd, EPOLLIN, accept_ready, c);
	if (rc) {
		loop_timer_free(l, c->tick_timer);
		free(c);
		return err_set(e, rc, "the control socket cannot be watched: %s", strerror(-rc));
	}
	vnic_on_event(v, event_tell, c);
	*out = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	vnic_on_event(c->vnic, NULL, NULL);
	loop_remove(c->loop, c->cfg.listen_fd);
	loop_timer_free(c->loop, c->tick_timer);
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->clients[i])
			client_free(c->clients[i]);
	free(c);
}
