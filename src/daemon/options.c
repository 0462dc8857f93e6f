/*
 * options.c: one table of options feeds the command line, the configuration file and the help text.
 */
#include "daemon/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "vnic/features.h"

#define NAME_MAX_CHARS 64

static int set_text(char **slot, const char *value, const char *option, struct err *e)
{
	if (!*value)
		return err_set(e, -EINVAL, "--%s is empty", option);
	free(*slot);
	*slot = strdup(value);
	return *slot ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int set_number(unsigned int *slot, const char *value, unsigned int min, unsigned int max,
		      const char *option, struct err *e)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || !isdigit((unsigned char)*value) || n < min || n > max)
		return err_set(e, -EINVAL, "--%s '%s': give a number from %u to %u", option, value,
			       min, max);
	*slot = (unsigned int)n;
	return 0;
}

/* It becomes a directory: no slash, no dot in front. */
static int set_name(struct options *o, const char *value, struct err *e)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (!*value || *value == '.' || strspn(value, good) != strlen(value) ||
	    strlen(value) > NAME_MAX_CHARS)
		return err_set(
			e, -EINVAL,
			"--name '%s': give 1 to %d letters, digits, '-', '_' or '.', no '.' in front",
			value, NAME_MAX_CHARS);
	return set_text(&o->name, value, "name", e);
}

static int set_device(struct options *o, const char *value, struct err *e)
{
	return set_text(&o->device, value, "device", e);
}

static int set_socket_path(struct options *o, const char *value, struct err *e)
{
	return set_text(&o->socket_path, value, "socket-path", e);
}

static int set_fd(struct options *o, const char *value, struct err *e)
{
	unsigned int n = 0;
	int rc = set_number(&n, value, 0, 1 << 20, "fd", e);

	if (!rc)
		o->fd = (int)n;
	return rc;
}

