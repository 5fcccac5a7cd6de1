#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "worker/http/client.h"
#include "worker/http/headers.h"

/*
 * One exchange on the wire, without policy: the seam between the client's loop and libcurl. A
 * transport belongs to one thread and keeps that lane's connections and cookies.
 */

struct transport_request {
    const char *method;
    const char *url; /* absolute */
    const struct http_header *headers;
    size_t n_headers;
    struct str body;
    int64_t timeout_us; /* of the whole exchange */
};

struct transport_answer {
    int status;
    struct headers headers;
    struct buf body;    /* decoded; its limit is the cap of the answer */
    int64_t wire_bytes; /* received */
    bool was_sent;      /* the request reached the wire */
};

enum transport_result {
    TRANSPORT_ANSWERED,    /* status, headers and the whole body are there */
    TRANSPORT_UNREACHABLE, /* never got through; may work later */
    TRANSPORT_BROKEN,      /* got through, but the answer never came whole; may work later */
    TRANSPORT_TIMED_OUT,   /* got through, but too slow */
    TRANSPORT_FAILED,      /* trying again is no use: CONFIG, LIMIT or CANCELLED */
};

struct http_transport {
    /* Resets and fills *answer; sets err for every result but ANSWERED. The code of err is what
     * remains when the caller gives up. Messages name host and cure, never the URL. */
    enum transport_result (*perform)(void *self,
                                     const struct transport_request *request,
                                     struct transport_answer *answer,
                                     struct error *err);
    void (*forget_cookies)(void *self);
    void (*close)(void *self);
    void *self;
};

struct transport_options {
    int64_t connect_timeout_us;
    const char *ca_file; /* NULL = the system's */
    const char *source;  /* name, for messages */
    struct stop *stop;
};
