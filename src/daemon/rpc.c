/*
 * rpc.c: JSON-RPC 2.0.
 *
 * Everything here was sent by somebody: text goes through jansson (whose nesting is bounded), then each
 * member is looked at before it is used. Spec: https://www.jsonrpc.org/specification
 */
#include "daemon/rpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *error_new(enum rpc_error code, const char *message)
{
	json_t *text = json_string(message);

	/* A name that the message quotes may have been cut within a character. */
	if (!text)
		text = json_string("the request is wrong, and not to be quoted");
	return json_pack("{s:i, s:o}", "code", (int)code, "message", text);
}

/* Takes the reference to @p id. */
static json_t *reply_new(json_t *id, const char *member, json_t *value)
{
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id ? id : json_null(), member,
			 value);
}

json_t *rpc_refusal(enum rpc_error code, const char *message)
{
	return reply_new(NULL, "error", error_new(code, message));
}

json_t *rpc_notification(const char *method, json_t *params)
{
	return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}

static json_t *failure(const struct rpc_method *m, int rc, const struct err *e)
{
	const char *name = strerrorname_np(-rc);
	json_t *error;

	if (rc == -EDOM)
		return error_new(RPC_BAD_PARAMS, e->text);
	error = error_new(RPC_FAILED, e->text[0] ? e->text : strerror(-rc));
	if (error)
		json_object_set_new(error, "data",
				    json_pack("{s:s, s:i, s:s}", "method", m->name, "errno", -rc,
					      "name", name ? name : "?"));
	return error;
}

static const struct rpc_param *param_find(const struct rpc_method *m, const char *name)
{
	for (const struct rpc_param *p = m->params; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static bool param_fits(const struct rpc_param *p, const json_t *value)
{
	return p->type == RPC_BOOL ? json_is_boolean(value) : json_is_string(value);
}

/* Returns 0, or -EINVAL with a sentence. */
static int params_check(const struct rpc_method *m, json_t *params, struct err *e)
{
	const char *name;
	json_t *value;

	if (!json_is_object(params))
		return err_set(e, -EINVAL, "params of %s: give an object, members by name",
			       m->name);
	json_object_foreach(params, name, value) {
		const struct rpc_param *p = param_find(m, name);

		if (!p)
			return err_set(e, -EINVAL, "%s has no parameter '%.64s'", m->name, name);
		if (!param_fits(p, value))
			return err_set(e, -EINVAL, "%s: parameter '%s' must be %s", m->name, name,
				       p->type == RPC_BOOL ? "true or false" : "a string");
	}
	for (const struct rpc_param *p = m->params; p->name; p++)
		if (p->required && !json_object_get(params, p->name))
			return err_set(e, -EINVAL, "%s needs the parameter '%s'", m->name, p->name);
	return 0;
}

static const struct rpc_method *method_find(const struct rpc *r, const char *name)
{
	for (const struct rpc_method *m = r->methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

static json_t *no_method(const struct rpc *r, const char *name)
{
	struct err e;
	int n = snprintf(e.text, sizeof(e.text), "no method '%.64s'; there are:", name);

	for (const struct rpc_method *m = r->methods; m->name && n < (int)sizeof(e.text); m++)
		n += snprintf(e.text + n, sizeof(e.text) - (size_t)n, " %s", m->name);
	return error_new(RPC_NO_METHOD, e.text);
}

static json_t *method_run(const struct rpc *r, const struct rpc_method *m, json_t *params,
			  json_t **result)
{
	struct err e = { "" };
	json_t *none = NULL;
	int rc;

	if (m->writes && !r->may_write) {
		err_set(&e, 0, "%s is for root and for the user that godwitd runs as", m->name);
		return error_new(RPC_NOT_PERMITTED, e.text);
	}
	if (!params)
		params = none = json_object();
	rc = params_check(m, params, &e);
	if (rc) {
		json_decref(none);
		return error_new(RPC_BAD_PARAMS, e.text);
	}
	rc = m->run(r->arg, params, result, &e);
	json_decref(none);
	if (!rc && !*result)
		rc = err_set(&e, -ENOMEM, "no memory for the result");
	return rc ? failure(m, rc, &e) : NULL;
}

/* An id is a string, a number or null; jansson's numbers are integers or reals. */
static bool id_fits(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

static const char *request_wrong(const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	const json_t *params = json_object_get(request, "params");
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));

	if (!json_is_object(request))
		return "a request is an object";
	if (!version || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	if (id && !id_fits(id))
		return "\"id\" must be a string or a number";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "\"params\" must be an object";
	return NULL;
}

static json_t *answer_one(struct rpc *r, const json_t *request)
{
	json_t *id = json_object_get(request, "id");
	const char *wrong = request_wrong(request), *name;
	json_t *error = NULL, *result = NULL;
	const struct rpc_method *m;

	r->handled++;
	if (wrong)
		return reply_new(id && id_fits(id) ? json_incref(id) : NULL, "error",
				 error_new(RPC_INVALID, wrong));
	name = json_string_value(json_object_get(request, "method"));
	m = method_find(r, name);
	if (m)
		error = method_run(r, m, json_object_get(request, "params"), &result);
	else
		error = no_method(r, name);
	/* Without an id it is a notification: it is done, and nobody is told. */
	if (!id) {
		json_decref(error);
		json_decref(result);
		return NULL;
	}
	return reply_new(json_incref(id), error ? "error" : "result", error ? error : result);
}

static json_t *answer_batch(struct rpc *r, const json_t *batch)
{
	json_t *replies, *request;
	size_t i;

	if (json_array_size(batch) == 0 || json_array_size(batch) > RPC_BATCH_MAX) {
		r->handled++;
		return rpc_refusal(RPC_INVALID, "a batch has 1 to 16 requests");
	}
	replies = json_array();
	json_array_foreach(batch, i, request) {
		json_t *reply = answer_one(r, request);

		if (reply)
			json_array_append_new(replies, reply);
	}
	if (json_array_size(replies))
		return replies;
	json_decref(replies);
	return NULL;
}

static bool blank(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r", line[i]) || !line[i])
			return false;
	return true;
}

json_t *rpc_answer(struct rpc *r, const char *line, size_t len)
{
	json_error_t why;
	json_t *said, *reply;
	struct err e;

	if (blank(line, len)) {
		r->handled++;
		return NULL;
	}
	said = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!said) {
		r->handled++;
		r->garbage = true;
		err_set(&e, 0, "this is no JSON: %s (column %d)", why.text, why.column);
		return rpc_refusal(RPC_PARSE, e.text);
	}
	reply = json_is_array(said) ? answer_batch(r, said) : answer_one(r, said);
	json_decref(said);
	return reply;
}
