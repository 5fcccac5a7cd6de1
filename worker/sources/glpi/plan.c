#include "worker/sources/glpi/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/base/log.h"
#include "worker/sources/glpi/cursor.h"
#include "worker/sources/glpi/filter.h"
#include "worker/sources/glpi/probe.h"
#include "worker/sources/glpi/walk.h"

/* Parents of one OWED partition at least: fewer are not worth another lane. */
#define OWED_PER_PARTITION_MIN 10

#define ENTITIES_SHOWN_BYTES 120
#define ENTITIES_MAX_BYTES   ((size_t)1024 * 1024)

#define CLOCK_ERROR_US (2 * US_PER_S) /* of what a Date header tells about a clock */

/* One plan in the making. */
struct planning {
    struct glpi_session *session;
    const struct source_config *source;
    struct http_client *http;
    const struct walk_request *request;
    const struct task_def *task;
    struct plan *plan;
    struct glpi_cursor before;
    struct glpi_cursor after;
    bool has_trash;
    bool is_feed;    /* append-only: read by id */
    bool is_empty;   /* the source shows no record */
    bool has_lost;   /* entities that it saw before */
    bool has_gained; /* entities that the run before did not see */
    struct glpi_named named;
    size_t n_partitions_max;
    struct partition *partitions;
};

static bool full(const struct planning *planning, struct error *err)
{
    return error_set(err, ERROR_LIMIT, "plan of %s: too large", planning->task->name);
}

static void read_all(struct planning *planning, const char *why)
{
    planning->plan->kind = WALK_ALL;
    planning->plan->why_all = why;
}

static bool probe_list(struct planning *planning,
                       enum glpi_front front,
                       struct glpi_newest *newest,
                       struct error *err)
{
    if (!glpi_probe_newest(planning->session, planning->http, planning->task, front, newest, err)) {
        return false;
    }
    if (newest->has_row) {
        planning->is_empty = false;
        /* Stamps may be missing everywhere: nothing has changed since it was made. */
        int64_t us = newest->time_us == INT64_MIN ? 0 : newest->time_us;
        planning->after.high_us = us > planning->after.high_us ? us : planning->after.high_us;
    }
    return true;
}

/* How new the source is, before the first page: what changes meanwhile is newer. */
static bool probe(struct planning *planning, struct error *err)
{
    struct glpi_newest newest;
    int64_t now_us = planning->after.read_at_us;
    planning->is_empty = true;
    if (planning->task->version_column < 0) {
        planning->is_empty = false;
        planning->after.high_us = now_us;
        return true;
    }
    if (!probe_list(planning, planning->is_feed ? GLPI_FRONT_BY_ID : GLPI_FRONT_BY_VERSION, &newest,
                    err)) {
        return false;
    }
    if (planning->is_feed && newest.has_row) {
        planning->after.log_id = newest.id;
    }
    /* An increment does without the newest of the trash: it only reads a little of it again. */
    bool asks_trash = planning->has_trash && (planning->is_empty || !planning->before.is_usable);
    if (asks_trash && !probe_list(planning, GLPI_FRONT_OF_TRASH, &newest, err)) {
        return false;
    }
    if (planning->after.high_us > now_us) {
        planning->after.high_us = now_us; /* a stamp from the future must not hide the present */
    }
    /* The newest record may have gone since. But behind a clock that went back no mark may wait for
     * it to come round again: what is stamped meanwhile would be passed over. */
    if (planning->before.is_usable && planning->before.high_us > planning->after.high_us &&
        planning->before.high_us <= now_us) {
        planning->after.high_us = planning->before.high_us;
    }
    return true;
}

/* A server's Date has whole seconds, so its clock is known to a second or two; and what was stamped
 * by a clock less than the overlap behind is read by an increment anyway. */
static int64_t clock_slack_us(const struct planning *planning)
{
    int64_t overlap_us = planning->source->overlap_us;
    return overlap_us > CLOCK_ERROR_US ? overlap_us : CLOCK_ERROR_US;
}

/* Does GLPI list these records by the entities that the account sees? What belongs to a ticket
 * comes with it when it arrives, but follow-ups of known tickets come in sight by themselves. */
static bool depends_on_entities(const struct task_def *task)
{
    static const char *const ITEMTYPES[] = {"Entity", "ITILFollowup", "Ticket", "User"};
    bool depends = false;
    for (size_t i = 0; i < ARRAY_SIZE(ITEMTYPES) && !depends; i++) {
        depends = strcmp(task->table, ITEMTYPES[i]) == 0;
    }
    for (size_t i = 0; i < task->n_columns && !depends; i++) {
        depends = strcmp(glpi_field_of(task, (int)i), "entities_id") == 0;
    }
    return depends;
}

/* What lies in entities that came in sight has stamps from before the watermark. With others lost,
 * nothing that is missing is taken for deleted: the increment goes on. */
