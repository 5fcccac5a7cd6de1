#include "tests/sim/azure_devops/feed.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"

/* reporting/workitemrevisions: revisions in the order in which they happened. */

enum { PAGE_ROWS = 1000, TYPES_MAX = 16 };

struct feed_query {
    struct azure_selection selection;
    struct azure_style style;
    bool deleted, latest_only, discussions;
    char *types;      /* ";Bug;Task;", or NULL: all */
    int64_t after;    /* watermark */
    int64_t since_us; /* startDateTime, or AZURE_NEVER */
    struct str token; /* as asked; ptr NULL: none */
};

int64_t azure_page_rows(struct azure_call *call, int64_t asked)
{
    const struct fault *fault = azure_struck(call, FAULT_page_size);
    int64_t rows = asked > 0 && asked < PAGE_ROWS ? asked : PAGE_ROWS;

    return fault != NULL && fault->rate > 0 ? fault->rate : rows;
}

static void add_type(struct feed_query *query, struct str name)
{
    char *longer = xasprintf("%s%.*s;", query->types != NULL ? query->types : ";", STR_ARG(name));

    xfree(query->types);
    query->types = longer;
}

static bool has_type(const struct feed_query *query, const char *type)
{
    char needle[160];

    if (query->types == NULL) {
        return true;
    }
    snprintf(needle, sizeof(needle), ";%s;", type);
    return str_contains_nocase(str_from(query->types), str_from(needle));
}

bool azure_read_start(struct azure_call *call, struct str token, int64_t *ret_us)
{
    struct str start;

    *ret_us = AZURE_NEVER;
    if (!azure_param(call, "startDateTime", &start) || start.len == 0) {
        return true;
    }
    if (token.ptr != NULL) {
        azure_error(call, 400, "VssPropertyValidationException",
                    "The startDateTime parameter cannot be used in conjunction with the "
                    "continuationToken parameter.");
        return false;
    }
    if (!instant_parse_rfc3339(start, ret_us)) {
        azure_bad_input(call, 400, "The value '%.*s' is not valid for startDateTime.",
                        STR_ARG(start));
        return false;
    }
    return true;
}

void azure_refuse_token(struct azure_call *call, struct str token)
{
    const struct fault *fault = azure_struck(call, FAULT_refuse_token);

    if (fault != NULL && fault_mode_is(fault, "words")) {
        azure_error(call, 400, "VssPropertyValidationException",
                    "VS403457: The value provided for the parameter is not valid.");
    } else if (fault != NULL && fault_mode_is(fault, "missing")) {
        azure_error(call, 404, "VssPropertyValidationException", "There is no such batch.");
    } else if (fault != NULL && fault_mode_is(fault, "gone")) {
        azure_error(call, 410, "VssPropertyValidationException", "The batch is gone.");
    } else {
        azure_error(call, 400, "VssPropertyValidationException",
                    "The continuation token '%.*s' is not valid.", STR_ARG(token));
    }
}

/* "813;350;1" */
static bool read_token(struct azure_call *call, struct feed_query *query)
{
    struct str rest;

    query->token = STR_NONE;
    if (!azure_param(call, "continuationToken", &rest) || rest.len == 0) {
        return true;
    }
    query->token = rest;
    struct str number = str_cut(&rest, ';');

    if (azure_struck(call, FAULT_refuse_token) == NULL && rest.ptr != NULL &&
        str_to_int64(number, 0, azure_last_watermark(&call->azure->items), &query->after)) {
        return true;
    }
    azure_refuse_token(call, query->token);
    return false;
}

