/* set.c: godwit set: settings of a running vNIC. */
#include <stdio.h>
#include <string.h>

#include "remote.h"
#include "verb.h"

enum { OPT_LEVEL, OPT_INCOMING, OPT_JSON };

const struct cli_option set_options[] = {
	[OPT_LEVEL] = { "log-level", "LEVEL", "error, warning, notice, info or debug", 0 },
	[OPT_INCOMING] = { "incoming", "YES|NO", "a VM will arrive by migration: announce it", 0 },
	[OPT_JSON] = { "json", NULL, "print the settings as JSON", 0 },
	{ 0 },
};

int set_verb(const struct cli_args *args)
{
	const char *level = args->value[OPT_LEVEL], *incoming = args->value[OPT_INCOMING];
	json_t *params, *set;
	int status;

	if (incoming && strcmp(incoming, "yes") && strcmp(incoming, "no")) {
		fprintf(stderr, "godwit set: --incoming %s: give yes or no\n", incoming);
		return EXIT_USAGE;
	}
	params = json_object();
	if (level)
		json_object_set_new(params, "log_level", json_string(level));
	if (incoming)
		json_object_set_new(params, "incoming", json_boolean(!strcmp(incoming, "yes")));
	status = remote_ask(args->operands[0], "set", params, REMOTE_TIMEOUT_MS, &set);
	if (status)
		return status;
	if (args->value[OPT_JSON]) {
		remote_print(set);
		return remote_end();
	}
	printf("log-level  %s\n", remote_text(set, "log_level"));
	printf("incoming   %s\n", json_is_true(json_object_get(set, "incoming")) ? "yes" : "no");
	json_decref(set);
	return remote_end();
}
