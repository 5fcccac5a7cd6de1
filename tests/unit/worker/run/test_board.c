#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/thread.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "worker/run/board.h"

#define TASKS_MAX 8

static const struct claim incremental = {.mode = MODE_INCREMENTAL};

struct scene {
    struct board board;
    struct stop *stop;
    struct source_config source;
    struct task_def task;
    struct task_run tasks[TASKS_MAX];
    struct partition partitions[16];
};

static void set_up(struct scene *scene, size_t n_tasks)
{
    memset(scene, 0, sizeof(*scene));
    scene->stop = stop_new(NULL);
    scene->source.name = "snow";
    scene->task.name = "incident";
    for (size_t i = 0; i < n_tasks; i++) {
        scene->tasks[i].index = i;
        scene->tasks[i].source = &scene->source;
        scene->tasks[i].task = &scene->task;
    }
    board_init(&scene->board, NULL, &incremental, scene->stop, scene->tasks, n_tasks);
}

static void tear_down(struct scene *scene)
{
    board_release(&scene->board);
    stop_free(scene->stop);
}

static struct step plan(struct scene *scene, struct task_run *task, size_t n_partitions)
{
    struct step next = {.kind = STEP_NONE};
    task->plan.partitions = scene->partitions;
    task->plan.n_partitions = n_partitions;
    board_planned(&scene->board, task, &next);
    return next;
}

static const struct walk_proof TEN = {.records = 10, .hidden = 1, .has_expected = true};

static void a_task_is_planned_walked_and_settled(void **state)
{
    (void)state;
    struct scene scene;
    struct step next = {.kind = STEP_NONE};
    set_up(&scene, 1);
    struct step step = board_take(&scene.board);
    assert_int_equal(STEP_PLAN, step.kind);
    assert_int_equal(TASK_RUNNING, step.task->status);
    step = plan(&scene, step.task, 2);
    assert_int_equal(STEP_WALK, step.kind);
    assert_ptr_equal(&scene.partitions[0], step.partition);
    board_walked(&scene.board, step.task, &TEN, &next);
    assert_int_equal(STEP_WALK, next.kind);
    assert_ptr_equal(&scene.partitions[1], next.partition);
    board_walked(&scene.board, next.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    assert_int_equal(20, next.task->counters.proven_records);
    assert_int_equal(2, next.task->counters.hidden);
    assert_true(next.task->can_count);
    board_done(&scene.board, next.task, TASK_SUCCESS);
    assert_int_equal(STEP_NONE, board_take(&scene.board).kind);
    assert_int_equal(TASK_SUCCESS, scene.tasks[0].status);
    tear_down(&scene);
}

static void a_plan_without_partitions_is_settled_at_once(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 1);
    struct step step = board_take(&scene.board);
    assert_int_equal(STEP_SETTLE, plan(&scene, step.task, 0).kind);
    tear_down(&scene);
}

static void one_walk_that_cannot_count_is_enough(void **state)
{
    (void)state;
    struct scene scene;
    struct step next = {.kind = STEP_NONE};
    set_up(&scene, 1);
    struct step step = board_take(&scene.board);
    step = plan(&scene, step.task, 2);
    board_walked(&scene.board, step.task, &(struct walk_proof){.records = 1}, &next);
    board_walked(&scene.board, step.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    assert_false(step.task->can_count);
    tear_down(&scene);
}

static void what_is_let_go_of_a_window_does_not_count_as_hidden(void **state)
{
    (void)state;
    static const struct claim window = {.mode = MODE_WINDOW};
    const struct walk_proof proof = {.records = 1, .hidden = 2};
    for (size_t let_go = 0; let_go < 2; let_go++) {
        struct scene scene;
        struct step next = {.kind = STEP_NONE};
        set_up(&scene, 1);
        scene.board.claim = &window;
        scene.board.allow_mass_delete = let_go == 1;
        struct step step = board_take(&scene.board);
        step.task->plan.hold = "two entities are not seen any more";
        step = plan(&scene, step.task, 1);
        board_walked(&scene.board, step.task, &proof, &next);
        assert_int_equal(let_go == 1 ? 0 : 2, step.task->counters.hidden);
        tear_down(&scene);
    }
}

static void tasks_begin_before_partitions_are_shared(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 2);
    struct step first = board_take(&scene.board);
    struct step walk = plan(&scene, first.task, 3);
    assert_int_equal(STEP_WALK, walk.kind);
    struct step second = board_take(&scene.board);
    assert_int_equal(STEP_PLAN, second.kind);
    assert_ptr_not_equal(first.task, second.task);
    struct step third = board_take(&scene.board);
    assert_int_equal(STEP_WALK, third.kind);
    assert_ptr_equal(&scene.partitions[1], third.partition);
    tear_down(&scene);
}

