#include "tests/sim/servicenow/bad_value.h"

#include <string.h>

#include "tests/sim/store.h"

#define LONG_TEXT_BYTES 70000

static const struct {
    const char *mode;
    const char *json; /* the whole value */
} constants[] = {
    {"fraction", "\"2.5\""},
    {"not_integer", "\"abc\""},
    {"not_date", "\"2026-13-45 99:00:00\""},
    {"not_guid", "\"no value\""},
    {"duration", "\"1970-01-03 14:33:00\""},
    {"null", "null"},
    {"number", "42"},
    {"bool", "true"},
    {"array", "[\"a\",1]"},
    {"object", "{\"value\":\"inner\",\"extra\":null}"},
    {"lone_surrogate", "\"broken \\ud800 pair\""},
    {"bad_utf8", "\"broken \xff byte\""},
    {"extra", "\"\",\"u_unknown_key\":{\"nested\":[1,2,{\"x\":null}]}"},
};

bool bad_value_hits(const struct fault *fault, struct str id)
{
    uint64_t hash = 1469598103934665603U;

    for (size_t i = 0; i < id.len; i++) {
        hash = (hash ^ (unsigned char)id.ptr[i]) * 1099511628211U;
    }
    return fault->every <= 1 || store_mix(hash, 3) % (uint64_t)fault->every == 0;
}

static void add_text(struct buf *out, struct str raw, const char *tail)
{
    struct buf text CLEANUP(buf_release) = {0};

    buf_init(&text, 1 << 20);
    buf_add_json_string(&text, raw);
    buf_truncate(&text, text.len - 1);
    buf_add_str(out, buf_str(&text));
    buf_add_c(out, tail);
    buf_add_char(out, '"');
}

static void write_value(struct buf *out, const struct fault *fault, struct str raw)
{
    for (size_t i = 0; i < ARRAY_SIZE(constants); i++) {
        if (fault_mode_is(fault, constants[i].mode)) {
            buf_add_c(out, constants[i].json);
            return;
        }
    }
    if (fault_mode_is(fault, "decimal")) {
        add_text(out, raw, ".0");
    } else if (fault_mode_is(fault, "nul")) {
        add_text(out, raw, "\\u0000tail");
    } else if (fault_mode_is(fault, "emoji")) {
        add_text(out, raw, " \xf0\x9f\x9a\x92 \\ud83d\\ude80");
    } else if (fault_mode_is(fault, "long")) {
        buf_add_char(out, '"');
        for (int i = 0; i < LONG_TEXT_BYTES; i++) {
            buf_add_char(out, 'x');
        }
        buf_add_char(out, '"');
    } else if (fault_mode_is(fault, "raw")) {
        buf_add_c(out, fault->value);
    } else {
        buf_add_json_string(out, str_from(fault->value));
    }
}

void bad_value_write(struct buf *out, const struct fault *fault, struct str raw, bool with_display)
{
    if (with_display && fault_mode_is(fault, "null")) {
        buf_add_c(out, "{\"display_value\":null,\"value\":\"\"}");
        return;
    }
    if (!with_display) {
        write_value(out, fault, raw);
        return;
    }
    buf_add_c(out, "{\"display_value\":");
    write_value(out, fault, raw);
    buf_add_c(out, ",\"value\":");
    write_value(out, fault, raw);
    buf_add_char(out, '}');
}
