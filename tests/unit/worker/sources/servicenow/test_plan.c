#include "walk_fixture.h"
#include "worker/sources/servicenow/connector.h"

/* What a run will read, and the watermark it will leave. */

#define NOW_S INT64_C(1800000000) /* 2027-01-15T08:00:00Z, the fake's clock */

struct planning {
    struct world world;
    struct plan plan;
    struct walk_request request;
    char cursor[512]; /* of the run before */
};

static void set_up(struct planning *planning, size_t n_rows)
{
    memset(planning, 0, sizeof(*planning));
    world_init(&planning->world);
    fake_table_fill(&planning->world.table, n_rows, START_S);
    world_connect(&planning->world);
    planning->request = (struct walk_request){.task = &planning->world.task,
                                              .kind = WALK_CHANGES,
                                              .from_us = INT64_MIN,
                                              .to_us = INT64_MAX,
                                              .max_partitions = 4};
    arena_init(&planning->plan.arena, 1 << 20);
}

static bool make_plan(struct planning *planning)
{
    arena_release(&planning->plan.arena);
    planning->plan = (struct plan){.high_us = INT64_MIN};
    arena_init(&planning->plan.arena, 1 << 20);
    error_clear(&planning->world.err);
    return servicenow_connector.plan(NULL, &planning->world.config, planning->world.client,
                                     &planning->request, &planning->plan, &planning->world.err);
}

static void must_plan(struct planning *planning)
{
    if (!make_plan(planning)) {
        fail_msg("%s", planning->world.err.msg);
    }
}

/* Plans a first run and keeps its watermark. */
static void run_once(struct planning *planning)
{
    must_plan(planning);
    (void)snprintf(planning->cursor, sizeof(planning->cursor), "%s", planning->plan.cursor);
    planning->request.cursor = planning->cursor;
}

static void tear_down(struct planning *planning)
{
    arena_release(&planning->plan.arena);
    world_release(&planning->world);
}

static void the_first_run_reads_everything(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    must_plan(&planning);
    assert_int_equal(WALK_ALL, planning.plan.kind);
    assert_non_null(strstr(planning.plan.why_all, "the first run"));
    assert_int_equal((NOW_S - 5) * US_PER_S, planning.plan.high_us);
    assert_int_equal(1, planning.world.table.n_requests);
    tear_down(&planning);
}

static void the_next_run_reads_a_closed_window_with_overlap(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.world.table.now_s = NOW_S + 3600;
    must_plan(&planning);
    assert_int_equal(WALK_CHANGES, planning.plan.kind);
    assert_int_equal(1, planning.plan.n_partitions);
    assert_int_equal((NOW_S - 5 - 600) * US_PER_S, planning.plan.partitions[0].from_us);
    assert_int_equal((NOW_S + 3600 - 5) * US_PER_S, planning.plan.partitions[0].to_us);
    assert_int_equal(planning.plan.partitions[0].to_us, planning.plan.high_us);
    tear_down(&planning);
}

static void the_watermark_never_goes_back(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.world.config.visibility_lag_us =
        60 * US_PER_S; /* now - lag lies before the last end */
    must_plan(&planning);
    assert_int_equal(WALK_CHANGES, planning.plan.kind);
    assert_int_equal((NOW_S - 5) * US_PER_S, planning.plan.high_us);
    tear_down(&planning);
}

/* The nodes behind one name differ by some seconds: no reason to read every table again. */
static void a_clock_a_little_behind_is_no_restored_instance(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.world.table.now_s = NOW_S - 20;
    must_plan(&planning);
    assert_int_equal(WALK_CHANGES, planning.plan.kind);
    assert_int_equal((NOW_S - 5) * US_PER_S, planning.plan.high_us);
    planning.world.config.overlap_us = 0;
    must_plan(&planning);
    assert_int_equal(WALK_ALL, planning.plan.kind);
    tear_down(&planning);
}

static void assert_reads_all(struct planning *planning, const char *why)
{
    must_plan(planning);
    assert_int_equal(WALK_ALL, planning->plan.kind);
    if (planning->plan.why_all == NULL || strstr(planning->plan.why_all, why) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", planning->plan.why_all, why);
    }
}

static void a_watermark_that_does_not_fit_means_reading_everything(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.request.cursor = "{";
    assert_reads_all(&planning, "unreadable");
    planning.request.cursor = "{\"high\":\"yesterday\",\"fingerprint\":\"x\"}";
    assert_reads_all(&planning, "unreadable");
    planning.request.cursor = "{\"high\":\"2026-01-01T00:00:00Z\"}";
    assert_reads_all(&planning, "changed since");
    planning.request.cursor = planning.cursor;
    planning.world.task.filter = "u_class=incident";
    assert_reads_all(&planning, "changed since");
    planning.world.task.filter = NULL;
    planning.world.task.n_columns--;
    assert_reads_all(&planning, "changed since");
    planning.world.task.n_columns++;
    planning.world.table.now_s = NOW_S - 86400;
    assert_reads_all(&planning, "clock went back");
    planning.world.table.now_s = NOW_S;
    planning.world.task.version_column = -1;
    assert_reads_all(&planning, "no version field");
    tear_down(&planning);
}

