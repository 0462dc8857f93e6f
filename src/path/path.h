/*
 * path.h: one queue pair of a guest wired to one queue pair of a port, and the worker that moves
 * the frames.
 */
#ifndef GODWIT_PATH_PATH_H
#define GODWIT_PATH_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "path/counters.h"
#include "ring/ring.h"
#include "vf/vf.h"

/** What the guest may leave to us, and we to the guest, as a mask. */
enum path_offload {
	/** Computing a checksum; cutting TCP over IPv4, over IPv6; such a frame with CWR. */
	PATH_TX_CSUM = 1,
	PATH_TX_TSO4 = 2,
	PATH_TX_TSO6 = 4,
	PATH_TX_ECN = 8,
	/** The guest wants to know which checksums are good. */
	PATH_RX_CSUM = 16,
};

enum path_direction { PATH_RX, PATH_TX, PATH_DIRECTIONS };

struct path;

/**
 * Make a path on an attached port, paused, with no ring. Starts its worker on lcore 1.
 * @param vf   stays the caller's; must outlive the path
 * @param out  owned by the caller, freed with path_free()
 * @return     0 or -errno
 * Thread:     control, as all of these.
 */
int path_new(struct vf *vf, struct path **out, struct err *e);
/** End the worker and free. NULL is fine. */
void path_free(struct path *p);

/**
 * Stop the worker between two bursts. When it returns, nothing touches rings, guest memory, log or
 * port. Nests not.
 * Takes at most one burst's time.
 */
void path_pause(struct path *p);
/** Let the worker go on, when any ring is active; else the path stays paused. */
void path_resume(struct path *p);

/** The ring of one direction: to be bound, stopped and read while the path is paused. */
struct ring *path_ring(struct path *p, enum path_direction d);
/**
 * Let the worker use a ring, or not. Paused only. An inactive receive ring leaves frames in the
 * port.
 */
void path_activate(struct path *p, enum path_direction d, bool active);
/** A disabled ring stays active: its frames are consumed and dropped. Paused only. */
void path_enable(struct path *p, enum path_direction d, bool enabled);
/**
 * Bytes of the virtio-net header (10 or 12), and whether a frame may take several chains. Paused
 * only.
 */
void path_set_layout(struct path *p, uint8_t header_bytes, bool mergeable);
/** What was negotiated of offloads: a mask of enum path_offload. Paused only. */
void path_set_offloads(struct path *p, unsigned int offloads);
/**
 * Forget what the port received so far: it was meant for nobody, or for an earlier guest. Paused
 * only.
 */
void path_discard(struct path *p);
/**
 * Hand over to the port what the guest had given: waits up to @p limit_ns, then drops and counts.
 * Paused only.
 */
void path_flush_tx(struct path *p, uint64_t limit_ns);
/** Send one RARP for @p mac from the worker. Thread: control; pauses and resumes by itself. */
void path_announce(struct path *p, const uint8_t mac[6]);

/**
 * What happened in the worker that control must hear of: its eventfd becomes readable.
 * A ring's `broken` tells which: -EPROTO the guest broke it, -EFAULT its memory was truncated.
 */
int path_event_fd(const struct path *p);

/** Counters; read them with path_counted(). */
const struct path_counters *path_counters(const struct path *p);

#endif
