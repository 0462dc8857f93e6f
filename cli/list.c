/* list.c: godwit list: the vNICs of this host at a glance. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "remote.h"
#include "verb.h"

#define TERMINAL_COLUMNS 80

enum { OPT_JSON };

const struct cli_option list_options[] = {
	[OPT_JSON] = { "json", NULL, "print a JSON array of what show says of each", 0 },
	{ 0 },
};

static const char *why_not(int rc)
{
	switch (-rc) {
	case ECONNREFUSED:
	case ECONNRESET:
		return "dead";
	case EACCES:
	case EPERM:
		return "not permitted";
	default:
		return "no answer";
	}
}

/* One that does not answer is in the list too, with the reason. */
static void ask(void *arg, const char *name)
{
	json_t *all = arg, *shown = NULL;
	struct godwit *g = NULL;
	struct godwit_error e;
	char *text = NULL;
	int rc = godwit_connect(name, REMOTE_TIMEOUT_MS, &g, &e);

	if (!rc)
		rc = godwit_call(g, "show", NULL, REMOTE_TIMEOUT_MS, &text, &e);
	if (!rc)
		shown = json_loads(text, 0, NULL);
	if (!shown)
		shown = json_pack("{s:s, s:s, s:s}", "name", name, "state", why_not(rc), "error",
				  rc ? e.text : "out of memory");
	free(text);
	godwit_free(g);
	json_array_append_new(all, shown);
}

static void print_table(json_t *all)
{
	int width = 12, rest;
	json_t *vnic;
	size_t i;

	json_array_foreach(all, i, vnic) {
		int len = (int)strlen(remote_text(vnic, "name"));

		width = len > width ? len : width;
	}
	rest = TERMINAL_COLUMNS - width - 13 - 5 - 18 - 5;
	rest = rest < 12 ? 12 : rest;
	printf("%-*s %-13s %-4s %-17s  %s\n", width, "NAME", "STATE", "LINK", "MAC", "DEVICE");
	json_array_foreach(all, i, vnic) {
		const json_t *device = json_object_get(vnic, "device");

		printf("%-*s %-13s %-4s %-17s  %.*s\n", width, remote_text(vnic, "name"),
		       remote_text(vnic, "state"), remote_text(device, "link"),
		       remote_text(device, "mac"), rest, remote_text(device, "name"));
	}
}

int list_verb(const struct cli_args *args)
{
	json_t *all = json_array();
	int n = godwit_each(ask, all);

	if (n < 0) {
		fprintf(stderr, "godwit: /run/godwit cannot be read: %s\n", strerror(-n));
		json_decref(all);
		return EXIT_FAILED;
	}
	if (args->value[OPT_JSON]) {
		remote_print(all);
		return remote_end();
	}
	if (n)
		print_table(all);
	else
		fprintf(stderr, "godwit: no vNIC has a control socket in /run/godwit\n");
	json_decref(all);
	return remote_end();
}
