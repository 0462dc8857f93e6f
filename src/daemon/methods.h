/* methods.h: what a control client may ask for. */
#ifndef GODWIT_DAEMON_METHODS_H
#define GODWIT_DAEMON_METHODS_H

#include <stdbool.h>

#include "daemon/rpc.h"
#include "vnic/vnic.h"

/** What the methods work on: the arg of struct rpc. */
struct methods {
	struct vnic *vnic;
	const char *name;
	/** "DPDK 22.11.7" */
	const char *dpdk;
	/** Set by subscribe. */
	bool *subscribed;
};

/** The table, ended by a NULL name. */
extern const struct rpc_method methods_table[];

#endif
