/* preflight.c: what must hold before a migration touches anything. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"

static int same_vm(struct err *e)
{
	return err_set(e, -EINVAL,
		       "--qmp and --to-qmp lead to the same QEMU: start another one for "
		       "the destination, with -incoming defer");
}

/* Before the second connection: a monitor has one client at a time, and would be silent. */
static int check_two_sockets(struct migrate_ctx *c, struct err *e)
{
	struct stat a, b;

	if (stat(c->req->qmp, &a) || stat(c->req->to_qmp, &b))
		return 0; /* connecting says it better */
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? same_vm(e) : 0;
}

static int check_two_vms(struct migrate_ctx *c, struct err *e)
{
	pid_t a = qmp_peer(c->source.qmp), b = qmp_peer(c->destination.qmp);

	/* Somebody else may have made the sockets of both (libvirt does): only a QEMU counts. */
	return a > 0 && a == b && c->source.process >= 0 ? same_vm(e) : 0;
}

static int query_name(struct vm *vm, char *name, size_t size, struct err *e)
{
	const char *s;
	json_t *reply;
	int rc;

	rc = vm_call(vm, "query-name", NULL, &reply, e);
	if (rc)
		return rc;
	s = json_string_value(json_object_get(reply, "name"));
	snprintf(name, size, "%s", s ? s : "");
	json_decref(reply);
	return 0;
}

static int check_names(struct migrate_ctx *c, struct err *e)
{
	char name[256];
	int rc;

	rc = query_name(&c->source, name, sizeof(name), e);
	if (rc)
		return rc;
	if (!name[0])
		return err_set(e, -EINVAL,
			       "the VM behind %s has no name: start its QEMU with "
			       "-name %s",
			       c->req->qmp, c->req->name);
	if (strcmp(name, c->req->name))
		return err_set(e, -EINVAL,
			       "the VM behind %s is \"%s\", not \"%s\": name the right "
			       "monitor or the right VM",
			       c->req->qmp, name, c->req->name);
	rc = query_name(&c->destination, name, sizeof(name), e);
	if (!rc && name[0] && strcmp(name, c->req->name))
		migrate_notice(c, "the destination's QEMU is named \"%s\", and keeps that name",
			       name);
	return rc;
}

static int check_states(struct migrate_ctx *c, struct err *e)
{
	char source[24], destination[24];
	int rc;

	rc = vm_state(&c->source, source, sizeof(source), e);
	if (!rc)
		rc = vm_state(&c->destination, destination, sizeof(destination), e);
	if (rc)
		return rc;
	if (!strcmp(source, "postmigrate"))
		return err_set(e, -EINVAL,
			       "the VM has moved away from %s already: this is what was "
			       "left behind (postmigrate)",
			       c->req->qmp);
	if (strcmp(source, "running") && strcmp(source, "paused"))
		return err_set(e, -EINVAL,
			       "the source VM is \"%s\", neither running nor paused: "
			       "bring it to run first",
			       source);
	if (strcmp(destination, "inmigrate"))
		return err_set(e, -EINVAL,
			       "the destination is \"%s\", it does not wait for a VM: "
			       "start its QEMU with -incoming defer",
			       destination);
	c->was_running = !strcmp(source, "running");
	return 0;
}

static int check_idle(struct migrate_ctx *c, struct err *e)
{
	struct vm_migration m;
	int rc = vm_query_migration(&c->source, &m, e);

	if (rc)
		return rc;
	if (m.status[0] && strcmp(m.status, "none") && !migrate_is_over(m.status))
		return err_set(e, -EBUSY,
			       "a migration of this VM is under way (%s): wait for it, or "
			       "end it with migrate_cancel",
			       m.status);
	return 0;
}

static int check_capabilities(struct vm *vm, struct err *e)
{
	json_t *list, *entry;
	size_t i;
	int rc;

	rc = vm_call(vm, "query-migrate-capabilities", NULL, &list, e);
	if (rc)
		return rc;
	json_array_foreach(list, i, entry) {
		const char *name = json_string_value(json_object_get(entry, "capability"));

		if (!rc && name && !strcmp(name, "postcopy-ram") &&
		    json_is_true(json_object_get(entry, "state")))
			rc = err_set(e, -ENOTSUP,
				     "%s: post-copy is switched on, and a vhost-user "
				     "network card cannot do it: switch the capability postcopy-ram "
				     "off",
				     vm->role);
	}
	json_decref(list);
	return rc;
}

static int check_shared(struct vm *vm, struct err *e)
{
	json_t *list, *entry;
	size_t i;
	int rc;

	rc = vm_call(vm, "query-memdev", NULL, &list, e);
	if (rc)
		return rc;
	json_array_foreach(list, i, entry) {
		const char *id = json_string_value(json_object_get(entry, "id"));

		if (!rc && !json_is_true(json_object_get(entry, "share")))
			rc = err_set(e, -EINVAL,
				     "%s: guest memory \"%s\" is not shared, godwitd "
				     "could not reach it: start QEMU with -object "
				     "memory-backend-memfd,id=mem,size=…,share=on "
				     "-machine memory-backend=mem",
				     vm->role, id ? id : "?");
	}
	if (!rc && !json_array_size(list))
		rc = err_set(e, -EINVAL,
			     "%s: guest memory is not shared: start QEMU with -object "
			     "memory-backend-memfd,id=mem,size=…,share=on "
			     "-machine memory-backend=mem",
			     vm->role);
	json_decref(list);
	return rc;
}

