#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/problem.h"
#include "api/http/request.h"
#include "common/base/buf.h"

/*
 * An answer under construction: status, headers, body. Nothing here writes to the network. Header
 * values live in the request's arena; one that would not fit is dropped rather than cut.
 */

#define RESPONSE_HEADERS_MAX 24
#define RESPONSE_BODY_MAX    (64UL * 1024 * 1024)
#define RESPONSE_ETAG_MAX    80

struct response_header {
    const char *name;
    const char *value;
    bool is_own; /* differs with each request; all others may be shared by many answers */
};

/* Answers with the same origin have the same body. A body that was sent a moment ago need not be
 * built again: see exchange_has_body. */
struct response_origin {
    uint64_t id;     /* of what it was made from; 0 = unknown, nothing can be said */
    int64_t variant; /* which of those that can be made from it, or: */
};

#define RESPONSE_NOT_MODIFIED INT64_MIN

struct response {
    int status;
    struct response_origin origin;
    size_t left_out_bytes;    /* of a body that is sent but not in `body` */
    const char *content_type; /* NULL = no body */
    struct response_header headers[RESPONSE_HEADERS_MAX];
    size_t n_headers;
    struct buf body;
    bool close; /* the connection is not to be used again */
};

void response_init(struct response *response);
void response_release(struct response *response);

/* Forgets what was built so far, headers included. */
void response_reset(struct response *response);

/* `name` is static. Refuses (drops) values with line breaks, and those above 4 KiB. */
void response_header(struct response *response,
                     const struct request *request,
                     const char *name,
                     const char *format,
                     ...) PRINTF_FORMAT(4, 5);

/* The same without a format, for values of any length; `is_own`: see above. */
void response_header_text(struct response *response,
                          const struct request *request,
                          const char *name,
                          struct str value,
                          bool is_own);

/* "traceparent", and "X-Request-Id" if the request had one that can be echoed. */
void response_trace(struct response *response, const struct request *request);

/* Replaces everything by an application/problem+json document with the request's trace id. */
void response_problem(struct response *response,
                      const struct request *request,
                      const struct problem *problem);

/* Sets ETag `W/"basis"` and Cache-Control; true when If-None-Match already has it: then the answer
 * has become a 304 without a body. Call after the body is built. `ttl_s` 0 = max-age=0 (keep,
 * but ask each time). */
bool response_validate(struct response *response,
                       const struct request *request,
                       struct str basis,
                       int ttl_s);

/* A digest of what an answer says, as the basis of its ETag. */
void response_digest(struct str content, char out[RESPONSE_ETAG_MAX]);
