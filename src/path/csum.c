/*
 * csum.c: checksums that the guest left to us: by the port where it can, else in software.
 *
 * The guest has put the sum of the pseudo-header into the field, so that the sum from csum_start to
 * the frame's end is all there is to do, whatever the protocol is. The port knows TCP and UDP only,
 * and where they lie: it is asked only when the headers say the same as the guest does.
 */
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "path/offload.h"

#define TCP_CSUM_OFFSET 16
#define UDP_CSUM_OFFSET 6
#define IPV6_BYTES 40

static void put16(uint8_t *at, uint16_t network_order)
{
	memcpy(at, &network_order, sizeof(network_order));
}

/* Adds two sums that are not complemented. */
static uint16_t sum_add(uint32_t a, uint32_t b)
{
	a += b;
	return (uint16_t)((a & 0xffff) + (a >> 16));
}

/* As UDP wants it: a computed 0 is sent as its other form. RFC 768; TCP takes both. */
static uint16_t sum_finish(uint16_t sum)
{
	return sum == 0xffff ? 0xffff : (uint16_t)~sum;
}

bool csum_possible(const struct net_header *h, uint64_t bytes)
{
	uint64_t end = (uint64_t)h->csum_start + h->csum_offset + sizeof(uint16_t);

	/* A header lies in a frame's first buffer, or it is none. */
	return h->csum_start >= RTE_ETHER_HDR_LEN && end <= bytes &&
	       end <= RTE_MBUF_DEFAULT_DATAROOM;
}

void csum_ipv4(uint8_t *ip, uint16_t bytes)
{
	put16(ip + 10, 0);
	put16(ip + 10, (uint16_t)~rte_raw_cksum(ip, bytes));
}

uint16_t csum_pseudo(const uint8_t *ip, const struct headers *h, uint32_t bytes)
{
	const uint8_t rest[4] = { 0, h->protocol, (uint8_t)(bytes >> 8), (uint8_t)bytes };

	return sum_add(h->ip6 ? rte_raw_cksum(ip + 8, 32) : rte_raw_cksum(ip + 12, 8),
		       rte_raw_cksum(rest, sizeof(rest)));
}

/* Sum from @p start to the end, stored at @p field; both were checked. */
static void by_software(struct path *p, struct rte_mbuf *m, uint32_t start, uint32_t field)
{
	uint16_t sum = 0;

	rte_raw_cksum_mbuf(m, start, m->pkt_len - start, &sum);
	put16(rte_pktmbuf_mtod_offset(m, uint8_t *, field), sum_finish(sum));
	path_count(&p->counters.tx_csum, 1);
}

/*
 * The headers are ours and right. Some drivers rewrite the pseudo-header's sum, some want it there.
 */
static bool by_port(struct path *p, struct rte_mbuf *m, const struct headers *h, uint32_t field)
{
	m->l2_len = h->l2_bytes & 0x7f;
	m->l3_len = h->l3_bytes & 0x1ff;
	m->l4_len = h->l4_bytes & 0xff;
	m->ol_flags |= h->ip6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	m->ol_flags |= h->protocol == HEADERS_TCP ? RTE_MBUF_F_TX_TCP_CKSUM :
						    RTE_MBUF_F_TX_UDP_CKSUM;
	put16(rte_pktmbuf_mtod_offset(m, uint8_t *, field),
	      csum_pseudo(rte_pktmbuf_mtod_offset(m, uint8_t *, h->l2_bytes), h,
			  m->pkt_len - h->l2_bytes - h->l3_bytes));
	return rte_eth_tx_prepare(p->vf->port, 0, &m, 1) == 1;
}

/* Extension headers are left to software: what drivers make of them differs. */
static bool port_can(const struct path *p, const struct headers *h)
{
	unsigned int needs = h->protocol == HEADERS_TCP ? VF_TX_TCP_CSUM : VF_TX_UDP_CSUM;

	return (p->vf->offloads & needs) && !h->fragment && (!h->ip6 || h->l3_bytes == IPV6_BYTES);
}

/* What the guest says and what its headers say are the same: a whole datagram of TCP or UDP. */
static bool headers_agree(const struct rte_mbuf *m, const struct net_header *nh, struct headers *h)
{
	if (headers_read(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, h))
		return false;
	return ((h->protocol == HEADERS_TCP && nh->csum_offset == TCP_CSUM_OFFSET) ||
		(h->protocol == HEADERS_UDP && nh->csum_offset == UDP_CSUM_OFFSET)) &&
	       nh->csum_start == h->l2_bytes + h->l3_bytes &&
	       h->ip_bytes == m->pkt_len - h->l2_bytes;
}

bool csum_frame(struct path *p, struct rte_mbuf *m, const struct net_header *nh)
{
	uint32_t field = (uint32_t)nh->csum_start + nh->csum_offset;
	struct headers h;

	if ((p->vf->offloads & (VF_TX_TCP_CSUM | VF_TX_UDP_CSUM)) && headers_agree(m, nh, &h) &&
	    port_can(p, &h)) {
		path_count(&p->counters.tx_by_port, 1);
		return by_port(p, m, &h, field);
	}
	by_software(p, m, nh->csum_start, field);
	return true;
}

bool csum_tcp(struct path *p, struct rte_mbuf *m, const struct headers *h)
{
	uint32_t start = (uint32_t)h->l2_bytes + h->l3_bytes, field = start + TCP_CSUM_OFFSET;

	if (port_can(p, h))
		return by_port(p, m, h, field);
	put16(rte_pktmbuf_mtod_offset(m, uint8_t *, field),
	      csum_pseudo(rte_pktmbuf_mtod_offset(m, uint8_t *, h->l2_bytes), h,
			  m->pkt_len - start));
	by_software(p, m, start, field);
	return true;
}

/* What was left to a port that is gone. Returns false: it cannot be done here. */
static bool settle(struct path *p, struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	uint32_t start = (uint32_t)m->l2_len + m->l3_len;

	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || m->nb_segs > 1)
		return false;
	if (l4 == RTE_MBUF_F_TX_TCP_CKSUM)
		by_software(p, m, start, start + TCP_CSUM_OFFSET);
	else if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
		by_software(p, m, start, start + UDP_CSUM_OFFSET);
	m->ol_flags = 0;
	return true;
}

void path_settle_tx(struct path *p)
{
	uint16_t left = 0;

	for (uint16_t i = 0; i < p->tx_count; i++) {
		if (settle(p, p->tx_held[i])) {
			p->tx_held[left++] = p->tx_held[i];
			continue;
		}
		path_count(&p->counters.tx_drop_stopped, 1);
		rte_pktmbuf_free(p->tx_held[i]);
	}
	p->tx_count = left;
}
