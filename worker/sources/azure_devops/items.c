#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * Given work items as they are now, and given revisions. A batch leaves out what is deleted,
 * destroyed or hidden; the recycle bin tells the first from the others: an item in it exists, with
 * is_deleted; one that is nowhere is not handed out.
 */

#define BATCH_MAX      200 /* VS403474 beyond */
#define BODY_BYTES_MAX ((size_t)1024 * 1024)

struct items {
    struct walk *walk;
    bool is_ready;
    struct ado_fields fields;
    struct ado_reader *reader;
    struct buf url;
    struct buf body;
    size_t done; /* keys */
    size_t batch_max;
    int64_t ids[BATCH_MAX]; /* of this request */
    bool seen[BATCH_MAX];   /* handed out */
    bool binned[BATCH_MAX]; /* in the recycle bin */
    size_t n_ids;
    size_t next_binned; /* < n_ids: bin items of this request are still to be read one by one */
    bool bin_is_asked;
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
}

static void release(struct walk *walk)
{
    struct items *items = walk->state;
    ado_fields_release(&items->fields);
    ado_reader_free(items->reader);
    xfree(items->deleted_cells);
    buf_release(&items->url);
    buf_release(&items->body);
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

bool ado_add_deleted(struct row_batch *batch,
                     const struct task_def *task,
                     int64_t id,
                     struct error *err)
{
    struct buf number CLEANUP(buf_release);
    buf_init(&number, 24);
    buf_add_int(&number, id);
    struct cell *cells CLEANUP(xfreep) = xcalloc(task->n_columns + 1, sizeof(*cells));
    cells[task->key_columns[0]] = (struct cell){CELL_NUMBER, false, buf_str(&number)};
    mark_deleted(task, cells);
    return row_batch_add(batch, cells, STR_NONE, err);
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
    if (index >= 0) {
        items->binned[index] = true;
    }
    return true;
}

static bool decode_binned(void *arg, char *document, size_t len, struct error *err)
{
    struct items *items = arg;
    memset(items->binned, 0, sizeof(items->binned));
    return ado_page_read_ids(document, len, take_binned, items, err);
}

/* One request tells which of the missing ids may be in the bin; each of those is then read. */
static bool ask_bin(struct items *items, struct http_client *http, struct error *err)
{
    size_t n_missing = 0;
    items->bin_is_asked = true;
    buf_reset(&items->url);
    buf_add_c(&items->url, "/_apis/wit/recyclebin?ids=");
    for (size_t i = 0; i < items->n_ids; i++) {
        if (!items->seen[i]) {
            buf_addf(&items->url, "%s%" PRId64, n_missing++ > 0 ? "," : "", items->ids[i]);
        }
    }
    if (n_missing == 0) {
        return true;
    }
    buf_add_c(&items->url, "&" ADO_VERSION);
    const struct ado_request request = {
        .url = buf_str(&items->url), .decode = decode_binned, .arg = items};
    struct error fault = ERROR_INIT;
    items->next_binned = 0;
    if (ado_send(http, &request, NULL, &fault)) {
        return true;
    }
    for (size_t i = 0; i < items->n_ids; i++) {
        items->binned[i] =
            !items->seen[i]; /* one id it does not know refuses all: each by itself */
    }
    if (fault.http_status == 404) {
        return true;
    }
    *err = fault;
    return error_wrap(err, "recycle bin");
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
    while (items->next_binned < items->n_ids && !items->binned[items->next_binned]) {
        items->next_binned++;
    }
    if (items->next_binned == items->n_ids) {
        return true;
    }
    int64_t id = items->ids[items->next_binned++];
    buf_reset(&items->url);
    buf_addf(&items->url, "/_apis/wit/recyclebin/%" PRId64 "?" ADO_VERSION, id);
    const struct ado_request request = {
        .url = buf_str(&items->url), .decode = decode_resource, .arg = items};
    struct error fault = ERROR_INIT;
    if (ado_send(http, &request, NULL, &fault)) {
        /* Not every bin shows its items whole. */
        return items->found || ado_add_deleted(items->batch, items->walk->task, id, err);
    }
    row_batch_reset(items->batch);
    if (fault.http_status == 404) {
        return true; /* destroyed or restored meanwhile: the next run sees it */
    }
    *err = fault;
    return false;
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