static bool read_body(struct azure_call *call, struct feed_query *query, bool *ret_named)
{
    struct json *body = azure_body(call);

    if (body == NULL) {
        return false;
    }
    const struct json *fields = json_find(body, "fields");
    const struct json *types = json_find(body, "types");
    bool ok = true;

    *ret_named = json_size(fields) > 0;
    if (*ret_named) {
        ok = azure_select_json(call, fields, &query->selection);
    }
    for (size_t i = 0; i < json_size(types); i++) {
        add_type(query, str_from(json_string(json_at(types, i))));
    }
    query->deleted = json_bool(json_find(body, "includeDeleted"), false);
    query->latest_only = json_bool(json_find(body, "includeLatestOnly"), false);
    query->style.tag_refs = json_bool(json_find(body, "includeTagRef"), false);
    query->style.identities = json_bool(json_find(body, "includeIdentityRef"), false)
                                  ? AZURE_IDENTITY_REF
                                  : AZURE_IDENTITY_TEXT;
    json_free(body);
    return ok;
}

static bool read_parameters(struct azure_call *call, struct feed_query *query, bool *ret_named)
{
    struct str text;

    *ret_named = azure_param(call, "fields", &text) && text.len > 0;
    if (*ret_named && !azure_select_text(call, text, &query->selection)) {
        return false;
    }
    if (azure_param(call, "types", &text)) {
        while (text.ptr != NULL && text.len > 0) {
            add_type(query, str_cut(&text, ','));
        }
    }
    query->deleted = azure_param_true(call, "includeDeleted");
    query->latest_only = azure_param_true(call, "includeLatestOnly");
    query->discussions = azure_param_true(call, "includeDiscussionChangesOnly");
    query->style.tag_refs = azure_param_true(call, "includeTagRef");
    query->style.identities =
        azure_param_true(call, "includeIdentityRef") ? AZURE_IDENTITY_REF : AZURE_IDENTITY_TEXT;
    return true;
}

static bool read_query(struct azure_call *call, struct feed_query *query)
{
    const struct fault *form = azure_struck(call, FAULT_identity_form);
    const struct fault *digits = azure_struck(call, FAULT_date_digits);
    struct str expand = STR_NONE;
    bool named = false;
    bool ok = call->post ? read_body(call, query, &named) : read_parameters(call, query, &named);

    if (!ok || !read_token(call, query) ||
        !azure_read_start(call, query->token, &query->since_us)) {
        return false;
    }
    (void)azure_param(call, "$expand", &expand);
    bool long_texts = str_equal_nocase(expand, STR_LITERAL("fields"));

    if (expand.len > 0 && !long_texts && !str_equal_nocase(expand, STR_LITERAL("none"))) {
        azure_bad_input(call, 400, "The value '%.*s' is not valid for $expand.", STR_ARG(expand));
        return false;
    }
    if (long_texts && named) {
        azure_error(call, 400, "VssPropertyValidationException",
                    "The expand parameter can not be used with the fields parameter.");
        return false;
    }
    if (!named) {
        azure_select_all(&query->selection, long_texts);
        query->selection.chosen[AZURE_IS_DELETED] = query->deleted;
        query->selection.chosen[AZURE_AREA_ID] = false;
        query->selection.chosen[AZURE_ITERATION_ID] = false;
        query->selection.chosen[AZURE_AUTHORIZED_DATE] = false;
    }
    if (form != NULL && query->style.identities == AZURE_IDENTITY_REF) {
        query->style.identities = fault_mode_is(form, "old")    ? AZURE_IDENTITY_OLD
                                  : fault_mode_is(form, "text") ? AZURE_IDENTITY_TEXT
                                                                : AZURE_IDENTITY_REF;
    }
    query->style.date_digits = digits != NULL ? (int)digits->rate : 0;
    return true;
}

bool azure_hidden(const struct azure_call *call, int64_t id)
{
    const struct fault *fault = azure_struck(call, FAULT_acl_rows);
    struct azure_revision latest;

    /* A deleted project takes its work items along. */
    if (call->azure->world.any_deleted && azure_revision_get(&call->azure->items, id, 0, &latest) &&
        call->azure->world.projects[latest.project].deleted) {
        return true;
    }
    return fault != NULL && id % (fault->every > 0 ? fault->every : 1) == 0;
}

