#include "worker/sources/glpi/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/sources/glpi/criteria.h"
#include "worker/sources/glpi/filter.h"
#include "worker/sources/glpi/page.h"
#include "worker/sources/glpi/probe.h"
#include "worker/sources/glpi/send.h"
#include "worker/sources/glpi/session.h"
#include "worker/sources/glpi/walk.h"

#define CLOCK_SKEW_TOLERATED_US (30 * US_PER_S)
#define NAMES_SHOWN             12
#define URL_MAX_BYTES           4096

/* The search options that cross-checks use. */
static const int OPTIONS_USED[] = {2, 19};

DEFINE_CLEANUP(struct json *, json_free);

struct checking {
    const struct source_config *source;
    struct http_client *http;
    struct glpi_session *session;
    finding_sink sink;
    void *arg;
};

static void name_subject(const struct checking *checking, const char *task, char out[160])
{
    (void)snprintf(out, 160, "%s%s%s", checking->source->name, task != NULL ? "." : "",
                   task != NULL ? task : "");
}

static void PRINTF_FORMAT(4, 5) say(const struct checking *checking,
                                    enum finding_level level,
                                    const char *task,
                                    const char *format,
                                    ...)
{
    char subject[160];
    char text[1024];
    va_list args;
    name_subject(checking, task, subject);
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    checking->sink(checking->arg,
                   &(struct finding){.level = level,
                                     .code = level == FINDING_ERROR ? ERROR_CONFIG : ERROR_NONE,
                                     .subject = subject,
                                     .text = text});
}

static void say_error(const struct checking *checking, const char *task, const struct error *err)
{
    char subject[160];
    bool lacks_right = err->http_status == 403;
    name_subject(checking, task, subject);
    checking->sink(checking->arg, &(struct finding){.level = FINDING_ERROR,
                                                    .code = lacks_right ? ERROR_DENIED : err->code,
                                                    .http_status = err->http_status,
                                                    .subject = subject,
                                                    .text = err->msg});
}

static void check_clock(const struct checking *checking)
{
    const struct glpi_session *session = checking->session;
    int64_t skew_s = session->skew_us / US_PER_S;
    if (!session->has_date) {
        say(checking, FINDING_WARNING, NULL,
            "answers carry no Date header, so GLPI's times are compared with this machine's clock; "
            "keep both synchronised (NTP)");
    } else if (session->skew_us > CLOCK_SKEW_TOLERATED_US ||
               session->skew_us < -CLOCK_SKEW_TOLERATED_US) {
        say(checking, FINDING_WARNING, NULL,
            "its clock is %" PRId64 " s %s this machine's; loads go by the source's clock, but "
            "synchronise both (NTP) so that times in the log can be compared",
            skew_s < 0 ? -skew_s : skew_s, skew_s < 0 ? "behind" : "ahead of");
    } else {
        say(checking, FINDING_OK, NULL, "clock agrees with this machine's");
    }
}

static void check_session(const struct checking *checking)
{
    const struct glpi_session *session = checking->session;
    say(checking, FINDING_OK, NULL, "GLPI %s lets user %s in", session->version, session->user);
    if (zone_is_utc(session->zone)) {
        say(checking, FINDING_OK, NULL, "times come in UTC");
    } else {
        say(checking, FINDING_OK, NULL,
            "times come in %s and are converted; set the user's time zone to UTC to keep the hour "
            "that comes twice in autumn apart",
            session->zone_name);
    }
    check_clock(checking);
    say(checking, FINDING_OK, NULL, "the account sees %zu %s", session->n_entities,
        session->n_entities == 1 ? "entity" : "entities");
}

static bool is_needed(const struct task_def *task, size_t field)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        if (task->columns[task->key_columns[i]].field == field) {
            return true;
        }
    }
    return (task->version_column >= 0 && task->columns[task->version_column].field == field) ||
           (task->parent_column >= 0 && task->columns[task->parent_column].field == field);
}

static void
check_columns(const struct checking *checking, const struct task_def *task, const struct json *row)
{
    struct buf missing CLEANUP(buf_release);
    buf_init(&missing, 4096);
    size_t n_missing = 0;
    for (size_t i = 0; i < task->n_fields; i++) {
        const char *name = task->fields[i].name;
        if (json_find(row, name) != NULL) {
            continue;
        }
        if (is_needed(task, i)) {
            say(checking, FINDING_ERROR, task->name,
                "%s has no column %s in GLPI %s, without which nothing can be loaded; disable the "
                "task",
                task->table, name, checking->session->version);
            return;
        }
        if (n_missing++ < NAMES_SHOWN) {
            buf_addf(&missing, "%s%s", n_missing > 1 ? ", " : "", name);
        }
    }
    if (n_missing > 0) {
        say(checking, FINDING_OK, task->name,
            "%s is readable; GLPI %s lacks %zu column%s, which stay%s NULL: %s%s", task->table,
            checking->session->version, n_missing, n_missing == 1 ? "" : "s",
            n_missing == 1 ? "s" : "", missing.ptr, n_missing > NAMES_SHOWN ? ", ..." : "");
    } else {
        say(checking, FINDING_OK, task->name, "%s is readable with all %zu columns", task->table,
            task->n_fields);
    }
}

