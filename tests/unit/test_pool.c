/* test_pool.c: packet buffers lie side by side, and a device reaches each of them at its virtual address. */
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "unit.h"
#include "vf/eal.h"
#include "vf/pool.h"

#define BUFFERS 2047

static int dpdk(void **state)
{
	struct eal_config cfg = { .memory_mib = 64, .name = "unit" };
	struct eal_facts facts;
	struct err e = { "" };

	assert_ok(eal_start(&cfg, &facts, &e), e);
	return 0;
}

static void every_buffer_is_there_and_whole(void **state)
{
	struct rte_mempool *mp = packet_pool_new("unit", BUFFERS, 0, RTE_MBUF_DEFAULT_BUF_SIZE);
	static struct rte_mbuf *m[BUFFERS];

	assert_non_null(mp);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, BUFFERS), 0);
	assert_null(rte_pktmbuf_alloc(mp));
	for (int i = 0; i < BUFFERS; i++) {
		assert_int_equal(m[i]->buf_len, RTE_MBUF_DEFAULT_BUF_SIZE);
		assert_int_equal(rte_mbuf_iova_get(m[i]), (uintptr_t)m[i]->buf_addr);
		assert_int_equal(rte_pktmbuf_headroom(m[i]), RTE_PKTMBUF_HEADROOM);
		memset(m[i]->buf_addr, i & 0xff, m[i]->buf_len);
	}
	for (int i = 0; i < BUFFERS; i++) {
		const uint8_t *bytes = m[i]->buf_addr;

		assert_int_equal(bytes[0], i & 0xff);
		assert_int_equal(bytes[m[i]->buf_len - 1], i & 0xff);
		assert_ptr_equal(m[i]->pool, mp);
	}
	rte_pktmbuf_free_bulk(m, BUFFERS);
	assert_int_equal(rte_mempool_avail_count(mp), BUFFERS);
	rte_mempool_free(mp);
}

static size_t bytes_of(struct rte_mempool *mp)
{
	struct rte_mempool_memhdr *chunk;
	size_t bytes = 0;

	STAILQ_FOREACH(chunk, &mp->mem_list, next)
	bytes += chunk->len;
	return bytes;
}

/* DPDK's own helper would take 4 KiB each on ordinary pages. */
static void no_page_is_given_to_one_buffer(void **state)
{
	struct rte_mempool *mp = packet_pool_new("unit", BUFFERS, 0, RTE_MBUF_DEFAULT_BUF_SIZE);

	assert_non_null(mp);
	assert_true(bytes_of(mp) < (size_t)BUFFERS * 2600);
	rte_mempool_free(mp);
}

static size_t heap_bytes(void)
{
	struct rte_malloc_socket_stats s;

	assert_int_equal(rte_malloc_get_socket_stats(0, &s), 0);
	return s.heap_allocsz_bytes;
}

/* 64 MiB hold some ten pools: forty in turn show that each gives its memory back, to the byte. */
static void a_freed_pool_gives_its_memory_back(void **state)
{
	size_t before = heap_bytes();

	for (int i = 0; i < 40; i++) {
		struct rte_mempool *mp =
			packet_pool_new("unit", BUFFERS, 128, RTE_MBUF_DEFAULT_BUF_SIZE);

		if (!mp)
			fail_msg("no memory for pool %d", i);
		rte_mempool_free(mp);
	}
	assert_null(packet_pool_new("unit", 1 << 20, 128, RTE_MBUF_DEFAULT_BUF_SIZE));
	assert_int_equal(heap_bytes(), before);
	for (int i = 0; i < 2; i++)
		rte_mempool_free(packet_pool_new("unit", BUFFERS, 128, RTE_MBUF_DEFAULT_BUF_SIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_buffer_is_there_and_whole),
		cmocka_unit_test(no_page_is_given_to_one_buffer),
		cmocka_unit_test(a_freed_pool_gives_its_memory_back),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
