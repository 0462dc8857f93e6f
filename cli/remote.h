/* remote.h: what the verbs that speak with a godwitd share. */
#ifndef GODWIT_CLI_REMOTE_H
#define GODWIT_CLI_REMOTE_H

#include <jansson.h>

#include "godwit/client.h"

/** How long godwitd may take to answer. */
#define REMOTE_TIMEOUT_MS 5000
/** Taking a device may mean resetting a card. */
#define REMOTE_DEVICE_TIMEOUT_MS 60000

/**
 * Connect to a vNIC.
 * @return  an exit status: EXIT_OK, or EXIT_FAILED after one sentence on standard error
 */
int remote_open(const char *vnic, struct godwit **out);
/**
 * Call a method.
 * @param params  an object, or NULL; the reference is taken
 * @param result  a new reference; NULL: it is not wanted
 * @return        an exit status, as above
 */
int remote_call(struct godwit *g, const char *method, json_t *params, int timeout_ms,
		json_t **result);
/** Connect, call, disconnect. */
int remote_ask(const char *vnic, const char *method, json_t *params, int timeout_ms,
	       json_t **result);
/** Print as one line. Takes the reference. */
void remote_print(json_t *value);
/** Flush standard output. Returns an exit status: failed, with a sentence, when it cannot be written. */
int remote_end(void);

/** A member of an object: its text, or "-". */
const char *remote_text(const json_t *object, const char *member);
/** A member of an object: its number, or 0. */
long long remote_number(const json_t *object, const char *member);
/** The sum of all counters of a `stats` or `show` result that tell of lost frames. */
long long remote_dropped(const json_t *stats, const char *direction);

#endif
