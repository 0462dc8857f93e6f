/*
 * gso.c: a TCP frame that is larger than the wire's, cut into segments: by the port where it can,
 * else here.
 *
 * Theory of operation. The guest's headers are copied once, checked, and used from the copy; the
 * payload is copied straight from the guest's buffers into the segments. So the frame is read once,
 * no large buffer lies in between, and the guest's buffers go back at once, as with every frame. It
 * is all or nothing: without enough host buffers the frame waits in the ring.
 *
 * Our own, not DPDK's rte_gso: that has no IPv6 (in 22.11, 24.11 and later), computes no checksum,
 * repeats CWR in every segment, and cuts frames that already lie in host buffers, into chains that
 * not every port can send.
 *
 * Nothing of the guest's is believed. hdr_len is not looked at, nor is IP's own length: the frame's
 * is what counts, and the headers say where they end.
 */
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "path/offload.h"

/*
 * Below it no TCP goes (Linux: 48 less the options), and a frame of 1-byte segments is an attack.
 */
#define SIZE_MIN 16
/* Below it some cards take a segment size for an attack and shut the VF down. */
#define PORT_SIZE_MIN 256
#define IPV6_BYTES 40

struct gso {
	struct headers h;
	uint8_t head[HEADERS_MAX];
	uint32_t head_bytes, payload_bytes;
	uint16_t size;
	/** What the largest segment has of payload. */
	uint32_t piece_bytes;
	/** What it is cut into, and the buffers of each (the last may take fewer). */
	uint32_t segments, buffers;
};

