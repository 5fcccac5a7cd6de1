#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "worker/transform/row.h"

/*
 * Typing and encoding of one million incidents of 40 columns, page by page of 1,000, on one thread.
 * Prints one JSON line: the CPU time per row is what the worker's budget of 3 s per million rows
 * pays for this step.
 *
 *   row_bench [pages]
 */

enum { N_COLUMNS = 40, ROWS_PER_PAGE = 1000, PAGES_DEFAULT = 1000, LIMIT_BYTES = 64 << 20 };

struct shape {
    enum column_type type;
    const char *value;
};

/* Ten columns, four times: what incidents are made of. */
static const struct shape shapes[] = {
    {COLUMN_TEXT, "9d385017c611228701d22104cc95c371"},
    {COLUMN_TEXT, "The e-mail server of the second floor does not answer since Monday morning"},
    {COLUMN_INTEGER, "3"},
    {COLUMN_TIMESTAMPTZ, "2026-07-14 00:30:28"},
    {COLUMN_BOOLEAN, "true"},
    {COLUMN_TEXT, "Closed/Resolved by Caller"},
    {COLUMN_TEXT, ""},
    {COLUMN_TEXT, "46d44a5dc0a8010e0000c8a23c8b4a3d"},
    {COLUMN_TEXT, "inquiry"},
    {COLUMN_INTERVAL, "1970-01-03 14:33:00"},
};

static bool encode_pages(const struct task_def *task, int64_t n_pages, int64_t *ret_bytes)
{
    struct cell cells[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++) {
        cells[i] = (struct cell){CELL_TEXT, false, str_from(shapes[i % ARRAY_SIZE(shapes)].value)};
    }
    struct row_batch batch CLEANUP(row_batch_release) = {0};
    row_batch_init(&batch, task, ROW_FULL, LIMIT_BYTES);
    for (int64_t page = 0; page < n_pages; page++) {
        row_batch_reset(&batch);
        for (int i = 0; i < ROWS_PER_PAGE; i++) {
            struct error err = ERROR_INIT;
            if (!row_batch_add(&batch, cells, STR_LITERAL("{}"), &err)) {
                fprintf(stderr, "row_bench: %s\n", err.msg);
                return false;
            }
        }
        row_batch_finish(&batch);
        *ret_bytes += (int64_t)batch.rows.len;
    }
    return true;
}

int main(int argc, char **argv)
{
    int64_t n_pages = PAGES_DEFAULT;
    if (argc > 1 && !str_to_int64(str_from(argv[1]), 1, 1000000, &n_pages)) {
        fprintf(stderr, "usage: row_bench [pages]\n");
        return EXIT_FAILURE;
    }
    struct column columns[N_COLUMNS];
    for (size_t i = 0; i < N_COLUMNS; i++) {
        columns[i] = (struct column){"column", shapes[i % ARRAY_SIZE(shapes)].type, i, 0};
    }
    static const size_t key_columns[] = {0};
    const struct task_def task = {
        .name = "incident",
        .columns = columns,
        .n_columns = N_COLUMNS,
        .key_columns = key_columns,
        .n_key_columns = 1,
        .version_column = 3,
        .revision_column = -1,
        .window_column = -1,
    };
    int64_t n_bytes = 0;
    int64_t start_us = clock_thread_cpu_us();
    if (!encode_pages(&task, n_pages, &n_bytes)) {
        return EXIT_FAILURE;
    }
    int64_t cpu_us = clock_thread_cpu_us() - start_us;
    double n_rows = (double)(n_pages * ROWS_PER_PAGE);
    printf("{\"benchmark\":\"row_batch_add\",\"rows\":%.0f,\"columns\":%d,\"bytes_per_row\":%.0f,"
           "\"cpu_s_per_million_rows\":%.3f}\n",
           n_rows, N_COLUMNS, (double)n_bytes / n_rows, (double)cpu_us / n_rows);
    return EXIT_SUCCESS;
}
