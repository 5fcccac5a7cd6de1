#include "worker/sources/glpi/probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "worker/sources/glpi/filter.h"
#include "worker/sources/glpi/page.h"
#include "worker/sources/glpi/send.h"
#include "worker/sources/glpi/text.h"
#include "worker/sources/glpi/walk.h"

#define URL_MAX_BYTES 4096
#define LOG_PAGE_ROWS 1000
#define LOG_OVERLAP   10

/* A log that is read behind this many pages of news says less than the lists themselves. */
#define LOG_PAGES_MAX 200

DEFINE_CLEANUP(struct json *, json_free);

static bool read_number(const struct json *node, int64_t *ret_value)
{
    const char *text = json_string(node);
    return json_int64(node, ret_value) ||
           (text != NULL && str_to_int64(str_from(text), 0, INT64_MAX, ret_value));
}

static int64_t read_moment(const struct glpi_session *session, const struct json *node)
{
    struct glpi_moment moment = {INT64_MIN, INT64_MIN};
    (void)glpi_read_time(session->zone, str_from(json_string(node)), &moment);
    return moment.first_us;
}

bool glpi_probe_newest(struct glpi_session *session,
                       struct http_client *http,
                       const struct task_def *task,
                       enum glpi_front front,
                       struct glpi_newest *ret_newest,
                       struct error *err)
{
    struct glpi_filter filter;
    struct buf url CLEANUP(buf_release);
    const char *key = glpi_field_of(task, (int)task->key_columns[0]);
    const char *version =
        task->version_column >= 0 ? glpi_field_of(task, task->version_column) : NULL;
    buf_init(&url, URL_MAX_BYTES);
    if (!glpi_filter_parse(task, &filter, err)) {
        return false;
    }
    buf_addf(&url, "/%s?range=0-0&sort=%s&order=DESC&get_hateoas=false%s", task->table,
             front == GLPI_FRONT_BY_ID || version == NULL ? key : version,
             front == GLPI_FRONT_OF_TRASH ? "&is_deleted=true" : "");
    glpi_filter_add(&filter, &url);
    struct http_response response;
    struct json *root CLEANUP(json_freep) =
        glpi_get_json(session, http, buf_str(&url), task->table, &response, err);
    if (root == NULL) {
        return false;
    }
    struct glpi_newest newest = {.time_us = INT64_MIN, .total = -1};
    const struct json *row = json_at(root, 0);
    int64_t start = 0;
    int64_t end = 0;
    (void)glpi_content_range(http_response_header(&response, "Content-Range"), &start, &end,
                             &newest.total);
    newest.has_row = row != NULL;
    if (json_kind(root) != JSON_KIND_ARRAY ||
        (row != NULL && !read_number(json_find(row, key), &newest.id))) {
        return error_set(err, ERROR_DATA,
                         "%s: GLPI does not answer a list of one record with an %s", task->table,
                         key);
    }
    if (row != NULL && version != NULL) {
        newest.time_us = read_moment(session, json_find(row, version));
    }
    *ret_newest = newest;
    return true;
}

/* The feed while it is read. */
struct feed {
    struct glpi_session *session;
    struct glpi_log_floor floor;
    int64_t lowest; /* id read so far; INT64_MAX = none */
    int64_t offset;
    int64_t back;
    int64_t *ids; /* named, as they come */
    size_t n;
    size_t capacity;
    bool is_done;
};

static void note(struct feed *feed, int64_t id)
{
    if (feed->n == feed->capacity) {
        feed->capacity = feed->capacity == 0 ? 256 : 2 * feed->capacity;
        feed->ids = xrealloc(feed->ids, feed->capacity * sizeof(*feed->ids));
    }
    feed->ids[feed->n++] = id;
}

/* One page, highest id first. Returns false for rows that are none. */
static bool take_entries(struct feed *feed, const struct json *root, int64_t start)
{
    size_t n = json_size(root);
    int64_t first = 0;
    if (n == 0 || (start > 0 && read_number(json_find(json_at(root, 0), "id"), &first) &&
                   first < feed->lowest)) {
        /* Entries have left the log in front: what lies between was not seen. */
        feed->back = 2 * feed->back;
        feed->is_done = n == 0 && start == 0;
        return true;
    }
    for (size_t i = 0; i < n && !feed->is_done; i++) {
        const struct json *entry = json_at(root, i);
        int64_t id = 0;
        int64_t item = 0;
        if (!read_number(json_find(entry, "id"), &id) ||
            !read_number(json_find(entry, "items_id"), &item)) {
            return false;
        }
        feed->is_done = id <= feed->floor.id &&
                        read_moment(feed->session, json_find(entry, "date_mod")) < feed->floor.us;
        if (!feed->is_done && id < feed->lowest) {
            feed->lowest = id;
            note(feed, item);
        }
    }
    feed->offset = start + (int64_t)n;
    feed->back = LOG_OVERLAP;
    feed->is_done = feed->is_done || n < LOG_PAGE_ROWS;
    return true;
}

