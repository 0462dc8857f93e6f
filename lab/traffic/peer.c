/*
 * The peer's end of the traffic, and the only clock that anything is judged by: CLOCK_REALTIME of
 * the kernel that also runs QEMU, so that QMP's time stamps compare; a step of that clock is
 * looked for against CLOCK_MONOTONIC and reported.
 *
 * From the guest: each frame's arrival is stamped by the kernel; a hole in the numbers lies
 * between two known arrivals. To the guest: each frame's sending time is kept; the numbers that
 * never came are told by the guest at the end. When they came is not known to the peer directly:
 * each frame from the guest says how many it had received, so an interval without progress there
 * is an interval without delivery, seen at the grain of the guest's own frames.
 */
#include "flow.h"
#include "json.h"
#include "opts.h"
#include "roles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_NS (100 * NS_PER_MS)
#define LINGER_NS (500 * NS_PER_MS)
#define LINGER_MAX_NS (45 * NS_PER_S)

#define COLUMNS                                                                                              \
	"\"t_ns\",\"sent\",\"from_distinct\",\"from_highest\",\"from_duplicated\",\"from_reordered\","       \
	"\"from_corrupt\",\"to_received\",\"to_highest\",\"to_duplicated\",\"to_reordered\",\"to_corrupt\"," \
	"\"tcp_tx\",\"tcp_rx\",\"tcp_guest_rx\",\"from_gap_ns\",\"to_gap_ns\",\"to_lag_ns\""
#define COLUMN_COUNT 18

struct peer {
	struct opts o;
	struct flow flow;
	struct stream stream;
	struct frame_status guest; /* the newest the guest said */
	struct track_gaps to_gaps; /* between two steps of guest.received */
	uint64_t lag_ns; /* the longest sending -> known-to-have-come since the last sample */
	uint64_t start_ns;
	int64_t clock_base, clock_step; /* realtime - monotonic at the start; its greatest change */
	uint64_t (*rows)[COLUMN_COUNT];
	size_t row_count, row_room;
};

static void guest_said(void *arg, const struct frame *fr, uint64_t when_ns)
{
	struct peer *p = arg;

	if (fr->seq != p->flow.track.highest)
		return; /* a late frame's news is old */
	if (fr->status.received > p->guest.received) {
		uint64_t lag = when_ns - p->flow.sent_ns[fr->status.highest % TRACK_SEQ_MAX];

		track_gap_arrival(&p->to_gaps, when_ns);
		if ((int64_t)lag > 0 && lag > p->lag_ns)
			p->lag_ns = lag;
	}
	p->guest = fr->status;
}

/* The two clocks cannot be read at once: a reading that was interrupted tells nothing. */
static void watch_clock(struct peer *p)
{
	uint64_t before = mono_ns(), real = real_ns(), after = mono_ns();
	int64_t step = (int64_t)(real - before) - p->clock_base;

	if (after - before < NS_PER_MS && llabs(step) > llabs(p->clock_step))
		p->clock_step = step;
}

static int take_sample(struct peer *p)
{
	const struct track *t = &p->flow.track;

	watch_clock(p);
	if (p->row_count == p->row_room) {
		size_t room = p->row_room ? 2 * p->row_room : 1024;
		void *rows = realloc(p->rows, room * sizeof(*p->rows));

		if (!rows)
			return -ENOMEM;
		p->rows = rows;
		p->row_room = room;
	}
	memcpy(p->rows[p->row_count++],
	       (uint64_t[COLUMN_COUNT]){ real_ns(), p->flow.sent, t->distinct, t->highest,
					 t->duplicated.count, t->reordered.count, t->corrupt,
					 p->guest.received, p->guest.highest, p->guest.duplicated,
					 p->guest.reordered, p->guest.corrupt, p->stream.tx.bytes,
					 p->stream.rx.bytes, (uint64_t)p->guest.tcp_kib << 10,
					 t->gaps.sample_ns, p->to_gaps.sample_ns, p->lag_ns },
	       sizeof(*p->rows));
	p->flow.track.gaps.sample_ns = p->to_gaps.sample_ns = p->lag_ns = 0;
	return 0;
}

/* One line a second for whoever watches: JSON, on standard output. */
static void show_progress(const struct peer *p)
{
	const uint64_t *r = p->rows[p->row_count - 1];

	printf("{\"t_s\":%.1f,\"to_guest\":{\"sent\":%" PRIu64 ",\"received\":%" PRIu64
	       "},\"from_guest\":{\"received\":%" PRIu64 ",\"highest\":%" PRIu64
	       "},\"tcp\":{\"to_guest\":%" PRIu64 ",\"from_guest\":%" PRIu64 "}}\n",
	       (double)(r[0] - p->start_ns) / 1e9, r[1], r[7], r[2], r[3], r[14], r[13]);
	fflush(stdout);
}

