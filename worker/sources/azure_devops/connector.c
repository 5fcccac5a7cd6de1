#include "worker/sources/azure_devops/connector.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/io/json.h"
#include "worker/sources/azure_devops/check.h"
#include "worker/sources/azure_devops/walk.h"

/* Every request carries the credential, so there is no session; but what an anonymous visitor is
 * shown looks like an organisation that lost most of its rows, so who asks is settled before any
 * task begins. */
static bool open_source(const struct source_config *source,
                        struct http_client *http,
                        void **ret_session,
                        struct error *err)
{
    *ret_session = NULL;
    if (!ado_check_url(source, err)) {
        return false;
    }
    struct json *root = ado_get_user(http, NULL, err);
    json_free(root);
    return root != NULL;
}

static void close_source(void *session, struct http_client *http)
{
    (void)session;
    (void)http;
}

/* What the tables of the catalog are read by. */
struct table {
    const char *name;
    const struct ado_walk_type *all;   /* everything; for a census: its ids */
    const struct ado_walk_type *given; /* records by key */
    bool is_feed;
};

static const struct table TABLES[] = {
    {"work_item_revision", &ado_revisions_walk, &ado_revision_walk, true},
    {"work_item_link", &ado_links_walk, &ado_links_walk, true},
    {"work_item", &ado_census_walk, &ado_items_walk, false},
    {"project", &ado_projects_walk, &ado_projects_walk, false},
    {"work_item_type_state", &ado_states_walk, &ado_states_walk, false},
    {"iteration", &ado_iterations_walk, &ado_iterations_walk, false},
    {"identity", &ado_people_walk, &ado_people_walk, false},
};

static const struct table *find_table(const struct task_def *task)
{
    const char *name = ado_table_name(task);
    for (size_t i = 0; i < ARRAY_SIZE(TABLES); i++) {
        if (strcmp(TABLES[i].name, name) == 0) {
            return &TABLES[i];
        }
    }
    return NULL;
}

static bool
add_partitions(struct plan *plan, const struct partition *like, size_t n, struct error *err)
{
    struct partition *partitions = arena_zalloc(&plan->arena, n * sizeof(*partitions));
    if (partitions == NULL) {
        return error_set(err, ERROR_LIMIT, "the plan takes too much memory");
    }
    memcpy(partitions, like, n * sizeof(*partitions));
    plan->partitions = partitions;
    plan->n_partitions = n;
    return true;
}

static bool add_partition(struct plan *plan, const struct partition *like, struct error *err)
{
    return add_partitions(plan, like, 1, err);
}

/* ---- feeds ---- */

/* The token of the last run, NULL with the reason why it cannot be used. */
static const char *
find_token(const struct walk_request *request, struct plan *plan, const char **ret_why)
{
    if (request->cursor == NULL) {
        *ret_why = "first run";
        return NULL;
    }
    if (request->profile == NULL || strcmp(request->profile, plan->profile) != 0) {
        *ret_why = "url or fields changed since the last run";
        return NULL;
    }
    struct error ignored = ERROR_INIT; /* an unreadable cursor means a full read */
    struct json *root = json_parse(str_from(request->cursor), &ignored);
    const char *token = json_find_string(root, "token");
    bool is_usable = token != NULL && token[0] != '\0' && strlen(token) < ADO_TOKEN_BYTES_MAX;
    const char *copy = is_usable ? arena_strdup(&plan->arena, token) : NULL;
    json_free(root);
    *ret_why = copy == NULL ? "the watermark is unreadable" : NULL;
    return copy;
}

/* One walk, from the token or from the start; the walk itself learns where the next one begins.
 *
 * Of reconcile a feed knows no cheaper form than everything: that of links cannot be asked for its
 * keys alone, and of what a census of revisions would miss, each costs a request and those of
 * deleted work items are not given by key at all. */
static bool plan_feed(const struct source_config *source,
                      const struct walk_request *request,
                      struct plan *plan,
                      struct error *err)
{
    struct buf profile CLEANUP(buf_release);
    buf_init(&profile, 64);
    ado_fields_profile(request->task, source->url, &profile);
    plan->profile = arena_strdup(&plan->arena, profile.ptr);
    if (plan->profile == NULL) {
        return error_set(err, ERROR_LIMIT, "the plan takes too much memory");
    }
    const char *token = NULL;
    plan->kind = WALK_ALL;
    if (request->kind != WALK_ALL && request->kind != WALK_KEYS) {
        token = find_token(request, plan, &plan->why_all);
        plan->kind = token != NULL ? WALK_CHANGES : WALK_ALL;
    }
    plan->high_us = INT64_MIN;
    plan->cursor = NULL;
    const struct partition partition = {
        .kind = plan->kind, .from_us = INT64_MIN, .to_us = INT64_MAX, .from_key = token};
    return add_partition(plan, &partition, err);
}

/* ---- what is not a feed ---- */

/* Increments of work items are made from their revisions; a census finds what is gone, and the bins
 * what is deleted if the feed does not tell. A first run takes the census too: nobody says that the
 * revisions have landed. */
