/*
 * fuzz_main.c: runs a fuzz target without libFuzzer: over random inputs of a seed, or over files.
 *
 * Usage: fuzz_TARGET [-n INPUTS] [-s SEED] [FILE...]
 * Input number i of a seed is always the same; when one fails, its number and how to see it again are printed.
 */
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"
#include "sim_random.h"

#define INPUT_MAX 4096u

static uint64_t current_seed;
static const char *current_file;

void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static void say_which(void)
{
	/* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): it fails already; the seed is worth the risk */
	if (current_file)
		fprintf(stderr, "failed on file %s\n", current_file);
	else
		fprintf(stderr, "failed; see it again with: -n 1 -s %llu\n",
			(unsigned long long)current_seed);
	/* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
}

static void on_abort(int sig)
{
	say_which();
}

static void run_seed(uint64_t seed)
{
	static uint8_t bytes[INPUT_MAX];
	struct sim_random r;
	uint32_t len;

	current_seed = seed;
	sim_random_seed(&r, seed);
	/* Short ones are as likely as long ones. */
	len = sim_below(&r, 1u << (4 + sim_below(&r, 9)));
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)sim_next(&r);
	LLVMFuzzerTestOneInput(bytes, len);
}

static int run_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f) {
		fprintf(stderr, "%s cannot be read\n", path);
		return 1;
	}
	current_file = path;
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	LLVMFuzzerTestOneInput(bytes, n);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long long inputs = 20000, seed = 1;
	int c, rc = 0;

	while ((c = getopt(argc, argv, "n:s:")) != -1) {
		if (c == 'n')
			inputs = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(say_which);
	if (optind < argc) {
		for (int i = optind; i < argc; i++)
			rc |= run_file(argv[i]);
		return rc;
	}
	for (unsigned long long i = 0; i < inputs; i++)
		run_seed(seed + i);
	printf("%llu inputs from seed %llu\n", inputs, seed);
	return 0;
}
