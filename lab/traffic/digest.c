/* A 64-bit running digest (the XXH64 algorithm, from its specification) and the seeded stream it
 * is taken of. */
#include "digest.h"

#include <string.h>

static const uint64_t P1 = 0x9E3779B185EBCA87ull, P2 = 0xC2B2AE3D27D4EB4Full,
		      P3 = 0x165667B19E3779F9ull, P4 = 0x85EBCA77C2B2AE63ull,
		      P5 = 0x27D4EB2F165667C5ull;

static uint64_t rotl(uint64_t x, int r)
{
	return (x << r) | (x >> (64 - r));
}

static uint64_t read64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t round64(uint64_t acc, uint64_t input)
{
	return rotl(acc + input * P2, 31) * P1;
}

static void mix_stripe(struct digest *d, const uint8_t *p)
{
	for (int i = 0; i < 4; i++)
		d->lane[i] = round64(d->lane[i], read64(p + 8 * i));
}

void digest_init(struct digest *d)
{
	*d = (struct digest){ .lane = { P1 + P2, P2, 0, 0 - P1 } };
}

void digest_add(struct digest *d, const void *data, size_t len)
{
	const uint8_t *p = data;
	size_t have = d->total % 32;

	d->total += len;
	if (have) {
		size_t take = 32 - have < len ? 32 - have : len;

		memcpy(d->pending + have, p, take);
		p += take;
		len -= take;
		if (have + take < 32)
			return;
		mix_stripe(d, d->pending);
	}
	for (; len >= 32; p += 32, len -= 32)
		mix_stripe(d, p);
	memcpy(d->pending, p, len);
}

static uint64_t merge_lanes(const struct digest *d)
{
	uint64_t h = rotl(d->lane[0], 1) + rotl(d->lane[1], 7) + rotl(d->lane[2], 12) +
		     rotl(d->lane[3], 18);

	for (int i = 0; i < 4; i++)
		h = (h ^ round64(0, d->lane[i])) * P1 + P4;
	return h;
}

uint64_t digest_value(const struct digest *d)
{
	const uint8_t *p = d->pending;
	size_t left = d->total % 32;
	uint64_t h = d->total >= 32 ? merge_lanes(d) : P5;

	h += d->total;
	for (; left >= 8; p += 8, left -= 8)
		h = rotl(h ^ round64(0, read64(p)), 27) * P1 + P4;
	if (left >= 4) {
		uint32_t v;

		memcpy(&v, p, 4);
		h = rotl(h ^ (v * P1), 23) * P2 + P3;
		p += 4;
		left -= 4;
	}
	for (; left; p++, left--)
		h = rotl(h ^ (*p * P5), 11) * P1;
	h = (h ^ (h >> 33)) * P2;
	h = (h ^ (h >> 29)) * P3;
	return h ^ (h >> 32);
}

uint64_t digest_of(const void *data, size_t len)
{
	struct digest d;

	digest_init(&d);
	digest_add(&d, data, len);
	return digest_value(&d);
}

void pattern_fill(uint64_t seed, uint64_t offset, void *out, size_t len)
{
	uint8_t *p = out;

	while (len) {
		uint64_t word = mix64(seed + (offset / 8 + 1) * P1);
		size_t skip = offset % 8, take = 8 - skip < len ? 8 - skip : len;

		if (take == 8)
			memcpy(p, &word, 8);
		else
			memcpy(p, (const uint8_t *)&word + skip, take);
		p += take;
		offset += take;
		len -= take;
	}
}
