/* test_options.c: the command line and the configuration file of godwitd. */
#include "daemon/options.h"

#include <sys/stat.h>

#include "unit.h"

#define ARGS_MAX 32

/* The options of the last command line: its strings live until the next one. */
static struct options last;

/* A command line, NULL-terminated, behind the program's name. */
static int parse(const char *const *args, struct options *o, struct err *e)
{
	char *argv[ARGS_MAX + 2] = { (char *)(uintptr_t) "godwitd" };
	int argc = 1, rc;

	for (; args[argc - 1]; argc++) {
		assert_true(argc <= ARGS_MAX);
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	}
	e->text[0] = 0;
	options_free(&last);
	rc = options_parse(argc, argv, &last, e);
	*o = last;
	return rc;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define GOOD "--name", "vm1", "--device", "net_null0"

static void defaults_are_as_documented(void **state)
{
	struct options o;
	struct err e;

	assert_ok(parse(ARGS(GOOD), &o, &e), e);
	assert_int_equal(o.action, OPTIONS_RUN);
	assert_string_equal(o.name, "vm1");
	assert_string_equal(o.device, "net_null0");
	assert_string_equal(o.socket_path, "/run/godwit/vm1/vhost.sock");
	assert_string_equal(o.group, "kvm");
	assert_int_equal(o.fd, -1);
	assert_int_equal(o.log_level, LOG_NOTICE);
	assert_int_equal(o.memory_mib, 0);
	assert_int_equal(o.idle_us, 1000);
	assert_false(o.group_given || o.has_mac || o.incoming || o.client || o.cpus);
}

static void every_option_is_taken(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0xab, 0xCD, 0xef };
	struct options o;
	struct err e;

	assert_ok(parse(ARGS("--name=a.b-c_9", "--device", "0000:01:10.0,x=1", "--socket-path",
			     "/tmp/s", "--mac", "52:54:00:ab:CD:ef", "--group", "users", "--memory",
			     "128", "--cpus", "2-3", "--idle-us", "0", "--incoming", "--client",
			     "--log-level", "debug"),
			&o, &e),
		  e);
	assert_string_equal(o.name, "a.b-c_9");
	assert_string_equal(o.device, "0000:01:10.0,x=1");
	assert_string_equal(o.socket_path, "/tmp/s");
	assert_true(o.has_mac);
	assert_memory_equal(o.mac, mac, 6);
	assert_string_equal(o.group, "users");
	assert_true(o.group_given);
	assert_int_equal(o.memory_mib, 128);
	assert_int_equal(o.idle_us, 0);
	assert_string_equal(o.cpus, "2-3");
	assert_true(o.incoming);
	assert_true(o.client);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_ok(parse(ARGS(GOOD, "--fd", "7"), &o, &e), e);
	assert_int_equal(o.fd, 7);
	assert_null(o.socket_path);
}

static void actions_need_nothing_else(void **state)
{
	struct options o;
	struct err e;

	assert_ok(parse(ARGS("--help"), &o, &e), e);
	assert_int_equal(o.action, OPTIONS_HELP);
	assert_ok(parse(ARGS("--version"), &o, &e), e);
	assert_int_equal(o.action, OPTIONS_VERSION);
	assert_ok(parse(ARGS("--print-capabilities"), &o, &e), e);
	assert_int_equal(o.action, OPTIONS_CAPABILITIES);
}

struct bad {
	const char *args[6];
	const char *word;
};

static const struct bad bad_lines[] = {
	{ { "--device", "net_null0" }, "--name is missing" },
	{ { "--name", "x" }, "--device is missing" },
	{ { GOOD, "--bogus" }, "--bogus" },
	{ { GOOD, "-x" }, "-x" },
	{ { GOOD, "stray" }, "'stray'" },
	{ { GOOD, "--memory" }, "--memory needs an argument" },
	{ { GOOD, "--incoming=yes" }, "--incoming" },
	{ { "--name", "", "--device", "d" }, "--name" },
	{ { "--name", "a/b", "--device", "d" }, "--name 'a/b'" },
	{ { "--name", "..", "--device", "d" }, "--name '..'" },
	{ { "--name", ".x", "--device", "d" }, "--name '.x'" },
	{ { "--name", "a b", "--device", "d" }, "--name 'a b'" },
	{ { "--name", "x", "--device", "" }, "--device is empty" },
	{ { GOOD, "--socket-path", "" }, "--socket-path is empty" },
	{ { GOOD, "--group", "" }, "--group is empty" },
	{ { GOOD, "--cpus", "" }, "--cpus is empty" },
	{ { GOOD, "--fd", "x" }, "--fd 'x'" },
	{ { GOOD, "--fd", "-1" }, "--fd '-1'" },
	{ { GOOD, "--fd", "99999999999999999999" }, "--fd" },
	{ { GOOD, "--memory", "15" }, "from 16 to" },
	{ { GOOD, "--idle-us", "100001" }, "--idle-us '100001': give a number from 0 to 100000" },
	{ { GOOD, "--idle-us", "-1" }, "--idle-us '-1'" },
	{ { GOOD, "--memory", "65537" }, "from 16 to" },
	{ { GOOD, "--memory", "64M" }, "--memory '64M'" },
	{ { GOOD, "--memory", " 64" }, "--memory ' 64'" },
	{ { GOOD, "--memory", "+64" }, "--memory '+64'" },
	{ { GOOD, "--memory", "" }, "--memory ''" },
	{ { GOOD, "--log-level", "loud" }, "--log-level 'loud'" },
	{ { GOOD, "--mac", "52:54:00:12:34" }, "--mac '52:54:00:12:34'" },
	{ { GOOD, "--mac", "52:54:00:12:34:56:78" }, "--mac" },
	{ { GOOD, "--mac", "52-54-00-12-34-56" }, "--mac" },
	{ { GOOD, "--mac", "52:54:00:12:34:5g" }, "--mac" },
	{ { GOOD, "--mac", "52:54:00:12:34:5" }, "--mac" },
	{ { GOOD, "--mac", " 2:54:00:12:34:56" }, "--mac" },
	{ { GOOD, "--mac", "-2:54:00:12:34:56" }, "--mac" },
	{ { GOOD, "--mac", "+2:54:00:12:34:56" }, "--mac" },
	{ { GOOD, "--mac", "01:00:5e:00:00:01" }, "no station" },
	{ { GOOD, "--mac", "ff:ff:ff:ff:ff:ff" }, "no station" },
	{ { GOOD, "--mac", "00:00:00:00:00:00" }, "no station" },
};