static bool
shows(struct azure_call *call, const struct feed_query *query, const struct azure_revision *r)
{
    const struct azure_items *items = &call->azure->items;
    struct azure_revision latest;

    if (!has_type(query, r->type) || (call->project >= 0 && r->project != call->project) ||
        azure_hidden(call, r->id) ||
        (query->since_us != AZURE_NEVER && r->changed_us < query->since_us) ||
        (query->latest_only && r->rev != azure_item_revs(items, r->id)) ||
        (query->discussions && r->rev % 3 != 0)) {
        return false;
    }
    return query->deleted || (azure_revision_get(items, r->id, 0, &latest) && !latest.deleted);
}

static void write_row(struct azure_call *call,
                      const struct feed_query *query,
                      const struct azure_revision *r,
                      int64_t n_row)
{
    const struct fault *keyless = azure_struck(call, FAULT_missing_key);
    const struct fault *form = azure_struck(call, FAULT_identity_form);
    struct buf *out = &call->reply->body;
    struct azure_style style = query->style;
    bool bare = keyless != NULL && n_row % (keyless->every > 0 ? keyless->every : 1) == 0;

    if (form != NULL && fault_mode_is(form, "mixed")) {
        style.identities = (enum azure_identity_form)((r->id + r->rev) % 3);
    }
    buf_add_c(out, n_row > 0 ? "," : "");
    if (azure_struck(call, FAULT_null_row) != NULL && n_row == 1) {
        buf_add_c(out, "null,");
    }
    buf_add_char(out, '{');
    if (!bare || !fault_names(keyless->field, STR_LITERAL("id"))) {
        buf_add_c(out, "\"id\":");
        buf_add_int(out, r->id);
        buf_add_char(out, ',');
    }
    if (!bare || !fault_names(keyless->field, STR_LITERAL("rev"))) {
        buf_add_c(out, "\"rev\":");
        buf_add_int(out, r->rev);
        buf_add_char(out, ',');
    }
    azure_write_fields(call, r, &query->selection, &style, out);
    buf_add_char(out, '}');
}

