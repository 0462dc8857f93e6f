/* connector.h: --client: connecting to a socket that the front-end listens on, again and again. */
#ifndef GODWIT_DAEMON_CONNECTOR_H
#define GODWIT_DAEMON_CONNECTOR_H

#include <stdbool.h>

#include "base/err.h"
#include "base/loop.h"
#include "vnic/vnic.h"

struct connector {
	struct loop *loop;
	struct vnic *vnic;
	const char *path;
	/** Due: the next attempt, or a look at whether a connected front-end says anything. */
	int timer;
	bool connected;
	/** What the log was told last: -errno of the attempts, 0 connected, 1 silence. */
	int said;
	unsigned int delay_ms;
};

/**
 * Connect to @p path now, or as soon as somebody listens there, and again after each connection:
 * after 0.1 s, and twice as long after each attempt that brings nothing, up to 2 s.
 * @param path  kept; must live on
 * @return      0 or -errno with a sentence. A path that is not there yet is no error.
 * Thread:      control.
 */
int connector_start(struct connector *c, struct loop *l, struct vnic *v, const char *path,
		    struct err *e);
/** No further attempts. Idempotent. */
void connector_stop(struct connector *c);

#endif
