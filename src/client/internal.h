/* internal.h: what the parts of the client library share. */
#ifndef GODWIT_CLIENT_INTERNAL_H
#define GODWIT_CLIENT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "godwit/client.h"

#define CLIENT_RUN_DIR "/run/godwit"
/** The longest message taken from a godwitd, in bytes. */
#define CLIENT_LINE_MAX (1024 * 1024)
/** Events that are kept while nobody asks for them; then the oldest go. */
#define CLIENT_EVENTS_MAX 256

/** A connection's bytes. Zero it, set fd. */
struct stream {
	int fd;
	char *in;
	size_t in_end, in_size;
};

struct godwit {
	struct stream s;
	/** As it was named, for sentences. */
	char *vnic;
	json_int_t id;
	/** A call or an answer broke off in the middle: what comes next belongs to nobody. */
	bool broken;
	struct godwit_event events[CLIENT_EVENTS_MAX];
	unsigned int event_at, event_count;
};

/** Write the sentence. Returns @p rc. */
int client_error(struct godwit_error *e, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** The moment that is @p timeout_ms from now, for stream_read(); UINT64_MAX: never. */
uint64_t stream_deadline(int timeout_ms);
/** Send all of it. Returns 0, -ETIMEDOUT or another -errno. */
int stream_write(struct stream *s, const char *text, size_t len, uint64_t deadline);
/**
 * The next message.
 * @param out  a new reference
 * @return     0, -ETIMEDOUT, -ECONNRESET (the other side has ended), -EPROTO (no JSON, or too long), -ENOMEM
 */
int stream_read(struct stream *s, uint64_t deadline, json_t **out);
/** Free what was read; the descriptor stays open. */
void stream_clear(struct stream *s);

#endif
