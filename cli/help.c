/* help.c: help texts, made from the verb table. */
#include <stdio.h>
#include <string.h>

#include "verb.h"

void help_tool(void)
{
	printf("Usage: godwit VERB [OPTIONS] …\n\n"
	       "SR-IOV virtual functions for VMs, with live migration.\n\nVerbs:\n");
	for (const struct verb *v = verbs; v->name; v++)
		printf("  %-12s %s\n", v->name, v->summary);
	printf("  %-12s %s\n\n", "help [VERB]", "this list, or a verb with its options");
	printf("Options:\n  --version    the version\n  --help       the same as help\n\n"
	       "Exit status: 0 done, 1 failed or cancelled, 2 wrong usage. See godwit(1).\n");
}

static void option_name(const struct cli_option *o, char *to, size_t size)
{
	snprintf(to, size, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
}

void help_verb(const struct verb *v)
{
	char name[64];

	printf("Usage: godwit %s", v->name);
	for (const struct cli_option *o = v->options; o->name; o++) {
		option_name(o, name, sizeof(name));
		printf(o->required ? " %s" : " [%s]", name);
	}
	printf("%s%s\n\n%s.\n\nOptions:\n", v->args[0] ? " " : "", v->args, v->summary);
	for (const struct cli_option *o = v->options; o->name; o++) {
		option_name(o, name, sizeof(name));
		printf("  %-18s %s\n", name, o->help);
	}
	printf("  %-18s %s\n", "--help", "this text");
}
