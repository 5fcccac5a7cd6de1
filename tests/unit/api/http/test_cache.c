#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/http/cache.h"
#include "common/base/alloc.h"
#include "common/base/thread.h"

#define KEY STR_LITERAL("/v1/x\nlimit=3")

static struct cache *settled(size_t limit_bytes)
{
    struct cache *cache = cache_new(limit_bytes);
    cache_settle(cache, 1);
    return cache;
}

static enum cache_part enter(struct cache *cache,
                             struct str key,
                             struct cache_waiter *waiter,
                             struct cache_flight **flight)
{
    struct cache_answer *answer = NULL;
    enum cache_part part = cache_enter(cache, key, 0, waiter, &answer, flight);
    cache_drop(answer);
    return part;
}

/* Asks and answers. */
static void fill(struct cache *cache, struct str key, const char *body)
{
    struct cache_flight *flight = NULL;
    assert_int_equal(enter(cache, key, NULL, &flight), CACHE_LEAD);
    struct cache_answer *answer = cache_answer_new(str_from(body), STR_NONE);
    assert_null(cache_land(cache, flight, answer));
    cache_drop(answer);
}

static bool has(struct cache *cache, struct str key, int64_t slice, const char *body)
{
    struct cache_answer *answer = cache_find(cache, key, slice);
    bool found = answer != NULL && strcmp(answer->body, body) == 0;
    cache_drop(answer);
    return found;
}

static void cache_keeps_an_answer_until_something_is_published(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    fill(cache, KEY, "one");
    assert_true(has(cache, KEY, 0, "one"));
    cache_unsettle(cache);
    assert_false(has(cache, KEY, 0, "one"));
    cache_settle(cache, 2);
    assert_false(has(cache, KEY, 0, "one"));
    fill(cache, KEY, "two");
    assert_true(has(cache, KEY, 0, "two"));
    cache_free(cache);
}

static void cache_tells_the_version_only_while_it_is_known(void **state)
{
    (void)state;
    struct cache *cache = cache_new(1000);
    int64_t version = 0;
    assert_false(cache_version(cache, &version));
    cache_settle(cache, 17);
    assert_true(cache_version(cache, &version));
    assert_int_equal(version, 17);
    cache_unsettle(cache);
    assert_false(cache_version(cache, &version));
    cache_free(cache);
}

static void cache_gives_an_answer_only_within_its_slice_of_time(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    fill(cache, KEY, "one");
    assert_false(has(cache, KEY, 1, "one"));
    assert_true(has(cache, KEY, 0, "one"));
    cache_free(cache);
}

static void cache_remembers_the_last_good_answer(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    fill(cache, KEY, "one");
    cache_unsettle(cache);
    struct cache_answer *answer = cache_find_last(cache, KEY);
    assert_non_null(answer);
    assert_string_equal(answer->body, "one");
    cache_drop(answer);
    assert_null(cache_find_last(cache, STR_LITERAL("other")));
    cache_free(cache);
}

static void cache_hands_those_who_wait_to_the_one_who_asked(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    struct cache_flight *flight = NULL;
    struct cache_flight *none = NULL;
    struct cache_waiter first = {0};
    struct cache_waiter second = {0};
    assert_int_equal(enter(cache, KEY, NULL, &flight), CACHE_LEAD);
    assert_int_equal(enter(cache, KEY, &first, &none), CACHE_JOIN);
    assert_int_equal(enter(cache, KEY, &second, &none), CACHE_JOIN);
    struct cache_waiter *waiters = cache_land(cache, flight, NULL);
    assert_ptr_equal(waiters, &second);
    assert_ptr_equal(waiters->next, &first);
    assert_null(first.next);
    assert_int_equal(cache_counters(cache).joined, 2);
    assert_int_equal(cache_counters(cache).misses, 1);
    cache_free(cache);
}

static void cache_lets_nobody_join_a_question_from_before_a_publish(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    struct cache_flight *before = NULL;
    struct cache_flight *behind = NULL;
    assert_int_equal(enter(cache, KEY, NULL, &before), CACHE_LEAD);
    cache_unsettle(cache);
    cache_settle(cache, 2);
    assert_int_equal(enter(cache, KEY, NULL, &behind), CACHE_LEAD);
    struct cache_answer *new_answer = cache_answer_new(STR_LITERAL("new"), STR_NONE);
    struct cache_answer *old_answer = cache_answer_new(STR_LITERAL("old"), STR_NONE);
    assert_null(cache_land(cache, behind, new_answer));
    assert_null(cache_land(cache, before, old_answer)); /* lands last, counts less */
    assert_true(has(cache, KEY, 0, "new"));
    cache_drop(new_answer);
    cache_drop(old_answer);
    cache_free(cache);
}

