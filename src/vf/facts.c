/* facts.c: reading of /sys/bus/pci for one device. */
#include "vf/facts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The PCI address at the front of devargs, in its long form. Returns false when there is none. */
static bool pci_address(const char *device, char *out, size_t size)
{
	unsigned int domain = 0, bus, slot, function;
	int n = 0;

	if (sscanf(device, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function, &n) != 4) {
		n = 0;
		domain = 0;
		if (sscanf(device, "%2x:%2x.%1x%n", &bus, &slot, &function, &n) != 3)
			return false;
	}
	/* Out of range is no address: it must not come to mean another device. */
	if (strspn(device, "0123456789abcdefABCDEF:.") != (size_t)n ||
	    (device[n] != 0 && device[n] != ',') || slot > 0x1f || function > 7)
		return false;
	snprintf(out, size, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, slot & 0x1f,
		 function & 7);
	return true;
}

/* The last component of a symbolic link; false when there is no such link. */
static bool link_name(const char *path, char *out, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *base;

	if (n < 0)
		return false;
	target[n] = 0;
	base = strrchr(target, '/');
	snprintf(out, size, "%.*s", (int)size - 1, base ? base + 1 : target);
	return true;
}

static int group_open(const char *root, const struct vf_facts *f, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/dev/vfio/%d", root, f->iommu_group);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	switch (errno) {
	case EBUSY:
		return err_set(
			e, -EBUSY,
			"device %s is in use by another process: IOMMU group %d is open; end that process, or take another VF",
			f->pci, f->iommu_group);
	case EACCES:
	case EPERM:
		return err_set(
			e, -EACCES,
			"device %s: no permission for /dev/vfio/%d: run as root, or give the file to this user",
			f->pci, f->iommu_group);
	default:
		return err_set(
			e, -ENXIO,
			"device %s: /dev/vfio/%d does not open (%s): run modprobe vfio-pci, and bind the device to it",
			f->pci, f->iommu_group, strerror(errno));
	}
}

int vf_facts(const char *device, const char *root, struct vf_facts *f, struct err *e)
{
	char dir[PATH_MAX - 64], path[PATH_MAX], group[16];

	*f = (struct vf_facts){ .iommu_group = -1 };
	if (!pci_address(device, f->pci, sizeof(f->pci)))
		return 0;
	snprintf(dir, sizeof(dir), "%s/sys/bus/pci/devices/%s", root, f->pci);
	if (access(dir, F_OK) < 0)
		return err_set(
			e, -ENODEV,
			"device %s does not exist: see lspci -D, or make VFs with sriov_numvfs",
			f->pci);
	snprintf(path, sizeof(path), "%s/physfn", dir);
	f->is_vf = access(path, F_OK) == 0;
	snprintf(path, sizeof(path), "%s/driver", dir);
	if (!link_name(path, f->driver, sizeof(f->driver)))
		snprintf(f->driver, sizeof(f->driver), "none");
	if (strcmp(f->driver, "mlx5_core") == 0) {
		f->bifurcated = true;
		return 0;
	}
	if (strcmp(f->driver, "vfio-pci") != 0)
		return err_set(
			e, -ENXIO,
			"device %s is bound to driver %s: bind it to vfio-pci first (driverctl set-override %s vfio-pci)",
			f->pci, f->driver, f->pci);
	snprintf(path, sizeof(path), "%s/iommu_group", dir);
	if (!link_name(path, group, sizeof(group)))
		return err_set(
			e, -ENXIO,
			"device %s has no IOMMU group: turn the IOMMU on (firmware, and intel_iommu=on on the kernel line)",
			f->pci);
	f->iommu_group = atoi(group);
	return group_open(root, f, e);
}
