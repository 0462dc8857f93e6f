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
	/** -1: listen on socket_path, or connect to it. */
	int fd;
	/** Connect. */
	bool client;
	bool has_mac;
	uint8_t mac[6];
	char *group;
	bool group_given;
	/** 0: not given. */
	unsigned int memory_mib;
	unsigned int idle_us;
	char *cpus;
	bool incoming;
	/** Mask of feature bits that are not offered. */
	uint64_t features_off;
	/** 0: as the device has it. */
	unsigned int mtu;
	enum log_level log_level;
	/** NULL: no control socket. */
	char *control_path;
	/** It was asked for by --control-path. */
	bool control_given;
	bool no_control;
};

/**
 * Read the command line, and the file that --config names; the command line wins.
 * @return  0; -EINVAL: wrong usage (exit status 2); other -errno: the file cannot be read (exit
 *          status 1)
 */
int options_parse(int argc, char **argv, struct options *o, struct err *e);
/**
 * Read a station's MAC address.
 * @param what  the option or parameter, for the sentence
 * @return      0, or -EINVAL with a sentence
 */
int options_mac(const char *text, const char *what, uint8_t mac[6], struct err *e);
/** Free the strings. */
void options_free(struct options *o);
/** The help text, made from the table of options. */
void options_help(FILE *to);

#endif
