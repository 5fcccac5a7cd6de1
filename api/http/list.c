#include "api/http/list.h"

#include <string.h>

#include "common/io/db.h"

static const struct {
    const char *name;
    const char *media;
    const char *content_type;
} formats[] = {
    [LIST_JSON] = {"json", "application/json", "application/json"},
    [LIST_CSV] = {"csv", "text/csv", "text/csv; charset=utf-8"},
    [LIST_NDJSON] = {"ndjson", "application/x-ndjson", "application/x-ndjson"},
};

/* "0.5" in thousandths; 1000 without a q. */
static int quality(struct str parameters)
{
    while (parameters.ptr != NULL) {
        struct str one = str_trim(str_cut(&parameters, ';'));
        if (!str_starts_with_nocase(one, STR_LITERAL("q="))) {
            continue;
        }
        int value = 0;
        int scale = 1000;
        for (size_t i = 2; i < one.len && scale > 0; i++) {
            if (one.ptr[i] >= '0' && one.ptr[i] <= '9') {
                value += (one.ptr[i] - '0') * scale;
                scale /= 10;
            }
        }
        return value > 1000 ? 1000 : value;
    }
    return 1000;
}

/* How much the client wants `media`, by the most specific range that covers it. */
static int acceptance(struct str accept, const char *media)
{
    int best = 0;
    int best_specificity = -1;
    const char *slash = strchr(media, '/');
    while (accept.ptr != NULL) {
        struct str parameters = str_cut(&accept, ',');
        struct str range = str_trim(str_cut(&parameters, ';'));
        int specificity = -1;
        if (str_equal_nocase(range, str_from(media))) {
            specificity = 2;
        } else if (range.len == (size_t)(slash - media) + 2 && range.ptr[range.len - 1] == '*' &&
                   str_starts_with_nocase(range,
                                          (struct str){media, (size_t)(slash - media) + 1})) {
            specificity = 1;
        } else if (str_equal_c(range, "*/*") || str_equal_c(range, "*")) {
            specificity = 0;
        }
        if (specificity > best_specificity) {
            best_specificity = specificity;
            best = quality(parameters);
        }
    }
    return best;
}

bool list_negotiate(const struct request *request,
                    const char *format,
                    enum list_format *ret_format,
                    struct problem *problem)
{
    if (format != NULL) {
        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
            if (strcmp(format, formats[i].name) == 0) {
                *ret_format = (enum list_format)i;
                return true;
            }
        }
    }
    struct str accept = request_header(request, "Accept");
    if (accept.len == 0) {
        *ret_format = LIST_JSON;
        return true;
    }
    int best = 0;
    for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
        int wanted = acceptance(accept, formats[i].media);
        if (wanted > best) {
            best = wanted;
            *ret_format = (enum list_format)i;
        }
    }
    return best > 0 || problem_set(problem, 406, "not_acceptable",
                                   "this list comes as application/json, text/csv or "
                                   "application/x-ndjson: ask for one of them in Accept, or "
                                   "with format=");
}

const char *list_content_type(enum list_format format)
{
    return formats[format].content_type;
}

void list_write_instant(struct buf *out, struct str text)
{
    struct str utc = STR_LITERAL("+00");
    bool is_utc = str_ends_with(text, utc);
    struct str time = {text.ptr, is_utc ? text.len - utc.len : text.len};
    struct str date = str_cut(&time, ' ');
    buf_add_str(out, date);
    if (time.ptr != NULL) {
        buf_add_char(out, 'T');
        buf_add_str(out, time);
    }
    if (is_utc) {
        buf_add_char(out, 'Z');
    }
}

static void write_json_cell(
    struct buf *out, enum cell_kind kind, const struct db_result *result, size_t row, size_t column)
{
    if (db_is_null(result, row, column)) {
        buf_add_c(out, "null");
        return;
    }
    switch (kind) {
    case CELL_TEXT:
        buf_add_json_string(out, db_str(result, row, column));
        return;
    case CELL_INSTANT:
        buf_add_char(out, '"');
        list_write_instant(out, db_str(result, row, column));
        buf_add_char(out, '"');
        return;
    case CELL_BOOL:
        buf_add_c(out, db_bool(result, row, column) ? "true" : "false");
        return;
    case CELL_NUMBER:
    case CELL_JSON:
        buf_add_str(out, db_str(result, row, column));
        return;
    }
}

