/* methods.c: the methods of the control socket. docs/protocol.md is their reference. */
#include "daemon/methods.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/facts_json.h"
#include "daemon/options.h"

/** The version of the protocol: grows when a method or member is taken away or changes its meaning. */
#define PROTOCOL 1

static const struct rpc_param no_params[] = { { NULL, RPC_STRING, false } };

static int run_ping(void *arg, const json_t *params, json_t **result, struct err *e)
{
	*result = json_string("pong");
	return 0;
}

static int run_version(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const struct methods *m = arg;

	*result = json_pack("{s:s, s:s, s:s, s:i, s:i}", "name", m->name, "version", GODWIT_VERSION,
			    "dpdk", m->dpdk, "protocol", PROTOCOL, "pid", (int)getpid());
	return 0;
}

static int run_show(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const struct methods *m = arg;
	struct vnic_facts f;

	vnic_facts(m->vnic, &f);
	*result = facts_json_show(&f);
	return 0;
}

static int run_stats(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const struct methods *m = arg;
	struct vnic_facts f;

	vnic_facts(m->vnic, &f);
	*result = facts_json_stats(&f);
	return 0;
}

/* It will stand in the log. */
static bool printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			return false;
	return true;
}

static const struct rpc_param attach_params[] = {
	{ "device", RPC_STRING, true },
	{ "mac", RPC_STRING, false },
	{ NULL, RPC_STRING, false },
};

static int run_attach(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const char *device = json_string_value(json_object_get(params, "device"));
	const char *mac_text = json_string_value(json_object_get(params, "mac"));
	const struct methods *m = arg;
	struct vnic_facts f;
	uint8_t mac[6];
	int rc;

	if (!*device || !printable(device))
		return err_set(e, -EDOM, "device: give a PCI address or a DPDK vdev");
	if (mac_text && options_mac(mac_text, "mac", mac, e))
		return -EDOM;
	log_notice("control: attach %s", device);
	rc = vnic_attach(m->vnic, device, mac_text ? mac : NULL, e);
	if (rc) {
		log_error("control: attach %s: %s", device, e->text);
		return rc;
	}
	vnic_facts(m->vnic, &f);
	*result = facts_json_show(&f);
	return 0;
}

static const struct rpc_param detach_params[] = {
	{ "hold", RPC_BOOL, false },
	{ NULL, RPC_STRING, false },
};

static int run_detach(void *arg, const json_t *params, json_t **result, struct err *e)
{
	bool hold = json_is_true(json_object_get(params, "hold"));
	const struct methods *m = arg;
	struct vnic_facts f;
	int rc;

	log_notice("control: detach%s", hold ? ", frames of the guest wait" : "");
	rc = vnic_detach(m->vnic, hold, e);
	if (rc) {
		log_error("control: detach: %s", e->text);
		return rc;
	}
	vnic_facts(m->vnic, &f);
	*result = facts_json_show(&f);
	return 0;
}

static const struct rpc_param set_params[] = {
	{ "log_level", RPC_STRING, false },
	{ "incoming", RPC_BOOL, false },
	{ NULL, RPC_STRING, false },
};

static int run_set(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const char *level_text = json_string_value(json_object_get(params, "log_level"));
	const json_t *incoming = json_object_get(params, "incoming");
	const struct methods *m = arg;
	enum log_level level = log_level();
	int rc;

	/* All or nothing: what can fail comes first. */
	if (level_text && log_level_parse(level_text, &level))
		return err_set(e, -EDOM, "log_level: give error, warning, notice, info or debug");
	if (incoming) {
		rc = vnic_set_incoming(m->vnic, json_is_true(incoming), e);
		if (rc)
			return rc;
	}
	log_set_level(level);
	*result = json_pack("{s:s, s:b}", "log_level", log_level_name(log_level()), "incoming",
			    (int)vnic_incoming(m->vnic));
	return 0;
}

static int run_subscribe(void *arg, const json_t *params, json_t **result, struct err *e)
{
	const struct methods *m = arg;

	*m->subscribed = true;
	*result = json_pack("{s:s}", "state", vnic_state_name(vnic_state(m->vnic)));
	return 0;
}

const struct rpc_method methods_table[] = {
	{ "ping", false, no_params, run_ping },
	{ "version", false, no_params, run_version },
	{ "show", false, no_params, run_show },
	{ "stats", false, no_params, run_stats },
	{ "subscribe", false, no_params, run_subscribe },
	{ "attach", true, attach_params, run_attach },
	{ "detach", true, detach_params, run_detach },
	{ "set", true, set_params, run_set },
	{ NULL, false, NULL, NULL },
};
