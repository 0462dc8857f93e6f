/* verb.h: the table that parsing, help, completion and the man page of `godwit` are made from. */
#ifndef GODWIT_CLI_VERB_H
#define GODWIT_CLI_VERB_H

#include <stddef.h>

#define CLI_OPTIONS_MAX 16

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/** A long option. A list of them ends with a NULL name. */
struct cli_option {
	const char *name; /* without the dashes */
	const char *arg;  /* what its value is called; NULL: it has none */
	const char *help; /* one line */
	int required;
};

/** What the command line said. Strings are argv's. */
struct cli_args {
	const char *value[CLI_OPTIONS_MAX]; /* by the option's place in the list; NULL not given */
	char *const *operands;
	size_t operand_count;
};

/** One verb of the tool. */
struct verb {
	const char *name;
	const char *args;     /* operands as help shows them, "NAME" */
	size_t operand_count; /* how many there must be */
	const char *summary;  /* one line */
	const struct cli_option *options;
	int (*run)(const struct cli_args *args); /* returns an exit status */
};

/** All verbs, ended by one with a NULL name. */
extern const struct verb verbs[];

/* The verbs' own: their options and what they do. */
extern const struct cli_option migrate_options[];
int migrate_verb(const struct cli_args *args);
extern const struct cli_option list_options[];
int list_verb(const struct cli_args *args);
extern const struct cli_option show_options[];
int show_verb(const struct cli_args *args);
extern const struct cli_option stats_options[];
int stats_verb(const struct cli_args *args);
extern const struct cli_option watch_options[];
int watch_verb(const struct cli_args *args);
extern const struct cli_option attach_options[];
int attach_verb(const struct cli_args *args);
extern const struct cli_option detach_options[];
int detach_verb(const struct cli_args *args);
extern const struct cli_option set_options[];
int set_verb(const struct cli_args *args);
extern const struct cli_option completion_options[];
int completion_verb(const struct cli_args *args);

/** The verb of that name, or NULL. */
const struct verb *verb_find(const char *name);

/**
 * Take a verb's command line to pieces.
 * @param argv  argv[0] is the verb
 * @return      0; 1 when --help was asked for; -EINVAL after one sentence on standard error
 */
int cli_parse(const struct verb *v, int argc, char **argv, struct cli_args *args);

/** A number from @p min to @p max. Returns 0, or -EINVAL after one sentence on standard error. */
int cli_uint(const char *option, const char *text, unsigned int min, unsigned int max,
	     unsigned int *out);

/** Standard output: the list of verbs. */
void help_tool(void);
/** Standard output: one verb with its options. */
void help_verb(const struct verb *v);

#endif
