/* test_rpc.c: JSON-RPC 2.0: what is answered to what, without a socket. */
#include "daemon/rpc.h"
#include "unit.h"

/* What the methods below were called with. */
static unsigned int reads, writes;
static char last_text[64];
static bool last_flag;

static int run_read(void *arg, const json_t *params, json_t **result, struct err *e)
{
	assert_ptr_equal(arg, &reads);
	assert_true(json_is_object(params));
	reads++;
	*result = json_integer(reads);
	return 0;
}

static const struct rpc_param write_params[] = {
	{ "text", RPC_STRING, true },
	{ "flag", RPC_BOOL, false },
	{ NULL, RPC_STRING, false },
};

static int run_write(void *arg, const json_t *params, json_t **result, struct err *e)
{
	writes++;
	snprintf(last_text, sizeof(last_text), "%s",
		 json_string_value(json_object_get(params, "text")));
	last_flag = json_is_true(json_object_get(params, "flag"));
	*result = json_true();
	return 0;
}

static int run_fail(void *arg, const json_t *params, json_t **result, struct err *e)
{
	return err_set(e, -EBUSY, "the thing is taken");
}

static int run_wrong_value(void *arg, const json_t *params, json_t **result, struct err *e)
{
	return err_set(e, -EDOM, "give another one");
}

static int run_nothing(void *arg, const json_t *params, json_t **result, struct err *e)
{
	return 0;
}

static const struct rpc_param none[] = { { NULL, RPC_STRING, false } };

static const struct rpc_method methods[] = {
	{ "read", false, none, run_read },	 { "write", true, write_params, run_write },
	{ "fail", false, none, run_fail },	 { "wrong", false, none, run_wrong_value },
	{ "nothing", false, none, run_nothing }, { NULL, false, NULL, NULL },
};

static int setup(void **state)
{
	reads = writes = 0;
	last_text[0] = 0;
	last_flag = false;
	return 0;
}

static json_t *answer(struct rpc *r, const char *line)
{
	r->methods = methods;
	r->arg = &reads;
	return rpc_answer(r, line, strlen(line));
}

/* The reply to @p line must be @p reply, as JSON text; NULL: there must be none. */
static void says(const char *line, const char *reply)
{
	struct rpc r = { .may_write = true };
	json_t *said = answer(&r, line), *wanted = reply ? json_loads(reply, 0, NULL) : NULL;

	if (!json_equal(said, wanted) && (said || wanted))
		fail_msg("to %s it says %s", line, json_dumps(said, JSON_COMPACT));
	json_decref(said);
	json_decref(wanted);
}

