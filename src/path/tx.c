/*
 * tx.c: guest to port, by copy.
 *
 * A frame is copied whole, and its buffers go back at once: so nothing of the guest's is in the
 * port's hands, ever. When
 * the port has no room, the copied frames are held and no more are taken: the guest's own ring is
 * the queue. Buffers are shown as used once the port has all their frames: a process that is killed in
 * between leaves them to its successor, which sends some twice and loses none.
 */
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "base/clock.h"
#include "path/offload.h"

/* At least as many as the port takes for them: one for each buffer, and one for what is asked of it. */
static uint64_t descriptors(struct rte_mbuf *const *m, unsigned int count)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum += m[i]->nb_segs + (m[i]->ol_flags ? 1u : 0u);
	return sum;
}

bool path_tx_push(struct path *p)
{
	uint64_t before;
	uint16_t sent;

	if (!p->tx_count)
		return true;
	if (!p->vf)
		return false;
	before = descriptors(p->tx_held, p->tx_count);
	sent = rte_eth_tx_burst(p->vf->port, 0, p->tx_held, p->tx_count);
	p->tx_given += before - descriptors(p->tx_held + sent, p->tx_count - sent);
	p->tx_count = (uint16_t)(p->tx_count - sent);
	memmove(p->tx_held, p->tx_held + sent, p->tx_count * sizeof(p->tx_held[0]));
	return p->tx_count == 0;
}

/* Some cards take a runt for an attack and shut the VF down: pad as the hardware would. */
static void frame_pad(struct rte_mbuf *m)
{
	const uint16_t least = RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN;

	if (m->data_len >= least)
		return;
	memset(rte_pktmbuf_mtod_offset(m, void *, m->data_len), 0, (size_t)(least - m->data_len));
	m->data_len = least;
	m->pkt_len = least;
}

unsigned int frame_buffers(const struct path *p, uint32_t bytes)
{
	uint32_t room = rte_pktmbuf_data_room_size(p->vf->pool) - RTE_PKTMBUF_HEADROOM;

	return bytes ? (bytes + room - 1) / room : 1;
}

void frame_fill(struct path *p, struct rte_mbuf *const *m, unsigned int count, const uint8_t *head,
		uint32_t head_bytes, struct ring_cursor *at, uint32_t bytes)
{
	struct rte_mbuf *first = m[0];

	first->data_len = (uint16_t)head_bytes;
	first->pkt_len = head_bytes + bytes;
	first->nb_segs = (uint16_t)count;
	if (head_bytes)
		memcpy(rte_pktmbuf_mtod(first, void *), head, head_bytes);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t room = rte_pktmbuf_tailroom(m[i]), n = bytes < room ? bytes : room;

		ring_copy_from(&p->chain, at, rte_pktmbuf_mtod_offset(m[i], void *, m[i]->data_len),
			       n);
		m[i]->data_len = (uint16_t)(m[i]->data_len + n);
		m[i]->next = i + 1 < count ? m[i + 1] : NULL;
		bytes -= n;
	}
}

/* A frame of several buffers. Returns the first, or NULL. */
static struct rte_mbuf *large_read(struct path *p, struct ring_cursor *at, uint32_t bytes)
{
	struct rte_mbuf *m[PATH_GSO_MAX];
	unsigned int count = frame_buffers(p, bytes);

	if (rte_pktmbuf_alloc_bulk(p->vf->pool, m, count))
		return NULL;
	frame_fill(p, m, count, NULL, 0, at, bytes);
	return m[0];
}

/* Copies the guest's frame, from @p at on. Returns NULL when there are no host buffers now. */
static struct rte_mbuf *frame_read(struct path *p, struct ring_cursor *at, uint32_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->vf->pool);

	if (m && unlikely(bytes > rte_pktmbuf_tailroom(m))) {
		rte_pktmbuf_free(m);
		m = large_read(p, at, bytes);
	}
	if (!m) {
		path_count(&p->counters.tx_wait_mbuf, 1);
		return NULL;
	}
	if (m->nb_segs == 1) {
		ring_copy_from(&p->chain, at, rte_pktmbuf_mtod(m, void *), bytes);
		m->data_len = (uint16_t)bytes;
		m->pkt_len = bytes;
	}
	return m;
}

