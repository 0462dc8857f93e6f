/*
 * fuzz_split.c: a hostile guest against the split ring: its memory and every step come from the input.
 *
 * Each result is compared with the oracle's; after each store all guest memory and the whole dirty log are compared with an
 * image, so that a byte too many anywhere is seen. Pages without access lie around the regions.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "guest/memory.h"
#include "ring/ring.h"
#include "ring/split.h"
#include "split_oracle.h"

/* Where indirect tables lie. */
#define TABLES 0x4000u

static struct guest_memory *mem;
static struct dirty_log *dirty;
static int call_fd;

static struct image now;
static uint8_t log_now[LOG_PAGES / 8];
static struct ring ring;
static struct ring_config cfg;
static struct oracle oracle;
static struct ring_chain chain;
static struct runs runs;

/* Moves a mapping to where a page without access lies on either side of it. */
static void *fence(void *map, size_t bytes)
{
	uint8_t *room = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(room != MAP_FAILED);
	REQUIRE(mremap(map, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE) ==
		room + PAGE);
	return room + PAGE;
}

/* Once a process. */
static void world_make(void)
{
	struct guest_region_spec spec[REGIONS];
	int fds[REGIONS], log_fd;
	struct err e = { "" };

	if (mem)
		return;
	log_fd = memfd_create("fuzz-log", MFD_CLOEXEC);
	for (int i = 0; i < REGIONS; i++) {
		const struct image_region *r = &image_regions[i];

		spec[i] = (struct guest_region_spec){
			{ r->gpa }, { 0x100000 + r->gpa * 2 }, r->bytes, 0
		};
		fds[i] = memfd_create("fuzz", MFD_CLOEXEC);
		REQUIRE(fds[i] >= 0 && ftruncate(fds[i], r->bytes) == 0);
	}
	REQUIRE(guest_memory_new(spec, fds, REGIONS, &mem, &e) == 0);
	REQUIRE(ftruncate(log_fd, sizeof(log_now)) == 0);
	REQUIRE(dirty_log_new(log_fd, sizeof(log_now), 0, &dirty, &e) == 0);
	for (int i = 0; i < REGIONS; i++) {
		close(fds[i]);
		mem->region[i].map = fence(mem->region[i].map, mem->region[i].map_bytes);
		mem->region[i].host = mem->region[i].map;
	}
	close(log_fd);
	call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* The guest stores: into its memory and the image alike. */
static void guest_store(uint32_t offset, const void *bytes, uint32_t len)
{
	for (int i = 0; i < REGIONS; i++) {
		const struct image_region *r = &image_regions[i];

		if (offset >= r->offset && offset + len <= r->offset + r->bytes)
			memcpy(mem->region[i].host + (offset - r->offset), bytes, len);
		else if (offset < r->offset + r->bytes && offset + len > r->offset)
			return;
	}
	memcpy(now.bytes + offset, bytes, len);
}

static void everything_is_as_expected(void)
{
	for (int i = 0; i < REGIONS; i++) {
		const struct image_region *r = &image_regions[i];

		REQUIRE(memcmp(mem->region[i].host, now.bytes + r->offset, r->bytes) == 0);
	}
	REQUIRE(memcmp(dirty->bits, log_now, sizeof(log_now)) == 0);
}

static void expect_logged(uint64_t gpa, uint64_t len)
{
	if (!ring.log)
		return;
	for (uint64_t i = 0; i < len; i++)
		log_now[(gpa + i) / PAGE / 8] |= (uint8_t)(1u << (gpa + i) / PAGE % 8);
}

/* The device stores into its used ring: where, and where that counts in the log. */
static void expect_used(uint32_t offset, const void *bytes, uint32_t len)
{
	memcpy(now.bytes + oracle.used + offset, bytes, len);
	if (cfg.log_used)
		expect_logged(cfg.used_log.v + offset, len);
}

static uint64_t any_address(struct fuzz_input *in)
{
	static const uint64_t edges[] = { 0,	      0x7fff,	 0x8000,      0x8fff,	 0x9000,
					  0x1ffff,    0x20000,	 0x20fff,     0x21000,	 UINT64_MAX,
					  1ull << 63, 0ull - 16, 0ull - 4096, UINT32_MAX };
	uint32_t how = fuzz_below(in, 16);

	if (how == 0)
		return fuzz_bytes(in, 8);
	if (how < 4)
		return edges[fuzz_below(in, 14)] - fuzz_below(in, 40);
	/* The rings themselves. */
	if (how == 4)
		return fuzz_below(in, 0x4000);
	return (how < 12 ? 0x4000 : how < 14 ? 0x8000 : 0x20000) + fuzz_below(in, 0x1000);
}

static void store_descriptor(struct fuzz_input *in, uint32_t offset)
{
	static const uint32_t lens[] = { 0, 1, 16, 32, 4096, 4097, 8192, 16384, UINT32_MAX };
	uint16_t direction = cfg.device_writes ? RING_DESC_WRITE : 0;
	struct ring_desc d = { .addr = any_address(in) };
	uint32_t how = fuzz_below(in, 32);

	d.len = fuzz_below(in, 6) ? fuzz_below(in, 200) : lens[fuzz_below(in, 9)];
	d.flags = how == 0 ? (uint16_t)fuzz_bytes(in, 2) :
		  how < 10 ? RING_DESC_INDIRECT :
			     (uint16_t)(direction | (how < 22 ? RING_DESC_NEXT : 0));
	if (d.flags == RING_DESC_INDIRECT && how > 2) {
		d.len = 16 * fuzz_below(in, how == 3 ? 2049 : 8);
		d.addr = how > 4 ? TABLES + 16 * fuzz_below(in, 16) : d.addr;
	}
	/* Mostly near, so that chains come about. */
	d.next = (uint16_t)(fuzz_below(in, 24) ? fuzz_below(in, 7) : fuzz_bytes(in, 2));
	guest_store(offset, &d, sizeof(d));
}

static void ring_make(struct fuzz_input *in)
{
	uint16_t base = (uint16_t)(fuzz_below(in, 2) ? 65530 + fuzz_below(in, 6) : 0), used = base;
	bool log = fuzz_below(in, 2);
	struct err e = { "" };

	memset(&now, 0, sizeof(now));
	for (int i = 0; i < REGIONS; i++)
		memset(mem->region[i].host, 0, mem->region[i].size_bytes);
	memset(dirty->bits, 0, sizeof(log_now));
	memset(log_now, 0, sizeof(log_now));
	oracle = (struct oracle){ .size = 1u << fuzz_below(in, 9), .next = base };
	oracle.desc = 16 * fuzz_below(in, 16);
	oracle.avail = 0x2000 + 2 * fuzz_below(in, 16);
	oracle.used = 0x3000 + 4 * fuzz_below(in, 16);
	oracle.indirect = fuzz_below(in, 8);
	oracle.device_writes = fuzz_below(in, 2);
	cfg = (struct ring_config){ .size = (uint16_t)oracle.size,
				    .desc = { 0x100000 + oracle.desc },
				    .avail = { 0x100000 + oracle.avail },
				    .used = { 0x100000 + oracle.used },
				    .used_log = { 0x30000 + fuzz_below(in, 0x2000) },
				    .log_used = fuzz_below(in, 4),
				    .event_idx = fuzz_below(in, 2),
				    .indirect = oracle.indirect,
				    .device_writes = oracle.device_writes,
				    .call_fd = call_fd };
	guest_store(oracle.avail + 2, &base, 2);
	guest_store(oracle.used + 2, &used, 2);
	/* Behind the end of a small ring's table too: nothing of it may be used. */
	for (uint32_t i = 0; i < 24; i++)
		store_descriptor(in, oracle.desc + 16 * i);
	for (uint32_t i = 0; i < 20; i++)
		store_descriptor(in, TABLES + 16 * i);
	memset(&ring, 0, sizeof(ring));
	REQUIRE(ring_bind(&ring, &cfg, mem, log ? dirty : NULL, false, base, &e) == 0);
}

static void offer(struct fuzz_input *in)
{
	uint16_t idx = (uint16_t)(now.bytes[oracle.avail + 2] | now.bytes[oracle.avail + 3] << 8);
	uint16_t head =
		(uint16_t)fuzz_below(in, fuzz_below(in, 16) && oracle.size < 24 ? oracle.size : 24);

	if (fuzz_below(in, 64) == 0)
		head = (uint16_t)fuzz_bytes(in, 2);
	guest_store(oracle.avail + 4 + 2 * (idx % oracle.size), &head, 2);
	idx = (uint16_t)(idx + (fuzz_below(in, 128) ? 1 : fuzz_bytes(in, 2)));
	guest_store(oracle.avail + 2, &idx, 2);
}

/* The chain's pieces are the oracle's runs, and each points to the very bytes of the mapping. */
static void chain_equals_runs(void)
{
	REQUIRE(chain.head == runs.head);
	REQUIRE(chain.count == runs.count);
	REQUIRE(chain.len_bytes == runs.bytes);
	for (uint32_t i = 0; i < runs.count; i++) {
		const struct ring_seg *s = &chain.seg[i];
		uint64_t left;
		int64_t at = image_at(s->gpa.v, &left);
		int region = s->gpa.v >= 0x20000 ? 2 : s->gpa.v >= 0x8000 ? 1 : 0;

		REQUIRE(s->gpa.v == runs.run[i].gpa && s->len == runs.run[i].len);
		REQUIRE(at >= 0 && s->len <= left);
		REQUIRE(s->host == mem->region[region].host + (at - image_regions[region].offset));
	}
}

static void store_into_chain(struct fuzz_input *in)
{
	static uint8_t bytes[PAGES * PAGE * 2];
	struct ring_cursor at = { 0 };
	uint64_t skip = fuzz_below(in, 100), want = fuzz_below(in, sizeof(bytes)), pos = 0,
		 done = 0;
	uint8_t value = (uint8_t)fuzz_bytes(in, 1);

	for (uint64_t i = 0; i < want; i++)
		bytes[i] = (uint8_t)(value + i);
	ring_skip(&chain, &at, skip);
	skip = skip < runs.bytes ? skip : runs.bytes;
	want = want < runs.bytes - skip ? want : runs.bytes - skip;
	/* Hostile chains overlap themselves: in order, later bytes win. */
	for (uint32_t i = 0; i < runs.count; i++) {
		for (uint32_t k = 0; k < runs.run[i].len && done < want; k++, pos++) {
			uint64_t left;

			if (pos < skip)
				continue;
			now.bytes[image_at(runs.run[i].gpa + k, &left)] = bytes[done++];
			expect_logged(runs.run[i].gpa + k, 1);
		}
	}
	REQUIRE(ring_copy_to(&ring, &chain, &at, bytes, want) == want);
	everything_is_as_expected();
}

static void load_from_chain(struct fuzz_input *in)
{
	static uint8_t bytes[PAGES * PAGE];
	struct ring_cursor at = { 0 };
	uint64_t want = fuzz_below(in, sizeof(bytes)), done = 0;
	size_t n = ring_copy_from(&chain, &at, bytes, want);

	REQUIRE(n == (want < runs.bytes ? want : runs.bytes));
	for (uint32_t i = 0; i < runs.count; i++)
		for (uint32_t k = 0; k < runs.run[i].len && done < n; k++) {
			uint64_t left;

			REQUIRE(bytes[done++] == now.bytes[image_at(runs.run[i].gpa + k, &left)]);
		}
}

static void give_back(struct fuzz_input *in)
{
	uint32_t written = (uint32_t)fuzz_bytes(in, 4), id = chain.head;
	uint32_t offset = 4 + 8 * (ring.next_used % oracle.size);

	expect_used(offset, &id, 4);
	expect_used(offset + 4, &written, 4);
	ring_push(&ring, chain.head, written);
	everything_is_as_expected();
	if (fuzz_below(in, 3) == 0)
		return;
	expect_used(2, &ring.next_used, 2);
	ring_publish(&ring);
	everything_is_as_expected();
}

/* Spec: 2.7.10.1: with EVENT_IDX the flags are 0. */
static void suppress(bool on)
{
	uint16_t flags = on && !cfg.event_idx ? RING_USED_NO_NOTIFY : 0;

	if (memcmp(now.bytes + oracle.used, &flags, 2) != 0)
		expect_used(0, &flags, 2);
	ring_suppress_kicks(&ring, on);
	everything_is_as_expected();
}

/* Spec: 2.7.10: the wish is in the flags, or in the event index behind the entries. */
static void ask_kick(void)
{
	uint16_t flags = 0, seen = (uint16_t)(oracle.next + oracle.outstanding), idx;
	uint32_t offset = cfg.event_idx ? 4 + 8 * oracle.size : 0;
	const uint16_t *wish = cfg.event_idx ? &seen : &flags;
	bool quiet;

	if (memcmp(now.bytes + oracle.used + offset, wish, 2) != 0)
		expect_used(offset, wish, 2);
	quiet = ring_ask_kick(&ring);
	memcpy(&idx, now.bytes + oracle.avail + 2, 2);
	REQUIRE(quiet == (idx == seen));
	everything_is_as_expected();
}

static void take(struct fuzz_input *in)
{
	int rc = oracle_pop(&oracle, &now, &runs);

	REQUIRE(ring_pop(&ring, &chain) == rc);
	REQUIRE(ring.broken == (oracle.broken ? -EPROTO : 0));
	if (rc != 1)
		return;
	chain_equals_runs();
	if (fuzz_below(in, 8) == 0) {
		ring_unpop(&ring, 1);
		oracle.next--;
		oracle.outstanding++;
		return;
	}
	if (oracle.device_writes)
		store_into_chain(in);
	else
		load_from_chain(in);
	give_back(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	world_make();
	ring_make(&in);
	while (in.left) {
		uint32_t what = fuzz_below(&in, 16);

		if (what < 7)
			offer(&in);
		else if (what < 13)
			take(&in);
		else if (what == 13)
			store_descriptor(&in, oracle.desc + 16 * fuzz_below(&in, oracle.size));
		else if (what == 14)
			store_descriptor(&in, TABLES + 16 * fuzz_below(&in, 24));
		else if (fuzz_below(&in, 2))
			REQUIRE(ring_available(&ring) == oracle_available(&oracle, &now));
		else if (fuzz_below(&in, 2))
			ask_kick();
		else
			suppress(fuzz_below(&in, 2));
	}
	return 0;
}