static struct json *ask_log(struct glpi_session *session,
                            struct http_client *http,
                            int64_t start,
                            int64_t size,
                            struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, URL_MAX_BYTES);
    buf_addf(&url, "/Log?range=%" PRId64 "-%" PRId64 "&sort=id&order=DESC&get_hateoas=false", start,
             start + size - 1);
    glpi_filter_add_one(STR_LITERAL("itemtype"), STR_LITERAL("^" GLPI_LOGGED_ITEMTYPE "$"), &url);
    struct http_response response;
    struct json *root = glpi_get_json(session, http, buf_str(&url), "Log", &response, err);
    if (root != NULL && json_kind(root) != JSON_KIND_ARRAY) {
        json_free(root);
        (void)error_set(err, ERROR_DATA, "Log: not a list");
        return NULL;
    }
    return root;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The different ids as keys. */
static bool make_keys(struct feed *feed, struct arena *arena, struct glpi_named *named)
{
    if (feed->n > 0) {
        qsort(feed->ids, feed->n, sizeof(*feed->ids), compare_ids);
    }
    named->keys = arena_alloc(arena, (feed->n + 1) * sizeof(*named->keys));
    for (size_t i = 0; i < feed->n && named->keys != NULL; i++) {
        char text[24];
        if (i > 0 && feed->ids[i] == feed->ids[i - 1]) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%" PRId64, feed->ids[i]);
        const char *copy = arena_strdup(arena, text);
        if (copy == NULL) {
            return false;
        }
        named->keys[named->n_keys++] = str_from(copy);
    }
    return named->keys != NULL;
}

static bool take_page(struct feed *feed, const struct json *page, int64_t start, struct error *err)
{
    return take_entries(feed, page, start) ||
           error_set(err, ERROR_DATA, "Log: an entry has no id or no items_id");
}

/* Reads the feed down to its floor, behind the first page. */
static bool read_feed(struct feed *feed, struct http_client *http, struct error *err)
{
    for (int pages = 0; !feed->is_done && pages < LOG_PAGES_MAX; pages++) {
        int64_t start = feed->offset > feed->back ? feed->offset - feed->back : 0;
        struct json *page CLEANUP(json_freep) =
            ask_log(feed->session, http, start, LOG_PAGE_ROWS, err);
        if (page == NULL) {
            return false;
        }
        if (!take_page(feed, page, start, err)) {
            return false;
        }
    }
    return true;
}

bool glpi_probe_log(struct glpi_session *session,
                    struct http_client *http,
                    struct glpi_log_floor floor,
                    struct arena *arena,
                    struct glpi_named *ret_named,
                    struct error *err)
{
    struct glpi_named named = {.log_id = -1};
    struct error fault = ERROR_INIT;
    struct json *first CLEANUP(json_freep) =
        ask_log(session, http, 0, floor.id < 0 ? 1 : LOG_PAGE_ROWS, &fault);
    if (first == NULL && fault.http_status == 403) {
        *ret_named = named; /* a technician's profile: the stamps have to do */
        return true;
    }
    if (first == NULL) {
        *err = fault;
        return false;
    }
    named.log_id = 0;
    (void)read_number(json_find(json_at(first, 0), "id"), &named.log_id);
    struct feed feed = {
        .session = session, .floor = floor, .lowest = INT64_MAX, .back = LOG_OVERLAP};
    bool good = floor.id < 0 || (take_page(&feed, first, 0, err) && read_feed(&feed, http, err) &&
                                 (make_keys(&feed, arena, &named) ||
                                  error_set(err, ERROR_LIMIT, "the log names too many records")));
    named.is_cut = floor.id >= 0 && !feed.is_done;
    xfree(feed.ids);
    if (good) {
        *ret_named = named;
    }
    return good;
}
