#include "api/handlers/page.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers/call.h"
#include "api/http/cursor.h"
#include "common/base/instant.h"
#include "common/io/db.h"

#define QUESTION_MAX  (64UL * 1024)
#define KEY_SEPARATOR '\n'

const char *const page_formats[] = {"json", "csv", "ndjson", NULL};

static bool key_is_valid(enum cell_kind kind, struct str text)
{
    int64_t number = 0;
    if (text.len == 0) {
        return kind == CELL_INSTANT;
    }
    if (kind == CELL_INSTANT) {
        return instant_parse_rfc3339(text, &number);
    }
    return kind != CELL_NUMBER || str_to_int64(text, 1, INT64_MAX, &number);
}

static bool read_keys(struct page *page, struct call *call, struct str position)
{
    struct str rest = position;
    for (size_t i = 0; i < page->n_keys; i++) {
        bool is_last = i + 1 == page->n_keys;
        struct str text = is_last ? rest : str_cut(&rest, KEY_SEPARATOR);
        if (text.ptr == NULL || !key_is_valid(page->keys[i].kind, text)) {
            return false;
        }
        page->after[i] = text.len > 0 ? arena_strndup(call->arena, text.ptr, text.len) : NULL;
    }
    return true;
}

static bool read_cursor(struct page *page, struct call *call)
{
    const char *cursor = params_text(&call->params, "cursor");
    page->is_first = cursor == NULL;
    if (cursor == NULL) {
        return true;
    }
    struct buf position CLEANUP(buf_release) = {0};
    buf_init(&position, CURSOR_POSITION_MAX);
    if (!cursor_read(buf_str(&page->question), str_from(cursor), &position) ||
        !str_is_utf8(buf_str(&position)) || memchr(position.ptr, '\0', position.len) != NULL ||
        !read_keys(page, call, buf_str(&position))) {
        return problem_set_parameter(&call->problem, STR_LITERAL("cursor"), "invalid_cursor",
                                     "cursor was altered or belongs to other filters: repeat the "
                                     "filters of the first page, or start without a cursor");
    }
    return true;
}

bool page_init(struct page *page, struct call *call, const struct page_key *keys, size_t n_keys)
{
    static const char *const not_the_question[] = {"cursor", "limit", "format", NULL};
    *page = (struct page){.keys = keys, .n_keys = n_keys};
    page->limit = params_integer(&call->params, "limit", PAGE_LIMIT);
    (void)snprintf(page->rows, sizeof(page->rows), "%lld", (long long)page->limit + 1);
    buf_init(&page->question, QUESTION_MAX);
    buf_addf(&page->question, "%s?", call->match.route->pattern);
    params_write_query(&call->params, not_the_question, &page->question);
    return read_cursor(page, call);
}

void page_release(struct page *page)
{
    buf_release(&page->question);
}

static void
write_position(const struct page *page, const struct db_result *rows, size_t row, struct buf *out)
{
    for (size_t i = 0; i < page->n_keys; i++) {
        if (i > 0) {
            buf_add_char(out, KEY_SEPARATOR);
        }
        struct str text = db_str(rows, row, page->keys[i].column);
        if (page->keys[i].kind == CELL_INSTANT) {
            list_write_instant(out, text);
        } else {
            buf_add_str(out, text);
        }
    }
}

/* </v1/tickets?...&cursor=...>; rel="next" */
static bool add_link(struct call *call, const struct buf *cursor)
{
    static const char *const except[] = {"cursor", NULL};
    struct buf link CLEANUP(buf_release) = {0};
    buf_init(&link, QUESTION_MAX);
    buf_addf(&link, "<%s?", call->match.route->pattern);
    size_t start = link.len;
    params_write_query(&call->params, except, &link);
    /* Whoever is given this answer next may have asked for the format in the other way. */
    if (call->reading.format != LIST_JSON && params_text(&call->params, "format") == NULL) {
        buf_addf(&link, "%sformat=%s", link.len > start ? "&" : "",
                 page_formats[call->reading.format]);
    }
    buf_addf(&link, "%scursor=%s>; rel=\"next\"", link.len > start ? "&" : "", cursor->ptr);
    const char *copy = link.overflow ? NULL : arena_strndup(call->arena, link.ptr, link.len);
    if (copy == NULL) {
        return problem_set(&call->problem, 413, "request_too_large", "the request is too large");
    }
    call->reading.link = (struct str){copy, link.len};
    return true;
}

static void write_rows(struct buf *out,
                       enum list_format format,
                       const struct page_rows *form,
                       const struct db_result *rows,
                       size_t n_rows)
{
    if (form->write_row == NULL || format == LIST_CSV) {
        list_write(out, format, form->columns, form->n_columns, rows, n_rows);
        return;
    }
    bool is_json = format == LIST_JSON;
    buf_add_c(out, is_json ? "[" : "");
    for (size_t row = 0; row < n_rows; row++) {
        buf_add_c(out, is_json && row > 0 ? "," : "");
        form->write_row(out, rows, row);
        buf_add_c(out, is_json ? "" : "\n");
    }
    buf_add_c(out, is_json ? "]" : "");
}

void page_write_rows(const struct page *page,
                     struct call *call,
                     const struct page_rows *form,
                     const struct db_result *rows)
{
    struct buf *body = &call->response->body;
    enum list_format format = call->reading.format;
    size_t n_rows = db_rows(rows);
    if (n_rows > 0 && db_is_null(rows, 0, 0)) {
        n_rows = 0; /* the one row of `meta` */
    }
    bool has_more = n_rows > (size_t)page->limit;
    struct buf cursor CLEANUP(buf_release) = {0};
    buf_init(&cursor, 2048);
    if (has_more) {
        n_rows = (size_t)page->limit;
        struct buf position CLEANUP(buf_release) = {0};
        buf_init(&position, CURSOR_POSITION_MAX);
        write_position(page, rows, n_rows - 1, &position);
        cursor_write(buf_str(&page->question), buf_str(&position), &cursor);
        if (!add_link(call, &cursor)) {
            return;
        }
    }
    buf_add_c(body, format == LIST_JSON ? "{\"data\":" : "");
    write_rows(body, format, form, rows, n_rows);
    if (format == LIST_JSON) {
        buf_addf(body, ",\"page\":{\"limit\":%lld,\"next_cursor\":%s%s%s,\"has_more\":%s},",
                 (long long)page->limit, has_more ? "\"" : "null", cursor.ptr, has_more ? "\"" : "",
                 has_more ? "true" : "false");
    }
    call->reading.has_meta = format == LIST_JSON;
    call->response->content_type = list_content_type(format);
}

void page_write(const struct page *page,
                struct call *call,
                const struct list_column *columns,
                size_t n_columns,
                const struct db_result *rows)
{
    page_write_rows(page, call, &(struct page_rows){.columns = columns, .n_columns = n_columns},
                    rows);
}