static void read_gained(struct planning *planning)
{
    read_all(planning, "the account sees more entities than at the last run");
    planning->plan->keeps_missing = planning->has_lost;
}

/* Decides between changes and everything. */
static void choose_kind(struct planning *planning)
{
    const struct walk_request *request = planning->request;
    const struct task_def *task = planning->task;
    planning->plan->kind = request->kind;
    if (request->kind == WALK_KEYS) {
        read_all(planning, "GLPI lists no versions beside its ids");
        return;
    }
    if (request->kind != WALK_CHANGES) {
        return;
    }
    bool by_parent = task->parent != NULL && task->parent_refresh == REFRESH_CHANGED;
    if (!planning->before.is_usable) {
        read_all(planning, planning->before.why_not);
    } else if (task->version_column < 0 && !by_parent) {
        read_all(planning, "the itemtype has no change stamp");
    } else if (planning->before.read_at_us >
               planning->after.read_at_us + clock_slack_us(planning)) {
        read_all(planning,
                 "the source's clock went back behind the last run (restored or cloned?)");
    } else if (planning->is_empty) {
        read_all(planning, "the source shows no record at all");
    } else if (request->owed_is_cut || request->n_owed > GLPI_OWED_MAX) {
        read_all(planning, "more parents changed than are worth asking for one by one");
    } else if (planning->has_gained) {
        read_gained(planning);
    }
}

static struct partition *add_partition(struct planning *planning, enum walk_kind kind)
{
    struct partition *partition = &planning->partitions[planning->plan->n_partitions++];
    *partition = (struct partition){
        .kind = kind, .from_us = planning->request->from_us, .to_us = planning->request->to_us};
    return partition;
}

static void cut_owed(struct planning *planning, size_t n_lanes)
{
    const struct walk_request *request = planning->request;
    size_t n = (request->n_owed + OWED_PER_PARTITION_MIN - 1) / OWED_PER_PARTITION_MIN;
    n = n < n_lanes ? n : n_lanes;
    for (size_t i = 0; i < n; i++) {
        size_t from = request->n_owed * i / n;
        size_t to = request->n_owed * (i + 1) / n;
        struct partition *partition = add_partition(planning, WALK_OWED);
        partition->keys = request->owed + from;
        partition->n_keys = to - from;
    }
}

/* Entries are visible some time after their stamp, and ids some time after they were given out: in
 * both orders the walk begins `overlap` before the last end. */
static bool cut_changes(struct planning *planning, struct error *err)
{
    struct partition *partition = add_partition(planning, WALK_CHANGES);
    partition->from_us = planning->before.high_us - planning->source->overlap_us;
    partition->to_us = planning->after.high_us;
    partition->keys = planning->named.keys;
    partition->n_keys = planning->named.n_keys;
    if (planning->is_feed) {
        char floor[24];
        (void)snprintf(floor, sizeof(floor), "%" PRId64, planning->before.log_id);
        partition->list = GLPI_LIST_FEED;
        partition->from_key = arena_strdup(&planning->plan->arena, floor);
        return partition->from_key != NULL || full(planning, err);
    }
    return true;
}

static bool cut(struct planning *planning, struct error *err)
{
    struct plan *plan = planning->plan;
    size_t n_lanes =
        planning->request->max_partitions > 0 ? (size_t)planning->request->max_partitions : 1;
    planning->partitions =
        arena_zalloc(&plan->arena, (n_lanes + 2) * sizeof(*planning->partitions));
    plan->partitions = planning->partitions;
    if (planning->partitions == NULL) {
        return full(planning, err);
    }
    if (plan->kind == WALK_CHANGES) {
        if (planning->task->version_column >= 0 && !cut_changes(planning, err)) {
            return false;
        }
        cut_owed(planning, n_lanes);
        return true;
    }
    add_partition(planning, plan->kind)->list = GLPI_LIST_LIVE;
    if (planning->has_trash) {
        add_partition(planning, plan->kind)->list = GLPI_LIST_TRASH;
    }
    return true;
}

/* The log, for records whose stamp did not move. */
static bool probe_log(struct planning *planning, struct error *err)
{
    if (strcmp(planning->task->table, GLPI_LOGGED_ITEMTYPE) != 0 ||
        planning->plan->kind == WALK_WINDOW) {
        return true;
    }
    bool is_news = planning->plan->kind == WALK_CHANGES && planning->before.log_id >= 0;
    struct glpi_log_floor floor = {-1, INT64_MIN};
    if (is_news) {
        floor.id = planning->before.log_id;
        floor.us = planning->before.high_us - planning->source->overlap_us;
    }
    if (!glpi_probe_log(planning->session, planning->http, floor, &planning->plan->arena,
                        &planning->named, err)) {
        return false;
    }
    if (planning->named.is_cut) {
        log_info("the log holds more news than are read; the lists' own stamps have to do");
    }
    planning->after.log_id = planning->named.log_id;
    return true;
}