static void a_failure_stays_with_its_task(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = ERROR_INIT;
    struct step next = {.kind = STEP_NONE};
    bool last = false;
    (void)error_set(&err, ERROR_DATA, "wrong order");
    set_up(&scene, 2);
    struct step failing = board_take(&scene.board);
    struct step walk = plan(&scene, failing.task, 3);
    struct step going = board_take(&scene.board);
    board_failed(&scene.board, walk.task, &err, &last);
    assert_true(last);
    board_done(&scene.board, walk.task, TASK_FAILED);
    assert_int_equal(ERROR_DATA, walk.task->error.code);
    next = plan(&scene, going.task, 1);
    assert_int_equal(STEP_WALK, next.kind);
    board_walked(&scene.board, going.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    board_done(&scene.board, going.task, TASK_SUCCESS);
    assert_int_equal(STEP_NONE, board_take(&scene.board).kind);
    assert_false(error_is_set(&going.task->error));
    tear_down(&scene);
}

static void the_last_lane_on_a_failed_task_ends_it(void **state)
{
    (void)state;
    struct scene scene;
    struct error first = ERROR_INIT;
    struct error second = ERROR_INIT;
    bool last = true;
    (void)error_set(&first, ERROR_DENIED, "the cause");
    (void)error_set(&second, ERROR_CANCELLED, "another part of the task failed");
    set_up(&scene, 1);
    struct step one = board_take(&scene.board);
    one = plan(&scene, one.task, 3);
    struct step two = board_take(&scene.board);
    struct step three = board_take(&scene.board);
    assert_false(board_has_failed(&scene.board, one.task));
    board_failed(&scene.board, one.task, &first, &last);
    assert_false(last);
    assert_true(board_has_failed(&scene.board, one.task));
    board_failed(&scene.board, two.task, &second, &last);
    assert_false(last);
    struct step next = {.kind = STEP_NONE};
    board_walked(&scene.board, three.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    assert_string_equal("the cause", next.task->error.msg);
    tear_down(&scene);
}

static void partitions_of_a_failed_task_are_not_begun(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = ERROR_INIT;
    bool last = false;
    (void)error_set(&err, ERROR_DATA, "wrong");
    set_up(&scene, 2);
    struct step one = board_take(&scene.board);
    one = plan(&scene, one.task, 9);
    struct step two = board_take(&scene.board);
    struct step three = board_take(&scene.board);
    assert_ptr_equal(one.task, three.task);
    board_failed(&scene.board, one.task, &err, &last);
    two = plan(&scene, two.task, 2);
    struct step next = board_take(&scene.board);
    assert_int_equal(STEP_WALK, next.kind);
    assert_ptr_equal(two.task, next.task);
    tear_down(&scene);
}

static void keys_to_confirm_are_walked_and_settled_again(void **state)
{
    (void)state;
    struct scene scene;
    static const struct partition given[2] = {{.kind = WALK_GIVEN}, {.kind = WALK_GIVEN}};
    struct step next = {.kind = STEP_NONE};
    set_up(&scene, 1);
    struct step step = board_take(&scene.board);
    step = plan(&scene, step.task, 1);
    board_walked(&scene.board, step.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    board_confirm(&scene.board, step.task, given, 2);
    step = board_take(&scene.board);
    assert_int_equal(STEP_WALK, step.kind);
    assert_ptr_equal(&given[0], step.partition);
    assert_true(step.task->is_confirming);
    board_walked(&scene.board, step.task, &TEN, &next);
    assert_ptr_equal(&given[1], next.partition);
    board_walked(&scene.board, step.task, &TEN, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    assert_int_equal(30, step.task->counters.proven_records);
    tear_down(&scene);
}

static void a_stop_hands_out_nothing_more(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 3);
    assert_int_equal(STEP_PLAN, board_take(&scene.board).kind);
    stop_request(scene.stop, STOP_CANCELLED);
    assert_int_equal(STEP_NONE, board_take(&scene.board).kind);
    assert_int_equal(TASK_QUEUED, scene.tasks[1].status);
    tear_down(&scene);
}

static void counters_add_up_and_peaks_do_not(void **state)
{
    (void)state;
    struct scene scene;
    struct task_progress progress;
    struct task_counters delta = {.rows_sent = 3,
                                  .keys_sent = 2,
                                  .rejects = 1,
                                  .pages = 1,
                                  .requests = 4,
                                  .retries = 5,
                                  .throttled_us = 6,
                                  .bytes_received = 7,
                                  .fetch_us = 8,
                                  .transform_us = 9,
                                  .load_us = 10,
                                  .nul_removed = 11,
                                  .peak_page_bytes = 100,
                                  .absent_columns = {5}};
    set_up(&scene, 2);
    board_count(&scene.board, &scene.tasks[0], &delta);
    delta.peak_page_bytes = 60;
    delta.absent_columns[0] = 2;
    delta.absent_columns[7] = 1;
    board_count(&scene.board, &scene.tasks[0], &delta);
    board_count(&scene.board, &scene.tasks[1], &delta);
    const struct task_counters *sum = &scene.tasks[0].counters;
    assert_int_equal(6, sum->rows_sent);
    assert_int_equal(8, sum->requests);
    assert_int_equal(10, sum->retries);
    assert_int_equal(12, sum->throttled_us);
    assert_int_equal(14, sum->bytes_received);
    assert_int_equal(16, sum->fetch_us);
    assert_int_equal(18, sum->transform_us);
    assert_int_equal(20, sum->load_us);
    assert_int_equal(22, sum->nul_removed);
    assert_int_equal(100, sum->peak_page_bytes);
    assert_int_equal(7, sum->absent_columns[0]);
    assert_int_equal(1, sum->absent_columns[7]);
    assert_int_equal(18, board_records(&scene.board));
    board_progress(&scene.board, 0, &progress);
    assert_int_equal(12, progress.records);
    assert_int_equal(2, progress.pages);
    assert_string_equal("snow", progress.source);
    tear_down(&scene);
}

static bool is_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static void the_last_lane_to_leave_wakes_the_watcher(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene, 0);
    board_enter(&scene.board);
    board_enter(&scene.board);
    board_leave(&scene.board);
    assert_false(is_readable(scene.board.wake_fd));
    assert_false(board_is_deserted(&scene.board));
    board_leave(&scene.board);
    assert_true(is_readable(scene.board.wake_fd));
    assert_true(board_is_deserted(&scene.board));
    tear_down(&scene);
}

/* --- many lanes --- */

struct crowd {
    struct scene scene;
    atomic_int n_planned;
    atomic_int n_walked;
    atomic_int n_settled;
    atomic_int n_ended;
    struct partition given[3];
};

static void settle(struct crowd *crowd, struct task_run *task)
{
    if (board_has_failed(&crowd->scene.board, task)) {
        atomic_fetch_add(&crowd->n_ended, 1);
        board_done(&crowd->scene.board, task, TASK_FAILED);
    } else if (!task->is_confirming && task->index % 2 == 0) {
        board_confirm(&crowd->scene.board, task, crowd->given, 3);
    } else {
        atomic_fetch_add(&crowd->n_settled, 1);
        board_done(&crowd->scene.board, task, TASK_SUCCESS);
    }
}

/* Task 3 fails at its fifth partition. */
static struct step walk(struct crowd *crowd, struct step step)
{
    struct step next = {.kind = STEP_NONE};
    struct error err = ERROR_INIT;
    bool last = false;
    board_count(&crowd->scene.board, step.task, &(struct task_counters){.rows_sent = 10});
    atomic_fetch_add(&crowd->n_walked, 1);
    if (step.task->index == 3 && step.partition == &crowd->scene.partitions[4]) {
        (void)error_set(&err, ERROR_DATA, "wrong");
        board_failed(&crowd->scene.board, step.task, &err, &last);
        if (last) {
            settle(crowd, step.task);
        }
    } else {
        board_walked(&crowd->scene.board, step.task, &TEN, &next);
    }
    return next;
}

static void *lane_main(void *arg)
{
    struct crowd *crowd = arg;
    struct step step = board_take(&crowd->scene.board);
    while (step.kind != STEP_NONE) {
        switch (step.kind) {
        case STEP_PLAN:
            atomic_fetch_add(&crowd->n_planned, 1);
            step = plan(&crowd->scene, step.task, ARRAY_SIZE(crowd->scene.partitions));
            break;
        case STEP_WALK:
            step = walk(crowd, step);
            break;
        case STEP_SETTLE:
            settle(crowd, step.task);
            step = (struct step){.kind = STEP_NONE};
            break;
        case STEP_NONE:
            break;
        }
        (void)board_records(&crowd->scene.board);
        step = step.kind != STEP_NONE ? step : board_take(&crowd->scene.board);
    }
    board_leave(&crowd->scene.board);
    return NULL;
}

static void many_lanes_do_every_step_once(void **state)
{
    (void)state;

    enum { LANES = 6, ROUNDS = 50 };

    for (int round = 0; round < ROUNDS; round++) {
        struct crowd crowd;
        struct thread lanes[LANES];
        memset(&crowd, 0, sizeof(crowd));
        set_up(&crowd.scene, TASKS_MAX);
        for (size_t i = 0; i < LANES; i++) {
            board_enter(&crowd.scene.board);
            thread_start(&lanes[i], "lane", lane_main, &crowd);
        }
        for (size_t i = 0; i < LANES; i++) {
            thread_join(&lanes[i]);
        }
        assert_true(board_is_deserted(&crowd.scene.board));
        assert_int_equal(TASKS_MAX, atomic_load(&crowd.n_planned));
        assert_int_equal(TASKS_MAX - 1, atomic_load(&crowd.n_settled));
        assert_int_equal(1, atomic_load(&crowd.n_ended));
        int64_t proven = 0;
        for (size_t i = 0; i < TASKS_MAX; i++) {
            const struct task_run *task = &crowd.scene.tasks[i];
            assert_int_equal(PHASE_DONE, task->phase);
            assert_int_equal(i == 3 ? TASK_FAILED : TASK_SUCCESS, task->status);
            assert_int_equal(0, task->n_active);
            if (i != 3) {
                assert_int_equal(i % 2 == 0 ? 190 : 160, task->counters.proven_records);
            }
            proven += task->counters.proven_records;
        }
        /* What failed was counted as sent, not as proven. */
        assert_int_equal(proven + 10, board_records(&crowd.scene.board));
        tear_down(&crowd.scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_is_planned_walked_and_settled),
        cmocka_unit_test(a_plan_without_partitions_is_settled_at_once),
        cmocka_unit_test(one_walk_that_cannot_count_is_enough),
        cmocka_unit_test(what_is_let_go_of_a_window_does_not_count_as_hidden),
        cmocka_unit_test(tasks_begin_before_partitions_are_shared),
        cmocka_unit_test(a_failure_stays_with_its_task),
        cmocka_unit_test(the_last_lane_on_a_failed_task_ends_it),
        cmocka_unit_test(partitions_of_a_failed_task_are_not_begun),
        cmocka_unit_test(keys_to_confirm_are_walked_and_settled_again),
        cmocka_unit_test(a_stop_hands_out_nothing_more),
        cmocka_unit_test(counters_add_up_and_peaks_do_not),
        cmocka_unit_test(the_last_lane_to_leave_wakes_the_watcher),
        cmocka_unit_test(many_lanes_do_every_step_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
