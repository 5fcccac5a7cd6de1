#include "worker/sources/servicenow/connector.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/io/hash.h"
#include "common/io/json.h"
#include "common/io/json_pull.h"
#include "worker/sources/servicenow/check.h"
#include "worker/sources/servicenow/page.h"
#include "worker/sources/servicenow/probe.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/walk.h"

/* Key ranges pay from this many pages on: each costs a request that only proves its end. */
#define PAGES_PER_RANGE_MIN 4

#define CLOCK_ERROR_US (2 * US_PER_S) /* of what a Date header tells about a clock */

/* Names what a cursor was made with: another table, filter or field list needs a full read. */
static void
fingerprint(const struct source_config *source, const struct task_def *task, struct buf *out)
{
    struct buf text CLEANUP(buf_release);
    buf_init(&text, (size_t)64 * 1024);
    buf_addf(&text, "%s|%s|%s", source->url, task->table, task->filter != NULL ? task->filter : "");
    for (size_t i = 0; i < task->n_columns; i++) {
        buf_addf(&text, "|%s:%d", task->columns[i].name, (int)task->columns[i].type);
    }
    struct hash128 hash = hash128_of(buf_str(&text));
    for (size_t i = 0; i < 8; i++) {
        buf_addf(out, "%02x", hash.bytes[i]);
    }
}

static bool make_cursor(const struct source_config *source,
                        const struct task_def *task,
                        struct plan *plan,
                        struct error *err)
{
    char text[INSTANT_TEXT_MAX];
    struct buf cursor CLEANUP(buf_release);
    buf_init(&cursor, 256);
    buf_addf(&cursor, "{\"high\":\"%s\",\"fingerprint\":\"",
             instant_format_rfc3339(plan->high_us, text));
    fingerprint(source, task, &cursor);
    buf_add_c(&cursor, "\"}");
    plan->cursor = arena_strdup(&plan->arena, cursor.ptr);
    return plan->cursor != NULL || error_set(err, ERROR_LIMIT, "plan of %s: too large", task->name);
}

/* The nodes of an instance do not agree to the second, and what was stamped by a clock less than
 * the overlap behind is read by an increment anyway. */
static int64_t clock_slack_us(const struct source_config *source)
{
    return source->overlap_us > CLOCK_ERROR_US ? source->overlap_us : CLOCK_ERROR_US;
}

/* The cursor's instant, or false with the reason why it cannot be used. */
static bool read_cursor(const struct source_config *source,
                        const struct walk_request *request,
                        int64_t now_us,
                        int64_t *ret_high_us,
                        const char **ret_why)
{
    *ret_why = "no watermark: the first run, or all before it were shown no record, or not all";
    if (request->cursor == NULL) {
        return false;
    }
    struct error ignored = ERROR_INIT; /* an unreadable cursor means a full read */
    struct json *root = json_parse(str_from(request->cursor), &ignored);
    const char *high = json_find_string(root, "high");
    const char *made_with = json_find_string(root, "fingerprint");
    struct buf now_with CLEANUP(buf_release);
    buf_init(&now_with, 64);
    fingerprint(source, request->task, &now_with);
    bool good = false;
    if (high == NULL || !instant_parse_rfc3339(str_from(high), ret_high_us)) {
        *ret_why = "the watermark is unreadable";
    } else if (made_with == NULL || strcmp(made_with, now_with.ptr) != 0) {
        *ret_why = "url, table, filter or fields changed since the last run";
    } else if (*ret_high_us > now_us + clock_slack_us(source)) {
        *ret_why = "the source's clock went back behind the watermark (restored or cloned?)";
    } else {
        good = true;
    }
    json_free(root);
    return good;
}

static int64_t floor_to_second(int64_t us)
{
    return us - (us % US_PER_S + US_PER_S) % US_PER_S;
}

static int64_t range_count(const struct walk_request *request, enum walk_kind kind, int64_t total)
{
    int64_t page = kind == WALK_KEYS ? 10000 : request->task->page_size;
    page = page > 0 ? page : 1000;
    int64_t ranges = 16;
    while (ranges > 1 &&
           (total / ranges < PAGES_PER_RANGE_MIN * page || ranges > 4 * request->max_partitions)) {
        ranges /= 2;
    }
    return ranges;
}

/* Cuts the key space by the first hexadecimal digit; open at both ends, so that keys of any form
 * belong to a range. */