/* The reply to @p line must be an error of @p code whose message holds @p word. */
static void errs(struct rpc *r, const char *line, int code, const char *word)
{
	json_t *said = answer(r, line), *error = json_object_get(said, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	if (json_integer_value(json_object_get(error, "code")) != code || !message ||
	    !strstr(message, word))
		fail_msg("to %s it says %s", line,
			 said ? json_dumps(said, JSON_COMPACT) : "nothing");
	assert_null(json_object_get(said, "result"));
	json_decref(said);
}

#define CALL(method) "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" method "\"}"

static void calls(void **state)
{
	says(CALL("read"), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}");
	says("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"read\",\"params\":{}}",
	     "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":2}");
	says("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"read\"}",
	     "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":3}");
	assert_int_equal(reads, 3);
}

static void parameters(void **state)
{
	struct rpc r = { .may_write = true };

	says("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"write\",\"params\":{\"text\":\"a\",\"flag\":true}}",
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":true}");
	assert_string_equal(last_text, "a");
	assert_true(last_flag);
	errs(&r, CALL("write"), RPC_BAD_PARAMS, "'text'");
	errs(&r,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"write\",\"params\":{\"text\":\"a\",\"flag\":1}}",
	     RPC_BAD_PARAMS, "true or false");
	errs(&r,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"write\",\"params\":{\"text\":\"a\",\"tux\":1}}",
	     RPC_BAD_PARAMS, "'tux'");
	errs(&r, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"write\",\"params\":[\"a\"]}",
	     RPC_BAD_PARAMS, "object");
	assert_int_equal(writes, 1);
}

static void failures(void **state)
{
	struct rpc r = { .may_write = true };

	says(CALL("fail"),
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"the thing is taken\","
	     "\"data\":{\"method\":\"fail\",\"errno\":16,\"name\":\"EBUSY\"}}}");
	errs(&r, CALL("wrong"), RPC_BAD_PARAMS, "another");
	errs(&r, CALL("nothing"), RPC_FAILED, "memory");
	errs(&r, CALL("nonsense"), RPC_NO_METHOD, "read write fail");
}

static void who_may_write(void **state)
{
	struct rpc r = { .may_write = false };

	errs(&r, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"write\",\"params\":{\"text\":\"a\"}}",
	     RPC_NOT_PERMITTED, "root");
	/* That it is not permitted comes before what is wrong with it. */
	errs(&r, CALL("write"), RPC_NOT_PERMITTED, "root");
	assert_null(answer(
		&r, "{\"jsonrpc\":\"2.0\",\"method\":\"write\",\"params\":{\"text\":\"a\"}}"));
	assert_int_equal(writes, 0);
	json_decref(answer(&r, CALL("read")));
	assert_int_equal(reads, 1);
}

static void notifications(void **state)
{
	says("{\"jsonrpc\":\"2.0\",\"method\":\"read\"}", NULL);
	says("{\"jsonrpc\":\"2.0\",\"method\":\"nonsense\"}", NULL);
	says("{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}", NULL);
	assert_int_equal(reads, 1);
}

static void batches(void **state)
{
	struct rpc r = { .may_write = true };
	char text[1024];
	size_t used = 0;

	says("[" CALL("read") ",{\"jsonrpc\":\"2.0\",\"method\":\"read\"}," CALL("read") "]",
	     "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1},{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}]");
	says("[{\"jsonrpc\":\"2.0\",\"method\":\"read\"}]", NULL);
	assert_int_equal(reads, 4);
	errs(&r, "[]", RPC_INVALID, "batch");
	for (int i = 0; i <= RPC_BATCH_MAX; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, i ? ",1" : "[1");
	snprintf(text + used, sizeof(text) - used, "]");
	errs(&r, text, RPC_INVALID, "batch");
}

/* Every request costs, wrong ones too, or a batch would be a way round the limit. */
static void what_it_costs(void **state)
{
	struct rpc r = { .may_write = true };

	json_decref(answer(&r, "[1,2,3,{}]"));
	assert_int_equal(r.handled, 4);
	json_decref(answer(&r, CALL("read")));
	json_decref(answer(&r, ""));
	json_decref(answer(&r, "[]"));
	json_decref(answer(&r, "{"));
	assert_int_equal(r.handled, 8);
}

static void no_requests(void **state)
{
	static const char *const wrong[] = {
		"1",
		"null",
		"\"x\"",
		"{}",
		"{\"jsonrpc\":\"2.0\",\"id\":1}",
		"{\"jsonrpc\":\"2.1\",\"id\":1,\"method\":\"read\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"read\"}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"read\",\"params\":1}",
	};

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct rpc r = { .may_write = true };

		errs(&r, wrong[i], RPC_INVALID, " ");
		assert_false(r.garbage);
	}
	assert_int_equal(reads, 0);
}

static void no_json(void **state)
{
	static const char *const wrong[] = { "{", "hello", "{\"a\":1,\"a\":2}", "\xff", "1 2", "]" };
	static char deep[8000];

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct rpc r = { 0 };

		errs(&r, wrong[i], RPC_PARSE, "no JSON");
		assert_true(r.garbage);
	}
	memset(deep, '[', sizeof(deep) - 1);
	errs(&(struct rpc){ 0 }, deep, RPC_PARSE, "no JSON");
}

static void blank_lines(void **state)
{
	struct rpc r = { 0 };

	says("", NULL);
	says(" \t\r", NULL);
	/* A zero byte is not blank. */
	r.methods = methods;
	json_decref(rpc_answer(&r, "\0", 1));
	assert_true(r.garbage);
}

/* A quoted name may be cut within a character: the message must still be text. */
static void names_cut_short(void **state)
{
	char text[256], name[64] = "";
	struct rpc r = { 0 };

	memset(name, 'a', 63);
	snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\xc3\xa4\"}",
		 name);
	errs(&r, text, RPC_NO_METHOD, "wrong");
}

static void made_by_us(void **state)
{
	json_t *refusal = rpc_refusal(RPC_LIMIT, "too many"), *wanted;
	json_t *event = rpc_notification("event", json_pack("{s:i}", "n", 1));

	wanted = json_loads("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32002,"
			    "\"message\":\"too many\"}}",
			    0, NULL);
	assert_true(json_equal(refusal, wanted));
	json_decref(refusal);
	json_decref(wanted);
	wanted = json_loads("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"n\":1}}", 0,
			    NULL);
	assert_true(json_equal(event, wanted));
	json_decref(event);
	json_decref(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(calls),	  T(parameters),  T(failures),	      T(who_may_write),
		T(notifications), T(batches),	  T(what_it_costs),   T(no_requests),
		T(no_json),	  T(blank_lines), T(names_cut_short), T(made_by_us),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
