#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/feed.h"

/* wit/recyclebin: deleted work items, shallow as a whole list, with details for named ids. */

enum { BIN_MAX = 20000 };

static bool is_in_bin(const struct azure_call *call, int64_t id, struct azure_revision *ret)
{
    return azure_revision_get(&call->azure->items, id, 0, ret) && ret->deleted &&
           !azure_hidden(call, id) && (call->project < 0 || ret->project == call->project);
}

/* Old servers send text where new ones send numbers, and no envelope. */
static bool old_form(const struct azure_call *call)
{
    return azure_struck(call, FAULT_recyclebin_form) != NULL;
}

static void write_id(struct azure_call *call, int64_t id)
{
    const char *quote = old_form(call) ? "\"" : "";

    buf_addf(&call->reply->body, "{\"id\":%s%lld%s", quote, (long long)id, quote);
}

/* "1/31/2017 9:21:14 PM" */
static void write_us_date(int64_t us, struct buf *out)
{
    int64_t seconds = us / US_PER_S;
    int64_t year;
    unsigned month;
    unsigned day;
    int hour = (int)(seconds % 86400 / 3600);

    instant_civil_from_days(seconds / 86400, &year, &month, &day);
    buf_addf(out, "%u/%u/%lld %d:%02d:%02d %s", month, day, (long long)year,
             hour % 12 == 0 ? 12 : hour % 12, (int)(seconds % 3600 / 60), (int)(seconds % 60),
             hour < 12 ? "AM" : "PM");
}

static void write_details(struct azure_call *call, const struct azure_revision *r)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    struct buf room CLEANUP(buf_release) = {0};

    buf_init(&room, 65536);
    struct azure_value title = azure_get_value(&call->azure->items, r, AZURE_TITLE, &room);
    const struct azure_style style = {.identities = AZURE_IDENTITY_TEXT};

    write_id(call, r->id);
    buf_addf(out, ",\"code\":200,\"type\":");
    buf_add_json_string(out, str_from(r->type));
    buf_add_c(out, ",\"name\":");
    azure_write_value(&call->azure->items, &title, &style, out);
    buf_add_c(out, ",\"project\":");
    buf_add_json_string(out, str_from(world->projects[r->project].name));
    buf_add_c(out, ",\"deletedDate\":\"");
    write_us_date(r->changed_us, out);
    buf_add_c(out, "\",\"deletedBy\":");
    buf_add_str(out, world->people[r->changed_by < 0 ? 0 : r->changed_by].text);
    buf_addf(out, ",\"url\":\"%s/_apis/wit/recycleBin/%lld\"}", world->origin, (long long)r->id);
}

static void answer_details(struct azure_call *call, struct str ids)
{
    struct buf *out = &call->reply->body;
    int64_t n = 0;

    while (ids.ptr != NULL) {
        struct str text = str_trim(str_cut(&ids, ','));
        struct azure_revision r;
        int64_t id;

        if (!str_to_int64(text, INT32_MIN, INT32_MAX, &id)) {
            azure_bad_input(call, 400, "The value '%.*s' is not valid for ids.", STR_ARG(text));
            return;
        }
        buf_add_c(out, n++ > 0 ? "," : old_form(call) ? "[" : "{\"value\":[");
        if (is_in_bin(call, id, &r)) {
            write_details(call, &r);
        } else {
            write_id(call, id);
            buf_addf(out,
                     ",\"code\":404,\"message\":\"TF401232: Work item %lld does not exist, or you "
                     "do not have permissions to read it.\"}",
                     (long long)id);
        }
    }
    buf_add_char(out, ']');
    if (!old_form(call)) {
        buf_addf(out, ",\"count\":%lld}", (long long)n);
    }
    azure_json(call, 200);
}

static void answer_all(struct azure_call *call)
{
    const struct fault *limit = azure_struck(call, FAULT_query_limit);
    struct buf *out = &call->reply->body;
    int64_t most = limit != NULL && limit->rate > 0 ? limit->rate : BIN_MAX;
    int64_t n = 0;

    buf_add_c(out, old_form(call) ? "[" : "{\"value\":[");
    for (int64_t id = 1; id <= call->azure->items.last_id; id++) {
        struct azure_revision r;

        if (!is_in_bin(call, id, &r)) {
            continue;
        }
        if (n == most) {
            azure_error(call, 400, "WorkItemTrackingQueryResultSizeLimitExceededException",
                        "VS402337: The number of work items returned exceeds the size limit of "
                        "%lld. Change the query to return fewer items.",
                        (long long)most);
            return;
        }
        buf_add_c(out, n++ > 0 ? "," : "");
        write_id(call, id);
        buf_addf(out, ",\"url\":\"%s/_apis/wit/recycleBin/%lld\"}", call->azure->world.origin,
                 (long long)id);
    }
    buf_add_char(out, ']');
    if (!old_form(call)) {
        buf_addf(out, ",\"count\":%lld}", (long long)n);
    }
    azure_json(call, 200);
}

bool azure_answer_recycle_bin(struct azure_call *call)
{
    struct azure_revision r;
    struct str ids;
    int64_t id;

    if (!azure_segment_is(call, 0, "wit") || !azure_segment_is(call, 1, "recyclebin") ||
        call->n_segments > 3 || call->post) {
        return false;
    }
    if (call->n_segments == 2) {
        if (azure_param(call, "ids", &ids) && ids.len > 0) {
            answer_details(call, ids);
        } else {
            answer_all(call);
        }
        return true;
    }
    if (!str_to_int64(call->segments[2], 1, INT32_MAX, &id)) {
        return false;
    }
    if (is_in_bin(call, id, &r)) {
        write_details(call, &r);
        azure_json(call, 200);
    } else {
        azure_no_such_item(call, id);
    }
    return true;
}