/* Where the scan begins: behind the token, or at the first revision from startDateTime on. */
static int64_t first_watermark(const struct azure_call *call, const struct feed_query *query)
{
    const struct azure_items *items = &call->azure->items;
    int64_t low = 1;
    int64_t high = azure_last_watermark(items) + 1;

    if (query->since_us == AZURE_NEVER) {
        return query->after + 1;
    }
    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (azure_instant_of(items, middle) < query->since_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct page {
    int64_t first, end; /* watermarks: first <= w < end */
    bool last;
    char token[96];
};

/* Tokens name the last revision that was looked at, shown or not. */
static void set_token(struct azure_call *call, struct page *page, bool fresh)
{
    struct azure_revision r = {.id = 0};
    int64_t w = page->end - 1;

    (void)azure_revision_at(&call->azure->items, w, &r);
    int len = snprintf(page->token, sizeof(page->token), "%lld;%lld;%d", (long long)w,
                       (long long)r.id, r.rev);

    if (fresh) {
        snprintf(page->token + len, sizeof(page->token) - (size_t)len, ";%llu",
                 (unsigned long long)call->number);
    }
}

static void choose_page(struct azure_call *call, const struct feed_query *query, struct page *page)
{
    const struct fault *repeat = azure_struck(call, FAULT_repeat_rows);
    int64_t last = azure_last_watermark(&call->azure->items);
    int64_t asked = 0;

    (void)(call->post || azure_param_int(call, "$maxPageSize", 1, INT64_MAX, &asked));
    int64_t rows = azure_page_rows(call, asked);
    bool empty = azure_struck(call, FAULT_empty_page) != NULL;
    bool again = azure_struck(call, FAULT_repeat_page) != NULL && query->after > 0;

    page->first = first_watermark(call, query);
    page->end = empty || again               ? page->first
                : page->first + rows <= last ? page->first + rows
                                             : last + 1;
    page->last = page->end > last && !empty && !again;
    set_token(call, page, empty || again || azure_struck(call, FAULT_feed_never_ends) != NULL);
    if (repeat != NULL || again) {
        page->first -= again ? rows : repeat->rate > 0 ? repeat->rate : 10;
        page->first = page->first < 1 ? 1 : page->first;
    }
    if (azure_struck(call, FAULT_feed_never_ends) != NULL) {
        page->last = false;
    }
    if (azure_struck(call, FAULT_early_last) != NULL) {
        page->last = true;
    }
    if (azure_struck(call, FAULT_token_stuck) != NULL) {
        page->last = false;
        snprintf(page->token, sizeof(page->token), "%.*s",
                 STR_ARG(query->token.ptr != NULL ? query->token : STR_LITERAL("0;0;0")));
    }
}

static void
write_next_link(struct azure_call *call, const char *resource, const char *token, struct buf *out)
{
    static const char *const kept[] = {
        "fields",         "types",         "linkTypes",         "includeIdentityRef",
        "includeDeleted", "includeTagRef", "includeLatestOnly", "$expand",
        "$maxPageSize"};
    const char *origin = azure_struck(call, FAULT_foreign_link_host) != NULL
                             ? "https://elsewhere.invalid/azure"
                             : call->azure->world.origin;
    struct buf link CLEANUP(buf_release) = {0};
    struct str value;

    buf_init(&link, 65536);
    buf_addf(&link, "%s/", origin);
    if (call->project >= 0) {
        buf_addf(&link, "%s/", call->azure->world.projects[call->project].id);
    }
    buf_addf(&link, "_apis/wit/reporting/%s?continuationToken=", resource);
    buf_add_percent(&link, str_from(token), ";");
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (azure_param(call, kept[i], &value)) {
            buf_addf(&link, "&%s=", kept[i]);
            buf_add_percent(&link, value, ",");
        }
    }
    buf_addf(&link, "&api-version=%s", call->version);
    buf_add_json_string(out, buf_str(&link));
}

void azure_write_batch_end(struct azure_call *call,
                           const char *resource,
                           const char *token,
                           bool last)
{
    struct buf *out = &call->reply->body;

    buf_add_char(out, ']');
    if (azure_struck(call, FAULT_token_missing) == NULL) {
        buf_add_c(out, ",\"nextLink\":");
        write_next_link(call, resource, token, out);
        if (azure_struck(call, FAULT_token_in_nextlink) == NULL) {
            buf_add_c(out, ",\"continuationToken\":");
            buf_add_json_string(out, str_from(token));
        }
    }
    buf_addf(out, ",\"isLastBatch\":%s}", last ? "true" : "false");
    azure_json(call, 200);
}

static void answer_revisions(struct azure_call *call)
{
    struct feed_query query = {.after = 0};
    struct page page;
    const struct fault *skip = azure_struck(call, FAULT_skip_rows);
    int64_t n_rows = 0;

    if (read_query(call, &query)) {
        choose_page(call, &query, &page);
        buf_add_c(&call->reply->body, "{\"values\":[");
        for (int64_t w = page.first; w < page.end; w++) {
            struct azure_revision r;
            bool skipped = skip != NULL && w - page.first < (skip->rate > 0 ? skip->rate : 1);

            if (azure_revision_at(&call->azure->items, w, &r) && shows(call, &query, &r) &&
                !skipped) {
                write_row(call, &query, &r, n_rows++);
            }
        }
        azure_write_batch_end(call, "workItemRevisions", page.token, page.last);
    }
    xfree(query.types);
}

bool azure_answer_feed(struct azure_call *call)
{
    if (!azure_segment_is(call, 0, "wit") || !azure_segment_is(call, 1, "reporting") ||
        call->n_segments != 3) {
        return false;
    }
    if (azure_segment_is(call, 2, "workItemRevisions")) {
        answer_revisions(call);
        return true;
    }
    if (azure_segment_is(call, 2, "workItemLinks")) {
        azure_answer_links(call);
        return true;
    }
    return false;
}
