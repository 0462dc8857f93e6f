/*
 * copy.c: copies between a flat buffer and a chain of guest buffers. All stores into guest buffers,
 * and their log, are here.
 */
#include <string.h>

#include "ring/ring.h"

/*
 * The bytes left in the cursor's segment, after stepping over used-up ones; 0 at the chain's end.
 */
static uint32_t cursor_room(const struct ring_chain *c, struct ring_cursor *at)
{
	while (at->seg < c->count && at->offset == c->seg[at->seg].len) {
		at->seg++;
		at->offset = 0;
	}
	return at->seg < c->count ? c->seg[at->seg].len - at->offset : 0;
}

void ring_skip(const struct ring_chain *c, struct ring_cursor *at, size_t len)
{
	while (len) {
		uint32_t piece = cursor_room(c, at);

		if (!piece)
			return;
		if (piece > len)
			piece = (uint32_t)len;
		at->offset += piece;
		len -= piece;
	}
}

size_t ring_copy_from(const struct ring_chain *c, struct ring_cursor *at, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint32_t piece = cursor_room(c, at);

		if (!piece)
			break;
		if (piece > len - done)
			piece = (uint32_t)(len - done);
		memcpy((uint8_t *)to + done, c->seg[at->seg].host + at->offset, piece);
		at->offset += piece;
		done += piece;
	}
	return done;
}

size_t ring_copy_to(struct ring *r, const struct ring_chain *c, struct ring_cursor *at,
		    const void *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint32_t piece = cursor_room(c, at);
		const struct ring_seg *s = &c->seg[at->seg];

		if (!piece)
			break;
		if (piece > len - done)
			piece = (uint32_t)(len - done);
		memcpy(s->host + at->offset, (const uint8_t *)from + done, piece);
		if (r->log)
			dirty_mark(r->log, (struct gpa){ s->gpa.v + at->offset }, piece);
		at->offset += piece;
		done += piece;
	}
	return done;
}
