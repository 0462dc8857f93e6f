/* headers.h: where the headers of a frame lie, found without trust in any of its bytes. */
#ifndef GODWIT_PATH_HEADERS_H
#define GODWIT_PATH_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * As many bytes as headers may take: Ethernet, two VLAN tags, IP with options or extensions, TCP
 * with options.
 */
#define HEADERS_MAX 256

#define HEADERS_TCP 6
#define HEADERS_UDP 17

/** TCP's flag bits. */
#define HEADERS_TCP_FIN 0x01
#define HEADERS_TCP_SYN 0x02
#define HEADERS_TCP_RST 0x04
#define HEADERS_TCP_PSH 0x08
#define HEADERS_TCP_URG 0x20
#define HEADERS_TCP_CWR 0x80

struct headers {
	/** Ethernet header with its VLAN tags; IP header with options or extension headers. */
	uint16_t l2_bytes, l3_bytes;
	/** TCP's header with its options, or UDP's; 0 for anything else. */
	uint16_t l4_bytes;
	bool ip6;
	/** A fragment of a datagram: what follows IP is no whole TCP or UDP. */
	bool fragment;
	/** What follows IP. */
	uint8_t protocol;
	/** What IP says of the datagram's bytes, its own header included. */
	uint32_t ip_bytes;
};

/**
 * Read the headers of a frame.
 * @param b    the frame's first bytes, our own copy
 * @param len  how many there are
 * @return     0; -EPROTO: it is not IP, or its headers are wrong or not whole within @p len
 * Spec:       IEEE 802.1Q, RFC 791, 8200, 9293
 */
int headers_read(const uint8_t *b, size_t len, struct headers *h);

#endif
