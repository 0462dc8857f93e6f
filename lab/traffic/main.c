/* gwtraffic: numbered frames and TCP between a guest and a peer, and the agent that serves the
 * lab in the guest. */
#include "roles.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *what;
	int (*run)(int argc, char **argv);
} ROLES[] = {
	{ "peer", "the station on the wire: measures in its own clock, writes the result to --out",
	  role_peer },
	{ "guest", "the station in the guest: started by the agent", role_guest },
	{ "agent", "answers commands, one line each, on a serial port in the guest", role_agent },
	{ "selftest", "checks digest, pattern, frames and tracking; prints what is wrong",
	  role_selftest },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(ROLES) / sizeof(ROLES[0]); i++)
		if (!strcmp(argv[1], ROLES[i].name))
			return ROLES[i].run(argc - 1, argv + 1);
	fprintf(stderr,
		"usage: gwtraffic ROLE [--iface IF --other-mac MAC --out FILE] [--run N] [--rate FPS]\n"
		"                 [--tcp-to ADDR] [--tcp-port PORT] [--tcp-mbit MBIT] [--tick-us US] [--gap-ms MS]\n");
	for (size_t i = 0; i < sizeof(ROLES) / sizeof(ROLES[0]); i++)
		fprintf(stderr, "  %-9s %s\n", ROLES[i].name, ROLES[i].what);
	return 2;
}
