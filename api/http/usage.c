#include "api/http/usage.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/thread.h"

#define N_BUCKETS 1024

struct counter {
    struct counter *chain;
    struct usage_row row;
};

struct usage {
    struct mutex lock;
    struct counter *buckets[N_BUCKETS]; /* guarded by lock */
    size_t n_rows;                      /* guarded by lock */
};

struct usage *usage_new(void)
{
    struct usage *usage = XNEW(struct usage);
    mutex_init(&usage->lock);
    return usage;
}

static size_t bucket_of(struct str principal, size_t route, int status)
{
    uint32_t hash = 2166136261U ^ (uint32_t)route * 31U ^ (uint32_t)status * 131071U;
    for (size_t i = 0; i < principal.len; i++) {
        hash = (hash ^ (unsigned char)principal.ptr[i]) * 16777619U;
    }
    return hash % N_BUCKETS;
}

static struct counter *
find(struct usage *usage, size_t bucket, const struct usage_event *event, struct str principal)
{
    struct counter *counter = usage->buckets[bucket];
    while (counter != NULL &&
           !(counter->row.route == event->route && counter->row.status == event->status &&
             str_equal_c(principal, counter->row.principal))) {
        counter = counter->chain;
    }
    return counter;
}

static struct counter *get(struct usage *usage, const struct usage_event *event)
{
    struct str principal = event->principal;
    size_t bucket = bucket_of(principal, event->route, event->status);
    struct counter *counter = find(usage, bucket, event, principal);
    if (counter == NULL && usage->n_rows >= USAGE_MAX) {
        principal = STR_LITERAL(USAGE_OTHERS);
        bucket = bucket_of(principal, event->route, event->status);
        counter = find(usage, bucket, event, principal);
    }
    if (counter == NULL) {
        counter = XNEW(struct counter);
        counter->row.principal = xstrndup(principal.len > 0 ? principal.ptr : "", principal.len);
        counter->row.route = event->route;
        counter->row.status = event->status;
        counter->chain = usage->buckets[bucket];
        usage->buckets[bucket] = counter;
        usage->n_rows++;
    }
    return counter;
}

void usage_count(struct usage *usage, const struct usage_event *event)
{
    MUTEX_GUARD(&usage->lock);
    struct counter *counter = get(usage, event);
    counter->row.requests++;
    counter->row.bytes += (int64_t)event->bytes;
    counter->row.duration_us += event->duration_us;
}

static int by_requests(const void *a, const void *b)
{
    const struct usage_row *left = a;
    const struct usage_row *right = b;
    if (left->requests != right->requests) {
        return left->requests < right->requests ? 1 : -1;
    }
    if (left->route != right->route) {
        return left->route < right->route ? -1 : 1;
    }
    int names = strcmp(left->principal, right->principal);
    return names != 0 ? names : left->status - right->status;
}

struct usage_row *usage_rows(struct usage *usage, size_t *ret_n_rows)
{
    struct usage_row *rows = NULL;
    size_t n_rows = 0;
    {
        MUTEX_GUARD(&usage->lock);
        rows = xcalloc(usage->n_rows + 1, sizeof(*rows));
        for (size_t i = 0; i < N_BUCKETS; i++) {
            for (struct counter *at = usage->buckets[i]; at != NULL; at = at->chain) {
                rows[n_rows] = at->row;
                rows[n_rows++].principal = xstrdup(at->row.principal);
            }
        }
    }
    qsort(rows, n_rows, sizeof(*rows), by_requests);
    *ret_n_rows = n_rows;
    return rows;
}

void usage_rows_free(struct usage_row *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++) {
        xfree(rows[i].principal);
    }
    xfree(rows);
}

void usage_free(struct usage *usage)
{
    if (usage == NULL) {
        return;
    }
    for (size_t i = 0; i < N_BUCKETS; i++) {
        while (usage->buckets[i] != NULL) {
            struct counter *counter = usage->buckets[i];
            usage->buckets[i] = counter->chain;
            xfree(counter->row.principal);
            xfree(counter);
        }
    }
    mutex_release(&usage->lock);
    xfree(usage);
}
