/* remote.c: connecting to a godwitd, and its errors as sentences. */
#include "remote.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verb.h"

static int failed(const char *text)
{
	fprintf(stderr, "godwit: %s\n", text);
	return EXIT_FAILED;
}

int remote_open(const char *vnic, struct godwit **out)
{
	struct godwit_error e;

	return godwit_connect(vnic, REMOTE_TIMEOUT_MS, out, &e) ? failed(e.text) : EXIT_OK;
}

int remote_call(struct godwit *g, const char *method, json_t *params, int timeout_ms,
		json_t **result)
{
	char *text = params ? json_dumps(params, JSON_COMPACT) : NULL, *said;
	bool wrong = params && !text;
	struct godwit_error e;
	int rc;

	json_decref(params);
	if (wrong)
		return failed("a value is no valid text (UTF-8)");
	rc = godwit_call(g, method, text, timeout_ms, &said, &e);
	free(text);
	if (rc)
		return failed(e.text);
	if (result)
		*result = json_loads(said, JSON_DECODE_ANY, NULL);
	free(said);
	return result && !*result ? failed("out of memory") : EXIT_OK;
}

int remote_ask(const char *vnic, const char *method, json_t *params, int timeout_ms,
	       json_t **result)
{
	struct godwit *g;
	int status = remote_open(vnic, &g);

	if (status) {
		json_decref(params);
		return status;
	}
	status = remote_call(g, method, params, timeout_ms, result);
	godwit_free(g);
	return status;
}

void remote_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(value);
}

int remote_end(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_OK;
	return failed("standard output cannot be written");
}

const char *remote_text(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "-";
}

long long remote_number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static long long dropped_in(json_t *counters, const char *direction)
{
	const char *name;
	json_t *value;
	long long sum = 0;

	json_object_foreach(counters, name, value) {
		const char *rest = strncmp(name, "port_", 5) == 0 ? name + 5 : name;

		if (strncmp(rest, direction, 2) == 0 &&
		    (strncmp(rest + 2, "_drop", 5) == 0 || strcmp(rest + 2, "_missed") == 0 ||
		     strcmp(rest + 2, "_errors") == 0))
			sum += json_integer_value(value);
	}
	return sum;
}

long long remote_dropped(const json_t *stats, const char *direction)
{
	return dropped_in(json_object_get(stats, "counters"), direction) +
	       dropped_in(json_object_get(stats, "port"), direction);
}
