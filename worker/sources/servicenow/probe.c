#include "worker/sources/servicenow/probe.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "worker/sources/servicenow/page.h"
#include "worker/sources/servicenow/query.h"
#include "worker/sources/servicenow/walk.h"

void servicenow_probe_init(struct servicenow_probe *probe)
{
    *probe = (struct servicenow_probe){.total = -1};
    arena_init(&probe->arena, (size_t)1024 * 1024);
}

void servicenow_probe_release(struct servicenow_probe *probe)
{
    xfree(probe->names);
    arena_release(&probe->arena);
}

static void add_name(void *arg, struct str name)
{
    struct servicenow_probe *probe = arg;
    char *copy = arena_strndup(&probe->arena, name.ptr, name.len);
    if (copy == NULL) {
        return; /* a megabyte of field names: the rest does not matter */
    }
    if (probe->n_names == probe->names_capacity) {
        probe->names_capacity = probe->names_capacity == 0 ? 128 : 2 * probe->names_capacity;
        probe->names = xrealloc(probe->names, probe->names_capacity * sizeof(*probe->names));
    }
    probe->names[probe->n_names++] = copy;
}

struct probing {
    const struct task_def *task;
    struct servicenow_probe *probe;
};

static enum http_verdict judge_probe(void *arg, struct http_response *response, struct error *err)
{
    struct probing *probing = arg;
    struct servicenow_probe *probe = probing->probe;
    if (response->status != 200 ||
        !str_starts_with_nocase(response->content_type, STR_LITERAL("application/json"))) {
        enum http_verdict verdict = servicenow_judge_failure(probing->task, response, err);
        return err->code == ERROR_LIMIT ? servicenow_retry_smallest(err) : verdict;
    }
    probe->n_names = 0;
    enum servicenow_page page =
        servicenow_page_names(response->body, add_name, probe, &probe->records, err);
    if (page != SERVICENOW_PAGE_GOOD) {
        (void)error_wrap(err, "table %s", probing->task->table);
        err->http_status = response->status;
        return servicenow_retry_smallest(err);
    }
    probe->total = -1;
    (void)str_to_int64(http_response_header(response, "X-Total-Count"), 0, INT64_MAX,
                       &probe->total);
    probe->date_us = response->date_us;
    probe->local_us = clock_wall_us();
    return HTTP_ACCEPT;
}

bool servicenow_probe_table(const struct task_def *task,
                            struct http_client *http,
                            struct servicenow_probe *probe,
                            struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, SERVICENOW_URL_MAX_BYTES);
    servicenow_page_url(&url, &(struct servicenow_page_request){
                                  .task = task, .all_fields = true, .count = true, .limit = 1});
    struct probing probing = {.task = task, .probe = probe};
    struct http_request request = {
        .method = "GET", .url = buf_str(&url), .judge = judge_probe, .judge_arg = &probing};
    struct http_response response;
    return http_send(http, &request, &response, err);
}

bool servicenow_probe_has(const struct servicenow_probe *probe, struct str field)
{
    for (size_t i = 0; i < probe->n_names; i++) {
        if (str_equal_c(field, probe->names[i])) {
            return true;
        }
    }
    return false;
}

struct filter_check {
    const struct servicenow_probe *probe;
    struct str unknown;
};

static void note_unknown(void *arg, struct str field)
{
    struct filter_check *check = arg;
    if (check->unknown.len == 0 && !servicenow_probe_has(check->probe, field)) {
        check->unknown = field;
    }
}

bool servicenow_probe_check_filter(const struct servicenow_probe *probe,
                                   const struct task_def *task,
                                   struct error *err)
{
    if (task->filter == NULL || probe->records == 0) {
        return true;
    }
    struct filter_check check = {.probe = probe};
    servicenow_filter_fields(str_from(task->filter), note_unknown, &check);
    if (check.unknown.len == 0) {
        return true;
    }
    return error_set(err, ERROR_CONFIG,
                     "filter \"%s\": table %s shows no field \"%.*s\" to this account; ServiceNow "
                     "would ignore the term and send the whole table; correct the name or grant "
                     "read access",
                     task->filter, task->table, STR_ARG(check.unknown));
}
