#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "fake_table.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "tests/unit/worker/sources/task_of.h"
#include "worker/sources/servicenow/walk.h"

/* One walk over a fake table on a fake clock, and what came of it. */

#define START_S INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

struct world {
    struct fake_clock clock;
    struct fake_table table;
    struct stop *stop;
    struct source_config config;
    struct http_source *source;
    struct http_client *client;
    struct task_def task;
    struct partition partition;
    size_t memory_bytes;
    /* what came of it */
    bool ended;
    struct error err;
    struct walk_proof proof;
    char (*keys)[FAKE_KEY_MAX];
    size_t n_keys;
    size_t n_pages;
    size_t n_rejects;
};

static const struct field WORLD_FIELDS[] = {
    {.name = "sys_id", .type = COLUMN_TEXT},
    {.name = "sys_updated_on", .type = COLUMN_TIMESTAMPTZ},
    {.name = "opened_at", .type = COLUMN_TIMESTAMPTZ},
    {.name = "u_class", .type = COLUMN_TEXT},
};
static const struct column WORLD_COLUMNS[] = {
    {"sys_id", COLUMN_TEXT, 0, 0},
    {"sys_updated_on", COLUMN_TIMESTAMPTZ, 1, 0},
    {"opened_at", COLUMN_TIMESTAMPTZ, 2, 0},
    {"u_class", COLUMN_TEXT, 3, 0},
};
static const size_t WORLD_KEY[] = {0};

static inline void world_init(struct world *world)
{
    *world = (struct world){
        .config = fake_config(),
        .task = {.name = "incident",
                 .source_type = "servicenow",
                 .load = "incidents",
                 .table = "incident",
                 .page_size = 10,
                 TASK_OF(WORLD_FIELDS, WORLD_COLUMNS, WORLD_KEY),
                 .version_column = 1,
                 .revision_column = -1,
                 .window_column = 2},
        .partition = {.kind = WALK_ALL, .from_us = INT64_MIN, .to_us = INT64_MAX},
        .memory_bytes = (size_t)64 * 1024 * 1024,
    };
    world->config.overlap_us = 10 * US_PER_MIN;
    world->config.visibility_lag_us = 5 * US_PER_S;
    fake_clock_init(&world->clock);
    fake_table_init(&world->table);
    world->stop = stop_new(NULL);
}

/* With rows that changed one a second. */
static inline void world_init_filled(struct world *world, size_t n_rows)
{
    world_init(world);
    fake_table_fill(&world->table, n_rows, START_S);
}

/* The HTTP client on the table as it is now set up. */
static inline void world_connect(struct world *world)
{
    const struct http_seams seams = fake_table_seams(&world->clock, &world->table);
    if (world->source == NULL) {
        world->source = http_source_new_with(&world->config, 4, world->stop, &seams, &world->err);
        assert_non_null(world->source);
        world->client = http_client_new(world->source, world->stop, world->memory_bytes);
    }
}

static inline void world_release(struct world *world)
{
    http_client_free(world->client);
    http_source_free(world->source);
    stop_free(world->stop);
    fake_table_release(&world->table);
    fake_clock_release(&world->clock);
    xfree(world->keys);
}

static inline void world_take_page(struct world *world, const struct row_batch *batch)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(&batch->rows));
    world->keys = xrealloc(world->keys, (world->n_keys + (size_t)batch->n_rows + 1) * FAKE_KEY_MAX);
    while (copy_stream_next(&stream, &tuple)) {
        (void)snprintf(world->keys[world->n_keys++], FAKE_KEY_MAX, "%.*s",
                       STR_ARG(tuple.fields[0]));
        n++;
    }
    assert_false(stream.is_broken);
    assert_int_equal(batch->n_rows, n);
    world->n_rejects += (size_t)batch->n_rejects;
    world->n_pages++;
}

