#pragma once

#include "tests/db/support.h"

/*
 * A migrated database and one task's load after another, each through row encoder, COPY and merge:
 * what the tests of merge and staging share.
 */

struct fixture {
    char database[64];
    struct db *db;
    const struct task_def *task;
    int64_t execution_id;
    struct staging *staging;
    struct merge_request request;
    struct merge_result result;
};

int make_fixture(void **state);
int make_fixture_of(void **state, const struct config *config, const struct task_def *task);
int drop_fixture(void **state);
void begin_load(struct fixture *fixture, const char *source);
struct cell cell_of(const char *text);

/* A finished batch of rows of n_columns texts each. */
void make_page(struct fixture *fixture,
               enum row_shape shape,
               const char *const *texts,
               size_t n_rows,
               struct row_batch *ret_batch);

/* Stages rows of n_columns texts each as one page. */
void stage(struct fixture *fixture, enum row_shape shape, const char *const *texts, size_t n_rows);

/* Stages `n` rows with numbered keys from `first` on. */
void stage_many(struct fixture *fixture, int first, int n, const char *title);
void merge(struct fixture *fixture, enum merge_deletes deletes);

/* "i2 u0 =1 d0 x0 r0": inserted, updated, unchanged, deleted, duplicates, rejected */
void expect(const struct fixture *fixture, const char *counters);
void expect_titles(struct fixture *fixture, const char *titles);
void load_two(struct fixture *fixture);

/* The same as of MAY_1, by a catalog that did not know the last column yet. */
void load_two_of_older_catalog(struct fixture *fixture);

/* The merge fails because somebody has changed landed rows meanwhile. */
void expect_conflict(struct fixture *fixture, enum merge_deletes deletes);
void collect(void *arg, struct str key);

#define STAGE(fixture, ...)                                                                        \
    stage((fixture), ROW_FULL, (const char *const[]){__VA_ARGS__},                                 \
          ARRAY_SIZE(((const char *const[]){__VA_ARGS__})) / (fixture)->task->n_columns)
#define CENSUS(fixture, ...)                                                                       \
    stage((fixture), ROW_KEYS, (const char *const[]){__VA_ARGS__},                                 \
          ARRAY_SIZE(((const char *const[]){__VA_ARGS__})) / (fixture)->task->n_columns)

/* id, title, then fixed values, version and revision */
#define THING(id, title, at, rev) (id), (title), "u1", "w", "7", (at), (rev)
#define MAY_1                     "2026-05-01 00:00:00"
#define MAY_2                     "2026-05-02 00:00:00"
#define MAY_3                     "2026-05-03 00:00:00"
#define MAY_1_US                  INT64_C(1777593600000000)
#define DAY_US                    INT64_C(86400000000)

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, make_fixture, drop_fixture)
