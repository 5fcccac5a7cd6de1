#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/conf/catalog.h"
#include "fake_azure.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "tests/unit/worker/sources/copy_stream.h"
#include "worker/sources/azure_devops/connector.h"

/* One task of the shipped catalog, read from a fake organisation on a fake clock. */

#define ROW_TEXT_MAX 4000

struct organisation {
    struct fake_clock clock;
    struct fake_azure azure;
    struct stop *stop;
    struct catalog catalog;
    struct source_config config;
    struct http_source *source;
    struct http_client *client;
    const struct task_def *task;
    struct walk_request request;
    struct plan plan;
    /* what came of a walk */
    bool ended;
    struct error err;
    struct walk_proof proof;
    char cursor[512];           /* "" = none */
    char (*rows)[ROW_TEXT_MAX]; /* the columns asked for, joined by "|" */
    size_t n_rows;
    size_t n_pages;
    size_t n_rejects;
};

static inline void organisation_init(struct organisation *org, const char *task)
{
    *org = (struct organisation){.config = fake_config()};
    org->config.type = "azure_devops";
    org->config.url = "http://ado.test/acme";
    fake_clock_init(&org->clock);
    fake_azure_init(&org->azure);
    assert_true(catalog_load(&org->catalog, NULL, 0, NULL, &org->err));
    org->task = catalog_task(&org->catalog, "azure_devops", task);
    assert_non_null(org->task);
    org->request = (struct walk_request){.task = org->task,
                                         .kind = WALK_CHANGES,
                                         .from_us = INT64_MIN,
                                         .to_us = INT64_MAX,
                                         .max_partitions = 4};
    org->stop = stop_new(NULL);
    arena_init(&org->plan.arena, (size_t)1024 * 1024);
}

/* One that gives these answers to the requests that begin as they say. */
static inline void organisation_init_with(struct organisation *org,
                                          const char *task,
                                          const struct fake_reply *replies,
                                          size_t n)
{
    organisation_init(org, task);
    org->azure.replies = replies;
    org->azure.n_replies = n;
}

static inline void organisation_connect(struct organisation *org)
{
    const struct http_seams seams = fake_azure_seams(&org->clock, &org->azure);
    if (org->source == NULL) {
        org->source = http_source_new_with(&org->config, 4, org->stop, &seams, &org->err);
        assert_non_null(org->source);
        org->client = http_client_new(org->source, org->stop, (size_t)16 * 1024 * 1024);
    }
}

static inline void organisation_release(struct organisation *org)
{
    arena_release(&org->plan.arena);
    http_client_free(org->client);
    http_source_free(org->source);
    stop_free(org->stop);
    catalog_release(&org->catalog);
    fake_azure_release(&org->azure);
    fake_clock_release(&org->clock);
    xfree(org->rows);
}

static inline bool organisation_plan(struct organisation *org)
{
    organisation_connect(org);
    arena_release(&org->plan.arena);
    org->plan = (struct plan){.high_us = INT64_MIN, .unsettled_us = INT64_MAX};
    arena_init(&org->plan.arena, (size_t)1024 * 1024);
    error_clear(&org->err);
    return azure_devops_connector.plan(NULL, &org->config, org->client, &org->request, &org->plan,
                                       &org->err);
}

/* A value of binary COPY as text. */
static inline void value_text(enum column_type type, struct str value, char out[ROW_TEXT_MAX])
{
    int64_t number = 0;
    if (value.ptr == NULL) {
        (void)snprintf(out, ROW_TEXT_MAX, "-");
        return;
    }
    for (size_t i = 0; i < value.len && i < 8; i++) {
        number = (int64_t)((uint64_t)number << 8 | (unsigned char)value.ptr[i]);
    }
    switch (type) {
    case COLUMN_INTEGER:
    case COLUMN_BIGINT:
    case COLUMN_DATE:
    case COLUMN_TIMESTAMPTZ:
        (void)snprintf(out, ROW_TEXT_MAX, "%" PRId64, number);
        return;
    case COLUMN_BOOLEAN:
        (void)snprintf(out, ROW_TEXT_MAX, "%s", number != 0 ? "yes" : "no");
        return;
    case COLUMN_JSONB:
        (void)snprintf(out, ROW_TEXT_MAX, "%.*s", (int)value.len - 1, value.ptr + 1);
        return;
    case COLUMN_TEXT:
    case COLUMN_NUMERIC:
    case COLUMN_INTERVAL:
        break;
    }
    (void)snprintf(out, ROW_TEXT_MAX, "%.*s", STR_ARG(value));
}