/* As it is, but for a checksum when @p csum asks for one. Returns as frame_take(). */
static int whole_take(struct path *p, struct ring_cursor *at, uint64_t bytes,
		      const struct net_header *csum)
{
	struct rte_mbuf *m;

	if (bytes > p->vf->max_frame_bytes) {
		path_count(&p->counters.tx_drop_long, 1);
		return -1;
	}
	m = frame_read(p, at, (uint32_t)bytes);
	if (!m)
		return 0;
	if (csum && !csum_frame(p, m, csum)) {
		path_count(&p->counters.tx_drop_refused, 1);
		rte_pktmbuf_free(m);
		return -1;
	}
	frame_pad(m);
	if (p->vf->vlan_filter)
		path_vlan_note(p, m);
	path_count(&p->counters.tx_frames, 1);
	path_count(&p->counters.tx_bytes, bytes);
	p->tx_held[p->tx_count++] = m;
	return 1;
}

/* The guest has left something to us. */
static int offload_take(struct path *p, struct ring_cursor *at, uint64_t bytes,
			const struct net_header *h)
{
	if (h->gso_type)
		return gso_take(p, h, bytes);
	if (!csum_possible(h, bytes)) {
		path_count(&p->counters.tx_drop_csum, 1);
		return -1;
	}
	return whole_take(p, at, bytes, h);
}

/* Returns frames to be sent; 0 no host buffer now; -1 not to be sent (counted). */
static int frame_take(struct path *p)
{
	uint64_t bytes = p->chain.len_bytes - p->header_bytes;
	struct ring_cursor at = { 0 };
	struct net_header h;

	if (p->chain.len_bytes < (uint64_t)p->header_bytes + RTE_ETHER_HDR_LEN) {
		path_count(&p->counters.tx_drop_short, 1);
		return -1;
	}
	if (!p->enabled[PATH_TX]) {
		path_count(&p->counters.tx_drop_disabled, 1);
		return -1;
	}
	if (!p->vf) {
		path_count(&p->counters.tx_drop_no_device, 1);
		return -1;
	}
	ring_copy_from(&p->chain, &at, &h, p->header_bytes);
	/* Without CSUM nothing was left to us, and nothing in the header means anything. */
	if (((h.flags & NET_NEEDS_CSUM) | h.gso_type) && (p->offloads & PATH_TX_CSUM))
		return offload_take(p, &at, bytes, &h);
	return whole_take(p, &at, bytes, NULL);
}

unsigned int path_tx_poll(struct path *p)
{
	struct ring *r = &p->ring[PATH_TX];
	unsigned int done = 0, work = 0;

	if (!p->active[PATH_TX] || (!p->vf && p->hold && p->enabled[PATH_TX]))
		return 0;
	done = p->tx_count;
	if (!path_tx_push(p))
		return done - p->tx_count;
	done = 0;
	/* Counted in frames that go out, so that a burst of large ones takes no longer. */
	while (work < PATH_BURST) {
		int rc = r->broken ? 0 : ring_pop(r, &p->chain);

		if (rc < 0)
			path_alarm(p);
		if (rc <= 0)
			break;
		rc = frame_take(p);
		if (rc == 0) {
			ring_unpop(r, 1);
			break;
		}
		ring_push(r, p->chain.head, 0);
		done++;
		work += rc > 0 ? (unsigned int)rc : 1;
	}
	if (path_tx_push(p))
		ring_publish(r);
	return done;
}

void path_flush_tx(struct path *p, uint64_t limit_ns)
{
	uint64_t end = clock_now_ns() + limit_ns;

	while (!path_tx_push(p) && p->vf && clock_now_ns() < end)
		;
	path_count(&p->counters.tx_drop_stopped, p->tx_count);
	while (p->tx_count)
		rte_pktmbuf_free(p->tx_held[--p->tx_count]);
}

/*
 * A reverse ARP request for its own address, to everybody: what QEMU and switches use to say "here
 * now". RFC 903.
 */
void path_rarp_send(struct path *p)
{
	static const uint8_t fixed[] = { 0x80, 0x35, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x03 };
	struct rte_mbuf *m;
	uint8_t *b;

	/* With no port there is nobody to tell: whoever attaches one announces anew. */
	if (!p->vf) {
		p->announce = false;
		return;
	}
	m = rte_pktmbuf_alloc(p->vf->pool);
	if (!m)
		return;
	b = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = 60;
	m->pkt_len = 60;
	memset(b, 0, 60);
	memset(b, 0xff, 6);
	memcpy(b + 6, p->announce_mac, 6);
	memcpy(b + 12, fixed, sizeof(fixed));
	memcpy(b + 22, p->announce_mac, 6);
	memcpy(b + 32, p->announce_mac, 6);
	if (rte_eth_tx_burst(p->vf->port, 0, &m, 1) != 1) {
		rte_pktmbuf_free(m);
		return;
	}
	p->tx_given++;
	p->announce = false;
	path_count(&p->counters.announcements, 1);
}
