/* pool.h: packet buffers side by side, also on ordinary pages. */
#ifndef GODWIT_VF_POOL_H
#define GODWIT_VF_POOL_H

#include <stdint.h>

struct rte_mempool;

/**
 * rte_pktmbuf_pool_create() for IO addresses that are virtual ones (eal_start() sees to it). What it saves: on pages of 4 KiB
 * that one gives each buffer a page of its own, since only within a page are physical addresses known to go on.
 * @param n           buffers; 2^k - 1 is best
 * @param cache       buffers that each lcore may keep
 * @param room_bytes  for a frame, headroom included
 * @return            the pool, freed with rte_mempool_free(); NULL: no memory (rte_errno)
 */
struct rte_mempool *packet_pool_new(const char *name, unsigned int n, unsigned int cache,
				    uint16_t room_bytes);

#endif
