/* test_ring_walk.c: descriptor chains: direct, indirect, hostile. Spec: virtio 1.2, 2.7.5. */
#include "ring/split.h"
#include "sim_guest.h"
#include "unit.h"

#define NEXT RING_DESC_NEXT
#define WRITE RING_DESC_WRITE
#define INDIRECT RING_DESC_INDIRECT
/* Where indirect tables lie. */
#define TABLE (SIM_R0 + 0x80000)

struct fixture {
	struct sim_guest guest;
	struct sim_ring ring;
	struct ring r;
	struct ring_chain chain;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	sim_guest_new(&f->guest);
	sim_ring_new(&f->ring, &f->guest, 2048, 0);
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sim_ring_free(&f->ring);
	sim_guest_free(&f->guest);
	free(f);
	return 0;
}

static int pop(struct fixture *f, uint16_t head)
{
	sim_offer(&f->ring, head);
	return ring_pop(&f->r, &f->chain);
}

static void taken(struct fixture *f, uint16_t head, uint16_t count, uint64_t bytes)
{
	assert_int_equal(pop(f, head), 1);
	assert_int_equal(f->chain.head, head);
	assert_int_equal(f->chain.count, count);
	assert_int_equal(f->chain.len_bytes, bytes);
	for (uint16_t i = 0; i < count; i++) {
		struct gpa gpa;

		assert_true(guest_gpa_of(f->guest.mem, f->chain.seg[i].host, &gpa));
		assert_int_equal(gpa.v, f->chain.seg[i].gpa.v);
	}
}

static void segment(struct fixture *f, uint16_t i, uint64_t gpa, uint32_t len)
{
	assert_int_equal(f->chain.seg[i].gpa.v, gpa);
	assert_int_equal(f->chain.seg[i].len, len);
}

/* The head is refused, the ring is broken and keeps its place. The next use begins afresh. */
static void refused(struct fixture *f, uint16_t head, const char *what)
{
	uint16_t at = f->r.next_avail;
	int rc = pop(f, head);

	if (rc != -EPROTO || f->r.broken != -EPROTO || f->r.next_avail != at)
		fail_msg("%s: pop returned %d", what, rc);
	sim_ring_bind(&f->ring, &f->r, NULL, f->ring.avail_idx);
}

static void one_descriptor(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 2047, SIM_R1 + 5, 1000, 0, 0);
	taken(f, 2047, 1, 1000);
	segment(f, 0, SIM_R1 + 5, 1000);
}

static void chained_in_any_order(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 7, SIM_R2, 12, NEXT, 3);
	sim_desc(&f->ring, 3, SIM_R1, 100, NEXT, 2000);
	sim_desc(&f->ring, 2000, SIM_R0 + 0xf0000, 1, 0, 3);
	taken(f, 7, 3, 113);
	segment(f, 0, SIM_R2, 12);
	segment(f, 1, SIM_R1, 100);
	segment(f, 2, SIM_R0 + 0xf0000, 1);
}

/* They say nothing, and a guest could make us walk millions of them: QEMU refuses them too. */
static void zero_length_descriptors(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 5, SIM_R2, 0, 0, 0);
	refused(f, 5, "empty buffer");
	sim_desc(&f->ring, 0, SIM_R2 + 8, 4, NEXT, 1);
	sim_desc(&f->ring, 1, SIM_R2, 0, NEXT, 2);
	sim_desc(&f->ring, 2, SIM_R2, 4, 0, 0);
	refused(f, 0, "empty buffer within a chain");
	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 0, 0, 0);
	sim_desc(&f->ring, 3, TABLE, 16, INDIRECT, 0);
	refused(f, 3, "empty buffer in a table");
}

static void buffer_across_two_regions(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 0, SIM_R1 - 100, 300, 0, 0);
	taken(f, 0, 2, 300);
	segment(f, 0, SIM_R1 - 100, 100);
	segment(f, 1, SIM_R1, 200);
	/* Up to a region's last byte. */
	sim_desc(&f->ring, 1, SIM_END - 16, 16, 0, 0);
	taken(f, 1, 1, 16);
}

static void bad_addresses(void **state)
{
	static const struct {
		uint64_t gpa;
		uint32_t len;
	} bad[] = {
		{ SIM_HOLE, 1 },    { SIM_HOLE - 1, 2 }, { SIM_END, 1 },
		{ SIM_END - 1, 2 }, { SIM_R2 - 1, 2 },	 { UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },  { 0ull - 16, 32 },	 { SIM_R2, UINT32_MAX },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		sim_desc(&f->ring, 0, bad[i].gpa, bad[i].len, 0, 0);
		refused(f, 0, "bad address");
		/* The same as second of a chain, and within a table. */
		sim_desc(&f->ring, 4, SIM_R2, 4, NEXT, 0);
		refused(f, 4, "bad address in a chain");
		sim_indirect(&f->guest, TABLE, 0, bad[i].gpa, bad[i].len, 0, 0);
		sim_desc(&f->ring, 5, TABLE, 16, INDIRECT, 0);
		refused(f, 5, "bad address in a table");
	}
}

