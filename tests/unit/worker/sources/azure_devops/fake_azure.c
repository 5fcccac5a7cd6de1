#include "fake_azure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

void fake_azure_init(struct fake_azure *azure)
{
    *azure = (struct fake_azure){.page_size = 3, .now_s = 1800000000};
}

void fake_azure_release(struct fake_azure *azure)
{
    for (size_t i = 0; i < azure->n_requests; i++) {
        xfree(azure->asked[i]);
    }
    xfree(azure->asked);
    xfree(azure->revisions);
}

void fake_azure_add(struct fake_azure *azure, int id, int rev)
{
    azure->revisions =
        xrealloc(azure->revisions, (azure->n_revisions + 1) * sizeof(*azure->revisions));
    azure->revisions[azure->n_revisions++] = (struct fake_revision){id, rev, false};
}

size_t fake_azure_count(const struct fake_azure *azure, const char *begins)
{
    size_t n = 0;
    for (size_t i = 0; i < azure->n_requests; i++) {
        n += strncmp(azure->asked[i], begins, strlen(begins)) == 0 ? 1 : 0;
    }
    return n;
}

static void add_header(struct transport_answer *answer, const char *line)
{
    (void)!headers_add_line(&answer->headers, str_from(line));
}

static void answer_error(struct transport_answer *answer, int status, const char *message)
{
    answer->status = status;
    buf_reset(&answer->body);
    buf_add_c(&answer->body, "{\"$id\":\"1\",\"innerException\":null,\"message\":");
    buf_add_json_string(&answer->body, str_from(message));
    buf_add_c(&answer->body, ",\"typeKey\":\"X\",\"errorCode\":0,\"eventId\":3200}");
}