/* Wrong usage is -EINVAL, which main() turns into exit status 2. */
static void wrong_usage(void **state)
{
	unsigned int wrong = 0;

	for (size_t i = 0; i < COUNT(bad_lines); i++) {
		const char *args[ARGS_MAX] = { 0 };
		struct options o;
		struct err e;
		int rc;

		memcpy(args, bad_lines[i].args, sizeof(bad_lines[i].args));
		rc = parse(args, &o, &e);
		if (rc == -EINVAL && strstr(e.text, bad_lines[i].word))
			continue;
		wrong++;
		print_error("# case %zu (%s): returned %d, '%s'\n", i, bad_lines[i].word, rc,
			    e.text);
	}
	assert_int_equal(wrong, 0);
}

static void fd_and_path_exclude_each_other(void **state)
{
	struct options o;
	struct err e;

	assert_err(parse(ARGS(GOOD, "--fd", "3", "--socket-path", "/s"), &o, &e), -EINVAL, e,
		   "exclude");
}

static void longest_name(void **state)
{
	char name[70];
	struct options o;
	struct err e;

	memset(name, 'n', sizeof(name));
	name[64] = 0;
	assert_ok(parse(ARGS("--name", name, "--device", "d"), &o, &e), e);
	/* The default path still fits a socket address. */
	assert_true(strlen(o.socket_path) < 108);
	name[64] = 'n';
	name[65] = 0;
	assert_err(parse(ARGS("--name", name, "--device", "d"), &o, &e), -EINVAL, e, "--name");
}

static char config_path[] = "/tmp/godwit-test-XXXXXX";

static const char *config(const char *text)
{
	FILE *f = fopen(config_path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return config_path;
}

static int config_setup(void **state)
{
	int fd = mkstemp(config_path);

	return fd < 0 || close(fd);
}

static int config_teardown(void **state)
{
	options_free(&last);
	options_free(&last);
	return unlink(config_path);
}

static void file_gives_every_key(void **state)
{
	const char *path =
		config("# a comment\n; another\n\n[vnic]\n name = vm2 \ndevice=net_tap0,iface=t\n"
		       "\tsocket-path = /run/x\nmac = 02:00:00:00:00:07\ngroup = g\n"
		       "memory = 256\ncpus = 1\nidle-us = 50\nincoming = yes\nlog-level = info\n");
	struct options o;
	struct err e;

	assert_ok(parse(ARGS("--config", path), &o, &e), e);
	assert_string_equal(o.name, "vm2");
	assert_string_equal(o.device, "net_tap0,iface=t");
	assert_string_equal(o.socket_path, "/run/x");
	assert_int_equal(o.mac[5], 7);
	assert_string_equal(o.group, "g");
	assert_int_equal(o.memory_mib, 256);
	assert_int_equal(o.idle_us, 50);
	assert_string_equal(o.cpus, "1");
	assert_true(o.incoming);
	assert_int_equal(o.log_level, LOG_INFO);
}

static void command_line_wins_on_either_side(void **state)
{
	const char *path = config("name = file\ndevice = file0\nmemory = 100\nincoming = no\n");
	struct options o;
	struct err e;

	assert_ok(parse(ARGS("--name", "line", "--config", path, "--memory", "200"), &o, &e), e);
	assert_string_equal(o.name, "line");
	assert_int_equal(o.memory_mib, 200);
	assert_string_equal(o.device, "file0");
	assert_ok(parse(ARGS("--incoming", "--config", path), &o, &e), e);
	assert_true(o.incoming);
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "name = a\nbogus = 1\n", ":2: unknown key 'bogus'" },
		{ "name = a\n\n\nmemory = lots\n", ":4: --memory 'lots'" },
		{ "just words\n", ":1: 'just words' is not of the form" },
		{ "name =\n", ":1: --name ''" },
		{ "= x\n", ":1: unknown key ''" },
		{ "incoming = maybe\n", ":1: incoming = 'maybe'" },
		{ "client = perhaps\n", ":1: client = 'perhaps'" },
		/* These belong on the command line only. */
		{ "fd = 3\n", "unknown key 'fd'" },
		{ "config = /x\n", "unknown key 'config'" },
		{ "help = 1\n", "unknown key 'help'" },
		{ "version = 1\n", "unknown key 'version'" },
	};
	struct options o;
	struct err e;

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_err(parse(ARGS(GOOD, "--config", config(bad[i].text)), &o, &e), -EINVAL, e,
			   bad[i].word);
}

