/*
 * offload.h: what a guest leaves to us with a frame: its header in front of the frame, and who
 * computes checksums and cuts segments.
 */
#ifndef GODWIT_PATH_OFFLOAD_H
#define GODWIT_PATH_OFFLOAD_H

#include "path/headers.h"
#include "path/internal.h"

/**
 * In front of each frame. Without MRG_RXBUF and VERSION_1 num_buffers is not there. Spec: virtio
 * 1.2, 5.1.6
 */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

#define NET_NEEDS_CSUM 1
#define NET_DATA_VALID 2

#define NET_GSO_TCPV4 1
#define NET_GSO_TCPV6 4
#define NET_GSO_ECN 0x80

/**
 * Copy @p bytes of the guest's chain, from @p at on, into @p count empty buffers, behind @p
 * head_bytes of @p head. They become one frame. There must be room for all of it.
 */
void frame_fill(struct path *p, struct rte_mbuf *const *m, unsigned int count, const uint8_t *head,
		uint32_t head_bytes, struct ring_cursor *at, uint32_t bytes);
/** Buffers that a frame of @p bytes takes. */
unsigned int frame_buffers(const struct path *p, uint32_t bytes);

/** True when @p h places a checksum within a frame of @p bytes, behind its Ethernet header. */
bool csum_possible(const struct net_header *h, uint64_t bytes);
/**
 * Have the checksum computed that @p h asks for: by the port where it can, else here.
 * @param m  a whole frame; csum_possible() was true
 * @return   true; false: the port's driver refuses the frame
 */
bool csum_frame(struct path *p, struct rte_mbuf *m, const struct net_header *h);
/**
 * Have TCP's checksum computed, of a frame whose headers were written by us; the field's content
 * does not matter.
 * @return  true; false: the port's driver refuses the frame
 */
bool csum_tcp(struct path *p, struct rte_mbuf *m, const struct headers *h);
/** The checksum of an IPv4 header of @p bytes, written into it. */
void csum_ipv4(uint8_t *ip, uint16_t bytes);
/**
 * The sum of the pseudo-header for @p bytes of TCP, not complemented, in network order. RFC 9293
 * 3.1, 8200 8.1
 */
uint16_t csum_pseudo(const uint8_t *ip, const struct headers *h, uint32_t bytes);

/**
 * Take the frame in the path's chain, which asks to be cut into segments, and hold them for the
 * port.
 * @param h      of the frame, our own copy
 * @param bytes  of the frame
 * @return       frames held; 0: no host buffers now; -1: dropped and counted
 */
int gso_take(struct path *p, const struct net_header *h, uint64_t bytes);

#endif
