#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "fake_glpi.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/glpi/connector.h"
#include "worker/sources/glpi/walk.h"

/* A session at a fake GLPI on a fake clock; walks and plans, and what came of them. */

#define START_S INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

static const struct field DESK_FIELDS[] = {
    {.name = "id", .type = COLUMN_BIGINT},
    {.name = "date_mod", .type = COLUMN_TIMESTAMPTZ},
    {.name = "date", .type = COLUMN_TIMESTAMPTZ},
    {.name = "name", .type = COLUMN_TEXT},
    {.name = "is_deleted", .type = COLUMN_BOOLEAN},
};
static const struct field CHILD_FIELDS[] = {
    {.name = "id", .type = COLUMN_BIGINT},
    {.name = "date_mod", .type = COLUMN_TIMESTAMPTZ},
    {.name = "tickets_id", .type = COLUMN_BIGINT, .ref = "Ticket"},
    {.name = "itemtype", .type = COLUMN_TEXT},
};
static const struct column DESK_COLUMNS[] = {
    {"id", COLUMN_BIGINT, 0, 0},          {"date_mod", COLUMN_TIMESTAMPTZ, 1, 0},
    {"date", COLUMN_TIMESTAMPTZ, 2, 0},   {"name", COLUMN_TEXT, 3, 0},
    {"is_deleted", COLUMN_BOOLEAN, 4, 0},
};
static const struct column CHILD_COLUMNS[] = {
    {"id", COLUMN_BIGINT, 0, 0},
    {"date_mod", COLUMN_TIMESTAMPTZ, 1, 0},
    {"tickets_id", COLUMN_BIGINT, 2, 0},
    {"itemtype", COLUMN_TEXT, 3, 0},
};
static const size_t DESK_KEY[] = {0};

struct desk {
    struct fake_clock clock;
    struct fake_glpi glpi;
    struct stop *stop;
    struct source_config config;
    struct http_source *source;
    struct http_client *client;
    void *session;
    struct task_def task;
    struct partition partition;
    struct walk_request request;
    struct plan plan;
    char cursor[2048]; /* of the run before */
    /* what came of a walk */
    bool ended;
    struct error err;
    struct walk_proof proof;
    int64_t *ids;
    int64_t *times_us; /* date_mod as landed, INT64_MIN for NULL */
    size_t n_ids;
    size_t n_rejects;
};

static inline struct task_def ticket_task(void)
{
    return (struct task_def){.name = "ticket",
                             .source_type = "glpi",
                             .load = "tickets",
                             .table = "Ticket",
                             .page_size = 10,
                             TASK_OF(DESK_FIELDS, DESK_COLUMNS, DESK_KEY),
                             .version_column = 1,
                             .revision_column = -1,
                             .window_column = 2,
                             .created_column = -1,
                             .parent_column = -1};
}

static inline struct task_def child_task(const char *table, enum parent_refresh refresh)
{
    struct task_def task = ticket_task();
    task.name = "child";
    task.table = table;
    task.fields = CHILD_FIELDS;
    task.n_fields = ARRAY_SIZE(CHILD_FIELDS);
    task.columns = CHILD_COLUMNS;
    task.n_columns = ARRAY_SIZE(CHILD_COLUMNS);
    task.version_column = refresh == REFRESH_CHANGED ? -1 : 1;
    task.window_column = -1;
    task.parent = "ticket";
    task.parent_column = 2;
    task.parent_refresh = refresh;
    return task;
}

static inline void desk_init(struct desk *desk)
{
    memset(desk, 0, sizeof(*desk));
    desk->config = fake_glpi_config();
    desk->task = ticket_task();
    desk->partition = (struct partition){
        .kind = WALK_ALL, .from_us = INT64_MIN, .to_us = INT64_MAX, .list = GLPI_LIST_LIVE};
    desk->request = (struct walk_request){.task = &desk->task,
                                          .kind = WALK_CHANGES,
                                          .from_us = INT64_MIN,
                                          .to_us = INT64_MAX,
                                          .max_partitions = 4};
    arena_init(&desk->plan.arena, 1 << 20);
    fake_clock_init(&desk->clock);
    fake_glpi_init(&desk->glpi);
    desk->stop = stop_new(NULL);
}

static inline bool desk_open(struct desk *desk)
{
    const struct http_seams seams = fake_glpi_seams(&desk->clock, &desk->glpi);
    desk->source = http_source_new_with(&desk->config, 4, desk->stop, &seams, &desk->err);
    assert_non_null(desk->source);
    desk->client = http_client_new(desk->source, desk->stop, (size_t)64 << 20);
    return glpi_connector.open(&desk->config, desk->client, &desk->session, &desk->err);
}

static inline void desk_must_open(struct desk *desk)
{
    if (!desk_open(desk)) {
        fail_msg("%s", desk->err.msg);
    }
}

static inline void desk_release(struct desk *desk)
{
    if (desk->client != NULL) {
        glpi_connector.close(desk->session, desk->client);
    }
    http_client_free(desk->client);
    http_source_free(desk->source);
    stop_free(desk->stop);
    arena_release(&desk->plan.arena);
    fake_glpi_release(&desk->glpi);
    fake_clock_release(&desk->clock);
    xfree(desk->ids);
    xfree(desk->times_us);
}

