/* test_qmp_msg.c: single QMP messages, right ones and every kind of wrong one. */
#include "../unit/unit.h"

#include "migrate/qmp_msg.h"

/* In a buffer of its exact size, so that the sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, struct qmp_msg *m)
{
	char *exact = malloc(len ? len : 1);
	int rc;

	memcpy(exact, text, len);
	rc = qmp_msg_parse(exact, len, m);
	free(exact);
	return rc;
}

static void greeting(void **state)
{
	static const char text[] =
		"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 13, \"minor\": 0, "
		"\"major\": 10}, \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}";
	struct qmp_msg m;

	assert_int_equal(parse(text, strlen(text), &m), 0);
	assert_int_equal(m.kind, QMP_MSG_GREETING);
	assert_string_equal(m.name, "10.0.13");
	qmp_msg_free(&m);
}

static void event(void **state)
{
	static const char text[] =
		"{\"timestamp\": {\"seconds\": 1795330001, \"microseconds\": 654005}, "
		"\"event\": \"STOP\", \"data\": {\"a\": 1}}";
	struct qmp_msg m;

	assert_int_equal(parse(text, strlen(text), &m), 0);
	assert_int_equal(m.kind, QMP_MSG_EVENT);
	assert_string_equal(m.name, "STOP");
	assert_true(m.at > 1795330001.654 && m.at < 1795330001.6541);
	assert_int_equal(json_integer_value(json_object_get(m.data, "a")), 1);
	qmp_msg_free(&m);
	qmp_msg_free(&m);
}

static void event_of_a_host_without_clock(void **state)
{
	static const char text[] = "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}, "
				   "\"event\": \"STOP\"}";
	struct qmp_msg m;

	assert_int_equal(parse(text, strlen(text), &m), 0);
	assert_true(m.at == 0 && !m.data);
}

static void replies(void **state)
{
	static const char good[] = "{\"return\": {}, \"id\": 7}";
	static const char bad[] =
		"{\"id\": 8, \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}";
	static const char early[] =
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON\"}}";
	struct qmp_msg m;

	assert_int_equal(parse(good, strlen(good), &m), 0);
	assert_true(m.kind == QMP_MSG_RETURN && m.id == 7 && m.data);
	qmp_msg_free(&m);
	assert_int_equal(parse(bad, strlen(bad), &m), 0);
	assert_true(m.kind == QMP_MSG_ERROR && m.id == 8);
	assert_string_equal(m.text, "no");
	assert_int_equal(parse(early, strlen(early), &m), 0);
	assert_true(m.kind == QMP_MSG_ERROR && m.id == 0);
}

static void rubbish(void **state)
{
	static const char *const wrong[] = {
		"",
		"{",
		"[]",
		"17",
		"\"QMP\"",
		"null",
		"{}",
		"{\"QMP\": 3}",
		"{\"QMP\": {}}",
		"{\"QMP\": {\"version\": {\"qemu\": {\"major\": \"7\"}}}}",
		"{\"event\": 5}",
		"{\"error\": {}}",
		"{\"error\": \"desc\"}",
		"{\"error\": {\"desc\": 4}}",
		"{\"id\": 4}",
		"{\"return\": {}} trailing",
		"\xff\xfe",
		"{\"return\": \"\xc3\"}",
	};
	struct qmp_msg m;

	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_int_equal(parse(wrong[i], strlen(wrong[i]), &m), -EPROTO);
	assert_int_equal(parse("{\"return\": \0 1}", 14, &m), -EPROTO);
}

static void long_texts_are_cut(void **state)
{
	char text[2048], body[1024];
	struct qmp_msg m;

	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"error\": {\"desc\": \"%s\"}}", body);
	assert_int_equal(parse(text, strlen(text), &m), 0);
	assert_int_equal(strlen(m.text), sizeof(m.text) - 1);
}

static void deep_nesting_is_refused(void **state)
{
	size_t len = 1 << 20;
	char *text = malloc(len);
	struct qmp_msg m;

	memset(text, '[', len);
	assert_int_equal(qmp_msg_parse(text, len, &m), -EPROTO);
	free(text);
}

/* Every prefix, and every single byte changed: no crash, nothing lost, and no state left behind. */
static void damaged(void **state)
{
	static const char text[] =
		"{\"timestamp\": {\"seconds\": 17, \"microseconds\": 5}, \"event\": "
		"\"MIGRATION\", \"data\": {\"status\": \"active\"}}";
	char copy[sizeof(text)];
	struct qmp_msg m;

	for (size_t len = 0; len < strlen(text); len++)
		assert_int_equal(parse(text, len, &m), -EPROTO);
	for (size_t at = 0; at < strlen(text); at++) {
		for (int b = 0; b < 256; b++) {
			memcpy(copy, text, sizeof(text));
			copy[at] = (char)b;
			if (!parse(copy, strlen(text), &m))
				qmp_msg_free(&m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greeting),
		cmocka_unit_test(event),
		cmocka_unit_test(event_of_a_host_without_clock),
		cmocka_unit_test(replies),
		cmocka_unit_test(rubbish),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests_name("qmp_msg", tests, NULL, NULL);
}
