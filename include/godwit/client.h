/*
 * client.h: talking to a godwitd over its control socket. Link with -lgodwit-client.
 *
 * One struct godwit is one connection to one vNIC, for one thread at a time. Functions return 0 or -errno,
 * and then a sentence for people is in their struct godwit_error. Requests and results are JSON text;
 * docs/protocol.md describes them.
 */
#ifndef GODWIT_CLIENT_H
#define GODWIT_CLIENT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GODWIT_API __attribute__((visibility("default")))

/** Waits without limit, where a timeout is asked for. */
#define GODWIT_FOREVER (-1)

struct godwit;

/** What went wrong. Functions take NULL where nobody wants to know. */
struct godwit_error {
	/** JSON-RPC's error code, when godwitd itself said no; else 0. */
	int rpc_code;
	/** One sentence, without a newline. */
	char text[512];
};

/** Something happened to the vNIC. */
struct godwit_event {
	/** Counts all events of the godwitd: a gap tells that some were missed. */
	uint64_t number;
	/** Seconds since 1970. */
	double time;
	/** "state", "link", "attached"…, and what it became. Cut, if ever longer. */
	char event[32];
	char detail[256];
};

/**
 * Connect to a vNIC's godwitd.
 * @param vnic        its name (/run/godwit/NAME/control.sock), or a path of a socket, with a slash in it
 * @param timeout_ms  how long a full backlog may keep us waiting
 * @param out         owned by the caller, freed with godwit_free()
 * @return            0, -ENOENT (no such vNIC), -ECONNREFUSED (its godwitd has died), -EACCES, -ETIMEDOUT…
 */
GODWIT_API int godwit_connect(const char *vnic, int timeout_ms, struct godwit **out,
			      struct godwit_error *e);
/** Disconnect and free. NULL is fine. */
GODWIT_API void godwit_free(struct godwit *g);

/**
 * Call a method and wait for its result. Events that come meanwhile are kept for godwit_next_event().
 * @param method      "show"
 * @param params      a JSON object as text, or NULL
 * @param timeout_ms  when it passes, the call may or may not have been carried out, and the connection is
 *                    of no more use
 * @param result      JSON text, freed by the caller with free(); may be NULL. Set to NULL on failure
 * @return            0; -ETIMEDOUT; -ECONNRESET when godwitd has ended; -EPROTO when it says what no godwitd
 *                    says; else godwitd's own errno (-EPERM when only root may call the method)
 */
GODWIT_API int godwit_call(struct godwit *g, const char *method, const char *params, int timeout_ms,
			   char **result, struct godwit_error *e);

/** From now on, events come. Returns as godwit_call() does. */
GODWIT_API int godwit_subscribe(struct godwit *g, int timeout_ms, struct godwit_error *e);
/**
 * Wait for the next event.
 * @return  0, -ETIMEDOUT, -ECONNRESET when godwitd has ended
 */
GODWIT_API int godwit_next_event(struct godwit *g, int timeout_ms, struct godwit_event *event,
				 struct godwit_error *e);
/** For poll(2): readable when an event may have come. It stays the connection's. */
GODWIT_API int godwit_fd(const struct godwit *g);

/**
 * Call @p fn with the name of each vNIC of this host that has a control socket, in order.
 * @return  how many there were, or -errno; a host without any gives 0
 */
GODWIT_API int godwit_each(void (*fn)(void *arg, const char *name), void *arg);

#ifdef __cplusplus
}
#endif

#endif