void list_write_member(struct buf *out,
                       const struct list_column *column,
                       const struct db_result *result,
                       size_t row,
                       size_t result_column)
{
    buf_add_char(out, '"');
    buf_add_c(out, column->name);
    buf_add_c(out, "\":");
    write_json_cell(out, column->kind, result, row, result_column);
}

void list_write_members(struct buf *out,
                        const struct list_column *columns,
                        size_t n_columns,
                        const struct db_result *result,
                        size_t row)
{
    for (size_t i = 0; i < n_columns; i++) {
        buf_add_c(out, i == 0 ? "" : ",");
        list_write_member(out, &columns[i], result, row, i);
    }
}

void list_write_object(struct buf *out,
                       const struct list_column *columns,
                       size_t n_columns,
                       const struct db_result *result,
                       size_t row)
{
    buf_add_char(out, '{');
    list_write_members(out, columns, n_columns, result, row);
    buf_add_char(out, '}');
}

void list_write_csv_field(struct buf *out, struct str text)
{
    bool is_plain = true;
    for (size_t i = 0; i < text.len && is_plain; i++) {
        is_plain = strchr(",\"\r\n", text.ptr[i]) == NULL;
    }
    if (is_plain) {
        buf_add_str(out, text);
        return;
    }
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            buf_add_char(out, '"');
        }
        buf_add_char(out, text.ptr[i]);
    }
    buf_add_char(out, '"');
}

void list_write_csv_text(struct buf *out, struct str text)
{
    if (text.len == 0 || strchr("=+-@\t\r", text.ptr[0]) == NULL) {
        list_write_csv_field(out, text);
        return;
    }
    struct buf marked CLEANUP(buf_release) = {0};
    buf_init(&marked, text.len + 1);
    buf_add_char(&marked, '\'');
    buf_add_str(&marked, text);
    list_write_csv_field(out, buf_str(&marked));
}

static void write_csv_row(struct buf *out,
                          const struct list_column *columns,
                          size_t n_columns,
                          const struct db_result *result,
                          size_t row)
{
    for (size_t i = 0; i < n_columns; i++) {
        if (i > 0) {
            buf_add_char(out, ',');
        }
        if (db_is_null(result, row, i)) {
            continue;
        }
        switch (columns[i].kind) {
        case CELL_TEXT:
            list_write_csv_text(out, db_str(result, row, i));
            break;
        case CELL_NUMBER:
        case CELL_JSON:
            list_write_csv_field(out, db_str(result, row, i));
            break;
        case CELL_INSTANT:
            list_write_instant(out, db_str(result, row, i));
            break;
        case CELL_BOOL:
            buf_add_c(out, db_bool(result, row, i) ? "true" : "false");
            break;
        }
    }
    buf_add_c(out, "\r\n");
}

static void write_csv(struct buf *out,
                      const struct list_column *columns,
                      size_t n_columns,
                      const struct db_result *result,
                      size_t n_rows)
{
    for (size_t i = 0; i < n_columns; i++) {
        buf_addf(out, "%s%s", i == 0 ? "" : ",", columns[i].name);
    }
    buf_add_c(out, "\r\n");
    for (size_t row = 0; row < n_rows; row++) {
        write_csv_row(out, columns, n_columns, result, row);
    }
}

void list_write(struct buf *out,
                enum list_format format,
                const struct list_column *columns,
                size_t n_columns,
                const struct db_result *result,
                size_t n_rows)
{
    if (format == LIST_CSV) {
        write_csv(out, columns, n_columns, result, n_rows);
        return;
    }
    bool is_json = format == LIST_JSON;
    buf_add_c(out, is_json ? "[" : "");
    for (size_t row = 0; row < n_rows; row++) {
        buf_add_c(out, is_json && row > 0 ? "," : "");
        list_write_object(out, columns, n_columns, result, row);
        buf_add_c(out, is_json ? "" : "\n");
    }
    buf_add_c(out, is_json ? "]" : "");
}
