/* completion.c: godwit completion: a shell's completion script, made from the verb table. */
#include <stdio.h>
#include <string.h>

#include "remote.h"
#include "verb.h"

const struct cli_option completion_options[] = { { 0 } };

static void print_options(const struct verb *v)
{
	for (const struct cli_option *o = v->options; o->name; o++)
		printf("--%s ", o->name);
	printf("--help");
}

/* Options after which a value comes, as a pattern of the shell: a file may be the value. */
static void print_valued(const struct verb *v)
{
	const char *between = "";

	for (const struct cli_option *o = v->options; o->name; o++) {
		if (!o->arg)
			continue;
		printf("%s--%s", between, o->name);
		between = "|";
	}
}

static void print_verb(const struct verb *v)
{
	printf("\t%s)\n\t\toptions=\"", v->name);
	print_options(v);
	printf("\"\n\t\tvalued=\"");
	print_valued(v);
	/* NAME is a vNIC's only where the verb speaks with a running godwitd. */
	printf("\"\n\t\toperand=\"%s\"\n\t\t;;\n", !strcmp(v->name, "migrate") ? "" : v->args);
}

static void print_bash(void)
{
	printf("# bash completion for godwit; made by: godwit completion bash\n"
	       "_godwit() {\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal verbs options valued operand path\n"
	       "\tCOMPREPLY=()\n"
	       "\tverbs=\"help");
	for (const struct verb *v = verbs; v->name; v++)
		printf(" %s", v->name);
	printf("\"\n"
	       "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$verbs --help --version\" -- \"$word\")\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcase ${COMP_WORDS[1]} in\n");
	for (const struct verb *v = verbs; v->name; v++)
		print_verb(v);
	printf("\thelp)\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$word\")\n"
	       "\t\treturn\n"
	       "\t\t;;\n"
	       "\t*) return ;;\n"
	       "\tesac\n"
	       "\tif [[ -n $valued && $before =~ ^($valued)$ ]]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	       "\telif [[ $word == -* ]]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
	       "\telif [[ $operand == SHELL ]]; then\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -W bash -- \"$word\")\n"
	       "\telif [[ $operand == NAME* ]]; then\n"
	       "\t\tfor path in /run/godwit/*/control.sock; do\n"
	       "\t\t\tpath=${path%%/control.sock}\n"
	       "\t\t\tpath=${path##*/}\n"
	       "\t\t\t[[ $path != '*' && $path == \"$word\"* ]] && COMPREPLY+=(\"$path\")\n"
	       "\t\tdone\n"
	       "\tfi\n"
	       "}\n"
	       "complete -F _godwit godwit\n");
}

int completion_verb(const struct cli_args *args)
{
	if (strcmp(args->operands[0], "bash")) {
		fprintf(stderr, "godwit completion: %s: there is one for bash only\n",
			args->operands[0]);
		return EXIT_USAGE;
	}
	print_bash();
	return remote_end();
}
