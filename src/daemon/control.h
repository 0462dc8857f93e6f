/* control.h: the control socket: JSON-RPC 2.0 for whoever may connect. See docs/protocol.md. */
#ifndef GODWIT_DAEMON_CONTROL_H
#define GODWIT_DAEMON_CONTROL_H

#include "base/err.h"
#include "base/loop.h"
#include "vnic/vnic.h"

struct control;

struct control_config {
	/** A listening, non-blocking socket; stays the caller's. */
	int listen_fd;
	/** The vNIC's, and DPDK's version; they live on. */
	const char *name;
	const char *dpdk;
	/** Given up for a moment when descriptors run out; the caller's. */
	int *spare_fd;
};

/**
 * Serve control clients on @p l.
 * @param v    what they ask about; it must outlive the control
 * @param out  owned by the caller, freed with control_free()
 * @return     0 or -errno
 * Thread:     the loop's, as all calls here. No client can make it wait.
 */
int control_new(struct loop *l, struct vnic *v, const struct control_config *cfg,
		struct control **out, struct err *e);
/** Let all clients go. NULL is fine. */
void control_free(struct control *c);

#endif