/* Not wrong usage: exit status 1. */
static void file_that_cannot_be_read(void **state)
{
	struct options o;
	struct err e;

	assert_err(parse(ARGS(GOOD, "--config", "/nonexistent/file"), &o, &e), -ENOENT, e,
		   "/nonexistent/file");
	assert_err(parse(ARGS(GOOD, "--config", "/"), &o, &e), -EISDIR, e, "configuration file /");
}

/* A line is a line, however long: never cut in two, and never taken in part. */
static void long_lines_in_a_file(void **state)
{
	char text[3000], *at = text;
	struct options o;
	struct err e;

	memset(text, 'c', sizeof(text));
	text[0] = '#';
	snprintf(text + 2000, sizeof(text) - 2000, "\nmemory = 99\n");
	if (parse(ARGS(GOOD, "--config", config(text)), &o, &e))
		assert_non_null(strstr(e.text, "too long"));
	else
		assert_int_equal(o.memory_mib, 99);
	at = stpcpy(at, "device = net_tap0,iface=");
	memset(at, 'd', 2000);
	memset(text + 1023, '#', 1);
	memcpy(at + 2000, "\n", 2);
	if (parse(ARGS("--name", "a", "--config", config(text)), &o, &e))
		assert_non_null(strstr(e.text, "too long"));
	else
		assert_int_equal(strlen(o.device), strlen("net_tap0,iface=") + 2000);
}

static void control_is_beside_the_socket(void **state)
{
	static const struct {
		const char *socket, *control;
	} paths[] = {
		{ "/run/x/vhost.sock", "/run/x/control.sock" },
		{ "vhost.sock", "control.sock" },
		{ "/run/x/one.sock", "/run/x/one.control.sock" },
		{ "/run/x/one", "/run/x/one.control.sock" },
		{ "/run/x.sock/.sock", "/run/x.sock/.sock.control.sock" },
		{ "one", "one.control.sock" },
	};
	struct options o;
	struct err e;

	for (size_t i = 0; i < COUNT(paths); i++) {
		assert_ok(parse(ARGS(GOOD, "--socket-path", paths[i].socket), &o, &e), e);
		assert_string_equal(o.control_path, paths[i].control);
	}
	assert_ok(parse(ARGS(GOOD), &o, &e), e);
	assert_string_equal(o.control_path, "/run/godwit/vm1/control.sock");
	assert_ok(parse(ARGS(GOOD, "--fd", "7"), &o, &e), e);
	assert_string_equal(o.control_path, "/run/godwit/vm1/control.sock");
	assert_false(o.control_given);
	assert_ok(parse(ARGS(GOOD, "--control-path", "/tmp/c"), &o, &e), e);
	assert_string_equal(o.control_path, "/tmp/c");
	assert_true(o.control_given);
	assert_ok(parse(ARGS(GOOD, "--no-control"), &o, &e), e);
	assert_null(o.control_path);
	assert_err(parse(ARGS(GOOD, "--no-control", "--control-path", "/tmp/c"), &o, &e), -EINVAL,
		   e, "exclude");
}

static void help_names_every_option(void **state)
{
	static const char *const names[] = { "name",	   "device",	"socket-path",
					     "fd",	   "mac",	"group",
					     "config",	   "memory",	"cpus",
					     "incoming",   "log-level", "print-capabilities",
					     "version",	   "help",	"control-path",
					     "no-control", "idle-us",	"client",
					     "mtu",	   "features" };
	char text[8192] = "", want[64];
	FILE *f = fmemopen(text, sizeof(text), "w");

	options_help(f);
	fclose(f);
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(want, sizeof(want), "  --%s ", names[i]);
		assert_non_null(strstr(text, want));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(every_option_is_taken),
		cmocka_unit_test(actions_need_nothing_else),
		cmocka_unit_test(wrong_usage),
		cmocka_unit_test(fd_and_path_exclude_each_other),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(file_gives_every_key),
		cmocka_unit_test(command_line_wins_on_either_side),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(file_that_cannot_be_read),
		cmocka_unit_test(long_lines_in_a_file),
		cmocka_unit_test(control_is_beside_the_socket),
		cmocka_unit_test(help_names_every_option),
	};

	return cmocka_run_group_tests(tests, config_setup, config_teardown);
}
