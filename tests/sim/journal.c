#include "tests/sim/journal.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

struct journal *journal_new(void)
{
    struct journal *journal = XNEW(struct journal);

    mutex_init(&journal->lock);
    return journal;
}

void journal_free(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    for (int i = 0; i < JOURNAL_LAST; i++) {
        xfree(journal->entries[i].uri);
    }
    mutex_release(&journal->lock);
    xfree(journal);
}

/* The path, numbers in it as "*": a route per record would be too many. */
static void name_route(struct str path, char name[96])
{
    size_t len = 0;
    size_t start = 0;

    for (size_t i = 0; i <= path.len && len < 94; i++) {
        if (i < path.len && path.ptr[i] != '/') {
            name[len++] = path.ptr[i];
            continue;
        }
        if (len > start && strspn(&name[start], "0123456789") >= len - start) {
            len = start;
            name[len++] = '*';
        }
        name[len++] = i < path.len ? '/' : '\0';
        start = len;
    }
    name[len] = '\0';
}

/* Lock held. */
static struct journal_route *find_route(struct journal *journal, struct str path)
{
    char name[96] = "";

    name_route(path, name);
    for (int i = 0; i < journal->n_routes; i++) {
        if (strcmp(journal->routes[i].name, name) == 0) {
            return &journal->routes[i];
        }
    }
    int slot = journal->n_routes < JOURNAL_ROUTES ? journal->n_routes++ : JOURNAL_ROUTES - 1;
    struct journal_route *route = &journal->routes[slot];

    if (slot == JOURNAL_ROUTES - 1) {
        snprintf(name, sizeof(name), "(others)");
    }
    if (strcmp(route->name, name) != 0 || slot < JOURNAL_ROUTES - 1) {
        memset(route, 0, sizeof(*route)); /* what was there is from before a reset */
    }
    snprintf(route->name, sizeof(route->name), "%s", name);
    return route;
}

static struct str path_of(const char *uri)
{
    struct str rest = str_from(uri);

    return str_cut(&rest, '?');
}

uint64_t journal_begin(struct journal *journal, const struct request *request)
{
    const char *encoding = request_header(request, "Accept-Encoding");
    MUTEX_GUARD(&journal->lock);
    uint64_t number = ++journal->n_requests;
    struct journal_entry *entry = &journal->entries[number % JOURNAL_LAST];

    xfree(entry->uri);
    memset(entry, 0, sizeof(*entry));
    entry->number = number;
    entry->uri = xstrdup(request->uri);
    snprintf(entry->method, sizeof(entry->method), "%s", request->method);
    entry->started_us = clock_monotonic_us();
    entry->cookie = request_header(request, "Cookie") != NULL;
    entry->authorization = request_header(request, "Authorization") != NULL;
    entry->gzip = encoding != NULL && strstr(encoding, "gzip") != NULL;
    journal->in_flight++;
    if (journal->in_flight > journal->in_flight_max) {
        journal->in_flight_max = journal->in_flight;
    }
    find_route(journal, request->path)->requests++;
    return number;
}

void journal_end(struct journal *journal, uint64_t number, const struct reply *reply)
{
    MUTEX_GUARD(&journal->lock);
    struct journal_entry *entry = &journal->entries[number % JOURNAL_LAST];

    journal->in_flight--;
    if (entry->number != number || entry->uri == NULL) {
        return;
    }
    entry->status = reply->status;
    entry->duration_us = clock_monotonic_us() - entry->started_us;
    entry->bytes = (int64_t)reply->body.len;
    if (reply->status != 200 && reply->status != 206) {
        find_route(journal, path_of(entry->uri))->failures++;
    }
}

void journal_reset(struct journal *journal)
{
    MUTEX_GUARD(&journal->lock);
    for (int i = 0; i < JOURNAL_LAST; i++) {
        xfree(journal->entries[i].uri);
        journal->entries[i].uri = NULL;
    }
    journal->n_routes = 0;
    journal->n_requests = 0;
    journal->in_flight_max = journal->in_flight;
}

void journal_write(struct journal *journal, int64_t last, struct buf *out)
{
    MUTEX_GUARD(&journal->lock);
    uint64_t n = journal->n_requests;
    uint64_t shown = n < JOURNAL_LAST ? n : JOURNAL_LAST;
    bool first = true;

    shown = shown < (uint64_t)last ? shown : (uint64_t)last;
    buf_addf(out, "\"requests\":%llu,\"in_flight\":%d,\"in_flight_max\":%d,\"routes\":{",
             (unsigned long long)n, journal->in_flight, journal->in_flight_max);
    for (int i = 0; i < journal->n_routes; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        buf_add_json_string(out, str_from(journal->routes[i].name));
        buf_addf(out, ":{\"requests\":%lld,\"failures\":%lld}",
                 (long long)journal->routes[i].requests, (long long)journal->routes[i].failures);
    }
    buf_add_c(out, "},\"last\":[");
    for (uint64_t number = n - shown + 1; number <= n; number++) {
        const struct journal_entry *entry = &journal->entries[number % JOURNAL_LAST];

        if (entry->uri == NULL || entry->number != number) {
            continue;
        }
        buf_addf(out, "%s{\"n\":%llu,\"method\":\"%s\",\"url\":", first ? "" : ",",
                 (unsigned long long)number, entry->method);
        buf_add_json_string(out, str_from(entry->uri));
        buf_addf(out,
                 ",\"status\":%d,\"ms\":%lld,\"bytes\":%lld,\"cookie\":%s,\"gzip\":%s,"
                 "\"authorization\":%s}",
                 entry->status, (long long)(entry->duration_us / US_PER_MS),
                 (long long)entry->bytes, entry->cookie ? "true" : "false",
                 entry->gzip ? "true" : "false", entry->authorization ? "true" : "false");
        first = false;
    }
    buf_add_char(out, ']');
}
