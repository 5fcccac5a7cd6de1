#include <inttypes.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/http/url.h"
#include "worker/sources/azure_devops/walk.h"

/*
 * The reporting feeds of revisions and links: one token after the other until isLastBatch. Neither
 * a short nor an empty page is an end, and a feed that goes round or stands still is an error.
 */

#define REVISIONS_PATH  "/_apis/wit/reporting/workitemrevisions?" ADO_VERSION
#define LINKS_PATH      "/_apis/wit/reporting/workitemlinks?" ADO_VERSION
#define EMPTY_PAGES_MAX 1000
#define BODY_BYTES_MAX  ((size_t)1024 * 1024)

struct feed {
    bool is_revisions;
    bool is_ready;
    struct ado_fields fields; /* revisions */
    struct ado_reader *reader;
    char token[ADO_TOKEN_BYTES_MAX];
    char next[ADO_TOKEN_BYTES_MAX]; /* of the page that was read last, "" if it has none */
    struct buf url;
    struct buf body;
    struct buf cursor;
    int64_t n_pages;
    int64_t n_empty; /* in a row */
    /* Brent's way to see a circle of any length: an old token, renewed at powers of two. */
    char landmark[ADO_TOKEN_BYTES_MAX];
    int64_t landmark_at;
    struct ado_page page;
    /* while a page is read */
    struct walk *walk;
    struct row_batch *batch;
};

static void start(struct walk *walk)
{
    struct feed *feed = walk->state;
    const struct partition *partition = walk->partition;
    feed->walk = walk;
    ado_fields_init(&feed->fields, walk->task);
    buf_init(&feed->url, ADO_URL_BYTES_MAX);
    buf_init(&feed->body, BODY_BYTES_MAX);
    buf_init(&feed->cursor, (size_t)8 * ADO_TOKEN_BYTES_MAX);
    if (partition->kind == WALK_CHANGES && partition->from_key != NULL) {
        size_t len = strlen(partition->from_key);
        memcpy(feed->token, partition->from_key, len < sizeof(feed->token) ? len : 0);
    }
    feed->landmark_at = 1;
    walk->high_us = INT64_MIN;
}

static void start_revisions(struct walk *walk)
{
    ((struct feed *)walk->state)->is_revisions = true;
    start(walk);
}

static void release(struct walk *walk)
{
    struct feed *feed = walk->state;
    ado_fields_release(&feed->fields);
    ado_reader_free(feed->reader);
    buf_release(&feed->url);
    buf_release(&feed->body);
    buf_release(&feed->cursor);
}

/* The body says which fields; it is the same for every page until one of them is refused. */
static void build_reader(struct feed *feed)
{
    ado_reader_free(feed->reader);
    feed->reader = ado_reader_new(feed->walk->task, feed->is_revisions ? &feed->fields : NULL);
    buf_reset(&feed->body);
    buf_add_c(&feed->body, "{\"fields\":");
    ado_fields_write(&feed->fields, &feed->body);
    buf_add_c(&feed->body, ",\"includeIdentityRef\":true,\"includeDeleted\":true,"
                           "\"includeTagRef\":false,\"includeLatestOnly\":false}");
}

static bool make_ready(struct feed *feed, struct http_client *http, struct error *err)
{
    if (feed->is_ready) {
        return true;
    }
    if (feed->is_revisions && !ado_fields_load(&feed->fields, http, err)) {
        return false;
    }
    build_reader(feed);
    feed->is_ready = true;
    return true;
}

static bool take_record(void *arg, const struct ado_record *record, struct error *err)
{
    struct feed *feed = arg;
    return ado_add_record(feed->walk, feed->batch, record->cells, err);
}

static bool is_azure_host(struct str host)
{
    return str_equal_nocase(host, STR_LITERAL("dev.azure.com")) ||
           (host.len > 17 && str_equal_nocase((struct str){host.ptr + host.len - 17, 17},
                                              STR_LITERAL(".visualstudio.com")));
}

