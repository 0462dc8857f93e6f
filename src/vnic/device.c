/*
 * device.c: attaching and detaching the device of a living vNIC.
 *
 * Taking a device costs milliseconds to seconds, and only the control thread may do it. Meanwhile
 * the worker serves the guest with no port: receive gives nothing, transmit is dropped or held. The
 * path is paused for the swap itself, once the new port is ready, or before the old one is stopped.
 * Host buffers belong to the vNIC, so that frames which the path holds outlive the port they came
 * from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vnic/internal.h"

/* How long a detach may wait for the port to send what it was given. */
#define DRAIN_LIMIT_NS 5000000u

static const uint8_t zero[6];

int device_init(struct vnic *v, struct err *e)
{
	struct device *d = &v->dev;
	int rc = vf_pool_new(&d->pool, e);

	if (rc)
		return rc;
	rc = vf_notify_init(&d->notify);
	if (!rc)
		rc = recover_init(v);
	return rc ? err_set(e, rc, "the device cannot be watched: %s", strerror(-rc)) : 0;
}

void device_end(struct vnic *v)
{
	vf_detach(&v->vf);
	vf_notify_end(&v->dev.notify);
	vf_pool_free(&v->dev.pool);
	free(v->dev.name);
}

static int mac_check(const uint8_t *mac, struct err *e)
{
	if (mac && ((mac[0] & 1) || memcmp(mac, zero, sizeof(zero)) == 0))
		return err_set(e, -EINVAL,
			       "the MAC address is no station's: the first byte must be even, and "
			       "not all zero");
	return 0;
}

struct vf_config device_config(struct vnic *v, const char *name, const uint8_t *mac)
{
	const struct device *d = &v->dev;

	return (struct vf_config){ .device = name,
				   .mac = mac	     ? mac :
					  d->has_mac ? d->mac :
						       NULL,
				   .mtu = d->mtu,
				   .pool = &d->pool,
				   .notify = &v->dev.notify };
}

void device_in(struct vnic *v)
{
	struct device *d = &v->dev;
	uint8_t mac[6];

	d->state = DEVICE_THERE;
	d->link_up = vf_link_up(&v->vf);
	d->vlans = 0;
	d->stalls = 0;
	device_vlans(v);
	path_pause(v->path);
	path_set_port(v->path, &v->vf, false, 0);
	path_resume(v->path);
	/* Before the first front-end there is nobody whose place has changed. */
	if (!v->connections || !d->has_mac)
		return;
	/* A front-end that asked for an announcement meanwhile knows the address best. */
	memcpy(mac, v->announce_left ? v->announce_mac : d->mac, sizeof(mac));
	announce_start(v, mac);
}

void device_out(struct vnic *v, bool hold)
{
	v->dev.hold = hold;
	path_pause(v->path);
	path_set_port(v->path, NULL, hold, DRAIN_LIMIT_NS);
	path_resume(v->path);
}

/* What the vNIC has from now on, whatever device comes next. */
static int device_keep(struct vnic *v, const char *name, struct err *e)
{
	struct device *d = &v->dev;
	char *copy = strdup(name);

	if (!copy)
		return err_set(e, -ENOMEM, "no memory");
	free(d->name);
	d->name = copy;
	/* Some virtual devices have none of their own. */
	d->has_mac = memcmp(v->vf.mac, zero, sizeof(zero)) != 0;
	memcpy(d->mac, v->vf.mac, sizeof(d->mac));
	d->mtu = v->vf.mtu;
	return 0;
}

int vnic_attach(struct vnic *v, const char *device, const uint8_t *mac, struct err *e)
{
	struct vf_config cfg = device_config(v, device, mac);
	struct device *d = &v->dev;
	int rc;

	if (d->state != DEVICE_NONE)
		return err_set(e, -EBUSY, "device %s is attached: detach it first", d->name);
	rc = mac_check(mac, e);
	if (rc)
		return rc;
	/* What an earlier device had to say is of no interest any more. */
	vf_notify_take(&d->notify);
	rc = vf_attach(&v->vf, &cfg, e);
	if (!rc) {
		rc = device_keep(v, device, e);
		if (rc)
			vf_detach(&v->vf);
	}
	if (rc) {
		d->attach_failures++;
		return rc;
	}
	d->attaches++;
	d->tries = 0;
	device_in(v);
	log_info("device %s is attached", d->name);
	vnic_event(v, "attached", d->name);
	return 0;
}

int vnic_detach(struct vnic *v, bool hold, struct err *e)
{
	struct device *d = &v->dev;

	if (d->state == DEVICE_NONE)
		return err_set(e, -ENODEV, "no device is attached");
	device_out(v, hold);
	d->state = DEVICE_NONE;
	d->detaches++;
	loop_timer_set(v->loop, d->retry_timer, 0, 0);
	vf_detach(&v->vf);
	log_notice("device %s is detached: what the guest sends %s", d->name,
		   hold ? "waits in its ring" : "is dropped");
	vnic_event(v, "detached", d->name);
	return 0;
}

void device_vlans(struct vnic *v)
{
	uint16_t vlan[PATH_VLANS_MAX];
	unsigned int n = path_vlans(v->path, vlan);
	struct device *d = &v->dev;

	if (d->state != DEVICE_THERE || !v->vf.vlan_filter)
		return;
	for (; d->vlans < n; d->vlans++) {
		int rc = vf_vlan_add(&v->vf, vlan[d->vlans]);

		if (rc)
			log_warning("the PF refuses VLAN %u, which the guest uses: frames with "
				    "that tag will not arrive; allow it on the PF, or give the VF "
				    "no VLAN of its own there (ip link set PF vf N vlan 0)",
				    vlan[d->vlans]);
		else
			log_info("the device receives VLAN %u now, which the guest uses",
				 vlan[d->vlans]);
		if (d->vlans + 1 == PATH_VLANS_MAX)
			log_warning("the guest uses %d VLANs: a PF's table is small, and no more "
				    "are asked for",
				    PATH_VLANS_MAX);
	}
}
