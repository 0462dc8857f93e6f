/* The numbered frame: its layout on the wire, how one is built and how one is judged. */
#ifndef GWTRAFFIC_FRAME_H
#define GWTRAFFIC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_ETHERTYPE 0x88B5 /* IEEE 802 local experimental EtherType 1 */
#define FRAME_MIN 60
#define FRAME_MAX 1514

/** What the sender of a frame has itself received so far; all little-endian on the wire. */
struct frame_status {
	uint32_t highest;    /* highest number received; 0 = none */
	uint32_t received;   /* different numbers received */
	uint32_t duplicated; /* numbers received again */
	uint32_t reordered;  /* numbers that came after a higher one */
	uint32_t corrupt;    /* frames with a wrong checksum or length */
	uint32_t tcp_kib;    /* KiB received on the TCP stream */
} __attribute__((packed));

/**
 * The first 58 bytes of every frame; the rest, up to its length, is a pattern seeded by run and
 * number.
 */
struct frame {
	uint8_t dst[6], src[6];
	uint16_t ethertype; /* big-endian */
	uint32_t magic;
	uint32_t check; /* digest of everything that follows this field */
	uint32_t run;	/* both ends of one run use the same; others' frames are ignored */
	uint32_t seq;	/* counts from 1 */
	uint16_t len;	/* whole frame, in bytes */
	struct frame_status status;
	uint16_t pad;
} __attribute__((packed));

_Static_assert(sizeof(struct frame) <= FRAME_MIN, "the header fits the shortest frame");

enum frame_verdict {
	FRAME_OK,
	FRAME_FOREIGN, /* not of this run, or not for this station */
	FRAME_CORRUPT,
};

/**
 * Builds frame @seq of @run into @buf (FRAME_MAX bytes). Its length is chosen by its number,
 * FRAME_MIN..FRAME_MAX.
 * @return its length in bytes
 */
size_t frame_build(void *buf, const uint8_t dst[6], const uint8_t src[6], uint32_t run,
		   uint32_t seq, const struct frame_status *status);

/**
 * Judges @len bytes received by station @own during @run. On FRAME_OK the fields of @buf may be
 * read.
 */
enum frame_verdict frame_judge(const void *buf, size_t len, const uint8_t own[6], uint32_t run);

#endif
