#include "worker/sources/azure_devops/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/sources/azure_devops/walk.h"

#define CLOCK_SKEW_TOLERATED_US (30 * US_PER_S)
#define NAMES_SHOWN             12
#define PROJECTS_CHECKED        5 /* of organisations with many projects, a sample */

struct checking {
    const struct source_config *source;
    struct http_client *http;
    finding_sink sink;
    void *arg;
};

static void give(const struct checking *checking,
                 enum finding_level level,
                 const char *task,
                 const struct error *err,
                 const char *text)
{
    char subject[160];
    (void)snprintf(subject, sizeof(subject), "%s%s%s", checking->source->name,
                   task != NULL ? "." : "", task != NULL ? task : "");
    const struct finding finding = {
        .level = level,
        .code = err != NULL              ? err->code
                : level == FINDING_ERROR ? ERROR_CONFIG
                                         : ERROR_NONE,
        .http_status = err != NULL ? err->http_status : 0,
        .subject = subject,
        .text = text,
    };
    checking->sink(checking->arg, &finding);
}

static void PRINTF_FORMAT(4, 5) say(const struct checking *checking,
                                    enum finding_level level,
                                    const char *task,
                                    const char *format,
                                    ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    give(checking, level, task, NULL, text);
}

static void say_error(const struct checking *checking, const char *task, const struct error *err)
{
    give(checking, FINDING_ERROR, task, err, err->msg);
}

/* ---- the organisation ---- */

static void check_clock(const struct checking *checking, int64_t date_us, int64_t local_us)
{
    if (date_us == 0) {
        say(checking, FINDING_WARNING, NULL,
            "answers carry no Date header, so watermarks show this machine's clock; keep it "
            "synchronised");
        return;
    }
    int64_t skew_us = date_us - local_us;
    int64_t skew_s = skew_us / US_PER_S;
    if (skew_us > CLOCK_SKEW_TOLERATED_US || skew_us < -CLOCK_SKEW_TOLERATED_US) {
        say(checking, FINDING_WARNING, NULL,
            "its clock is %" PRId64 " s %s this machine's; loads go by the source's tokens, but "
            "synchronise this machine (NTP) so that times in the log can be compared",
            skew_s < 0 ? -skew_s : skew_s, skew_s < 0 ? "behind" : "ahead of");
    } else {
        say(checking, FINDING_OK, NULL, "clock agrees with this machine's");
    }
}

static void check_user(const struct checking *checking, const struct json *root)
{
    const struct json *user = json_find(root, "authenticatedUser");
    const char *id = json_find_string(user, "id");
    const char *name = json_find_string(user, "customDisplayName");
    name = name != NULL ? name : json_find_string(user, "providerDisplayName");
    if (!json_bool(json_find(user, "isActive"), true)) {
        say(checking, FINDING_WARNING, NULL,
            "the token's user %s is not active in the organisation; an administrator must give it "
            "an access level",
            name != NULL ? name : id);
        return;
    }
    say(checking, FINDING_OK, NULL, "reachable, the token is accepted (user %s)",
        name != NULL ? name : id);
}

static bool check_organisation(const struct checking *checking)
{
    struct ado_answer answer;
    struct error err = ERROR_INIT;
    struct json *root = ado_get_user(checking->http, &answer, &err);
    if (root == NULL) {
        say_error(checking, NULL, &err);
        return false;
    }
    check_user(checking, root);
    check_clock(checking, answer.date_us, clock_wall_us());
    json_free(root);
    return true;
}

/* ---- fields of work items ---- */

/* Fields of Microsoft's come with the processes that use them. */
static bool is_of_microsoft(const char *name)
{
    return str_starts_with(str_from(name), STR_LITERAL("System.")) ||
           str_starts_with(str_from(name), STR_LITERAL("Microsoft."));
}

static void check_fields(const struct checking *checking, const struct task_def *task)
{
    struct ado_fields fields CLEANUP(ado_fields_release);
    struct error err = ERROR_INIT;
    ado_fields_init(&fields, task);
    if (!ado_fields_load(&fields, checking->http, &err)) {
        say_error(checking, task->name, &err);
        return;
    }
    if (!fields.has_dictionary) {
        say(checking, FINDING_WARNING, task->name,
            "the account may not read the list of fields (_apis/wit/fields), so only the fields "
            "of the catalog are copied and `fields` stays empty; give the token the scope Work "
            "items: read");
        return;
    }
    struct buf missing CLEANUP(buf_release);
    size_t n_custom = 0;
    size_t n_missing = 0;
    size_t n_rest = 0;
    buf_init(&missing, 4096);
    for (size_t i = 0; i < fields.n; i++) {
        const struct ado_field *field = &fields.items[i];
        bool is_missing = field->mapped >= 0 && !field->asked;
        n_rest += field->mapped < 0 ? 1 : 0;
        n_missing += is_missing ? 1 : 0;
        n_custom += is_missing && !is_of_microsoft(field->name) ? 1 : 0;
        if (is_missing && n_missing <= NAMES_SHOWN) {
            buf_addf(&missing, "%s%s", n_missing > 1 ? ", " : "", field->name);
        }
    }
    if (n_missing == 0) {
        say(checking, FINDING_OK, task->name,
            "all fields of the catalog exist, %zu more land in fields", n_rest);
        return;
    }
    say(checking, n_custom > 0 ? FINDING_WARNING : FINDING_OK, task->name,
        "the organisation does not have %zu field%s of the catalog, which stay%s NULL: %s%s%s",
        n_missing, n_missing == 1 ? "" : "s", n_missing == 1 ? "s" : "", missing.ptr,
        n_missing > NAMES_SHOWN ? ", ..." : "",
        n_custom > 0 ? "; correct a custom field's reference name (Organization settings, Process, "
                       "Fields), or leave the field out"
                     : " (its processes do not use them)");
}

