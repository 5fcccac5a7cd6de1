#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/problem.h"
#include "api/http/trace.h"
#include "common/base/arena.h"
#include "common/base/str.h"

/*
 * A request as foz sees it, free of the HTTP library: bytes as they came, cut but not decoded.
 * Everything it points to lives as long as its exchange. Checks here are about the message itself
 * (framing that a proxy might read differently); parameters are params.h.
 */

#define REQUEST_HEADERS_MAX 64

struct header {
    struct str name;
    struct str value;
};

struct request {
    struct arena *arena;
    struct str method;
    struct str path;  /* raw, without the query */
    struct str query; /* raw, without the question mark */
    struct str version;
    size_t n_headers;
    struct str body;
    const char *remote; /* the peer's address, numeric */
    int64_t started_us;
    struct trace trace;
    struct str request_id; /* as sent, empty if absent or unfit to be echoed */
    struct header *headers;
    /* What the answer's head may have beyond the usual; negative: not even that fits. */
    int64_t answer_spare_bytes;
};

/* Cuts "/path?query" (or "http://host/path?query", or "*"). */
void request_set_target(struct request *request, struct str target);

/* First header of that name, any case; an empty view with ptr NULL if absent. */
struct str request_header(const struct request *request, const char *name);
size_t request_header_count(const struct request *request, const char *name);

/* Is `token` in the comma-separated list of that header, any case, on whichever of its lines? */
bool request_header_has(const struct request *request, const char *name, const char *token);

/* Makes one line of each list that came on several (RFC 9110 section 5.3: that means the same), for
 * the lists that are looked at: Accept, If-None-Match, Prefer. Allocates only for those. */
void request_join_lists(struct request *request);

/* The declared body length; -1 if none is declared (chunked or absent). */
int64_t request_content_length(const struct request *request);

/* Refuses what two readers of one connection could understand differently: Content-Length with
 * Transfer-Encoding, repeated Content-Length or Host, a missing Host in HTTP/1.1, unknown transfer
 * codings, control characters, header names that are no tokens, bodies on GET and HEAD. */
bool request_check(const struct request *request, struct problem *problem);

/* Decodes %XX (and + as a blank when `plus_is_blank`) into the arena, NUL-terminated. False on a
 * broken escape, a NUL byte or text that is not UTF-8. */
bool request_decode(struct arena *arena, struct str text, bool plus_is_blank, struct str *ret_text);
