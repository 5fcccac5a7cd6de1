#pragma once

#include <stdbool.h>

#include "common/base/str.h"

/*
 * W3C Trace Context: the id that ties a request to its execution row and to the log lines of both
 * programs. A good incoming traceparent is continued under a span of our own; anything else starts
 * a new trace, as the recommendation asks.
 */

#define TRACE_ID_LEN     32
#define TRACE_SPAN_LEN   16
#define TRACE_PARENT_LEN 55

struct trace {
    char trace_id[TRACE_ID_LEN + 1];
    char span_id[TRACE_SPAN_LEN + 1];
    unsigned flags;
};

/* Strict: lower-case hex, ids not all zero, version not ff; a version above 00 may carry more
 * behind another dash. Fills the caller's trace and span. */
bool trace_parse(struct str traceparent, struct trace *ret_trace);

/* Continues `traceparent` (may be empty or bad) with a fresh span. */
void trace_start(struct trace *trace, struct str traceparent);

/* "00-<trace>-<span>-<flags>". */
void trace_format(const struct trace *trace, char out[TRACE_PARENT_LEN + 1]);

#define TRACE_REQUEST_ID_MAX 256 /* bytes */

/* May `text` be echoed as X-Request-Id? Whatever RFC 9110 section 5.5 lets stand in a field, if it
 * is UTF-8: visible characters with blanks and tabs between. */
bool trace_request_id_is_valid(struct str text);
