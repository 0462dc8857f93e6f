/* err.c: formatting of error sentences. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}

int err_prefix(struct err *e, int code, const char *fmt, ...)
{
	char front[256], both[sizeof(e->text) + sizeof(front) + 2];
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	snprintf(both, sizeof(both), "%s: %s", front, e->text);
	snprintf(e->text, sizeof(e->text), "%.*s", (int)sizeof(e->text) - 1, both);
	return code;
}
