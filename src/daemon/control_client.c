/*
 * control_client.c: one control client.
 *
 * Each turn of the loop reads once, answers what is complete and sends what the socket takes. A client
 * that asks faster than its budget allows, or does not read its answers, is not read from for a while: it
 * waits, nobody else. Only what it did not ask for (events) can overflow: then it is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control_internal.h"
#include "daemon/methods.h"
#include "daemon/rpc.h"

/* Requests a tick: 640 a second. */
#define BUDGET 32
/* With more than that unread, no further request is answered. */
#define OUT_HIGH (64 * 1024)
/* How long a client that was told off may take to read that: a second. */
#define CLOSING_TICKS_MAX 20

char *control_line(json_t *message, size_t *len)
{
	char *text = message ? json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;

	json_decref(message);
	if (!text)
		return NULL;
	*len = strlen(text);
	text[(*len)++] = '\n';
	return text;
}

static void client_reply(struct client *cl, json_t *reply)
{
	size_t len;
	char *text = control_line(reply, &len);

	/* Without its answer, a client would wait for ever. */
	if (!text)
		cl->dropped = "no memory for its answer";
	else
		client_tell(cl, text, len);
	free(text);
}

static void client_answer(struct client *cl, const char *line, size_t len)
{
	struct control *c = cl->control;
	struct methods m = { .vnic = c->vnic,
			     .name = c->cfg.name,
			     .dpdk = c->cfg.dpdk,
			     .subscribed = &cl->subscribed };
	struct rpc r = { .methods = methods_table, .may_write = cl->may_write, .arg = &m };
	json_t *reply = rpc_answer(&r, line, len);

	cl->budget -= (int)r.handled;
	if (reply)
		client_reply(cl, reply);
	if (!r.garbage)
		return;
	control_complain(c, cl, "sent what is no JSON");
	cl->closing = true;
}

static bool may_answer(const struct client *cl)
{
	return !cl->closing && !cl->dropped && cl->budget > 0 && peer_waiting(&cl->peer) < OUT_HIGH;
}

/* Answers all complete lines that may be answered. True when none is left. */
static bool answer_lines(struct client *cl)
{
	const char *line;
	size_t len;

	while (may_answer(cl)) {
		int rc = peer_line(&cl->peer, &line, &len);

		if (rc == 0)
			return true;
		if (rc < 0) {
			control_complain(cl->control, cl, "sent a request that is too long");
			client_reply(cl,
				     rpc_refusal(RPC_LIMIT, "a request has 8192 bytes at most"));
			cl->closing = true;
			return false;
		}
		client_answer(cl, line, len);
	}
	return false;
}

static void client_read(struct client *cl)
{
	int rc = peer_fill(&cl->peer);

	if (rc == 0)
		cl->ended = true;
	else if (rc < 0 && rc != -EAGAIN)
		cl->dropped = "";
}

static void client_watch(struct client *cl)
{
	uint32_t events = 0;

	if (peer_waiting(&cl->peer))
		events |= EPOLLOUT;
	if (!cl->ended && may_answer(cl))
		events |= EPOLLIN;
	if (cl->budget <= 0 || cl->closing)
		control_tick_soon(cl->control);
	loop_modify(cl->control->loop, cl->peer.fd, events);
}

void client_go(struct client *cl)
{
	bool done = answer_lines(cl);

	if (done && !cl->ended) {
		client_read(cl);
		done = answer_lines(cl);
	}
	/* What is sent makes room for answers; the socket need not become ready again for them. */
	for (;;) {
		if (peer_flush(&cl->peer) && !cl->dropped)
			cl->dropped = "";
		if (done || !may_answer(cl))
			break;
		done = answer_lines(cl);
	}
	if (done && cl->ended)
		cl->closing = true;
	if (cl->dropped || (cl->closing && !peer_waiting(&cl->peer)))
		client_free(cl);
	else
		client_watch(cl);
}

static void client_ready(void *arg, int fd, uint32_t events)
{
	struct client *cl = arg;

	/* Gone altogether: nobody is left to read an answer. What it sent before is still done. */
	if ((events & (EPOLLHUP | EPOLLERR)) && !may_answer(cl))
		cl->dropped = cl->dropped ? cl->dropped : "";
	client_go(cl);
}

bool client_tick(struct client *cl)
{
	cl->budget = BUDGET;
	if (cl->closing && ++cl->closing_ticks > CLOSING_TICKS_MAX)
		cl->dropped = "does not read";
	if (cl->closing && !cl->dropped)
		return true;
	client_go(cl);
	return false;
}

void client_tell(struct client *cl, const char *text, size_t len)
{
	if (cl->dropped)
		return;
	if (peer_queue(&cl->peer, text, len) == 0) {
		loop_modify(cl->control->loop, cl->peer.fd,
			    EPOLLOUT | (!cl->ended && may_answer(cl) ? EPOLLIN : 0u));
		return;
	}
	cl->dropped = "does not read";
	/* Makes the descriptor ready, so that the loop comes by. */
	shutdown(cl->peer.fd, SHUT_RDWR);
}

int client_new(struct control *c, int fd, struct client **out)
{
	struct client *cl = calloc(1, sizeof(*cl));
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	int rc;

	if (!cl) {
		close(fd);
		return -ENOMEM;
	}
	*cl = (struct client){ .control = c, .peer = { .fd = fd }, .budget = BUDGET };
	rc = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ? -errno : 0;
	if (!rc)
		rc = loop_add(c->loop, fd, EPOLLIN, client_ready, cl);
	if (rc) {
		close(fd);
		free(cl);
		return rc;
	}
	cl->pid = peer.pid;
	cl->uid = peer.uid;
	cl->may_write = peer.uid == 0 || peer.uid == geteuid();
	*out = cl;
	return 0;
}

void client_free(struct client *cl)
{
	if (cl->dropped && *cl->dropped)
		control_complain(cl->control, cl, cl->dropped);
	control_forget(cl->control, cl);
	loop_remove(cl->control->loop, cl->peer.fd);
	close(cl->peer.fd);
	peer_clear(&cl->peer);
	free(cl);
}
