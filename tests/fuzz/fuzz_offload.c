/*
 * fuzz_offload.c: a hostile guest against checksums and segmentation: any header in front of any frame, through the real path.
 *
 * Frames start as good TCP, and requests as the right one for them; the input then changes bytes of both. What was not
 * changed must come out right. What was may be dropped; but nothing comes out that is larger than the wire, whose payload
 * is not the guest's, or, cut, whose checksums are wrong; and every buffer comes back.
 */
#include <rte_mbuf.h>

#include "fuzz.h"
#include "path/offload.h"
#include "ring/split.h"
#include "sim_path.h"
#include "sim_tcp.h"

#define TX_BUFFER 0x40000ull

static struct sim_path s;
static uint8_t frame[SIM_TCP_MAX], got[SIM_TCP_MAX];

static void world_end(void)
{
	sim_path_free(&s);
}

static void world_make(void)
{
	if (s.path)
		return;
	/* The simulation's own checks end the process visibly. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	sim_port_dpdk();
	sim_path_new(&s, 12, true);
	atexit(world_end);
}

static struct sim_tcp any_tcp(struct fuzz_input *in)
{
	static const uint32_t payloads[] = { 0, 1, 100, 1000, 1460, 5000, 20000, 64000 };
	struct sim_tcp t = { .ip6 = fuzz_below(in, 2),
			     .tags = fuzz_below(in, 3),
			     .ip_options = fuzz_below(in, 6) * 8,
			     .tcp_options = fuzz_below(in, 11) * 4,
			     .flags = (uint8_t)fuzz_bytes(in, 1) & 0xd9,
			     .id = (uint16_t)fuzz_bytes(in, 2),
			     .seq = (uint32_t)fuzz_bytes(in, 4) };

	t.payload = payloads[fuzz_below(in, 8)] + fuzz_below(in, 40);
	return t;
}

static struct net_header any_request(struct fuzz_input *in, const struct sim_tcp *t)
{
	static const uint16_t sizes[] = { 0, 1, 15, 16, 100, 536, 1000, 1400, 1448, 9000, 65535 };

	return (struct net_header){ .flags = NET_NEEDS_CSUM,
				    .gso_type = t->ip6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4,
				    .hdr_len = (uint16_t)fuzz_bytes(in, 2),
				    .gso_size = sizes[fuzz_below(in, 11)],
				    .csum_start = (uint16_t)sim_tcp_start(t),
				    .csum_offset = 16 };
}

/* Returns whether anything was changed. */
static bool spoil(struct fuzz_input *in, void *bytes, uint32_t len)
{
	bool changed = false;

	for (uint32_t n = fuzz_below(in, 4); n && len; n--) {
		uint8_t *at = (uint8_t *)bytes + fuzz_below(in, len), was = *at;

		*at = (uint8_t)fuzz_bytes(in, 1);
		changed |= *at != was;
	}
	return changed;
}

static void transmit(struct fuzz_input *in, const struct net_header *h, uint32_t len)
{
	uint32_t all = len + 12, done = 0, piece = fuzz_below(in, 4) ? 4096 : 1024;
	uint16_t first = s.tx_head % s.tx.size;

	sim_write(&s.guest, TX_BUFFER, h, 12);
	memcpy(sim_at(&s.guest, TX_BUFFER + 12), frame, len);
	while (done < all) {
		uint16_t i = s.tx_head++ % s.tx.size;
		uint32_t n = all - done < piece ? all - done : piece;

		sim_desc(&s.tx, i, TX_BUFFER + done, n, done + n < all ? RING_DESC_NEXT : 0,
			 s.tx_head % s.tx.size);
		done += n;
	}
	sim_offer(&s.tx, first);
}

/* Takes what was sent. With @p t it must be its segments; else it is only held to its size. */
static uint32_t receive(const struct sim_tcp *t)
{
	uint32_t at = 0, n = 0;
	int len;

	while ((len = sim_port_sent(&s.port, got, sizeof(got))) >= 0) {
		REQUIRE(len <= 1522 && len >= 60);
		/* The shortest is padded. */
		if (t && sim_tcp_head(t) + t->payload < 60)
			len = (int)(sim_tcp_head(t) + t->payload);
		if (t)
			at += sim_tcp_check(t, got, (uint32_t)len, at, n);
		n++;
	}
	REQUIRE(!t || at == t->payload);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	world_make();
	while (in.left) {
		struct sim_tcp t = any_tcp(&in);
		struct net_header h = any_request(&in, &t);
		uint32_t len = sim_tcp_build(&t, frame), id, written, n;
		uint64_t out = sim_counter(&s, tx_frames);
		bool changed;

		/* Half of all only want a checksum. */
		if (fuzz_below(&in, 2))
			h.gso_type = 0;
		changed = spoil(&in, frame, fuzz_below(&in, 2) ? sim_tcp_head(&t) : len);
		changed |= spoil(&in, &h, sizeof(h));
		if (fuzz_below(&in, 8) == 0) {
			len = fuzz_below(&in, len + 1);
			changed = true;
		}
		path_set_offloads(s.path,
				  fuzz_below(&in, 8) ? 31 : (unsigned int)fuzz_bytes(&in, 1) & 31);
		changed |= s.path->offloads != 31;
		transmit(&in, &h, len);
		REQUIRE(path_tx_poll(s.path) == 1 && s.path->ring[PATH_TX].broken == 0);
		REQUIRE(sim_used(&s.tx, &id, &written) && written == 0);
		out = sim_counter(&s, tx_frames) - out;
		REQUIRE(out <= PATH_GSO_MAX);
		n = receive(changed || !out ? NULL : &t);
		REQUIRE(n == out);
		REQUIRE(sim_port_free_mbufs(&s.port) == SIM_PORT_MBUFS);
	}
	return 0;
}
