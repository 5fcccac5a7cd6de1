#include "worker/sources/servicenow/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "common/io/json.h"
#include "worker/sources/servicenow/probe.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/rights.h"

#define CLOCK_SKEW_TOLERATED_US (30 * US_PER_S)
#define NAMES_SHOWN             12

struct checking {
    const struct source_config *source;
    struct http_client *http;
    finding_sink sink;
    void *arg;
    bool is_reached; /* what is so for the whole source has been said */
};

static void PRINTF_FORMAT(4, 5) say(const struct checking *checking,
                                    enum finding_level level,
                                    const char *task,
                                    const char *format,
                                    ...)
{
    char subject[160];
    (void)snprintf(subject, sizeof(subject), "%s%s%s", checking->source->name,
                   task != NULL ? "." : "", task != NULL ? task : "");
    char text[1024];
    va_list args;
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
    (void)snprintf(subject, sizeof(subject), "%s%s%s", checking->source->name,
                   task != NULL ? "." : "", task != NULL ? task : "");
    checking->sink(checking->arg, &(struct finding){.level = FINDING_ERROR,
                                                    .code = err->code,
                                                    .http_status = err->http_status,
                                                    .subject = subject,
                                                    .text = err->msg});
}

static void check_clock(const struct checking *checking, const struct servicenow_probe *probe)
{
    if (probe->date_us == 0) {
        say(checking, FINDING_WARNING, NULL,
            "answers carry no Date header, so changes are cut by this machine's clock; keep it "
            "synchronised");
        return;
    }
    int64_t skew_us = probe->date_us - probe->local_us;
    int64_t skew_s = skew_us / US_PER_S;
    if (skew_us > CLOCK_SKEW_TOLERATED_US || skew_us < -CLOCK_SKEW_TOLERATED_US) {
        say(checking, FINDING_WARNING, NULL,
            "its clock is %" PRId64 " s %s this machine's; loads go by the source's clock, but "
            "synchronise both (NTP) so that times in the log can be compared",
            skew_s < 0 ? -skew_s : skew_s, skew_s < 0 ? "behind" : "ahead of");
    } else {
        say(checking, FINDING_OK, NULL, "clock agrees with this machine's");
    }
}

/* display_value of a time is in the account's zone and format, value in UTC. */
static void check_zone_of(const struct checking *checking, const char *display, const char *value)
{
    int64_t display_us;
    int64_t value_us;
    if (display == NULL || value == NULL || !instant_parse_plain(str_from(value), &value_us)) {
        return;
    }
    if (!instant_parse_plain(str_from(display), &display_us)) {
        say(checking, FINDING_OK, NULL,
            "the account shows times in a format of its own (\"%s\"); its zone cannot be told from "
            "that",
            display);
        return;
    }
    int64_t offset_min = (display_us - value_us) / US_PER_MIN;
    if (offset_min == 0) {
        say(checking, FINDING_OK, NULL, "the account's time zone is GMT");
        return;
    }
    int64_t size_min = offset_min < 0 ? -offset_min : offset_min;
    say(checking, FINDING_WARNING, NULL,
        "the account's time zone is %c%02" PRId64 ":%02" PRId64 ", not GMT; set it to GMT in the "
        "user's profile, or filters with javascript: dates shift by that much",
        offset_min < 0 ? '-' : '+', size_min / 60, size_min % 60);
}

static void check_zone(const struct checking *checking, const struct task_def *task)
{
    if (task->version_column < 0) {
        return;
    }
    const char *field = task->fields[task->columns[task->version_column].field].name;
    struct buf url CLEANUP(buf_release);
    buf_init(&url, 1024);
    buf_addf(&url,
             "/api/now/v2/table/%s?sysparm_limit=1&sysparm_display_value=all"
             "&sysparm_exclude_reference_link=true&sysparm_no_count=true&sysparm_fields=%s",
             task->table, field);
    struct http_request request = {.method = "GET", .url = buf_str(&url)};
    struct http_response response;
    struct error err = ERROR_INIT;
    if (!http_send(checking->http, &request, &response, &err)) {
        say_error(checking, NULL, &err);
        return;
    }
    struct json *root = json_parse(buf_str(response.body), &err);
    const struct json *pair = json_find(json_at(json_find(root, "result"), 0), field);
    check_zone_of(checking, json_find_string(pair, "display_value"),
                  json_find_string(pair, "value"));
    json_free(root);
}

static bool is_needed(const struct task_def *task, size_t field)
{
    for (size_t i = 0; i < task->n_key_columns; i++) {
        if (task->columns[task->key_columns[i]].field == field) {
            return true;
        }
    }
    return task->version_column >= 0 && task->columns[task->version_column].field == field;
}