static bool
plan_work_items(const struct walk_request *request, struct plan *plan, struct error *err)
{
    const struct partition partitions[] = {
        {.kind = WALK_KEYS, .from_us = INT64_MIN, .to_us = INT64_MAX},
        {.kind = WALK_ALL, .from_us = INT64_MIN, .to_us = INT64_MAX},
    };
    plan->high_us = INT64_MIN;
    bool is_full = request->kind == WALK_ALL || request->kind == WALK_KEYS;
    if (!is_full && request->cursor != NULL) {
        plan->kind = WALK_CHANGES;
        return true;
    }
    plan->why_all = is_full ? NULL : "first run";
    plan->kind = WALK_KEYS;
    plan->confirm_missing = true;
    return add_partitions(plan, partitions, ARRAY_SIZE(partitions), err);
}

/* The source's clock, and whether the token is still somebody's. */
static bool read_clock(struct http_client *http, int64_t *ret_us, struct error *err)
{
    struct ado_answer answer;
    struct json *root = ado_get_user(http, &answer, err);
    if (root == NULL) {
        return false;
    }
    json_free(root);
    *ret_us = answer.date_us != 0 ? answer.date_us : clock_wall_us();
    return true;
}

/* Lists are short and carry no stamp: they are read whole, whatever the mode. */
static bool plan_list(const struct source_config *source,
                      struct http_client *http,
                      const struct walk_request *request,
                      struct plan *plan,
                      struct error *err)
{
    struct partition partition = {.kind = WALK_ALL, .from_us = INT64_MIN, .to_us = INT64_MAX};
    plan->confirm_missing = true;
    if (strcmp(ado_table_name(request->task), "identity") == 0) {
        enum ado_directory directory = ADO_TEAMS;
        if (!ado_find_directory(source, http, &directory, err)) {
            return false;
        }
        partition.list = (int)directory;
        plan->keeps_missing = directory == ADO_TEAMS; /* who left a team is still somebody */
        /* Whom only work items name is in no directory, and comes back by them. */
        plan->confirm_missing = false;
    }
    plan->kind = WALK_ALL;
    plan->cursor = "{}";
    return read_clock(http, &plan->high_us, err) && add_partition(plan, &partition, err);
}

static bool plan_task(void *session,
                      const struct source_config *source,
                      struct http_client *http,
                      const struct walk_request *request,
                      struct plan *plan,
                      struct error *err)
{
    (void)session;
    const struct table *table = find_table(request->task);
    if (table == NULL) {
        return error_set(err, ERROR_CONFIG,
                         "task %s: Azure DevOps has no table \"%s\" that foz can read; they are "
                         "work_item_revision, work_item, work_item_link, project, "
                         "work_item_type_state, iteration and identity",
                         request->task->name, request->task->table);
    }
    if (!ado_check_url(source, err)) {
        return false;
    }
    bool planned = table->is_feed                   ? plan_feed(source, request, plan, err)
                   : table->all == &ado_census_walk ? plan_work_items(request, plan, err)
                                                    : plan_list(source, http, request, plan, err);
    return planned || error_wrap(err, "task %s", request->task->name);
}

/* ---- walks ---- */

static struct walk *open_walk(void *session,
                              const struct source_config *source,
                              const struct task_def *task,
                              const struct partition *partition)
{
    (void)session;
    const struct table *table = find_table(task);
    struct walk *walk = XNEW(struct walk);
    *walk = (struct walk){
        .source = source,
        .task = task,
        .partition = partition,
        .high_us = INT64_MIN,
    };
    if (table != NULL) { /* else there was no plan either, and fetch says so */
        walk->type = partition->kind == WALK_GIVEN ? table->given : table->all;
        walk->state = xcalloc(1, walk->type->state_bytes);
        walk->type->start(walk);
    }
    return walk;
}

static enum page_result
fetch(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    if (walk->type == NULL) {
        (void)error_set(err, ERROR_CONFIG, "task %s: unknown table \"%s\"", walk->task->name,
                        walk->task->table);
        return PAGE_ERROR;
    }
    while (!walk->finished) {
        row_batch_reset(batch);
        if (!walk->type->step(walk, http, batch, err)) {
            return PAGE_ERROR;
        }
        if (batch->n_rows + batch->n_rejects > 0) {
            walk->records += batch->n_rows + batch->n_rejects;
            row_batch_finish(batch);
            return PAGE_READY;
        }
    }
    return PAGE_END;
}

/* No list of Azure DevOps says how many records there are. */
static void proof(const struct walk *walk, struct walk_proof *ret_proof)
{
    *ret_proof = (struct walk_proof){
        .records = walk->records,
        .hidden = walk->hidden,
        .cursor = walk->cursor,
        .high_us = walk->high_us,
    };
}

static void close_walk(struct walk *walk)
{
    if (walk == NULL) {
        return;
    }
    if (walk->type != NULL) {
        walk->type->release(walk);
    }
    xfree(walk->state);
    xfree(walk);
}

const struct connector azure_devops_connector = {
    .source_type = "azure_devops",
    .open = open_source,
    .plan = plan_task,
    .walk_open = open_walk,
    .fetch = fetch,
    .proof = proof,
    .walk_close = close_walk,
    .check = azure_devops_check,
    .close = close_source,
};
