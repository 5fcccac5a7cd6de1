#include <string.h>

#include "tests/unit/worker/http/cmocka_all.h"
#include "worker/run/ledger.h"
#include "worker/run/scope.h"

/* What a task's numbers must add up to, and what its publishing may touch. */

/* What was sent of a walk: records as the source proved them, rows that came, and what more. */
#define ROWS(of, proven, rows, ...)                                                                \
    .kind = (of), .counters = {.proven_records = (proven), .rows_sent = (rows), __VA_ARGS__}
#define CENSUS(proven, keys, ...)                                                                  \
    .kind = WALK_KEYS, .counters = {.proven_records = (proven), .keys_sent = (keys), __VA_ARGS__}
/* What the merge made of them. */
#define STAGED(n, ...)           .merged = {.staged = (n), __VA_ARGS__}
#define BALANCED(n, added, same) .read = (n), .inserted = (added), .unchanged = (same)
#define BUG                      .read = -1

static const struct {
    const char *claim;
    enum walk_kind kind;
    struct task_counters counters;
    struct merge_result merged;
    struct merge_result derived;
    int64_t people;
    int64_t asked_keys;
    int64_t read; /* -1: a bug */
    int64_t inserted;
    int64_t unchanged;
} sums[] = {
    {"nothing", BALANCED(0, 0, 0)},
    {"everything there is", ROWS(WALK_ALL, 10, 9, .rejects = 1),
     STAGED(9,
            .inserted = 1,
            .updated = 2,
            .unchanged = 3,
            .duplicates = 1,
            .foreign = 2,
            .rejected = 1),
     BALANCED(7, 1, 3)},
    {"a row that was sent and not proven", ROWS(WALK_ALL, 9, 10), STAGED(10, .inserted = 10), BUG},
    {"a row that was proven and not sent", ROWS(WALK_CHANGES, 10, 9), STAGED(9, .inserted = 9),
     BUG},
    {"a row that was lost on its way to staging", ROWS(WALK_CHANGES, 10, 10),
     STAGED(9, .inserted = 9), BUG},
    {"a row that staging held and nobody settled", ROWS(WALK_WINDOW, 10, 10),
     STAGED(10, .inserted = 9), BUG},
    {"a foreign row that was counted twice", ROWS(WALK_CHANGES, 2, 2),
     STAGED(2, .inserted = 2, .foreign = 1), BUG},
    {"a reject that nobody sent", ROWS(WALK_CHANGES, 1, 1), STAGED(1, .inserted = 1, .rejected = 1),
     BUG},
    {"people whom nobody sent count as read", ROWS(WALK_ALL, 3, 3),
     STAGED(5, .inserted = 4, .unchanged = 1), .people = 2, BALANCED(5, 4, 1)},
    {"people who were lost", ROWS(WALK_ALL, 3, 3), STAGED(4, .inserted = 4), .people = 2, BUG},
    {"rows that were derived before are added", ROWS(WALK_CHANGES, 1, 1), STAGED(1, .updated = 1),
     .derived = {.inserted = 4, .updated = 2, .unchanged = 3}, BALANCED(10, 4, 3)},
    {"a census without a difference", CENSUS(100, 100), BALANCED(100, 0, 100)},
    {"a census, what differed and what was rejected of it",
     CENSUS(104, 100, .rows_sent = 3, .rejects = 1),
     STAGED(3, .inserted = 1, .updated = 1, .unchanged = 1, .rejected = 1), .asked_keys = 4,
     BALANCED(100, 1, 97)},
    {"keys that vanished between census and reading do not count", CENSUS(102, 100, .rows_sent = 2),
     STAGED(2, .inserted = 2), .asked_keys = 5, BALANCED(97, 2, 95)},
    {"keys that were asked for and are gone are no keys of the census",
     CENSUS(102, 100, .rows_sent = 2), STAGED(2, .inserted = 2, .deleted = 3), .asked_keys = 5,
     BALANCED(100, 2, 98)},
    {"what was derived hides no key that vanished", CENSUS(101, 100, .rows_sent = 1),
     STAGED(1, .inserted = 1), .derived = {.inserted = 7, .updated = 1}, .asked_keys = 4,
     BALANCED(97, 8, 88)},
    {"more was derived than the census lists", CENSUS(2, 2), .derived = {.inserted = 5},
     BALANCED(5, 5, 0)},
    {"a key that was proven and not staged", CENSUS(100, 99), BUG},
};