static uint32_t be32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_be32(uint8_t *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		b[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put_be16(uint8_t *b, uint32_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* What the request is must have been negotiated, and say the same as the headers do. */
static bool request_agrees(const struct path *p, const struct net_header *nh, const struct gso *g)
{
	const struct headers *h = &g->h;
	uint8_t type = nh->gso_type & (uint8_t)~NET_GSO_ECN;
	unsigned int needs = h->ip6 ? PATH_TX_TSO6 : PATH_TX_TSO4;

	if (type != (h->ip6 ? NET_GSO_TCPV6 : NET_GSO_TCPV4) || !(p->offloads & needs))
		return false;
	if ((nh->gso_type & NET_GSO_ECN) && !(p->offloads & PATH_TX_ECN))
		return false;
	/* Spec: 5.1.6.2: a driver sets NEEDS_CSUM with any segmentation. */
	return (nh->flags & NET_NEEDS_CSUM) && nh->csum_start == h->l2_bytes + h->l3_bytes &&
	       nh->csum_offset == 16;
}

/*
 * What repeats in every segment must be true of each. RFC 9293: SYN and RST stand alone, URG counts
 * from its segment.
 */
static bool tcp_can(const struct gso *g)
{
	uint8_t flags = g->head[g->h.l2_bytes + g->h.l3_bytes + 13];

	return !(flags & (HEADERS_TCP_SYN | HEADERS_TCP_RST | HEADERS_TCP_URG));
}

/* Reads and checks; false: it cannot be cut. */
static bool gso_read(struct path *p, const struct net_header *nh, uint64_t bytes, struct gso *g)
{
	uint32_t have = bytes < HEADERS_MAX ? (uint32_t)bytes : HEADERS_MAX;
	struct ring_cursor at = { 0 };
	uint64_t ip_bytes;

	ring_skip(&p->chain, &at, p->header_bytes);
	ring_copy_from(&p->chain, &at, g->head, have);
	if (headers_read(g->head, have, &g->h) || g->h.fragment || g->h.protocol != HEADERS_TCP ||
	    !request_agrees(p, nh, g) || !tcp_can(g))
		return false;
	ip_bytes = bytes - g->h.l2_bytes - (g->h.ip6 ? IPV6_BYTES : 0);
	g->head_bytes = (uint32_t)g->h.l2_bytes + g->h.l3_bytes + g->h.l4_bytes;
	g->size = nh->gso_size;
	/*
	 * More than IP's length can say. Hop-by-hop options without a length are those of a
	 * jumbogram.
	 */
	if (ip_bytes > UINT16_MAX || g->size < SIZE_MIN ||
	    (g->h.ip6 && g->h.l3_bytes > IPV6_BYTES && g->h.ip_bytes == IPV6_BYTES))
		return false;
	g->payload_bytes = (uint32_t)bytes - g->head_bytes;
	g->piece_bytes = g->payload_bytes < g->size ? g->payload_bytes : g->size;
	g->segments = g->payload_bytes ? (g->payload_bytes + g->size - 1) / g->size : 1;
	return true;
}

static void ip_write(uint8_t *ip, const struct headers *h, uint32_t l4_bytes)
{
	if (h->ip6)
		put_be16(ip + 4, h->l3_bytes - IPV6_BYTES + l4_bytes);
	else
		put_be16(ip + 2, h->l3_bytes + l4_bytes);
}

/* Segment @p i: headers of the frame, with what differs. */
static bool segment_finish(struct path *p, struct rte_mbuf *m, const struct gso *g, uint32_t i)
{
	const struct headers *h = &g->h;
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, h->l2_bytes);
	uint8_t *tcp = ip + h->l3_bytes;

	ip_write(ip, h, m->pkt_len - h->l2_bytes - h->l3_bytes);
	if (!h->ip6) {
		put_be16(ip + 4, ((uint32_t)ip[4] << 8 | ip[5]) + i);
		csum_ipv4(ip, h->l3_bytes);
	}
	put_be32(tcp + 4, be32(tcp + 4) + i * g->size);
	if (i)
		tcp[13] &= (uint8_t)~HEADERS_TCP_CWR;
	if (i + 1 < g->segments)
		tcp[13] &= (uint8_t) ~(HEADERS_TCP_FIN | HEADERS_TCP_PSH);
	return csum_tcp(p, m, h);
}

static void hold(struct path *p, struct rte_mbuf *m)
{
	if (p->vf->vlan_filter)
		path_vlan_note(p, m);
	path_count(&p->counters.tx_frames, 1);
	path_count(&p->counters.tx_bytes, m->pkt_len);
	p->tx_held[p->tx_count++] = m;
}

static void refuse(struct path *p, struct rte_mbuf *m)
{
	path_count(&p->counters.tx_drop_refused, 1);
	rte_pktmbuf_free(m);
}

static struct ring_cursor payload_at(const struct path *p, const struct gso *g)
{
	struct ring_cursor at = { 0 };

	ring_skip(&p->chain, &at, p->header_bytes + g->head_bytes);
	return at;
}

static int by_software(struct path *p, const struct gso *g)
{
	struct rte_mbuf *m[PATH_GSO_MAX];
	struct ring_cursor at = payload_at(p, g);
	uint32_t used = 0, left = g->payload_bytes;

	if (rte_pktmbuf_alloc_bulk(p->vf->pool, m, g->segments * g->buffers)) {
		path_count(&p->counters.tx_wait_mbuf, 1);
		return 0;
	}
	for (uint32_t i = 0; i < g->segments; i++) {
		uint32_t n = left < g->size ? left : g->size;
		uint32_t takes = frame_buffers(p, g->head_bytes + n);

		frame_fill(p, m + used, takes, g->head, g->head_bytes, &at, n);
		if (segment_finish(p, m[used], g, i))
			hold(p, m[used]);
		else
			refuse(p, m[used]);
		used += takes;
		left -= n;
	}
	rte_pktmbuf_free_bulk(m + used, g->segments * g->buffers - used);
	path_count(&p->counters.tx_gso, 1);
	return (int)g->segments;
}

/* CWR belongs to the first segment only, and not every port knows that. */
static bool port_can(const struct path *p, const struct gso *g)
{
	const unsigned int needs = VF_TX_TSO | VF_TX_SCATTER | VF_TX_TCP_CSUM | VF_TX_IP_CSUM;
	uint8_t flags = g->head[g->h.l2_bytes + g->h.l3_bytes + 13];
	uint32_t room = frame_buffers(p, g->size) + 1;

	return (p->vf->offloads & needs) == needs && g->segments > 1 && g->size >= PORT_SIZE_MIN &&
	       !(flags & HEADERS_TCP_CWR) && (!g->h.ip6 || g->h.l3_bytes == IPV6_BYTES) &&
	       frame_buffers(p, g->head_bytes + g->payload_bytes) <= p->vf->tx_segments_max &&
	       room <= p->vf->tx_frame_segments_max;
}

static int by_port(struct path *p, const struct gso *g)
{
	uint32_t count = frame_buffers(p, g->head_bytes + g->payload_bytes);
	struct ring_cursor at = payload_at(p, g);
	struct rte_mbuf *m[PATH_GSO_MAX];
	const struct headers *h = &g->h;
	uint8_t *ip;

	if (rte_pktmbuf_alloc_bulk(p->vf->pool, m, count)) {
		path_count(&p->counters.tx_wait_mbuf, 1);
		return 0;
	}
	frame_fill(p, m, count, g->head, g->head_bytes, &at, g->payload_bytes);
	m[0]->l2_len = h->l2_bytes & 0x7f;
	m[0]->l3_len = h->l3_bytes & 0x1ff;
	m[0]->l4_len = h->l4_bytes & 0xff;
	m[0]->tso_segsz = g->size;
	m[0]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
	m[0]->ol_flags |= h->ip6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	/*
	 * What the port starts from: IPv4's checksum 0, TCP's the pseudo-header's without a length.
	 */
	ip = rte_pktmbuf_mtod_offset(m[0], uint8_t *, h->l2_bytes);
	ip_write(ip, h, h->l4_bytes + g->payload_bytes);
	if (!h->ip6)
		memset(ip + 10, 0, 2);
	memcpy(ip + h->l3_bytes + 16, &(uint16_t){ csum_pseudo(ip, h, 0) }, 2);
	path_count(&p->counters.tx_by_port, 1);
	if (rte_eth_tx_prepare(p->vf->port, 0, m, 1) == 1)
		hold(p, m[0]);
	else
		refuse(p, m[0]);
	return 1;
}

int gso_take(struct path *p, const struct net_header *nh, uint64_t bytes)
{
	struct gso g;

	if (!gso_read(p, nh, bytes, &g)) {
		path_count(&p->counters.tx_drop_gso, 1);
		return -1;
	}
	if (g.head_bytes + g.piece_bytes > p->vf->max_frame_bytes) {
		path_count(&p->counters.tx_drop_long, 1);
		return -1;
	}
	g.buffers = frame_buffers(p, g.head_bytes + g.piece_bytes);
	if (port_can(p, &g))
		return by_port(p, &g);
	/* It bounds the worker's time, and the buffers of one frame. */
	if (g.segments * g.buffers > PATH_GSO_MAX) {
		path_count(&p->counters.tx_drop_gso, 1);
		return -1;
	}
	return by_software(p, &g);
}
