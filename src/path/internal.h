/* internal.h: what the path's worker and its two directions share. */
#ifndef GODWIT_PATH_INTERNAL_H
#define GODWIT_PATH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "path/path.h"

#define PATH_BURST 32
#define PATH_NAP_MAX_NS 1000000u
#define PATH_TICK_NS 100000000u
/* The most segments that a frame of the guest's may be cut into: they bound the worker's time. */
#define PATH_GSO_MAX 256

struct rte_mbuf;

/** What can end the sleep of a direction. */
struct path_waker {
	/** -1: there is none. */
	int fd;
	/** It fired, and its direction has not moved since. */
	bool woke;
	/** It fired once, at least: not forgotten while the ring is active. */
	bool kicked;
	/** How often in a row it fired for nothing, and missed what was found without it. */
	unsigned int useless, lost;
};

/** The worker's, or control's while it is paused. */
struct path_idle {
	/** Since when nothing moved; 0: something did. */
	uint64_t since_ns;
	/** 0: the worker never sleeps. */
	uint64_t nap_max_ns;
	/** The slow tick: how long it sleeps at most where something can wake it. */
	uint64_t tick_ns;
	struct path_waker port, kick[PATH_DIRECTIONS];
	/** What each direction slept on last, until it moves; NULL: nothing, or time. */
	struct path_waker *slept[PATH_DIRECTIONS];
	/** The guest was asked for kicks. */
	bool asked[PATH_DIRECTIONS];
	/** The ring had new entries when the guest was asked, and they have not moved since. */
	bool news[PATH_DIRECTIONS];
	bool port_armed;
	/** The last sleep ended with the slow tick. */
	bool ticked;
};

struct path {
	/** The port, or NULL: none. With none, hold says whether the guest's frames wait. */
	struct vf *vf;
	bool hold;
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
	/* Descriptors that this port was given so far, and at the last look at its progress. */
	uint64_t tx_given, tx_seen;
	/* A count by the worker, after the entries. */
	uint16_t vlan[PATH_VLANS_MAX];
	atomic_uint vlan_count;
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
	struct path_idle idle;

	/* The handshake. want_pause is what the worker polls; the rest is under the lock. */
	atomic_bool want_pause;
	bool paused;
	atomic_bool quit;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int wake_fd, event_fd;
	/* The worker's gettid(), 0 until it runs, and the notifications it was seen to hang in. */
	atomic_int thread;
	uint32_t hung[PATH_DIRECTIONS];
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
/** A round found nothing: go on polling, or sleep. Thread: worker. */
void path_idle(struct path *p);
/** A round moved frames, this many of each direction. Thread: worker. */
void path_busy(struct path *p, unsigned int rx, unsigned int tx);
/** No kicks, the port's interrupts as they are, the default limit. */
void path_idle_init(struct path *p);
/** A ring is no longer the worker's: nothing sleeps on it, and no kick of it was seen. */
void path_idle_forget(struct path *p, enum path_direction d);
/** The guest has sent @p m: if in a VLAN not seen before, tell control. Thread: worker. */
void path_vlan_note(struct path *p, const struct rte_mbuf *m);
/** Put back the tags that the port took off @p n frames. Returns frames left. Thread: worker. */
uint16_t path_vlan_restore(struct path *p, struct rte_mbuf **m, uint16_t n);
/** Tell control that a ring broke, or that a VLAN is new. Once each. */
void path_alarm(struct path *p);

#endif
