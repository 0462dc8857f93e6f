/*
 * announce.c: telling the network where the guest is now.
 *
 * A RARP goes out several times, since switches and links that just came up lose the first. QEMU
 * can ask for it before it
 * has given us memory or rings: it is held until the transmit ring runs, which is when the guest is
 * here.
 */
#include <string.h>

#include "base/log.h"
#include "vnic/internal.h"

static const uint64_t pause_before_ns[] = { 150000000, 100000000, 50000000, 1000 };
#define ANNOUNCEMENTS (sizeof(pause_before_ns) / sizeof(pause_before_ns[0]))

static bool can_announce(const struct vnic *v)
{
	return v->running[PATH_TX] && v->dev.state == DEVICE_THERE;
}

static void announce_due(void *arg, int fd, uint32_t events)
{
	struct vnic *v = arg;

	v->announce_armed = false;
	if (!v->announce_left || !can_announce(v))
		return;
	v->announce_left--;
	path_announce(v->path, v->announce_mac);
	announce_update(v);
}

int announce_init(struct vnic *v)
{
	v->announce_timer = loop_timer(v->loop, announce_due, v);
	return v->announce_timer < 0 ? v->announce_timer : 0;
}

void announce_start(struct vnic *v, const uint8_t mac[6])
{
	memcpy(v->announce_mac, mac, sizeof(v->announce_mac));
	/* A second request within a series (QEMU repeats its own) adds nothing. */
	if (!v->announce_left)
		v->announce_left = ANNOUNCEMENTS;
	announce_update(v);
}

void announce_update(struct vnic *v)
{
	if (!v->announce_left || !can_announce(v) || v->announce_armed)
		return;
	v->announce_armed = true;
	loop_timer_set(v->loop, v->announce_timer, pause_before_ns[v->announce_left - 1], 0);
}
