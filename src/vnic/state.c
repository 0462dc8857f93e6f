/* state.c: the table of a vNIC's transitions. */
#include "vnic/state.h"

#define TO(s) (1u << VNIC_##s)

static const struct {
	const char *name;
	unsigned int next;
} states[VNIC_STATES] = {
	[VNIC_WAITING] = { "waiting", TO(WAITING) | TO(NEGOTIATING) | TO(CLOSING) },
	[VNIC_NEGOTIATING] = { "negotiating", TO(NEGOTIATING) | TO(RUNNING) | TO(LOGGING) |
						      TO(WAITING) | TO(CLOSING) },
	[VNIC_RUNNING] = { "running",
			   TO(RUNNING) | TO(LOGGING) | TO(STOPPED) | TO(WAITING) | TO(CLOSING) },
	[VNIC_LOGGING] = { "logging",
			   TO(LOGGING) | TO(RUNNING) | TO(STOPPED) | TO(WAITING) | TO(CLOSING) },
	[VNIC_STOPPED] = { "stopped",
			   TO(STOPPED) | TO(RUNNING) | TO(LOGGING) | TO(WAITING) | TO(CLOSING) },
	[VNIC_CLOSING] = { "closing", 0 },
};

const char *vnic_state_name(enum vnic_state s)
{
	return (unsigned int)s < VNIC_STATES ? states[s].name : "?";
}

bool vnic_state_allowed(enum vnic_state from, enum vnic_state to)
{
	return (unsigned int)from < VNIC_STATES && (unsigned int)to < VNIC_STATES &&
	       (states[from].next >> to & 1);
}
