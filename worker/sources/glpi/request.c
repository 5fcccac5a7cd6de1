#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/sources/glpi/walk_state.h"

#define PAGE_SIZE_MIN 2

/* A whole PHP process dies of a page that is too large, so three of them in a row are enough to
 * tell a slow server from a large page. */
#define SLOW_SHRINKS_MAX 3

/* A gateway's 502 may be a restart or a page that was too slow for it: once more as it was, then
 * less and less. What fails for the smallest page as well is the server's trouble, and gets all the
 * tries that the source is given. */
#define TRIES_OF_A_PAGE         2
#define TRIES_OF_A_SMALLER_PAGE 1

struct glpi_mark glpi_mark_set(const struct row_batch *batch)
{
    return (struct glpi_mark){batch->rows.len, batch->rejects.len, batch->n_rows, batch->n_rejects,
                              batch->n_nul_removed};
}

void glpi_mark_restore(struct row_batch *batch, const struct glpi_mark *mark)
{
    buf_truncate(&batch->rows, mark->rows_bytes);
    buf_truncate(&batch->rejects, mark->rejects_bytes);
    batch->rows.overflow = false;
    batch->rejects.overflow = false;
    batch->n_rows = mark->n_rows;
    batch->n_rejects = mark->n_rejects;
    batch->n_nul_removed = mark->n_nul_removed;
}

/* One request's reading. */
struct page_context {
    struct walk *walk;
    struct glpi_list *list; /* NULL: one item, `key` */
    struct str key;
    struct row_batch *batch; /* NULL: only the place counts */
    struct glpi_mark mark;
    struct glpi_call call;
    struct glpi_list_page asked; /* as it was before the first attempt */
    struct glpi_list_page page;
    struct glpi_place place; /* of the last row, for a look at one row */
};

static enum glpi_take fail(const struct walk *walk, const char *words, struct error *err)
{
    (void)error_set(err, ERROR_DATA,
                    "%s: %s; GLPI, or something on the way, ignored a part of the "
                    "request",
                    walk->task->table, words);
    return GLPI_ROW_WRONG;
}

static bool
moment_of(const struct walk *walk, const struct cell *cell, struct glpi_place *ret_place)
{
    struct glpi_moment moment = {GLPI_PLACE_NEVER, GLPI_PLACE_NEVER};
    if (cell->kind == CELL_TEXT &&
        glpi_read_time(walk->session->zone, cell->text, &moment) == GLPI_TIME_BAD) {
        return false;
    }
    *ret_place = (struct glpi_place){moment.first_us, moment.last_us};
    return cell->kind == CELL_TEXT || cell->kind == CELL_NULL;
}

/* Marks a record that the change feed names as read. */
static void note_seen(struct walk *walk, int64_t id)
{
    const struct partition *partition = walk->partition;
    size_t low = 0;
    size_t high = walk->seen != NULL ? partition->n_keys : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t key = 0;
        (void)str_to_int64(partition->keys[middle], 0, INT64_MAX, &key);
        if (key == id) {
            walk->seen[middle] = 1;
            return;
        }
        *(key < id ? &low : &high) = key < id ? middle + 1 : middle;
    }
}

/* Is the row one of the list that was asked for? */
static enum glpi_take
check_list(const struct page_context *context, const struct cell *cells, struct error *err)
{
    const struct walk *walk = context->walk;
    const struct glpi_list *list = context->list;
    if (walk->trash_column >= 0 && !list->may_miss) {
        struct str text = cells[walk->trash_column].text;
        bool is_trash = str_equal_c(text, "1") || str_equal_c(text, "true");
        if (is_trash != list->is_trash) {
            return fail(walk, "a record of the other list (trash or not) was sent", err);
        }
    }
    if (walk->parent.len > 0 && walk->parent_column >= 0 &&
        !str_equal(cells[walk->parent_column].text, walk->parent)) {
        return fail(walk, "a record of another parent was sent", err);
    }
    if (list->second[0] != '\0' && !str_equal_c(cells[list->second_column].text, list->second)) {
        return fail(walk, "a record of another second was sent", err);
    }
    return GLPI_ROW_TAKE;
}

/* A row that is not read yet and lies where it should: does it belong to what the walk wants? */
static enum glpi_take choose(struct page_context *context, int64_t id, const struct cell *cells)
{
    struct walk *walk = context->walk;
    const struct partition *partition = walk->partition;
    struct glpi_place place = {0};
    note_seen(walk, id);
    if (!glpi_filter_holds(&walk->filter, cells)) {
        return GLPI_ROW_SKIP;
    }
    if (partition->kind == WALK_WINDOW &&
        (!moment_of(walk, &cells[walk->task->window_column], &place) ||
         place.first < partition->from_us || place.first >= partition->to_us)) {
        return GLPI_ROW_SKIP;
    }
    if (partition->list == GLPI_LIST_FEED && partition->kind == WALK_CHANGES &&
        id <= walk->floor_id && moment_of(walk, &cells[walk->task->version_column], &place) &&
        place.last < partition->from_us) {
        context->page.is_below = true;
        return GLPI_ROW_SKIP;
    }
    return GLPI_ROW_TAKE;
}

