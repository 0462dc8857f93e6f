/* qmp_msg.h: one line of QMP, told apart and taken to pieces. */
#ifndef GODWIT_MIGRATE_QMP_MSG_H
#define GODWIT_MIGRATE_QMP_MSG_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

enum qmp_msg_kind { QMP_MSG_GREETING, QMP_MSG_EVENT, QMP_MSG_RETURN, QMP_MSG_ERROR };

/** What one line said. Owns its JSON: end it with qmp_msg_free(). */
struct qmp_msg {
	enum qmp_msg_kind kind;
	char name[64];	/* EVENT: its name; GREETING: QEMU's version, "7.2.22" */
	char text[384]; /* ERROR: QEMU's sentence */
	uint64_t id;	/* RETURN and ERROR: the command's number, 0 when there was none */
	double at;	/* EVENT: seconds since 1970 by QEMU's clock, 0 when not given */
	json_t *data;	/* EVENT: data, RETURN: value; may be NULL */
};

/**
 * Parse one line.
 * @param line  untrusted bytes without the newline, not necessarily ended by a zero
 * @param len   their number
 * @param m     filled in on success; freed by the caller with qmp_msg_free()
 * @return      0, or -EPROTO when this is not a QMP message
 * Thread:      any. Never blocks or logs.
 * Spec:        QEMU docs/interop/qmp-spec, "General Definitions"
 */
int qmp_msg_parse(const char *line, size_t len, struct qmp_msg *m);

/** Free what a message owns; a second call is harmless. */
void qmp_msg_free(struct qmp_msg *m);

#endif
