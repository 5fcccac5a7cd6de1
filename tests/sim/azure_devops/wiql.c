#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/azure_devops/feed.h"
#include "tests/sim/azure_devops/wiql_parse.h"

/* POST wit/wiql */

enum { ROWS_MAX = 20000, QUERY_MAX_BYTES = 32000, ARENA_MAX = 8 << 20 };

struct search {
    struct azure_call *call;
    const struct wiql_query *query;
    int64_t *ids;
    int64_t n, most; /* most: stop behind it */
};

static int64_t sort_key(const struct azure_items *items, int64_t id, int field)
{
    struct buf room CLEANUP(buf_release) = {0};
    struct azure_revision r;

    if (field == AZURE_ID || !azure_revision_get(items, id, 0, &r)) {
        return id;
    }
    buf_init(&room, 1 << 22);
    return azure_get_value(items, &r, field, &room).integer;
}

struct sorted {
    int64_t keys[3];
    int64_t id;
};

static int compare_sorted(const void *a, const void *b)
{
    const struct sorted *left = a;
    const struct sorted *right = b;

    for (int i = 0; i < 3; i++) {
        if (left->keys[i] != right->keys[i]) {
            return left->keys[i] < right->keys[i] ? -1 : 1;
        }
    }
    return left->id < right->id ? -1 : left->id > right->id ? 1 : 0;
}

/* By up to three fields that are numbers or dates; texts do not order anything here. */
static void sort(struct search *search)
{
    struct sorted *rows CLEANUP(xfreep) = xcalloc((size_t)search->n + 1, sizeof(*rows));
    const struct wiql_query *query = search->query;

    for (int64_t i = 0; i < search->n; i++) {
        rows[i].id = search->ids[i];
        for (int k = 0; k < query->n_order && k < 3; k++) {
            int64_t key = sort_key(&search->call->azure->items, rows[i].id, query->order[k]);

            rows[i].keys[k] = query->descending[k] ? -key : key;
        }
    }
    if (search->n > 1) {
        qsort(rows, (size_t)search->n, sizeof(*rows), compare_sorted);
    }
    for (int64_t i = 0; i < search->n; i++) {
        search->ids[i] = rows[i].id;
    }
}

static bool sorts_by_id(const struct wiql_query *query)
{
    return query->n_order == 0 || (query->order[0] == AZURE_ID && !query->descending[0]);
}

static void collect(struct search *search)
{
    const struct azure_items *items = &search->call->azure->items;
    const struct wiql_query *query = search->query;
    int64_t capacity = 0;
    bool all = !sorts_by_id(query);

    for (int64_t id = wiql_lowest_id(query->where);
         id <= items->last_id && (all || search->n <= search->most); id++) {
        struct azure_revision latest;
        struct azure_revision r;

        if (!azure_revision_get(items, id, 0, &latest) || latest.deleted ||
            azure_hidden(search->call, id)) {
            continue;
        }
        r = latest;
        if ((query->as_of_us != AZURE_NEVER &&
             !azure_revision_as_of(items, id, query->as_of_us, &r)) ||
            !wiql_matches(query->where, items, &r)) {
            continue;
        }
        if (search->n == capacity) {
            capacity = capacity * 2 + 1024;
            search->ids = xrealloc(search->ids, (size_t)capacity * sizeof(*search->ids));
        }
        search->ids[search->n++] = id;
    }
    if (all) {
        sort(search);
    }
}

static void write_columns(struct azure_call *call, const struct wiql_query *query)
{
    struct buf *out = &call->reply->body;

    buf_add_c(out, ",\"columns\":[");
    for (int i = 0; i < query->n_columns; i++) {
        const struct azure_field_info *field = &azure_fields[query->columns[i]];

        buf_addf(out,
                 "%s{\"referenceName\":\"%s\",\"name\":\"%s\",\"url\":\"%s/_apis/wit/fields/%s\"}",
                 i > 0 ? "," : "", field->reference, field->name, call->azure->world.origin,
                 field->reference);
    }
    buf_add_char(out, ']');
    for (int i = 0; i < query->n_order; i++) {
        const struct azure_field_info *field = &azure_fields[query->order[i]];

        buf_addf(out,
                 "%s{\"field\":{\"referenceName\":\"%s\",\"name\":\"%s\",\"url\":\"%s/_apis/wit/"
                 "fields/%s\"},\"descending\":%s}",
                 i > 0 ? "," : ",\"sortColumns\":[", field->reference, field->name,
                 call->azure->world.origin, field->reference,
                 query->descending[i] ? "true" : "false");
    }
    buf_add_c(out, query->n_order > 0 ? "]" : "");
}

