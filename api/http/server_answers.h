#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <microhttpd.h>

#include "api/http/response.h"

/*
 * Answers as libmicrohttpd's objects; a part of its wrapper in server.c. Making such an object
 * costs more than sending it, so each polling thread keeps those it sent last: whoever is told the
 * same gets the same object, with the headers that are each request's own put on anew.
 */

#define SHARED_ANSWERS 8

/* An answer ready to be sent, but for the headers that are each request's own. */
struct shared_answer {
    struct MHD_Response *answer; /* NULL = free */
    struct response_origin origin;
    int status;
    const char *content_type; /* static */
    const char **names;       /* of the headers that are not own */
    char **values;
    size_t n_headers;
    char *body; /* the library's to free */
    size_t body_len;
    const char *own_names[RESPONSE_HEADERS_MAX]; /* on it now; static */
    size_t n_own;
};

/* Of one polling thread, and used by it alone; all zero at first. */
struct answers {
    size_t next;
    struct shared_answer shared[SHARED_ANSWERS];
};

/* Sends it. is_last: and closes the connection behind it. The body of a response without an origin
 * must stay until the request is completed. */
enum MHD_Result answers_queue(struct answers *answers,
                              struct MHD_Connection *connection,
                              struct response *response,
                              bool is_last);

/* See exchange_has_body. */
bool answers_have_body(const struct answers *answers,
                       struct response_origin origin,
                       size_t *ret_len);

void answers_release(struct answers *answers);
