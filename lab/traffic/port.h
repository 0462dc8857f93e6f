/* A raw socket on one network interface that carries numbered frames. */
#ifndef GWTRAFFIC_PORT_H
#define GWTRAFFIC_PORT_H

#include <stddef.h>
#include <stdint.h>

#define PORT_BURST 32

struct port {
	int fd;
	uint8_t mac[6];
	uint64_t drops; /* frames that the socket had no room for */
};

/** One received frame; valid until the next port_recv(). */
struct port_frame {
	const uint8_t *data;
	size_t len;
	uint64_t when_ns; /* CLOCK_REALTIME, taken by the kernel when the frame came in */
};

/** Opens a socket for FRAME_ETHERTYPE on interface @name. @return 0 or -errno */
int port_open(struct port *p, const char *name);

/** Receives up to PORT_BURST frames without waiting. @return their number, or -errno */
int port_recv(struct port *p, struct port_frame out[PORT_BURST]);

/** One frame to be sent. */
struct port_out {
	const void *data;
	size_t len;
};

/**
 * Sends @count frames (PORT_BURST at most) without waiting. @return how many went, at least one;
 * -EAGAIN when there is no room now, or another -errno
 */
int port_send(struct port *p, const struct port_out *out, int count);

/** Adds what the kernel dropped on this socket since the last call to p->drops. */
void port_count_drops(struct port *p);

#endif
