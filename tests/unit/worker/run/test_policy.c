#include "tests/unit/worker/http/cmocka_all.h"
#include "worker/run/policy.h"

static int exit_of(enum error_code code, int http_status)
{
    const struct error err = {.code = code, .http_status = http_status};
    return policy_exit_of_error(&err);
}

static void every_error_code_has_its_exit_code(void **state)
{
    (void)state;
    assert_int_equal(EXIT_COMPLETE, exit_of(ERROR_NONE, 0));
    assert_int_equal(EXIT_DENIED, exit_of(ERROR_DENIED, 401));
    assert_int_equal(EXIT_DENIED, exit_of(ERROR_DENIED, 403));
    assert_int_equal(EXIT_DENIED, exit_of(ERROR_DENIED, 0));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_DATA, 200));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_CONFIG, 404));
    assert_int_equal(EXIT_BAD_CONFIG, exit_of(ERROR_CONFIG, 0));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_LIMIT, 0));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_UNCERTAIN, 0));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_CANCELLED, 0));
    assert_int_equal(EXIT_TASK_FAILED, exit_of(ERROR_BUG, 0));
}

static void no_answer_and_gateways_mean_unreachable(void **state)
{
    (void)state;

    static const enum error_code CODES[] = {ERROR_TRANSIENT, ERROR_THROTTLED};

    for (size_t i = 0; i < ARRAY_SIZE(CODES); i++) {
        /* What was not sent because the source asked for silence does not make it unreachable. */
        assert_int_equal(CODES[i] == ERROR_TRANSIENT ? EXIT_UNREACHABLE : EXIT_TASK_FAILED,
                         exit_of(CODES[i], 0));
        assert_int_equal(EXIT_UNREACHABLE, exit_of(CODES[i], 502));
        assert_int_equal(EXIT_UNREACHABLE, exit_of(CODES[i], 503));
        assert_int_equal(EXIT_UNREACHABLE, exit_of(CODES[i], 504));
        assert_int_equal(EXIT_TASK_FAILED, exit_of(CODES[i], 200));
        assert_int_equal(EXIT_TASK_FAILED, exit_of(CODES[i], 429));
        assert_int_equal(EXIT_TASK_FAILED, exit_of(CODES[i], 500));
    }
}

static void only_what_a_stop_cut_short_is_not_failed(void **state)
{
    (void)state;
    const struct error cut = {.code = ERROR_CANCELLED};
    const struct error denied = {.code = ERROR_DENIED};
    assert_int_equal(TASK_INTERRUPTED, policy_failure_status(&cut, STOP_SIGNAL));
    assert_int_equal(TASK_INTERRUPTED, policy_failure_status(&cut, STOP_LOST));
    assert_int_equal(TASK_CANCELLED, policy_failure_status(&cut, STOP_CANCELLED));
    assert_int_equal(TASK_FAILED, policy_failure_status(&cut, STOP_NONE));
    assert_int_equal(TASK_FAILED, policy_failure_status(&denied, STOP_SIGNAL));
}

static void the_worse_exit_code_is_the_first_of_the_contract(void **state)
{
    (void)state;
    static const int ORDER[] = {EXIT_DENIED, EXIT_BAD_CONFIG, EXIT_UNREACHABLE, EXIT_TASK_FAILED,
                                EXIT_HELD,   EXIT_PARTIAL,    EXIT_COMPLETE};
    for (size_t i = 0; i < ARRAY_SIZE(ORDER); i++) {
        for (size_t k = i; k < ARRAY_SIZE(ORDER); k++) {
            assert_int_equal(ORDER[i], policy_exit_worse(ORDER[i], ORDER[k]));
            assert_int_equal(ORDER[i], policy_exit_worse(ORDER[k], ORDER[i]));
        }
    }
    assert_int_equal(EXIT_BUSY, policy_exit_worse(EXIT_COMPLETE, EXIT_BUSY));
    assert_int_equal(EXIT_BUSY, policy_exit_worse(EXIT_BUSY, EXIT_COMPLETE));
    assert_int_equal(EXIT_STOPPED, policy_exit_worse(EXIT_STOPPED, EXIT_DENIED));
}

struct ending {
    enum task_status tasks[3];
    enum stop_reason stopped;
    enum task_status status;
    int exit_code;
};

