/* drivers.h: which of DPDK's drivers this process loads: the device's own, instead of all there are. */
#ifndef GODWIT_VF_DRIVERS_H
#define GODWIT_VF_DRIVERS_H

/**
 * Before rte_eal_init(): load what every device needs, and keep DPDK from loading the rest. Where the drivers are linked in,
 * or their directory is not found, nothing is done, and DPDK loads what it would.
 */
void drivers_begin(void);
/** After rte_eal_init(). */
void drivers_end(void);

/**
 * rte_dev_probe() with the drivers that @p device can need; when none of them takes it, with all that are there.
 * @param device  DPDK devargs
 * @param pci     its PCI address in the long form, or "" when it is no PCI device
 * @return        as rte_dev_probe()
 */
int drivers_probe(const char *device, const char *pci);
/** Load the drivers for cards of one PCI vendor. Returns how many there are; 0: none is known, or DPDK has loaded all. */
unsigned int drivers_load_vendor(unsigned int vendor);

#endif
