#include "walk_fixture.h"
#include "worker/sources/servicenow/rights.h"

/* May the account ask what the walks ask? */

#define NOW_S (START_S + 100000)

static bool ask(struct world *world)
{
    world_connect(world);
    error_clear(&world->err);
    return servicenow_rights_ask(&world->task, world->client, NOW_S * US_PER_S, &world->err);
}

static void assert_denied(struct world *world, const char *words, size_t n_requests)
{
    size_t before = world->table.n_requests;
    assert_false(ask(world));
    assert_int_equal(ERROR_DENIED, world->err.code);
    if (strstr(world->err.msg, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", world->err.msg, words);
    }
    assert_int_equal(n_requests, world->table.n_requests - before);
}

static void an_account_that_may_is_asked_once(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    fake_table_add(&world.table, "fff", NOW_S - 60, NOW_S - 60);
    fake_table_add(&world.table, "ffe", NOW_S, NOW_S);
    world.task.filter = "u_class=incident";
    assert_true(ask(&world));
    assert_int_equal(1, world.table.n_requests);
    assert_int_equal(1, world.table.limit_max);
    assert_string_equal("u_class=incident"
                        "^sys_updated_on>=2026-01-02 02:46:40^sys_updated_on<=2026-01-02 03:46:40"
                        "^opened_at>=1970-01-01 00:00:00^opened_at<=2026-01-02 03:46:40"
                        "^sys_id>0^ORDERBYsys_updated_on^ORDERBYsys_id",
                        world.table.last_query);
    world_release(&world);
}

static void nothing_changed_lately_is_no_fault(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    assert_true(ask(&world));
    assert_int_equal(1, world.table.n_requests);
    world_release(&world);
}

static void fields_that_may_not_be_queried_are_named(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    world.table.denies = "sys_updated_on";
    assert_denied(&world, "may not query by sys_updated_on (403)", 4);
    assert_int_equal(403, world.err.http_status);
    assert_non_null(strstr(world.err.msg, "query_range"));
    world.table.denies = "opened_at";
    assert_denied(&world, "may not query by opened_at (403)", 4);
    world.table.denies_too = "sys_id";
    assert_denied(&world, "may not query by opened_at, sys_id (403)", 4);
    world.task.filter = "u_class=incident";
    world.table.denies = "u_class";
    world.table.denies_too = NULL;
    assert_denied(&world, "may not query by the filter's fields (403)", 5);
    world_release(&world);
}

static void a_task_without_times_is_asked_by_key(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    world.task.version_column = -1;
    world.task.window_column = -1;
    assert_true(ask(&world));
    assert_string_equal("sys_id>0^ORDERBYsys_id", world.table.last_query);
    world_release(&world);
}

/* Without query_range the platform may leave the range out instead of refusing. */
static void a_range_that_is_left_out_is_noticed(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    world.table.drops = "sys_updated_on";
    assert_denied(&world, "grant the account query_range on sys_updated_on", 1);
    world_release(&world);
}

static void a_url_that_is_too_long_is_not_sent(void **state)
{
    (void)state;
    struct world world;
    world_init_filled(&world, 20);
    char filter[10000] = "u_class=";
    memset(filter + 8, 'x', sizeof(filter) - 9);
    world.task.filter = filter;
    assert_false(ask(&world));
    assert_int_equal(ERROR_LIMIT, world.err.code);
    assert_int_equal(0, world.table.n_requests);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_that_may_is_asked_once),
        cmocka_unit_test(nothing_changed_lately_is_no_fault),
        cmocka_unit_test(fields_that_may_not_be_queried_are_named),
        cmocka_unit_test(a_task_without_times_is_asked_by_key),
        cmocka_unit_test(a_range_that_is_left_out_is_noticed),
        cmocka_unit_test(a_url_that_is_too_long_is_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
