#include "fake_glpi.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

#define PARAMETERS_MAX 16

struct parameter {
    char name[64];
    char value[128];
};

/* A request as it was understood. */
struct asked {
    struct fake_glpi *glpi;
    char path[128];
    struct parameter parameters[PARAMETERS_MAX];
    size_t n;
    int64_t from;
    int64_t to;
    bool by_id;
    bool by_opened;
    bool descending;
    bool wants_trash;
};

void fake_glpi_init(struct fake_glpi *glpi)
{
    *glpi = (struct fake_glpi){.version = "10.0.19",
                               .zone_real = "UTC",
                               .entities = "0,1,2",
                               .now_s = 1800000000,
                               .empty_status = 206};
}

void fake_glpi_release(struct fake_glpi *glpi)
{
    zone_close(glpi->zone);
    xfree(glpi->tickets.items);
    xfree(glpi->children.items);
    xfree(glpi->log.items);
}

struct fake_item *fake_list_add(struct fake_list *list, int64_t id, int64_t changed_s)
{
    if (list->n == list->capacity) {
        list->capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        list->items = xrealloc(list->items, list->capacity * sizeof(*list->items));
    }
    struct fake_item *item = &list->items[list->n++];
    *item = (struct fake_item){
        .id = id, .changed_s = changed_s, .opened_s = changed_s, .itemtype = "Ticket"};
    return item;
}

struct fake_item *fake_list_find(struct fake_list *list, int64_t id)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].id == id) {
            return &list->items[i];
        }
    }
    return NULL;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 0;
}

static void decode(struct str text, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        if (text.ptr[i] == '%' && i + 2 < text.len) {
            out[n++] = (char)(hex(text.ptr[i + 1]) * 16 + hex(text.ptr[i + 2]));
            i += 2;
        } else {
            out[n++] = text.ptr[i];
        }
    }
    out[n] = '\0';
}

static const char *find(const struct asked *asked, const char *name)
{
    const char *ignored = asked->glpi->ignores;
    for (size_t i = 0; i < asked->n; i++) {
        if (strcmp(asked->parameters[i].name, name) == 0 &&
            (ignored == NULL || strncmp(name, ignored, strlen(ignored)) != 0)) {
            return asked->parameters[i].value;
        }
    }
    return NULL;
}

static void understand(struct fake_glpi *glpi, const char *url, struct asked *asked)
{
    const char *api = strstr(url, "/apirest.php");
    struct str rest = str_from(api != NULL ? api + strlen("/apirest.php") : "");
    struct str path = str_cut(&rest, '?');
    *asked = (struct asked){.glpi = glpi, .to = 14};
    (void)snprintf(asked->path, sizeof(asked->path), "%.*s", STR_ARG(path));
    while (rest.len > 0 && asked->n < PARAMETERS_MAX) {
        struct str value = str_cut(&rest, '&');
        struct str name = str_cut(&value, '=');
        struct parameter *parameter = &asked->parameters[asked->n++];
        decode(name, parameter->name, sizeof(parameter->name));
        decode(value, parameter->value, sizeof(parameter->value));
    }
    const char *range = find(asked, "range");
    const char *sort = find(asked, "sort");
    const char *order = find(asked, "order");
    const char *trash = find(asked, "is_deleted");
    struct str to = str_from(range);
    struct str from = str_cut(&to, '-');
    (void)str_to_int64(from, 0, INT64_MAX, &asked->from);
    (void)str_to_int64(to, 0, INT64_MAX, &asked->to);
    asked->by_id = sort == NULL || strcmp(sort, "id") == 0;
    asked->by_opened = sort != NULL && strcmp(sort, "date") == 0;
    asked->descending = order != NULL && strcmp(order, "DESC") == 0;
    asked->wants_trash = trash != NULL && strcmp(trash, "true") == 0;
}

static void local_text(const struct fake_glpi *glpi, int64_t at_s, char out[INSTANT_TEXT_MAX])
{
    int64_t us = at_s * US_PER_S;
    (void)instant_format_plain(us + zone_offset_us(glpi->zone, us), out);
}