static bool check_task(const struct checking *checking, const struct task_def *task)
{
    struct error err = ERROR_INIT;
    struct glpi_filter filter;
    struct buf url CLEANUP(buf_release);
    buf_init(&url, URL_MAX_BYTES);
    buf_addf(&url, "/%s?range=0-0&get_hateoas=false", task->table);
    if (!glpi_filter_parse(task, &filter, &err)) {
        say_error(checking, task->name, &err);
        return true;
    }
    glpi_filter_add(&filter, &url);
    struct http_response response;
    struct json *root CLEANUP(json_freep) = glpi_get_json(
        checking->session, checking->http, buf_str(&url), task->table, &response, &err);
    if (root == NULL) {
        bool is_source = err.code == ERROR_CANCELLED || err.code == ERROR_DENIED ||
                         (err.code == ERROR_TRANSIENT && err.http_status == 0);
        say_error(checking, is_source ? NULL : task->name, &err);
        return !is_source;
    }
    if (json_kind(root) != JSON_KIND_ARRAY) {
        say(checking, FINDING_ERROR, task->name,
            "%s: GLPI does not answer a list; check the url of the source", task->table);
    } else if (json_size(root) == 0) {
        say(checking, FINDING_OK, task->name, "%s is readable and shows no record", task->table);
    } else {
        check_columns(checking, task, json_at(root, 0));
    }
    return true;
}

/* The log tells of changes that move no stamp. */
static void check_log(const struct checking *checking)
{
    struct error err = ERROR_INIT;
    struct glpi_named named;
    if (!glpi_probe_log(checking->session, checking->http, (struct glpi_log_floor){.id = -1}, NULL,
                        &named, &err)) {
        say_error(checking, NULL, &err);
    } else if (named.log_id < 0) {
        say(checking, FINDING_WARNING, NULL,
            "the account may not read Log, so changes of tickets that do not move date_mod are "
            "only "
            "found by full loads; give its profile the right to read the history");
    }
}

static bool option_fits(const struct json *listed, const struct glpi_search_option *option)
{
    char id[16];
    char what[128];
    (void)snprintf(id, sizeof(id), "%d", option->id);
    const struct json *found = json_find(listed, id);
    const char *table = json_find_string(found, "table");
    const char *field = json_find_string(found, "field");
    if (table == NULL || field == NULL || strncmp(table, "glpi_", 5) != 0) {
        return false;
    }
    (void)snprintf(what, sizeof(what), "%s.%s", table + 5, field);
    return strcmp(what, option->what) == 0;
}

static void check_search(const struct checking *checking)
{
    struct error err = ERROR_INIT;
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        glpi_get_json(checking->session, checking->http, STR_LITERAL("/listSearchOptions/Ticket"),
                      "listSearchOptions", &response, &err);
    if (root == NULL) {
        say(checking, FINDING_WARNING, NULL,
            "the search options of tickets cannot be read, so "
            "loads are not cross-checked: %.300s",
            err.msg);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS_USED); i++) {
        const struct glpi_search_option *option = glpi_search_option(OPTIONS_USED[i]);
        if (!option_fits(root, option)) {
            say(checking, FINDING_WARNING, NULL,
                "search option %d of tickets is not %s in GLPI %s; cross-checks of loads will fail "
                "(they never fail a load)",
                option->id, option->what, checking->session->version);
        }
    }
}

void glpi_check(const struct source_config *source,
                struct http_client *http,
                const struct task_def *const *tasks,
                size_t n_tasks,
                finding_sink sink,
                void *arg)
{
    struct checking checking = {.source = source, .http = http, .sink = sink, .arg = arg};
    struct error err = ERROR_INIT;
    bool has_tickets = false;
    bool is_there = true;
    checking.session = glpi_session_open(source, http, &err);
    if (checking.session == NULL) {
        say_error(&checking, NULL, &err);
        return;
    }
    check_session(&checking);
    for (size_t i = 0; i < n_tasks && is_there; i++) {
        is_there = check_task(&checking, tasks[i]);
        has_tickets = has_tickets || strcmp(tasks[i]->table, GLPI_LOGGED_ITEMTYPE) == 0;
    }
    if (is_there && has_tickets) {
        check_log(&checking);
        check_search(&checking);
    }
    glpi_session_close(checking.session, http);
}
