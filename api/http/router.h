#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/http/params.h"
#include "common/base/arena.h"
#include "common/base/buf.h"

/*
 * What paths exist, as one table: matching, access, parameters and the OpenAPI document all come
 * from it. A pattern is literal text with {name} for one or more characters other than a slash;
 * "[/]" at its end makes a last slash optional. Earlier rows win.
 */

#define ROUTE_VALUES_MAX 2

enum scope {
    SCOPE_NONE = 0, /* anybody */
    SCOPE_READ = 1,
    SCOPE_ADMIN = 2,
    SCOPE_OBSERVABILITY = 4,
};

struct call;

struct route {
    const char *method;
    const char *pattern;
    enum scope scope;
    int ttl_s;   /* Cache-Control: max-age of a good answer */
    int slice_s; /* > 0: the answer is cached; what of it depends on the clock is as of a moment in
                    the present slice of this length */
    bool from_memory; /* answered on the polling thread: never touches the database */
    bool is_list;     /* paged; CSV and NDJSON on request */
    int status;       /* of a good answer */
    int other_status; /* of another good answer; 0 = there is none */
    const struct param_spec *params;
    size_t n_params;
    const char *operation; /* operationId */
    const char *summary;
    const char *schema; /* of the answer, in the OpenAPI document */
    const char *other_schema;
    const char *media; /* of an answer that is not JSON, instead of a schema */

    /* Builds the answer. Runs on a database thread, or on the polling thread if from_memory. */
    void (*answer)(struct call *call);
};

struct route_match {
    const struct route *route;
    struct str values[ROUTE_VALUES_MAX]; /* of {name} in order, decoded, NUL-terminated */
};

enum route_result { ROUTE_FOUND, ROUTE_UNKNOWN_PATH, ROUTE_WRONG_METHOD, ROUTE_BAD_PATH };

/* HEAD finds GET. With ROUTE_WRONG_METHOD `allow` receives the methods there are ("GET, HEAD,
 * OPTIONS"); OPTIONS itself is never in the table and always ends there. */
enum route_result route_find(const struct route *routes,
                             size_t n_routes,
                             const struct request *request,
                             struct route_match *ret_match,
                             struct buf *allow);

/* "dash.read"; "" for SCOPE_NONE. Static string. */
const char *scope_name(enum scope scope);
bool scope_parse(struct str text, enum scope *ret_scope);
