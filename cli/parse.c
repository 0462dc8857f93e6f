/* parse.c: command lines, by the verb table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verb.h"

#define OPT_HELP 1000

static void fill_getopt(const struct verb *v, struct option *list)
{
	size_t n = 0;

	for (; v->options[n].name; n++)
		list[n] = (struct option){ v->options[n].name,
					   v->options[n].arg ? required_argument : no_argument,
					   NULL, (int)n };
	list[n] = (struct option){ "help", no_argument, NULL, OPT_HELP };
}

static int usage(const struct verb *v, const char *what, const char *which)
{
	fprintf(stderr, "godwit %s: %s%s; see godwit help %s\n", v->name, what, which, v->name);
	return -EINVAL;
}

static int check_complete(const struct verb *v, const struct cli_args *args)
{
	char option[64];

	for (size_t i = 0; v->options[i].name; i++) {
		if (!v->options[i].required || args->value[i])
			continue;
		snprintf(option, sizeof(option), "--%s %s", v->options[i].name, v->options[i].arg);
		return usage(v, "missing ", option);
	}
	if (args->operand_count < v->operand_count)
		return usage(v, "missing ", v->args);
	if (args->operand_count > v->operand_count)
		return usage(v, "too much: ", args->operands[v->operand_count]);
	return 0;
}

int cli_parse(const struct verb *v, int argc, char **argv, struct cli_args *args)
{
	struct option list[CLI_OPTIONS_MAX + 2] = { 0 };
	int opt;

	memset(args, 0, sizeof(*args));
	fill_getopt(v, list);
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":", list, NULL)) != -1) {
		if (opt == OPT_HELP)
			return 1;
		if (opt == ':')
			return usage(v, "a value is missing after ", argv[optind - 1]);
		if (opt == '?')
			return usage(v, "unknown or unfit option ", argv[optind - 1]);
		args->value[opt] = optarg ? optarg : "";
	}
	args->operands = argv + optind;
	args->operand_count = (size_t)(argc - optind);
	return check_complete(v, args);
}

int cli_uint(const char *option, const char *text, unsigned int min, unsigned int max,
	     unsigned int *out)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || n < min || n > max) {
		fprintf(stderr, "godwit: %s %s: expected a number from %u to %u\n", option, text,
			min, max);
		return -EINVAL;
	}
	*out = (unsigned int)n;
	return 0;
}
