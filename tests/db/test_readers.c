#include <stdio.h>

#include "common/base/thread.h"
#include "common/ops/readers.h"
#include "tests/db/fixture.h"

#define SHORT_US (20 * US_PER_MS)
#define LONG_US  (60 * US_PER_S)

static void publish(struct fixture *fixture, const char *task, long long version)
{
    char sql[400];
    snprintf(sql, sizeof(sql),
             "INSERT INTO ops.projection_version (source, task, version, changed_at, checked_at)"
             " VALUES ('s', '%s', %lld, now(), now())"
             " ON CONFLICT (source, task) DO UPDATE SET version = excluded.version",
             task, version);
    support_run(fixture->db, sql);
}

static struct db *show(struct fixture *fixture, int64_t version)
{
    struct error err = ERROR_INIT;
    struct db *reader = support_open(fixture->database);
    assert_ok(readers_show(reader, version, &err), err);
    return reader;
}

static void nobody_is_waited_for_where_nobody_reads(void **state)
{
    struct fixture *fixture = *state;
    assert_true(readers_wait(fixture->db, 0));
    publish(fixture, "things", 7);
    assert_true(readers_wait(fixture->db, 0));
}

static void who_shows_an_older_version_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    publish(fixture, "pairs", 8);
    struct db *older CLEANUP(db_closep) = show(fixture, 14);
    struct db *same CLEANUP(db_closep) = show(fixture, 15);
    struct db *newer CLEANUP(db_closep) = show(fixture, 16);
    assert_true(older != same && same != newer);
    assert_false(readers_wait(fixture->db, SHORT_US));
    struct error err = ERROR_INIT;
    assert_ok(readers_hide(older, &err), err);
    assert_true(readers_wait(fixture->db, 0));
    assert_ok(readers_show(older, 15, &err), err);
    assert_true(readers_wait(fixture->db, 0));
}

static void who_goes_away_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    struct db *older = show(fixture, 6);
    assert_false(readers_wait(fixture->db, SHORT_US));
    db_close(older);
    assert_true(readers_wait(fixture->db, LONG_US));
}

static void versions_beyond_31_bits_keep_their_order(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", INT64_C(0x280000003));
    struct db *older CLEANUP(db_closep) = show(fixture, INT64_C(0x27fffffff));
    assert_false(readers_wait(fixture->db, SHORT_US));
    struct error err = ERROR_INIT;
    assert_ok(readers_hide(older, &err), err);
    assert_ok(readers_show(older, INT64_C(0x280000004), &err), err);
    assert_true(readers_wait(fixture->db, 0));
}

static void locks_of_others_are_not_mistaken_for_readers(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    char elsewhere[64];
    support_create_database(elsewhere, NULL);
    {
        struct db *neighbour CLEANUP(db_closep) = support_open(elsewhere);
        struct db *stranger CLEANUP(db_closep) = support_open(fixture->database);
        struct error err = ERROR_INIT;
        assert_ok(readers_show(neighbour, 6, &err), err);
        support_run(stranger, "SELECT pg_advisory_lock_shared(1718581761, 6)");
        support_run(stranger, "SELECT pg_advisory_lock_shared((1718581766::bigint << 32) + 6)");
        assert_true(readers_wait(fixture->db, 0));
    }
    support_drop_database(elsewhere);
}

static void *take_notice(void *arg)
{
    struct error err = ERROR_INIT;
    clock_sleep_us(SHORT_US);
    (void)readers_hide(arg, &err);
    return NULL;
}

static void the_wait_ends_with_the_notice(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    struct db *reader CLEANUP(db_closep) = show(fixture, 6);
    struct thread thread;
    thread_start(&thread, "reader", take_notice, reader);
    assert_true(readers_wait(fixture->db, LONG_US));
    thread_join(&thread);
}

struct publisher {
    struct db *reader;
    struct db *db;
};

/* Somebody publishes again while the reader takes notice of the first. */
static void *publish_again(void *arg)
{
    struct publisher *publisher = arg;
    struct error err = ERROR_INIT;
    clock_sleep_us(SHORT_US);
    support_run(publisher->db, "UPDATE ops.projection_version SET version = 9");
    (void)(readers_hide(publisher->reader, &err) && readers_show(publisher->reader, 7, &err));
    return NULL;
}

static void later_publishes_do_not_prolong_the_wait(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    struct db *reader CLEANUP(db_closep) = show(fixture, 6);
    struct db *db CLEANUP(db_closep) = support_open(fixture->database);
    struct publisher publisher = {reader, db};
    struct thread thread;
    thread_start(&thread, "publisher", publish_again, &publisher);
    assert_true(readers_wait(fixture->db, LONG_US));
    thread_join(&thread);
    assert_false(readers_wait(fixture->db, SHORT_US)); /* it is behind that one */
}

static void a_lost_database_ends_the_wait(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, "things", 7);
    struct db *lost CLEANUP(db_closep) = support_open(fixture->database);
    support_number(fixture->db,
                   "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
                   "WHERE datname = current_database() AND pid <> pg_backend_pid() "
                   "AND backend_type = 'client backend'");
    assert_false(readers_wait(lost, LONG_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_waited_for_where_nobody_reads),
        TEST(who_shows_an_older_version_is_waited_for),
        TEST(who_goes_away_is_not_waited_for),
        TEST(versions_beyond_31_bits_keep_their_order),
        TEST(locks_of_others_are_not_mistaken_for_readers),
        TEST(the_wait_ends_with_the_notice),
        TEST(later_publishes_do_not_prolong_the_wait),
        TEST(a_lost_database_ends_the_wait),
    };
    return cmocka_run_group_tests_name("readers", tests, NULL, NULL);
}