/* Joins for restricted accounts may bring a row twice, wherever it likes. */
static bool is_repeated(const struct walk *walk, int64_t id)
{
    for (int64_t i = 0; i < walk->n_page_rows; i++) {
        if (walk->page_rows[i].id == id) {
            return true;
        }
    }
    return false;
}

static void note_row(struct walk *walk, int64_t id, struct glpi_place place)
{
    if (walk->n_page_rows < walk->page_size_max) {
        walk->page_rows[walk->n_page_rows++] = (struct glpi_spot){id, place.first};
    }
}

/* Only asked where the place itself does not tell: in the hour that comes twice. */
static bool was_on_last_page(const struct walk *walk, int64_t id, struct glpi_place place)
{
    for (int64_t i = 0; place.first != place.last && i < walk->n_last_rows; i++) {
        if (walk->last_rows[i].id == id && walk->last_rows[i].first == place.first) {
            return true;
        }
    }
    return false;
}

void glpi_remember_page(struct walk *walk)
{
    struct glpi_spot *rows = walk->last_rows;
    walk->last_rows = walk->page_rows;
    walk->n_last_rows = walk->n_page_rows;
    walk->page_rows = rows;
    walk->n_page_rows = 0;
}

static enum glpi_take
look_at_list(void *arg, int64_t id, const struct cell *cells, struct error *err)
{
    struct page_context *context = arg;
    struct walk *walk = context->walk;
    struct glpi_list *list = context->list;
    const struct cell *cell = &cells[list->column];
    struct glpi_place place = {id, id};
    bool is_by_time = list->order == GLPI_BY_TIME_DESC;
    if (is_by_time && !moment_of(walk, cell, &place)) {
        return fail(walk, "a record has no readable time in the column it is sorted by", err);
    }
    context->place = place;
    if (check_list(context, cells, err) == GLPI_ROW_WRONG) {
        return GLPI_ROW_WRONG;
    }
    switch (glpi_list_look(list, &context->page, place, was_on_last_page(walk, id, place),
                           is_by_time ? cell->text : STR_NONE)) {
    case GLPI_SEEN_WRONG:
        return is_repeated(walk, id)
                   ? GLPI_ROW_SKIP
                   : fail(walk, "records do not come in the order asked for", err);
    case GLPI_SEEN_BELOW:
    case GLPI_SEEN_OLD:
        note_row(walk, id, place);
        return GLPI_ROW_SKIP;
    case GLPI_SEEN_FRESH:
        break;
    }
    note_row(walk, id, place);
    return context->batch != NULL ? choose(context, id, cells) : GLPI_ROW_SKIP;
}

static enum glpi_take
look_at_item(void *arg, int64_t id, const struct cell *cells, struct error *err)
{
    struct page_context *context = arg;
    int64_t asked = 0;
    if (!str_to_int64(context->key, 0, INT64_MAX, &asked) || asked != id) {
        return fail(context->walk, "another record than the one asked for was sent", err);
    }
    return glpi_filter_holds(&context->walk->filter, cells) ? GLPI_ROW_TAKE : GLPI_ROW_SKIP;
}

static void restart(void *arg)
{
    struct page_context *context = arg;
    context->page = context->asked;
    context->walk->n_page_rows = 0;
    if (context->batch != NULL) {
        glpi_mark_restore(context->batch, &context->mark);
    }
}

static enum http_verdict read_page(void *arg, struct http_response *response, struct error *err)
{
    struct page_context *context = arg;
    struct glpi_list_page *page = &context->page;
    page->has_range = glpi_content_range(http_response_header(response, "Content-Range"),
                                         &page->range_start, &page->range_end, &page->total);
    bool is_item = context->list == NULL;
    switch (glpi_page_read(context->walk->reader, response->body,
                           (struct glpi_page_shape){.is_item = is_item},
                           is_item ? look_at_item : look_at_list, context, context->batch, err)) {
    case GLPI_PAGE_GOOD:
        return HTTP_ACCEPT;
    case GLPI_PAGE_BROKEN:
        return glpi_judge_broken(&context->call, err);
    case GLPI_PAGE_WRONG:
    case GLPI_PAGE_LARGE:
        break;
    }
    err->http_status = response->status;
    return HTTP_FAIL;
}

