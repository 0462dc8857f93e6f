/*
 * The guest's end of the traffic. From the first frame it hears it sends numbered frames that
 * carry what it has received so far (so none is sent before the peer listens), and it answers the
 * peer's TCP stream. SIGUSR1: stop sending (receiving goes on). SIGTERM: let the stream end,
 * write one line of JSON and end. Its times are the guest's own clock, which stands still while
 * the VM is stopped: they explain, but nothing is judged by them.
 */
#include "flow.h"
#include "json.h"
#include "opts.h"
#include "roles.h"

#include <string.h>

#define LINGER_NS (10 * NS_PER_S)

static int write_result(const struct opts *o, struct flow *f, const struct stream *s)
{
	FILE *out = fopen(o->out, "w");
	const struct track *t = &f->track;

	if (!out) {
		perror(o->out);
		return 1;
	}
	port_count_drops(&f->port);
	fprintf(out,
		"{\"role\":\"guest\",\"run\":%u,\"sent\":%u,\"send_refused\":%u,\"reopened\":%u,",
		o->run, f->sent, f->refused, f->reopened);
	fprintf(out, "\"received\":%u,\"highest\":%u,\"corrupt\":%u,\"socket_drops\":%llu,",
		t->distinct, t->highest, t->corrupt, (unsigned long long)f->port.drops);
	fprintf(out, "\"duplicated\":%u,\"reordered\":%u,\"missing\":", t->duplicated.count,
		t->reordered.count);
	json_missing(out, t);
	fputs(",\"duplicates\":", out);
	json_events(out, &t->duplicated);
	fputs(",\"late\":", out);
	json_events(out, &t->reordered);
	fputs(",\"gaps\":", out);
	json_gaps(out, &t->gaps);
	fputs(",\"tcp\":", out);
	json_stream(out, s);
	fputs("}\n", out);
	return fclose(out) ? 1 : 0;
}

int role_guest(int argc, char **argv)
{
	static struct stream s;
	struct opts o;
	struct flow f = { 0 };
	uint64_t deadline = mono_ns(), ended = deadline;
	int err = opts_parse(&o, argc, argv);

	if (err)
		return err;
	opts_catch_signals();
	f.iface = o.iface;
	f.run = o.run;
	memcpy(f.other, o.mac, 6);
	err = flow_start(&f, o.rate, o.gap_min_ns);
	if (!err && o.tcp_rate)
		err = stream_listen(&s, o.tcp_port, o.run, o.tcp_rate);
	if (err) {
		fprintf(stderr, "gwtraffic guest: %s: %s\n", o.iface, strerror(-err));
		return 1;
	}
	f.sending = false;
	while (!opts_end || (!stream_over(&s) && mono_ns() < ended + LINGER_NS)) {
		if (!opts_end)
			ended = mono_ns();
		flow_receive(&f, NULL, NULL);
		stream_tick(&s);
		f.tcp_kib = (uint32_t)(s.rx.bytes >> 10);
		if (opts_quiet) {
			f.sending = false;
			stream_finish(&s);
		} else if (!f.sending && f.track.highest) {
			flow_begin(&f);
		}
		flow_send(&f);
		deadline = opts_next_tick(&o, deadline);
	}
	return write_result(&o, &f, &s);
}
