#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/base/thread.h"
#include "common/conf/config.h"
#include "worker/load/merge.h"
#include "worker/load/owed.h"
#include "worker/load/staging.h"
#include "worker/run/claim.h"
#include "worker/sources/connector.h"

/*
 * The work of one execution, shared by its lanes: which task waits to be planned, which partition
 * waits to be walked, who finishes a task. Lanes take steps from it and hand back what came of
 * them; the board decides what comes next and keeps the counters.
 *
 *     WAITING -> PLANNING -> WALKING -> SETTLING -> DONE
 *                               ^           |
 *                               +-----------+  where keys have to be confirmed
 *
 * A failure anywhere in a task makes the last lane on it settle it, as failed; other tasks go on,
 * but for those whose records belong to the failed one's: they go from WAITING to SETTLING.
 */

enum task_phase {
    PHASE_WAITING,
    PHASE_PLANNING,
    PHASE_WALKING,
    PHASE_SETTLING, /* a lane confirms keys or publishes */
    PHASE_DONE,
};

enum task_status {
    TASK_QUEUED,
    TASK_RUNNING,
    TASK_SUCCESS,
    TASK_PARTIAL,
    TASK_HELD,
    TASK_FAILED,
    TASK_INTERRUPTED,
    TASK_CANCELLED
};

/* The value of ops.execution_task.status; FAILED is "error". */
const char *task_status_name(enum task_status status);

struct task_counters {
    int64_t rows_sent; /* rows in staging */
    int64_t keys_sent; /* rows in the key census */
    int64_t rejects;
    int64_t nul_removed;
    int64_t pages;
    int64_t requests;
    int64_t retries;
    int64_t throttled_us;
    int64_t bytes_received;
    int64_t fetch_us;
    int64_t transform_us;
    int64_t load_us;
    int64_t peak_page_bytes;
    int64_t proven_records; /* sums of the walks' proofs */
    int64_t hidden;
    uint64_t absent_columns[ROW_COLUMNS_MAX / 64]; /* bit per column */
};

struct task_run {
    /* const after board_init */
    size_t index;
    const struct source_config *source;
    size_t source_index;
    const struct task_def *task;
    bool allow_hidden;
    const struct connector *connector;
    const struct task_def *parent;   /* the task its records belong to, as landed; NULL if none */
    const struct task_run *waits_on; /* the same as part of this execution; NULL if it is not */
    const struct task_def *origin;   /* of latest_of or people_of; NULL if none */

    /* written by the one lane that plans or settles, read by others after that */
    struct plan plan;
    struct hash128 form;         /* of its landed table */
    struct staging *staging;     /* guarded by staging_mutex while the task is walked */
    struct owed owed;            /* keys live in the plan's arena */
    struct merge_result derived; /* published before the walk */
    int64_t people;              /* rows that were derived into staging */
    bool is_confirming;          /* the partitions now walked are GIVEN keys */
    struct arena confirm_arena;
    int64_t asked_keys;        /* GIVEN keys asked for */
    char *watermark_cursor;    /* before; NULL if none */
    char *watermark_profile;   /* what it depends on; NULL if nothing */
    int64_t watermark_high_us; /* INT64_MIN if none */

    struct mutex staging_mutex;

    /* guarded by board.mutex */
    enum task_phase phase;
    enum task_status status;
    const struct partition *partitions;
    size_t n_partitions;
    size_t next_partition;
    size_t n_active; /* lanes at work on it */
    bool can_count;
    struct task_counters counters;
    struct error error;

    /* written by the one lane that settles, read by others after DONE */
    struct merge_result merged;
    int64_t records_read; /* the ledger's number */
};

struct board {
    const struct config *config;
    const struct claim *claim;
    bool allow_mass_delete;
    struct stop *stop;
    struct db_watch *watch; /* of the connections that work on it */
    void **sessions;        /* per source index; written before the lanes start */
    struct task_run *tasks;
    size_t n_tasks;
    int wake_fd; /* eventfd: written when a lane has ended */
    struct mutex mutex;
    struct condition changed;
    size_t n_lanes; /* guarded by mutex: still at work */
};

enum step_kind { STEP_NONE, STEP_PLAN, STEP_WALK, STEP_SETTLE };

struct step {
    enum step_kind kind;
    struct task_run *task;
    const struct partition *partition; /* WALK */
};

/* `tasks` was filled with the const part by the caller and stays its property. */
void board_init(struct board *board,
                const struct config *config,
                const struct claim *claim,
                struct stop *stop,
                struct task_run *tasks,
                size_t n_tasks);
void board_release(struct board *board);

/* Lanes say when they come and go; the last to go makes wake_fd readable. */
void board_enter(struct board *board);
void board_leave(struct board *board);
bool board_is_deserted(struct board *board);

/* The next step for a lane; waits while only other lanes can bring one. NONE: nothing is left, or
 * the execution is to stop. */
struct step board_take(struct board *board);

/* A step went well. After the last WALK of a phase the same lane gets SETTLE by *ret_next. */
void board_planned(struct board *board, struct task_run *task, struct step *ret_next);
void board_walked(struct board *board,
                  struct task_run *task,
                  const struct walk_proof *proof,
                  struct step *ret_next);
void board_confirm(struct board *board,
                   struct task_run *task,
                   const struct partition *partitions,
                   size_t n_partitions);
void board_done(struct board *board, struct task_run *task, enum task_status status);

/* A step failed; err is copied. The lane that sees *ret_is_last true writes the task's end. */
void board_failed(struct board *board,
                  struct task_run *task,
                  const struct error *err,
                  bool *ret_is_last);

/* Has another lane failed on it, so that going on is of no use? */
bool board_has_failed(struct board *board, const struct task_run *task);

/* Adds a page's or a client's costs. */
void board_count(struct board *board, struct task_run *task, const struct task_counters *delta);

/* Sum of rows, keys and rejects over all tasks: for heartbeats. */
int64_t board_records(struct board *board);

struct task_progress {
    const char *source;
    const char *task;
    enum task_status status;
    int64_t records;
    int64_t pages;
};

/* Copies the progress of task `index`. */
void board_progress(struct board *board, size_t index, struct task_progress *ret_progress);
