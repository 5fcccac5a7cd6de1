#include <string.h>

#include "tests/sim/azure_devops/feed.h"

/* One item's history: revisions, updates, comments. */

enum { PAGE_MAX = 200 };

struct window {
    int64_t top, skip;
};

static bool read_window(struct azure_call *call, struct window *window)
{
    window->top = PAGE_MAX;
    window->skip = 0;
    return azure_param_int(call, "$top", 1, INT32_MAX, &window->top) &&
           azure_param_int(call, "$skip", 0, INT32_MAX, &window->skip);
}

static void select_for_history(struct azure_selection *selection)
{
    memset(selection, 0, sizeof(*selection));
    azure_select_all(selection, true);
    selection->chosen[AZURE_IS_DELETED] = false;
    selection->chosen[AZURE_WATERMARK] = false;
}

static void write_revision(struct azure_call *call, int64_t id, int rev)
{
    struct azure_selection selection;
    struct azure_revision r;
    struct str text = STR_NONE;
    enum azure_expand expand = AZURE_EXPAND_NONE;

    select_for_history(&selection);
    (void)azure_param(call, "$expand", &text);
    selection.chosen[AZURE_WATERMARK] = str_equal_nocase(text, STR_LITERAL("all"));
    if (azure_revision_get(&call->azure->items, id, rev, &r)) {
        azure_write_item(call, &r, &selection, expand, true);
    }
}

static void answer_revisions(struct azure_call *call, int64_t id)
{
    struct buf *out = &call->reply->body;
    struct window window;
    int n = azure_item_revs(&call->azure->items, id);

    if (!read_window(call, &window)) {
        return;
    }
    int64_t top = window.top < PAGE_MAX ? window.top : PAGE_MAX;
    int64_t left = n - window.skip < 0 ? 0 : n - window.skip;
    int64_t count = left < top ? left : top;

    buf_addf(out, "{\"count\":%lld,\"value\":[", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        write_revision(call, id, (int)(window.skip + i) + 1);
    }
    buf_add_c(out, "]}");
    azure_json(call, 200);
}

static void write_changes(struct azure_call *call,
                          const struct azure_revision *before,
                          const struct azure_revision *r)
{
    const struct azure_items *items = &call->azure->items;
    const struct azure_style style = {.identities = AZURE_IDENTITY_REF};
    struct buf *out = &call->reply->body;
    struct buf room CLEANUP(buf_release) = {0};
    struct buf old CLEANUP(buf_release) = {0};
    struct buf new CLEANUP(buf_release) = {0};
    bool first = true;

    buf_init(&room, 1 << 22);
    buf_init(&old, 1 << 22);
    buf_init(&new, 1 << 22);
    buf_add_c(out, ",\"fields\":{");
    for (int f = 0; f < AZURE_N_FIELDS; f++) {
        struct azure_value value;

        buf_reset(&room);
        buf_reset(&old);
        buf_reset(&new);
        if (before != NULL) {
            value = azure_get_value(items, before, f, &room);
            if (value.kind != AZURE_KIND_NONE) {
                azure_write_value(items, &value, &style, &old);
            }
        }
        buf_reset(&room);
        value = azure_get_value(items, r, f, &room);
        if (value.kind != AZURE_KIND_NONE) {
            azure_write_value(items, &value, &style, &new);
        }
        /* An empty field of a new item comes as {}. */
        if (str_equal(buf_str(&old), buf_str(&new)) && (before != NULL || f != AZURE_ASSIGNED_TO)) {
            continue;
        }
        buf_addf(out, "%s\"%s\":{", first ? "" : ",", azure_fields[f].reference);
        if (old.len > 0) {
            buf_addf(out, "\"oldValue\":%s%s", old.ptr, new.len > 0 ? "," : "");
        }
        if (new.len > 0) {
            buf_addf(out, "\"newValue\":%s", new.ptr);
        }
        buf_add_char(out, '}');
        first = false;
    }
    buf_add_char(out, '}');
}

static void write_update(struct azure_call *call, int64_t id, int rev)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    struct azure_revision before;
    struct azure_revision r;

    if (!azure_revision_get(&call->azure->items, id, rev, &r)) {
        return;
    }
    bool has_before = rev > 1 && azure_revision_get(&call->azure->items, id, rev - 1, &before);

    buf_addf(out, "{\"id\":%d,\"workItemId\":%lld,\"rev\":%d,\"revisedBy\":", rev, (long long)id,
             rev);
    buf_add_str(out, world->people[r.changed_by < 0 ? 0 : r.changed_by].ref);
    buf_add_c(out, ",\"revisedDate\":\"");
    if (r.revised_us == AZURE_NEVER) {
        buf_add_c(out, "9999-01-01T00:00:00Z");
    } else {
        azure_write_time(r.revised_us, 0, out);
    }
    buf_add_char(out, '"');
    write_changes(call, has_before ? &before : NULL, &r);
    buf_addf(out, ",\"url\":\"%s/%s/_apis/wit/workItems/%lld/updates/%d\"}", world->origin,
             world->projects[r.project].id, (long long)id, rev);
}

