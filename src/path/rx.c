/*
 * rx.c: port to guest, by copy.
 *
 * A frame that finds no guest buffer is held, and the port is not asked for more: the port's own
 * ring is the queue, and the
 * port counts what overflows it. A frame that the guest could never take is dropped with its
 * reason.
 */
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "path/offload.h"

/* Goes on at *offset of segment *m, until the frame or the chain ends. */
static void copy_segments(struct ring *r, const struct ring_chain *c, struct ring_cursor *at,
			  const struct rte_mbuf **m, uint32_t *offset)
{
	while (*m) {
		uint32_t left = (*m)->data_len - *offset;
		size_t n = ring_copy_to(r, c, at,
					rte_pktmbuf_mtod_offset(*m, const uint8_t *, *offset),
					left);

		*offset += (uint32_t)n;
		if (n < left)
			break;
		*m = (*m)->next;
		*offset = 0;
	}
}

/* The first chain: room for the header, and for the whole frame where frames may not be spread. */
static int first_check(const struct path *p, uint64_t left)
{
	/* Spec: 5.1.6.3.1: with MRG_RXBUF every buffer holds at least the header. */
	if (p->chain.len_bytes < p->header_bytes)
		return -EPROTO;
	return p->mergeable || p->chain.len_bytes >= left ? 0 : -EMSGSIZE;
}

/*
 * Spec: 5.1.6.4.1: DATA_VALID only when it was negotiated, and only for what was checked: the
 * port's word, never a guess. A frame in a tunnel has two checksums, and the guest could not tell
 * which one is meant.
 */
static uint8_t frame_flags(const struct path *p, const struct rte_mbuf *m)
{
	const uint64_t all = RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_OUTER_L4_CKSUM_MASK |
			     RTE_MBUF_F_RX_OUTER_IP_CKSUM_BAD;
	uint64_t ip = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if (!(p->offloads & PATH_RX_CSUM) || ip == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		return 0;
	return (m->ol_flags & all) == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? NET_DATA_VALID : 0;
}

/*
 * Takes chains until the frame fits, copying on the way. The header goes last, since it holds their
 * number.
 * Returns chains used, 0 when the guest has posted too little, -EMSGSIZE when it never fits,
 * -EPROTO for a broken ring.
 */
static int frame_copy(struct path *p, const struct rte_mbuf *frame)
{
	struct ring *r = &p->ring[PATH_RX];
	uint64_t left = (uint64_t)frame->pkt_len + p->header_bytes;
	struct ring_cursor start = { 0 };
	struct net_header h = { 0 };
	uint8_t flags = frame_flags(p, frame);
	uint32_t offset = 0;
	/* A frame that a whole ring of buffers cannot hold never fits. */
	int n = 0, limit = r->cfg.size < RING_CHAIN_MAX ? r->cfg.size : RING_CHAIN_MAX;

	while (left) {
		struct ring_chain *c = n ? &p->more : &p->chain;
		struct ring_cursor at = { 0 };
		uint64_t room;
		int rc = n < limit ? ring_pop(r, c) : -EMSGSIZE;

		if (rc <= 0) {
			ring_unpop(r, (uint16_t)n);
			return rc;
		}
		room = c->len_bytes < left ? c->len_bytes : left;
		p->used[n].head = c->head;
		p->used[n].written_bytes = (uint32_t)room;
		if (n++ == 0) {
			rc = first_check(p, left);
			if (rc) {
				ring_unpop(r, 1);
				return rc;
			}
			ring_skip(c, &at, p->header_bytes);
		}
		copy_segments(r, c, &at, &frame, &offset);
		left -= room;
	}
	h.flags = flags;
	h.num_buffers = (uint16_t)n;
	ring_copy_to(r, &p->chain, &start, &h, p->header_bytes);
	return n;
}

static void frame_publish(struct path *p, const struct rte_mbuf *m, int chains)
{
	for (int i = 0; i < chains; i++)
		ring_push(&p->ring[PATH_RX], p->used[i].head, p->used[i].written_bytes);
	path_count(&p->counters.rx_frames, 1);
	path_count(&p->counters.rx_bytes, m->pkt_len);
}

/* Returns true when the frame is done with: delivered or dropped. */
static bool frame_deliver(struct path *p, struct rte_mbuf *m)
{
	struct ring *r = &p->ring[PATH_RX];
	int n = r->broken ? 0 : frame_copy(p, m);

	if (n == -EPROTO) {
		r->broken = -EPROTO;
		path_alarm(p);
	}
	if (r->broken)
		path_count(&p->counters.rx_drop_broken, 1);
	else if (n == -EMSGSIZE)
		path_count(&p->counters.rx_drop_too_big, 1);
	else if (n == 0)
		return false;
	else
		frame_publish(p, m, n);
	return true;
}

void path_rx_drop_held(struct path *p, uint64_t *reason)
{
	path_count(reason, p->rx_count - p->rx_at);
	while (p->rx_at < p->rx_count)
		rte_pktmbuf_free(p->rx_held[p->rx_at++]);
	p->rx_at = 0;
	p->rx_count = 0;
}

unsigned int path_rx_poll(struct path *p)
{
	unsigned int done = 0;

	if (!p->active[PATH_RX])
		return 0;
	if (p->rx_at == p->rx_count) {
		p->rx_at = 0;
		p->rx_count = p->vf ? rte_eth_rx_burst(p->vf->port, 0, p->rx_held, PATH_BURST) : 0;
		if (p->rx_count && p->vf->vlan_filter)
			p->rx_count = path_vlan_restore(p, p->rx_held, p->rx_count);
	}
	if (!p->enabled[PATH_RX]) {
		done = p->rx_count;
		path_rx_drop_held(p, &p->counters.rx_drop_disabled);
		return done;
	}
	while (p->rx_at < p->rx_count) {
		struct rte_mbuf *m = p->rx_held[p->rx_at];

		if (!frame_deliver(p, m))
			break;
		rte_pktmbuf_free(m);
		p->rx_at++;
		done++;
	}
	ring_publish(&p->ring[PATH_RX]);
	return done;
}
