/* internal.h: what the path's worker and its two directions share. */
#ifndef GODWIT_PATH_INTERNAL_H
#define GODWIT_PATH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "path/path.h"

#define PATH_BURST 32
/* The most segments that a frame of the guest's may be cut into: they bound the worker's time. */
#define PATH_GSO_MAX 256

struct rte_mbuf;

struct path {
	struct vf *vf;
	struct ring ring[PATH_DIRECTIONS];
	bool active[PATH_DIRECTIONS], enabled[PATH_DIRECTIONS];
	uint8_t header_bytes;
	bool mergeable;
	unsigned int offloads;
	struct path_counters counters;

	/* Received, and waiting for the guest to post buffers. */
	struct rte_mbuf *rx_held[PATH_BURST];
	uint16_t rx_at, rx_count;
	/* Taken from the guest, and waiting for the port to have room. */
	struct rte_mbuf *tx_held[PATH_BURST + PATH_GSO_MAX];
	uint16_t tx_count;
	/*
	 * One chain for transmit and for a frame's first, one for a frame's further ones: too large
	 * for a stack.
	 */
	struct ring_chain chain, more;
	struct {
		uint16_t head;
		uint32_t written_bytes;
	} used[RING_CHAIN_MAX];

	bool announce;
	uint8_t announce_mac[6];

	/* The handshake. want_pause is what the worker polls; the rest is under the lock. */
	atomic_bool want_pause;
	bool paused;
	atomic_bool quit;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int wake_fd, event_fd;
	unsigned int lcore;
	bool launched;
};

/** Move up to a burst from the port to the guest. Returns frames handled. Thread: worker. */
unsigned int path_rx_poll(struct path *p);
/** Move up to a burst from the guest to the port. Returns frames handled. Thread: worker. */
unsigned int path_tx_poll(struct path *p);
/** Offer the port what it had no room for. Returns true when nothing is held any more. */
bool path_tx_push(struct path *p);
/**
 * The port is another one from now on: what is held was prepared for the old one, which may have
 * been left its checksums. They are computed here; a frame that the old port was to cut, or that
 * lies in several buffers, is dropped and counted: TCP sends it again. Paused only.
 */
void path_settle_tx(struct path *p);
/** Send the RARP that is due. Thread: worker. */
void path_rarp_send(struct path *p);
/** Free what was received and not delivered, and count it under @p reason. */
void path_rx_drop_held(struct path *p, uint64_t *reason);
/** Tell control that a ring broke. Once a break. */
void path_alarm(struct path *p);

#endif
