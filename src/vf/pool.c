/* pool.c: a pool of packet buffers in one piece of DPDK memory. */
#include "vf/pool.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_memzone.h>

static void memory_free(struct rte_mempool_memhdr *chunk, void *zone)
{
	rte_memzone_free(zone);
}

/* One zone for all objects: in virtual IO addresses it is contiguous for the device too. */
static int memory_add(struct rte_mempool *mp, const char *name)
{
	char zone_name[RTE_MEMZONE_NAMESIZE];
	const struct rte_memzone *zone;
	size_t chunk, align;
	ssize_t bytes = rte_mempool_op_calc_mem_size_default(mp, mp->size, 0, &chunk, &align);
	int n;

	if (bytes < 0)
		return (int)bytes;
	snprintf(zone_name, sizeof(zone_name), "packets_%s", name);
	zone = rte_memzone_reserve_aligned(zone_name, (size_t)bytes, mp->socket_id, 0,
					   (unsigned int)align);
	if (!zone)
		return -rte_errno;
	n = rte_mempool_populate_iova(mp, zone->addr, (rte_iova_t)(uintptr_t)zone->addr, zone->len,
				      memory_free, (void *)(uintptr_t)zone);
	if (n <= 0) {
		rte_memzone_free(zone);
		return n ? n : -ENOBUFS;
	}
	return (unsigned int)n == mp->size ? 0 : -ENOMEM;
}

struct rte_mempool *packet_pool_new(const char *name, unsigned int n, unsigned int cache,
				    uint16_t room_bytes)
{
	/* The flag lets objects lie across pages. Their IO addresses are contiguous all the same: see memory_add(). */
	struct rte_mempool *mp =
		rte_mempool_create_empty(name, n,
					 (unsigned int)sizeof(struct rte_mbuf) + room_bytes, cache,
					 sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY,
					 RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	int rc;

	if (!mp)
		return NULL;
	rc = rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL);
	if (!rc) {
		rte_pktmbuf_pool_init(mp, NULL);
		rc = memory_add(mp, name);
	}
	if (rc) {
		rte_mempool_free(mp);
		rte_errno = -rc;
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}
