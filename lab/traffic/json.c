/* Writes JSON to a stdio stream: nothing but the quoting and the small tables that the roles
 * share. */
#include "json.h"

#include <inttypes.h>
#include <string.h>

void json_bytes(FILE *out, const char *s, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

void json_string(FILE *out, const char *s)
{
	json_bytes(out, s, strlen(s));
}

void json_events(FILE *out, const struct track_events *e)
{
	fputc('[', out);
	for (uint32_t i = 0; i < e->count && i < TRACK_EVENTS_MAX; i++)
		fprintf(out, "%s[%u,%" PRIu64 "]", i ? "," : "", e->list[i].seq,
			e->list[i].when_ns);
	fputc(']', out);
}

void json_gaps(FILE *out, const struct track_gaps *g)
{
	fputc('[', out);
	for (uint32_t i = 0; i < g->count && i < TRACK_EVENTS_MAX; i++)
		fprintf(out, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", g->list[i].from_ns,
			g->list[i].to_ns);
	fputc(']', out);
}

void json_missing(FILE *out, const struct track *t)
{
	uint64_t before = 0;
	const char *comma = "";

	fputc('[', out);
	for (uint32_t seq = 1; seq <= t->highest; seq++) {
		uint32_t first = seq;

		while (seq <= t->highest && !t->when_ns[seq])
			seq++;
		if (seq > first) {
			fprintf(out, "%s[%u,%u,%" PRIu64 ",%" PRIu64 "]", comma, first, seq - 1,
				before, t->when_ns[seq]);
			comma = ",";
		}
		before = t->when_ns[seq];
	}
	fputc(']', out);
}

static void json_way(FILE *out, const char *name, const struct stream_way *w)
{
	fprintf(out, "\"%s\":{\"bytes\":%" PRIu64 ",\"digest\":\"%016" PRIx64 "\",\"ended\":%s}",
		name, w->bytes, digest_value(&w->digest), w->ended ? "true" : "false");
}

void json_stream(FILE *out, const struct stream *s)
{
	if (!s->wanted) {
		fputs("null", out);
		return;
	}
	fprintf(out, "{\"connects\":%u,\"error\":", s->connects);
	json_string(out, s->error ? strerror(s->error) : "");
	fprintf(out, ",\"rx_bad_offset\":%" PRId64 ",", s->rx_bad);
	json_way(out, "tx", &s->tx);
	fputc(',', out);
	json_way(out, "rx", &s->rx);
	fputc('}', out);
}
