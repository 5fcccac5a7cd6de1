#include <stdio.h>
#include <string.h>

#include "tests/sim/azure_devops/feed.h"

/* reporting/workitemlinks: every making and removing of a link. */

static bool in_project(const struct azure_call *call, int64_t id)
{
    struct azure_revision r;

    return azure_revision_get(&call->azure->items, id, 0, &r) && r.project == call->project;
}

static bool names_type(struct str list, const char *rel)
{
    while (list.ptr != NULL && list.len > 0) {
        const char *type = azure_link_type(str_trim(str_cut(&list, ',')));

        if (type != NULL && strcmp(type, rel) == 0) {
            return true;
        }
    }
    return false;
}

static bool
has_end_of_type(const struct azure_call *call, struct str list, const struct azure_link *link)
{
    struct azure_revision source;

    if (!azure_revision_get(&call->azure->items, link->source, 0, &source)) {
        return false;
    }
    while (list.ptr != NULL) {
        if (str_equal_nocase(str_trim(str_cut(&list, ',')), str_from(source.type))) {
            return true;
        }
    }
    return false;
}

static bool shows(const struct azure_call *call, const struct azure_link *link, int64_t since_us)
{
    const struct azure_items *items = &call->azure->items;
    struct str list;

    return !azure_item_destroyed(items, link->source) &&
           !azure_item_destroyed(items, link->target) &&
           (since_us == AZURE_NEVER || link->changed_us >= since_us) &&
           (call->project < 0 || in_project(call, link->source) ||
            in_project(call, link->target)) &&
           (!azure_param(call, "linkTypes", &list) || list.len == 0 ||
            names_type(list, link->rel)) &&
           (!azure_param(call, "types", &list) || list.len == 0 ||
            has_end_of_type(call, list, link)) &&
           !azure_hidden(call, link->source) && !azure_hidden(call, link->target);
}

static void write_link(struct azure_call *call, const struct azure_link *link, bool first)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, "%s{\"rel\":\"%s\",\"sourceId\":%lld,\"targetId\":%lld,\"changedDate\":\"",
             first ? "" : ",", link->rel, (long long)link->source, (long long)link->target);
    azure_write_time(link->changed_us, 0, out);
    buf_addf(out, "\",\"isActive\":%s}", link->active ? "true" : "false");
}

void azure_answer_links(struct azure_call *call)
{
    const struct azure_links *links = &call->azure->links;
    const struct fault *repeat = azure_struck(call, FAULT_repeat_rows);
    int64_t total = azure_links_count(links);
    struct str token = STR_NONE;
    int64_t after = AZURE_LINK_TOKEN_BASE;
    int64_t since_us;
    char text[64];

    if (azure_param(call, "continuationToken", &token) && token.len > 0 &&
        (azure_struck(call, FAULT_refuse_token) != NULL ||
         !str_to_int64(token, AZURE_LINK_TOKEN_BASE, AZURE_LINK_TOKEN_BASE + total, &after))) {
        azure_refuse_token(call, token);
        return;
    }
    if (!azure_read_start(call, token, &since_us)) {
        return;
    }
    bool empty = azure_struck(call, FAULT_empty_page) != NULL;
    bool stuck = azure_struck(call, FAULT_token_stuck) != NULL;
    bool endless = azure_struck(call, FAULT_feed_never_ends) != NULL;
    int64_t first = after - AZURE_LINK_TOKEN_BASE;
    int64_t end =
        first + azure_page_rows(call, 0) < total ? first + azure_page_rows(call, 0) : total;
    bool any = false;

    end = empty ? first : end;
    if (repeat != NULL) {
        int64_t back = repeat->rate > 0 ? repeat->rate : 10;

        first = first > back ? first - back : 0;
    }
    int64_t left_out =
        repeat != NULL && fault_mode_is(repeat, "alone") ? after - AZURE_LINK_TOKEN_BASE : 0;
    buf_add_c(&call->reply->body, "{\"values\":[");
    for (int64_t n = first; n < end; n++) {
        struct azure_link link;

        azure_link_at(links, n, &link);
        if ((n == first || n >= left_out) && shows(call, &link, since_us)) {
            write_link(call, &link, !any);
            any = true;
        }
    }
    snprintf(text, sizeof(text), "%lld", (long long)(stuck ? after : AZURE_LINK_TOKEN_BASE + end));
    azure_write_batch_end(call, "workItemLinks", text,
                          end == total && !empty && !stuck && !endless);
}
