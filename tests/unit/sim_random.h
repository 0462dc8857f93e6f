/* sim_random.h: random numbers that a seed brings back: every failure can be seen again. */
#ifndef GODWIT_TESTS_SIM_RANDOM_H
#define GODWIT_TESTS_SIM_RANDOM_H

#include <stdint.h>

struct sim_random {
	uint64_t s;
};

static inline void sim_random_seed(struct sim_random *r, uint64_t seed)
{
	r->s = seed * 0x9e3779b97f4a7c15ull + 1;
}

/** splitmix64: any seed will do. */
static inline uint64_t sim_next(struct sim_random *r)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/** 0 to @p n - 1. */
static inline uint32_t sim_below(struct sim_random *r, uint32_t n)
{
	return (uint32_t)(sim_next(r) % n);
}

#endif
