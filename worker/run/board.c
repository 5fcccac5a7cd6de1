#include "worker/run/board.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/clock.h"

const char *task_status_name(enum task_status status)
{
    switch (status) {
    case TASK_QUEUED:
        return "queued";
    case TASK_RUNNING:
        return "running";
    case TASK_SUCCESS:
        return "success";
    case TASK_PARTIAL:
        return "partial";
    case TASK_HELD:
        return "held";
    case TASK_FAILED:
        return "error";
    case TASK_INTERRUPTED:
        return "interrupted";
    case TASK_CANCELLED:
        return "cancelled";
    }
    return "error";
}

void board_init(struct board *board,
                const struct config *config,
                const struct claim *claim,
                struct stop *stop,
                struct task_run *tasks,
                size_t n_tasks)
{
    *board = (struct board){
        .config = config, .claim = claim, .stop = stop, .tasks = tasks, .n_tasks = n_tasks};
    board->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mutex_init(&board->mutex);
    condition_init(&board->changed);
}

void board_release(struct board *board)
{
    condition_release(&board->changed);
    mutex_release(&board->mutex);
    (void)close(board->wake_fd);
}

void board_enter(struct board *board)
{
    MUTEX_GUARD(&board->mutex);
    board->n_lanes++;
}

void board_leave(struct board *board)
{
    MUTEX_GUARD(&board->mutex);
    board->n_lanes--;
    if (board->n_lanes == 0) {
        uint64_t one = 1;
        (void)!write(board->wake_fd, &one, sizeof(one));
    }
}

bool board_is_deserted(struct board *board)
{
    MUTEX_GUARD(&board->mutex);
    return board->n_lanes == 0;
}

/* Caller holds the mutex: begins a task whose turn has come. */
static struct step begin(struct task_run *task)
{
    const struct task_run *parent = task->waits_on;
    task->n_active = 1;
    if (parent != NULL && parent->status != TASK_SUCCESS && parent->status != TASK_PARTIAL &&
        parent->status != TASK_HELD) {
        (void)error_set(&task->error, parent->error.code,
                        "task %s ended with %s, so its records were not asked for and %s stays as "
                        "it was",
                        parent->task->name, task_status_name(parent->status), task->task->name);
        task->error.http_status =
            parent->error.http_status; /* the same cause, the same exit code */
        task->phase = PHASE_SETTLING;
        return (struct step){.kind = STEP_SETTLE, .task = task};
    }
    task->phase = PHASE_PLANNING;
    task->status = TASK_RUNNING;
    return (struct step){.kind = STEP_PLAN, .task = task};
}

/* Caller holds the mutex, and counts the lane. NONE: nothing of the task is left to be taken. */
static struct step take_partition(struct task_run *task)
{
    if (error_is_set(&task->error) || task->next_partition == task->n_partitions) {
        return (struct step){.kind = STEP_NONE};
    }
    return (struct step){
        .kind = STEP_WALK, .task = task, .partition = &task->partitions[task->next_partition++]};
}

/* Caller holds the mutex. */
static struct step find_step(struct board *board, bool *ret_may_come)
{
    *ret_may_come = false;
    for (size_t i = 0; i < board->n_tasks; i++) {
        struct task_run *task = &board->tasks[i];
        if (task->phase == PHASE_WAITING &&
            (task->waits_on == NULL || task->waits_on->phase == PHASE_DONE)) {
            return begin(task);
        }
    }
    for (size_t i = 0; i < board->n_tasks; i++) {
        struct task_run *task = &board->tasks[i];
        struct step step = {.kind = STEP_NONE};
        if (task->phase == PHASE_WALKING) {
            step = take_partition(task);
        }
        if (step.kind != STEP_NONE) {
            task->n_active++;
            return step;
        }
        *ret_may_come = *ret_may_come || task->phase != PHASE_DONE;
    }
    return (struct step){.kind = STEP_NONE};
}

struct step board_take(struct board *board)
{
    MUTEX_GUARD(&board->mutex);
    for (;;) {
        bool may_come = false;
        if (stop_is_requested(board->stop)) {
            return (struct step){.kind = STEP_NONE};
        }
        struct step step = find_step(board, &may_come);
        if (step.kind != STEP_NONE || !may_come) {
            return step;
        }
        /* The deadline only bounds how late a stop is noticed. */
        (void)condition_wait_until(&board->changed, &board->mutex,
                                   clock_monotonic_us() + 200 * US_PER_MS);
    }
}

/* Caller holds the mutex: what the lane that has just ended a step of `task` does next. The last
 * one settles it, where another lane's partition failed too. */