static void an_execution_ends_as_its_tasks_say(void **state)
{
    (void)state;
    static const struct ending ENDINGS[] = {
        {{TASK_SUCCESS, TASK_SUCCESS, TASK_SUCCESS}, STOP_NONE, TASK_SUCCESS, EXIT_COMPLETE},
        {{TASK_SUCCESS, TASK_PARTIAL, TASK_SUCCESS}, STOP_NONE, TASK_PARTIAL, EXIT_PARTIAL},
        {{TASK_HELD, TASK_PARTIAL, TASK_SUCCESS}, STOP_NONE, TASK_HELD, EXIT_HELD},
        {{TASK_HELD, TASK_PARTIAL, TASK_FAILED}, STOP_NONE, TASK_FAILED, EXIT_TASK_FAILED},
        {{TASK_SUCCESS, TASK_FAILED, TASK_SUCCESS}, STOP_NONE, TASK_FAILED, EXIT_TASK_FAILED},
        /* Nobody asked to stop, and yet a task has no end: that is no success. */
        {{TASK_SUCCESS, TASK_QUEUED, TASK_SUCCESS}, STOP_NONE, TASK_FAILED, EXIT_TASK_FAILED},
        {{TASK_SUCCESS, TASK_RUNNING, TASK_SUCCESS}, STOP_NONE, TASK_FAILED, EXIT_TASK_FAILED},
        {{TASK_SUCCESS, TASK_INTERRUPTED, TASK_SUCCESS}, STOP_NONE, TASK_FAILED, EXIT_TASK_FAILED},
        /* A stop that came when all was done changes nothing. */
        {{TASK_SUCCESS, TASK_SUCCESS, TASK_SUCCESS}, STOP_SIGNAL, TASK_SUCCESS, EXIT_COMPLETE},
        {{TASK_SUCCESS, TASK_PARTIAL, TASK_SUCCESS}, STOP_CANCELLED, TASK_PARTIAL, EXIT_PARTIAL},
        {{TASK_SUCCESS, TASK_INTERRUPTED, TASK_QUEUED},
         STOP_SIGNAL,
         TASK_INTERRUPTED,
         EXIT_STOPPED},
        {{TASK_FAILED, TASK_INTERRUPTED, TASK_QUEUED}, STOP_SIGNAL, TASK_INTERRUPTED, EXIT_STOPPED},
        {{TASK_SUCCESS, TASK_RUNNING, TASK_QUEUED}, STOP_LOST, TASK_INTERRUPTED, EXIT_UNREACHABLE},
        {{TASK_SUCCESS, TASK_CANCELLED, TASK_QUEUED},
         STOP_CANCELLED,
         TASK_CANCELLED,
         EXIT_TASK_FAILED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(ENDINGS); i++) {
        const struct ending *ending = &ENDINGS[i];
        struct task_report tasks[3] = {{.status = TASK_QUEUED}};
        for (size_t k = 0; k < 3; k++) {
            tasks[k].status = ending->tasks[k];
            tasks[k].error.code = ending->tasks[k] == TASK_FAILED ? ERROR_DATA : ERROR_NONE;
        }
        enum task_status status = policy_execution_status(tasks, 3, ending->stopped);
        int code = policy_execution_exit(tasks, 3, status, ending->stopped);
        if (status != ending->status || code != ending->exit_code) {
            fail_msg("ending %zu: %s with exit code %d", i, task_status_name(status), code);
        }
    }
}

static void the_exit_code_is_that_of_the_worst_task(void **state)
{
    (void)state;
    const struct task_report tasks[] = {
        {.status = TASK_FAILED, .error = {.code = ERROR_DATA}},
        {.status = TASK_FAILED, .error = {.code = ERROR_TRANSIENT}},
        {.status = TASK_FAILED, .error = {.code = ERROR_DENIED}},
        {.status = TASK_HELD},
    };
    assert_int_equal(EXIT_TASK_FAILED, policy_execution_exit(tasks, 1, TASK_FAILED, STOP_NONE));
    assert_int_equal(EXIT_UNREACHABLE, policy_execution_exit(tasks, 2, TASK_FAILED, STOP_NONE));
    assert_int_equal(EXIT_DENIED, policy_execution_exit(tasks, 4, TASK_FAILED, STOP_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_code_has_its_exit_code),
        cmocka_unit_test(no_answer_and_gateways_mean_unreachable),
        cmocka_unit_test(only_what_a_stop_cut_short_is_not_failed),
        cmocka_unit_test(the_worse_exit_code_is_the_first_of_the_contract),
        cmocka_unit_test(an_execution_ends_as_its_tasks_say),
        cmocka_unit_test(the_exit_code_is_that_of_the_worst_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