static inline void organisation_take_page(struct organisation *org,
                                          const struct row_batch *batch,
                                          enum row_shape shape)
{
    struct copy_stream stream;
    struct copy_tuple tuple;
    int64_t n = 0;
    copy_stream_init(&stream, buf_str(&batch->rows));
    org->rows = xrealloc(org->rows, (org->n_rows + (size_t)batch->n_rows + 1) * ROW_TEXT_MAX);
    while (copy_stream_next(&stream, &tuple)) {
        char *row = org->rows[org->n_rows++];
        row[0] = '\0';
        size_t n_fields = shape == ROW_KEYS ? org->task->n_key_columns : org->task->n_columns;
        for (size_t i = 0; i < n_fields; i++) {
            char text[ROW_TEXT_MAX];
            size_t len = strlen(row);
            value_text(org->task->columns[i].type, tuple.fields[i], text);
            (void)snprintf(row + len, ROW_TEXT_MAX - len, "%s%s", i > 0 ? "|" : "", text);
        }
        n++;
    }
    assert_false(stream.is_broken);
    assert_int_equal(batch->n_rows, n);
    org->n_rejects += (size_t)batch->n_rejects;
    org->n_pages++;
}

/* Walks one partition to the end or the first error. */
static inline void organisation_walk(struct organisation *org, const struct partition *partition)
{
    struct row_batch batch;
    enum row_shape shape = partition->kind == WALK_KEYS ? ROW_KEYS : ROW_FULL;
    organisation_connect(org);
    xfree(org->rows);
    org->rows = NULL;
    org->n_rows = 0;
    org->n_pages = 0;
    org->n_rejects = 0;
    error_clear(&org->err);
    row_batch_init(&batch, org->task, shape, (size_t)16 * 1024 * 1024);
    struct walk *walk = azure_devops_connector.walk_open(NULL, &org->config, org->task, partition);
    enum page_result result = PAGE_READY;
    while (result == PAGE_READY) {
        assert_true(org->azure.n_requests < 5000);
        result = azure_devops_connector.fetch(walk, org->client, &batch, &org->err);
        if (result == PAGE_READY) {
            organisation_take_page(org, &batch, shape);
        }
    }
    org->ended = result == PAGE_END;
    assert_int_equal(!org->ended, error_is_set(&org->err));
    azure_devops_connector.proof(walk, &org->proof);
    (void)snprintf(org->cursor, sizeof(org->cursor), "%s",
                   org->proof.cursor != NULL ? org->proof.cursor : "");
    org->proof.cursor = NULL; /* the walk's own */
    azure_devops_connector.walk_close(walk);
    row_batch_release(&batch);
}

/* Plans and walks everything planned. */
static inline void organisation_load(struct organisation *org)
{
    if (!organisation_plan(org)) {
        fail_msg("no plan: %s", org->err.msg);
    }
    assert_true(org->plan.n_partitions <= 1);
    if (org->plan.n_partitions == 1) {
        organisation_walk(org, &org->plan.partitions[0]);
    }
}

static inline void
organisation_walk_given(struct organisation *org, const char *const *keys, size_t n)
{
    struct str given[64];
    assert_true(n <= ARRAY_SIZE(given));
    for (size_t i = 0; i < n; i++) {
        given[i] = str_from(keys[i]);
    }
    organisation_walk(org, &(struct partition){.kind = WALK_GIVEN, .keys = given, .n_keys = n});
}

static inline void assert_ended(const struct organisation *org)
{
    if (!org->ended) {
        fail_msg("the walk failed: %s", org->err.msg);
    }
    assert_int_equal(org->proof.records, org->n_rows + org->n_rejects);
    assert_false(org->azure.lacked_suppress);
}

static inline void
assert_fails(const struct organisation *org, enum error_code code, const char *words)
{
    if (!error_is_set(&org->err)) {
        fail_msg("nothing was noticed; it should say \"%s\"", words);
    }
    if (org->err.code != code || strstr(org->err.msg, words) == NULL) {
        fail_msg("%s: \"%s\" instead of %s: \"%s\"", error_code_name(org->err.code), org->err.msg,
                 error_code_name(code), words);
    }
}

/* How many rows begin so. */
static inline size_t rows_with(const struct organisation *org, const char *begins)
{
    size_t n = 0;
    for (size_t i = 0; i < org->n_rows; i++) {
        n += strncmp(org->rows[i], begins, strlen(begins)) == 0 ? 1 : 0;
    }
    return n;
}

static inline void assert_row(const struct organisation *org, const char *begins)
{
    if (rows_with(org, begins) != 1) {
        fail_msg("%zu rows begin with \"%s\"; the first is \"%s\"", rows_with(org, begins), begins,
                 org->n_rows > 0 ? org->rows[0] : "");
    }
}

/* A column of a row; the text lives until the next call. */
static inline const char *value_of(const struct organisation *org, size_t row, const char *column)
{
    static char text[ROW_TEXT_MAX];
    assert_true(row < org->n_rows);
    struct str rest = str_from(org->rows[row]);
    for (size_t i = 0; i < org->task->n_columns; i++) {
        bool is_last = i + 1 == org->task->n_columns;
        struct str value = is_last ? rest : str_cut(&rest, '|');
        if (strcmp(org->task->columns[i].name, column) == 0) {
            (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(value));
            return text;
        }
    }
    fail_msg("no column %s", column);
    return NULL;
}

/* A walk that notices what is wrong; the last of a test. */
static inline void finish_failed(struct organisation *org,
                                 const struct partition *partition,
                                 enum error_code code,
                                 const char *words)
{
    organisation_walk(org, partition);
    assert_fails(org, code, words);
    organisation_release(org);
}