static struct step next_of(struct board *board, struct task_run *task)
{
    condition_broadcast(&board->changed);
    struct step step = take_partition(task);
    if (step.kind != STEP_NONE) {
        return step;
    }
    task->n_active--;
    if (task->n_active == 0) {
        task->phase = PHASE_SETTLING;
        task->n_active = 1;
        return (struct step){.kind = STEP_SETTLE, .task = task};
    }
    return (struct step){.kind = STEP_NONE};
}

void board_planned(struct board *board, struct task_run *task, struct step *ret_next)
{
    MUTEX_GUARD(&board->mutex);
    task->partitions = task->plan.partitions;
    task->n_partitions = task->plan.n_partitions;
    task->next_partition = 0;
    task->can_count = true;
    task->phase = PHASE_WALKING;
    *ret_next = next_of(board, task);
}

/* What the operator lets go of a window, and its children, is given up rather than hidden. */
static bool is_given_up(const struct board *board, const struct task_run *task)
{
    return board->claim->mode == MODE_WINDOW && task->plan.hold != NULL && board->allow_mass_delete;
}

void board_walked(struct board *board,
                  struct task_run *task,
                  const struct walk_proof *proof,
                  struct step *ret_next)
{
    MUTEX_GUARD(&board->mutex);
    task->counters.proven_records += proof->records;
    task->counters.hidden += is_given_up(board, task) ? 0 : proof->hidden;
    task->can_count = task->can_count && proof->has_expected;
    *ret_next = next_of(board, task);
}

void board_confirm(struct board *board,
                   struct task_run *task,
                   const struct partition *partitions,
                   size_t n_partitions)
{
    MUTEX_GUARD(&board->mutex);
    task->is_confirming = true;
    task->partitions = partitions;
    task->n_partitions = n_partitions;
    task->next_partition = 0;
    task->n_active = 0;
    task->phase = PHASE_WALKING;
    condition_broadcast(&board->changed);
}

void board_done(struct board *board, struct task_run *task, enum task_status status)
{
    MUTEX_GUARD(&board->mutex);
    task->n_active = 0;
    task->status = status;
    task->phase = PHASE_DONE;
    condition_broadcast(&board->changed);
}

void board_failed(struct board *board,
                  struct task_run *task,
                  const struct error *err,
                  bool *ret_is_last)
{
    MUTEX_GUARD(&board->mutex);
    if (!error_is_set(&task->error)) {
        task->error = *err;
    }
    task->n_active--;
    *ret_is_last = task->n_active == 0;
    if (*ret_is_last) {
        task->phase = PHASE_SETTLING;
    }
    condition_broadcast(&board->changed);
}

bool board_has_failed(struct board *board, const struct task_run *task)
{
    MUTEX_GUARD(&board->mutex);
    return error_is_set(&task->error);
}

void board_count(struct board *board, struct task_run *task, const struct task_counters *delta)
{
    MUTEX_GUARD(&board->mutex);
    struct task_counters *sum = &task->counters;
    sum->rows_sent += delta->rows_sent;
    sum->keys_sent += delta->keys_sent;
    sum->rejects += delta->rejects;
    sum->nul_removed += delta->nul_removed;
    sum->pages += delta->pages;
    sum->requests += delta->requests;
    sum->retries += delta->retries;
    sum->throttled_us += delta->throttled_us;
    sum->bytes_received += delta->bytes_received;
    sum->fetch_us += delta->fetch_us;
    sum->transform_us += delta->transform_us;
    sum->load_us += delta->load_us;
    if (delta->peak_page_bytes > sum->peak_page_bytes) {
        sum->peak_page_bytes = delta->peak_page_bytes;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sum->absent_columns); i++) {
        sum->absent_columns[i] |= delta->absent_columns[i];
    }
}

int64_t board_records(struct board *board)
{
    MUTEX_GUARD(&board->mutex);
    int64_t records = 0;
    for (size_t i = 0; i < board->n_tasks; i++) {
        const struct task_counters *counters = &board->tasks[i].counters;
        records += counters->rows_sent + counters->keys_sent + counters->rejects;
    }
    return records;
}

void board_progress(struct board *board, size_t index, struct task_progress *ret_progress)
{
    MUTEX_GUARD(&board->mutex);
    const struct task_run *task = &board->tasks[index];
    *ret_progress = (struct task_progress){
        .source = task->source->name,
        .task = task->task->name,
        .status = task->status,
        .records = task->counters.rows_sent + task->counters.keys_sent + task->counters.rejects,
        .pages = task->counters.pages,
    };
}
