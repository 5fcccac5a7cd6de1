#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

/*
 * Structured log on stderr: one line per event, constant `msg`, values in fields. Formats: json
 * (one object a line) and text (for people). Secrets never reach it. The sink is the one piece of
 * file-scope state besides the metrics table; lines of several threads never interleave.
 *
 *     log_info("task published", LOG_TEXT("task", name), LOG_INT("rows", n));
 *
 * Context such as LOG_SCOPE(LOG_INT("execution_id", id)) is per thread and pops with its block.
 */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_field_kind { LOG_FIELD_END, LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_FLOAT };

struct log_field {
    const char *name;
    enum log_field_kind kind;
    const char *text;
    int64_t integer;
    double number;
};

#define LOG_TEXT(field_name, value)                                                                \
    ((struct log_field){.name = (field_name), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_INT(field_name, value)                                                                 \
    ((struct log_field){.name = (field_name), .kind = LOG_FIELD_INT, .integer = (int64_t)(value)})
#define LOG_FLOAT(field_name, value)                                                               \
    ((struct log_field){.name = (field_name), .kind = LOG_FIELD_FLOAT, .number = (value)})

/* Call once in main, before threads. */
void log_configure(enum log_level level, enum log_format format);
bool log_level_parse(const char *text, enum log_level *ret_level);    /* debug info warn error */
bool log_format_parse(const char *text, enum log_format *ret_format); /* text json */
bool log_is_enabled(enum log_level level);

void log_write(enum log_level level, const char *msg, const struct log_field *fields);

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_is_enabled(level)) {                                                               \
            log_write((level), (message),                                                          \
                      (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});                  \
        }                                                                                          \
    } while (0)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...)  LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_fail(...)  LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

/* Adds one field to every line this thread writes until the enclosing block ends. The strings in
 * the field must outlive the block. At most 8 deep; more are dropped. */
struct log_scope {
    unsigned depth;
};

struct log_scope log_scope_push(struct log_field field);
void log_scope_pop(struct log_scope *scope);

#define LOG_SCOPE_NAME_(line) log_scope_##line
#define LOG_SCOPE_AT_(line, f)                                                                     \
    struct log_scope LOG_SCOPE_NAME_(line) __attribute__((unused)) CLEANUP(log_scope_pop) =        \
        log_scope_push(f)
#define LOG_SCOPE_LINE_(line, f) LOG_SCOPE_AT_(line, f)
#define LOG_SCOPE(field)         LOG_SCOPE_LINE_(__LINE__, field)
