#include "worker/sources/glpi/walk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/sources/glpi/search.h"
#include "worker/sources/glpi/walk_state.h"

#define URL_MAX_BYTES            4096
#define GOOD_PAGES_BEFORE_GROWTH 8

/* Small answers are gathered: each batch costs a transaction. */
#define BATCH_ENOUGH_ROWS     500
#define BATCH_ENOUGH_BYTES    ((size_t)1024 * 1024)
#define BATCH_ENOUGH_REQUESTS 64

/* Records named by the log alone: each costs a request, and to an account that sees little most of
 * them are out of sight. */
#define NAMED_REQUESTS_MAX 300

/* A window's upper end may lie in an hour that comes twice: its rows are looked for from here. */
#define WINDOW_MARGIN_US (2 * US_PER_H)

const char *glpi_field_of(const struct task_def *task, int column)
{
    return task->fields[task->columns[column].field].name;
}

int glpi_trash_column(const struct task_def *task)
{
    for (size_t i = 0; i < task->n_columns; i++) {
        if (strcmp(glpi_field_of(task, (int)i), "is_deleted") == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *glpi_parent_itemtype(const struct task_def *task)
{
    return task->parent_column >= 0 ? task->fields[task->columns[task->parent_column].field].ref
                                    : NULL;
}

struct walk *glpi_walk_open(void *session,
                            const struct source_config *source,
                            const struct task_def *task,
                            const struct partition *partition)
{
    struct glpi_session *glpi = session;
    struct walk *walk = XNEW(struct walk);
    walk->session = glpi;
    walk->source = source;
    walk->task = task;
    walk->partition = partition;
    walk->reader = glpi_reader_new(task, glpi->zone, glpi_encoding_of(glpi->version_major));
    walk->trash_column = glpi_trash_column(task);
    walk->parent_column = task->parent != NULL ? task->parent_column : -1;
    walk->page_size_max = task->page_size > 0 ? task->page_size : GLPI_PAGE_SIZE_DEFAULT;
    walk->page_size_max = walk->page_size_max > 2 ? walk->page_size_max : 2;
    walk->page_size = walk->page_size_max;
    walk->page_rows = xcalloc((size_t)walk->page_size_max, sizeof(*walk->page_rows));
    walk->last_rows = xcalloc((size_t)walk->page_size_max, sizeof(*walk->last_rows));
    walk->floor_id = INT64_MIN;
    buf_init(&walk->url, URL_MAX_BYTES);
    (void)glpi_filter_parse(task, &walk->filter, &walk->filter_error); /* said by fetch */
    if (partition->list == GLPI_LIST_FEED) {
        (void)str_to_int64(str_from(partition->from_key), 0, INT64_MAX, &walk->floor_id);
    }
    if (partition->kind == WALK_CHANGES && partition->n_keys > 0) {
        walk->seen = xcalloc(partition->n_keys, sizeof(*walk->seen));
    }
    return walk;
}

void glpi_walk_close(struct walk *walk)
{
    if (walk != NULL) {
        glpi_reader_free(walk->reader);
        buf_release(&walk->url);
        xfree(walk->seen);
        xfree(walk->page_rows);
        xfree(walk->last_rows);
        xfree(walk);
    }
}

void glpi_walk_proof(const struct walk *walk, struct walk_proof *ret_proof)
{
    bool can_count = walk->partition->kind != WALK_CHANGES && walk->finished && !walk->is_uncounted;
    *ret_proof = (struct walk_proof){
        .records = walk->records, .hidden = walk->hidden, .has_expected = can_count};
}

static void note_good_page(struct walk *walk)
{
    walk->shrinks = 0;
    if (walk->page_size < walk->page_size_max && ++walk->good_pages >= GOOD_PAGES_BEFORE_GROWTH) {
        int64_t grown = walk->page_size + walk->page_size / 2 + 1;
        walk->page_size = grown < walk->page_size_max ? grown : walk->page_size_max;
        walk->good_pages = 0;
    }
}

static struct glpi_list *push_list(struct walk *walk, enum glpi_order order, int column)
{
    struct glpi_list *list = &walk->lists[walk->n_lists++];
    walk->n_last_rows = walk->n_lists == 1 ? 0 : walk->n_last_rows;
    glpi_list_init(list, order, column);
    (void)snprintf(list->path, sizeof(list->path), "/%s", walk->task->table);
    return list;
}

static int key_column(const struct walk *walk)
{
    return (int)walk->task->key_columns[0];
}

static bool begin_window(struct walk *walk, struct http_client *http, struct error *err)
{
    const struct partition *partition = walk->partition;
    struct glpi_list *list = push_list(walk, GLPI_BY_TIME_DESC, walk->task->window_column);
    list->is_trash = partition->list == GLPI_LIST_TRASH;
    list->floor_us = partition->from_us;
    if (partition->to_us > INT64_MAX - WINDOW_MARGIN_US) {
        return true;
    }
    int64_t top_us = partition->to_us + WINDOW_MARGIN_US;
    if (!glpi_request_start(walk, http, list, top_us, err)) {
        return false;
    }
    /* As if everything from there on had been read. */
    list->has_last = true;
    list->last = (struct glpi_place){top_us, top_us};
    return true;
}

static void begin_changes(struct walk *walk)
{
    const struct partition *partition = walk->partition;
    if (partition->list == GLPI_LIST_FEED) {
        (void)push_list(walk, GLPI_BY_ID_DESC, key_column(walk));
        walk->part = GLPI_PART_NONE;
        return;
    }
    struct glpi_list *list = push_list(walk, GLPI_BY_TIME_DESC, walk->task->version_column);
    list->floor_us = partition->from_us;
    list->is_trash = walk->part == GLPI_PART_TRASH;
    walk->part = list->is_trash            ? GLPI_PART_NAMED
                 : walk->trash_column >= 0 ? GLPI_PART_TRASH
                                           : GLPI_PART_NAMED;
}

static void begin_owed(struct walk *walk)
{
    struct glpi_list *list = push_list(walk, GLPI_BY_ID, key_column(walk));
    walk->parent = walk->partition->keys[walk->next_key++];
    (void)snprintf(list->path, sizeof(list->path), "/%s/%.*s/%s", glpi_parent_itemtype(walk->task),
                   STR_ARG(walk->parent), walk->task->table);
    list->may_miss = true;
}

/* A key is a number, or no record has it: dead letters may carry anything. */
static bool is_key(struct str key)
{
    int64_t value = 0;
    return str_to_int64(key, 0, INT64_MAX, &value);
}

static bool has_keys_left(const struct walk *walk)
{
    return walk->next_key < walk->partition->n_keys;
}

/* Begins the next list. False with err; *ret_begun is false where no list is left. */
static bool
begin_list(struct walk *walk, struct http_client *http, bool *ret_begun, struct error *err)
{
    const struct partition *partition = walk->partition;
    bool is_first = !walk->started;
    walk->started = true;
    *ret_begun = is_first;
    switch (partition->kind) {
    case WALK_ALL:
    case WALK_KEYS:
        if (is_first) {
            push_list(walk, GLPI_BY_ID, key_column(walk))->is_trash =
                partition->list == GLPI_LIST_TRASH;
        }
        return true;
    case WALK_WINDOW:
        return !is_first || begin_window(walk, http, err);
    case WALK_CHANGES:
        *ret_begun = walk->part < GLPI_PART_NAMED;
        if (*ret_begun) {
            begin_changes(walk);
        }
        return true;
    case WALK_OWED:
        while (has_keys_left(walk) && !is_key(partition->keys[walk->next_key])) {
            walk->next_key++;
        }
        *ret_begun = has_keys_left(walk);
        if (*ret_begun) {
            begin_owed(walk);
        }
        return true;
    case WALK_GIVEN:
        *ret_begun = false;
        return true;
    }
    return true;
}

/* The list on top is done. */
static void end_list(struct walk *walk, struct http_client *http)
{
    const struct glpi_list *list = &walk->lists[--walk->n_lists];
    if (list->second[0] != '\0') {
        struct glpi_list *whole = &walk->lists[walk->n_lists - 1];
        walk->n_changed +=
            !list->is_trash && list->n_rows > whole->ties ? list->n_rows - whole->ties : 0;
        glpi_list_drained(whole, list->n_rows);
        return;
    }
    walk->is_uncounted = walk->is_uncounted || !list->is_counted;
    /* Without news since the last run there is nothing to count that it has not counted. */
    bool has_news = walk->partition->to_us > walk->partition->from_us + walk->source->overlap_us;
    if (walk->partition->kind == WALK_CHANGES && list->order == GLPI_BY_TIME_DESC &&
        !list->is_trash && has_news) {
        glpi_search_cross_check(walk->session, http, walk->task, walk->partition->from_us,
                                walk->partition->to_us, walk->n_changed);
    }
}

static void begin_drain(struct walk *walk)
{
    const struct glpi_list *list = &walk->lists[walk->n_lists - 1];
    struct glpi_list *second = push_list(walk, GLPI_BY_ID, key_column(walk));
    memcpy(second->path, list->path, sizeof(second->path));
    memcpy(second->second, list->last_text, sizeof(second->second));
    second->second_column = list->column;
    second->is_trash = list->is_trash;
    second->may_miss = list->may_miss;
}

static bool
read_list(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct glpi_list *list = &walk->lists[walk->n_lists - 1];
    struct glpi_mark mark = glpi_mark_set(batch);
    struct glpi_list_page page;
    enum glpi_answer answer = GLPI_ANSWERED;
    if (!glpi_request_page(walk, http, batch, &page, &answer, err)) {
        return false;
    }
    if (answer == GLPI_NOT_FOUND || answer == GLPI_FORBIDDEN) {
        /* Gone with all that belonged to it; or only out of sight. */
        walk->hidden += answer == GLPI_FORBIDDEN ? 1 : 0;
        list->is_counted = true;
        end_list(walk, http);
        return true;
    }
    enum glpi_settled settled = glpi_list_settle(list, &page, err);
    if (settled == GLPI_SETTLED_WRONG) {
        return error_wrap(err, "%s", walk->task->table);
    }
    if (settled == GLPI_SETTLED_AGAIN) {
        glpi_mark_restore(batch, &mark);
    } else {
        note_good_page(walk);
        walk->n_changed += list->second[0] == '\0' && !list->is_trash ? page.n_fresh : 0;
        if (list->second[0] == '\0') {
            glpi_remember_page(walk);
        }
    }
    if (settled == GLPI_SETTLED_DRAIN) {
        begin_drain(walk);
    } else if (list->is_finished) {
        end_list(walk, http);
    }
    return true;
}

/* The next single record; *ret_done when none is left. */
static bool read_item(struct walk *walk,
                      struct http_client *http,
                      struct row_batch *batch,
                      bool *ret_done,
                      struct error *err)
{
    const struct partition *partition = walk->partition;
    bool is_named = partition->kind == WALK_CHANGES;
    while (has_keys_left(walk) && (!is_key(partition->keys[walk->next_key]) ||
                                   (is_named && walk->seen[walk->next_key] != 0))) {
        walk->next_key++;
    }
    *ret_done =
        !has_keys_left(walk) || (partition->kind != WALK_GIVEN && partition->kind != WALK_CHANGES);
    if (*ret_done) {
        return true;
    }
    if (is_named && walk->n_named++ == NAMED_REQUESTS_MAX) {
        log_warn("the log names more records than are worth asking for one by one; a full load "
                 "reads what their stamps did not show");
        *ret_done = true;
        return true;
    }
    enum glpi_answer answer = GLPI_ANSWERED;
    if (!glpi_request_item(walk, http, batch, partition->keys[walk->next_key], &answer, err)) {
        return false;
    }
    walk->next_key++;
    /* The log names tickets of all entities, and this account need not see them. */
    walk->hidden += answer == GLPI_FORBIDDEN && !is_named ? 1 : 0;
    return true;
}

/* One request, or the end. */
static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    bool begun = true;
    if (walk->n_lists == 0 && !begin_list(walk, http, &begun, err)) {
        return false;
    }
    return begun ? read_list(walk, http, batch, err)
                 : read_item(walk, http, batch, &walk->finished, err);
}

static bool is_enough(const struct row_batch *batch, int requests)
{
    return batch->n_rows + batch->n_rejects >= BATCH_ENOUGH_ROWS ||
           batch->rows.len + batch->rejects.len >= BATCH_ENOUGH_BYTES ||
           (requests >= BATCH_ENOUGH_REQUESTS && batch->n_rows + batch->n_rejects > 0);
}

enum page_result glpi_walk_fetch(struct walk *walk,
                                 struct http_client *http,
                                 struct row_batch *batch,
                                 struct error *err)
{
    if (error_is_set(&walk->filter_error)) {
        *err = walk->filter_error;
        return PAGE_ERROR;
    }
    row_batch_reset(batch);
    for (int requests = 0; !walk->finished && !is_enough(batch, requests); requests++) {
        if (!step(walk, http, batch, err)) {
            return PAGE_ERROR;
        }
    }
    int64_t n = batch->n_rows + batch->n_rejects;
    if (n == 0) {
        return PAGE_END;
    }
    walk->records += n;
    row_batch_finish(batch);
    return PAGE_READY;
}