/* Walks to the end or the first error. */
static inline void world_walk(struct world *world)
{
    struct row_batch batch;
    world_connect(world);
    xfree(world->keys);
    world->keys = NULL;
    world->n_keys = 0;
    world->n_pages = 0;
    error_clear(&world->err);
    row_batch_init(&batch, &world->task, world->partition.kind == WALK_KEYS ? ROW_KEYS : ROW_FULL,
                   world->memory_bytes);
    struct walk *walk = servicenow_walk_open(NULL, &world->config, &world->task, &world->partition);
    enum page_result result = PAGE_READY;
    while (result == PAGE_READY) {
        assert_true(world->table.n_requests < 5000);
        result = servicenow_walk_fetch(walk, world->client, &batch, &world->err);
        if (result == PAGE_READY) {
            world_take_page(world, &batch);
        }
    }
    world->ended = result == PAGE_END;
    assert_int_equal(!world->ended, error_is_set(&world->err));
    servicenow_walk_proof(walk, &world->proof);
    servicenow_walk_close(walk);
    row_batch_release(&batch);
}

static inline size_t world_times(const struct world *world, const char *key)
{
    size_t n = 0;
    for (size_t i = 0; i < world->n_keys; i++) {
        n += strcmp(world->keys[i], key) == 0 ? 1 : 0;
    }
    return n;
}

static inline int world_compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Every row that can be seen and is wanted came once, nothing else came, and the proof says so. */
static inline void assert_exact(struct world *world,
                                bool (*is_wanted)(const struct world *world,
                                                  const struct fake_row *row))
{
    if (!world->ended) {
        fail_msg("the walk failed: %s", world->err.msg);
    }
    int64_t visible = 0;
    int64_t hidden = 0;
    if (world->n_keys > 0) {
        qsort(world->keys, world->n_keys, FAKE_KEY_MAX, world_compare_keys);
    }
    for (size_t i = 0; i < world->table.n_rows; i++) {
        const struct fake_row *row = &world->table.rows[i];
        if (row->deleted || (is_wanted != NULL && !is_wanted(world, row))) {
            continue;
        }
        visible += row->hidden ? 0 : 1;
        hidden += row->hidden ? 1 : 0;
        if (!row->hidden &&
            (world->n_keys == 0 || bsearch(row->key, world->keys, world->n_keys, FAKE_KEY_MAX,
                                           world_compare_keys) == NULL)) {
            fail_msg("%s is missing", row->key);
        }
    }
    assert_int_equal(visible, world->n_keys);
    assert_int_equal(visible, world->proof.records);
    assert_int_equal(hidden, world->proof.hidden);
    assert_true(world->proof.has_expected);
}

static inline void assert_fails(const struct world *world, enum error_code code, const char *words)
{
    if (world->ended) {
        fail_msg("the walk did not notice; it should say \"%s\"", words);
    }
    if (world->err.code != code || strstr(world->err.msg, words) == NULL) {
        fail_msg("%s: \"%s\" instead of %s: \"%s\"", error_code_name(world->err.code),
                 world->err.msg, error_code_name(code), words);
    }
}

/* A walk that brings just what is there, and one that notices what is wrong; the last of a test. */
static inline void finish_exact(struct world *world,
                                bool (*is_wanted)(const struct world *world,
                                                  const struct fake_row *row))
{
    world_walk(world);
    assert_exact(world, is_wanted);
    world_release(world);
}

static inline void finish_failed(struct world *world, enum error_code code, const char *words)
{
    world_walk(world);
    assert_fails(world, code, words);
    world_release(world);
}

/* The answers [from, to) show nothing and count nothing, as to an account without rights. */
static size_t denied_from;
static size_t denied_to;

static inline void deny_for_a_while(struct fake_table *table, size_t index)
{
    for (size_t i = 0; i < table->n_rows; i++) {
        table->rows[i].hidden = index >= denied_from && index < denied_to;
    }
}

static inline void world_deny(struct world *world, size_t from, size_t to)
{
    denied_from = from;
    denied_to = to;
    world->table.counts = COUNTS_OF_VISIBLE;
    world->table.before = deny_for_a_while;
}

static inline void finish_undenied(struct world *world,
                                   bool (*is_wanted)(const struct world *world,
                                                     const struct fake_row *row))
{
    world_walk(world);
    for (size_t i = 0; i < world->table.n_rows; i++) {
        world->table.rows[i].hidden = false;
    }
    assert_exact(world, is_wanted);
    world_release(world);
}
