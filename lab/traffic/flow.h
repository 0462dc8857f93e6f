/* One end of the two numbered flows: sends frames at a rate, tracks those of the other end. */
#ifndef GWTRAFFIC_FLOW_H
#define GWTRAFFIC_FLOW_H

#include "frame.h"
#include "port.h"
#include "timing.h"
#include "track.h"

#include <stdbool.h>

struct flow {
	const char *iface;
	struct port port;
	uint8_t other[6]; /* the other end's MAC */
	uint32_t run;
	struct pacer pacer;
	bool sending;

	uint32_t sent;	   /* the last number that the kernel took */
	uint64_t *sent_ns; /* by number: CLOCK_REALTIME before the send; TRACK_SEQ_MAX entries */
	uint32_t refused; /* sends put off because the kernel had no room; the number is used again */
	uint32_t reopened; /* times the interface went away and came back */

	struct track track; /* what came from the other end */
	uint32_t tcp_kib;   /* carried in every frame sent */
};

/**
 * Opens the flow's socket and memory. @f->iface, other and run are set by the caller.
 * @param rate  frames a second; 0 sends none
 * @return 0 or -errno
 */
int flow_start(struct flow *f, uint64_t rate, uint64_t gap_min_ns);

/**
 * Takes every frame that waits in the socket.
 * @param seen  called for each good frame with its arrival time; NULL = nobody asks
 */
void flow_receive(struct flow *f, void (*seen)(void *arg, const struct frame *fr, uint64_t when_ns),
		  void *arg);

/** Starts sending now; flow_start() has done so already. */
void flow_begin(struct flow *f);

/** Sends what is due now. */
void flow_send(struct flow *f);

#endif