/* The number behind `name` in the query, or `fallback`. */
static int64_t number_of(const char *url, const char *name, int64_t fallback)
{
    const char *at = strstr(url, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : fallback;
}

/* ---- the feed: its tokens are "POSITION;EMPTIES" ---- */

static void write_revision(const struct fake_revision *revision, struct buf *out)
{
    buf_addf(out,
             "{\"id\":%d,\"rev\":%d,\"fields\":{\"System.Id\":%d,\"System.Rev\":%d,"
             "\"System.State\":\"New\",\"System.IsDeleted\":%s}}",
             revision->id, revision->rev, revision->id, revision->rev,
             revision->is_deleted ? "true" : "false");
}

static void write_token(const struct fake_azure *azure, size_t at, size_t empties, struct buf *out)
{
    if (azure->token == TOKEN_IN_LINK || azure->token == TOKEN_IN_BOTH) {
        buf_add_c(out, ",\"nextLink\":\"http://ado.test/acme/_apis/wit/reporting/x?a=");
        for (size_t i = 0; i < azure->link_bytes; i++) {
            buf_add_char(out, '1');
        }
        buf_addf(out, "&continuationToken=%zu%%3B%zu&api-version=2.0\"", at, empties);
    }
    switch (azure->token) {
    case TOKEN_IN_MEMBER:
    case TOKEN_IN_BOTH:
        buf_addf(out, ",\"continuationToken\":\"%zu;%zu\"", at, empties);
        return;
    case TOKEN_IN_LINK:
        return;
    case TOKEN_IN_FOREIGN_LINK:
        buf_addf(out, ",\"nextLink\":\"http://evil.test/x?continuationToken=%zu%%3B%zu\"", at,
                 empties);
        return;
    case TOKEN_NOWHERE:
        return;
    }
}

static void answer_feed(struct fake_azure *azure, const char *url, struct transport_answer *answer)
{
    const char *token = strstr(url, "continuationToken=");
    size_t at = (size_t)number_of(url, "continuationToken=", 0);
    size_t empties = (size_t)number_of(url, "%3B", 0);
    if (token != NULL && azure->refuses_tokens) {
        answer_error(answer, azure->refusal_status != 0 ? azure->refusal_status : 400,
                     azure->refusal != NULL ? azure->refusal
                                            : "VS403001: The continuationToken is not valid.");
        return;
    }
    bool is_empty = empties < azure->empty_pages;
    size_t n = is_empty || at >= azure->n_revisions ? 0 : azure->page_size;
    n = at + n > azure->n_revisions ? azure->n_revisions - at : n;
    size_t first = azure->repeats_rows && n > 0 && at > 0 ? at - 1 : at;
    buf_add_c(&answer->body, "{\"values\":[");
    for (size_t i = first; i < at + n; i++) {
        buf_add_c(&answer->body, i > first ? "," : "");
        write_revision(&azure->revisions[i], &answer->body);
    }
    buf_add_char(&answer->body, ']');
    bool is_last = at + n >= azure->n_revisions && !is_empty && !azure->never_last;
    bool goes_round = azure->circle > 0 && at + n >= azure->circle * azure->page_size;
    size_t next = goes_round ? 0 : at + n;
    if (azure->is_stuck) {
        write_token(azure, at, empties, &answer->body);
    } else {
        write_token(azure, next, is_empty || (n == 0 && azure->never_last) ? empties + 1 : 0,
                    &answer->body);
    }
    if (!azure->lacks_last) {
        buf_addf(&answer->body, ",\"isLastBatch\":%s", is_last ? "true" : "false");
    }
    buf_add_char(&answer->body, '}');
}

/* ---- the query, batches, bins ---- */

static void answer_query(struct fake_azure *azure,
                         const char *url,
                         const char *body,
                         struct transport_answer *answer)
{
    int64_t top = number_of(url, "$top=", 0);
    int64_t last = number_of(body, "[System.Id] > ", -1);
    int64_t n = 0;
    if (azure->top_max > 0 && top > azure->top_max) {
        answer_error(answer, 400, "VS402335: The timeout period (30 seconds) elapsed.");
        return;
    }
    buf_add_c(&answer->body, "{\"queryType\":\"flat\",\"workItems\":[");
    for (size_t i = 0; i < azure->n_items && n < top; i++) {
        const struct fake_item *item = &azure->items[i];
        if (!item->is_binned && !item->is_hidden && item->id > last) {
            buf_addf(&answer->body, "%s{\"id\":%d,\"url\":\"u\"}", n++ > 0 ? "," : "", item->id);
        }
    }
    buf_add_c(&answer->body, "]}");
}

static const struct fake_item *find_item(const struct fake_azure *azure, int64_t id)
{
    for (size_t i = 0; i < azure->n_items; i++) {
        if (azure->items[i].id == id) {
            return &azure->items[i];
        }
    }
    return NULL;
}

static void
answer_batch(struct fake_azure *azure, const char *body, struct transport_answer *answer)
{
    const char *at = strstr(body, "\"ids\":[") + strlen("\"ids\":[");
    size_t n = 0;
    buf_add_c(&answer->body, "{\"count\":1,\"value\":[");
    while (*at != ']') {
        char *end;
        int64_t id = strtoll(at, &end, 10);
        const struct fake_item *item = find_item(azure, id);
        bool is_there = item != NULL && !item->is_binned && !item->is_hidden;
        if (is_there || azure->nulls) {
            buf_add_c(&answer->body, n++ > 0 ? "," : "");
        }
        if (is_there) {
            write_revision(&(struct fake_revision){(int)id, 7, false}, &answer->body);
        } else if (azure->nulls) {
            buf_add_c(&answer->body, "null");
        }
        at = *end == ',' ? end + 1 : end;
    }
    buf_add_c(&answer->body, "]}");
}

static void answer_bin(struct fake_azure *azure, const char *url, struct transport_answer *answer)
{
    size_t n = 0;
    bool by_id = strstr(url, "recyclebin?ids=") != NULL;
    if (azure->bin_is_too_full && !by_id) {
        answer_error(answer, 400,
                     "VS402337: The number of work items returned exceeds the size limit of "
                     "20000. Change the query to return fewer items.");
        return;
    }
    buf_add_char(&answer->body, '[');
    for (size_t i = 0; i < azure->n_items; i++) {
        if (azure->items[i].is_binned) {
            buf_addf(&answer->body, "%s{\"id\":\"%d\",\"url\":\"u\"}", n++ > 0 ? "," : "",
                     azure->items[i].id);
        }
    }
    buf_add_char(&answer->body, ']');
}

static void
answer_binned(struct fake_azure *azure, const char *url, struct transport_answer *answer)
{
    const struct fake_item *item = find_item(azure, number_of(url, "recyclebin/", 0));
    if (item == NULL || !item->is_binned) {
        answer_error(answer, 404, "TF401232: Work item does not exist.");
        return;
    }
    buf_addf(&answer->body, "{\"id\":%d,\"name\":\"x\",\"deletedDate\":\"1/31/2017 9:21:14 PM\"",
             item->id);
    if (!azure->bin_is_shallow) {
        buf_add_c(&answer->body, ",\"resource\":");
        write_revision(&(struct fake_revision){item->id, 8, false}, &answer->body);
    }
    buf_add_char(&answer->body, '}');
}

/* ---- the wire ---- */

static bool answer_by_script(struct fake_azure *azure,
                             const char *method,
                             const char *path,
                             struct transport_answer *answer)
{
    char line[2048];
    (void)snprintf(line, sizeof(line), "%s %s", method, path);
    for (size_t i = 0; i < azure->n_replies; i++) {
        const struct fake_reply *reply = &azure->replies[i];
        if (strncmp(line, reply->begins, strlen(reply->begins)) != 0) {
            continue;
        }
        answer->status = reply->status != 0 ? reply->status : 200;
        buf_add_c(&answer->body, reply->body != NULL ? reply->body : "");
        struct str rest = str_from(reply->headers);
        while (rest.ptr != NULL && rest.len > 0) {
            struct str header = str_cut(&rest, '\n');
            char text[512];
            (void)snprintf(text, sizeof(text), "%.*s", STR_ARG(header));
            add_header(answer, text);
        }
        return true;
    }
    return false;
}

static void answer_request(struct fake_azure *azure,
                           const char *method,
                           const char *path,
                           const char *body,
                           struct transport_answer *answer)
{
    bool is_feed = strncmp(path, "/_apis/wit/reporting/workitemrevisions", 38) == 0;
    if (answer_by_script(azure, method, path, answer)) {
        return;
    }
    const char *refused = azure->refuses_field;
    if (refused != NULL && (strstr(body, refused) != NULL || strstr(path, refused) != NULL)) {
        char message[256];
        (void)snprintf(message, sizeof(message), "TF51535: Cannot find field %s.", refused);
        answer_error(answer, 400, message);
    } else if (is_feed || strncmp(path, "/_apis/wit/reporting/", 21) == 0) {
        answer_feed(azure, path, answer);
    } else if (strncmp(path, "/_apis/wit/wiql", 15) == 0) {
        answer_query(azure, path, body, answer);
    } else if (strncmp(path, "/_apis/wit/workitemsbatch", 25) == 0) {
        answer_batch(azure, body, answer);
    } else if (strstr(path, "recyclebin?") != NULL) {
        answer_bin(azure, path, answer);
    } else if (strstr(path, "recyclebin/") != NULL) {
        answer_binned(azure, path, answer);
    } else {
        answer_error(answer, 404, "TF400000: not known to this fake");
    }
    if (is_feed && azure->cut_at > 0 && azure->cut_at < answer->body.len) {
        buf_truncate(&answer->body, azure->cut_at);
        azure->cut_at = 0;
    }
}

static void
note(struct fake_azure *azure, const struct transport_request *request, const char *path)
{
    struct buf line;
    bool has_suppress = false;
    buf_init(&line, (size_t)1024 * 1024);
    buf_addf(&line, "%s %s %.*s", request->method, path, STR_ARG(request->body));
    azure->asked = xrealloc(azure->asked, (azure->n_requests + 1) * sizeof(*azure->asked));
    azure->asked[azure->n_requests++] = buf_take(&line);
    for (size_t i = 0; i < request->n_headers; i++) {
        has_suppress =
            has_suppress || (strcmp(request->headers[i].name, "X-TFS-FedAuthRedirect") == 0 &&
                             strcmp(request->headers[i].value, "Suppress") == 0);
    }
    azure->lacked_suppress = azure->lacked_suppress || !has_suppress;
}

static enum transport_result perform(void *self,
                                     const struct transport_request *request,
                                     struct transport_answer *answer,
                                     struct error *err)
{
    (void)err;
    struct fake_azure *azure = self;
    const char *path = strstr(request->url, "/acme");
    char *body CLEANUP(xfreep) = xstrndup(request->body.ptr, request->body.len);
    path = path != NULL ? path + strlen("/acme") : request->url;
    headers_reset(&answer->headers);
    buf_reset(&answer->body);
    answer->was_sent = true;
    answer->status = 200;
    if (azure->before != NULL) {
        azure->before(azure, azure->n_requests);
    }
    note(azure, request, path);
    char date[INSTANT_TEXT_MAX];
    char line[80];
    (void)snprintf(line, sizeof(line), "Date: %s",
                   instant_format_http_date(azure->now_s * US_PER_S, date));
    add_header(answer, line);
    if (!azure->has_no_type) {
        add_header(answer, "Content-Type: application/json; charset=utf-8; api-version=7.1");
    }
    answer_request(azure, request->method, path, body, answer);
    return TRANSPORT_ANSWERED;
}

static void do_nothing(void *self)
{
    (void)self;
}

static struct http_transport open_azure(void *arg, const struct transport_options *options)
{
    (void)options;
    return (struct http_transport){perform, do_nothing, do_nothing, arg};
}

struct http_seams fake_azure_seams(struct fake_clock *clock, struct fake_azure *azure)
{
    return (struct http_seams){&clock->clock, open_azure, azure};
}
