/*
 * test_vf_intr.c: which receive interrupts a port turns out to have. The port is DPDK's null device; what its driver says to
 * interrupts is made up by the linker's --wrap.
 */
#include <sys/eventfd.h>

#include <rte_ethdev.h>

#include "unit.h"
#include "vf/eal.h"
#include "vf/vf.h"

/** What the made-up driver does, and what was asked of it. */
static struct {
	bool configure_fails, start_fails, always_fails;
	int fd, enable_rc;
	int configured_with, configured_without, enabled, disabled;
	bool with;
} driver;

int __real_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx,
				 const struct rte_eth_conf *conf);
int __real_rte_eth_dev_start(uint16_t port);
int __wrap_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx,
				 const struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_start(uint16_t port);
int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port, uint16_t queue);
int __wrap_rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue);
int __wrap_rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t queue);

int __wrap_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx,
				 const struct rte_eth_conf *conf)
{
	driver.with = conf->intr_conf.rxq;
	if (driver.with)
		driver.configured_with++;
	else
		driver.configured_without++;
	if (driver.with && driver.configure_fails)
		return -ENOTSUP;
	return __real_rte_eth_dev_configure(port, rx, tx, conf);
}

int __wrap_rte_eth_dev_start(uint16_t port)
{
	if (driver.always_fails || (driver.with && driver.start_fails))
		return -EIO;
	return __real_rte_eth_dev_start(port);
}

int __wrap_rte_eth_dev_rx_intr_ctl_q_get_fd(uint16_t port, uint16_t queue)
{
	return driver.with ? driver.fd : -1;
}

int __wrap_rte_eth_dev_rx_intr_enable(uint16_t port, uint16_t queue)
{
	driver.enabled++;
	return driver.enable_rc;
}

int __wrap_rte_eth_dev_rx_intr_disable(uint16_t port, uint16_t queue)
{
	driver.disabled++;
	return 0;
}

static int dpdk(void **state)
{
	struct eal_config cfg = { .memory_mib = 64, .name = "unit" };
	struct eal_facts facts;
	struct err e = { "" };

	assert_ok(eal_start(&cfg, &facts, &e), e);
	return 0;
}

static int setup(void **state)
{
	memset(&driver, 0, sizeof(driver));
	driver.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return 0;
}

static int teardown(void **state)
{
	close(driver.fd);
	return 0;
}

static int attach(struct vf *vf, struct err *e)
{
	struct vf_config cfg = { .device = "net_null0" };

	e->text[0] = 0;
	return vf_attach(vf, &cfg, e);
}

static void interrupts_are_found(void **state)
{
	struct err e;
	struct vf vf;

	assert_ok(attach(&vf, &e), e);
	assert_true(vf.interrupts.there && vf.interrupts.eventfd);
	assert_int_equal(vf.interrupts.fd, driver.fd);
	assert_int_equal(driver.configured_with, 1);
	assert_int_equal(driver.configured_without, 0);
	/* Tried, and left off. */
	assert_int_equal(driver.enabled, 1);
	assert_int_equal(driver.disabled, 1);
	assert_int_equal(vf_interrupt_enable(&vf), 0);
	vf_interrupt_disable(&vf);
	assert_int_equal(driver.enabled, 2);
	assert_int_equal(driver.disabled, 2);
	vf_detach(&vf);
}

/* A completion channel, say: readable, and nothing for us to read from. */
static void other_descriptors_are_not_read(void **state)
{
	struct err e;
	struct vf vf;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	dup2(ends[0], driver.fd);
	assert_ok(attach(&vf, &e), e);
	assert_true(vf.interrupts.there);
	assert_false(vf.interrupts.eventfd);
	vf_detach(&vf);
	close(ends[0]);
	close(ends[1]);
}

static void none_without_a_descriptor_or_a_switch(void **state)
{
	struct err e;
	struct vf vf;
	int fd = driver.fd;

	driver.fd = -1;
	assert_ok(attach(&vf, &e), e);
	assert_false(vf.interrupts.there);
	assert_string_equal(eal_error(), "");
	vf_detach(&vf);
	driver.fd = fd;
	driver.enable_rc = -ENOTSUP;
	assert_ok(attach(&vf, &e), e);
	assert_false(vf.interrupts.there);
	vf_detach(&vf);
}

static void refused_interrupts_are_done_without(void **state)
{
	struct err e;
	struct vf vf;

	driver.configure_fails = true;
	assert_ok(attach(&vf, &e), e);
	assert_false(vf.interrupts.there);
	assert_int_equal(driver.configured_without, 1);
	vf_detach(&vf);
	driver.configure_fails = false;
	driver.start_fails = true;
	assert_ok(attach(&vf, &e), e);
	assert_false(vf.interrupts.there);
	assert_int_equal(driver.configured_with, 2);
	assert_int_equal(driver.configured_without, 2);
	vf_detach(&vf);
	driver.always_fails = true;
	assert_err(attach(&vf, &e), -EIO, e, "device does not start");
	assert_false(vf.attached);
}

static void drivers_known_to_have_none_are_not_asked(void **state)
{
	assert_false(vf_interrupts_wanted("net_e1000_igb_vf"));
	assert_true(vf_interrupts_wanted("net_ixgbe_vf"));
	assert_true(vf_interrupts_wanted("net_tap"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(interrupts_are_found),
		T(other_descriptors_are_not_read),
		T(none_without_a_descriptor_or_a_switch),
		T(refused_interrupts_are_done_without),
		T(drivers_known_to_have_none_are_not_asked),
	};

	return cmocka_run_group_tests(tests, dpdk, NULL);
}
