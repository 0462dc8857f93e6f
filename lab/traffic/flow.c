/* One end of the two numbered flows: sends frames at a rate, tracks those of the other end. */
#include "flow.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BACKLOG_MS 100

int flow_start(struct flow *f, uint64_t rate, uint64_t gap_min_ns)
{
	int err = port_open(&f->port, f->iface);

	if (err)
		return err;
	f->sent_ns = mmap(NULL, TRACK_SEQ_MAX * sizeof(*f->sent_ns), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->sent_ns == MAP_FAILED)
		return -ENOMEM;
	f->pacer.rate = rate;
	flow_begin(f);
	return track_init(&f->track, gap_min_ns);
}

void flow_begin(struct flow *f)
{
	pacer_start(&f->pacer, f->pacer.rate, f->pacer.rate * BACKLOG_MS / 1000);
	f->sending = true;
}

/*
 * The interface can go away under us (driver unload, hot-unplug): look for it again until it is
 * back.
 */
static bool reopen(struct flow *f)
{
	struct port fresh;

	if (port_open(&fresh, f->iface))
		return false;
	fresh.drops = f->port.drops;
	close(f->port.fd);
	f->port = fresh;
	f->reopened++;
	return true;
}

void flow_receive(struct flow *f, void (*seen)(void *arg, const struct frame *fr, uint64_t when_ns),
		  void *arg)
{
	struct port_frame in[PORT_BURST];
	int n;

	do {
		n = port_recv(&f->port, in);
		for (int i = 0; i < n; i++) {
			const struct frame *fr = (const struct frame *)in[i].data;

			switch (frame_judge(in[i].data, in[i].len, f->port.mac, f->run)) {
			case FRAME_OK:
				track_arrival(&f->track, fr->seq, in[i].when_ns);
				if (seen)
					seen(arg, fr, in[i].when_ns);
				break;
			case FRAME_CORRUPT:
				f->track.corrupt++;
				break;
			case FRAME_FOREIGN:
				break;
			}
		}
	} while (n == PORT_BURST);
}

static struct frame_status status_now(const struct flow *f)
{
	const struct track *t = &f->track;

	return (struct frame_status){ .highest = t->highest,
				      .received = t->distinct,
				      .duplicated = t->duplicated.count,
				      .reordered = t->reordered.count,
				      .corrupt = t->corrupt,
				      .tcp_kib = f->tcp_kib };
}

/* Builds up to a burst of frames and sends them. Returns how many went, or -errno. */
static int send_burst(struct flow *f, int count, const struct frame_status *status)
{
	static uint8_t buf[PORT_BURST][FRAME_MAX];
	struct port_out out[PORT_BURST];
	uint64_t now;
	int n;

	for (int i = 0; i < count; i++)
		out[i] = (struct port_out){ buf[i],
					    frame_build(buf[i], f->other, f->port.mac, f->run,
							f->sent + 1 + (uint32_t)i, status) };
	now = real_ns();
	n = port_send(&f->port, out, count);
	for (int i = 0; i < n; i++)
		f->sent_ns[++f->sent] = now;
	f->pacer.done += n > 0 ? (uint64_t)n : 0;
	return n;
}

void flow_send(struct flow *f)
{
	struct frame_status status = status_now(f);
	uint64_t due;

	if (!f->sending)
		return;
	due = pacer_due(&f->pacer, mono_ns());
	if (due > TRACK_SEQ_MAX - 1 - f->sent)
		due = TRACK_SEQ_MAX - 1 - f->sent;
	while (due) {
		int n = send_burst(f, due < PORT_BURST ? (int)due : PORT_BURST, &status);

		if (n < 0 && n != -EAGAIN)
			reopen(f);
		if (n < 0) {
			f->refused++;
			return;
		}
		due -= (uint64_t)n;
	}
}
