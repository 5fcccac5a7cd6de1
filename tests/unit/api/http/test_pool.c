#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/http/pool.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/thread.h"

/*
 * Jobs here touch no database: they note that they run, and stay until they are let go.
 */

#define N_GUESTS    14
#define QUEUE_LIMIT 12
#define PATIENCE    (20 * US_PER_S)

struct house;

struct guest {
    struct pool_job job;
    struct house *house;
    int64_t stays_us; /* 0: until the doors open */
};

struct house {
    struct mutex lock;
    struct condition changed;
    struct pool *pool;
    struct guest guests[N_GUESTS];
    size_t n_invited;
    size_t n_inside;
    size_t n_inside_max;
    size_t n_done;
    size_t n_refused;
    bool are_doors_open;
};

static int64_t stay(struct pool_job *job, struct pool_worker *worker)
{
    (void)worker;
    struct guest *guest = (struct guest *)job;
    struct house *house = guest->house;
    int64_t until_us = clock_monotonic_us() + (guest->stays_us > 0 ? guest->stays_us : PATIENCE);
    bool is_time_left = true;
    MUTEX_GUARD(&house->lock);
    house->n_inside++;
    house->n_inside_max =
        house->n_inside > house->n_inside_max ? house->n_inside : house->n_inside_max;
    condition_broadcast(&house->changed);
    while (is_time_left && (guest->stays_us > 0 || !house->are_doors_open)) {
        is_time_left = condition_wait_until(&house->changed, &house->lock, until_us);
    }
    house->n_inside--;
    house->n_done++;
    condition_broadcast(&house->changed);
    return 0;
}

static void refuse(struct pool_job *job, enum pool_refusal why)
{
    assert_int_equal(why, POOL_STOPS);
    struct house *house = ((struct guest *)job)->house;
    MUTEX_GUARD(&house->lock);
    house->n_refused++;
    condition_broadcast(&house->changed);
}

static struct house *open_house(size_t threads, size_t places)
{
    struct house *house = XNEW(struct house);
    struct pool_settings settings = {
        .name = "test",
        .write_url = "",
        .read_url = "",
        .threads = threads,
        .places = places,
        .queue_limit = QUEUE_LIMIT,
        .wait_limit_us = PATIENCE,
    };
    mutex_init(&house->lock);
    condition_init(&house->changed);
    house->pool = pool_start(&settings);
    return house;
}

static void close_house(struct house *house)
{
    pool_stop(house->pool);
    condition_release(&house->changed);
    mutex_release(&house->lock);
    xfree(house);
}

static bool try_to_invite(struct house *house, int64_t stays_us, bool is_urgent)
{
    struct guest *guest = &house->guests[house->n_invited++];
    *guest = (struct guest){.job = {.run = stay, .refuse = refuse, .is_urgent = is_urgent},
                            .house = house,
                            .stays_us = stays_us};
    return pool_submit(house->pool, &guest->job);
}

static void invite(struct house *house, size_t n, int64_t stays_us)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(try_to_invite(house, stays_us, false));
    }
}

static void wait_for(struct house *house, const size_t *count, size_t wanted)
{
    MUTEX_GUARD(&house->lock);
    int64_t deadline_us = clock_monotonic_us() + PATIENCE;
    while (*count < wanted) {
        assert_true(condition_wait_until(&house->changed, &house->lock, deadline_us));
    }
}

/* Inside, in the time in which one more could come. */
static void expect_no_more_than(struct house *house, size_t n)
{
    MUTEX_GUARD(&house->lock);
    int64_t until_us = clock_monotonic_us() + 3 * POOL_SHORT_US;
    while (condition_wait_until(&house->changed, &house->lock, until_us)) {
    }
    assert_int_equal(house->n_inside, n);
}

static void open_doors(struct house *house)
{
    MUTEX_GUARD(&house->lock);
    house->are_doors_open = true;
    condition_broadcast(&house->changed);
}

/* Whom the scheduler keeps from running counts as slow, so one attempt of five must do. */
static void short_jobs_take_turns(void **state)
{
    (void)state;
    size_t most = 0;
    for (int attempt = 0; attempt < 5 && most != 1; attempt++) {
        struct house *house = open_house(5, 1);
        invite(house, QUEUE_LIMIT, US_PER_MS);
        wait_for(house, &house->n_done, QUEUE_LIMIT);
        most = house->n_inside_max;
        close_house(house);
    }
    assert_int_equal(most, 1);
}

static void slow_jobs_give_their_place_away(void **state)
{
    (void)state;
    struct house *house = open_house(5, 1);
    invite(house, 8, 0);
    wait_for(house, &house->n_inside, 4); /* all that do usual jobs, though nobody has gone */
    open_doors(house);
    wait_for(house, &house->n_done, 8);
    close_house(house);
}

static void urgent_jobs_need_no_place(void **state)
{
    (void)state;
    struct house *house = open_house(3, 1);
    invite(house, 4, 0);
    wait_for(house, &house->n_inside, 2);
    expect_no_more_than(house, 2);
    assert_true(try_to_invite(house, 1, true));
    wait_for(house, &house->n_done, 1);
    open_doors(house);
    wait_for(house, &house->n_done, 5);
    close_house(house);
}

static void *open_when_refused(void *arg)
{
    struct house *house = arg;
    wait_for(house, &house->n_refused, 5);
    open_doors(house);
    return NULL;
}

static void what_waits_is_refused_when_the_pool_stops(void **state)
{
    (void)state;
    struct house *house = open_house(2, 1);
    struct thread porter = {.started = false};
    invite(house, 1, 0);
    wait_for(house, &house->n_inside, 1);
    invite(house, 5, 0);
    assert_int_equal(pool_waiting(house->pool), 5);
    thread_start(&porter, "porter", open_when_refused, house);
    pool_stop(TAKE(house->pool));
    thread_join(&porter);
    assert_int_equal(house->n_done, 1);
    assert_int_equal(house->n_refused, 5);
    close_house(house);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct house *house = open_house(2, 1);
    invite(house, 1, 0);
    wait_for(house, &house->n_inside, 1);
    invite(house, QUEUE_LIMIT, 0);
    assert_false(try_to_invite(house, 0, false));
    open_doors(house);
    wait_for(house, &house->n_done, 1 + QUEUE_LIMIT);
    close_house(house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_jobs_take_turns),
        cmocka_unit_test(slow_jobs_give_their_place_away),
        cmocka_unit_test(urgent_jobs_need_no_place),
        cmocka_unit_test(what_waits_is_refused_when_the_pool_stops),
        cmocka_unit_test(the_queue_is_bounded),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