static void a_ledger_adds_up_or_is_a_bug(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        struct task_run task = {.plan = {.kind = sums[i].kind},
                                .counters = sums[i].counters,
                                .merged = sums[i].merged,
                                .derived = sums[i].derived,
                                .people = sums[i].people,
                                .asked_keys = sums[i].asked_keys};
        struct error err = ERROR_INIT;
        bool balanced = ledger_balance(&task, &err);
        if (balanced != (sums[i].read >= 0) || (!balanced && err.code != ERROR_BUG)) {
            fail_msg("%s: %s", sums[i].claim, err.msg);
        }
        if (balanced &&
            (task.records_read != sums[i].read || task.merged.inserted != sums[i].inserted ||
             task.merged.unchanged != sums[i].unchanged)) {
            fail_msg("%s: read %d, inserted %d, unchanged %d", sums[i].claim,
                     (int)task.records_read, (int)task.merged.inserted, (int)task.merged.unchanged);
        }
        const struct merge_result *merged = &task.merged;
        if (balanced && task.records_read != merged->inserted + merged->updated +
                                                 merged->unchanged + merged->rejected) {
            fail_msg("%s: what was read is not what became of it", sums[i].claim);
        }
    }
}

/* --- scope ---------------------------------------------------------------------------------- */

struct scene {
    struct config config;
    struct claim claim;
    struct source_config source;
    struct task_def def;
    struct task_def parent;
    struct board board;
    struct task_run task;
};

static void set_up(struct scene *scene)
{
    static const struct partition one = {.kind = WALK_CHANGES};
    *scene = (struct scene){
        .config = {.worker = {.max_delete_fraction = 0.25}},
        .claim = {.from_us = 5, .to_us = 9},
        .source = {.name = "desk"},
        .def = {.name = "note"},
        .parent = {.name = "ticket"},
    };
    scene->board =
        (struct board){.config = &scene->config, .claim = &scene->claim, .allow_mass_delete = true};
    scene->task = (struct task_run){
        .source = &scene->source,
        .task = &scene->def,
        .parent = &scene->parent,
        .owed = {.up_to = 77},
        .plan = {.partitions = &one, .n_partitions = 1},
        .counters = {.proven_records = 1},
    };
}

