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

enum path_direction { PATH_RX, PATH_TX, PATH_DIRECTIONS };

struct path;

/**
 * Make a path, paused, with no ring. Starts its worker on lcore 1.
 * @param vf   an attached port, or NULL: none yet; stays the caller's, see path_set_port()
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

/**
 * Wire the path to another port, or to none. Paused only.
 * What the old port still holds is seen to first: frames to be sent are handed over for up to
 * @p limit_ns, received ones are dropped and counted. Frames that the path itself holds stay, and go
 * their way later: so the buffers of both ports must be of one pool, which outlives the path.
 * @param vf    attached, stays the caller's until the next call; NULL: receive gives nothing
 * @param hold  with no port: what the guest sends waits in its ring; else it is consumed, dropped
 *              and counted
 */
void path_set_port(struct path *p, struct vf *vf, bool hold, uint64_t limit_ns);
/**
 * True when the port has frames that it did not send since the call before, a second or so ago: it
 * is wedged, or was reset behind our back. Paused only. The first call with a port says false.
 */
bool path_tx_stalled(struct path *p);
/**
 * The VLANs that the guest has sent frames in, while its port was one that filters them
 * (vf->vlan_filter): path_event_fd() becomes readable with each new one, up to PATH_VLANS_MAX.
 * @param vlan  filled in
 * @return      how many
 * Thread:      control.
 */
#define PATH_VLANS_MAX 16
unsigned int path_vlans(const struct path *p, uint16_t vlan[PATH_VLANS_MAX]);

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