/* The link is read, never followed: it could lead the credential anywhere. */
static bool check_link(const struct walk *walk, struct str link, struct error *err)
{
    struct url own;
    struct url url;
    if (!url_parse(link, &url, err) || !url_parse(str_from(walk->source->url), &own, err)) {
        return error_wrap(err, "nextLink of the feed");
    }
    return url_is_same_origin(&url, &own) || (is_azure_host(url.host) && is_azure_host(own.host)) ||
           error_set(err, ERROR_DATA,
                     "the feed's nextLink leads to %.*s, which is not the source; check the url "
                     "of the source and the proxies on the way",
                     STR_ARG(url.host));
}

static int hex_digit(char c)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(DIGITS, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
    return at != NULL ? (int)(at - DIGITS) : -1;
}

static bool copy_decoded(struct str value, char out[ADO_TOKEN_BYTES_MAX], struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (n + 1 == ADO_TOKEN_BYTES_MAX) {
            return error_set(err, ERROR_DATA, "the token in nextLink passes %d bytes",
                             ADO_TOKEN_BYTES_MAX - 1);
        }
        int high = value.ptr[i] == '%' && i + 2 < value.len ? hex_digit(value.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(value.ptr[i + 2]) : -1;
        out[n++] = low >= 0 ? (char)(high * 16 + low) : value.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    out[n] = '\0';
    return true;
}

/* The token behind the page, "" if it has none. */
static bool next_token(const struct feed *feed, char out[ADO_TOKEN_BYTES_MAX], struct error *err)
{
    const struct ado_page *page = &feed->page;
    out[0] = '\0';
    if (page->token[0] != '\0') {
        memcpy(out, page->token, ADO_TOKEN_BYTES_MAX);
        return true;
    }
    if (page->next_link.len == 0) {
        return true;
    }
    if (!check_link(feed->walk, page->next_link, err)) {
        return false;
    }
    struct str rest = page->next_link;
    (void)str_cut(&rest, '?');
    while (rest.ptr != NULL && rest.len > 0) {
        struct str value = str_cut(&rest, '&');
        struct str name = str_cut(&value, '=');
        if (str_equal_nocase(name, STR_LITERAL("continuationToken")) && value.len > 0 &&
            !copy_decoded(value, out, err)) {
            return false;
        }
    }
    return true;
}

static bool decode_page(void *arg, char *document, size_t len, struct error *err)
{
    struct feed *feed = arg;
    row_batch_reset(feed->batch);
    if (!ado_page_read(feed->reader, document, len, take_record, feed, &feed->page, err)) {
        return false;
    }
    if (!feed->page.has_last) {
        return error_set(err, ERROR_TRANSIENT, "broken answer: no \"isLastBatch\"");
    }
    return next_token(feed, feed->next, err); /* the link is part of the document */
}

static bool ask(struct feed *feed, struct http_client *http, struct error *err)
{
    buf_reset(&feed->url);
    buf_add_c(&feed->url, feed->is_revisions ? REVISIONS_PATH : LINKS_PATH);
    if (feed->token[0] != '\0') {
        buf_add_c(&feed->url, "&continuationToken=");
        buf_add_percent(&feed->url, str_from(feed->token), "");
    }
    const struct ado_request request = {
        .method = feed->is_revisions ? "POST" : "GET",
        .url = buf_str(&feed->url),
        .body = feed->is_revisions ? buf_str(&feed->body) : STR_NONE,
        .decode = decode_page,
        .arg = feed,
    };
    struct ado_answer answer;
    if (!ado_send(http, &request, &answer, err)) {
        return false;
    }
    if (feed->walk->high_us == INT64_MIN) {
        feed->walk->high_us = answer.date_us != 0 ? answer.date_us : clock_wall_us();
    }
    return true;
}

/* Is it an answer about the request itself, which would be the same the next time? */
static bool is_refusal(const struct error *err)
{
    bool passes =
        err->code == ERROR_TRANSIENT || err->code == ERROR_THROTTLED || err->code == ERROR_LIMIT;
    return !passes &&
           (err->http_status == 400 || err->http_status == 404 || err->http_status == 410);
}

/* The service does not take the token of the last run any more. In which words it says so nobody
 * has written down, so every refusal of the first request is taken for that, once. Then everything
 * is read again: rows of a feed are only ever added, so more of them do no harm. */
static bool begin_again(struct feed *feed, const struct error *err)
{
    if (feed->n_pages > 0 || feed->token[0] == '\0' || !is_refusal(err)) {
        return false;
    }
    log_warn("the feed refuses the token of the last run, reading everything again",
             LOG_TEXT("task", feed->walk->task->name), LOG_TEXT("because", err->msg));
    feed->token[0] = '\0';
    return true;
}

/* Is it a field that is refused? Then the feed goes on without it. */
static bool leave_field_out(struct feed *feed, const struct error *err)
{
    if (!feed->is_revisions || err->http_status != 400 ||
        !ado_fields_refuse(&feed->fields, err->msg)) {
        return false;
    }
    build_reader(feed);
    return true;
}

/* Asks until an answer comes, leaving out what is refused by name. */
static bool ask_for_page(struct feed *feed, struct http_client *http, struct error *err)
{
    for (;;) {
        struct error fault = ERROR_INIT;
        if (ask(feed, http, &fault)) {
            return true;
        }
        if (!leave_field_out(feed, &fault) && !begin_again(feed, &fault)) {
            *err = fault;
            return false;
        }
    }
}

static bool stuck(const struct feed *feed, const char *what, struct error *err)
{
    return error_set(err, ERROR_DATA,
                     "the feed of %s does not end: %s; nothing of this run is kept, the next one "
                     "begins where this one did; if it stays, ask the vendor",
                     feed->walk->task->name, what);
}

/* A page that is not the last must lead on. */
static bool check_progress(struct feed *feed, const char *next, struct error *err)
{
    if (next[0] == '\0') {
        return stuck(feed, "a page that is not the last has no continuationToken", err);
    }
    if (strcmp(next, feed->token) == 0) {
        return stuck(feed, "a page that is not the last gives the token it was asked with", err);
    }
    if (feed->landmark[0] != '\0' && strcmp(next, feed->landmark) == 0) {
        return stuck(feed, "its tokens go round in a circle", err);
    }
    feed->n_empty = feed->page.records == 0 ? feed->n_empty + 1 : 0;
    if (feed->n_empty >= EMPTY_PAGES_MAX) {
        return stuck(feed, "1000 pages in a row are empty", err);
    }
    if (feed->n_pages == feed->landmark_at) {
        memcpy(feed->landmark, next, sizeof(feed->landmark));
        feed->landmark_at *= 2;
    }
    return true;
}

static void finish(struct feed *feed)
{
    struct walk *walk = feed->walk;
    walk->finished = true;
    if (feed->token[0] == '\0' || walk->partition->kind == WALK_GIVEN) {
        walk->high_us = INT64_MIN;
        return;
    }
    buf_add_c(&feed->cursor, "{\"token\": ");
    buf_add_json_string(&feed->cursor, str_from(feed->token));
    buf_add_char(&feed->cursor, '}');
    walk->cursor = feed->cursor.ptr;
}

static bool
step(struct walk *walk, struct http_client *http, struct row_batch *batch, struct error *err)
{
    struct feed *feed = walk->state;
    feed->batch = batch;
    if (!make_ready(feed, http, err) || !ask_for_page(feed, http, err)) {
        return false;
    }
    feed->n_pages++;
    if (!feed->page.is_last && !check_progress(feed, feed->next, err)) {
        return false;
    }
    if (feed->next[0] != '\0') {
        memcpy(feed->token, feed->next, sizeof(feed->token));
    }
    if (feed->page.is_last) {
        finish(feed);
    }
    return true;
}

const struct ado_walk_type ado_revisions_walk = {
    .state_bytes = sizeof(struct feed),
    .start = start_revisions,
    .step = step,
    .release = release,
};

const struct ado_walk_type ado_links_walk = {
    .state_bytes = sizeof(struct feed),
    .start = start,
    .step = step,
    .release = release,
};