static void ranges_are_disjoint_and_open_at_both_ends(void **state)
{
    (void)state;
    static const size_t ROWS[] = {0, 1, 39, 80, 200, 5000};
    static const size_t RANGES[] = {1, 1, 1, 2, 4, 16};
    for (size_t i = 0; i < ARRAY_SIZE(ROWS); i++) {
        struct planning planning;
        set_up(&planning, ROWS[i]);
        must_plan(&planning);
        const struct plan *plan = &planning.plan;
        assert_int_equal(RANGES[i], plan->n_partitions);
        assert_null(plan->partitions[0].from_key);
        assert_null(plan->partitions[plan->n_partitions - 1].to_key);
        for (size_t k = 1; k < plan->n_partitions; k++) {
            assert_string_equal(plan->partitions[k - 1].to_key, plan->partitions[k].from_key);
        }
        tear_down(&planning);
    }
}

/* An increment behind it would pass over all that shows once the account has its rights. */
static void a_table_that_shows_nothing_gets_no_watermark(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 0);
    must_plan(&planning);
    assert_int_equal(WALK_ALL, planning.plan.kind);
    assert_int_equal(INT64_MIN, planning.plan.high_us);
    assert_null(planning.plan.cursor);
    tear_down(&planning);
}

static void a_window_leaves_the_watermark(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    planning.request.kind = WALK_WINDOW;
    planning.request.from_us = START_S * US_PER_S;
    planning.request.to_us = (START_S + 20) * US_PER_S;
    must_plan(&planning);
    assert_int_equal(WALK_WINDOW, planning.plan.kind);
    assert_int_equal(INT64_MIN, planning.plan.high_us);
    assert_null(planning.plan.cursor);
    assert_int_equal(START_S * US_PER_S, planning.plan.partitions[0].from_us);
    assert_int_equal((START_S + 20) * US_PER_S, planning.plan.partitions[0].to_us);
    tear_down(&planning);
}

static void a_census_moves_the_watermark(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.request.kind = WALK_KEYS;
    must_plan(&planning);
    assert_int_equal(WALK_KEYS, planning.plan.kind);
    assert_int_equal((NOW_S - 5) * US_PER_S, planning.plan.high_us);
    assert_non_null(planning.plan.cursor);
    tear_down(&planning);
}

/* Equal versions vouch only for the fields that were read before. */
static void a_census_that_would_prove_nothing_becomes_a_full_read(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    run_once(&planning);
    planning.request.kind = WALK_KEYS;
    int version_column = planning.world.task.version_column;
    planning.world.task.version_column = -1;
    assert_reads_all(&planning, "no version field");
    planning.world.task.version_column = version_column;
    planning.world.task.n_columns--;
    assert_reads_all(&planning, "fields changed");
    assert_non_null(planning.plan.cursor);
    tear_down(&planning);
}

static void assert_no_plan(struct planning *planning, enum error_code code, const char *words)
{
    assert_false(make_plan(planning));
    if (planning->world.err.code != code || strstr(planning->world.err.msg, words) == NULL) {
        fail_msg("%s: \"%s\"", error_code_name(planning->world.err.code), planning->world.err.msg);
    }
}

static void a_filter_on_an_unknown_field_is_refused_before_reading(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    planning.world.task.filter = "no_such_field=banana";
    assert_no_plan(&planning, ERROR_CONFIG, "no_such_field");
    planning.world.task.filter = "u_class=incident^ORu_klass=x";
    assert_no_plan(&planning, ERROR_CONFIG, "u_klass");
    planning.world.task.filter = "class is incident";
    assert_no_plan(&planning, ERROR_CONFIG, "class is incident");
    planning.world.task.filter = "u_class=incident^EQ^ORDERBYopened_at";
    must_plan(&planning);
    tear_down(&planning);
}

static void a_refused_probe_says_which_table(void **state)
{
    (void)state;
    struct planning planning;
    set_up(&planning, 50);
    planning.world.table.status = 403;
    assert_no_plan(&planning, ERROR_DENIED, "table incident");
    planning.world.table.status = 404;
    assert_no_plan(&planning, ERROR_CONFIG, "table incident");
    planning.world.table.status = 204;
    assert_no_plan(&planning, ERROR_DATA, "table incident");
    tear_down(&planning);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_run_reads_everything),
        cmocka_unit_test(the_next_run_reads_a_closed_window_with_overlap),
        cmocka_unit_test(the_watermark_never_goes_back),
        cmocka_unit_test(a_clock_a_little_behind_is_no_restored_instance),
        cmocka_unit_test(a_watermark_that_does_not_fit_means_reading_everything),
        cmocka_unit_test(ranges_are_disjoint_and_open_at_both_ends),
        cmocka_unit_test(a_table_that_shows_nothing_gets_no_watermark),
        cmocka_unit_test(a_window_leaves_the_watermark),
        cmocka_unit_test(a_census_moves_the_watermark),
        cmocka_unit_test(a_census_that_would_prove_nothing_becomes_a_full_read),
        cmocka_unit_test(a_filter_on_an_unknown_field_is_refused_before_reading),
        cmocka_unit_test(a_refused_probe_says_which_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
