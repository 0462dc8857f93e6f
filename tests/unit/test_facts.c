/* test_facts.c: what sysfs tells of a device, over a made-up sys/ and dev/. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit.h"
#include "vf/facts.h"

static char root[] = "/tmp/godwit-facts-XXXXXX";

static void make_dir(const char *path)
{
	char full[512], *at = full + strlen(root) + 1;

	snprintf(full, sizeof(full), "%s/%s/", root, path);
	while ((at = strchr(at, '/'))) {
		*at = 0;
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*at++ = '/';
	}
}

static void make_link(const char *path, const char *target)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	unlink(full);
	assert_int_equal(symlink(target, full), 0);
}

/* A device with these links; NULL leaves one out. The group's file is there when @p vfio. */
static void make_device(const char *address, const char *driver, const char *group, bool vf,
			bool vfio)
{
	char path[256];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	make_dir(path);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", address);
	if (driver)
		make_link(path, driver);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", address);
	if (group)
		make_link(path, group);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/physfn", address);
	if (vf)
		make_link(path, "/");
	if (vfio && group) {
		int fd;

		make_dir("dev/vfio");
		snprintf(path, sizeof(path), "%s/dev/vfio/%s", root, strrchr(group, '/') + 1);
		fd = open(path, O_CREAT | O_RDWR, 0600);
		assert_true(fd >= 0);
		close(fd);
	}
}

#define VFIO "../../../../bus/pci/drivers/vfio-pci"
#define GROUP(n) "../../../kernel/iommu_groups/" #n

static int setup(void **state)
{
	if (!mkdtemp(root) || chmod(root, 0755))
		return -1;
	make_device("0000:01:10.0", VFIO, GROUP(7), true, true);
	make_device("0000:01:10.1", VFIO, GROUP(8), true, true);
	make_device("0000:02:1f.0", VFIO, GROUP(9), false, true);
	make_device("0000:ff:10.0", VFIO, GROUP(14), true, true);
	make_device("0000:01:00.0", VFIO, GROUP(15), true, true);
	make_device("abcd:ef:10.3", VFIO, GROUP(10), true, true);
	make_device("0000:03:00.0", "../../../drivers/igbvf", GROUP(11), true, false);
	make_device("0000:03:00.1", NULL, GROUP(12), true, false);
	make_device("0000:03:00.2", VFIO, NULL, true, false);
	make_device("0000:03:00.3", VFIO, GROUP(13), true, false);
	make_device("0000:04:00.2", "../../../drivers/mlx5_core", NULL, true, false);
	return 0;
}

static int teardown(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", root);
	/* NOLINTNEXTLINE(cert-env33-c): a path of this test's own making */
	return system(command);
}

static void good_device(void **state)
{
	static const char *const spellings[] = { "0000:01:10.0", "01:10.0", "0:1:10.0",
						 "0000:01:10.0,max_vfs=2", "01:10.0," };
	struct vf_facts f;
	struct err e;

	for (size_t i = 0; i < COUNT(spellings); i++) {
		assert_ok(vf_facts(spellings[i], root, &f, &e), e);
		assert_string_equal(f.pci, "0000:01:10.0");
		assert_string_equal(f.driver, "vfio-pci");
		assert_int_equal(f.iommu_group, 7);
		assert_true(f.is_vf);
		assert_false(f.bifurcated);
	}
	assert_ok(vf_facts("ABCD:EF:10.3", root, &f, &e), e);
	assert_string_equal(f.pci, "abcd:ef:10.3");
	/* A whole card is no VF, and fine. */
	assert_ok(vf_facts("02:1f.0", root, &f, &e), e);
	assert_false(f.is_vf);
}

static void vdevs_are_no_pci_devices(void **state)
{
	static const char *const devices[] = { "net_null0",
					       "net_tap0,iface=01:10.0",
					       "",
					       "net_af_packet0,iface=veth0",
					       "01:10",
					       "01:10.",
					       "01:10.0x",
					       "01:10.00",
					       "0000:01:10.0.1",
					       "00000:01:10.0",
					       "1:0000:01:10.0",
					       "01:10.g" };
	struct vf_facts f;
	struct err e;

	for (size_t i = 0; i < COUNT(devices); i++) {
		assert_ok(vf_facts(devices[i], root, &f, &e), e);
		if (f.pci[0])
			fail_msg("'%s' is taken for PCI address %s", devices[i], f.pci);
		assert_string_equal(f.driver, "");
		assert_int_equal(f.iommu_group, -1);
	}
}

/* Slots end at 1f, functions at 7: what lies beyond must never mean another device. */
static void addresses_out_of_range_mean_no_other_device(void **state)
{
	static const char *const devices[] = { "0000:01:10.8", "01:10.9", "0000:01:30.1",
					       "01:50.0",      "-1:10.0", "01:-0.0",
					       "+1:10.0",      " 1:10.0", "01: 0.0",
					       "01:10.-0",     "01:10.+1" };
	unsigned int wrong = 0;

	for (size_t i = 0; i < COUNT(devices); i++) {
		struct vf_facts f;
		struct err e;

		if (vf_facts(devices[i], root, &f, &e) || !f.pci[0])
			continue;
		wrong++;
		print_error("# '%s' is taken for %s\n", devices[i], f.pci);
	}
	assert_int_equal(wrong, 0);
}

static void devices_that_cannot_be_had(void **state)
{
	static const struct {
		const char *device;
		int code;
		const char *word;
	} bad[] = {
		{ "0000:05:00.0", -ENODEV, "0000:05:00.0 does not exist" },
		{ "0001:01:10.0", -ENODEV, "does not exist" },
		{ "03:00.0", -ENXIO, "bound to driver igbvf: bind it to vfio-pci" },
		{ "03:00.1", -ENXIO, "bound to driver none" },
		{ "03:00.2", -ENXIO, "has no IOMMU group" },
		{ "03:00.3", -ENXIO, "/dev/vfio/13 does not open" },
	};
	struct vf_facts f;
	struct err e;

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_err(vf_facts(bad[i].device, root, &f, &e), bad[i].code, e, bad[i].word);
}

static void bifurcated_driver_needs_no_vfio(void **state)
{
	struct vf_facts f;
	struct err e;

	assert_ok(vf_facts("04:00.2", root, &f, &e), e);
	assert_true(f.bifurcated);
	assert_string_equal(f.driver, "mlx5_core");
	assert_int_equal(f.iommu_group, -1);
}

/* In a child without root's rights: the group's file is there, and not ours. */
static void group_without_permission(void **state)
{
	pid_t pid;
	int status;

	if (getuid() != 0) {
		print_message("# only root can make a file that another user may not open\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct vf_facts f;
		struct err e = { "" };
		int rc = setuid(65534) ? 0 : vf_facts("01:10.0", root, &f, &e);

		_exit(rc == -EACCES && strstr(e.text, "no permission for /dev/vfio/7") ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void facts_keep_no_descriptor(void **state)
{
	int before = dup(0), after;
	struct vf_facts f;
	struct err e;

	close(before);
	vf_facts("01:10.0", root, &f, &e);
	vf_facts("03:00.3", root, &f, &e);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_device),
		cmocka_unit_test(vdevs_are_no_pci_devices),
		cmocka_unit_test(addresses_out_of_range_mean_no_other_device),
		cmocka_unit_test(devices_that_cannot_be_had),
		cmocka_unit_test(bifurcated_driver_needs_no_vfio),
		cmocka_unit_test(group_without_permission),
		cmocka_unit_test(facts_keep_no_descriptor),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