static bool check_needed(const struct checking *checking,
                         const struct task_def *task,
                         const struct servicenow_probe *probe)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        struct str dotted = str_from(task->fields[i].name);
        if (is_needed(task, i) && !servicenow_probe_has(probe, str_cut(&dotted, '.'))) {
            struct error err = ERROR_INIT;
            (void)error_set(&err, ERROR_DENIED,
                            "the account cannot read %s of table %s, without which nothing can be "
                            "loaded; grant read access to it",
                            task->fields[i].name, task->table);
            say_error(checking, task->name, &err);
            return false;
        }
    }
    return true;
}

static bool check_fields(const struct checking *checking,
                         const struct task_def *task,
                         const struct servicenow_probe *probe)
{
    struct buf missing CLEANUP(buf_release);
    buf_init(&missing, 4096);
    size_t n_missing = 0;
    for (size_t i = 0; i < task->n_fields; i++) {
        struct str dotted = str_from(task->fields[i].name);
        struct str first = str_cut(&dotted, '.');
        if (servicenow_probe_has(probe, first)) {
            continue;
        }
        if (n_missing++ < NAMES_SHOWN) {
            buf_addf(&missing, "%s%s", n_missing > 1 ? ", " : "", task->fields[i].name);
        }
    }
    if (n_missing > 0) {
        say(checking, FINDING_WARNING, task->name,
            "%zu field%s of table %s %s not shown to the account (no read access, or not in this "
            "instance) and stay%s NULL: %s%s",
            n_missing, n_missing == 1 ? "" : "s", task->table, n_missing == 1 ? "is" : "are",
            n_missing == 1 ? "s" : "", missing.ptr, n_missing > NAMES_SHOWN ? ", ..." : "");
    }
    return n_missing == 0;
}

/* false when the whole source is out of reach, so that further tasks need not be asked. */
static bool
say_failure(const struct checking *checking, const struct task_def *task, const struct error *err)
{
    bool is_source =
        err->http_status == 401 || err->code == ERROR_CANCELLED ||
        (err->code != ERROR_DENIED && err->code != ERROR_LIMIT && err->http_status == 0);
    say_error(checking, is_source ? NULL : task->name, err);
    return !is_source;
}

/* What the account sees of a table that shows it something, and whether the walks' queries are
 * answered. */
static bool check_rights(const struct checking *checking,
                         const struct task_def *task,
                         const struct servicenow_probe *probe)
{
    if (probe->records > 0 && !check_needed(checking, task, probe)) {
        return true;
    }
    int64_t now_us = probe->date_us != 0 ? probe->date_us : probe->local_us;
    struct error err = ERROR_INIT;
    bool is_answered = servicenow_rights_ask(task, checking->http, now_us, &err);
    if (!is_answered && !say_failure(checking, task, &err)) {
        return false;
    }
    if (probe->records > 0 && check_fields(checking, task, probe) && is_answered) {
        say(checking, FINDING_OK, task->name,
            "table %s is readable with all %zu fields, %" PRId64 " records", task->table,
            task->n_fields, probe->total);
    }
    return true;
}

/* Results as for say_failure. */
static bool check_task(struct checking *checking, const struct task_def *task)
{
    struct servicenow_probe probe CLEANUP(servicenow_probe_release);
    servicenow_probe_init(&probe);
    struct error err = ERROR_INIT;
    if (!servicenow_filter_check(str_from(task->filter), &err)) {
        say_error(checking, task->name, &err);
        return true;
    }
    if (!servicenow_probe_table(task, checking->http, &probe, &err)) {
        return say_failure(checking, task, &err);
    }
    if (!checking->is_reached) {
        checking->is_reached = true;
        say(checking, FINDING_OK, NULL, "reachable, the credential is accepted");
        check_clock(checking, &probe);
        check_zone(checking, task);
    }
    if (probe.records == 0 && probe.total <= 0) {
        say(checking, FINDING_WARNING, task->name,
            "table %s shows no record: it is empty, or the account may not see it", task->table);
        return true;
    }
    if (probe.records == 0) {
        say(checking, FINDING_WARNING, task->name,
            "table %s holds %" PRId64 " records, but the account cannot read the first of "
            "them; grant it a read role (for incidents: sn_incident_read)",
            task->table, probe.total);
    }
    if (!servicenow_probe_check_filter(&probe, task, &err)) {
        say_error(checking, task->name, &err);
        return true;
    }
    return check_rights(checking, task, &probe);
}

void servicenow_check(const struct source_config *source,
                      struct http_client *http,
                      const struct task_def *const *tasks,
                      size_t n_tasks,
                      finding_sink sink,
                      void *arg)
{
    struct checking checking = {.source = source, .http = http, .sink = sink, .arg = arg};
    for (size_t i = 0; i < n_tasks; i++) {
        if (!check_task(&checking, tasks[i])) {
            return;
        }
    }
}
