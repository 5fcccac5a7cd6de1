#include <stdatomic.h>
#include <string.h>

#include "common/base/thread.h"
#include "tests/unit/worker/http/cmocka_all.h"
#include "worker/run/board.h"

/* In which order the board begins tasks that wait for others. */

enum { TICKET, ACTOR, NOTE, REMARK, USER, N_FAMILY };

/* The parent of each: a remark belongs to a note, notes and actors to a ticket. */
static const int parents[N_FAMILY] = {
    [TICKET] = -1, [ACTOR] = TICKET, [NOTE] = TICKET, [REMARK] = NOTE, [USER] = -1};
static const struct task_def defs[N_FAMILY] = {[TICKET] = {.name = "ticket"},
                                               [ACTOR] = {.name = "actor"},
                                               [NOTE] = {.name = "note"},
                                               [REMARK] = {.name = "remark"},
                                               [USER] = {.name = "user"}};

#define N_SOURCES ((size_t)2)
#define TASKS_MAX (N_SOURCES * N_FAMILY)

static const struct claim incremental = {.mode = MODE_INCREMENTAL};

struct scene {
    struct board board;
    struct stop *stop;
    struct source_config sources[N_SOURCES];
    struct task_run tasks[TASKS_MAX];
    struct partition partitions[3];
    struct partition given[2];
};

/* The tasks of each source in a row, the children before their parents: order must not help. */
static struct task_run *task_of(struct scene *scene, size_t source, size_t kind)
{
    return &scene->tasks[source * N_FAMILY + (N_FAMILY - 1 - kind)];
}

static void set_up(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    scene->stop = stop_new(NULL);
    scene->sources[0].name = "one";
    scene->sources[1].name = "two";
    for (size_t s = 0; s < N_SOURCES; s++) {
        for (size_t k = 0; k < N_FAMILY; k++) {
            struct task_run *task = task_of(scene, s, k);
            task->index = (size_t)(task - scene->tasks);
            task->source = &scene->sources[s];
            task->task = &defs[k];
            task->waits_on = parents[k] < 0 ? NULL : task_of(scene, s, (size_t)parents[k]);
        }
    }
    board_init(&scene->board, NULL, &incremental, scene->stop, scene->tasks, TASKS_MAX);
}

static void tear_down(struct scene *scene)
{
    board_release(&scene->board);
    stop_free(scene->stop);
}

/* Leaves one source with tasks `first` to `last` in the execution. */
static void set_up_some(struct scene *scene, size_t first, size_t last)
{
    set_up(scene);
    for (size_t i = 0; i < TASKS_MAX; i++) {
        struct task_run *task = &scene->tasks[i];
        size_t kind = (size_t)(task->task - defs);
        if (task->source != &scene->sources[0] || kind < first || kind > last) {
            board_done(&scene->board, task, TASK_SUCCESS);
        }
    }
}

static struct task_run *take_plan(struct scene *scene)
{
    struct step step = board_take(&scene->board);
    assert_int_equal(STEP_PLAN, step.kind);
    assert_int_equal(TASK_RUNNING, step.task->status);
    return step.task;
}

static void end(struct scene *scene, struct task_run *task, enum task_status status)
{
    if (status != TASK_SUCCESS) {
        (void)error_set(&task->error, ERROR_DATA, "what became of %s", task->task->name);
    }
    board_done(&scene->board, task, status);
}

/* Stops the board, so that a task which may not begin is told from one that may. */
static void expect_nothing_begins(struct scene *scene)
{
    stop_request(scene->stop, STOP_SIGNAL);
    assert_int_equal(STEP_NONE, board_take(&scene->board).kind);
}

static void everything_without_a_parent_begins_first_and_of_all_sources(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene);
    assert_ptr_equal(task_of(&scene, 0, USER), take_plan(&scene));
    assert_ptr_equal(task_of(&scene, 0, TICKET), take_plan(&scene));
    assert_ptr_equal(task_of(&scene, 1, USER), take_plan(&scene));
    assert_ptr_equal(task_of(&scene, 1, TICKET), take_plan(&scene));
    expect_nothing_begins(&scene);
    assert_int_equal(PHASE_WAITING, task_of(&scene, 0, NOTE)->phase);
    tear_down(&scene);
}

