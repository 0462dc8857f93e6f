/*
 * notify.c: DPDK's events of a port, as bits behind an eventfd.
 *
 * DPDK calls back on its interrupt thread, where nothing may be done to the port that the callback
 * is about. So each callback sets a bit and writes the eventfd; all work is the control thread's.
 * Which driver says what is in ARCHITECTURE.md.
 */
/* The callback for removals has been in DPDK, unchanged and experimental, since 18.05. */
#define ALLOW_EXPERIMENTAL_API
#include "vf/notify.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "vf/vf.h"

static const struct {
	enum rte_eth_event_type type;
	enum vf_news news;
} events[] = {
	{ RTE_ETH_EVENT_INTR_RESET, VF_NEWS_RESET },
	/* The driver tried to recover by itself, and could not. */
	{ RTE_ETH_EVENT_RECOVERY_FAILED, VF_NEWS_RESET },
	{ RTE_ETH_EVENT_INTR_RMV, VF_NEWS_REMOVED },
	{ RTE_ETH_EVENT_INTR_LSC, VF_NEWS_LINK },
};

#define EVENTS (sizeof(events) / sizeof(events[0]))

int vf_notify_init(struct vf_notify *n)
{
	atomic_init(&n->news, 0);
	n->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return n->fd < 0 ? -errno : 0;
}

void vf_notify_end(struct vf_notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void vf_notify_raise(struct vf_notify *n, unsigned int news)
{
	uint64_t one = 1;

	atomic_fetch_or(&n->news, news);
	/* It fails with a full counter only, and then it is readable. */
	if (write(n->fd, &one, sizeof(one)) < 0)
		return;
}

unsigned int vf_notify_take(struct vf_notify *n)
{
	uint64_t ticks;

	/* First the eventfd, then the bits: a bit set in between makes it readable again. */
	if (read(n->fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
		return 0;
	return atomic_exchange(&n->news, 0);
}

static int port_event(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	for (size_t i = 0; i < EVENTS; i++)
		if (events[i].type == type)
			vf_notify_raise(arg, events[i].news);
	return 0;
}

/*
 * vfio-pci asks for the device back (its eventfd for requests) when somebody unbinds or removes it,
 * and waits in the kernel until it is closed here.
 */
static void device_event(const char *name, enum rte_dev_event_type type, void *arg)
{
	if (type == RTE_DEV_EVENT_REMOVE)
		vf_notify_raise(arg, VF_NEWS_REMOVED);
}

static const char *device_name(const struct vf *vf)
{
	return vf->facts.pci[0] ? vf->facts.pci : NULL;
}

int vf_watch(struct vf *vf)
{
	int rc = 0;

	if (!vf->notify)
		return 0;
	for (size_t i = 0; i < EVENTS && !rc; i++)
		rc = rte_eth_dev_callback_register(vf->port, events[i].type, port_event,
						   vf->notify);
	if (!rc && device_name(vf))
		rc = rte_dev_event_callback_register(device_name(vf), device_event, vf->notify);
	if (rc)
		vf_unwatch(vf);
	return rc;
}

/* A callback that runs at this moment cannot be taken off (-EAGAIN); ours take no time. */
void vf_unwatch(struct vf *vf)
{
	if (!vf->notify)
		return;
	for (size_t i = 0; i < EVENTS; i++)
		while (rte_eth_dev_callback_unregister(vf->port, events[i].type, port_event,
						       vf->notify) == -EAGAIN)
			;
	if (device_name(vf))
		while (rte_dev_event_callback_unregister(device_name(vf), device_event,
							 vf->notify) == -EAGAIN)
			;
}
