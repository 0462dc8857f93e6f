/* control_internal.h: what the control socket and its single clients share. */
#ifndef GODWIT_DAEMON_CONTROL_INTERNAL_H
#define GODWIT_DAEMON_CONTROL_INTERNAL_H

#include <sys/types.h>

#include <jansson.h>

#include "daemon/control.h"
#include "daemon/peer.h"

/** Clients at once; the last few places are for those who may write. */
#define CLIENTS_MAX 32
#define CLIENTS_READERS_MAX 24

struct client {
	struct control *control;
	struct peer peer;
	pid_t pid;
	uid_t uid;
	/** root, or the user of this process. */
	bool may_write;
	bool subscribed;
	/** It has sent all it will send. */
	bool ended;
	/** It goes when what waits for it is sent. */
	bool closing;
	/** Why it goes although something waits for it; then it goes at the next turn of the loop. */
	const char *dropped;
	/** Requests that may be answered before the next tick. */
	int budget;
	unsigned int closing_ticks;
};

struct control {
	struct loop *loop;
	struct vnic *vnic;
	struct control_config cfg;
	struct client *clients[CLIENTS_MAX];
	int tick_timer;
	bool ticking;
	uint64_t events;
	/** For a log that a client cannot fill. */
	uint64_t complained_ns;
	unsigned int not_complained;
};

/** Take a connection, which is the client's from now on. Returns 0 or -errno (closed then). */
int client_new(struct control *c, int fd, struct client **out);
/** Do all that can be done for it now: answer, send, or let it go (and free it). */
void client_go(struct client *cl);
/** A twentieth of a second has passed. True when it needs another tick. May free it. */
bool client_tick(struct client *cl);
/** Put a line in its queue, to be sent in its turn. It is not freed by it. */
void client_tell(struct client *cl, const char *text, size_t len);
/** Let it go. */
void client_free(struct client *cl);

/** @p cl is gone: empty its place. */
void control_forget(struct control *c, const struct client *cl);
/** See to it that client_tick() is called. */
void control_tick_soon(struct control *c);
/** Log a line about a client, one a second at most. */
void control_complain(struct control *c, const struct client *cl, const char *what);

/** One line of text with its newline, to be freed; NULL: no memory. Takes the reference. */
char *control_line(json_t *message, size_t *len);

#endif
