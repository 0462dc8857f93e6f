/* call.c: requests, their answers, and the events between them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/internal.h"

static void text_copy(char *to, size_t size, const json_t *from)
{
	snprintf(to, size, "%s", json_is_string(from) ? json_string_value(from) : "");
}

static void event_keep(struct godwit *g, const json_t *params)
{
	unsigned int at = (g->event_at + g->event_count) % CLIENT_EVENTS_MAX;
	struct godwit_event *ev = &g->events[at];

	ev->number = (uint64_t)json_integer_value(json_object_get(params, "number"));
	ev->time = json_number_value(json_object_get(params, "time"));
	text_copy(ev->event, sizeof(ev->event), json_object_get(params, "event"));
	text_copy(ev->detail, sizeof(ev->detail), json_object_get(params, "detail"));
	if (g->event_count < CLIENT_EVENTS_MAX)
		g->event_count++;
	else
		g->event_at = (g->event_at + 1) % CLIENT_EVENTS_MAX;
}

/* Keeps it when it is an event. */
static bool is_notification(struct godwit *g, const json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));

	if (!method)
		return false;
	if (strcmp(method, "event") == 0)
		event_keep(g, json_object_get(message, "params"));
	return true;
}

static int connection_failed(struct godwit *g, int rc, const char *doing, struct godwit_error *e)
{
	/* A late answer to one request must never be taken for that of the next. */
	g->broken = true;
	switch (-rc) {
	case ETIMEDOUT:
		return client_error(e, rc, "%s: no answer to %s in time", g->vnic, doing);
	case ECONNRESET:
		return client_error(e, rc, "%s: its godwitd has closed the connection", g->vnic);
	case EPROTO:
		return client_error(e, rc, "%s: what answers there is no godwitd", g->vnic);
	default:
		return client_error(e, rc, "%s: %s: %s", g->vnic, doing, strerror(-rc));
	}
}

static int said_no(struct godwit *g, const json_t *error, struct godwit_error *e)
{
	const char *text = json_string_value(json_object_get(error, "message"));
	int code = (int)json_integer_value(json_object_get(error, "code"));
	json_int_t number =
		json_integer_value(json_object_get(json_object_get(error, "data"), "errno"));
	int rc = number > 0 && number < 4096 ? -(int)number : -EINVAL;

	if (code == -32001)
		rc = -EPERM;
	client_error(e, rc, "%s: %s", g->vnic, text ? text : "it says no, and not why");
	if (e)
		e->rpc_code = code;
	return rc;
}

/* Takes the reference to @p params. */
static char *request_text(struct godwit *g, const char *method, json_t *params)
{
	json_t *request =
		json_pack("{s:s, s:I, s:s}", "jsonrpc", "2.0", "id", ++g->id, "method", method);
	char *text = NULL, *line = NULL;

	if (params && json_object_set_new(request, "params", params))
		json_object_clear(request);
	else
		text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

/* The answer to the last request, as a new reference in @p out. */
static int answer_wait(struct godwit *g, uint64_t deadline, json_t **out)
{
	for (;;) {
		json_t *message;
		int rc = stream_read(&g->s, deadline, &message);

		if (rc)
			return rc;
		if (!is_notification(g, message)) {
			const json_t *id = json_object_get(message, "id");

			/* With no id, it is said of the connection: there are too many, say. */
			if (json_is_null(id) || json_integer_value(id) == g->id) {
				*out = message;
				return 0;
			}
		}
		json_decref(message);
	}
}

static int answer_take(struct godwit *g, const json_t *answer, char **result,
		       struct godwit_error *e)
{
	const json_t *error = json_object_get(answer, "error");
	const json_t *value = json_object_get(answer, "result");

	if (error)
		return said_no(g, error, e);
	if (!value)
		return connection_failed(g, -EPROTO, "the call", e);
	if (!result)
		return 0;
	*result = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	return *result ? 0 : client_error(e, -ENOMEM, "no memory");
}

int godwit_call(struct godwit *g, const char *method, const char *params, int timeout_ms,
		char **result, struct godwit_error *e)
{
	uint64_t deadline = stream_deadline(timeout_ms);
	json_t *object = params ? json_loads(params, JSON_REJECT_DUPLICATES, NULL) : NULL, *answer;
	char *line;
	int rc;

	if (result)
		*result = NULL;
	if (params && !object)
		return client_error(e, -EINVAL, "params of %s are no JSON", method);
	if (g->broken) {
		json_decref(object);
		return client_error(e, -ECONNRESET, "%s: an earlier call broke off: connect again",
				    g->vnic);
	}
	line = request_text(g, method, object);
	if (!line)
		return client_error(e, -ENOMEM, "no memory");
	rc = stream_write(&g->s, line, strlen(line), deadline);
	free(line);
	/* Refused at the door, we cannot write, but may read why. */
	if (!rc || rc == -ECONNRESET)
		rc = answer_wait(g, deadline, &answer);
	if (rc)
		return connection_failed(g, rc, method, e);
	rc = answer_take(g, answer, result, e);
	json_decref(answer);
	return rc;
}

int godwit_subscribe(struct godwit *g, int timeout_ms, struct godwit_error *e)
{
	return godwit_call(g, "subscribe", NULL, timeout_ms, NULL, e);
}

int godwit_next_event(struct godwit *g, int timeout_ms, struct godwit_event *event,
		      struct godwit_error *e)
{
	uint64_t deadline = stream_deadline(timeout_ms);

	while (!g->event_count) {
		json_t *message;
		int rc = stream_read(&g->s, deadline, &message);

		/* To wait in vain breaks nothing. */
		if (rc == -ETIMEDOUT)
			return client_error(e, rc, "%s: no event in time", g->vnic);
		if (rc)
			return connection_failed(g, rc, "events", e);
		is_notification(g, message);
		json_decref(message);
	}
	*event = g->events[g->event_at];
	g->event_at = (g->event_at + 1) % CLIENT_EVENTS_MAX;
	g->event_count--;
	return 0;
}
