/*
 * headers.c: walks Ethernet, VLAN tags, IPv4, IPv6 and TCP headers, each checked against the bytes
 * there are.
 */
#include "path/headers.h"

#include <errno.h>

#define ETHERNET_BYTES 14
#define TAG_BYTES 4
#define TAGS_MAX 2
#define IPV4_BYTES 20
#define IPV6_BYTES 40
#define TCP_BYTES 20
#define UDP_BYTES 8

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_VLAN 0x8100
#define TYPE_QINQ 0x88a8

#define EXTENSION_HOP_BY_HOP 0
#define EXTENSION_FRAGMENT 44
#define EXTENSION_DESTINATION 60

static uint32_t be16(const uint8_t *b)
{
	return (uint32_t)b[0] << 8 | b[1];
}

static int ipv4_read(const uint8_t *b, size_t left, struct headers *h)
{
	if (left < IPV4_BYTES || b[0] >> 4 != 4)
		return -EPROTO;
	h->l3_bytes = (uint16_t)((b[0] & 15) * 4);
	if (h->l3_bytes < IPV4_BYTES || h->l3_bytes > left)
		return -EPROTO;
	h->ip_bytes = be16(b + 2);
	h->fragment = be16(b + 6) & 0x3fff;
	h->protocol = b[9];
	return 0;
}

/*
 * Hop-by-hop and destination options are passed over. A routing header changes the address that
 * checksums cover, and what is rarer still has no business in front of TCP: they show as the
 * protocol.
 */
static int ipv6_read(const uint8_t *b, size_t left, struct headers *h)
{
	size_t at = IPV6_BYTES;

	if (left < IPV6_BYTES || b[0] >> 4 != 6)
		return -EPROTO;
	h->ip6 = true;
	h->ip_bytes = IPV6_BYTES + be16(b + 4);
	h->protocol = b[6];
	while (h->protocol == EXTENSION_HOP_BY_HOP || h->protocol == EXTENSION_DESTINATION) {
		if (left - at < 8 || left - at < ((size_t)b[at + 1] + 1) * 8)
			return -EPROTO;
		h->protocol = b[at];
		at += ((size_t)b[at + 1] + 1) * 8;
	}
	h->fragment = h->protocol == EXTENSION_FRAGMENT;
	h->l3_bytes = (uint16_t)at;
	return 0;
}

/* The header of TCP must be there as a whole, UDP's too. */
static int l4_read(const uint8_t *b, size_t left, struct headers *h)
{
	if (h->fragment || (h->protocol != HEADERS_TCP && h->protocol != HEADERS_UDP))
		return 0;
	h->l4_bytes = h->protocol == HEADERS_TCP ? TCP_BYTES : UDP_BYTES;
	if (left < h->l4_bytes)
		return -EPROTO;
	if (h->protocol == HEADERS_UDP)
		return 0;
	h->l4_bytes = (uint16_t)((b[12] >> 4) * 4);
	return h->l4_bytes < TCP_BYTES || h->l4_bytes > left ? -EPROTO : 0;
}

int headers_read(const uint8_t *b, size_t len, struct headers *h)
{
	size_t at = ETHERNET_BYTES;
	uint32_t type;
	int rc;

	*h = (struct headers){ 0 };
	if (len < ETHERNET_BYTES)
		return -EPROTO;
	type = be16(b + 12);
	for (int i = 0; i < TAGS_MAX && (type == TYPE_VLAN || type == TYPE_QINQ); i++) {
		if (len < at + TAG_BYTES)
			return -EPROTO;
		type = be16(b + at + 2);
		at += TAG_BYTES;
	}
	h->l2_bytes = (uint16_t)at;
	if (type == TYPE_IPV4)
		rc = ipv4_read(b + at, len - at, h);
	else if (type == TYPE_IPV6)
		rc = ipv6_read(b + at, len - at, h);
	else
		rc = -EPROTO;
	return rc ? rc : l4_read(b + at + h->l3_bytes, len - at - h->l3_bytes, h);
}
