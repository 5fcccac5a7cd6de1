#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/http/pool.h"
#include "common/base/clock.h"
#include "common/base/thread.h"

/*
 * Jobs here touch no database: they note when they run, and stay until they are let go.
 */

#define N_JOBS   12
#define PATIENCE (20 * US_PER_S)
#define A_MOMENT (POOL_SHORT_US * 3 / 4)

struct house {
    struct mutex lock;
    struct condition changed;
    size_t n_inside;
    size_t n_inside_max;
    size_t n_done;
    size_t n_refused;
    bool is_open; /* who stays may go */
};

struct guest {
    struct pool_job job;
    struct house *house;
    int64_t stays_us; /* 0: until the house is opened */
};

static void come(struct house *house)
{
    house->n_inside++;
    house->n_inside_max =
        house->n_inside > house->n_inside_max ? house->n_inside : house->n_inside_max;
    condition_broadcast(&house->changed);
}

static int64_t stay(struct pool_job *job, struct pool_worker *worker)
{
    (void)worker;
    struct guest *guest = (struct guest *)job;
    struct house *house = guest->house;
    int64_t until_us = clock_monotonic_us() + (guest->stays_us > 0 ? guest->stays_us : PATIENCE);
    MUTEX_GUARD(&house->lock);
    come(house);
    while (guest->stays_us > 0 || !house->is_open) {
        if (!condition_wait_until(&house->changed, &house->lock, until_us)) {
            break;
        }
    }
    house->n_inside--;
    house->n_done++;
    condition_broadcast(&house->changed);
    return 0;
}

static void refuse(struct pool_job *job, enum pool_refusal why)
{
    (void)why;
    struct house *house = ((struct guest *)job)->house;
    MUTEX_GUARD(&house->lock);
    house->n_refused++;
    condition_broadcast(&house->changed);
}

static struct pool *start_pool(size_t threads, size_t places)
{
    struct pool_settings settings = {
        .name = "test",
        .write_url = "",
        .read_url = "",
        .threads = threads,
        .places = places,
        .queue_limit = N_JOBS,
        .wait_limit_us = PATIENCE,
    };
    return pool_start(&settings);
}

static void open_house(struct house *house)
{
    *house = (struct house){.n_inside = 0};
    mutex_init(&house->lock);
    condition_init(&house->changed);
}

static void close_house(struct house *house)
{
    condition_release(&house->changed);
    mutex_release(&house->lock);
}

static void invite(struct pool *pool, struct house *house, struct guest *guest, int64_t stays_us)
{
    *guest = (struct guest){
        .job = {.run = stay, .refuse = refuse}, .house = house, .stays_us = stays_us};
    assert_true(pool_submit(pool, &guest->job));
}

static void wait_for(struct house *house, const size_t *count, size_t wanted)
{
    MUTEX_GUARD(&house->lock);
    int64_t deadline_us = clock_monotonic_us() + PATIENCE;
    while (*count < wanted) {
        assert_true(condition_wait_until(&house->changed, &house->lock, deadline_us));
    }
}

static void let_go(struct house *house)
{
    MUTEX_GUARD(&house->lock);
    house->is_open = true;
    condition_broadcast(&house->changed);
}

/* The scheduler may keep a thread from running for longer than a short job may last, so what is
 * "never" is tried where all stay short by far. */
static void test_short_jobs_take_turns(void **state)
{
    (void)state;
    struct house house;
    struct guest guests[N_JOBS];
    size_t most = 0;
    for (int attempt = 0; attempt < 5; attempt++) {
        open_house(&house);
        struct pool *pool = start_pool(5, 1);
        for (size_t i = 0; i < N_JOBS; i++) {
            invite(pool, &house, &guests[i], US_PER_MS);
        }
        wait_for(&house, &house.n_done, N_JOBS);
        pool_stop(pool);
        most = house.n_inside_max;
        close_house(&house);
        if (most == 1) {
            break;
        }
    }
    assert_int_equal(most, 1);
}

static void test_slow_jobs_give_their_place_away(void **state)
{
    (void)state;
    struct house house;
    struct guest guests[N_JOBS];
    open_house(&house);
    struct pool *pool = start_pool(5, 1);
    for (size_t i = 0; i < 8; i++) {
        invite(pool, &house, &guests[i], 0);
    }
    /* All four threads that do usual jobs are busy in the end, though nobody has gone. */
    wait_for(&house, &house.n_inside, 4);
    let_go(&house);
    wait_for(&house, &house.n_done, 8);
    pool_stop(pool);
    assert_int_equal(house.n_refused, 0);
    close_house(&house);
}

static void test_urgent_jobs_need_no_place(void **state)
{
    (void)state;
    struct house house;
    struct guest guests[N_JOBS];
    open_house(&house);
    struct pool *pool = start_pool(3, 1);
    for (size_t i = 0; i < 4; i++) {
        invite(pool, &house, &guests[i], 0);
    }
    wait_for(&house, &house.n_inside, 2);
    struct guest *urgent = &guests[4];
    *urgent = (struct guest){
        .job = {.run = stay, .refuse = refuse, .is_urgent = true}, .house = &house, .stays_us = 1};
    assert_true(pool_submit(pool, &urgent->job));
    wait_for(&house, &house.n_done, 1);
    let_go(&house);
    wait_for(&house, &house.n_done, 5);
    pool_stop(pool);
    close_house(&house);
}

static void test_what_waits_is_refused_when_the_pool_stops(void **state)
{
    (void)state;
    struct house house;
    struct guest guests[N_JOBS];
    open_house(&house);
    struct pool *pool = start_pool(2, 1);
    for (size_t i = 0; i < 6; i++) {
        invite(pool, &house, &guests[i], i == 0 ? A_MOMENT : 0);
    }
    wait_for(&house, &house.n_inside, 1);
    assert_true(pool_waiting(pool) >= 4);
    let_go(&house);
    pool_stop(pool);
    assert_int_equal(house.n_done + house.n_refused, 6);
    close_house(&house);
}

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    struct house house;
    struct guest guests[N_JOBS + 2];
    open_house(&house);
    struct pool *pool = start_pool(2, 1);
    invite(pool, &house, &guests[0], 0);
    wait_for(&house, &house.n_inside, 1);
    for (size_t i = 1; i <= N_JOBS; i++) {
        invite(pool, &house, &guests[i], 0);
    }
    struct guest *last = &guests[N_JOBS + 1];
    *last = (struct guest){.job = {.run = stay, .refuse = refuse}, .house = &house};
    assert_false(pool_submit(pool, &last->job));
    let_go(&house);
    wait_for(&house, &house.n_done, N_JOBS + 1);
    pool_stop(pool);
    close_house(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_jobs_take_turns),
        cmocka_unit_test(test_slow_jobs_give_their_place_away),
        cmocka_unit_test(test_urgent_jobs_need_no_place),
        cmocka_unit_test(test_what_waits_is_refused_when_the_pool_stops),
        cmocka_unit_test(test_the_queue_is_bounded),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
