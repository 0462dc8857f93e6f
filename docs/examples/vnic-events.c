/*
 * vnic-events.c: an example of the client library: prints a vNIC's counters, then what happens to it.
 *
 * cc vnic-events.c $(pkg-config --cflags --libs godwit-client) && ./a.out vm1
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <godwit/client.h>

#define SECOND_MS 1000

static int fail(const struct godwit_error *e)
{
	fprintf(stderr, "vnic-events: %s\n", e->text);
	return EXIT_FAILURE;
}

/* Results are JSON text: print them, or give them to a JSON library. */
static int print_counters(struct godwit *g, struct godwit_error *e)
{
	char *stats;
	int rc = godwit_call(g, "stats", NULL, 5 * SECOND_MS, &stats, e);

	if (rc)
		return rc;
	printf("%s\n", stats);
	free(stats);
	return 0;
}

/* Returns 0 when godwitd has ended. */
static int print_events(struct godwit *g, struct godwit_error *e)
{
	struct godwit_event ev;
	int rc;

	for (;;) {
		fflush(stdout);
		rc = godwit_next_event(g, GODWIT_FOREVER, &ev, e);
		if (rc)
			return rc == -ECONNRESET ? 0 : rc;
		printf("%.3f %s %s\n", ev.time, ev.event, ev.detail);
	}
}

int main(int argc, char **argv)
{
	struct godwit_error e;
	struct godwit *g;
	int rc;

	if (argc != 2) {
		fprintf(stderr, "Usage: vnic-events NAME\n");
		return 2;
	}
	if (godwit_connect(argv[1], 5 * SECOND_MS, &g, &e))
		return fail(&e);
	/* Subscribe first: what happens while we look at the counters is then kept. */
	rc = godwit_subscribe(g, 5 * SECOND_MS, &e);
	if (!rc)
		rc = print_counters(g, &e);
	if (!rc)
		rc = print_events(g, &e);
	godwit_free(g);
	return rc ? fail(&e) : EXIT_SUCCESS;
}