static void write_time(const struct fake_glpi *glpi, int64_t at_s, struct buf *out)
{
    char text[INSTANT_TEXT_MAX];
    if (at_s == 0) {
        buf_add_c(out, "null");
        return;
    }
    local_text(glpi, at_s, text);
    buf_addf(out, "\"%s\"", text);
}

static void write_item(const struct fake_glpi *glpi, const struct fake_item *item, struct buf *out)
{
    buf_addf(out, "{\"id\":%" PRId64 ",\"date_mod\":", item->id);
    write_time(glpi, item->changed_s, out);
    buf_add_c(out, ",\"date\":");
    write_time(glpi, item->opened_s, out);
    buf_addf(out,
             ",\"name\":\"a &#38; b%s\",\"itemtype\":\"%s\",\"tickets_id\":%" PRId64
             ",\"items_id\":%" PRId64 ",\"is_deleted\":%d}",
             glpi->has_nul ? "\\u0000" : "", item->itemtype, item->parent, item->parent,
             item->is_trash ? 1 : 0);
}

/* qsort has no argument of its own. */
static const struct asked *sorting;
static uint64_t shuffle;

static int64_t sort_key(const struct fake_item *item)
{
    return sorting->by_id ? item->id : sorting->by_opened ? item->opened_s : item->changed_s;
}

static int compare(const void *a, const void *b)
{
    const struct fake_item *x = *(const struct fake_item *const *)a;
    const struct fake_item *y = *(const struct fake_item *const *)b;
    int64_t one = sort_key(x);
    int64_t other = sort_key(y);
    int way = (one > other) - (one < other);
    if (way == 0) {
        uint64_t p = (uint64_t)x->id * (shuffle | 1) % 9973;
        uint64_t q = (uint64_t)y->id * (shuffle | 1) % 9973;
        return (p > q) - (p < q) != 0 ? (p > q) - (p < q) : (x->id > y->id) - (x->id < y->id);
    }
    return sorting->descending ? -way : way;
}

/* "^2026-11-10 12:00:00$" against the local reading, "^Ticket$", "^24$". */
static bool holds(const struct asked *asked, const struct fake_item *item)
{
    char text[INSTANT_TEXT_MAX];
    char pattern[64];
    const char *wanted = find(asked, "searchText[itemtype]");
    if (wanted != NULL) {
        (void)snprintf(pattern, sizeof(pattern), "^%s$", item->itemtype);
        if (strcmp(wanted, pattern) != 0) {
            return false;
        }
    }
    wanted = find(asked, "searchText[date_mod]");
    local_text(asked->glpi, item->changed_s, text);
    if (wanted == NULL) {
        wanted = find(asked, "searchText[date]");
        local_text(asked->glpi, item->opened_s, text);
    }
    (void)snprintf(pattern, sizeof(pattern), "^%s$", text);
    return wanted == NULL || strcmp(wanted, pattern) == 0;
}

static void add_header(struct transport_answer *answer, const char *name, const char *value)
{
    char line[256];
    (void)snprintf(line, sizeof(line), "%s: %s", name, value);
    (void)!headers_add_line(&answer->headers, str_from(line));
}

static void fail(struct transport_answer *answer, int status, const char *code)
{
    answer->status = status;
    buf_reset(&answer->body);
    buf_addf(&answer->body, "[\"%s\",\"words; view documentation\"]", code);
}

/* The rows of a list in the order asked for; caller frees. */
static struct fake_item **
select_items(const struct asked *asked, struct fake_list *list, int64_t parent, int64_t *ret_total)
{
    struct fake_glpi *glpi = asked->glpi;
    struct fake_item **found = xcalloc(list->n + 1, sizeof(struct fake_item *));
    int64_t total = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct fake_item *item = &list->items[i];
        bool is_visible = !item->is_gone && !item->is_hidden;
        if (is_visible && item->is_trash == asked->wants_trash &&
            (parent < 0 || item->parent == parent) && holds(asked, item)) {
            found[total++] = item;
        }
    }
    sorting = asked;
    shuffle = glpi->shuffles_ties ? (uint64_t)glpi->n_requests * 7919 : 0;
    if (total > 0) {
        qsort(found, (size_t)total, sizeof(struct fake_item *), compare);
    }
    *ret_total = total;
    return found;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void add_range(const struct asked *asked, int64_t total, struct transport_answer *answer)
{
    const struct fake_glpi *glpi = asked->glpi;
    int64_t end = smaller(asked->to, total - 1);
    char range[96];
    (void)snprintf(range, sizeof(range), "%" PRId64 "-%" PRId64 "/%" PRId64, asked->from, end,
                   total);
    if (total > 0 && !glpi->no_content_range) {
        add_header(answer, "Content-Range", range);
    }
    answer->status = end - asked->from + 1 < total ? 206 : 200;
}

