/* qmp.h: a client of one QEMU's machine protocol (QMP) over a UNIX socket. */
#ifndef GODWIT_MIGRATE_QMP_H
#define GODWIT_MIGRATE_QMP_H

#include <stdbool.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/err.h"

/** A connection. One thread uses it. Once broken it stays broken: close it and open another. */
struct qmp;

/** Something QEMU reported by itself. */
struct qmp_event {
	char name[64];
	double at;    /* seconds since 1970 by QEMU's clock, 0 unknown */
	json_t *data; /* may be NULL; owned by whoever took the event */
};

/**
 * Connect, take the greeting and leave capabilities negotiation.
 * @param out         owned by the caller, ended with qmp_close(); NULL on failure
 * @param timeout_ms  for all of it
 * @return            0; -errno of connect(2); -ETIMEDOUT nothing was said; -EPROTO no QMP
 */
int qmp_open(struct qmp **out, const char *path, int timeout_ms, struct err *e);

/** Disconnect. NULL is fine. */
void qmp_close(struct qmp *q);

/**
 * Send a command and wait for its reply; events that come in between are kept for qmp_event().
 * @param arguments   a reference is taken over, also on failure; NULL for none
 * @param result      the value returned, owned by the caller; NULL when it is not wanted
 * @return            0; -EREMOTEIO QEMU refused, its sentence in @p e; -ETIMEDOUT; -ECONNRESET the
 *                    connection is closed; -EPROTO, -EMSGSIZE it sent rubbish
 * A reply that comes after its time-out is dropped when it comes.
 */
int qmp_call(struct qmp *q, const char *command, json_t *arguments, int timeout_ms, json_t **result,
	     struct err *e);

/** Read what is there, without waiting. Returns 0, or why the connection is broken (see qmp_call). */
int qmp_pump(struct qmp *q);

/** Take the oldest kept event. Returns false when there is none. */
bool qmp_event(struct qmp *q, struct qmp_event *ev);

/** To poll for input; -1 when the connection is broken. */
int qmp_fd(const struct qmp *q);

/** QEMU's version, "10.0.13". Lives as long as the connection. */
const char *qmp_version(const struct qmp *q);

/** The process that listens at the other end, 0 when unknown (another PID namespace). */
pid_t qmp_peer(const struct qmp *q);

#endif
