#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Which work items there are: the ids of a query paged by key, then those of every project's
 * recycle bin. Only an empty answer that comes twice ends the query: it has no other end, and what
 * a short page means nobody has written down.
 *
 * An id has no version, so that a census of ids cannot tell a deleted item from one that is not.
 * Where the feed refuses to tell, a second walk (WALK_ALL) reads the bins alone, as records that
 * say no more than is_deleted.
 */

/* A query of 20,000 rows is an error, one with this $top is cut without a word. */
#define TOP_MAX 19999

struct census {
    int64_t last_id;
    int64_t top;
    int64_t n_ids; /* of the page */
    bool seen_empty;
    bool query_is_done;
    bool is_of_bins; /* nothing but them, as records */
    bool has_asked_feed;
    bool has_projects;
    struct ado_projects projects;
    size_t project; /* whose bin is next */
    struct buf url;
    struct buf body;
    struct ado_cells cells;
    int64_t page_last_id;
    struct row_batch *batch;
    struct walk *walk;
};

static void start(struct walk *walk)
{
    struct census *census = walk->state;
    census->walk = walk;
    census->top = walk->task->page_size > 0 && walk->task->page_size < TOP_MAX
                      ? walk->task->page_size
                      : TOP_MAX;
    buf_init(&census->url, ADO_URL_BYTES_MAX);
    buf_init(&census->body, 4096);
    ado_cells_init(&census->cells, walk->task);
    ado_projects_init(&census->projects);
    census->is_of_bins = walk->partition->kind == WALK_ALL;
    census->query_is_done = census->is_of_bins;
}

static void release(struct walk *walk)
{
    struct census *census = walk->state;
    buf_release(&census->url);
    buf_release(&census->body);
    ado_cells_release(&census->cells);
    ado_projects_release(&census->projects);
}

/* A key without a version: the engine compares keys only. */
static bool add_id(struct census *census, int64_t id, struct error *err)
{
    char text[24];
    struct buf number CLEANUP(buf_release);
    buf_init(&number, sizeof(text));
    buf_add_int(&number, id);
    ado_cells_reset(&census->cells);
    ado_cells_set(&census->cells, "System.Id", (struct cell){CELL_NUMBER, false, buf_str(&number)});
    return row_batch_add(census->batch, census->cells.cells, STR_NONE, err);
}

static bool take_queried(void *arg, int64_t id, struct error *err)
{
    struct census *census = arg;
    if (id <= census->page_last_id) {
        return error_set(err, ERROR_DATA,
                         "the query for ids above %" PRId64 " gives %" PRId64
                         " out of order, so nothing proves that it is whole",
                         census->last_id, id);
    }
    census->page_last_id = id;
    census->n_ids++;
    return add_id(census, id, err);
}

static bool decode_query(void *arg, char *document, size_t len, struct error *err)
{
    struct census *census = arg;
    row_batch_reset(census->batch);
    census->page_last_id = census->last_id;
    census->n_ids = 0;
    return ado_page_read_ids(document, len, take_queried, census, err);
}

static bool ask_query(struct census *census, struct http_client *http, struct error *err)
{
    buf_reset(&census->url);
    buf_addf(&census->url, "/_apis/wit/wiql?timePrecision=true&$top=%" PRId64 "&" ADO_VERSION,
             census->top);
    buf_reset(&census->body);
    buf_addf(&census->body,
             "{\"query\":\"SELECT [System.Id] FROM WorkItems WHERE [System.Id] > %" PRId64
             " ORDER BY [System.Id]\"}",
             census->last_id);
    const struct ado_request request = {
        .method = "POST",
        .url = buf_str(&census->url),
        .body = buf_str(&census->body),
        .decode = decode_query,
        .arg = census,
        .can_shrink = census->top > 1,
    };
    return ado_send(http, &request, NULL, err);
}

static bool step_query(struct census *census, struct http_client *http, struct error *err)
{
    struct error fault = ERROR_INIT;
    while (!ask_query(census, http, &fault)) {
        if (fault.code != ERROR_LIMIT || census->top == 1) {
            *err = fault;
            return false;
        }
        census->top /= 2;
        error_clear(&fault);
    }
    census->query_is_done = census->n_ids == 0 && census->seen_empty;
    census->seen_empty = census->n_ids == 0;
    census->last_id = census->page_last_id;
    return true;
}

static bool take_deleted(void *arg, int64_t id, struct error *err)
{
    struct census *census = arg;
    return census->is_of_bins ? ado_add_deleted(census->batch, census->walk->task, id, err)
                              : add_id(census, id, err);
}

static bool decode_bin(void *arg, char *document, size_t len, struct error *err)
{
    struct census *census = arg;
    row_batch_reset(census->batch);
    return ado_page_read_ids(document, len, take_deleted, census, err);
}

/* A bin has no pages and more than 20,000 items are refused: then those in question are looked up
 * one by one when they are confirmed. */
static bool step_bin(struct census *census, struct http_client *http, struct error *err)
{
    const struct ado_project *project = &census->projects.items[census->project++];
    buf_reset(&census->url);
    ado_add_bin(&census->url, project->id);
    const struct ado_request request = {
        .url = buf_str(&census->url), .decode = decode_bin, .arg = census};
    struct error fault = ERROR_INIT;
    if (ado_send(http, &request, NULL, &fault)) {
        return true;
    }
    row_batch_reset(census->batch);
    bool is_too_full = fault.code == ERROR_LIMIT && fault.http_status == 400;
    if (is_too_full || fault.http_status == 404) {
        log_info("a recycle bin cannot be listed; its items are looked up by id",
                 LOG_TEXT("project", project->name), LOG_TEXT("because", fault.msg));
        return true;
    }
    *err = fault;
    return error_wrap(err, "recycle bin of project %s", project->name);
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct census *census = walk->state;
    census->batch = batch;
    if (!census->query_is_done) {
        return step_query(census, http, err);
    }
    if (census->is_of_bins && !census->has_asked_feed) {
        census->has_asked_feed = true;
        return ado_feed_tells_deletions(http, &walk->finished, err);
    }
    if (!census->has_projects) {
        census->has_projects = true;
        return ado_projects_load(&census->projects, http, err);
    }
    if (census->project < census->projects.n) {
        return step_bin(census, http, err);
    }
    walk->finished = true;
    return true;
}

const struct ado_walk_type ado_census_walk = {
    .state_bytes = sizeof(struct census),
    .start = start,
    .step = step,
    .release = release,
};