/* ---- the tasks' own lists ---- */

/* Does this address answer? A page of a feed is read for that, and thrown away. */
static bool
answers(const struct checking *checking, const char *task, const char *path, struct json **ret_root)
{
    struct buf url CLEANUP(buf_release);
    struct error err = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, path);
    *ret_root = ado_get(checking->http, &url, NULL, &err);
    if (*ret_root == NULL) {
        say_error(checking, task, &err);
    }
    return *ret_root != NULL;
}

/* Without this field an increment sees no deletion. */
static void check_deletions(const struct checking *checking, const struct task_def *task)
{
    struct error ignored = ERROR_INIT; /* the feed itself has just been asked */
    bool tells = true;
    if (ado_feed_tells_deletions(checking->http, &tells, &ignored) && !tells) {
        say(checking, FINDING_WARNING, task->name,
            "the feed of revisions does not give System.IsDeleted, so deleted work items show only "
            "after a load with --mode reconcile; run one every day");
    }
}

static void check_revisions(const struct checking *checking, const struct task_def *task)
{
    struct json *root = NULL;
    if (answers(checking, task->name, ADO_ONE_REVISION, &root)) {
        say(checking, FINDING_OK, task->name, "the feed of revisions is readable");
        check_deletions(checking, task);
        check_fields(checking, task);
    }
    json_free(root);
}

static void check_links(const struct checking *checking, const struct task_def *task)
{
    struct json *root = NULL;
    if (answers(checking, task->name, "/_apis/wit/reporting/workitemlinks?" ADO_VERSION, &root)) {
        say(checking, FINDING_OK, task->name, "the feed of links is readable");
    }
    json_free(root);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): a decoder of many */
static bool decode_nothing(void *arg, char *document, size_t len, struct error *err)
{
    (void)arg;
    (void)document;
    (void)len;
    (void)err;
    return true;
}

/* What reconciling needs beside the query: which items are deleted and which destroyed. */
static void check_bins(const struct checking *checking, const struct task_def *task)
{
    struct ado_projects projects CLEANUP(ado_projects_release);
    struct error err = ERROR_INIT;
    size_t n_read = 0;
    ado_projects_init(&projects);
    if (!ado_projects_load(&projects, checking->http, &err)) {
        return; /* the projects' own task says so */
    }
    for (size_t i = 0; i < projects.n && n_read < PROJECTS_CHECKED; i++) {
        const struct ado_project *project = &projects.items[i];
        if (!project->is_well_formed) {
            continue;
        }
        struct buf url CLEANUP(buf_release);
        buf_init(&url, ADO_URL_BYTES_MAX);
        ado_add_bin(&url, project->id);
        const struct ado_request request = {.url = buf_str(&url), .decode = decode_nothing};
        error_clear(&err);
        if (!ado_send(checking->http, &request, NULL, &err) && ado_is_refused(&err)) {
            /* Where there is no bin nothing can be told apart; where it is closed, it could. */
            say(checking, FINDING_WARNING, task->name,
                "the recycle bin of project %s cannot be read, so full and reconcile %s: they "
                "could not tell deleted work items from destroyed ones; give the token's user the "
                "right to view it (%s)",
                project->name,
                err.http_status == 404 ? "leave what they do not find as it is" : "fail", err.msg);
            return;
        }
        n_read++;
    }
}

static void check_work_items(const struct checking *checking, const struct task_def *task)
{
    struct error err = ERROR_INIT;
    const struct ado_request request = {
        .method = "POST",
        .url = STR_LITERAL("/_apis/wit/wiql?timePrecision=true&$top=1&" ADO_VERSION),
        .body = STR_LITERAL("{\"query\":\"SELECT [System.Id] FROM WorkItems WHERE [System.Id] > 0"
                            " ORDER BY [System.Id]\"}"),
        .decode = decode_nothing,
    };
    if (!ado_send(checking->http, &request, NULL, &err)) {
        say_error(checking, task->name, &err);
        return;
    }
    say(checking, FINDING_OK, task->name, "work items can be queried");
    check_bins(checking, task);
}

