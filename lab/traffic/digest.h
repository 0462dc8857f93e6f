/* A 64-bit running digest (the XXH64 algorithm) and the seeded pseudo-random stream that it is
 * taken of. */
#ifndef GWTRAFFIC_DIGEST_H
#define GWTRAFFIC_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest {
	uint64_t lane[4];
	uint64_t total;	     /* bytes taken so far */
	uint8_t pending[32]; /* total % 32 bytes not yet mixed in */
};

/** Starts a digest of zero bytes. */
void digest_init(struct digest *d);

/** Adds @len bytes. */
void digest_add(struct digest *d, const void *data, size_t len);

/** The digest of all bytes added so far; more may be added afterwards. */
uint64_t digest_value(const struct digest *d);

/** The digest of @len bytes in one go. */
uint64_t digest_of(const void *data, size_t len);

/** Fills @out with bytes [@offset, @offset + @len) of the endless stream named by @seed. */
void pattern_fill(uint64_t seed, uint64_t offset, void *out, size_t len);

/** Spreads the bits of @x over all 64: a cheap stateless random number. */
static inline uint64_t mix64(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

#endif