static void heads_and_nexts_beyond_the_ring(void **state)
{
	static const uint16_t bad[] = { 2048, 2049, 32768, 65535 };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT(bad); i++) {
		refused(f, bad[i], "head");
		sim_desc(&f->ring, 0, SIM_R2, 4, NEXT, bad[i]);
		refused(f, 0, "next");
	}
}

/* Good descriptors right behind the ring's own table are none of it. */
static void table_ends_where_it_ends(void **state)
{
	struct fixture *f = *state;

	f->ring.size = 4;
	f->ring.cfg.size = 4;
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	for (uint16_t i = 0; i < 8; i++)
		sim_desc(&f->ring, i, SIM_R2 + 64u * i, 4, 0, 0);
	taken(f, 3, 1, 4);
	refused(f, 4, "head right behind the table");
	sim_desc(&f->ring, 0, SIM_R2, 4, NEXT, 5);
	refused(f, 0, "next behind the table");
}

/* A table that begins below 2^64 must not go on at address 0. */
static void table_that_wraps_to_the_beginning(void **state)
{
	struct fixture *f = *state;
	struct guest_region_spec spec[2] = { f->guest.spec[0],
					     { { -8192ull }, { SIM_UVA(5) }, 4096, 0 } };
	int fds[2] = { f->guest.fd[0], f->guest.fd[1] };
	struct guest_memory *m;
	/* Entry 512 would lie at address 0, this one at 0x60000. */
	struct ring_desc first = { SIM_R0 + 0x90000, 4, NEXT, 512 + 0x60000 / 16 };
	struct err e = { "" };

	assert_ok(guest_memory_new(spec, fds, 2, &m, &e), e);
	assert_ok(ring_bind(&f->r, &f->ring.cfg, m, NULL, false, 0, &e), e);
	memcpy(f->guest.map[1], &first, sizeof(first));
	sim_indirect(&f->guest, SIM_R0 + 0x60000, 0, SIM_R0 + 0x90000, 4, 0, 0);
	sim_desc(&f->ring, 0, -8192ull, 16 * RING_SIZE_MAX, INDIRECT, 0);
	assert_int_equal(pop(f, 0), -EPROTO);
	guest_memory_free(m);
}

static void loops(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 0, SIM_R2, 4, NEXT, 0);
	refused(f, 0, "loop of one");
	sim_desc(&f->ring, 1, SIM_R2, 4, NEXT, 2);
	sim_desc(&f->ring, 2, SIM_R2, 4, NEXT, 1);
	refused(f, 1, "loop of two");
	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 4, NEXT, 1);
	sim_indirect(&f->guest, TABLE, 1, SIM_R2, 4, NEXT, 0);
	sim_desc(&f->ring, 4, TABLE, 32, INDIRECT, 0);
	refused(f, 4, "loop in a table");
	/* In a small ring it ends before the longest chain is reached. */
	f->ring.size = 8;
	f->ring.cfg.size = 8;
	sim_ring_bind(&f->ring, &f->r, NULL, f->ring.avail_idx);
	refused(f, 1, "loop in a small ring");
}

static void chain_of(struct fixture *f, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		sim_desc(&f->ring, i, SIM_R2 + i, 1, i + 1 < n ? NEXT : 0, (uint16_t)(i + 1));
}

static void longest_chain(void **state)
{
	struct fixture *f = *state;

	chain_of(f, RING_CHAIN_MAX);
	taken(f, 0, RING_CHAIN_MAX, RING_CHAIN_MAX);
	chain_of(f, RING_CHAIN_MAX + 1);
	refused(f, 0, "chain longer than RING_CHAIN_MAX");
	/* The last descriptor crosses into another region: one piece too many. */
	chain_of(f, RING_CHAIN_MAX);
	sim_desc(&f->ring, RING_CHAIN_MAX - 1, SIM_R1 - 1, 2, 0, 0);
	refused(f, 0, "chain whose border makes it too long");
}

static void chain_as_long_as_a_small_ring(void **state)
{
	struct fixture *f = *state;
	struct sim_ring s;

	sim_ring_new(&s, &f->guest, 4, 0);
	sim_ring_bind(&s, &f->r, NULL, 0);
	for (uint16_t i = 0; i < 4; i++)
		sim_desc(&s, i, SIM_R2 + i, 1, i < 3 ? NEXT : 0, (uint16_t)(i + 1));
	sim_offer(&s, 0);
	assert_int_equal(ring_pop(&f->r, &f->chain), 1);
	assert_int_equal(f->chain.count, 4);
	sim_ring_free(&s);
}