static bool
cut_ranges(const struct walk_request *request, int64_t total, struct plan *plan, struct error *err)
{
    int64_t n = range_count(request, plan->kind, total);
    struct partition *partitions = arena_zalloc(&plan->arena, (size_t)n * sizeof(*partitions));
    for (int64_t i = 0; i < n && partitions != NULL; i++) {
        char low[2] = {"0123456789abcdef"[i * 16 / n], '\0'};
        partitions[i].kind = plan->kind;
        partitions[i].from_us = request->from_us;
        partitions[i].to_us = request->to_us;
        partitions[i].from_key = i == 0 ? NULL : arena_strdup(&plan->arena, low);
        if (i > 0) {
            partitions[i - 1].to_key = partitions[i].from_key;
        }
    }
    plan->partitions = partitions;
    plan->n_partitions = (size_t)n;
    return partitions != NULL ||
           error_set(err, ERROR_LIMIT, "plan of %s: too large", request->task->name);
}

/* Empty, or denied without a word. */
static bool is_bare(const struct servicenow_probe *probe)
{
    return probe->records == 0 && probe->total <= 0;
}

/* A census of keys compares versions, and the watermark after it vouches for all fields of all
 * rows: with another field, or none to compare, equal keys say nothing. *ret_high_us: where CHANGES
 * begin.
 */
static void choose_kind(const struct source_config *source,
                        const struct walk_request *request,
                        const struct servicenow_probe *probe,
                        int64_t now_us,
                        struct plan *plan,
                        int64_t *ret_high_us)
{
    const char *why = NULL;
    plan->kind = request->kind;
    if (request->kind != WALK_CHANGES && request->kind != WALK_KEYS) {
        return;
    }
    if (request->task->version_column < 0) {
        why = "the task has no version field";
    } else if (read_cursor(source, request, now_us, ret_high_us, &why)) {
        /* No change in it would mean nothing. */
        why = request->kind == WALK_CHANGES && is_bare(probe) ? "the source shows no record at all"
                                                              : NULL;
    }
    if (why != NULL) {
        plan->kind = WALK_ALL;
        plan->why_all = why;
    }
}

static bool cut_changes(const struct source_config *source,
                        const struct task_def *task,
                        int64_t high_us,
                        struct plan *plan,
                        struct error *err)
{
    struct partition *partition = arena_zalloc(&plan->arena, sizeof(*partition));
    if (partition == NULL) {
        return error_set(err, ERROR_LIMIT, "plan of %s: too large", task->name);
    }
    plan->high_us = plan->high_us > high_us ? plan->high_us : high_us;
    partition->kind = WALK_CHANGES;
    partition->from_us = floor_to_second(high_us - source->overlap_us);
    partition->to_us = plan->high_us;
    plan->partitions = partition;
    plan->n_partitions = 1;
    return true;
}

static bool plan_task(void *session,
                      const struct source_config *source,
                      struct http_client *http,
                      const struct walk_request *request,
                      struct plan *plan,
                      struct error *err)
{
    (void)session;
    const struct task_def *task = request->task;
    struct servicenow_probe probe CLEANUP(servicenow_probe_release);
    servicenow_probe_init(&probe);
    if ((task->filter != NULL && !servicenow_filter_check(str_from(task->filter), err)) ||
        !servicenow_probe_table(task, http, &probe, err) ||
        !servicenow_probe_check_filter(&probe, task, err)) {
        return error_wrap(err, "task %s", task->name);
    }
    int64_t now_us = probe.date_us != 0 ? probe.date_us : clock_wall_us();
    int64_t high_us = 0;
    plan->high_us = floor_to_second(now_us - source->visibility_lag_us);
    choose_kind(source, request, &probe, now_us, plan, &high_us);
    if (!(plan->kind == WALK_CHANGES ? cut_changes(source, task, high_us, plan, err)
                                     : cut_ranges(request, probe.total, plan, err))) {
        return false;
    }
    if (plan->kind == WALK_WINDOW) {
        plan->high_us = INT64_MIN; /* a window says nothing about the rest of the table */
        return true;
    }
    plan->confirm_missing = true;
    if (is_bare(&probe)) {
        /* Denied without a word, perhaps: what the account may see one day is as old as it is. */
        plan->high_us = INT64_MIN;
        return true;
    }
    return make_cursor(source, task, plan, err);
}

const struct connector servicenow_connector = {
    .source_type = "servicenow",
    .plan = plan_task,
    .walk_open = servicenow_walk_open,
    .fetch = servicenow_walk_fetch,
    .proof = servicenow_walk_proof,
    .walk_close = servicenow_walk_close,
    .check = servicenow_check,
};
