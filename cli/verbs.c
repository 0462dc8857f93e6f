/* verbs.c: the verbs of godwit; the one place where a new one is entered. */
#include "verb.h"

const struct verb verbs[] = {
	{ "migrate", "NAME", 1, "Move a running VM to another QEMU", migrate_options,
	  migrate_verb },
	{ 0 },
};
