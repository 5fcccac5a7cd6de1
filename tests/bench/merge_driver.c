#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "worker/load/merge.h"
#include "worker/load/migrate.h"

/*
 * The loading half of the worker without its HTTP half, for merge_bench.py:
 *
 *     merge_driver migrate URL
 *     merge_driver load URL EXECUTION ROWS LANES CHANGED_PERCENT
 *
 * `load` makes ROWS rows of 40 columns as LANES threads, stages them in pages of 1,000 and merges
 * them as a full load; it prints one JSON object with the seconds of both.
 */

enum { N_COLUMNS = 40, N_TEXTS = 20, N_INTEGERS = 8, N_TIMES = 7, PAGE_ROWS = 1000, TEXT_MAX = 48 };

struct plan {
    const struct task_def *task;
    const char *url;
    const struct staging *staging;
    int64_t n_rows;
    int n_lanes;
    int changed_percent;
};

struct lane {
    pthread_t thread;
    const struct plan *plan;
    int number;
    double encode_s;
    struct error err;
};

static struct field fields[N_COLUMNS];
static struct column columns[N_COLUMNS];
static char names[N_COLUMNS][16];
static const size_t key_columns[] = {0};
static const char *const indexes[] = {"t0", "t15", "d1"};

static struct task_def task_40(void)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        enum column_type type = COLUMN_BOOLEAN;
        if (i <= N_TEXTS) {
            type = COLUMN_TEXT;
            snprintf(names[i], sizeof(names[i]), i == 0 ? "sys_id" : "t%zu", i - 1);
        } else if (i <= N_TEXTS + N_INTEGERS) {
            type = COLUMN_INTEGER;
            snprintf(names[i], sizeof(names[i]), "n%zu", i - N_TEXTS - 1);
        } else if (i <= N_TEXTS + N_INTEGERS + N_TIMES) {
            type = COLUMN_TIMESTAMPTZ;
            snprintf(names[i], sizeof(names[i]), "d%zu", i - N_TEXTS - N_INTEGERS - 1);
        } else {
            snprintf(names[i], sizeof(names[i]), "b%zu", i - N_TEXTS - N_INTEGERS - N_TIMES - 1);
        }
        fields[i] = (struct field){.name = names[i], .type = type};
        columns[i] = (struct column){.name = names[i], .type = type, .field = i};
    }
    return (struct task_def){.name = "incident",
                             .source_type = "bench",
                             .load = "incidents",
                             .fields = fields,
                             .n_fields = N_COLUMNS,
                             .columns = columns,
                             .n_columns = N_COLUMNS,
                             .key_columns = key_columns,
                             .n_key_columns = 1,
                             .version_column = N_TEXTS + N_INTEGERS + 2,
                             .revision_column = -1,
                             .window_column = N_TEXTS + N_INTEGERS + 1,
                             .indexes = indexes,
                             .n_indexes = ARRAY_SIZE(indexes),
                             .defined_at = "bench"};
}

/* SplitMix64: the same row at every run. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Keys ascend with the row's number, as the pages of a keyset walk do. */
static void
write_cell(char out[TEXT_MAX], size_t column, uint64_t row, int64_t n_rows, bool changed)
{
    uint64_t random = mix(row * 64 + column);
    if (column == 0) {
        uint64_t spread = UINT64_MAX / (uint64_t)n_rows;
        snprintf(out, TEXT_MAX, "%016" PRIx64 "%016" PRIx64, row * spread, random);
    } else if (column <= 14) {
        snprintf(out, TEXT_MAX, "%016" PRIx64 " %016" PRIx64, random, mix(random));
    } else if (column <= N_TEXTS) {
        snprintf(out, TEXT_MAX, "%s", (const char *[]){"alpha", "beta", "gamma"}[random % 3]);
    } else if (column <= N_TEXTS + N_INTEGERS) {
        snprintf(out, TEXT_MAX, "%d", (int)(random % 1000) + (changed && column == 21 ? 5000 : 0));
    } else if (column <= N_TEXTS + N_INTEGERS + N_TIMES) {
        snprintf(out, TEXT_MAX, "20%02u-%02u-%02u %02u:%02u:%02u", (unsigned)(random % 26),
                 (unsigned)(random / 26 % 12) + 1, (unsigned)(random / 312 % 28) + 1,
                 (unsigned)(random / 8736 % 24), (unsigned)(random / 209664 % 60),
                 (unsigned)(random / 12579840 % 60));
    } else {
        snprintf(out, TEXT_MAX, "%s", random % 2 == 0 ? "true" : "false");
    }
}

static bool
add_row(struct row_batch *batch, const struct plan *plan, int64_t row, struct error *err)
{
    char texts[N_COLUMNS][TEXT_MAX];
    struct cell cells[N_COLUMNS];
    bool changed = row % 100 < plan->changed_percent;
    for (size_t i = 0; i < N_COLUMNS; i++) {
        write_cell(texts[i], i, (uint64_t)row, plan->n_rows, changed);
        cells[i] = (struct cell){.kind = CELL_TEXT, .text = str_from(texts[i])};
    }
    return row_batch_add(batch, cells, STR_NONE, err);
}

