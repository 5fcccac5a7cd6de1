#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/feed.h"

/* Work items as they are, or were at an instant: by id, by list, by batch. */

enum { IDS_MAX = 200 };

struct item_query {
    struct azure_selection selection;
    enum azure_expand expand;
    int64_t as_of_us; /* AZURE_NEVER: now */
    bool omit;
    int64_t ids[IDS_MAX];
    int64_t n_ids; /* as asked; more than IDS_MAX are counted, not kept */
};

void azure_no_such_item(struct azure_call *call, int64_t id)
{
    azure_error(
        call, 404, "WorkItemUnauthorizedAccessException",
        "TF401232: Work item %lld does not exist, or you do not have permissions to read it.",
        (long long)id);
}

bool azure_find_item(struct azure_call *call,
                     int64_t id,
                     int64_t as_of_us,
                     struct azure_revision *ret)
{
    const struct azure_items *items = &call->azure->items;
    struct azure_revision latest;

    /* The recycle bin's items are not there, whatever the instant. */
    if (!azure_revision_get(items, id, 0, &latest) || latest.deleted || azure_hidden(call, id) ||
        (call->project >= 0 && latest.project != call->project)) {
        return false;
    }
    *ret = latest;
    return as_of_us == AZURE_NEVER || azure_revision_as_of(items, id, as_of_us, ret);
}

static bool read_instant(struct azure_call *call, struct str text, int64_t *ret_us)
{
    if (text.len == 0 || instant_parse_rfc3339(text, ret_us)) {
        return true;
    }
    azure_bad_input(call, 400, "The value '%.*s' is not valid for asOf.", STR_ARG(text));
    return false;
}

static bool read_policy(struct azure_call *call, struct str text, bool *ret_omit)
{
    *ret_omit = str_equal_nocase(text, STR_LITERAL("omit"));
    if (text.len == 0 || *ret_omit || str_equal_nocase(text, STR_LITERAL("fail"))) {
        return true;
    }
    azure_bad_input(call, 400, "The value '%.*s' is not valid for errorPolicy.", STR_ARG(text));
    return false;
}

static bool check_selection(struct azure_call *call, struct item_query *query, bool named)
{
    if (named && query->expand != AZURE_EXPAND_NONE && query->expand != AZURE_EXPAND_LINKS) {
        azure_error(call, 400, "VssPropertyValidationException",
                    "The expand parameter can not be used with the fields parameter.");
        return false;
    }
    if (!named) {
        azure_select_all(&query->selection, true);
        query->selection.chosen[AZURE_IS_DELETED] = false;
        if (query->expand != AZURE_EXPAND_ALL && query->expand != AZURE_EXPAND_FIELDS) {
            query->selection.chosen[AZURE_WATERMARK] = false;
            query->selection.chosen[AZURE_REVISED_DATE] = false;
            query->selection.chosen[AZURE_AUTHORIZED_DATE] = false;
        }
    }
    return true;
}

static bool read_parameters(struct azure_call *call, struct item_query *query)
{
    struct str text = STR_NONE;
    struct str policy = STR_NONE;
    struct str expand = STR_NONE;
    struct str as_of = STR_NONE;
    bool named = azure_param(call, "fields", &text) && text.len > 0;

    (void)azure_param(call, "errorPolicy", &policy);
    (void)azure_param(call, "$expand", &expand);
    (void)azure_param(call, "asOf", &as_of);
    query->as_of_us = AZURE_NEVER;
    return (!named || azure_select_text(call, text, &query->selection)) &&
           read_policy(call, policy, &query->omit) &&
           (expand.len == 0 || azure_read_expand(call, expand, &query->expand)) &&
           read_instant(call, as_of, &query->as_of_us) && check_selection(call, query, named);
}

static void add_id(struct item_query *query, int64_t id)
{
    if (query->n_ids < IDS_MAX) {
        query->ids[query->n_ids] = id;
    }
    query->n_ids++;
}

static bool read_body(struct azure_call *call, struct item_query *query)
{
    struct json *body = azure_body(call);

    if (body == NULL) {
        return false;
    }
    const struct json *ids = json_find(body, "ids");
    const struct json *fields = json_find(body, "fields");
    const char *expand = json_find_string(body, "$expand");
    struct str policy = str_from(json_find_string(body, "errorPolicy"));
    struct str as_of = str_from(json_find_string(body, "asOf"));
    bool named = json_size(fields) > 0;
    bool ok = true;

    query->as_of_us = AZURE_NEVER;
    for (size_t i = 0; i < json_size(ids) && ok; i++) {
        int64_t id;

        ok = json_int64(json_at(ids, i), &id);
        if (ok) {
            add_id(query, id);
        } else {
            azure_bad_input(call, 400,
                            "Error converting value to type 'System.Int32'. Path 'ids[%zu]'.", i);
        }
    }
    ok = ok && (!named || azure_select_json(call, fields, &query->selection)) &&
         read_policy(call, policy, &query->omit) &&
         (expand == NULL || azure_read_expand(call, str_from(expand), &query->expand)) &&
         read_instant(call, as_of, &query->as_of_us) && check_selection(call, query, named);
    json_free(body);
    return ok;
}

