/* help.c: help texts, made from the verb table. */
#include <stdio.h>
#include <string.h>

#include "verb.h"

#define COLUMNS 80
#define USAGE_INDENT 13

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

/* Puts a word behind the others, on a new line where this one is full. Returns the column after it. */
static int usage_word(int column, const char *open, const char *word, const char *close)
{
	int len = (int)(strlen(open) + strlen(word) + strlen(close)) + 1;

	if (column + len > COLUMNS) {
		printf("\n%*s", USAGE_INDENT, "");
		column = USAGE_INDENT;
	}
	printf(" %s%s%s", open, word, close);
	return column + len;
}

void help_verb(const struct verb *v)
{
	int column = printf("Usage: godwit %s", v->name);
	char name[64];

	for (const struct cli_option *o = v->options; o->name; o++) {
		option_name(o, name, sizeof(name));
		column = usage_word(column, o->required ? "" : "[", name, o->required ? "" : "]");
	}
	if (v->args[0])
		usage_word(column, "", v->args, "");
	printf("\n\n%s.\n\nOptions:\n", v->summary);
	for (const struct cli_option *o = v->options; o->name; o++) {
		option_name(o, name, sizeof(name));
		printf("  %-18s %s\n", name, o->help);
	}
	printf("  %-18s %s\n", "--help", "this text");
}
