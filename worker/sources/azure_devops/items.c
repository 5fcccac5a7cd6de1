#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Given work items as they are now, and given revisions. A batch leaves out what is deleted,
 * destroyed or hidden; the recycle bin tells the first from the others: an item in it exists, with
 * is_deleted; one that is nowhere is not handed out. Not every service has the bin of the whole
 * organisation: where it is missing, the projects' are asked. While one of them cannot be read,
 * nothing shows that an item is in none, and what was not found stays as it is stored.
 */

#define BATCH_MAX      200 /* VS403474 beyond */
#define NO_SUCH_ITEM   "TF401232"
#define BODY_BYTES_MAX ((size_t)1024 * 1024)

enum binned { BIN_NO, BIN_MAYBE, BIN_YES };

struct items {
    struct walk *walk;
    bool is_ready;
    struct ado_fields fields;
    struct ado_reader *reader;
    struct buf url;
    struct buf body;
    size_t done; /* keys */
    size_t batch_max;
    int64_t ids[BATCH_MAX];        /* of this request */
    bool seen[BATCH_MAX];          /* handed out */
    enum binned binned[BATCH_MAX]; /* in the bin that was asked last */
    size_t n_ids;
    size_t next_binned; /* < n_ids: bin items of this request are still to be read one by one */
    bool bin_is_asked;
    bool has_no_root_bin;
    const struct ado_project *project; /* whose bin was asked last, NULL = the organisation's */
    struct ado_projects projects;      /* loaded when the organisation has no bin */
    bool has_projects;
    size_t next_project; /* < projects.n: their bins are still to be asked */
    bool is_undecided;   /* one of them could not be read */
    bool found;
    struct cell *deleted_cells;
    struct row_batch *batch;
};

static void start(struct walk *walk)
{
    struct items *items = walk->state;
    items->walk = walk;
    items->batch_max = walk->task->page_size > 0 && walk->task->page_size < BATCH_MAX
                           ? (size_t)walk->task->page_size
                           : BATCH_MAX;
    ado_fields_init(&items->fields, walk->task);
    items->deleted_cells = xcalloc(walk->task->n_columns + 1, sizeof(struct cell));
    buf_init(&items->url, ADO_URL_BYTES_MAX);
    buf_init(&items->body, BODY_BYTES_MAX);
    ado_projects_init(&items->projects);
}

static void release(struct walk *walk)
{
    struct items *items = walk->state;
    ado_fields_release(&items->fields);
    ado_reader_free(items->reader);
    xfree(items->deleted_cells);
    buf_release(&items->url);
    buf_release(&items->body);
    ado_projects_release(&items->projects);
}

static void build_reader(struct items *items)
{
    ado_reader_free(items->reader);
    items->reader = ado_reader_new(items->walk->task, &items->fields);
}

static bool make_ready(struct items *items, struct http_client *http, struct error *err)
{
    if (items->is_ready) {
        return true;
    }
    if (!ado_fields_load(&items->fields, http, err)) {
        return false;
    }
    build_reader(items);
    items->is_ready = true;
    return true;
}

