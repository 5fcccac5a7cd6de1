#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/stop.h"

/*
 * One HTTP GET with a deadline, for the few things the service asks others: keys and identities.
 * The one wrapper of libcurl in the API. TLS is verified, redirects are not followed, no cookie is
 * ever kept: one handle asks for many callers, and a session of one must not vouch for the next.
 *
 * A handle belongs to one thread at a time; it keeps its connection between requests.
 */

struct fetch;

/* ca_file NULL = the system's authorities. */
struct fetch *fetch_open(const char *ca_file);
void fetch_close(struct fetch *fetch); /* accepts NULL */
DEFINE_CLEANUP(struct fetch *, fetch_close);

struct fetch_request {
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL */
    int64_t timeout_us;
    struct stop *stop; /* ends the transfer early; may be NULL */
};

struct fetch_answer {
    int status;
    char content_type[128]; /* "" if none */
    int64_t retry_after_s;  /* 0 if none */
    struct buf body;
};

void fetch_answer_init(struct fetch_answer *answer, size_t body_limit_bytes);
void fetch_answer_release(struct fetch_answer *answer);

/* Any status is an answer. ERROR_TRANSIENT: nobody answered in time; ERROR_CONFIG: the address or
 * the certificate; ERROR_LIMIT: the body passes its limit; ERROR_CANCELLED: stopped. No message
 * repeats a header or more of the URL than its host. */
NODISCARD bool fetch_get(struct fetch *fetch,
                         const struct fetch_request *request,
                         struct fetch_answer *answer,
                         struct error *err);

/* Does the URL name this machine? */
bool fetch_url_is_loopback(const char *url);