static void write_list(const struct asked *asked,
                       struct fake_list *list,
                       int64_t parent,
                       struct transport_answer *answer)
{
    struct fake_glpi *glpi = asked->glpi;
    int64_t total = 0;
    int64_t wanted = asked->to - asked->from + 1;
    struct fake_item **found = select_items(asked, list, parent, &total);
    int64_t end = smaller(asked->to, total - 1);
    int64_t lost = glpi->short_at == glpi->n_requests && end > asked->from
                       ? asked->from + (end - asked->from + 1) / 2
                       : -1;
    glpi->n_lists++;
    if (glpi->nothing_from > 0 && glpi->n_lists >= glpi->nothing_from && wanted > 1) {
        buf_add_c(&answer->body, "[]");
        xfree(found);
        return;
    }
    if (asked->from > total) {
        fail(answer, 400, "ERROR_RANGE_EXCEED_TOTAL");
        xfree(found);
        return;
    }
    buf_add_c(&answer->body, "[");
    for (int64_t i = asked->from; i <= end; i++) {
        if (i != lost) {
            buf_add_c(&answer->body, answer->body.len > 1 ? "," : "");
            write_item(glpi, found[i], &answer->body);
        }
    }
    buf_add_c(&answer->body, "]");
    add_range(asked, total + glpi->total_extra, answer);
    if (glpi->empty_above > 0 && wanted > glpi->empty_above) {
        answer->status = glpi->empty_status;
        buf_reset(&answer->body);
        buf_add_c(&answer->body, glpi->empty_body != NULL ? glpi->empty_body : "");
        glpi->is_cut = glpi->is_cut_above;
    }
    xfree(found);
}

static void write_one(const struct asked *asked,
                      struct fake_list *list,
                      int64_t id,
                      struct transport_answer *answer)
{
    const struct fake_item *item = fake_list_find(list, id);
    if (item == NULL || item->is_gone) {
        fail(answer, 404, "ERROR_ITEM_NOT_FOUND");
    } else if (item->is_hidden) {
        fail(answer, 403, "ERROR_RIGHT_MISSING");
    } else {
        write_item(asked->glpi, item, &answer->body);
    }
}

static void write_session(struct fake_glpi *glpi, struct buf *body)
{
    char now[INSTANT_TEXT_MAX];
    local_text(glpi, glpi->now_s, now);
    buf_addf(body, "{\"session\":{\"glpiname\":\"foz\",\"glpi_currenttime\":\"%s\"", now);
    if (glpi->zone_name != NULL) {
        buf_addf(body, ",\"glpi_tz\":\"%s\"", glpi->zone_name);
    }
    buf_add_c(body, "}}");
}

static void write_entities(struct fake_glpi *glpi, struct buf *body)
{
    struct str rest = str_from(glpi->entities);
    buf_add_c(body, "{\"active_entity\":{\"id\":0,\"active_entity_recursive\":1,"
                    "\"active_entities\":[");
    for (int i = 0; rest.len > 0; i++) {
        struct str id = str_cut(&rest, ',');
        buf_addf(body, "%s{\"id\":%.*s}", i > 0 ? "," : "", STR_ARG(id));
    }
    buf_add_c(body, "]}}");
}

