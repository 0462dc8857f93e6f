/* peer.h: the bytes of one control client: lines in, text out, both bounded, nothing that waits. */
#ifndef GODWIT_DAEMON_PEER_H
#define GODWIT_DAEMON_PEER_H

#include <stddef.h>

/** The longest request, in bytes, with its newline. */
#define PEER_LINE_MAX 8192
/** The most that waits for a client that does not read, in bytes. */
#define PEER_OUT_MAX (256 * 1024)

/** One connection. Zero it, set fd. */
struct peer {
	/** Non-blocking; the owner's. */
	int fd;
	char in[PEER_LINE_MAX];
	size_t in_at, in_end;
	/** NULL while nothing waits. */
	char *out;
	size_t out_at, out_end, out_size;
};

/**
 * Read once. Call it only when peer_line() has none.
 * @return  1 something came, 0 the other side has ended, -EAGAIN, or another -errno
 */
int peer_fill(struct peer *p);
/**
 * Take the next line out of what was read.
 * @param line  without its newline, and not zero-terminated; good until the next peer_fill()
 * @return      1; 0 none is complete; -EMSGSIZE it is longer than PEER_LINE_MAX
 */
int peer_line(struct peer *p, const char **line, size_t *len);
/** Put text behind what waits. Returns 0, -ENOBUFS (too much waits) or -ENOMEM; then nothing is added. */
int peer_queue(struct peer *p, const char *text, size_t len);
/** Send what the socket takes. Returns 0 or -errno (the connection is over). */
int peer_flush(struct peer *p);
/** Bytes that wait. */
size_t peer_waiting(const struct peer *p);
/** Free the buffers; the descriptor stays open. */
void peer_clear(struct peer *p);

#endif
