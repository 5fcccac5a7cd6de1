#include "tests/sim/glpi/look.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"

void look_set_zone(struct look *look, const char *name, int64_t offset_s)
{
    static const struct {
        const char *name;
        int64_t offset_s;
        bool european_dst;
    } zones[] = {
        {"UTC", 0, false},
        {"America/Sao_Paulo", -10800, false},
        {"Asia/Kolkata", 19800, false},
        {"Asia/Tokyo", 32400, false},
        {"Europe/Lisbon", 0, true},
        {"Europe/Berlin", 3600, true},
    };

    look->zone = name;
    look->offset_s = offset_s;
    look->european_dst = false;
    for (size_t i = 0; name != NULL && i < ARRAY_SIZE(zones); i++) {
        if (strcmp(name, zones[i].name) == 0 && offset_s == 0) {
            look->offset_s = zones[i].offset_s;
            look->european_dst = zones[i].european_dst;
        }
    }
}

/* 01:00 UTC on the last Sunday of a month of 31 days. */
static int64_t last_sunday_s(int64_t year, unsigned month)
{
    int64_t day = instant_days_from_civil(year, month, 31);

    return (day - (day + 4) % 7) * 86400 + 3600; /* 1970-01-01 was a Thursday */
}

int64_t look_local_s(const struct look *look, int64_t utc_s)
{
    int64_t year;
    unsigned month;
    unsigned day;
    int64_t local_s = utc_s + look->offset_s;

    if (look->european_dst) {
        instant_civil_from_days(utc_s / 86400, &year, &month, &day);
        if (utc_s >= last_sunday_s(year, 3) && utc_s < last_sunday_s(year, 10)) {
            local_s += 3600;
        }
    }
    return local_s;
}

bool look_shows(const struct look *look, const struct column *column)
{
    return column->versions == IN_BOTH || (column->versions == IN_V11) == look->version11;
}

static bool needs_encoding(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '<' || text.ptr[i] == '>' || text.ptr[i] == '&') {
            return true;
        }
    }
    return false;
}

void look_encode(const struct look *look, struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.ptr[i]) {
        case '<':
            buf_add_c(out, look->encoded_95 ? "&lt;" : "&#60;");
            break;
        case '>':
            buf_add_c(out, look->encoded_95 ? "&gt;" : "&#62;");
            break;
        case '&':
            buf_add_c(out, look->encoded_95 ? "&amp;" : "&#38;");
            break;
        default:
            buf_add_char(out, text.ptr[i]);
        }
    }
}

/* The parts are encoded, what stands between them is not. */
static void encode_tree(const struct look *look, struct str text, struct buf *out)
{
    static const struct str between = {" > ", 3};

    for (;;) {
        const char *cut =
            text.len == 0 ? NULL : memmem(text.ptr, text.len, between.ptr, between.len);

        if (cut == NULL) {
            look_encode(look, text, out);
            return;
        }
        size_t len = (size_t)(cut - text.ptr);

        look_encode(look, (struct str){text.ptr, len}, out);
        buf_add_str(out, between);
        text = (struct str){cut + between.len, text.len - len - between.len};
    }
}

/*
 * With the header the server decodes what it takes for encoded, and a raw ">" is its sign that a
 * text is not: a path of several names stays encoded.
 */
static void
add_text(const struct look *look, const struct column *column, struct str text, struct buf *out)
{
    bool path = column->type == TYPE_TREE && memmem(text.ptr, text.len, " > ", 3) != NULL;

    if (look->version11 || (look->decoded && !path) || !needs_encoding(text)) {
        buf_add_str(out, text);
    } else if (column->type == TYPE_TREE) {
        encode_tree(look, text, out);
    } else {
        look_encode(look, text, out);
    }
}

bool look_text(const struct look *look,
               const struct column *column,
               const struct cell *cell,
               struct buf *out)
{
    char instant[INSTANT_TEXT_MAX];

    if (cell->null) {
        return false;
    }
    switch (column->type) {
    case TYPE_INT:
        buf_add_int(out, cell->number);
        break;
    case TYPE_TIME:
        buf_add_c(out, instant_format_plain(look_local_s(look, cell->number) * US_PER_S, instant));
        break;
    default:
        add_text(look, column, cell->text, out);
    }
    return true;
}

void look_write(const struct look *look,
                const struct column *column,
                const struct cell *cell,
                struct buf *out)
{
    struct buf text CLEANUP(buf_release) = {0};

    if (cell->null) {
        buf_add_c(out, "null");
        return;
    }
    if (column->type == TYPE_INT) {
        buf_add_int(out, cell->number);
        return;
    }
    if (column->type == TYPE_TEXT && (look->version11 || look->decoded)) {
        buf_add_json_string(out, cell->text);
        return;
    }
    if (column->type == TYPE_TIME) {
        buf_add_char(out, '"');
        (void)look_text(look, column, cell, out);
        buf_add_char(out, '"');
        return;
    }
    buf_init(&text, 1 << 20);
    (void)look_text(look, column, cell, &text);
    buf_add_json_string(out, buf_str(&text));
}