static void write_result(struct azure_call *call,
                         const struct wiql_query *query,
                         const struct search *search,
                         int64_t top)
{
    const struct fault *missing = azure_struck(call, FAULT_missing_rows);
    struct buf *out = &call->reply->body;
    int64_t n = search->n < top ? search->n : top;
    bool first = true;

    buf_add_c(out, "{\"queryType\":\"flat\",\"queryResultType\":\"workItem\",\"asOf\":\"");
    azure_write_time(query->as_of_us != AZURE_NEVER ? query->as_of_us : call->now_us / 1000 * 1000,
                     0, out);
    buf_add_char(out, '"');
    write_columns(call, query);
    buf_add_c(out, ",\"workItems\":[");
    for (int64_t i = 0; i < n; i++) {
        int64_t id = search->ids[i];

        if (missing != NULL && id % (missing->every > 0 ? missing->every : 1) == 0) {
            continue;
        }
        buf_addf(out, "%s{\"id\":%lld,\"url\":\"%s/_apis/wit/workItems/%lld\"}", first ? "" : ",",
                 (long long)id, call->azure->world.origin, (long long)id);
        first = false;
    }
    buf_add_c(out, "]}");
    azure_json(call, 200);
}

static void run(struct azure_call *call, const struct wiql_query *query, int64_t top)
{
    const struct fault *lowered = azure_struck(call, FAULT_query_limit);
    int64_t limit = lowered != NULL && lowered->rate > 0 ? lowered->rate : ROWS_MAX;
    struct search search = {.call = call, .query = query, .most = limit};

    collect(&search);
    /* $top below the limit cuts silently; otherwise too many rows are an error. */
    if (search.n > limit && top >= limit) {
        azure_error(call, 400, "WorkItemTrackingQueryResultSizeLimitExceededException",
                    "VS402337: The number of work items returned exceeds the size limit of %lld. "
                    "Change the query to return fewer items.",
                    (long long)limit);
    } else {
        write_result(call, query, &search, top);
    }
    xfree(search.ids);
}

static void answer(struct azure_call *call, struct str text, int64_t top)
{
    const struct fault *refused = azure_struck(call, FAULT_field_refused);
    struct arena arena CLEANUP(arena_release) = {0};
    struct wiql_query *query CLEANUP(xfreep) = XNEW(struct wiql_query);
    struct error err = ERROR_INIT;

    arena_init(&arena, ARENA_MAX);
    struct wiql_context context = {
        .arena = &arena,
        .project = call->project >= 0 ? call->azure->world.projects[call->project].name : NULL,
        .me = call->azure->world.people[call->account->person].unique,
        .now_us = call->now_us,
        .time_precision = azure_param_true(call, "timePrecision"),
        .refused = refused != NULL ? refused->field : NULL,
    };

    if (text.len > QUERY_MAX_BYTES) {
        azure_error(call, 400, "WorkItemTrackingQueryException",
                    "VS402338: The query text exceeds the limit of %d characters.",
                    QUERY_MAX_BYTES);
    } else if (!wiql_parse(text, &context, query, &err)) {
        azure_error(call, 400, "WorkItemTrackingQueryException", "%s", err.msg);
    } else {
        run(call, query, top);
    }
}

bool azure_answer_wiql(struct azure_call *call)
{
    int64_t top = INT32_MAX;

    if (!azure_segment_is(call, 0, "wit") || !azure_segment_is(call, 1, "wiql") ||
        call->n_segments != 2 || !call->post) {
        return false;
    }
    struct json *body = azure_body(call);

    if (body == NULL || !azure_param_int(call, "$top", 1, INT32_MAX, &top)) {
        json_free(body);
        return true;
    }
    const char *text = json_find_string(body, "query");

    if (text == NULL) {
        azure_error(call, 400, "VssPropertyValidationException", "The body must hold a query.");
    } else {
        answer(call, str_from(text), top);
    }
    json_free(body);
    return true;
}
