/* state.h: the life of a vNIC as data: its states, and which may follow which. */
#ifndef GODWIT_VNIC_STATE_H
#define GODWIT_VNIC_STATE_H

#include <stdbool.h>

enum vnic_state {
	/** No front-end is connected. */
	VNIC_WAITING,
	/**
	 * A front-end is connected, and no ring was started yet. On a migration's destination:
	 * until the VM arrives.
	 */
	VNIC_NEGOTIATING,
	/** A ring is started. */
	VNIC_RUNNING,
	/** The same, with every write logged: a migration away is under way. */
	VNIC_LOGGING,
	/** All rings were stopped: the VM is paused, was reset, or has moved away. */
	VNIC_STOPPED,
	/** The process is ending. */
	VNIC_CLOSING,
	VNIC_STATES
};

/** "running" and so on; "?" for what is no state. */
const char *vnic_state_name(enum vnic_state s);
/**
 * True when @p to may follow @p from. A state may always follow itself, but CLOSING has no
 * successor.
 */
bool vnic_state_allowed(enum vnic_state from, enum vnic_state to);

#endif