static int memory_size(struct vm *vm, json_int_t *bytes, struct err *e)
{
	json_t *reply;
	int rc;

	rc = vm_call(vm, "query-memory-size-summary", NULL, &reply, e);
	if (rc)
		return rc;
	*bytes = json_integer_value(json_object_get(reply, "base-memory")) +
		 json_integer_value(json_object_get(reply, "plugged-memory"));
	json_decref(reply);
	return 0;
}

static int check_memory(struct migrate_ctx *c, struct err *e)
{
	json_int_t source = 0, destination = 0;
	int rc;

	rc = check_shared(&c->source, e);
	if (!rc)
		rc = check_shared(&c->destination, e);
	if (!rc)
		rc = memory_size(&c->source, &source, e);
	if (!rc)
		rc = memory_size(&c->destination, &destination, e);
	if (!rc && source != destination)
		rc = err_set(e, -EINVAL,
			     "the VM has %lld MiB of memory and the destination %lld: "
			     "start the destination's QEMU with the same",
			     source >> 20, destination >> 20);
	return rc;
}

/* A device of the VM, by its QOM type ("child<vfio-pci>"). */
static int judge_device(struct migrate_ctx *c, const char *id, const char *type, struct err *e)
{
	const char *model = strncmp(type, "child<", 6) ? type : type + 6;
	int len = (int)strcspn(model, ">");

	if (!strncmp(model, "vfio-", 5))
		return err_set(e, -ENOTSUP,
			       "%s (%.*s) is a device of this host and does not move in "
			       "mode vnic: unplug it first (device_del %s)",
			       id, len, model, id);
	if (!strncmp(model, "virtio-balloon", 14) || !strncmp(model, "virtio-mem", 10))
		migrate_notice(c,
			       "%s (%.*s) can take pages away from the guest behind godwitd's "
			       "back: zero-copy is refused to this VM",
			       id, len, model);
	return 0;
}

static int check_devices(struct migrate_ctx *c, const char *qom_path, struct err *e)
{
	json_t *list, *entry;
	size_t i;
	int rc;

	rc = vm_call(&c->source, "qom-list", json_pack("{s:s}", "path", qom_path), &list, e);
	if (rc)
		return rc;
	json_array_foreach(list, i, entry) {
		const char *id = json_string_value(json_object_get(entry, "name"));
		const char *type = json_string_value(json_object_get(entry, "type"));

		if (!rc && id && type)
			rc = judge_device(c, id, type, e);
	}
	json_decref(list);
	return rc;
}

/* Only the human monitor lists network back-ends with their kind, in QEMU 7.2 and 10.0 alike. */
static int check_network(struct migrate_ctx *c, struct vm *vm, struct err *e)
{
	const char *text;
	json_t *reply;
	int rc;

	rc = vm_call(vm, "human-monitor-command",
		     json_pack("{s:s}", "command-line", "info network"), &reply, e);
	if (rc)
		return rc;
	text = json_string_value(reply);
	if (!text || !strstr(text, "type=vhost-user"))
		migrate_notice(c,
			       "%s: the VM has no vhost-user network card: nothing of godwitd's "
			       "moves with it",
			       vm->role);
	json_decref(reply);
	return 0;
}

/* Before QEMU 9.0 (commit 03bfc2188f) TCG marks a page dirty once, and misses what is written later. */
static int check_accelerator(struct migrate_ctx *c, struct err *e)
{
	json_t *reply;
	int rc;

	rc = vm_call(&c->source, "query-kvm", NULL, &reply, e);
	if (rc)
		return rc;
	if (!json_is_true(json_object_get(reply, "enabled")) && atoi(c->source.version) < 9)
		migrate_notice(
			c,
			"the source is QEMU %s without KVM, which loses memory that the guest "
			"writes during the copy: expect a broken guest, or use QEMU 9.0",
			c->source.version);
	json_decref(reply);
	return 0;
}

int preflight_run(void *ctx, struct err *e)
{
	struct migrate_ctx *c = ctx;
	int rc;

	rc = check_two_sockets(c, e);
	if (!rc)
		rc = vm_open(&c->source, "source", c->req->qmp, e);
	if (!rc)
		rc = vm_open(&c->destination, "destination", c->req->to_qmp, e);
	if (!rc)
		rc = check_two_vms(c, e);
	if (!rc)
		rc = check_names(c, e);
	if (!rc)
		rc = check_states(c, e);
	if (!rc)
		rc = check_idle(c, e);
	if (!rc)
		rc = check_capabilities(&c->source, e);
	if (!rc)
		rc = check_capabilities(&c->destination, e);
	if (!rc)
		rc = check_memory(c, e);
	if (!rc)
		rc = check_devices(c, "/machine/peripheral", e);
	if (!rc)
		rc = check_devices(c, "/machine/peripheral-anon", e);
	if (!rc)
		rc = check_accelerator(c, e);
	if (!rc)
		rc = check_network(c, &c->source, e);
	if (!rc)
		rc = check_network(c, &c->destination, e);
	return rc;
}
