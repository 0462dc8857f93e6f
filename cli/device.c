/* device.c: godwit attach, godwit detach: the device of a running vNIC. */
#include <stdbool.h>
#include <stdio.h>

#include "remote.h"
#include "verb.h"
#include "vnic_show.h"

enum { ATTACH_MAC, ATTACH_JSON };

const struct cli_option attach_options[] = {
	[ATTACH_MAC] = { "mac", "MAC", "give the device this address (default: the vNIC's)", 0 },
	[ATTACH_JSON] = { "json", NULL, "print what show --json prints afterwards", 0 },
	{ 0 },
};

enum { DETACH_HOLD, DETACH_JSON };

const struct cli_option detach_options[] = {
	[DETACH_HOLD] = { "hold", NULL, "what the guest sends waits, instead of being dropped", 0 },
	[DETACH_JSON] = { "json", NULL, "print what show --json prints afterwards", 0 },
	{ 0 },
};

static int change(const char *vnic, const char *method, json_t *params, bool json)
{
	json_t *shown;
	int status = remote_ask(vnic, method, params, REMOTE_DEVICE_TIMEOUT_MS, &shown);

	if (status)
		return status;
	if (json) {
		remote_print(shown);
		return remote_end();
	}
	vnic_show_text(shown);
	json_decref(shown);
	return remote_end();
}

int attach_verb(const struct cli_args *args)
{
	json_t *params = json_object();

	json_object_set_new(params, "device", json_string(args->operands[1]));
	if (args->value[ATTACH_MAC])
		json_object_set_new(params, "mac", json_string(args->value[ATTACH_MAC]));
	return change(args->operands[0], "attach", params, args->value[ATTACH_JSON]);
}

int detach_verb(const struct cli_args *args)
{
	json_t *params = json_pack("{s:b}", "hold", args->value[DETACH_HOLD] != NULL);

	return change(args->operands[0], "detach", params, args->value[DETACH_JSON]);
}
