/* options.h: the command line and the configuration file of godwitd. */
#ifndef GODWIT_DAEMON_OPTIONS_H
#define GODWIT_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_CAPABILITIES };

/** What was asked for. Owns its strings; a string that was not given is NULL. */
struct options {
	enum options_action action;
	char *name;
	char *device;
	char *socket_path;
	/** -1: listen on socket_path. */
	int fd;
	bool has_mac;
	uint8_t mac[6];
	char *group;
	bool group_given;
	/** 0: not given. */
	unsigned int memory_mib;
	char *cpus;
	bool incoming;
	enum log_level log_level;
};

/**
 * Read the command line, and the file that --config names; the command line wins.
 * @return  0; -EINVAL: wrong usage (exit status 2); other -errno: the file cannot be read (exit
 *          status 1)
 */
int options_parse(int argc, char **argv, struct options *o, struct err *e);
/** Free the strings. */
void options_free(struct options *o);
/** The help text, made from the table of options. */
void options_help(FILE *to);

#endif
