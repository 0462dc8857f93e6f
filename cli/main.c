/* main.c: godwit, the operator's tool: finds the verb and runs it. */
#include <stdio.h>
#include <string.h>

#include "verb.h"

const struct verb *verb_find(const char *name)
{
	for (const struct verb *v = verbs; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

static int unknown(const char *name)
{
	fprintf(stderr, "godwit: %s is no verb; godwit help lists them\n", name);
	return EXIT_USAGE;
}

static int run_help(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 1) {
		help_tool();
		return EXIT_OK;
	}
	v = verb_find(argv[0]);
	if (!v)
		return unknown(argv[0]);
	help_verb(v);
	return EXIT_OK;
}

static int run_verb(const struct verb *v, int argc, char **argv)
{
	struct cli_args args;
	int rc = cli_parse(v, argc, argv, &args);

	if (rc < 0)
		return EXIT_USAGE;
	if (rc > 0) {
		help_verb(v);
		return EXIT_OK;
	}
	return v->run(&args);
}

int main(int argc, char **argv)
{
	const struct verb *v;

	if (argc < 2) {
		fprintf(stderr, "godwit: no verb given; godwit help lists them\n");
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("godwit " GODWIT_VERSION);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return run_help(argc - 2, argv + 2);
	v = verb_find(argv[1]);
	return v ? run_verb(v, argc - 1, argv + 1) : unknown(argv[1]);
}