static void write_search(const struct asked *asked, struct buf *body)
{
    struct fake_glpi *glpi = asked->glpi;
    int64_t total = 0;
    for (size_t i = 0; i < asked->n; i++) {
        size_t len = strlen(glpi->last_search);
        (void)snprintf(glpi->last_search + len, sizeof(glpi->last_search) - len, "%s=%s\n",
                       asked->parameters[i].name, asked->parameters[i].value);
    }
    const char *from = find(asked, "criteria[0][value]");
    const char *to = find(asked, "criteria[1][value]");
    for (size_t i = 0; i < glpi->tickets.n; i++) {
        const struct fake_item *item = &glpi->tickets.items[i];
        char text[INSTANT_TEXT_MAX];
        local_text(glpi, item->changed_s, text);
        total += !item->is_gone && !item->is_hidden && !item->is_trash && from != NULL &&
                         to != NULL && strcmp(text, from) > 0 && strcmp(text, to) < 0
                     ? 1
                     : 0;
    }
    buf_addf(body, "{\"totalcount\":%" PRId64 ",\"count\":%d", total, total > 0 ? 1 : 0);
    buf_add_c(body, total > 0 ? ",\"data\":[{\"2\":1}]}" : "}");
}

static struct fake_list *list_of(struct fake_glpi *glpi, struct str name)
{
    return str_equal_c(name, "Ticket") ? &glpi->tickets
           : str_equal_c(name, "Log")  ? &glpi->log
                                       : &glpi->children;
}

/* /Ticket, /Ticket/24, /Ticket/24/Ticket_User */
static void write_rows(const struct asked *asked, struct transport_answer *answer)
{
    struct fake_glpi *glpi = asked->glpi;
    struct str rest = str_from(asked->path + 1);
    struct str name = str_cut(&rest, '/');
    struct str sub = rest;
    struct str id_text = str_cut(&sub, '/');
    int64_t id = -1;
    if (glpi->status != 0) {
        fail(answer, glpi->status, glpi->status == 403 ? "ERROR_RIGHT_MISSING" : "ERROR");
    } else if (str_equal_c(name, "Log") && glpi->no_right_to_log) {
        fail(answer, 403, "ERROR_RIGHT_MISSING");
    } else if (rest.len == 0) {
        write_list(asked, list_of(glpi, name), -1, answer);
    } else if (!str_to_int64(id_text, 0, INT64_MAX, &id)) {
        fail(answer, 400, "ERROR_RESOURCE_MISSING");
    } else if (sub.len == 0) {
        write_one(asked, list_of(glpi, name), id, answer);
    } else {
        write_one(asked, list_of(glpi, name), id, answer);
        if (answer->status == 200) {
            buf_reset(&answer->body);
            write_list(asked, list_of(glpi, sub), id, answer);
        }
    }
}

