/*
 * counters.h: what a path counted: one writer (the worker), many readers; every drop has its
 * reason.
 */
#ifndef GODWIT_PATH_COUNTERS_H
#define GODWIT_PATH_COUNTERS_H

#include <stdint.h>

/* name, meaning: read by the state dump, and by whoever shows counters. */
#define PATH_COUNTERS(X)                                                                     \
	X(rx_frames, "frames given to the guest")                                            \
	X(rx_bytes, "bytes given to the guest")                                              \
	X(rx_drop_too_big, "frames larger than the guest's buffers")                         \
	X(rx_drop_disabled, "frames received while the guest's receive ring was disabled")   \
	X(rx_drop_stale, "frames received before the guest's first start")                   \
	X(rx_drop_broken, "frames for a receive ring that the guest broke")                  \
	X(rx_drop_detached, "frames that the port held when it was detached")                \
	X(rx_drop_tag, "frames whose VLAN tag could not be put back")                        \
	X(tx_frames, "frames sent for the guest")                                            \
	X(tx_bytes, "bytes sent for the guest")                                              \
	X(tx_drop_short, "guest frames shorter than an Ethernet header")                     \
	X(tx_drop_long, "guest frames longer than the port takes")                           \
	X(tx_drop_disabled, "guest frames consumed while the transmit ring was disabled")    \
	X(tx_drop_stopped, "guest frames that the port had not taken when the path stopped") \
	X(tx_drop_no_device, "guest frames consumed while there was no device")              \
	X(tx_wait_mbuf, "times that no host buffer was free")                                \
	X(announcements, "RARP frames sent")                                                 \
	X(sleeps, "times that the worker had nothing to do")

struct path_counters {
#define X(name, meaning) uint64_t name;
	PATH_COUNTERS(X)
#undef X
};

/** Add to a counter. Thread: the worker, or control while the worker is paused. */
static inline void path_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/** Read a counter. Thread: any. */
static inline uint64_t path_counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
