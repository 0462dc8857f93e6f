/* A TCP stream that carries seeded bytes both ways at a bounded rate, with a digest at each end
 * of each direction. */
#ifndef GWTRAFFIC_STREAM_H
#define GWTRAFFIC_STREAM_H

#include "digest.h"
#include "timing.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define STREAM_CHUNK 16384

/** One direction as seen by one end. */
struct stream_way {
	uint64_t seed, bytes;
	struct digest digest;
	bool ended; /* sender: half-closed; receiver: end of stream seen */
};

struct stream {
	bool wanted, connected;
	int fd, listen_fd; /* -1 = none */
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to;
	uint64_t retry_ns; /* monotonic time of the next try to connect */
	struct pacer pacer;
	struct stream_way tx, rx;
	int64_t rx_bad;	   /* offset of the first wrong byte received; -1 = none */
	bool finishing;	   /* half-close as soon as the chunk in hand is out */
	uint32_t connects; /* connections made; more than one is a broken stream */
	int error;	   /* errno that ended the connection; 0 = none */
	uint8_t chunk[STREAM_CHUNK];
	uint32_t chunk_at, chunk_len; /* the part of chunk not yet taken by the kernel */
};

/** Waits for one connection on TCP @port, IPv4 and IPv6. @return 0 or -errno */
int stream_listen(struct stream *s, uint16_t port, uint32_t run, uint64_t bytes_per_s);

/** Connects to @addr (numeric), trying until it succeeds. @return 0 or -EINVAL */
int stream_connect(struct stream *s, const char *addr, uint16_t port, uint32_t run,
		   uint64_t bytes_per_s);

/** Does what can be done now: connect, send what is due, receive what has come. Never waits. */
void stream_tick(struct stream *s);

/** Sends no more than the chunk in hand, then half-closes. The receiving direction goes on. */
void stream_finish(struct stream *s);

/** Both directions have ended and all that was sent has arrived, or the stream is broken. */
bool stream_over(const struct stream *s);

#endif
