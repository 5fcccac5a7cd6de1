#include "api/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"

#define DATABASE_RETRY_AFTER_S 2

static void set_detail(struct problem *problem, const char *format, va_list args)
    PRINTF_FORMAT(2, 0);

static void set_detail(struct problem *problem, const char *format, va_list args)
{
    (void)vsnprintf(problem->detail, sizeof(problem->detail), format, args);
    /* The cut may have gone through a character. */
    size_t len = strlen(problem->detail);
    while (len > 0 && !str_is_utf8((struct str){problem->detail, len})) {
        len--;
    }
    problem->detail[len] = '\0';
}

bool problem_set(struct problem *problem, int status, const char *code, const char *format, ...)
{
    problem->status = status;
    problem->code = code;
    va_list args;
    va_start(args, format);
    set_detail(problem, format, args);
    va_end(args);
    return false;
}

bool problem_set_parameter(
    struct problem *problem, struct str parameter, const char *code, const char *format, ...)
{
    problem->status = 400;
    problem->code = code;
    (void)snprintf(problem->parameter, sizeof(problem->parameter), "%.*s", STR_ARG(parameter));
    va_list args;
    va_start(args, format);
    set_detail(problem, format, args);
    va_end(args);
    return false;
}

/* Objects of ours are missing: the database was never migrated, or by an older program. */
static bool is_schema_sqlstate(const char *sqlstate)
{
    static const char *const missing[] = {"42P01", "3F000", "42883", "42703", "42P02"};
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++) {
        if (strcmp(sqlstate, missing[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool problem_from_error(struct problem *problem, const struct error *err)
{
    problem->retry_after_s = DATABASE_RETRY_AFTER_S;
    if (is_schema_sqlstate(err->sqlstate)) {
        return problem_set(problem, 503, "schema_mismatch",
                           "the database schema is missing or older than this program: run "
                           "`foz-worker migrate`");
    }
    if (strcmp(err->sqlstate, "25006") == 0) {
        return problem_set(problem, 503, "database_read_only",
                           "database.url leads to a server that takes no writes, such as a "
                           "standby: point it at the primary");
    }
    if (strcmp(err->sqlstate, "57014") == 0) {
        return problem_set(problem, 503, "query_timeout",
                           "the database took too long to answer: try again, or ask for less");
    }
    switch (err->code) {
    case ERROR_CONFIG:
        /* The pool's check of the schema; its words name the cure. What the server says of a
         * connection names host, database and user. */
        return err->sqlstate[0] == '\0'
                   ? problem_set(problem, 503, "schema_mismatch", "%s", err->msg)
                   : problem_set(problem, 503, "database_unavailable",
                                 "the database refuses connections: the service's log says why");
    case ERROR_UNCERTAIN:
        return problem_set(problem, 503, "outcome_unknown",
                           "the connection to the database was lost while the request was being "
                           "committed: look at /v1/executions, or repeat the request (the same "
                           "Idempotency-Key never queues twice)");
    case ERROR_TRANSIENT:
    case ERROR_THROTTLED:
    case ERROR_CANCELLED:
        return problem_set(problem, 503, "database_unavailable",
                           "the database is not reachable at the moment: try again soon; the "
                           "service reconnects by itself");
    case ERROR_DENIED:
        return problem_set(problem, 503, "database_denied",
                           "the database refuses this service's account: check database.url and "
                           "the grants of its role");
    case ERROR_LIMIT:
        problem->retry_after_s = 0;
        return problem_set(problem, 422, "answer_too_large",
                           "the answer would be larger than this service builds: lower `limit`");
    case ERROR_NONE:
    case ERROR_DATA:
    case ERROR_BUG:
        break;
    }
    problem->retry_after_s = 0;
    return problem_set(problem, 500, "internal_error",
                       "an error inside the service; its log has the details under this trace_id");
}

const char *problem_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Error";
}