static void a_child_waits_through_every_phase_of_its_parent(void **state)
{
    (void)state;
    struct scene scene;
    struct step next = {.kind = STEP_NONE};
    struct walk_proof proof = {.records = 1};
    set_up_some(&scene, TICKET, ACTOR);
    struct task_run *ticket = take_plan(&scene);
    assert_ptr_equal(task_of(&scene, 0, TICKET), ticket);
    ticket->plan.partitions = scene.partitions;
    ticket->plan.n_partitions = 2;
    board_planned(&scene.board, ticket, &next);
    assert_int_equal(STEP_WALK, next.kind);
    struct step other = board_take(&scene.board); /* another lane: no child, but a partition */
    assert_int_equal(STEP_WALK, other.kind);
    assert_ptr_equal(ticket, other.task);
    board_walked(&scene.board, ticket, &proof, &next);
    board_walked(&scene.board, ticket, &proof, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    board_confirm(&scene.board, ticket, scene.given, 1);
    other = board_take(&scene.board);
    assert_int_equal(STEP_WALK, other.kind);
    assert_ptr_equal(&scene.given[0], other.partition);
    board_walked(&scene.board, ticket, &proof, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    assert_int_equal(PHASE_WAITING, task_of(&scene, 0, ACTOR)->phase);
    end(&scene, ticket, TASK_SUCCESS);
    assert_ptr_equal(task_of(&scene, 0, ACTOR), take_plan(&scene));
    tear_down(&scene);
}

static void a_parent_without_partitions_is_waited_for_until_it_is_published(void **state)
{
    (void)state;
    struct scene scene;
    struct step next = {.kind = STEP_NONE};
    set_up_some(&scene, TICKET, ACTOR);
    struct task_run *ticket = take_plan(&scene);
    board_planned(&scene.board, ticket, &next);
    assert_int_equal(STEP_SETTLE, next.kind);
    expect_nothing_begins(&scene);
    tear_down(&scene);
}

static void a_child_begins_after_whatever_its_parent_published_or_held(void **state)
{
    (void)state;

    const enum task_status good[] = {TASK_SUCCESS, TASK_PARTIAL, TASK_HELD};

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct scene scene;
        set_up_some(&scene, TICKET, ACTOR);
        end(&scene, take_plan(&scene), good[i]);
        struct task_run *actor = take_plan(&scene);
        assert_ptr_equal(task_of(&scene, 0, ACTOR), actor);
        assert_false(error_is_set(&actor->error));
        tear_down(&scene);
    }
}

static void a_parent_that_failed_ends_its_children_with_its_name(void **state)
{
    (void)state;

    const struct {
        enum task_status status;
        enum error_code code;
        int http_status;
        const char *msg;
    } cases[] = {
        {TASK_FAILED, ERROR_DENIED, 403,
         "task ticket ended with error, so its records were not asked for and note stays as it "
         "was"},
        {TASK_FAILED, ERROR_TRANSIENT, 500,
         "task ticket ended with error, so its records were not asked for and note stays as it "
         "was"},
        {TASK_INTERRUPTED, ERROR_CANCELLED, 0,
         "task ticket ended with interrupted, so its records were not asked for and note stays as "
         "it was"},
        {TASK_CANCELLED, ERROR_CANCELLED, 0,
         "task ticket ended with cancelled, so its records were not asked for and note stays as it "
         "was"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scene scene;
        set_up_some(&scene, NOTE, REMARK);
        struct task_run *ticket = task_of(&scene, 0, TICKET);
        (void)error_set(&ticket->error, cases[i].code, "the cause");
        ticket->error.http_status = cases[i].http_status;
        board_done(&scene.board, ticket, cases[i].status);
        struct step step = board_take(&scene.board);
        assert_int_equal(STEP_SETTLE, step.kind);
        assert_ptr_equal(task_of(&scene, 0, NOTE), step.task);
        assert_string_equal(cases[i].msg, step.task->error.msg);
        assert_int_equal(cases[i].code, step.task->error.code);
        assert_int_equal(cases[i].http_status, step.task->error.http_status);
        board_done(&scene.board, step.task, TASK_FAILED);
        step = board_take(&scene.board); /* and their children in turn */
        assert_int_equal(STEP_SETTLE, step.kind);
        assert_ptr_equal(task_of(&scene, 0, REMARK), step.task);
        assert_int_equal(cases[i].http_status, step.task->error.http_status);
        assert_non_null(strstr(step.task->error.msg, "task note ended with error"));
        board_done(&scene.board, step.task, TASK_FAILED);
        assert_int_equal(STEP_NONE, board_take(&scene.board).kind);
        tear_down(&scene);
    }
}

static void a_child_whose_parent_is_not_of_this_execution_begins_at_once(void **state)
{
    (void)state;
    struct scene scene;
    set_up_some(&scene, ACTOR, ACTOR);
    task_of(&scene, 0, ACTOR)->waits_on = NULL;
    assert_ptr_equal(task_of(&scene, 0, ACTOR), take_plan(&scene));
    tear_down(&scene);
}

static void one_source_does_not_wait_for_another(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene);
    for (int i = 0; i < 4; i++) {
        (void)take_plan(&scene);
    }
    end(&scene, task_of(&scene, 1, TICKET), TASK_SUCCESS);
    assert_ptr_equal(task_of(&scene, 1, NOTE), take_plan(&scene));
    assert_ptr_equal(task_of(&scene, 1, ACTOR), take_plan(&scene));
    end(&scene, task_of(&scene, 0, TICKET), TASK_FAILED);
    struct step step = board_take(&scene.board);
    assert_int_equal(STEP_SETTLE, step.kind);
    assert_ptr_equal(task_of(&scene, 0, NOTE), step.task);
    end(&scene, task_of(&scene, 1, NOTE), TASK_SUCCESS);
    board_done(&scene.board, step.task, TASK_FAILED);
    assert_int_equal(STEP_SETTLE, board_take(&scene.board).kind); /* one's actor */
    assert_int_equal(STEP_SETTLE, board_take(&scene.board).kind); /* and its remark */
    assert_ptr_equal(task_of(&scene, 1, REMARK), take_plan(&scene));
    tear_down(&scene);
}

/* --- many lanes ----------------------------------------------------------------------------- */

struct crowd {
    struct scene scene;
    atomic_int n_begun;
    atomic_int n_ended;
    atomic_bool is_wrong;
};

/* Of source two the notes fail. */
static void settle(struct crowd *crowd, struct task_run *task)
{
    struct board *board = &crowd->scene.board;
    struct error err = ERROR_INIT;
    bool last = false;
    if (board_has_failed(board, task)) {
        atomic_fetch_add(&crowd->n_ended, 1);
        board_done(board, task, TASK_FAILED);
    } else if (!task->is_confirming && task->task == &defs[TICKET]) {
        board_confirm(board, task, crowd->scene.given, ARRAY_SIZE(crowd->scene.given));
    } else if (task->task == &defs[NOTE] && task->source == &crowd->scene.sources[1]) {
        (void)error_set(&err, ERROR_DATA, "wrong");
        board_failed(board, task, &err, &last);
        atomic_fetch_add(&crowd->n_ended, 1);
        board_done(board, task, TASK_FAILED);
    } else {
        atomic_fetch_add(&crowd->n_ended, 1);
        board_done(board, task, TASK_SUCCESS);
    }
}

static struct step begin(struct crowd *crowd, struct task_run *task)
{
    struct board *board = &crowd->scene.board;
    struct step next = {.kind = STEP_NONE};
    struct task_progress parent = {.status = TASK_SUCCESS};
    if (task->waits_on != NULL) {
        board_progress(board, task->waits_on->index, &parent);
    }
    if (parent.status != TASK_SUCCESS) {
        atomic_store(&crowd->is_wrong, true);
    }
    atomic_fetch_add(&crowd->n_begun, 1);
    task->plan.partitions = crowd->scene.partitions;
    task->plan.n_partitions = task->index % 4; /* none of some */
    board_planned(board, task, &next);
    return next;
}

static void *lane_main(void *arg)
{
    struct crowd *crowd = arg;
    struct walk_proof proof = {.records = 1};
    struct step step = board_take(&crowd->scene.board);
    while (step.kind != STEP_NONE) {
        struct step next = {.kind = STEP_NONE};
        if (step.kind == STEP_PLAN) {
            next = begin(crowd, step.task);
        } else if (step.kind == STEP_WALK) {
            board_walked(&crowd->scene.board, step.task, &proof, &next);
        } else {
            settle(crowd, step.task);
        }
        step = next.kind != STEP_NONE ? next : board_take(&crowd->scene.board);
    }
    board_leave(&crowd->scene.board);
    return NULL;
}

static void many_lanes_keep_the_order(void **state)
{
    (void)state;

    enum { LANES = 5, ROUNDS = 100 };

    for (int round = 0; round < ROUNDS; round++) {
        struct crowd crowd;
        struct thread lanes[LANES];
        memset(&crowd, 0, sizeof(crowd));
        set_up(&crowd.scene);
        for (size_t i = 0; i < LANES; i++) {
            board_enter(&crowd.scene.board);
            thread_start(&lanes[i], "lane", lane_main, &crowd);
        }
        for (size_t i = 0; i < LANES; i++) {
            thread_join(&lanes[i]);
        }
        assert_false(atomic_load(&crowd.is_wrong));
        assert_int_equal(TASKS_MAX, atomic_load(&crowd.n_ended));
        assert_int_equal(TASKS_MAX - 1, atomic_load(&crowd.n_begun)); /* all but one remark */
        assert_int_equal(TASK_SUCCESS, task_of(&crowd.scene, 0, REMARK)->status);
        assert_int_equal(TASK_FAILED, task_of(&crowd.scene, 1, REMARK)->status);
        assert_int_equal(TASK_SUCCESS, task_of(&crowd.scene, 1, ACTOR)->status);
        tear_down(&crowd.scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_without_a_parent_begins_first_and_of_all_sources),
        cmocka_unit_test(a_child_waits_through_every_phase_of_its_parent),
        cmocka_unit_test(a_parent_without_partitions_is_waited_for_until_it_is_published),
        cmocka_unit_test(a_child_begins_after_whatever_its_parent_published_or_held),
        cmocka_unit_test(a_parent_that_failed_ends_its_children_with_its_name),
        cmocka_unit_test(a_child_whose_parent_is_not_of_this_execution_begins_at_once),
        cmocka_unit_test(one_source_does_not_wait_for_another),
        cmocka_unit_test(many_lanes_keep_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
