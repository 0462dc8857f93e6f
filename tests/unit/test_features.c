/* test_features.c: the table of feature bits, its switches, and what depends on what. */
#include "path/path.h"
#include "unit.h"
#include "vhost/session.h"
#include "vnic/features.h"
#include "vnic/internal.h"

#define B(name) (1ull << VIRTIO_##name)

/* The numbers of virtio 1.2, 5.1.3 and 6, and of vhost-user. Changed by a release, guests cannot come from one before it. */
static void the_offer_is_an_abi(void **state)
{
	const uint64_t want = 1ull << 0 | 1ull << 1 | 1ull << 3 | 1ull << 11 | 1ull << 12 |
			      1ull << 13 | 1ull << 15 | 1ull << 21 | 1ull << 26 | 1ull << 27 |
			      1ull << 28 | 1ull << 29 | 1ull << 30 | 1ull << 32 | 1ull << 35;
	struct vnic_config cfg = { .features_off = vnic_features_off() };

	assert_int_equal(vnic_features(&cfg), want);
}

static uint64_t offer(const char *text)
{
	uint64_t off = vnic_features_off();
	struct err e = { "" };

	assert_ok(vnic_features_parse(text, &off, &e), e);
	return vnic_features_offer(off);
}

static void switches(void **state)
{
	uint64_t all = vnic_features_offer(vnic_features_off());

	assert_int_equal(offer("mtu=off"), all & ~B(NET_F_MTU));
	assert_int_equal(offer("-mtu"), all & ~B(NET_F_MTU));
	assert_int_equal(offer("-mtu,mtu=on"), all);
	assert_int_equal(offer("-mtu,event_idx=off,-in_order"),
			 all & ~(B(NET_F_MTU) | B(F_EVENT_IDX) | B(F_IN_ORDER)));
	assert_int_equal(offer("version_1=on"), all);
}

/* Spec: 5.1.3.1. */
static void what_needs_something_goes_with_it(void **state)
{
	uint64_t all = vnic_features_offer(0);
	uint64_t tso = B(NET_F_HOST_TSO4) | B(NET_F_HOST_TSO6);

	assert_int_equal(offer("-csum"), all & ~(B(NET_F_CSUM) | tso | B(NET_F_HOST_ECN)));
	assert_int_equal(offer("-host_tso4"), all & ~B(NET_F_HOST_TSO4));
	assert_int_equal(offer("-host_tso4,-host_tso6"), all & ~(tso | B(NET_F_HOST_ECN)));
	for (const struct vnic_feature *f = vnic_feature_table; f->name; f++) {
		uint64_t left = vnic_features_offer(1ull << f->bit);

		assert_int_equal(left >> f->bit & 1, f->fixed);
		for (const struct vnic_feature *g = vnic_feature_table; g->name; g++)
			if (left >> g->bit & 1)
				assert_true((g->needs_all & ~left) == 0 &&
					    (!g->needs_one || (g->needs_one & left)));
	}
}

static void bad_switches(void **state)
{
	static const char *const bad[][2] = {
		{ "", "give NAME=off" },
		{ "csum", "give NAME=off" },
		{ "csum=", "give NAME=off" },
		{ "csum=of", "give NAME=off" },
		{ "csum=no", "give NAME=off" },
		{ "csum=offf", "give NAME=off" },
		{ "-csum=off", "give NAME=off" },
		{ "csum=off,", "give NAME=off" },
		{ ",csum=off", "give NAME=off" },
		{ "-", "no feature ''" },
		{ "=off", "no feature ''" },
		{ "CSUM=off", "no feature 'CSUM'" },
		{ "csu=off", "no feature 'csu'" },
		{ "csum =off", "no feature 'csum '" },
		{ "tso=off", "host_tso4, host_tso6" },
		{ "-version_1", "cannot be switched off" },
		{ "log_all=off", "cannot be switched off" },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		uint64_t off = 42;
		struct err e = { "" };

		assert_err(vnic_features_parse(bad[i][0], &off, &e), -EINVAL, e, bad[i][1]);
		assert_int_equal(off, 42);
	}
}

static void names_are_listed_in_lines(void **state)
{
	char text[1024] = "", *line, *rest = text;
	FILE *f = fmemopen(text, sizeof(text), "w");

	vnic_features_names(f, " ", 40);
	fclose(f);
	assert_non_null(strstr(text, " csum "));
	assert_non_null(strstr(text, " in_order\n"));
	assert_null(strstr(text, "version_1"));
	while ((line = strsep(&rest, "\n")) && *line)
		assert_true(strlen(line) <= 40 && line[0] == ' ');
}

static void what_the_path_has_to_do(void **state)
{
	assert_int_equal(vnic_features_offloads(0), 0);
	assert_int_equal(vnic_features_offloads(B(NET_F_CSUM)), PATH_TX_CSUM);
	assert_int_equal(vnic_features_offloads(B(NET_F_GUEST_CSUM)), PATH_RX_CSUM);
	assert_int_equal(vnic_features_offloads(vnic_features_offer(0)),
			 PATH_TX_CSUM | PATH_TX_TSO4 | PATH_TX_TSO6 | PATH_TX_ECN | PATH_RX_CSUM);
	/* A driver that breaks the rule: nothing is cut for it. */
	assert_int_equal(vnic_features_offloads(B(NET_F_HOST_TSO4) | B(NET_F_GUEST_CSUM)),
			 PATH_RX_CSUM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_offer_is_an_abi),
		cmocka_unit_test(switches),
		cmocka_unit_test(what_needs_something_goes_with_it),
		cmocka_unit_test(bad_switches),
		cmocka_unit_test(names_are_listed_in_lines),
		cmocka_unit_test(what_the_path_has_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