/* Exactly "52:54:00:12:34:56": sscanf() alone would take blanks, signs and 0x. */
static bool mac_read(const char *text, uint8_t mac[6])
{
	if (strlen(text) != 17)
		return false;
	for (int i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	return true;
}

int options_mac(const char *text, const char *what, uint8_t mac[6], struct err *e)
{
	static const uint8_t zero[6];

	if (!mac_read(text, mac))
		return err_set(e, -EINVAL,
			       "%s '%s': give six pairs of hexadecimal digits, such as "
			       "52:54:00:12:34:56",
			       what, text);
	if ((mac[0] & 1) || memcmp(mac, zero, sizeof(zero)) == 0)
		return err_set(e, -EINVAL,
			       "%s '%s' is no station's address: the first byte must be even, "
			       "and not all zero",
			       what, text);
	return 0;
}

static int set_mac(struct options *o, const char *value, struct err *e)
{
	int rc = options_mac(value, "--mac", o->mac, e);

	o->has_mac = rc == 0;
	return rc;
}

static int set_control_path(struct options *o, const char *value, struct err *e)
{
	o->control_given = true;
	return set_text(&o->control_path, value, "control-path", e);
}

static int set_group(struct options *o, const char *value, struct err *e)
{
	o->group_given = true;
	return set_text(&o->group, value, "group", e);
}

static int set_memory(struct options *o, const char *value, struct err *e)
{
	return set_number(&o->memory_mib, value, 16, 65536, "memory", e);
}

static int set_cpus(struct options *o, const char *value, struct err *e)
{
	return set_text(&o->cpus, value, "cpus", e);
}

static int set_idle_us(struct options *o, const char *value, struct err *e)
{
	return set_number(&o->idle_us, value, 0, 100000, "idle-us", e);
}

static int set_features(struct options *o, const char *value, struct err *e)
{
	int rc = vnic_features_parse(value, &o->features_off, e);

	return rc ? err_prefix(e, rc, "--features") : 0;
}

static int set_mtu(struct options *o, const char *value, struct err *e)
{
	return set_number(&o->mtu, value, 576, 9216, "mtu", e);
}

static int set_log_level(struct options *o, const char *value, struct err *e)
{
	if (log_level_parse(value, &o->log_level))
		return err_set(e, -EINVAL,
			       "--log-level '%s': give error, warning, notice, info or debug",
			       value);
	return 0;
}

static int set_switch(bool *slot, const char *value, const char *key, struct err *e)
{
	if (!value || strcmp(value, "yes") == 0 || strcmp(value, "true") == 0 ||
	    strcmp(value, "1") == 0)
		*slot = true;
	else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*slot = false;
	else
		return err_set(e, -EINVAL, "%s = '%s': give yes or no", key, value);
	return 0;
}

static int set_incoming(struct options *o, const char *value, struct err *e)
{
	return set_switch(&o->incoming, value, "incoming", e);
}

static int set_client(struct options *o, const char *value, struct err *e)
{
	return set_switch(&o->client, value, "client", e);
}

static int set_no_control(struct options *o, const char *value, struct err *e)
{
	return set_switch(&o->no_control, value, "no-control", e);
}

static int set_capabilities(struct options *o, const char *value, struct err *e)
{
	o->action = OPTIONS_CAPABILITIES;
	return 0;
}

static int set_version(struct options *o, const char *value, struct err *e)
{
	o->action = OPTIONS_VERSION;
	return 0;
}

static int set_help(struct options *o, const char *value, struct err *e)
{
	o->action = OPTIONS_HELP;
	return 0;
}

static const struct option_row {
	const char *name;
	/** NULL: takes no argument. */
	const char *argument;
	/** May stand in the configuration file. */
	bool in_file;
	int (*set)(struct options *o, const char *value, struct err *e);
	const char *help;
} table[] = {
	{ "name", "NAME", true, set_name, "name of the vNIC (required)" },
	{ "device", "DEVARGS", true, set_device,
	  "PCI address of a VF, a DPDK vdev, or none (required)" },
	{ "socket-path", "PATH", true, set_socket_path,
	  "listen there (default /run/godwit/NAME/vhost.sock)" },
	{ "client", NULL, true, set_client,
	  "connect to that socket, where the front-end listens, and again after each end" },
	{ "fd", "FD", false, set_fd, "use this open socket instead: connected, or listening" },
	{ "mac", "MAC", true, set_mac, "the guest's MAC address, given to the device" },
	{ "group", "GROUP", true, set_group, "group of the socket (default kvm)" },
	{ "config", "FILE", false, NULL,
	  "read options from FILE (INI, keys are the long options)" },
	{ "memory", "MIB", true, set_memory,
	  "DPDK memory in MiB (default: 16 of huge pages, else up to 64)" },
	{ "cpus", "LIST", true, set_cpus, "CPUs of the worker, such as 2 or 2-3" },
	{ "idle-us", "US", true, set_idle_us,
	  "longest nap where nothing wakes the worker (default 1000; 0: none)" },
	{ "incoming", NULL, true, set_incoming, "a VM will arrive by migration: announce it then" },
	{ "features", "LIST", true, set_features,
	  "switch features off, such as host_tso4=off,csum=off" },
	{ "mtu", "BYTES", true, set_mtu, "MTU of the device (default 1500)" },
	{ "log-level", "LEVEL", true, set_log_level,
	  "error, warning, notice, info or debug (default notice)" },
	{ "control-path", "PATH", true, set_control_path,
	  "control socket there (default control.sock beside it)" },
	{ "no-control", NULL, true, set_no_control, "make no control socket" },
	{ "print-capabilities", NULL, false, set_capabilities,
	  "print what management tools ask for, as JSON, and exit" },
	{ "version", NULL, false, set_version, "print the version and exit" },
	{ "help", NULL, false, set_help, "print this and exit" },
};

#define ROWS (sizeof(table) / sizeof(table[0]))

void options_help(FILE *to)
{
	fprintf(to, "Usage: godwitd --name NAME --device DEVARGS [OPTION]...\n"
		    "Serve one virtio-net device of one VM from one SR-IOV virtual function.\n\n");
	for (size_t i = 0; i < ROWS; i++)
		fprintf(to, "  --%-18s %-8s %s\n", table[i].name,
			table[i].argument ? table[i].argument : "", table[i].help);
	fprintf(to, "\nFeatures that --features switches:\n");
	vnic_features_names(to, " ", 78);
	fprintf(to, "\nSIGUSR1 prints state and counters on standard error. See godwitd(1).\n");
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		*--end = 0;
	return s;
}

static int file_line(struct options *o, char *line, struct err *e)
{
	char *value = strchr(line, '=');
	char *key;

	if (!value)
		return err_set(e, -EINVAL, "'%s' is not of the form key = value", line);
	*value++ = 0;
	key = trim(line);
	value = trim(value);
	for (size_t i = 0; i < ROWS; i++)
		if (table[i].in_file && strcmp(table[i].name, key) == 0)
			return table[i].set(o, value, e);
	return err_set(e, -EINVAL, "unknown key '%s'", key);
}

static int file_lines(struct options *o, FILE *f, int *number, struct err *e)
{
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	errno = 0;
	while (!rc && getline(&line, &size, f) >= 0) {
		char *text = trim(line);

		++*number;
		/* Sections are allowed and mean nothing: one file describes one vNIC. */
		if (*text && *text != '#' && *text != ';' && *text != '[')
			rc = file_line(o, text, e);
		errno = 0;
	}
	if (!rc && ferror(f))
		rc = err_set(e, errno ? -errno : -EIO, "%s", strerror(errno ? errno : EIO));
	free(line);
	return rc;
}

static int file_parse(struct options *o, const char *path, struct err *e)
{
	FILE *f = fopen(path, "re");
	int rc, number = 0;

	if (!f) {
		rc = errno == EINVAL ? -EIO : -errno;
		return err_set(e, rc, "configuration file %s: %s", path, strerror(errno));
	}
	rc = file_lines(o, f, &number, e);
	fclose(f);
	if (rc && number)
		return err_prefix(e, rc, "%s:%d", path, number);
	return rc ? err_prefix(e, rc, "configuration file %s", path) : 0;
}

static void long_options(struct option *out)
{
	for (size_t i = 0; i < ROWS; i++)
		out[i] = (struct option){ .name = table[i].name,
					  .has_arg = table[i].argument ? required_argument :
									 no_argument,
					  .val = 256 + (int)i };
	out[ROWS] = (struct option){ 0 };
}

/* One walk over the command line: files first, then everything else over them. */
static int walk(int argc, char **argv, struct options *o, bool files, struct err *e)
{
	struct option options[ROWS + 1];
	int c, rc = 0;

	long_options(options);
	optind = 0;
	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		const struct option_row *row = c >= 256 ? &table[c - 256] : NULL;

		if (c == ':')
			return err_set(e, -EINVAL, "%s needs an argument", argv[optind - 1]);
		if (!row)
			return err_set(e, -EINVAL, "unknown option %s", argv[optind - 1]);
		if (files && !row->set)
			rc = file_parse(o, optarg, e);
		else if (!files && row->set)
			rc = row->set(o, optarg, e);
	}
	if (!rc && optind < argc)
		return err_set(e, -EINVAL, "'%s' is one argument too many", argv[optind]);
	return rc;
}