static void
build_url(struct walk *walk, const struct glpi_list *list, const struct glpi_list_page *page)
{
    struct buf *url = &walk->url;
    buf_reset(url);
    buf_addf(url, "%s?range=%" PRId64 "-%" PRId64 "&sort=%s&order=%s&get_hateoas=false", list->path,
             page->start, page->start + page->size - 1, glpi_field_of(walk->task, list->column),
             list->order == GLPI_BY_ID ? "ASC" : "DESC");
    if (list->is_trash) {
        buf_add_c(url, "&is_deleted=true");
    }
    glpi_filter_add(&walk->filter, url);
    if (list->second[0] != '\0') {
        char pattern[GLPI_TIME_LEN + 3];
        (void)snprintf(pattern, sizeof(pattern), "^%s$", list->second);
        glpi_filter_add_one(str_from(glpi_field_of(walk->task, list->second_column)),
                            str_from(pattern), url);
    }
}

static bool send(struct page_context *context, struct http_client *http, struct error *err)
{
    struct walk *walk = context->walk;
    struct http_response response;
    if (walk->url.overflow) {
        return error_set(err, ERROR_CONFIG, "%s: the filter makes the request's URL too long",
                         walk->task->table);
    }
    context->call.url = buf_str(&walk->url);
    context->call.about = walk->task->table;
    context->call.read = read_page;
    context->call.restart = restart;
    context->call.arg = context;
    context->page = context->asked;
    if (!glpi_send(walk->session, http, &context->call, &response, err)) {
        return false;
    }
    context->page.is_past_end = context->call.answer == GLPI_PAST_END;
    return true;
}

bool glpi_request_page(struct walk *walk,
                       struct http_client *http,
                       struct row_batch *batch,
                       struct glpi_list_page *ret_page,
                       enum glpi_answer *ret_answer,
                       struct error *err)
{
    struct glpi_list *list = &walk->lists[walk->n_lists - 1];
    for (;;) {
        bool can_shrink = walk->page_size > PAGE_SIZE_MIN;
        struct page_context context = {.walk = walk, .list = list, .batch = batch};
        context.mark = glpi_mark_set(batch);
        glpi_list_ask(list, walk->page_size, &context.asked);
        build_url(walk, list, &context.asked);
        context.call.may_miss = list->may_miss;
        context.call.can_shrink = can_shrink;
        context.call.timeout_is_limit = can_shrink && walk->shrinks < SLOW_SHRINKS_MAX;
        if (can_shrink) {
            context.call.tries_before_limit =
                walk->shrinks == 0 ? TRIES_OF_A_PAGE : TRIES_OF_A_SMALLER_PAGE;
        }
        if (send(&context, http, err)) {
            *ret_page = context.page;
            *ret_answer = context.call.answer;
            return true;
        }
        glpi_mark_restore(batch, &context.mark);
        if (err->code != ERROR_LIMIT || !can_shrink) {
            return error_wrap(err, "rows %" PRId64 " to %" PRId64, context.asked.start,
                              context.asked.start + context.asked.size - 1);
        }
        error_clear(err);
        walk->page_size = walk->page_size / 2 > PAGE_SIZE_MIN ? walk->page_size / 2 : PAGE_SIZE_MIN;
        walk->good_pages = 0;
        walk->shrinks++;
    }
}

bool glpi_request_item(struct walk *walk,
                       struct http_client *http,
                       struct row_batch *batch,
                       struct str key,
                       enum glpi_answer *ret_answer,
                       struct error *err)
{
    struct page_context context = {
        .walk = walk, .key = key, .batch = batch, .mark = glpi_mark_set(batch)};
    buf_reset(&walk->url);
    buf_addf(&walk->url, "/%s/", walk->task->table);
    buf_add_percent(&walk->url, key, "");
    buf_add_c(&walk->url, "?get_hateoas=false");
    context.call.may_miss = true;
    if (!send(&context, http, err)) {
        glpi_mark_restore(batch, &context.mark);
        return error_wrap(err, "record %.*s", STR_ARG(key));
    }
    *ret_answer = context.call.answer;
    return true;
}

/* The place of row `index`; false with err. *ret_is_there: the list reaches that far. */
static bool look_up(struct walk *walk,
                    struct http_client *http,
                    struct glpi_list *list,
                    int64_t index,
                    struct page_context *context,
                    struct error *err)
{
    *context = (struct page_context){.walk = walk, .list = list};
    context->asked = (struct glpi_list_page){.start = index, .size = 1};
    build_url(walk, list, &context->asked);
    return send(context, http, err);
}

bool glpi_request_start(struct walk *walk,
                        struct http_client *http,
                        struct glpi_list *list,
                        int64_t top_us,
                        struct error *err)
{
    struct page_context context;
    if (!look_up(walk, http, list, 0, &context, err)) {
        return false;
    }
    int64_t low = 0;
    int64_t high = context.page.has_range && context.page.n > 0 ? context.page.total : 0;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (!look_up(walk, http, list, middle, &context, err)) {
            return false;
        }
        bool is_above = context.page.n > 0 && context.place.first >= top_us;
        *(is_above ? &low : &high) = is_above ? middle + 1 : middle;
    }
    list->offset = low;
    return true;
}