static void cache_lets_nobody_join_while_nobody_watches(void **state)
{
    (void)state;
    struct cache *cache = cache_new(100000);
    struct cache_flight *first = NULL;
    struct cache_flight *second = NULL;
    assert_int_equal(enter(cache, KEY, NULL, &first), CACHE_LEAD);
    assert_int_equal(enter(cache, KEY, NULL, &second), CACHE_LEAD);
    assert_null(cache_land(cache, first, NULL));
    assert_null(cache_land(cache, second, NULL));
    cache_free(cache);
}

static void cache_drops_the_least_recently_used(void **state)
{
    (void)state;
    char body[2000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    struct cache *cache = settled(12000); /* room for four */
    fill(cache, STR_LITERAL("a"), body);
    fill(cache, STR_LITERAL("b"), body);
    fill(cache, STR_LITERAL("c"), body);
    fill(cache, STR_LITERAL("d"), body);
    assert_true(has(cache, STR_LITERAL("a"), 0, body));
    fill(cache, STR_LITERAL("e"), body);
    assert_false(has(cache, STR_LITERAL("b"), 0, body));
    assert_true(has(cache, STR_LITERAL("a"), 0, body));
    struct cache_counters counters = cache_counters(cache);
    assert_int_equal(counters.evicted, 1);
    assert_int_equal(counters.answers, 4);
    assert_true(counters.bytes <= 12000);
    cache_free(cache);
}

static void cache_keeps_nothing_that_would_push_all_else_out(void **state)
{
    (void)state;
    char body[4000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    struct cache *cache = settled(12000);
    fill(cache, KEY, body);
    assert_false(has(cache, KEY, 0, body));
    assert_int_equal(cache_counters(cache).bytes, 0);
    cache_free(cache);
}

static void cache_leaves_an_answer_to_who_holds_it(void **state)
{
    (void)state;
    struct cache *cache = settled(100000);
    fill(cache, KEY, "one");
    struct cache_answer *held = cache_find(cache, KEY, 0);
    cache_unsettle(cache);
    cache_settle(cache, 2);
    fill(cache, KEY, "two");
    assert_string_equal(held->body, "one");
    cache_drop(held);
    cache_free(cache);
}

struct contest {
    struct cache *cache;
    int n_wrong;
};

/* Each key's answer names its key; whoever finds another's has been given the wrong one. */
static void *ask_and_answer(void *arg)
{
    struct contest *contest = arg;
    for (int i = 0; i < 4000; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key %d", i % 37);
        struct cache_flight *flight = NULL;
        struct cache_answer *answer = NULL;
        struct cache_waiter *waiter = xcalloc(1, sizeof(*waiter));
        enum cache_part part =
            cache_enter(contest->cache, str_from(key), 0, waiter, &answer, &flight);
        if (part == CACHE_HIT) {
            contest->n_wrong += strcmp(answer->body, key) != 0;
        }
        if (part == CACHE_LEAD) {
            answer = cache_answer_new(str_from(key), STR_NONE);
            struct cache_waiter *waiting = cache_land(contest->cache, flight, answer);
            while (waiting != NULL) {
                struct cache_waiter *next = waiting->next;
                xfree(waiting);
                waiting = next;
            }
        }
        cache_drop(answer);
        if (part != CACHE_JOIN) {
            xfree(waiter);
        }
        if (i % 500 == 0) {
            cache_settle(contest->cache, i);
        }
    }
    return NULL;
}

static void cache_serves_many_threads(void **state)
{
    (void)state;
    struct contest contests[4] = {0};
    struct thread threads[4] = {0};
    struct cache *cache = settled(10000);
    for (size_t i = 0; i < 4; i++) {
        contests[i].cache = cache;
        thread_start(&threads[i], "asker", ask_and_answer, &contests[i]);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_int_equal(contests[i].n_wrong, 0);
    }
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_keeps_an_answer_until_something_is_published),
        cmocka_unit_test(cache_tells_the_version_only_while_it_is_known),
        cmocka_unit_test(cache_gives_an_answer_only_within_its_slice_of_time),
        cmocka_unit_test(cache_remembers_the_last_good_answer),
        cmocka_unit_test(cache_hands_those_who_wait_to_the_one_who_asked),
        cmocka_unit_test(cache_lets_nobody_join_a_question_from_before_a_publish),
        cmocka_unit_test(cache_lets_nobody_join_while_nobody_watches),
        cmocka_unit_test(cache_drops_the_least_recently_used),
        cmocka_unit_test(cache_keeps_nothing_that_would_push_all_else_out),
        cmocka_unit_test(cache_leaves_an_answer_to_who_holds_it),
        cmocka_unit_test(cache_serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
