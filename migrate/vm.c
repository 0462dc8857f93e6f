/* vm.c: what both sides of a migration are asked, over QMP. */
#include "vm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define OPEN_MS 5000
#define ENDING_MS 2000 /* from the monitor's close to the end of the process, generously */

/* Bytes of /proc/PID/NAME, ended by a zero. */
static size_t read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	len = f ? fread(text, 1, size - 1, f) : 0;
	text[len] = '\0';
	if (f)
		fclose(f);
	return len;
}

static bool names_qemu(const char *argument)
{
	const char *slash = strrchr(argument, '/');
	const char *base = slash ? slash + 1 : argument;

	return !strncmp(base, "qemu-", 5) || !strncmp(base, "kvm", 3);
}

/*
 * ssh or socat may listen in QEMU's place: their end says nothing about the VM. A QEMU is called so,
 * or is an argument of the loader or wrapper that it was started through.
 */
static bool is_qemu(pid_t pid)
{
	char text[4096];
	size_t len;

	read_proc(pid, "comm", text, sizeof(text));
	if (names_qemu(text))
		return true;
	len = read_proc(pid, "cmdline", text, sizeof(text));
	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		if (names_qemu(text + at))
			return true;
	return false;
}

/* A handle on the QEMU process, so that its end can be proven. */
static int watch_process(pid_t pid)
{
	int fd = pid > 0 ? pidfd_open(pid, 0) : -1;

	if (fd >= 0 && !is_qemu(pid)) {
		close(fd);
		return -1;
	}
	return fd;
}

int vm_open(struct vm *vm, const char *role, const char *path, struct err *e)
{
	int rc;

	memset(vm, 0, sizeof(*vm));
	vm->role = role;
	vm->path = path;
	vm->process = -1;
	rc = qmp_open(&vm->qmp, path, OPEN_MS, e);
	if (rc)
		return err_prefix(e, rc, "%s", role);
	vm->process = watch_process(qmp_peer(vm->qmp));
	snprintf(vm->version, sizeof(vm->version), "%s", qmp_version(vm->qmp));
	return 0;
}

void vm_close(struct vm *vm)
{
	if (!vm->role)
		return;
	qmp_close(vm->qmp);
	vm->qmp = NULL;
	if (vm->process >= 0)
		close(vm->process);
	vm->process = -1;
}

static void take_event(struct vm *vm, const struct qmp_event *ev)
{
	const char *status;

	if (!strcmp(ev->name, "STOP")) {
		vm->stop_at = ev->at;
	} else if (!strcmp(ev->name, "RESUME")) {
		vm->resume_at = ev->at;
	} else if (!strcmp(ev->name, "MIGRATION")) {
		status = json_string_value(json_object_get(ev->data, "status"));
		snprintf(vm->migration, sizeof(vm->migration), "%s", status ? status : "");
	}
}

static void take_events(struct vm *vm)
{
	struct qmp_event ev;

	while (vm->qmp && qmp_event(vm->qmp, &ev)) {
		take_event(vm, &ev);
		json_decref(ev.data);
	}
}

int vm_call(struct vm *vm, const char *command, json_t *arguments, json_t **result, struct err *e)
{
	int rc;

	if (!vm->qmp) {
		json_decref(arguments);
		return err_set(e, -ENOTCONN, "%s: no connection to its QEMU", vm->role);
	}
	rc = qmp_call(vm->qmp, command, arguments, VM_CALL_MS, result, e);
	take_events(vm);
	return rc ? err_prefix(e, rc, "%s", vm->role) : 0;
}

int vm_state(struct vm *vm, char *state, size_t size, struct err *e)
{
	const char *s;
	json_t *reply;
	int rc;

	rc = vm_call(vm, "query-status", NULL, &reply, e);
	if (rc)
		return rc;
	s = json_string_value(json_object_get(reply, "status"));
	if (s)
		snprintf(state, size, "%s", s);
	else
		rc = err_set(e, -EPROTO, "%s: query-status gave no status", vm->role);
	json_decref(reply);
	return rc;
}

void vm_migration_init(struct vm_migration *m)
{
	*m = (struct vm_migration){
		.downtime_ms = -1,
		.expected_downtime_ms = -1,
		.total_ms = -1,
		.setup_ms = -1,
		.transferred_bytes = -1,
		.remaining_bytes = -1,
		.total_bytes = -1,
		.normal_bytes = -1,
		.dirty_pages_rate = -1,
		.page_size = -1,
		.passes = -1,
		.mbps = -1,
	};
}

static int64_t figure(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_number(v) ? (int64_t)json_number_value(v) : -1;
}

static void take_figures(struct vm_migration *m, const json_t *reply)
{
	const json_t *ram = json_object_get(reply, "ram");
	const char *status = json_string_value(json_object_get(reply, "status"));
	const char *error = json_string_value(json_object_get(reply, "error-desc"));

	snprintf(m->status, sizeof(m->status), "%s", status ? status : "");
	snprintf(m->error, sizeof(m->error), "%s", error ? error : "");
	m->downtime_ms = figure(reply, "downtime");
	m->expected_downtime_ms = figure(reply, "expected-downtime");
	m->total_ms = figure(reply, "total-time");
	m->setup_ms = figure(reply, "setup-time");
	m->transferred_bytes = figure(ram, "transferred");
	m->remaining_bytes = figure(ram, "remaining");
	m->total_bytes = figure(ram, "total");
	m->normal_bytes = figure(ram, "normal-bytes");
	m->dirty_pages_rate = figure(ram, "dirty-pages-rate");
	m->page_size = figure(ram, "page-size");
	m->passes = figure(ram, "dirty-sync-count");
	m->mbps = -1;
	if (json_is_number(json_object_get(ram, "mbps")))
		m->mbps = json_number_value(json_object_get(ram, "mbps"));
}

int vm_query_migration(struct vm *vm, struct vm_migration *m, struct err *e)
{
	json_t *reply;
	int rc;

	rc = vm_call(vm, "query-migrate", NULL, &reply, e);
	if (rc)
		return rc;
	vm_migration_init(m);
	take_figures(m, reply);
	json_decref(reply);
	return 0;
}

bool vm_connected(const struct vm *vm)
{
	return vm->qmp && qmp_fd(vm->qmp) >= 0;
}

void vm_wait(struct vm *a, struct vm *b, int timeout_ms)
{
	struct pollfd p[2] = {
		{ .fd = vm_connected(a) ? qmp_fd(a->qmp) : -1, .events = POLLIN },
		{ .fd = vm_connected(b) ? qmp_fd(b->qmp) : -1, .events = POLLIN },
	};

	poll(p, 2, timeout_ms);
	if (vm_connected(a))
		qmp_pump(a->qmp);
	if (vm_connected(b))
		qmp_pump(b->qmp);
	take_events(a);
	take_events(b);
}

static bool process_ended(const struct vm *vm, int timeout_ms)
{
	struct pollfd p = { .fd = vm->process, .events = POLLIN };
	int n;

	if (vm->process < 0)
		return false;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

enum vm_life vm_probe(struct vm *vm)
{
	struct qmp *again;

	if (vm_connected(vm))
		return VM_ALIVE;
	/* First: another QEMU may have been started in its place. */
	if (process_ended(vm, 0))
		return VM_ENDED;
	if (qmp_open(&again, vm->path, OPEN_MS, NULL))
		return process_ended(vm, ENDING_MS) ? VM_ENDED : VM_UNKNOWN;
	qmp_close(vm->qmp);
	vm->qmp = again;
	vm->missed_events = true;
	return VM_ALIVE;
}