static void write_list(struct azure_call *call, const struct item_query *query)
{
    const struct fault *missing = azure_struck(call, FAULT_missing_rows);
    struct buf *out = &call->reply->body;
    struct buf values;
    int64_t n = 0;

    buf_init(&values, out->limit);
    for (int64_t i = 0; i < query->n_ids; i++) {
        struct azure_revision r;
        bool lost =
            missing != NULL && query->ids[i] % (missing->every > 0 ? missing->every : 1) == 0;

        if (!azure_find_item(call, query->ids[i], query->as_of_us, &r)) {
            if (!query->omit) {
                buf_release(&values);
                azure_no_such_item(call, query->ids[i]);
                return;
            }
            /* Both are seen: null entries and shorter lists. */
            if (query->ids[i] % 2 == 0 && azure_struck(call, FAULT_omit_short) == NULL) {
                buf_add_c(out, n++ > 0 ? ",null" : "null");
            }
            continue;
        }
        if (lost && !fault_mode_is(missing, "null")) {
            continue;
        }
        buf_add_c(out, n++ > 0 ? "," : "");
        if (lost) {
            buf_add_c(out, "null");
        } else {
            azure_write_item(call, &r, &query->selection, query->expand, false);
        }
    }
    buf_addf(&values, "{\"count\":%lld,\"value\":[", (long long)n);
    buf_add_str(&values, buf_str(out));
    buf_add_c(&values, "]}");
    buf_release(out);
    *out = values;
    azure_json(call, 200);
}

static void answer_list(struct azure_call *call, struct item_query *query)
{
    if (query->n_ids == 0) {
        azure_error(call, 400, "VssPropertyValidationException",
                    "The parameter ids must name at least one work item.");
    } else if (query->n_ids > IDS_MAX) {
        azure_error(call, 400, "WorkItemTrackingRequestSizeException",
                    "VS403474: You requested %lld work items which exceeds the limit of 200",
                    (long long)query->n_ids);
    } else {
        write_list(call, query);
    }
}

static void answer_get_list(struct azure_call *call)
{
    struct item_query *query CLEANUP(xfreep) = XNEW(struct item_query);
    struct str ids = STR_NONE;

    if (!read_parameters(call, query)) {
        return;
    }
    (void)azure_param(call, "ids", &ids);
    while (ids.ptr != NULL && ids.len > 0) {
        struct str number = str_trim(str_cut(&ids, ','));
        int64_t id;

        if (!str_to_int64(number, INT32_MIN, INT32_MAX, &id)) {
            azure_bad_input(call, 400, "The value '%.*s' is not valid for ids.", STR_ARG(number));
            return;
        }
        add_id(query, id);
    }
    answer_list(call, query);
}

static void answer_one(struct azure_call *call, int64_t id)
{
    struct item_query *query CLEANUP(xfreep) = XNEW(struct item_query);
    struct azure_revision r;

    if (!read_parameters(call, query)) {
        return;
    }
    if (!azure_find_item(call, id, query->as_of_us, &r)) {
        azure_no_such_item(call, id);
        return;
    }
    azure_write_item(call, &r, &query->selection, query->expand, false);
    azure_json(call, 200);
}

bool azure_answer_items(struct azure_call *call)
{
    int64_t id;

    if (!azure_segment_is(call, 0, "wit")) {
        return false;
    }
    if (azure_segment_is(call, 1, "workitemsbatch") && call->n_segments == 2 && call->post) {
        struct item_query *query CLEANUP(xfreep) = XNEW(struct item_query);

        if (read_body(call, query)) {
            answer_list(call, query);
        }
        return true;
    }
    if (!azure_segment_is(call, 1, "workitems") || call->post) {
        return false;
    }
    if (call->n_segments == 2) {
        answer_get_list(call);
        return true;
    }
    if (call->n_segments == 3 && str_to_int64(call->segments[2], 1, INT32_MAX, &id)) {
        answer_one(call, id);
        return true;
    }
    return false;
}