/* One lane walks one range of keys. */
static bool stage_range(struct lane *lane, struct db *db, struct row_batch *batch)
{
    const struct plan *plan = lane->plan;
    int64_t first = plan->n_rows * lane->number / plan->n_lanes;
    int64_t end = plan->n_rows * (lane->number + 1) / plan->n_lanes;
    while (first < end) {
        int64_t started_us = clock_monotonic_us();
        int64_t stop = first + PAGE_ROWS < end ? first + PAGE_ROWS : end;
        row_batch_reset(batch);
        for (int64_t row = first; row < stop; row++) {
            if (!add_row(batch, plan, row, &lane->err)) {
                return false;
            }
        }
        row_batch_finish(batch);
        lane->encode_s += (double)(clock_monotonic_us() - started_us) / 1e6;
        if (!staging_add(db, plan->staging, batch, &lane->err)) {
            return false;
        }
        first = stop;
    }
    return true;
}

static void *run_lane(void *arg)
{
    struct lane *lane = arg;
    struct db *db CLEANUP(db_closep) =
        db_open(&(struct db_settings){.url = lane->plan->url}, &lane->err);
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, lane->plan->task, ROW_FULL, (size_t)64 << 20);
    if (db != NULL) {
        (void)stage_range(lane, db, &batch); /* the error tells */
    }
    return NULL;
}

static bool stage(const struct plan *plan, double *ret_encode_s, struct error *err)
{
    struct lane lanes[16] = {0};
    for (int i = 0; i < plan->n_lanes; i++) {
        lanes[i] = (struct lane){.plan = plan, .number = i};
        pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]);
    }
    for (int i = 0; i < plan->n_lanes; i++) {
        pthread_join(lanes[i].thread, NULL);
        *ret_encode_s += lanes[i].encode_s;
    }
    for (int i = 0; i < plan->n_lanes; i++) {
        if (error_is_set(&lanes[i].err)) {
            *err = lanes[i].err;
            return false;
        }
    }
    return true;
}

static bool load(struct db *db, struct plan *plan, int64_t execution_id, struct error *err)
{
    struct staging *staging = NULL;
    staging = staging_create(db, execution_id, "snow", plan->task, false, err);
    if (staging == NULL) {
        return false;
    }
    plan->staging = staging;
    struct merge_request request = {.staging = staging,
                                    .source = "snow",
                                    .deletes = MERGE_DELETE_MISSING,
                                    .max_delete_fraction = 0.3};
    struct merge_result result = {0};
    double encode_s = 0;
    int64_t started_us = clock_monotonic_us();
    bool ok = stage(plan, &encode_s, err);
    int64_t staged_us = clock_monotonic_us();
    ok = ok && db_begin(db, err) && merge_apply(db, &request, &result, err) && db_commit(db, err);
    int64_t merged_us = clock_monotonic_us();
    staging_free(staging);
    if (ok) {
        printf("{\"stage_s\": %.3f, \"make_and_encode_s\": %.3f, \"merge_s\": %.3f, \"staged\": "
               "%" PRId64 ", \"inserted\": %" PRId64 ", \"updated\": %" PRId64
               ", \"unchanged\": %" PRId64 "}\n",
               (double)(staged_us - started_us) / 1e6, encode_s / plan->n_lanes,
               (double)(merged_us - staged_us) / 1e6, result.staged, result.inserted,
               result.updated, result.unchanged);
    }
    return ok;
}

static bool migrate(struct db *db, const struct task_def *task, struct error *err)
{
    const struct task_def *tasks[] = {task};
    struct config config = {.catalog = {.tasks = tasks, .n_tasks = 1}, .landed = tasks};
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, (size_t)1 << 20);
    return migrate_run(db, &config, false, &plan, err);
}

int main(int argc, char **argv)
{
    bool is_load = argc == 7 && strcmp(argv[1], "load") == 0;
    if (!is_load && !(argc == 3 && strcmp(argv[1], "migrate") == 0)) {
        fprintf(stderr,
                "usage: merge_driver migrate URL | load URL EXECUTION ROWS LANES PERCENT\n");
        return 64;
    }
    struct task_def task = task_40();
    struct error err = ERROR_INIT;
    struct db *db CLEANUP(db_closep) = db_open(&(struct db_settings){.url = argv[2]}, &err);
    bool ok = db != NULL;
    if (ok && is_load) {
        struct plan plan = {.task = &task,
                            .url = argv[2],
                            .n_rows = strtoll(argv[4], NULL, 10),
                            .n_lanes = (int)strtol(argv[5], NULL, 10),
                            .changed_percent = (int)strtol(argv[6], NULL, 10)};
        ok = plan.n_lanes >= 1 && plan.n_lanes <= 16 && plan.n_rows > 0 &&
             load(db, &plan, strtoll(argv[3], NULL, 10), &err);
    } else if (ok) {
        ok = migrate(db, &task, &err);
    }
    if (!ok) {
        fprintf(stderr, "merge_driver: %s\n", err.msg);
    }
    return ok ? 0 : 1;
}
