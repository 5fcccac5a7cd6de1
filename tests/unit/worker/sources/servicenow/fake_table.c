#include "fake_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

#define QUERY_MAX 16384
#define TERMS_MAX 32

/* A request as it was understood. */
struct asked {
    struct fake_table *table;
    char query[QUERY_MAX];
    char *terms[TERMS_MAX]; /* of the query, without the order */
    size_t n_terms;
    char fields[2048]; /* "" = all */
    int64_t limit;
    bool count;
    bool order_by_time;
    bool order_by_key;
};

void fake_table_init(struct fake_table *table)
{
    *table = (struct fake_table){.now_s = 1800000000};
}

void fake_table_release(struct fake_table *table)
{
    xfree(table->rows);
    xfree(table->last_query);
    xfree(table->first_page);
}

struct fake_row *
fake_table_add(struct fake_table *table, const char *key, int64_t updated_s, int64_t opened_s)
{
    if (table->n_rows == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        table->rows = xrealloc(table->rows, table->capacity * sizeof(*table->rows));
    }
    struct fake_row *row = &table->rows[table->n_rows++];
    *row = (struct fake_row){.updated_s = updated_s, .opened_s = opened_s, .class = "incident"};
    (void)snprintf(row->key, sizeof(row->key), "%s", key);
    return row;
}

void fake_table_fill(struct fake_table *table, size_t n, int64_t from_s)
{
    for (size_t i = 0; i < n; i++) {
        char key[FAKE_KEY_MAX];
        uint64_t spread = n > 0 ? (uint64_t)i * (UINT64_MAX / n) : 0;
        (void)snprintf(key, sizeof(key), "%016" PRIx64 "%016zx", spread, i);
        (void)fake_table_add(table, key, from_s + (int64_t)i, from_s + (int64_t)i);
    }
}

struct fake_row *fake_table_find(struct fake_table *table, const char *key)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

static int compare_keys(const struct fake_table *table, const char *a, const char *b)
{
    return table->ignores_case ? strcasecmp(a, b) : strcmp(a, b);
}

static void field_text(const struct fake_row *row, const char *field, char out[FAKE_KEY_MAX])
{
    char time[INSTANT_TEXT_MAX];
    if (strcmp(field, "sys_id") == 0) {
        (void)snprintf(out, FAKE_KEY_MAX, "%s", row->key);
    } else if (strcmp(field, "sys_updated_on") == 0) {
        (void)snprintf(out, FAKE_KEY_MAX, "%s",
                       instant_format_plain(row->updated_s * US_PER_S, time));
    } else if (strcmp(field, "opened_at") == 0) {
        (void)snprintf(out, FAKE_KEY_MAX, "%s",
                       instant_format_plain(row->opened_s * US_PER_S, time));
    } else {
        (void)snprintf(out, FAKE_KEY_MAX, "%s", row->class);
    }
}

static bool is_listed(const struct fake_table *table, const char *list, const char *value)
{
    struct str rest = str_from(list);
    while (rest.ptr != NULL && rest.len > 0) {
        struct str item = str_cut(&rest, ',');
        if (table->ignores_case ? str_equal_nocase(item, str_from(value))
                                : str_equal_c(item, value)) {
            return true;
        }
    }
    return false;
}

static bool term_holds(const struct fake_table *table, const struct fake_row *row, const char *term)
{
    char field[64] = "";
    size_t n = 0;
    while ((islower((unsigned char)term[n]) || term[n] == '_' || term[n] == '.') && n < 63) {
        field[n] = term[n];
        n++;
    }
    const char *rest = term + n;
    char value[FAKE_KEY_MAX];
    field_text(row, field, value);
    if (strncmp(rest, "IN", 2) == 0) {
        return is_listed(table, rest + 2, value);
    }
    bool has_equal = rest[0] == '=' || (rest[0] != '\0' && rest[1] == '=');
    const char *operand = rest + (rest[0] != '=' && has_equal ? 2 : 1);
    int order =
        strcmp(field, "sys_id") == 0 ? compare_keys(table, value, operand) : strcmp(value, operand);
    return (has_equal && order == 0) || (rest[0] == '>' && order > 0) ||
           (rest[0] == '<' && order < 0);
}

static bool row_matches(const struct asked *asked, const struct fake_row *row)
{
    for (size_t i = 0; i < asked->n_terms; i++) {
        if (!term_holds(asked->table, row, asked->terms[i])) {
            return false;
        }
    }
    return !row->deleted;
}

static bool is_dropped(const struct fake_table *table, const char *term)
{
    return (table->drops != NULL && strncmp(term, table->drops, strlen(table->drops)) == 0) ||
           (table->drops_too != NULL &&
            strncmp(term, table->drops_too, strlen(table->drops_too)) == 0);
}