static void check_projects(const struct checking *checking, const struct task_def *task)
{
    struct ado_projects projects CLEANUP(ado_projects_release);
    struct error err = ERROR_INIT;
    ado_projects_init(&projects);
    if (!ado_projects_load(&projects, checking->http, &err)) {
        say_error(checking, task->name, &err);
    } else if (projects.n == 0) {
        say(checking, FINDING_WARNING, task->name,
            "no project is visible: add the token's user to the projects (Readers is enough)");
    } else {
        say(checking, FINDING_OK, task->name, "%zu project%s visible", projects.n,
            projects.n == 1 ? " is" : "s are");
    }
}

/* Where processes cannot be read, states come from the types of projects. */
static void check_types(const struct checking *checking, const struct task_def *task)
{
    struct ado_projects projects CLEANUP(ado_projects_release);
    struct error err = ERROR_INIT;
    size_t n_read = 0;
    ado_projects_init(&projects);
    if (!ado_projects_load(&projects, checking->http, &err)) {
        say_error(checking, task->name, &err);
        return;
    }
    for (size_t i = 0; i < projects.n && n_read < PROJECTS_CHECKED; i++) {
        const struct ado_project *project = &projects.items[i];
        const struct json *list = NULL;
        if (!project->is_well_formed) {
            continue;
        }
        error_clear(&err);
        struct json *root = ado_get_types(checking->http, project->id, &list, &err);
        json_free(root);
        if (root == NULL) {
            (void)error_wrap(&err, "project %s", project->name);
            say_error(checking, task->name, &err);
            return;
        }
        n_read++;
    }
    say(checking, FINDING_WARNING, task->name,
        "the list of processes cannot be read (on-premises XML process, or no right), so states "
        "are read type by type from one project of each process, and from every project that does "
        "not tell its process; that costs requests, nothing is missing");
}

static void check_states(const struct checking *checking, const struct task_def *task)
{
    struct ado_processes processes CLEANUP(ado_processes_release);
    struct error err = ERROR_INIT;
    ado_processes_init(&processes);
    if (!ado_processes_load(&processes, checking->http, &err)) {
        say_error(checking, task->name, &err);
    } else if (!processes.is_known) {
        check_types(checking, task);
    } else {
        say(checking, FINDING_OK, task->name, "processes and their states are readable");
    }
}

static void check_people(const struct checking *checking, const struct task_def *task)
{
    enum ado_directory directory = ADO_TEAMS;
    struct error err = ERROR_INIT;
    if (!ado_find_directory(checking->source, checking->http, &directory, &err)) {
        say_error(checking, task->name, &err);
        return;
    }
    switch (directory) {
    case ADO_ENTITLEMENTS:
        say(checking, FINDING_OK, task->name, "user entitlements are readable");
        return;
    case ADO_GRAPH:
        say(checking, FINDING_WARNING, task->name,
            "user entitlements cannot be read, Graph users are used: one request more per user, "
            "and is_active stays unknown; give the token the scope Member entitlement "
            "management: read");
        return;
    case ADO_TEAMS:
        break;
    }
    say(checking, FINDING_WARNING, task->name,
        "neither user entitlements nor Graph users can be read, so people come from teams and "
        "work items, without mail and directory id; give the token the scope Member entitlement "
        "management: read (on-premises servers have neither)");
}

static void check_task(const struct checking *checking, const struct task_def *task)
{
    static const struct {
        const char *table;
        void (*check)(const struct checking *checking, const struct task_def *task);
    } CHECKS[] = {
        {"work_item_revision", check_revisions},
        {"work_item_link", check_links},
        {"work_item", check_work_items},
        {"project", check_projects},
        {"iteration", check_projects},
        {"work_item_type_state", check_states},
        {"identity", check_people},
    };

    for (size_t i = 0; i < ARRAY_SIZE(CHECKS); i++) {
        if (strcmp(CHECKS[i].table, ado_table_name(task)) == 0) {
            CHECKS[i].check(checking, task);
            return;
        }
    }
    say(checking, FINDING_ERROR, task->name,
        "Azure DevOps has no table \"%s\" that foz can read; correct `table` in the catalog",
        task->table);
}

void azure_devops_check(const struct source_config *source,
                        struct http_client *http,
                        const struct task_def *const *tasks,
                        size_t n_tasks,
                        finding_sink sink,
                        void *arg)
{
    const struct checking checking = {.source = source, .http = http, .sink = sink, .arg = arg};
    struct error err = ERROR_INIT;
    if (!ado_check_url(source, &err)) {
        say_error(&checking, NULL, &err);
        return;
    }
    if (!check_organisation(&checking)) {
        return;
    }
    for (size_t i = 0; i < n_tasks; i++) {
        check_task(&checking, tasks[i]);
    }
}
