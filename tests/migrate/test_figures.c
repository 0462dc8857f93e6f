/* test_figures.c: what is made of QEMU's figures: estimate, stall, report; and what requests are refused. */
#include "../unit/unit.h"

#include "migrate/report.h"
#include "migrate/run.h"

#define MIB (1 << 20)

static struct vm_migration copying(double mib_s, int64_t dirty_mib_s, int64_t left_mib,
				   int64_t passes)
{
	struct vm_migration m;

	vm_migration_init(&m);
	m.mbps = mib_s * MIB * 8 / 1e6;
	m.page_size = 4096;
	m.dirty_pages_rate = dirty_mib_s * MIB / 4096;
	m.remaining_bytes = left_mib * MIB;
	m.passes = passes;
	return m;
}

static void estimate(void **state)
{
	struct vm_migration m = copying(100, 50, 500, 2);

	assert_int_equal(progress_eta_s(&m), 10);
	m = copying(100, 100, 500, 2);
	assert_int_equal(progress_eta_s(&m), -1);
	vm_migration_init(&m);
	assert_int_equal(progress_eta_s(&m), -1);
}

static void stall_is_not_told_too_early_or_without_need(void **state)
{
	struct vm_migration early = copying(100, 200, 500, 2), fine = copying(100, 20, 500, 9);
	struct vm_migration nearly_done = copying(100, 100, 5, 9), unknown;
	char text[256] = "x";

	vm_migration_init(&unknown);
	progress_stall(&early, 100, 0, text, sizeof(text));
	assert_string_equal(text, "");
	progress_stall(&fine, 100, 0, text, sizeof(text));
	assert_string_equal(text, "");
	progress_stall(&nearly_done, 100, 0, text, sizeof(text));
	assert_string_equal(text, "");
	progress_stall(&unknown, 100, 0, text, sizeof(text));
	assert_string_equal(text, "");
}

static void stall_names_the_limit_or_the_link(void **state)
{
	struct vm_migration m = copying(100, 200, 500, 5);
	char text[256];

	progress_stall(&m, 100, 110 * MIB, text, sizeof(text));
	assert_string_equal(
		text, "the guest writes 200 MiB/s and the limit lets 110 MiB/s through: raise "
		      "--bandwidth above 200");
	progress_stall(&m, 100, 0, text, sizeof(text));
	assert_string_equal(text,
			    "the guest writes 200 MiB/s and the link carries 100 MiB/s: raise "
			    "--downtime-ms to 6251, or let the guest write less");
}

static void requests(void **state)
{
	static const char *const good[] = { "tcp:a:1", "tcp:[::1]:65535", "unix:x", "unix:/a b" };
	static const char *const bad[] = { "",	     "tcp",	"tcp:",	       "tcp:a",	   "tcp::1",
					   "tcp:a:", "tcp:a:0", "tcp:a:65536", "tcp:a:1x", "unix:",
					   "exec:x", "fd:3",	"/path" };
	struct migrate_request req = { .mode = "vnic", .name = "g" };
	struct err e;

	for (size_t i = 0; i < COUNT(good); i++) {
		req.uri = good[i];
		assert_ok(migrate_check(&req, &e), e);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		req.uri = bad[i];
		assert_err(migrate_check(&req, &e), -EINVAL, e, "--uri");
	}
	req.uri = good[0];
	req.name = "\xff";
	assert_err(migrate_check(&req, &e), -EINVAL, e, "UTF-8");
	req.name = "g";
	req.mode = "teleport";
	assert_err(migrate_check(&req, &e), -EINVAL, e, "teleport");
}

static void report_of_a_run_that_never_began(void **state)
{
	struct migrate_request req = { .mode = "vnic", .name = "g" };
	struct migrate_result res = { .outcome = MIGRATE_FAILED };
	json_t *r;

	vm_migration_init(&res.figures);
	/* 511 bytes: the sentence's last character is cut in half. */
	memset(res.reason.text, 'x', sizeof(res.reason.text) - 2);
	res.reason.text[sizeof(res.reason.text) - 2] = '\xc3';
	r = report_json(&req, &res);
	assert_non_null(r);
	assert_string_equal(json_string_value(json_object_get(r, "result")), "failed");
	assert_int_equal(json_string_length(json_object_get(r, "reason")),
			 sizeof(res.reason.text) - 2);
	assert_true(json_is_null(json_object_get(r, "downtime_ms")));
	assert_true(json_is_null(json_object_get(r, "stop_resume_ms")));
	assert_int_equal(json_array_size(json_object_get(r, "phases")), 0);
	json_decref(r);
}

static void stop_to_resume(void **state)
{
	struct migrate_result res = { .stop_at = 100.5, .resume_at = 100.75 };

	assert_true(report_stop_resume_ms(&res) == 250);
	/* Two hosts whose clocks disagree: no figure rather than a wrong one. */
	res.resume_at = 100.4;
	assert_true(report_stop_resume_ms(&res) == -1);
	res.resume_at = 0;
	assert_true(report_stop_resume_ms(&res) == -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(estimate),
		cmocka_unit_test(stall_is_not_told_too_early_or_without_need),
		cmocka_unit_test(stall_names_the_limit_or_the_link),
		cmocka_unit_test(requests),
		cmocka_unit_test(report_of_a_run_that_never_began),
		cmocka_unit_test(stop_to_resume),
	};

	return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
