/* verbs.c: the verbs of godwit; the one place where a new one is entered. */
#include "verb.h"

const struct verb verbs[] = {
	{ "migrate", "NAME", 1, "Move a running VM to another QEMU", migrate_options,
	  migrate_verb },
	{ "list", "", 0, "List the vNICs of this host", list_options, list_verb },
	{ "show", "NAME", 1, "Show a vNIC's state, device and counters", show_options, show_verb },
	{ "stats", "NAME", 1, "Print a vNIC's counters, or its rates as they come", stats_options,
	  stats_verb },
	{ "watch", "NAME", 1, "Print what happens to a vNIC, as it happens", watch_options,
	  watch_verb },
	{ "attach", "NAME DEVICE", 2, "Give a running vNIC a device", attach_options, attach_verb },
	{ "detach", "NAME", 1, "Take a running vNIC's device away", detach_options, detach_verb },
	{ "set", "NAME", 1, "Change settings of a running vNIC", set_options, set_verb },
	{ "completion", "SHELL", 1, "Print the completion script for a shell: bash",
	  completion_options, completion_verb },
	{ 0 },
};