static inline int64_t read_be64(struct str bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        value = value << 8 | (unsigned char)bytes.ptr[i];
    }
    return (int64_t)value;
}

#define POSTGRES_EPOCH_S INT64_C(946684800)

static inline void desk_take_page(struct desk *desk, const struct row_batch *batch)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    size_t room = desk->n_ids + (size_t)batch->n_rows + 1;
    copy_stream_init(&stream, buf_str(&batch->rows));
    desk->ids = xrealloc(desk->ids, room * sizeof(*desk->ids));
    desk->times_us = xrealloc(desk->times_us, room * sizeof(*desk->times_us));
    while (copy_stream_next(&stream, &tuple)) {
        desk->ids[desk->n_ids] = read_be64(tuple.fields[0]);
        desk->times_us[desk->n_ids++] =
            tuple.fields[1].ptr == NULL ? INT64_MIN
                                        : read_be64(tuple.fields[1]) + POSTGRES_EPOCH_S * US_PER_S;
        n++;
    }
    assert_false(stream.is_broken);
    assert_int_equal(batch->n_rows, n);
    desk->n_rejects += (size_t)batch->n_rejects;
}

/* Walks one partition to the end or the first error; what it brings is added. */
static inline void desk_walk(struct desk *desk, const struct partition *partition)
{
    struct row_batch batch;
    size_t first = desk->glpi.n_requests;
    size_t before = desk->n_ids;
    if (desk->session == NULL) {
        desk_must_open(desk);
    }
    error_clear(&desk->err);
    row_batch_init(&batch, &desk->task, ROW_FULL, (size_t)64 << 20);
    struct walk *walk =
        glpi_connector.walk_open(desk->session, &desk->config, &desk->task, partition);
    enum page_result result = PAGE_READY;
    while (result == PAGE_READY) {
        assert_true(desk->glpi.n_requests - first < 5000);
        result = glpi_connector.fetch(walk, desk->client, &batch, &desk->err);
        if (result == PAGE_READY) {
            desk_take_page(desk, &batch);
        }
    }
    desk->ended = result == PAGE_END;
    assert_int_equal(!desk->ended, error_is_set(&desk->err));
    glpi_connector.proof(walk, &desk->proof);
    glpi_connector.walk_close(walk);
    row_batch_release(&batch);
    if (desk->ended) {
        assert_int_equal(desk->n_ids - before + desk->n_rejects, desk->proof.records);
    }
}

static inline size_t desk_times(const struct desk *desk, int64_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < desk->n_ids; i++) {
        n += desk->ids[i] == id ? 1 : 0;
    }
    return n;
}

static inline void desk_forget(struct desk *desk)
{
    desk->n_ids = 0;
    desk->n_rejects = 0;
}

static inline bool desk_make_plan(struct desk *desk)
{
    if (desk->session == NULL) {
        desk_must_open(desk);
    }
    arena_release(&desk->plan.arena);
    desk->plan = (struct plan){.high_us = INT64_MIN, .unsettled_us = INT64_MAX};
    arena_init(&desk->plan.arena, 1 << 20);
    error_clear(&desk->err);
    return glpi_connector.plan(desk->session, &desk->config, desk->client, &desk->request,
                               &desk->plan, &desk->err);
}

static inline void desk_must_plan(struct desk *desk)
{
    if (!desk_make_plan(desk)) {
        fail_msg("%s", desk->err.msg);
    }
}

static inline void desk_keep_cursor(struct desk *desk, const char *cursor)
{
    assert_non_null(cursor);
    (void)snprintf(desk->cursor, sizeof(desk->cursor), "%s", cursor);
    desk->request.cursor = desk->cursor;
}

static inline void desk_walk_plan(struct desk *desk)
{
    for (size_t i = 0; i < desk->plan.n_partitions; i++) {
        desk_walk(desk, &desk->plan.partitions[i]);
        if (!desk->ended) {
            fail_msg("the walk failed: %s", desk->err.msg);
        }
    }
}

/* Ids 1 to n, one a second. */
static inline void desk_fill(struct desk *desk, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)fake_list_add(&desk->glpi.tickets, (int64_t)i + 1, START_S + (int64_t)i);
    }
}

static inline void desk_init_filled(struct desk *desk, size_t n)
{
    desk_init(desk);
    desk_fill(desk, n);
}

static inline void assert_ended(const struct desk *desk)
{
    if (!desk->ended) {
        fail_msg("the walk failed: %s", desk->err.msg);
    }
}

static inline void assert_has(const struct desk *desk, int64_t id)
{
    if (desk_times(desk, id) == 0) {
        fail_msg("%lld is missing", (long long)id);
    }
}

static inline void assert_fails(const struct desk *desk, enum error_code code, const char *words)
{
    if (!error_is_set(&desk->err)) {
        fail_msg("it was not noticed; it should say \"%s\"", words);
    }
    if (desk->err.code != code || strstr(desk->err.msg, words) == NULL) {
        fail_msg("%s: \"%s\" instead of %s: \"%s\"", error_code_name(desk->err.code), desk->err.msg,
                 error_code_name(code), words);
    }
}

/* A walk that notices what is wrong. */
static inline void walk_must_fail(struct desk *desk, enum error_code code, const char *words)
{
    desk_walk(desk, &desk->partition);
    assert_fails(desk, code, words);
}
