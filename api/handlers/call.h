#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/guard/access.h"
#include "api/handlers/reading.h"
#include "api/http/metrics.h"
#include "api/http/params.h"
#include "api/http/pool.h"
#include "api/http/router.h"
#include "api/http/server.h"
#include "api/http/usage.h"
#include "common/conf/config.h"
#include "common/io/db.h"

/*
 * One request on its way through a service: what handlers get, and the few verbs they need. A
 * service is a listener with its route table; foz-api has two, the public one and the admin one.
 */

struct page;

struct service {
    const struct config *config;
    const struct route *routes;
    size_t n_routes;
    struct guard *guard; /* NULL on the admin listener: nothing there asks who you are */
    struct pool *pool;
    struct http_metrics *metrics; /* NULL = not counted */
    struct usage *usage;          /* likewise */
    struct cache *cache;          /* NULL on the admin listener */
    int64_t started_us;           /* wall clock */
    struct server *server;
    char *openapi;                  /* the document, NUL-terminated; NULL on the admin listener */
    const struct service *observed; /* on the admin listener: whose metrics it shows */
    int64_t schema_version;
};

struct call {
    struct pool_job job; /* first: the pool hands this back */
    struct service *service;
    struct exchange *exchange;
    const struct request *request;
    struct response *response;
    struct arena *arena;
    struct route_match match;
    struct params params;
    struct principal principal;
    struct rate_headers rate;
    struct problem problem; /* set = this is the answer */
    struct reading reading;
    char allow[128];
    bool is_admitted;
    struct guard_waiter waiter; /* while somebody outside is asked who this is */
    struct pool_worker *worker; /* NULL on a polling thread */
    int64_t again_at_us;        /* set by a handler: run me again then; cleared before each run */
    bool asks_writer; /* a standby may not know it yet; where there is no writer it is asked */
    void *state;      /* the handler's, in the arena; NULL at the first run */
};

/* A statement of schema/queries with $n parameters on the reading connection. NULL: the problem is
 * set and the failure logged. A connection that turns out dead is replaced, a deadlock tried again.
 */
struct db_result *
call_query(struct call *call, const char *query, const char *const *params, size_t n_params);

/* The same, planned once a connection: for statements whose plan does not depend on what is asked.
 */
struct db_result *call_query_prepared(struct call *call,
                                      const char *query,
                                      const char *const *params,
                                      size_t n_params);

/* A page of a list by a statement that narrow.h cuts down to the parameters that are not NULL; the
 * last is `page->rows`. `is_plan_kept`: what is asked has no say in how it is best found, so
 * connections may keep the plan. */
struct db_result *call_query_page(struct call *call,
                                  const struct page *page,
                                  const char *query,
                                  bool is_plan_kept,
                                  const char *const *params,
                                  size_t n_params);

/* The writing connection; NULL: the problem is set. */
struct db *call_writer(struct call *call);

/* Logs `err` under the trace id and makes it the answer. */
void call_fail(struct call *call, const struct error *err);

/* Appends `"meta":{...}`. */
void meta_write(struct buf *out, const struct meta *meta);
