#include "common/base/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/thread.h"

enum {
    SCOPE_DEPTH_MAX = 8,
    FIELD_TEXT_BYTES_MAX = 8 * 1024,
    LINE_BYTES_MAX = 1024 * 1024,
};

struct sink {
    _Atomic enum log_level level;
    _Atomic enum log_format format;
    struct mutex lock; /* one line at a time */
};

static struct sink sink = {
    .level = LOG_LEVEL_INFO,
    .format = LOG_FORMAT_TEXT,
    .lock = {PTHREAD_MUTEX_INITIALIZER},
};

static _Thread_local struct log_field scope_fields[SCOPE_DEPTH_MAX];
static _Thread_local unsigned scope_depth;
static _Thread_local enum log_format line_format; /* of the line that is being made */

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_labels[] = {"DEBUG", "INFO", "WARN", "ERROR"};

void log_configure(enum log_level level, enum log_format format)
{
    sink.level = level;
    sink.format = format;
}

bool log_level_parse(const char *text, enum log_level *ret_level)
{
    for (unsigned i = 0; i < ARRAY_SIZE(level_names); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_format_parse(const char *text, enum log_format *ret_format)
{
    bool json = strcmp(text, "json") == 0;
    if (!json && strcmp(text, "text") != 0) {
        return false;
    }
    *ret_format = json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
    return true;
}

bool log_is_enabled(enum log_level level)
{
    return level >= sink.level;
}

/* A value that splits at white space and reads back unquoted. */
static bool is_plain_word(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= 0x7f) {
            return false;
        }
    }
    return text.len > 0;
}

static void add_text_value(struct buf *line, const char *text)
{
    if (text == NULL) {
        buf_add_c(line, "null");
        return;
    }
    struct str shown = str_shorten(str_from(text), FIELD_TEXT_BYTES_MAX);
    if (line_format == LOG_FORMAT_TEXT && is_plain_word(shown)) {
        buf_add_str(line, shown);
    } else {
        buf_add_json_string(line, shown);
    }
}

static void add_value(struct buf *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        add_text_value(line, field->text);
        return;
    case LOG_FIELD_INT:
        buf_add_int(line, field->integer);
        return;
    case LOG_FIELD_FLOAT:
        if (isfinite(field->number)) {
            buf_addf(line, "%.15g", field->number);
        } else {
            buf_add_c(line, "null");
        }
        return;
    case LOG_FIELD_END:
        return;
    }
}

static void add_field(struct buf *line, const struct log_field *field)
{
    if (line_format == LOG_FORMAT_JSON) {
        buf_add_char(line, ',');
        buf_add_json_string(line, str_from(field->name));
        buf_add_char(line, ':');
    } else {
        buf_add_char(line, ' ');
        buf_add_c(line, field->name);
        buf_add_char(line, '=');
    }
    add_value(line, field);
}

static void add_head(struct buf *line, enum log_level level, const char *msg)
{
    char now[INSTANT_TEXT_MAX];
    instant_format_rfc3339(clock_wall_us(), now);
    if (line_format == LOG_FORMAT_TEXT) {
        buf_addf(line, "%s %-5s %s", now, level_labels[level], msg);
        return;
    }
    buf_addf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", now, level_names[level]);
    buf_add_json_string(line, str_from(msg));
}

/* Nobody can be told that stderr is gone: the line is lost. */
static void write_line(struct str line)
{
    MUTEX_GUARD(&sink.lock);
    while (line.len > 0) {
        ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        line.ptr += written;
        line.len -= (size_t)written;
    }
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields)
{
    struct buf line CLEANUP(buf_release) = {0};
    buf_init(&line, LINE_BYTES_MAX);
    line_format = sink.format;
    add_head(&line, level, msg);
    size_t head_len = line.len;
    for (unsigned i = 0; i < scope_depth; i++) {
        add_field(&line, &scope_fields[i]);
    }
    for (const struct log_field *field = fields; field->kind != LOG_FIELD_END; field++) {
        add_field(&line, field);
    }
    if (line.overflow) { /* a line that is whole beats one that is full */
        buf_truncate(&line, head_len);
        line.overflow = false;
    }
    buf_add_c(&line, line_format == LOG_FORMAT_JSON ? "}\n" : "\n");
    write_line(buf_str(&line));
}

struct log_scope log_scope_push(struct log_field field)
{
    struct log_scope scope = {scope_depth};
    if (scope_depth < SCOPE_DEPTH_MAX) {
        scope_fields[scope_depth++] = field;
    }
    return scope;
}

void log_scope_pop(struct log_scope *scope)
{
    scope_depth = scope->depth;
}