static const char *header(const struct transport_request *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        if (str_equal_nocase(str_from(request->headers[i].name), str_from(name))) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

static void log_in(struct fake_glpi *glpi,
                   const struct transport_request *request,
                   struct transport_answer *answer)
{
    const char *credential = header(request, "Authorization");
    if (glpi->refuses_login || credential == NULL ||
        strncmp(credential, "user_token ", strlen("user_token ")) != 0) {
        fail(answer, 401, "ERROR_GLPI_LOGIN_USER_TOKEN");
        return;
    }
    (void)snprintf(glpi->token, sizeof(glpi->token), "token-%zu", ++glpi->n_logins);
    glpi->token_is_good = true;
    buf_addf(&answer->body, "{\"session_token\":\"%s\"}", glpi->token);
}

static bool is_session_good(struct fake_glpi *glpi, const struct transport_request *request)
{
    const char *token = header(request, "Session-Token");
    for (size_t i = 0; i < ARRAY_SIZE(glpi->expire_at); i++) {
        if (glpi->expire_at[i] == glpi->n_requests) {
            glpi->token_is_good = false;
            glpi->expire_at[i] = 0;
        }
    }
    glpi->has_credential_leak =
        glpi->has_credential_leak || header(request, "Authorization") != NULL;
    return token != NULL && glpi->token_is_good && strcmp(token, glpi->token) == 0;
}

static void answer_session(struct asked *asked, struct transport_answer *answer)
{
    struct fake_glpi *glpi = asked->glpi;
    struct buf *body = &answer->body;
    if (strcmp(asked->path, "/killSession") == 0) {
        glpi->token_is_good = false;
        glpi->n_kills++;
        buf_add_c(body, "true");
    } else if (strcmp(asked->path, "/changeActiveEntities") == 0) {
        buf_add_c(body, glpi->refuses_entities ? "false" : "true");
    } else if (strcmp(asked->path, "/getActiveEntities") == 0) {
        write_entities(glpi, body);
    } else if (strcmp(asked->path, "/getFullSession") == 0) {
        write_session(glpi, body);
    } else if (strcmp(asked->path, "/getGlpiConfig") == 0) {
        buf_addf(body, "{\"cfg_glpi\":{\"version\":\"%s\"}}", glpi->version);
    } else if (strcmp(asked->path, "/search/Ticket") == 0) {
        write_search(asked, body);
    } else if (strcmp(asked->path, "/listSearchOptions/Ticket") == 0) {
        buf_add_c(body, "{\"2\":{\"table\":\"glpi_tickets\",\"field\":\"id\"},"
                        "\"19\":{\"table\":\"glpi_tickets\",\"field\":\"date_mod\"}}");
    } else {
        write_rows(asked, answer);
    }
}

static enum transport_result perform(void *self,
                                     const struct transport_request *request,
                                     struct transport_answer *answer,
                                     struct error *err)
{
    struct fake_glpi *glpi = self;
    struct asked asked;
    struct error ignored = ERROR_INIT;
    if (glpi->zone == NULL) {
        glpi->zone = zone_open(glpi->zone_real, &ignored);
    }
    headers_reset(&answer->headers);
    buf_reset(&answer->body);
    answer->was_sent = true;
    answer->status = 200;
    if (glpi->before != NULL) {
        glpi->before(glpi, glpi->n_requests);
    }
    glpi->n_requests++;
    (void)snprintf(glpi->last_url, sizeof(glpi->last_url), "%s", request->url);
    understand(glpi, request->url, &asked);
    if (!glpi->no_date) {
        char date[INSTANT_TEXT_MAX];
        add_header(answer, "Date", instant_format_http_date(glpi->now_s * US_PER_S, date));
    }
    bool is_html = glpi->html_always || glpi->html_at == glpi->n_requests;
    add_header(answer, "Content-Type",
               is_html ? "text/html; charset=UTF-8" : "application/json; charset=UTF-8");
    const char *app_token = header(request, "App-Token");
    if (is_html) {
        buf_add_c(&answer->body, "\n\n<title>MAINTENANCE MODE - GLPI</title>");
    } else if (glpi->needs_app_token &&
               (app_token == NULL || strcmp(app_token, "app-secret") != 0)) {
        fail(answer, 400, "ERROR_WRONG_APP_TOKEN_PARAMETER");
    } else if (strcmp(asked.path, "/initSession") == 0) {
        log_in(glpi, request, answer);
    } else if (!is_session_good(glpi, request)) {
        fail(answer, 401, "ERROR_SESSION_TOKEN_INVALID");
    } else {
        answer_session(&asked, answer);
    }
    if (glpi->cut_at == glpi->n_requests) {
        buf_truncate(&answer->body, answer->body.len / 2);
    }
    if (glpi->is_cut) {
        glpi->is_cut = false;
        (void)error_set(err, ERROR_TRANSIENT, "the connection was reset");
        return TRANSPORT_BROKEN;
    }
    return TRANSPORT_ANSWERED;
}

static void do_nothing(void *self)
{
    (void)self;
}

static struct http_transport open_glpi(void *arg, const struct transport_options *options)
{
    (void)options;
    return (struct http_transport){perform, do_nothing, do_nothing, arg};
}

struct http_seams fake_glpi_seams(struct fake_clock *clock, struct fake_glpi *glpi)
{
    return (struct http_seams){&clock->clock, open_glpi, glpi};
}

struct source_config fake_glpi_config(void)
{
    struct source_config config = fake_config();
    (void)setenv("FOZ_TEST_APP_SECRET", "app-secret", 1);
    config.name = "desk";
    config.type = "glpi";
    config.url = "https://glpi.example.test/apirest.php";
    config.auth = (struct auth_config){.method = AUTH_USER_TOKEN,
                                       .user_token = "env:FOZ_TEST_SECRET",
                                       .app_token = "env:FOZ_TEST_APP_SECRET"};
    config.overlap_us = 10 * US_PER_MIN;
    config.visibility_lag_us = 5 * US_PER_S;
    return config;
}
