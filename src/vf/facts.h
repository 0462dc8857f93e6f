/*
 * facts.h: what sysfs knows of a PCI device, and whether DPDK can have it: clear sentences before
 * DPDK's own.
 */
#ifndef GODWIT_VF_FACTS_H
#define GODWIT_VF_FACTS_H

#include <stdbool.h>

#include "base/err.h"

struct vf_facts {
	/** "0000:01:10.0", or "" for a device that is no PCI device. */
	char pci[16];
	char driver[32];
	int iommu_group;
	/**
	 * Kernel driver stays bound (mlx5): no vfio-pci needed. Untested where there is no such
	 * hardware.
	 */
	bool bifurcated;
	bool is_vf;
};

/**
 * Look at @p device before DPDK does.
 * @param device  DPDK devargs
 * @param root    "" in production; a directory with a made-up sys/ and dev/ in tests
 * @param f       filled in; all empty when the device is no PCI device
 * @return        0, -ENODEV (no such device), -ENXIO (not bound to vfio-pci, no IOMMU), -EBUSY (in
 *                use), -EACCES
 */
int vf_facts(const char *device, const char *root, struct vf_facts *f, struct err *e);

#endif
