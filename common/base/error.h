#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

/*
 * One failure, with words. It is fixed in size and lives on the stack of whoever handles it, so it
 * can report anything, memory trouble included.
 *
 * `code` answers "what should the caller do?"; `msg` answers "what should the operator read?" and
 * names the culprit and the cure. A fallible function takes `struct error *err` as its last
 * parameter (never NULL), returns false / NULL / its _ERROR outcome on failure, and leaves its
 * other outputs untouched. The origin sets the error once, callers wrap it, and only the one who
 * handles it logs it.
 */

enum error_code {
    ERROR_NONE = 0,
    ERROR_TRANSIENT, /* may work later: retry with backoff */
    ERROR_THROTTLED, /* the other side asks for `retry_after_ms` of silence */
    ERROR_DENIED,    /* credentials or rights: a person must act */
    ERROR_DATA,      /* what was received is wrong and stays wrong */
    ERROR_CONFIG,    /* a file or a setting must change */
    ERROR_LIMIT,     /* a bound was hit: ask for less */
    ERROR_UNCERTAIN, /* a write may have happened: read back before deciding */
    ERROR_CANCELLED, /* asked to stop */
    ERROR_BUG,       /* an invariant of ours broke */
};

struct error {
    enum error_code code;
    int http_status;         /* of the answer that caused it, 0 if none */
    int64_t retry_after_ms;  /* with ERROR_THROTTLED */
    char sqlstate[6];        /* of PostgreSQL, "" if none */
    const char *origin_file; /* static string */
    int origin_line;
    char msg[512]; /* one line, UTF-8, never a secret */
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        .code = ERROR_NONE                                                                         \
    }

/* "transient", "throttled", ...: the value of ops.execution_task.error_class. Static string. */
const char *error_code_name(enum error_code code);

static inline bool error_is_set(const struct error *err)
{
    return err->code != ERROR_NONE;
}

/* Makes `err` reusable. */
void error_clear(struct error *err);

/* Sets a clear `err`; asserts that it was clear. Returns false so that callers can return it. */
bool error_set_at(
    struct error *err, enum error_code code, const char *file, int line, const char *format, ...)
    PRINTF_FORMAT(5, 6);
#define error_set(err, code, ...) error_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

/* Prepends context and ": ". Returns false. */
bool error_wrap(struct error *err, const char *format, ...) PRINTF_FORMAT(2, 3);

/* "; " + more, cut to what fits; for joining the messages of several failed tasks. */
void error_append(struct error *err, const char *format, ...) PRINTF_FORMAT(2, 3);
