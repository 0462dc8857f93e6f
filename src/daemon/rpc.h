/* rpc.h: JSON-RPC 2.0: one line in, one reply out. Knows no socket and no vNIC. */
#ifndef GODWIT_DAEMON_RPC_H
#define GODWIT_DAEMON_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"

/** The most requests in one batch. */
#define RPC_BATCH_MAX 16

/* Spec: JSON-RPC 2.0, 5.1. */
enum rpc_error {
	RPC_PARSE = -32700,
	RPC_INVALID = -32600,
	RPC_NO_METHOD = -32601,
	RPC_BAD_PARAMS = -32602,
	/** The method failed: `data` has the errno. */
	RPC_FAILED = -32000,
	/** A write method, and the caller may only read. */
	RPC_NOT_PERMITTED = -32001,
	/** Too much asked of the server: a request too long, too many clients. */
	RPC_LIMIT = -32002,
};

enum rpc_type { RPC_STRING, RPC_BOOL };

/** A named parameter. A list of them ends with a NULL name. */
struct rpc_param {
	const char *name;
	enum rpc_type type;
	bool required;
};

/** A method. A list of them ends with a NULL name. */
struct rpc_method {
	const char *name;
	/** Changes something: only who may write may call it. */
	bool writes;
	const struct rpc_param *params;
	/**
	 * @param arg     struct rpc.arg
	 * @param params  an object that fits the list above; never NULL
	 * @param result  set to a new reference, on success
	 * @return        0, or -errno with a sentence; -EDOM: a parameter's value is wrong
	 */
	int (*run)(void *arg, const json_t *params, json_t **result, struct err *e);
};

/** Who asks, and what there is to ask. */
struct rpc {
	const struct rpc_method *methods;
	bool may_write;
	void *arg;
	/** Grows by each request, wrong ones too: a batch is many. */
	unsigned int handled;
	/** What came was no JSON: this is no client of ours. */
	bool garbage;
};

/**
 * Answer one line.
 * @param line  @p len bytes from a client, without the newline
 * @return      a new reference: an object or (for a batch) an array; NULL: nothing is answered
 *              (notifications, an empty line, no memory)
 */
json_t *rpc_answer(struct rpc *r, const char *line, size_t len);

/** An error object with a null id, for what goes wrong outside of a request. New reference. */
json_t *rpc_refusal(enum rpc_error code, const char *message);

/** A notification of @p params (the reference is taken). New reference. */
json_t *rpc_notification(const char *method, json_t *params);

#endif
