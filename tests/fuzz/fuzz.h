/* fuzz.h: what the fuzz targets share: reading of an input, and checks that end the process. */
#ifndef GODWIT_TESTS_FUZZ_H
#define GODWIT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** libFuzzer's entry point; fuzz_main.c calls it in other builds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Ends the process, visibly for every kind of fuzzer. */
#define REQUIRE(condition)                                                                        \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

/** What is left of an input. Reads beyond its end give zeroes. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t fuzz_bytes(struct fuzz_input *in, size_t n)
{
	uint64_t v = 0;

	if (n > in->left)
		n = in->left;
	memcpy(&v, in->at, n);
	in->at += n;
	in->left -= n;
	return v;
}

static inline uint32_t fuzz_below(struct fuzz_input *in, uint32_t n)
{
	return (uint32_t)(fuzz_bytes(in, n > 256 ? 4 : 1) % n);
}

#endif
