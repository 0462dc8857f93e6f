/* qmp_msg.c: parsing of single QMP messages; everything in them is untrusted. */
#include "qmp_msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char *to, size_t size, const json_t *from)
{
	const char *s = json_string_value(from);

	snprintf(to, size, "%s", s ? s : "");
}

static int parse_greeting(json_t *hello, struct qmp_msg *m)
{
	int major = 0, minor = 0, micro = 0;

	if (json_unpack(hello, "{s:{s:{s:i,s:i,s:i}}}", "version", "qemu", "major", &major, "minor",
			&minor, "micro", &micro))
		return -EPROTO;
	m->kind = QMP_MSG_GREETING;
	snprintf(m->name, sizeof(m->name), "%d.%d.%d", major, minor, micro);
	return 0;
}

static int parse_event(json_t *root, struct qmp_msg *m)
{
	json_int_t seconds = 0, micros = 0;
	json_t *name = json_object_get(root, "event");

	if (!json_is_string(name))
		return -EPROTO;
	m->kind = QMP_MSG_EVENT;
	copy_text(m->name, sizeof(m->name), name);
	/* QEMU says -1 when its host has no clock. */
	if (!json_unpack(root, "{s:{s:I,s:I}}", "timestamp", "seconds", &seconds, "microseconds",
			 &micros) &&
	    seconds > 0 && micros >= 0)
		m->at = (double)seconds + (double)micros / 1e6;
	m->data = json_incref(json_object_get(root, "data"));
	return 0;
}

static int parse_reply(json_t *root, struct qmp_msg *m)
{
	json_t *error = json_object_get(root, "error");
	json_t *id = json_object_get(root, "id");

	if (json_is_integer(id) && json_integer_value(id) > 0)
		m->id = (uint64_t)json_integer_value(id);
	if (error) {
		if (!json_is_string(json_object_get(error, "desc")))
			return -EPROTO;
		m->kind = QMP_MSG_ERROR;
		copy_text(m->text, sizeof(m->text), json_object_get(error, "desc"));
		return 0;
	}
	m->kind = QMP_MSG_RETURN;
	m->data = json_incref(json_object_get(root, "return"));
	return m->data ? 0 : -EPROTO;
}

int qmp_msg_parse(const char *line, size_t len, struct qmp_msg *m)
{
	json_t *root;
	int rc;

	memset(m, 0, sizeof(*m));
	root = json_loadb(line, len, 0, NULL);
	if (!json_is_object(root))
		rc = -EPROTO;
	else if (json_object_get(root, "QMP"))
		rc = parse_greeting(json_object_get(root, "QMP"), m);
	else if (json_object_get(root, "event"))
		rc = parse_event(root, m);
	else
		rc = parse_reply(root, m);
	json_decref(root);
	if (rc)
		qmp_msg_free(m);
	return rc;
}

void qmp_msg_free(struct qmp_msg *m)
{
	json_decref(m->data);
	m->data = NULL;
}