static void a_walk_deletes_what_it_vouches_for(void **state)
{
    (void)state;
    static const struct partition owed[] = {{.kind = WALK_CHANGES}, {.kind = WALK_OWED}};

    const struct {
        enum walk_kind kind;
        bool has_owed;
        enum merge_deletes deletes;
        bool has_window;
        bool is_whole;
    } cases[] = {
        {WALK_ALL, false, MERGE_DELETE_MISSING, false, true},
        {WALK_WINDOW, false, MERGE_DELETE_MISSING, true, false},
        {WALK_KEYS, false, MERGE_DELETE_UNLISTED, false, true},
        {WALK_CHANGES, false, MERGE_DELETE_NONE, false, false},
        {WALK_CHANGES, true, MERGE_DELETE_OWED, false, false},
        {WALK_GIVEN, false, MERGE_DELETE_NONE, false, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scene scene;
        set_up(&scene);
        scene.task.plan.kind = cases[i].kind;
        if (cases[i].has_owed) {
            scene.task.plan.partitions = owed;
            scene.task.plan.n_partitions = ARRAY_SIZE(owed);
        }
        struct merge_request request = scope_of(&scene.board, &scene.task);
        assert_int_equal(cases[i].deletes, request.deletes);
        assert_int_equal(cases[i].has_window, request.has_window);
        assert_int_equal(cases[i].has_window ? 5 : 0, request.window_from_us);
        assert_int_equal(cases[i].has_window ? 9 : 0, request.window_to_us);
        assert_int_equal(cases[i].is_whole, scope_is_whole(&request));
        assert_int_equal(77, request.owed_up_to);
        assert_ptr_equal(&scene.parent, request.parent);
        assert_string_equal("desk", request.source);
        assert_true(request.allow_mass_delete);
        assert_true(request.max_delete_fraction == 0.25);
        scene.task.counters.hidden = 1; /* what is hidden looks gone */
        assert_int_equal(MERGE_DELETE_NONE, scope_of(&scene.board, &scene.task).deletes);
        scene.task.counters.hidden = 0;
        scene.def.is_history = true;
        assert_int_equal(MERGE_DELETE_NONE, scope_of(&scene.board, &scene.task).deletes);
    }
}

static void an_empty_answer_deletes_only_where_the_source_says_it_may(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene);
    scene.task.counters.proven_records = 0;
    assert_false(scope_of(&scene.board, &scene.task).allow_mass_delete);
    assert_true(scope_of(&scene.board, &scene.task).hold);
    scene.task.plan.empty_may_delete = true;
    assert_true(scope_of(&scene.board, &scene.task).allow_mass_delete);
    assert_false(scope_of(&scene.board, &scene.task).hold);
    scene.board.allow_mass_delete = false;
    assert_false(scope_of(&scene.board, &scene.task).allow_mass_delete);
}

static void increments_go_on_while_deletions_are_held(void **state)
{
    (void)state;
    static const struct partition owed[] = {{.kind = WALK_OWED}};
    struct scene scene;
    set_up(&scene);
    scene.task.plan.kind = WALK_CHANGES;
    scene.task.plan.partitions = owed;
    scene.task.plan.hold = "entities are missing";
    assert_int_equal(MERGE_DELETE_OWED, scope_of(&scene.board, &scene.task).deletes);
    scene.board.allow_mass_delete = false;
    struct merge_request request = scope_of(&scene.board, &scene.task);
    assert_int_equal(MERGE_DELETE_NONE, request.deletes);
    assert_true(request.hold);
    scene.task.plan.kind = WALK_ALL; /* where the fuse sees it */
    request = scope_of(&scene.board, &scene.task);
    assert_int_equal(MERGE_DELETE_MISSING, request.deletes);
    assert_true(request.hold);
}

static void a_parent_that_has_no_records_left_may_lose_them(void **state)
{
    (void)state;
    static const struct partition owed[] = {{.kind = WALK_OWED}};
    struct scene scene;
    set_up(&scene);
    scene.task.plan.kind = WALK_CHANGES;
    scene.task.plan.partitions = owed;
    scene.task.counters.proven_records = 0;
    struct merge_request request = scope_of(&scene.board, &scene.task);
    assert_int_equal(MERGE_DELETE_OWED, request.deletes);
    assert_false(request.hold);
}

static void a_derived_row_needs_no_landed_parent(void **state)
{
    (void)state;
    struct scene scene;
    set_up(&scene);
    scene.def.latest_of = "ticket";
    assert_null(scope_of(&scene.board, &scene.task).parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ledger_adds_up_or_is_a_bug),
        cmocka_unit_test(a_walk_deletes_what_it_vouches_for),
        cmocka_unit_test(an_empty_answer_deletes_only_where_the_source_says_it_may),
        cmocka_unit_test(increments_go_on_while_deletions_are_held),
        cmocka_unit_test(a_parent_that_has_no_records_left_may_lose_them),
        cmocka_unit_test(a_derived_row_needs_no_landed_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
