#include "worker/run/standing.h"

#include "common/base/alloc.h"
#include "common/io/db_prepared.h"
#include "worker/load/form.h"

static bool read_watermark(struct db *db, struct task_run *task, struct error *err)
{
    task->watermark_high_us = INT64_MIN;
    struct db_result *row CLEANUP(db_result_freep) =
        db_query_prepared(db, "watermark",
                          "SELECT cursor, (extract(epoch FROM high) * 1000000)::bigint, profile"
                          "  FROM ops.watermark WHERE source = $1 AND task = $2",
                          DB_PARAMS(task->source->name, task->task->name), err);
    if (row == NULL) {
        return false;
    }
    if (db_rows(row) == 1) {
        task->watermark_cursor = xstrdup(db_text(row, 0, 0));
        task->watermark_profile = db_is_null(row, 0, 2) ? NULL : xstrdup(db_text(row, 0, 2));
        if (!db_is_null(row, 0, 1)) {
            task->watermark_high_us = db_int64(row, 0, 1);
        }
    }
    return true;
}

bool standing_read(struct db *db, struct board *board, struct error *err)
{
    for (size_t i = 0; i < board->n_tasks; i++) {
        struct task_run *task = &board->tasks[i];
        if (!read_watermark(db, task, err) || !form_read(db, task->task, &task->form, err)) {
            return false;
        }
    }
    return true;
}

void standing_release(struct task_run *task)
{
    xfree(task->watermark_cursor);
    xfree(task->watermark_profile);
}
