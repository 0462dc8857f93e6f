/* device.c: taking and giving back the vNIC's device at run time, while no ring runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vnic/internal.h"

static int idle_check(const struct vnic *v, struct err *e)
{
	if (!v->session)
		return 0;
	return err_set(e, -EBUSY, "a front-end is connected: stop the VM first");
}

int vnic_attach(struct vnic *v, const char *device, const uint8_t *mac, struct err *e)
{
	uint8_t had[6], address[6];
	struct vf_config vc = { .device = device, .mac = address };
	char *own;
	int rc;

	if (v->vf.attached)
		return err_set(e, -EBUSY, "device %s is attached: detach it first", v->cfg.device);
	rc = idle_check(v, e);
	if (rc)
		return rc;
	own = strdup(device);
	if (!own)
		return err_set(e, -ENOMEM, "no memory");
	/* vf_attach() begins by forgetting all of v->vf, and what the vNIC's address is must survive that. */
	memcpy(had, v->vf.mac, sizeof(had));
	memcpy(address, mac ? mac : had, sizeof(address));
	rc = vf_attach(&v->vf, &vc, e);
	if (rc) {
		memcpy(v->vf.mac, had, sizeof(had));
		free(own);
		return rc;
	}
	free(v->own_device);
	v->own_device = own;
	v->cfg.device = own;
	link_look(v);
	vnic_event(v, "attached", device);
	return 0;
}

int vnic_detach(struct vnic *v, bool hold, struct err *e)
{
	int rc = idle_check(v, e);

	if (rc)
		return rc;
	if (!v->vf.attached)
		return err_set(e, -ENODEV, "no device is attached");
	vf_detach(&v->vf);
	vnic_event(v, "detached", v->cfg.device);
	return 0;
}
