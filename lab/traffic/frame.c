/* Builds and judges numbered frames. */
#include "frame.h"

#include "digest.h"

#include <arpa/inet.h>
#include <string.h>

#define MAGIC 0x31744477u

static uint32_t checksum(const struct frame *f, size_t len)
{
	size_t skip = offsetof(struct frame, run);

	return (uint32_t)digest_of((const uint8_t *)f + skip, len - skip);
}

/*
 * Every 64th frame has the shortest length and every 64th the longest; the others are spread
 * evenly.
 */
static size_t frame_length(uint32_t run, uint32_t seq)
{
	if (seq % 64 == 0)
		return FRAME_MIN;
	if (seq % 64 == 32)
		return FRAME_MAX;
	return FRAME_MIN + mix64(((uint64_t)run << 32) + seq) % (FRAME_MAX - FRAME_MIN + 1);
}

size_t frame_build(void *buf, const uint8_t dst[6], const uint8_t src[6], uint32_t run,
		   uint32_t seq, const struct frame_status *status)
{
	struct frame *f = buf;
	size_t len = frame_length(run, seq);

	memcpy(f->dst, dst, 6);
	memcpy(f->src, src, 6);
	f->ethertype = htons(FRAME_ETHERTYPE);
	f->magic = MAGIC;
	f->run = run;
	f->seq = seq;
	f->len = (uint16_t)len;
	f->status = *status;
	f->pad = 0;
	pattern_fill(((uint64_t)run << 32) + seq, 0, (uint8_t *)buf + sizeof(*f), len - sizeof(*f));
	f->check = checksum(f, len);
	return len;
}

enum frame_verdict frame_judge(const void *buf, size_t len, const uint8_t own[6], uint32_t run)
{
	const struct frame *f = buf;

	if (len < sizeof(*f) || memcmp(f->dst, own, 6) || f->ethertype != htons(FRAME_ETHERTYPE))
		return FRAME_FOREIGN;
	if (f->magic != MAGIC || f->len < FRAME_MIN || f->len > FRAME_MAX || len < f->len)
		return FRAME_CORRUPT;
	if (f->check != checksum(f, f->len))
		return FRAME_CORRUPT;
	return f->run == run && f->seq ? FRAME_OK : FRAME_FOREIGN;
}