/*
 * Beside the vhost-user socket: control.sock by vhost.sock, and x.control.sock by x.sock, since several
 * processes may have their sockets in one directory.
 */
static int control_default(struct options *o, struct err *e)
{
	const char *path = o->socket_path, *base;
	int rc, dir, stem;

	if (o->no_control && o->control_given)
		return err_set(e, -EINVAL, "--no-control and --control-path exclude each other");
	if (o->no_control || o->control_path)
		return 0;
	/* With --client the socket is its front-end's, and its directory may be too. */
	if (!path || o->client) {
		rc = asprintf(&o->control_path, "/run/godwit/%s/control.sock", o->name);
	} else {
		base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
		dir = (int)(base - path);
		stem = (int)strlen(base);
		if (stem > 5 && strcmp(base + stem - 5, ".sock") == 0)
			stem -= 5;
		if (strcmp(base, "vhost.sock") == 0)
			stem = 0;
		rc = asprintf(&o->control_path, "%.*s%.*s%scontrol.sock", dir, path, stem, base,
			      stem ? "." : "");
	}
	if (rc >= 0)
		return 0;
	o->control_path = NULL;
	return err_set(e, -ENOMEM, "no memory");
}

static int defaults(struct options *o, struct err *e)
{
	char *path;

	if (!o->name)
		return err_set(e, -EINVAL, "--name is missing");
	if (!o->device)
		return err_set(
			e, -EINVAL,
			"--device is missing: give the VF's PCI address, a DPDK vdev, or none");
	if (!o->group)
		o->group = strdup("kvm");
	if (!o->group)
		return err_set(e, -ENOMEM, "no memory");
	if (o->fd >= 0 && o->socket_path)
		return err_set(e, -EINVAL, "--fd and --socket-path exclude each other");
	if (o->fd >= 0 && o->client)
		return err_set(e, -EINVAL, "--fd and --client exclude each other");
	if (o->fd < 0 && !o->socket_path) {
		if (asprintf(&path, "/run/godwit/%s/vhost.sock", o->name) < 0)
			return err_set(e, -ENOMEM, "no memory");
		o->socket_path = path;
	}
	return control_default(o, e);
}

int options_parse(int argc, char **argv, struct options *o, struct err *e)
{
	int rc;

	*o = (struct options){ .fd = -1, .idle_us = 1000, .log_level = LOG_NOTICE };
	o->features_off = vnic_features_off();
	/* Spec: vhost-user, Backend program conventions: with it, everything else is ignored. */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--print-capabilities") == 0) {
			o->action = OPTIONS_CAPABILITIES;
			return 0;
		}
	}
	rc = walk(argc, argv, o, true, e);
	if (!rc)
		rc = walk(argc, argv, o, false, e);
	if (!rc && o->action == OPTIONS_RUN)
		rc = defaults(o, e);
	if (rc)
		options_free(o);
	return rc;
}

void options_free(struct options *o)
{
	char **texts[] = { &o->name,  &o->device, &o->socket_path,
			   &o->group, &o->cpus,	  &o->control_path };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		free(*texts[i]);
		*texts[i] = NULL;
	}
}
