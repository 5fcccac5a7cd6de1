#include "common/base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"

const char *error_code_name(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return "none";
    case ERROR_TRANSIENT:
        return "transient";
    case ERROR_THROTTLED:
        return "throttled";
    case ERROR_DENIED:
        return "denied";
    case ERROR_DATA:
        return "data";
    case ERROR_CONFIG:
        return "config";
    case ERROR_LIMIT:
        return "limit";
    case ERROR_UNCERTAIN:
        return "uncertain";
    case ERROR_CANCELLED:
        return "cancelled";
    case ERROR_BUG:
        return "bug";
    }
    return "bug";
}

void error_clear(struct error *err)
{
    *err = (struct error)ERROR_INIT;
}

/* Keeps the promise of one line of UTF-8 whatever was formatted in, from byte `from` on. */
static void tidy_message(struct error *err, size_t from)
{
    size_t len = strnlen(err->msg, sizeof(err->msg) - 1);
    size_t at = from;
    while (at < len) {
        size_t step = str_utf8_step((struct str){err->msg + at, len - at});
        if (step == 0 && at + 4 > sizeof(err->msg) - 1) {
            break; /* a character cut by the end of the buffer */
        }
        if (step == 0) {
            err->msg[at] = '?';
        } else if ((unsigned char)err->msg[at] < 0x20 || err->msg[at] == 0x7f) {
            err->msg[at] = ' ';
        }
        at += step > 0 ? step : 1;
    }
    err->msg[at] = '\0';
}

/* Writes what fits at `at`, terminated; returns where it ends. */
static size_t put_text(struct error *err, size_t at, const char *text)
{
    size_t room = sizeof(err->msg) - 1 - at;
    size_t len = strnlen(text, room);
    memcpy(err->msg + at, text, len);
    err->msg[at + len] = '\0';
    return at + len;
}

bool error_set_at(
    struct error *err, enum error_code code, const char *file, int line, const char *format, ...)
{
    assert(err->code == ERROR_NONE);
    assert(code != ERROR_NONE);
    err->code = code;
    err->origin_file = file;
    err->origin_line = line;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->msg, sizeof(err->msg), format, args);
    va_end(args);
    tidy_message(err, 0);
    return false;
}

bool error_wrap(struct error *err, const char *format, ...)
{
    char inner[sizeof(err->msg)];
    memcpy(inner, err->msg, sizeof(inner));
    inner[sizeof(inner) - 1] = '\0';
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->msg, sizeof(err->msg), format, args);
    va_end(args);
    size_t used = len > 0 ? (size_t)len : 0;
    if (used < sizeof(err->msg) - 1) {
        used = put_text(err, used, ": ");
        (void)put_text(err, used, inner);
    }
    tidy_message(err, 0);
    return false;
}

void error_append(struct error *err, const char *format, ...)
{
    size_t used = strnlen(err->msg, sizeof(err->msg) - 1);
    size_t start = used;
    if (used > 0) {
        used = put_text(err, used, "; ");
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->msg + used, sizeof(err->msg) - used, format, args);
    va_end(args);
    tidy_message(err, start);
}
