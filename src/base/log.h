/* log.h: the process log, on standard error, one line an event, each naming the vNIC. */
#ifndef GODWIT_BASE_LOG_H
#define GODWIT_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/**
 * Set what is logged and under which name.
 * @param name   of the program or vNIC; the pointer is kept, the string must live on
 * @param level  lines above this level are dropped
 * Thread:       once, before other threads exist.
 */
void log_init(const char *name, enum log_level level);

/** Write to @p fd from now on (standard error at first). Thread: control. */
void log_to(int fd);

/** Parse "error", "warning", "notice", "info" or "debug". Returns 0, or -EINVAL. */
int log_level_parse(const char *text, enum log_level *level);

/** "error" and so on. */
const char *log_level_name(enum log_level level);
/** Drop lines above @p level from now on. Thread: any. */
void log_set_level(enum log_level level);
/** What log_init() or log_set_level() said last. */
enum log_level log_level(void);

/** True when lines of @p level are written: guards costly preparation. */
bool log_enabled(enum log_level level);

/**
 * Write one line; no newline in @p fmt. Thread: any, but never the data path. Never blocks for
 * long.
 */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Write @p len bytes (4096 at most) as they are. Never blocks: lost when there is no room. */
void log_text(const char *text, size_t len);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