/* Cuts the query in place. */
static void cut_terms(struct asked *asked)
{
    char *rest = asked->query;
    while (rest != NULL && *rest != '\0' && asked->n_terms < TERMS_MAX) {
        char *term = strsep(&rest, "^");
        if (strcmp(term, "ORDERBYsys_updated_on") == 0) {
            asked->order_by_time = true;
        } else if (strcmp(term, "ORDERBYsys_id") == 0) {
            asked->order_by_key = true;
        } else if (!is_dropped(asked->table, term)) {
            asked->terms[asked->n_terms++] = term;
        }
    }
}

static const struct asked *sorting; /* qsort has no argument; tests have one thread */

static int compare_rows(const void *a, const void *b)
{
    const struct fake_row *left = *(const struct fake_row *const *)a;
    const struct fake_row *right = *(const struct fake_row *const *)b;
    if (sorting->order_by_time && left->updated_s != right->updated_s) {
        return left->updated_s < right->updated_s ? -1 : 1;
    }
    return compare_keys(sorting->table, left->key, right->key);
}

static bool is_sorted(struct fake_row *const *rows, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        if (compare_rows(&rows[i - 1], &rows[i]) > 0) {
            return false;
        }
    }
    return true;
}

static void decode(struct str text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        if (text.ptr[i] == '%' && i + 2 < text.len) {
            char hex[3] = {text.ptr[i + 1], text.ptr[i + 2], '\0'};
            out[n++] = (char)strtol(hex, NULL, 16);
            i += 2;
        } else {
            out[n++] = text.ptr[i];
        }
    }
    out[n] = '\0';
}

static void understand(struct fake_table *table, const char *url, struct asked *asked)
{
    *asked = (struct asked){.table = table, .limit = 10000, .count = true};
    const char *mark = strchr(url, '?');
    struct str rest = str_from(mark != NULL ? mark + 1 : "");
    while (rest.ptr != NULL && rest.len > 0) {
        struct str value = str_cut(&rest, '&');
        struct str name = str_cut(&value, '=');
        if (str_equal_c(name, "sysparm_limit")) {
            (void)str_to_int64(value, 1, INT64_MAX, &asked->limit);
        } else if (str_equal_c(name, "sysparm_no_count")) {
            asked->count = str_equal_c(value, "false");
        } else if (str_equal_c(name, "sysparm_fields")) {
            decode(value, asked->fields, sizeof(asked->fields));
        } else if (str_equal_c(name, "sysparm_query")) {
            decode(value, asked->query, sizeof(asked->query));
        }
    }
    xfree(table->last_query);
    table->last_query = xstrdup(asked->query);
    cut_terms(asked);
    if (asked->limit > table->limit_max) {
        table->limit_max = asked->limit;
    }
}

static bool wants(const struct asked *asked, const char *field)
{
    return (asked->fields[0] == '\0' || is_listed(asked->table, asked->fields, field)) &&
           (asked->table->hides_field == NULL || strcmp(asked->table->hides_field, field) != 0);
}

static void
write_row(const struct asked *asked, const struct fake_row *row, bool first, struct buf *out)
{
    static const char *const FIELDS[] = {"sys_id", "sys_updated_on", "opened_at", "u_class",
                                         "parent.u_class"};
    buf_add_c(out, first ? "{" : ",{");
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(FIELDS); i++) {
        char value[FAKE_KEY_MAX];
        field_text(row, FIELDS[i], value);
        if (row->is_orphan && strchr(FIELDS[i], '.') != NULL) {
            value[0] = '\0';
        }
        bool is_wrong = first && i == 0 && asked->table->wrong_key != NULL;
        if (wants(asked, FIELDS[i])) {
            buf_addf(out, "%s\"%s\":\"%s\"", n++ > 0 ? "," : "", FIELDS[i],
                     is_wrong ? asked->table->wrong_key : value);
        }
    }
    buf_add_char(out, '}');
}

static void add_header(struct transport_answer *answer, const char *name, const char *value)
{
    char line[160];
    (void)snprintf(line, sizeof(line), "%s: %s", name, value);
    (void)!headers_add_line(&answer->headers, str_from(line));
}

static void write_count(const struct asked *asked,
                        int64_t matching,
                        int64_t visible,
                        struct transport_answer *answer)
{
    int64_t count = matching;
    switch (asked->table->counts) {
    case COUNTS_HONEST:
        break;
    case COUNTS_ABSENT:
        return;
    case COUNTS_ZERO:
        count = 0;
        break;
    case COUNTS_OF_VISIBLE:
        count = visible;
        break;
    }
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRId64, count);
    add_header(answer, "X-Total-Count", text);
}