static void answer_updates(struct azure_call *call, int64_t id)
{
    struct buf *out = &call->reply->body;
    struct window window;
    int n = azure_item_revs(&call->azure->items, id);

    if (!read_window(call, &window)) {
        return;
    }
    int64_t left = n - window.skip < 0 ? 0 : n - window.skip;
    int64_t count = left < window.top ? left : window.top;

    count = count < PAGE_MAX ? count : PAGE_MAX;
    buf_addf(out, "{\"count\":%lld,\"value\":[", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        write_update(call, id, (int)(window.skip + i) + 1);
    }
    buf_add_c(out, "]}");
    azure_json(call, 200);
}

/* One comment for each third revision. */
static void answer_comments(struct azure_call *call, int64_t id)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    int total = azure_item_revs(&call->azure->items, id) / 3;
    int64_t top = PAGE_MAX;
    int64_t first = 0;

    if (!azure_param_int(call, "$top", 1, PAGE_MAX, &top) ||
        !azure_param_int(call, "continuationToken", 0, INT32_MAX, &first)) {
        return;
    }
    int64_t end = first + top < total ? first + top : total;

    buf_addf(out, "{\"totalCount\":%d,\"count\":%lld,\"comments\":[", total,
             (long long)(end > first ? end - first : 0));
    for (int64_t i = first; i < end; i++) {
        struct azure_revision r;

        (void)azure_revision_get(&call->azure->items, id, (int)(i + 1) * 3, &r);
        struct str who = world->people[r.changed_by < 0 ? 0 : r.changed_by].ref;

        buf_addf(out,
                 "%s{\"workItemId\":%lld,\"id\":%lld,\"version\":1,\"text\":\"<div>Please look at "
                 "<i>this</i></div>\",\"format\":\"html\",\"createdBy\":%.*s,\"createdDate\":\"",
                 i > first ? "," : "", (long long)id, (long long)(id * 100 + i), STR_ARG(who));
        azure_write_time(r.changed_us, 0, out);
        buf_addf(out, "\",\"modifiedBy\":%.*s,\"modifiedDate\":\"", STR_ARG(who));
        azure_write_time(r.changed_us, 0, out);
        buf_addf(
            out, "\",\"isDeleted\":false,\"url\":\"%s/%s/_apis/wit/workItems/%lld/comments/%lld\"}",
            world->origin, world->projects[r.project].id, (long long)id, (long long)(id * 100 + i));
    }
    buf_add_char(out, ']');
    if (end < total) {
        buf_addf(out,
                 ",\"nextPage\":\"%s/%.*s/_apis/wit/workItems/%lld/"
                 "comments?continuationToken=%lld&api-version=%s\",\"continuationToken\":\"%lld\"",
                 world->origin, STR_ARG(call->project_name), (long long)id, (long long)end,
                 call->version, (long long)end);
    }
    buf_add_char(out, '}');
    azure_json(call, 200);
}

bool azure_answer_history(struct azure_call *call)
{
    struct azure_revision r;
    int64_t id;
    int64_t rev = 0;
    bool revisions = azure_segment_is(call, 3, "revisions");
    bool updates = azure_segment_is(call, 3, "updates");
    bool comments = azure_segment_is(call, 3, "comments") && call->project >= 0;

    if (!azure_segment_is(call, 0, "wit") || !azure_segment_is(call, 1, "workitems") ||
        !(revisions || updates || comments) || call->post || call->n_segments > 5 ||
        !str_to_int64(call->segments[2], 1, INT32_MAX, &id) ||
        (call->n_segments == 5 &&
         (comments || !str_to_int64(call->segments[4], 1, INT32_MAX, &rev)))) {
        return false;
    }
    if (!azure_find_item(call, id, AZURE_NEVER, &r) || rev > r.rev) {
        azure_no_such_item(call, id);
    } else if (comments) {
        answer_comments(call, id);
    } else if (rev > 0) {
        if (revisions) {
            write_revision(call, id, (int)rev);
        } else {
            write_update(call, id, (int)rev);
        }
        azure_json(call, 200);
    } else if (revisions) {
        answer_revisions(call, id);
    } else {
        answer_updates(call, id);
    }
    return true;
}
