#include "worker/run/policy.h"

#include "common/base/cleanup.h"

int policy_exit_of_error(const struct error *err)
{
    switch (err->code) {
    case ERROR_DENIED:
        return EXIT_DENIED;
    case ERROR_TRANSIENT:
    case ERROR_THROTTLED:
        /* No answer, or a gateway's: the other side is not there. A broken answer is, and so is a
         * source that asks for silence, even for requests that were not sent because of it. */
        return (err->http_status == 0 && err->code == ERROR_TRANSIENT) || err->http_status == 502 ||
                       err->http_status == 503 || err->http_status == 504
                   ? EXIT_UNREACHABLE
                   : EXIT_TASK_FAILED;
    case ERROR_NONE:
        return EXIT_COMPLETE;
    case ERROR_CONFIG:
        /* What the source refused may be its own fault; what contradicts itself here is not. */
        return err->http_status == 0 ? EXIT_BAD_CONFIG : EXIT_TASK_FAILED;
    case ERROR_DATA:
    case ERROR_LIMIT:
    case ERROR_UNCERTAIN:
    case ERROR_CANCELLED:
    case ERROR_BUG:
        break;
    }
    return EXIT_TASK_FAILED;
}

int policy_exit_worse(int a, int b)
{
    static const int ORDER[] = {EXIT_STOPPED,     EXIT_DENIED, EXIT_BAD_CONFIG, EXIT_UNREACHABLE,
                                EXIT_TASK_FAILED, EXIT_HELD,   EXIT_PARTIAL};
    for (size_t i = 0; i < ARRAY_SIZE(ORDER); i++) {
        if (a == ORDER[i] || b == ORDER[i]) {
            return ORDER[i];
        }
    }
    return a != EXIT_COMPLETE ? a : b;
}

static bool has_status(const struct task_report *tasks, size_t n_tasks, enum task_status status)
{
    for (size_t i = 0; i < n_tasks; i++) {
        if (tasks[i].status == status) {
            return true;
        }
    }
    return false;
}

enum task_status policy_failure_status(const struct error *err, enum stop_reason stopped)
{
    if (stopped == STOP_NONE || err->code != ERROR_CANCELLED) {
        return TASK_FAILED;
    }
    return stopped == STOP_CANCELLED ? TASK_CANCELLED : TASK_INTERRUPTED;
}

enum task_status
policy_execution_status(const struct task_report *tasks, size_t n_tasks, enum stop_reason stopped)
{
    bool is_cut_short =
        has_status(tasks, n_tasks, TASK_QUEUED) || has_status(tasks, n_tasks, TASK_RUNNING) ||
        has_status(tasks, n_tasks, TASK_INTERRUPTED) || has_status(tasks, n_tasks, TASK_CANCELLED);
    /* Without the connection that owns the execution tasks fail for no reason of their own. */
    bool is_lost = stopped == STOP_LOST && has_status(tasks, n_tasks, TASK_FAILED);
    if (stopped != STOP_NONE && (is_cut_short || is_lost)) {
        return stopped == STOP_CANCELLED ? TASK_CANCELLED : TASK_INTERRUPTED;
    }

    static const enum task_status ORDER[] = {TASK_FAILED, TASK_HELD, TASK_PARTIAL};

    for (size_t i = 0; i < ARRAY_SIZE(ORDER); i++) {
        if (has_status(tasks, n_tasks, ORDER[i])) {
            return ORDER[i];
        }
    }
    return is_cut_short ? TASK_FAILED : TASK_SUCCESS;
}

int policy_execution_exit(const struct task_report *tasks,
                          size_t n_tasks,
                          enum task_status status,
                          enum stop_reason stopped)
{
    int code = EXIT_COMPLETE;
    for (size_t i = 0; i < n_tasks; i++) {
        switch (tasks[i].status) {
        case TASK_FAILED:
            code = policy_exit_worse(code, policy_exit_of_error(&tasks[i].error));
            break;
        case TASK_HELD:
            code = policy_exit_worse(code, EXIT_HELD);
            break;
        case TASK_PARTIAL:
            code = policy_exit_worse(code, EXIT_PARTIAL);
            break;
        case TASK_QUEUED:
        case TASK_RUNNING:
        case TASK_SUCCESS:
        case TASK_INTERRUPTED:
        case TASK_CANCELLED:
            break;
        }
    }
    if (status == TASK_INTERRUPTED) {
        return stopped == STOP_LOST ? EXIT_UNREACHABLE : EXIT_STOPPED;
    }
    return status == TASK_CANCELLED || (status == TASK_FAILED && code == EXIT_COMPLETE)
               ? EXIT_TASK_FAILED
               : code;
}