static void write_page(const struct asked *asked, struct transport_answer *answer)
{
    struct fake_table *table = asked->table;
    struct fake_row **found = xcalloc(table->n_rows + 1, sizeof(struct fake_row *));
    int64_t matching = 0;
    int64_t visible = 0;
    for (size_t i = 0; i < table->n_rows; i++) {
        if (row_matches(asked, &table->rows[i])) {
            visible += table->rows[i].hidden ? 0 : 1;
            found[matching++] = &table->rows[i];
        }
    }
    sorting = asked;
    if (!table->ignores_order && asked->order_by_key && !is_sorted(found, matching)) {
        qsort(found, (size_t)matching, sizeof(found[0]), compare_rows);
    }
    bool slips = table->slips > 0 && table->slips-- > 0;
    bool first = true;
    buf_add_c(&answer->body, "{\"result\":[");
    for (int64_t i = 0; i < matching && i < asked->limit && !slips; i++) {
        if (!found[i]->hidden) {
            write_row(asked, found[i], first, &answer->body);
            table->n_rows_sent++;
            first = false;
        }
    }
    if (table->cancels_above > 0 && asked->limit > table->cancels_above) {
        buf_add_c(&answer->body,
                  "],\"error\":{\"message\":\"Transaction cancelled: maximum execution time "
                  "exceeded\",\"detail\":null},\"status\":\"failure\"}");
    } else {
        buf_add_c(&answer->body, "]}");
    }
    if (asked->count) {
        write_count(asked, matching, visible, answer);
    }
    xfree(found);
}

static void repeat_page(struct fake_table *table, struct buf *body)
{
    if (table->first_page == NULL) {
        table->first_page = xstrdup(body->ptr);
    }
    buf_reset(body);
    buf_add_c(body, table->first_page);
}

static bool is_denied(const struct fake_table *table)
{
    return (table->denies != NULL && strstr(table->last_query, table->denies) != NULL) ||
           (table->denies_too != NULL && strstr(table->last_query, table->denies_too) != NULL);
}

static void free_asked(struct asked **asked)
{
    xfree(*asked);
}

static enum transport_result
fail(const struct fake_table *table, struct transport_answer *answer, struct error *err)
{
    switch (table->fails_as) {
    case FAILS_500:
    case FAILS_504:
        answer->status = table->fails_as == FAILS_500 ? 500 : 504;
        buf_add_c(&answer->body, "{\"error\":{\"message\":\"other\"},\"status\":\"failure\"}");
        break;
    case FAILS_BROKEN:
        buf_add_c(&answer->body, "{\"result\":[{\"sys_id\":\"0");
        break;
    case FAILS_CUT:
        error_set(err, ERROR_TRANSIENT, "cut off");
        return TRANSPORT_BROKEN;
    }
    return TRANSPORT_ANSWERED;
}

static enum transport_result perform(void *self,
                                     const struct transport_request *request,
                                     struct transport_answer *answer,
                                     struct error *err)
{
    struct fake_table *table = self;
    struct asked *asked CLEANUP(free_asked) = XNEW(struct asked);
    size_t index = table->n_requests++;
    int64_t url_len = (int64_t)strlen(request->url);
    table->url_max = url_len > table->url_max ? url_len : table->url_max;
    headers_reset(&answer->headers);
    buf_reset(&answer->body);
    answer->was_sent = true;
    answer->status = table->status != 0 ? table->status : 200;
    if (table->before != NULL) {
        table->before(table, index);
    }
    understand(table, request->url, asked);
    add_header(answer, "Content-Type", "application/json;charset=UTF-8");
    if (table->now_s != 0) {
        char date[INSTANT_TEXT_MAX];
        add_header(answer, "Date", instant_format_http_date(table->now_s * US_PER_S, date));
    }
    if (table->fails_above > 0 && asked->limit > table->fails_above) {
        return fail(table, answer, err);
    }
    bool is_cancelled = table->cancels_above > 0 && asked->limit > table->cancels_above;
    if (table->refuses_behind > 0 && url_len > table->refuses_behind) {
        answer->status = 414;
        buf_add_c(&answer->body,
                  "{\"error\":{\"message\":\"URI too long\"},\"status\":\"failure\"}");
    } else if (is_cancelled && !table->cancels_as_200) {
        answer->status = 500;
        buf_add_c(&answer->body,
                  "{\"error\":{\"message\":\"Transaction cancelled: maximum execution "
                  "time exceeded\",\"detail\":null},\"status\":\"failure\"}");
    } else if (is_denied(table)) {
        answer->status = 403;
        buf_add_c(&answer->body, "{\"error\":{\"message\":\"Insufficient rights to query "
                                 "records\",\"detail\":\"Field(s) present in the query do not "
                                 "have permission to be read\"},\"status\":\"failure\"}");
    } else if (answer->status == 200) {
        write_page(asked, answer);
    }
    if (table->repeats_page) {
        repeat_page(table, &answer->body);
    }
    return TRANSPORT_ANSWERED;
}

static void forget_cookies(void *self)
{
    (void)self;
}

static struct http_transport open_table(void *arg, const struct transport_options *options)
{
    (void)options;
    return (struct http_transport){perform, forget_cookies, forget_cookies, arg};
}

struct http_seams fake_table_seams(struct fake_clock *clock, struct fake_table *table)
{
    return (struct http_seams){&clock->clock, open_table, table};
}