/* The watermark, and what the account's entities say about deletions. */
static bool finish(struct planning *planning, struct error *err)
{
    struct plan *plan = planning->plan;
    const struct glpi_session *session = planning->session;
    struct buf all CLEANUP(buf_release);
    struct buf lost CLEANUP(buf_release);
    struct buf now CLEANUP(buf_release);
    buf_init(&all, ENTITIES_MAX_BYTES);
    buf_init(&lost, ENTITIES_MAX_BYTES);
    buf_init(&now, ENTITIES_MAX_BYTES);
    size_t n_lost = glpi_entities_compare(planning->before.entities, session->entities,
                                          session->n_entities, &all, &lost);
    glpi_entities_write(session->entities, session->n_entities, &now);
    planning->after.missing = n_lost > 0 ? arena_strdup(&plan->arena, lost.ptr) : NULL;
    if (plan->kind != WALK_WINDOW && !planning->is_empty) {
        plan->high_us = planning->after.high_us;
        plan->cursor = glpi_cursor_write(&planning->after, planning->source, planning->task,
                                         buf_str(&all), &plan->arena);
        if (plan->cursor == NULL) {
            return full(planning, err);
        }
    }
    if (n_lost == 0) {
        return true;
    }
    char hold[512];
    (void)snprintf(hold, sizeof(hold),
                   "the account does not see %zu of the entities it saw before (%.*s%s); what lay "
                   "in them looks deleted; give the rights back, or run with --allow-mass-delete",
                   n_lost, STR_ARG(str_shorten(buf_str(&lost), ENTITIES_SHOWN_BYTES)),
                   lost.len > ENTITIES_SHOWN_BYTES ? "..." : "");
    plan->hold = arena_strdup(&plan->arena, hold);
    planning->after.missing = NULL;
    if (plan->cursor != NULL) {
        plan->cursor_after_deletions = glpi_cursor_write(
            &planning->after, planning->source, planning->task, buf_str(&now), &plan->arena);
    }
    return (plan->hold != NULL && (plan->cursor == NULL || plan->cursor_after_deletions != NULL)) ||
           full(planning, err);
}

static void compare_entities(struct planning *planning)
{
    const struct glpi_session *session = planning->session;
    struct buf all CLEANUP(buf_release);
    struct buf lost CLEANUP(buf_release);
    buf_init(&all, ENTITIES_MAX_BYTES);
    buf_init(&lost, ENTITIES_MAX_BYTES);
    planning->has_lost = glpi_entities_compare(planning->before.entities, session->entities,
                                               session->n_entities, &all, &lost) > 0;
    planning->has_gained =
        depends_on_entities(planning->task) &&
        glpi_entities_gained(&planning->before, session->entities, session->n_entities);
}

static bool check_task(const struct task_def *task, struct error *err)
{
    struct glpi_filter filter;
    if (!glpi_filter_parse(task, &filter, err)) {
        return false;
    }
    return task->parent == NULL || glpi_parent_itemtype(task) != NULL ||
           error_set(err, ERROR_CONFIG,
                     "the catalog does not say to which itemtype field %s refers; add ref to it "
                     "(%s)",
                     task->parent_column >= 0 ? glpi_field_of(task, task->parent_column) : "parent",
                     task->defined_at != NULL ? task->defined_at : "");
}

bool glpi_plan(void *session,
               const struct source_config *source,
               struct http_client *http,
               const struct walk_request *request,
               struct plan *plan,
               struct error *err)
{
    struct planning planning = {.session = session,
                                .source = source,
                                .http = http,
                                .request = request,
                                .task = request->task,
                                .plan = plan,
                                .has_trash = glpi_trash_column(request->task) >= 0,
                                .is_feed = strcmp(request->task->table, "Log") == 0};
    glpi_cursor_read(request->cursor, source, request->task, &plan->arena, &planning.before);
    planning.after = (struct glpi_cursor){
        .high_us = INT64_MIN, .read_at_us = glpi_session_now_us(session), .log_id = -1};
    planning.named.log_id = -1;
    compare_entities(&planning);
    if (!check_task(request->task, err) || !probe(&planning, err)) {
        return error_wrap(err, "task %s", request->task->name);
    }
    choose_kind(&planning);
    if (!probe_log(&planning, err) || !cut(&planning, err) || !finish(&planning, err)) {
        return error_wrap(err, "task %s", request->task->name);
    }
    plan->empty_may_delete = true;
    plan->confirm_missing = request->task->parent == NULL;
    if (planning.before.read_at_us != INT64_MIN) {
        plan->unsettled_us = planning.before.read_at_us - source->overlap_us;
    }
    return true;
}