static void write_rows(const struct peer *p, FILE *out)
{
	fprintf(out, "\"samples\":{\"columns\":[" COLUMNS "],\"rows\":[");
	for (size_t i = 0; i < p->row_count; i++) {
		fputs(i ? ",\n[" : "\n[", out);
		for (int c = 0; c < COLUMN_COUNT; c++)
			fprintf(out, "%s%" PRIu64, c ? "," : "", p->rows[i][c]);
		fputc(']', out);
	}
	fputs("]}", out);
}

/* Sending times, 8 bytes little-endian each, number 1 first. */
static int write_times(const struct peer *p)
{
	char name[4096];
	FILE *out;
	size_t n;

	snprintf(name, sizeof(name), "%s.sent", p->o.out);
	out = fopen(name, "w");
	if (!out)
		return 1;
	n = fwrite(p->flow.sent_ns + 1, sizeof(uint64_t), p->flow.sent, out);
	return fclose(out) || n != p->flow.sent;
}

static int write_result(struct peer *p)
{
	const struct track *t = &p->flow.track;
	FILE *out = fopen(p->o.out, "w");

	if (!out || write_times(p)) {
		perror(p->o.out);
		return 1;
	}
	port_count_drops(&p->flow.port);
	fprintf(out,
		"{\"schema\":1,\"role\":\"peer\",\"clock\":\"CLOCK_REALTIME ns\",\"run\":%u,\"rate_asked\":%" PRIu64
		",",
		p->o.run, p->o.rate);
	fprintf(out,
		"\"start_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64 ",\"clock_step_ns\":%" PRId64 ",\n",
		p->start_ns, real_ns(), p->clock_step);
	fprintf(out, "\"to_guest\":{\"sent\":%u,\"refused\":%u,\"forgiven\":%" PRIu64 ",\"gaps\":",
		p->flow.sent, p->flow.refused, p->flow.pacer.forgiven);
	json_gaps(out, &p->to_gaps);
	fprintf(out,
		"},\n\"from_guest\":{\"received\":%u,\"highest\":%u,\"corrupt\":%u,\"socket_drops\":%" PRIu64
		",",
		t->distinct, t->highest, t->corrupt, p->flow.port.drops);
	fprintf(out, "\"duplicated\":%u,\"reordered\":%u,\"missing\":", t->duplicated.count,
		t->reordered.count);
	json_missing(out, t);
	fputs(",\"duplicates\":", out);
	json_events(out, &t->duplicated);
	fputs(",\"late\":", out);
	json_events(out, &t->reordered);
	fputs(",\"gaps\":", out);
	json_gaps(out, &t->gaps);
	fputs("},\n\"tcp\":", out);
	json_stream(out, &p->stream);
	fputs(",\n", out);
	write_rows(p, out);
	fputs("}\n", out);
	return fclose(out) ? 1 : 0;
}

static int start(struct peer *p)
{
	int err;

	p->flow.iface = p->o.iface;
	p->flow.run = p->o.run;
	memcpy(p->flow.other, p->o.mac, 6);
	err = flow_start(&p->flow, p->o.rate, p->o.gap_min_ns);
	if (!err)
		err = track_gaps_init(&p->to_gaps, p->o.gap_min_ns);
	if (!err && p->o.tcp_to && p->o.tcp_rate)
		err = stream_connect(&p->stream, p->o.tcp_to, p->o.tcp_port, p->o.run,
				     p->o.tcp_rate);
	p->start_ns = real_ns();
	p->clock_base = (int64_t)(p->start_ns - mono_ns());
	return err;
}

/*
 * After the end was asked for: frames under way get half a second, the stream until both ends
 * closed it.
 */
static bool lingering(const struct peer *p, uint64_t since)
{
	uint64_t waited = mono_ns() - since;

	return waited < LINGER_NS || (waited < LINGER_MAX_NS && !stream_over(&p->stream));
}

static int run(struct peer *p)
{
	uint64_t deadline = mono_ns(), sample = deadline, ended = 0;
	unsigned int samples = 0;

	while (!ended || lingering(p, ended)) {
		flow_receive(&p->flow, guest_said, p);
		stream_tick(&p->stream);
		if (opts_quiet && p->flow.sending) {
			p->flow.sending = false;
			stream_finish(&p->stream);
		}
		if (opts_end && !ended)
			ended = mono_ns();
		flow_send(&p->flow);
		if (mono_ns() >= sample) {
			if (take_sample(p))
				return 1;
			if (samples++ % 10 == 0)
				show_progress(p);
			sample += SAMPLE_NS;
		}
		deadline = opts_next_tick(&p->o, deadline);
	}
	return take_sample(p) || write_result(p) ? 1 : 0;
}

int role_peer(int argc, char **argv)
{
	static struct peer p;
	int err = opts_parse(&p.o, argc, argv);

	if (err)
		return err;
	opts_catch_signals();
	err = start(&p);
	if (err) {
		fprintf(stderr, "gwtraffic peer: %s: %s\n", p.o.iface, strerror(-err));
		return 1;
	}
	return run(&p);
}