/* The column that says whether an item is deleted, or -1. */
static int deleted_column(const struct task_def *task)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (strcmp(task->fields[task->columns[i].field].name, "System.IsDeleted") == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void mark_deleted(const struct task_def *task, struct cell *cells)
{
    int column = deleted_column(task);
    if (column >= 0) {
        cells[column] = (struct cell){CELL_BOOL, false, STR_LITERAL("true")};
    }
}

static bool add_stub(struct row_batch *batch,
                     const struct task_def *task,
                     int64_t id,
                     bool is_deleted,
                     struct error *err)
{
    struct buf number CLEANUP(buf_release);
    buf_init(&number, 24);
    buf_add_int(&number, id);
    struct cell *cells CLEANUP(xfreep) = xcalloc(task->n_columns + 1, sizeof(*cells));
    cells[task->key_columns[0]] = (struct cell){CELL_NUMBER, false, buf_str(&number)};
    if (is_deleted) {
        mark_deleted(task, cells);
    }
    return row_batch_add(batch, cells, STR_NONE, err);
}

bool ado_add_deleted(struct row_batch *batch,
                     const struct task_def *task,
                     int64_t id,
                     struct error *err)
{
    return add_stub(batch, task, id, true, err);
}

/* ---- the batch ---- */

static int index_of(const struct items *items, int64_t id)
{
    for (size_t i = 0; i < items->n_ids; i++) {
        if (items->ids[i] == id) {
            return (int)i;
        }
    }
    return -1;
}

static bool take_item(void *arg, const struct ado_record *record, struct error *err)
{
    struct items *items = arg;
    int index = index_of(items, record->id);
    if (index < 0 || items->seen[index]) {
        return error_set(err, ERROR_DATA,
                         index < 0 ? "work item %" PRId64 " was sent that was not asked for"
                                   : "work item %" PRId64 " was sent twice",
                         record->id);
    }
    items->seen[index] = true;
    return row_batch_add(items->batch, record->cells, STR_NONE, err);
}

static bool decode_batch(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    struct ado_page page;
    row_batch_reset(items->batch);
    memset(items->seen, 0, sizeof(items->seen));
    return ado_page_read(items->reader, document, len, take_item, items, &page, err);
}

/* The next keys into items->ids. A key that is no id is none of a work item. */
static void take_ids(struct items *items)
{
    const struct partition *partition = items->walk->partition;
    items->n_ids = 0;
    while (items->done < partition->n_keys && items->n_ids < items->batch_max) {
        int64_t id = 0;
        if (str_to_int64(partition->keys[items->done++], 1, ADO_ID_MAX, &id) &&
            index_of(items, id) < 0) {
            items->ids[items->n_ids++] = id;
        }
    }
    memset(items->binned, 0, sizeof(items->binned));
    items->next_binned = items->n_ids;
    items->bin_is_asked = false;
    items->next_project = items->projects.n;
    items->is_undecided = false;
}

static bool ask_batch(struct items *items, struct http_client *http, struct error *err)
{
    buf_reset(&items->body);
    buf_add_c(&items->body, "{\"ids\":[");
    for (size_t i = 0; i < items->n_ids; i++) {
        buf_addf(&items->body, "%s%" PRId64, i > 0 ? "," : "", items->ids[i]);
    }
    buf_add_c(&items->body, "],\"fields\":");
    ado_fields_write(&items->fields, &items->body);
    buf_add_c(&items->body, ",\"errorPolicy\":\"omit\"}");
    const struct ado_request request = {
        .method = "POST",
        .url = STR_LITERAL("/_apis/wit/workitemsbatch?" ADO_VERSION),
        .body = buf_str(&items->body),
        .decode = decode_batch,
        .arg = items,
    };
    return ado_send(http, &request, NULL, err);
}

static bool read_batch(struct items *items, struct http_client *http, struct error *err)
{
    for (;;) {
        struct error fault = ERROR_INIT;
        if (ask_batch(items, http, &fault)) {
            return true;
        }
        if (fault.http_status != 400 || !ado_fields_refuse(&items->fields, fault.msg)) {
            *err = fault;
            return false;
        }
        build_reader(items);
    }
}

/* ---- the recycle bin ---- */

static bool take_binned(void *arg, int64_t id, struct error *err)
{
    struct items *items = arg;
    (void)err;
    int index = index_of(items, id);
    if (index >= 0 && !items->seen[index]) {
        items->binned[index] = BIN_YES;
    }
    return true;
}

static bool decode_found(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    memset(items->binned, 0, sizeof(items->binned));
    return ado_page_read_found(document, len, take_binned, items, err);
}

static bool decode_bin(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    memset(items->binned, 0, sizeof(items->binned));
    return ado_page_read_ids(document, len, take_binned, items, err);
}

/* Appends the ids that have not been found; false if there are none. */
static bool add_missing(const struct items *items, struct buf *url)
{
    size_t n = 0;
    for (size_t i = 0; i < items->n_ids; i++) {
        if (!items->seen[i]) {
            buf_addf(url, "%s%" PRId64, n++ > 0 ? "," : "", items->ids[i]);
        }
    }
    return n > 0;
}

static bool
send_to_bin(struct items *items, struct http_client *http, ado_decode decode, struct error *err)
{
    const struct ado_request request = {
        .url = buf_str(&items->url), .decode = decode, .arg = items};
    memset(items->binned, 0, sizeof(items->binned));
    return ado_send(http, &request, NULL, err);
}

/* "/PROJECT", nothing for the organisation. */
static void begin_bin_url(struct items *items)
{
    buf_reset(&items->url);
    if (items->project != NULL) {
        buf_add_char(&items->url, '/');
        ado_add_segment(&items->url, items->project->id);
    }
    buf_add_c(&items->url, "/_apis/wit/recyclebin");
}

static bool begin_projects(struct items *items, struct http_client *http, struct error *err)
{
    if (!items->has_projects && !ado_projects_load(&items->projects, http, err)) {
        return false;
    }
    items->has_projects = true;
    items->next_project = 0;
    return true;
}

/* One request tells which of the missing ids are in the bin; each of those is then read. */
static bool ask_bin(struct items *items, struct http_client *http, struct error *err)
{
    struct error fault = ERROR_INIT;
    items->bin_is_asked = true;
    items->project = NULL;
    begin_bin_url(items);
    buf_add_c(&items->url, "?ids=");
    if (!add_missing(items, &items->url)) {
        return true;
    }
    if (items->has_no_root_bin) {
        return begin_projects(items, http, err);
    }
    buf_add_c(&items->url, "&" ADO_VERSION);
    if (send_to_bin(items, http, decode_found, &fault)) {
        items->next_binned = 0;
        return true;
    }
    if (fault.http_status == 404) { /* no such bin, or one id that it does not know */
        items->has_no_root_bin = strstr(fault.msg, NO_SUCH_ITEM) == NULL;
        return begin_projects(items, http, err);
    }
    *err = fault;
    return error_wrap(err, "recycle bin");
}

/* The whole bin of a project that refuses to look ids up; if that is too full, each id by itself.
 */
static bool list_bin(struct items *items, struct http_client *http, struct error *err)
{
    struct error fault = ERROR_INIT;
    buf_reset(&items->url);
    ado_add_bin(&items->url, items->project->id);
    if (send_to_bin(items, http, decode_bin, &fault)) {
        items->next_binned = 0;
        return true;
    }
    if (fault.http_status == 400 && fault.code == ERROR_LIMIT) {
        for (size_t i = 0; i < items->n_ids; i++) {
            items->binned[i] = items->seen[i] ? BIN_NO : BIN_MAYBE;
        }
        items->next_binned = 0;
        return true;
    }
    if (fault.http_status != 404) {
        *err = fault;
        return false;
    }
    items->is_undecided = items->is_undecided || !ado_project_is_gone(http, items->project->id);
    return true;
}

static bool ask_project_bin(struct items *items, struct http_client *http, struct error *err)
{
    struct error fault = ERROR_INIT;
    items->project = &items->projects.items[items->next_project++];
    begin_bin_url(items);
    buf_add_c(&items->url, "?ids=");
    if (!items->project->is_well_formed || !add_missing(items, &items->url)) {
        return true;
    }
    buf_add_c(&items->url, "&" ADO_VERSION);
    if (send_to_bin(items, http, decode_found, &fault)) {
        items->next_binned = 0;
        return true;
    }
    if (fault.http_status == 404) {
        return list_bin(items, http, err) ||
               error_wrap(err, "recycle bin of project %s", items->project->name);
    }
    *err = fault;
    return error_wrap(err, "recycle bin of project %s", items->project->name);
}

/* What is in a bin that cannot be read must not pass for destroyed: a row that says nothing keeps
 * what is stored. */
static bool keep_undecided(struct items *items, struct error *err)
{
    int64_t n = 0;
    items->is_undecided = false;
    for (size_t i = 0; i < items->n_ids; i++) {
        if (!items->seen[i]) {
            n++;
            if (!add_stub(items->batch, items->walk->task, items->ids[i], false, err)) {
                return false;
            }
        }
    }
    if (n > 0) {
        log_warn("work items are nowhere to be found, but a recycle bin cannot be read: they are "
                 "left as they are",
                 LOG_INT("work_items", n));
    }
    return true;
}

static bool take_resource(void *arg, const struct ado_record *record, struct error *err)
{
    struct items *items = arg;
    const struct task_def *task = items->walk->task;
    memcpy(items->deleted_cells, record->cells, task->n_columns * sizeof(*record->cells));
    mark_deleted(task, items->deleted_cells);
    return row_batch_add(items->batch, items->deleted_cells, STR_NONE, err);
}

static bool decode_resource(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    row_batch_reset(items->batch);
    return ado_page_read_one(items->reader, document, len, take_resource, items, &items->found,
                             err);
}

static bool read_binned(struct items *items, struct http_client *http, struct error *err)
{
    while (items->next_binned < items->n_ids && items->binned[items->next_binned] == BIN_NO) {
        items->next_binned++;
    }
    if (items->next_binned == items->n_ids) {
        return true;
    }
    size_t index = items->next_binned++;
    int64_t id = items->ids[index];
    begin_bin_url(items);
    buf_addf(&items->url, "/%" PRId64 "?" ADO_VERSION, id);
    const struct ado_request request = {
        .url = buf_str(&items->url), .decode = decode_resource, .arg = items};
    struct error fault = ERROR_INIT;
    if (ado_send(http, &request, NULL, &fault)) {
        items->seen[index] = true;
        /* Not every bin shows its items whole. */
        return items->found || ado_add_deleted(items->batch, items->walk->task, id, err);
    }
    row_batch_reset(items->batch);
    if (fault.http_status != 404) {
        *err = fault;
        return false;
    }
    if (strstr(fault.msg, NO_SUCH_ITEM) != NULL) {
        return true; /* destroyed or restored meanwhile: the next run sees it */
    }
    if (items->binned[index] == BIN_YES) { /* a bin that lists its items and does not show them */
        items->seen[index] = true;
        return ado_add_deleted(items->batch, items->walk->task, id, err);
    }
    items->is_undecided = true;
    return true;
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct items *items = walk->state;
    items->batch = batch;
    if (items->next_binned < items->n_ids) {
        return read_binned(items, http, err);
    }
    if (items->n_ids > 0 && !items->bin_is_asked) { /* the batch has been handed out */
        return ask_bin(items, http, err);
    }
    if (items->next_project < items->projects.n) {
        return ask_project_bin(items, http, err);
    }
    if (items->is_undecided) {
        return keep_undecided(items, err);
    }
    take_ids(items);
    if (items->n_ids == 0) {
        walk->finished = true;
        return true;
    }
    return make_ready(items, http, err) && read_batch(items, http, err);
}

/* ---- revisions ---- */

static bool take_revision(void *arg, const struct ado_record *record, struct error *err)
{
    struct items *items = arg;
    if (record->id != items->ids[0] || record->rev != items->ids[1]) {
        return error_set(err, ERROR_DATA,
                         "revision %" PRId64 " of work item %" PRId64
                         " was sent that was not asked for",
                         record->rev, record->id);
    }
    return row_batch_add(items->batch, record->cells, STR_NONE, err);
}

static bool decode_revision(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    row_batch_reset(items->batch);
    return ado_page_read_one(items->reader, document, len, take_revision, items, &items->found,
                             err);
}

/* One key, "id:rev". */
static bool step_revision(struct walk *walk,
                          struct http_client *http,
                          struct row_batch *batch,
                          struct error *err)
{
    struct items *items = walk->state;
    items->batch = batch;
    if (items->done == walk->partition->n_keys) {
        walk->finished = true;
        return true;
    }
    struct str rev = walk->partition->keys[items->done++];
    struct str id = str_cut(&rev, ':');
    if (!str_to_int64(id, 1, ADO_ID_MAX, &items->ids[0]) ||
        !str_to_int64(rev, 1, ADO_ID_MAX, &items->ids[1])) {
        return true; /* no revision has such a key */
    }
    if (!make_ready(items, http, err)) {
        return false;
    }
    buf_reset(&items->url);
    /* Without $expand some fields are left out, System.Watermark among them. */
    buf_addf(&items->url,
             "/_apis/wit/workItems/%" PRId64 "/revisions/%" PRId64 "?$expand=all&" ADO_VERSION,
             items->ids[0], items->ids[1]);
    const struct ado_request request = {
        .url = buf_str(&items->url), .decode = decode_revision, .arg = items};
    struct error fault = ERROR_INIT;
    if (ado_send(http, &request, NULL, &fault)) {
        return true;
    }
    row_batch_reset(batch);
    if (fault.http_status != 404) {
        *err = fault;
        return false;
    }
    return true;
}

const struct ado_walk_type ado_items_walk = {
    .state_bytes = sizeof(struct items),
    .start = start,
    .step = step,
    .release = release,
};

const struct ado_walk_type ado_revision_walk = {
    .state_bytes = sizeof(struct items),
    .start = start,
    .step = step_revision,
    .release = release,
};
