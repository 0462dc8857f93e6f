/*
 * drivers.c: loading DPDK's drivers.
 *
 * A distribution's DPDK comes with well over a hundred shared objects in one directory, for network cards, crypto
 * engines, base bands. At its start DPDK loads all of them, there is no option against it, and each costs every process
 * pages of its own: half of what an idle godwitd would hold. So they are loaded here, by the device's name or its maker;
 * DPDK passes over a directory that stat() does not find, and drivers_stat() below does not find it while DPDK starts.
 * If that fails one day, all drivers are loaded as ever, and nothing else changes.
 */
#include "vf/drivers.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_dev.h>
#include <rte_eal.h>

#include "base/log.h"

/* "/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0"; "" when the drivers are not loaded here. */
static char directory[PATH_MAX];
static bool hidden;
static bool all_loaded;

/* The makers of network cards, and the drivers that have their PCI numbers. Others get all. */
static const struct {
	unsigned int vendor;
	const char *drivers[10];
} makers[] = {
	{ 0x8086,
	  { "net_iavf", "net_ixgbe", "net_e1000", "net_i40e", "net_ice", "net_igc", "net_fm10k",
	    "net_idpf", "net_cpfl" } },
	{ 0x15b3, { "net_mlx5", "net_mlx4" } },
	{ 0x14e4, { "net_bnxt", "net_bnx2x" } },
	{ 0x1077, { "net_qede", "net_bnx2x" } },
	{ 0x10ee, { "net_sfc" } },
	{ 0x1924, { "net_sfc" } },
	{ 0x1425, { "net_cxgbe" } },
	{ 0x1137, { "net_enic" } },
	{ 0x19e5, { "net_hns3", "net_hinic" } },
	{ 0x19ee, { "net_nfp" } },
	{ 0x1da8, { "net_nfp" } },
	{ 0x1dd8, { "net_ionic" } },
	{ 0x1d0f, { "net_ena" } },
	{ 0x8088, { "net_txgbe", "net_ngbe" } },
	{ 0x1af4, { "net_virtio" } },
};

/* DPDK installs them beside its libraries: LIBDIR/librte_eal.so.ABI, LIBDIR/dpdk/pmds-ABI. */
static bool directory_find(void)
{
	void *inside = dlsym(RTLD_DEFAULT, "rte_eal_init");
	char library[PATH_MAX];
	const char *abi;
	struct stat st;
	Dl_info where;
	char *base;

	if (!inside || !dladdr(inside, &where) || !realpath(where.dli_fname, library))
		return false;
	base = strrchr(library, '/');
	abi = strstr(base, ".so.");
	if (!abi)
		return false;
	*base = 0;
	if (snprintf(directory, sizeof(directory), "%s/dpdk/pmds-%s", library, abi + 4) <
		    (int)sizeof(directory) &&
	    stat(directory, &st) == 0 && S_ISDIR(st.st_mode))
		return true;
	directory[0] = 0;
	return false;
}

/* Load the files of drivers whose name begins with @name; @exact: the one of just that name. Returns how many. */
static unsigned int load(const char *name, size_t length, bool exact)
{
	DIR *d = *directory ? opendir(directory) : NULL;
	char path[2 * PATH_MAX];
	struct dirent *entry;
	unsigned int n = 0;

	while (d && (entry = readdir(d))) {
		const char *file = entry->d_name + strlen("librte_");
		const char *end = strstr(entry->d_name, ".so.");

		/* One link a library: NAME.so.23, not NAME.so and NAME.so.23.0. */
		if (!end || strchr(end + 4, '.') || strncmp(entry->d_name, "librte_", 7) != 0 ||
		    strncmp(file, name, length) != 0 || (exact && file + length != end))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		/* cppcheck-suppress leakNoVarFunctionCall ; a driver stays */
		if (dlopen(path, RTLD_NOW))
			n++;
		else
			log_info("a DPDK driver does not load: %s", dlerror());
	}
	if (d)
		closedir(d);
	return n;
}

static unsigned int load_one(const char *name)
{
	return load(name, strlen(name), true);
}

unsigned int drivers_load_vendor(unsigned int vendor)
{
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		for (int k = 0; makers[i].vendor == vendor && makers[i].drivers[k]; k++)
			n += load_one(makers[i].drivers[k]);
	return n;
}

static unsigned int load_by_vendor(const char *pci)
{
	unsigned int vendor = 0;
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", pci);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%8x", &vendor) != 1)
		vendor = 0;
	fclose(f);
	return drivers_load_vendor(vendor);
}

/* "net_virtio_user0,path=…": net_virtio_user, else net_virtio. */
static unsigned int load_by_name(const char *device)
{
	size_t length = strcspn(device, ",");
	unsigned int n = 0;

	while (length && isdigit((unsigned char)device[length - 1]))
		length--;
	while (!n && length > strlen("net_")) {
		n = load(device, length, true);
		while (length && device[length - 1] != '_')
			length--;
		length -= length > 0;
	}
	return n;
}

static unsigned int load_all(void)
{
	if (all_loaded)
		return 0;
	all_loaded = true;
	return load("net_", strlen("net_"), false);
}

void drivers_begin(void)
{
	if (!directory_find())
		return;
	/* The two buses that devices come from, and the pool that packet buffers come from. */
	hidden = load_one("bus_pci") && load_one("bus_vdev") && load_one("mempool_ring");
	if (!hidden)
		directory[0] = 0;
}

void drivers_end(void)
{
	hidden = false;
}

int drivers_probe(const char *device, const char *pci)
{
	int rc;

	/* A device made of others, such as net_failsafe, names them in brackets. */
	if (strchr(device, '(') || !(*pci ? load_by_vendor(pci) : load_by_name(device)))
		load_all();
	rc = rte_dev_probe(device);
	if (rc && load_all())
		rc = rte_dev_probe(device);
	return rc;
}

/* stat64() instead of libc's, for every caller in this process: the program comes first in the order of symbols. */
int drivers_stat(const char *path, struct stat64 *st) __asm__("stat64");

int drivers_stat(const char *path, struct stat64 *st)
{
	if (hidden && strcmp(path, directory) == 0) {
		errno = ENOENT;
		return -1;
	}
	return fstatat64(AT_FDCWD, path, st, 0);
}