static void wrong_direction(void **state)
{
	struct fixture *f = *state;

	sim_desc(&f->ring, 0, SIM_R2, 4, WRITE, 0);
	refused(f, 0, "writable buffer on a transmit ring");
	sim_desc(&f->ring, 1, SIM_R2, 4, NEXT, 0);
	refused(f, 1, "writable buffer later in a transmit chain");
	f->ring.cfg.device_writes = true;
	sim_ring_bind(&f->ring, &f->r, NULL, f->ring.avail_idx);
	taken(f, 0, 1, 4);
	sim_desc(&f->ring, 2, SIM_R2, 4, 0, 0);
	refused(f, 2, "read-only buffer on a receive ring");
	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 4, 0, 0);
	sim_desc(&f->ring, 3, TABLE, 16, INDIRECT, 0);
	refused(f, 3, "read-only buffer in a receive table");
}

static void indirect_table(void **state)
{
	struct fixture *f = *state;

	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 12, NEXT, 2);
	sim_indirect(&f->guest, TABLE, 2, SIM_R1, 60, 0, 0);
	/* Spec: 2.7.5.3.2: the device ignores WRITE on the descriptor of the table. */
	for (uint16_t flags = INDIRECT; flags <= (INDIRECT | WRITE); flags += WRITE) {
		sim_desc(&f->ring, 0, TABLE, 48, flags, 0xffff);
		taken(f, 0, 2, 72);
		segment(f, 0, SIM_R2, 12);
		segment(f, 1, SIM_R1, 60);
	}
	/* Spec: 2.7.5.3.2: chained descriptors, then one table at the end. */
	sim_desc(&f->ring, 1, SIM_R2 + 64, 5, NEXT, 0);
	taken(f, 1, 3, 77);
}

/* No alignment is asked of a table, and it may cross regions. */
static void indirect_table_across_regions(void **state)
{
	struct fixture *f = *state;
	uint64_t table = SIM_R1 - 16 - 7;

	sim_indirect(&f->guest, table, 0, SIM_R2, 1, NEXT, 1);
	sim_indirect(&f->guest, table, 1, SIM_R2 + 9, 2, NEXT, 2);
	sim_indirect(&f->guest, table, 2, SIM_R2 + 20, 3, 0, 0);
	sim_desc(&f->ring, 0, table, 48, INDIRECT, 0);
	taken(f, 0, 3, 6);
	segment(f, 1, SIM_R2 + 9, 2);
}

static void bad_indirect_tables(void **state)
{
	struct fixture *f = *state;

	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 12, 0, 0);
	sim_desc(&f->ring, 0, TABLE, 16, INDIRECT | NEXT, 1);
	refused(f, 0, "NEXT beside INDIRECT");
	for (uint32_t len = 0; len < 64; len++) {
		if (len && len % 16 == 0)
			continue;
		sim_desc(&f->ring, 0, TABLE, len, INDIRECT, 0);
		refused(f, 0, "table length that is no multiple of 16");
	}
	sim_desc(&f->ring, 0, TABLE, 16u * (RING_SIZE_MAX + 1), INDIRECT, 0);
	refused(f, 0, "table larger than any queue");
	sim_desc(&f->ring, 0, SIM_HOLE, 16, INDIRECT, 0);
	refused(f, 0, "table in a hole");
	sim_desc(&f->ring, 0, SIM_HOLE - 8, 16, INDIRECT, 0);
	refused(f, 0, "table half in a hole");
	sim_desc(&f->ring, 0, 0ull - 16, 48, INDIRECT, 0);
	refused(f, 0, "table that wraps");
	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 12, NEXT, 1);
	sim_desc(&f->ring, 0, TABLE, 16, INDIRECT, 0);
	refused(f, 0, "next beyond the table");
	sim_indirect(&f->guest, TABLE, 0, TABLE + 64, 16, INDIRECT, 0);
	sim_indirect(&f->guest, TABLE + 64, 0, SIM_R2, 12, 0, 0);
	refused(f, 0, "table within a table");
}

static void indirect_must_be_negotiated(void **state)
{
	struct fixture *f = *state;

	f->ring.cfg.indirect = false;
	sim_ring_bind(&f->ring, &f->r, NULL, 0);
	sim_indirect(&f->guest, TABLE, 0, SIM_R2, 12, 0, 0);
	sim_desc(&f->ring, 0, TABLE, 16, INDIRECT, 0);
	refused(f, 0, "INDIRECT without the feature");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_descriptor),
		T(chained_in_any_order),
		T(zero_length_descriptors),
		T(buffer_across_two_regions),
		T(bad_addresses),
		T(heads_and_nexts_beyond_the_ring),
		T(table_ends_where_it_ends),
		T(table_that_wraps_to_the_beginning),
		T(loops),
		T(longest_chain),
		T(chain_as_long_as_a_small_ring),
		T(wrong_direction),
		T(indirect_table),
		T(indirect_table_across_regions),
		T(bad_indirect_tables),
		T(indirect_must_be_negotiated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
