#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/stop.h"
#include "common/base/str.h"

/*
 * HTTP for the simulators, and the one place that touches libmicrohttpd here: whole requests in,
 * whole replies out, with the misbehaviour of a broken server on demand (bodies cut off, dripping
 * or never sent). One thread per connection, so that a handler may simply wait; simulated sources
 * have a handful of clients, never thousands.
 */

enum { REPLY_MAX_HEADERS = 32, REQUEST_MAX_PARAMS = 256 };

struct param {
    struct str name, value; /* decoded */
};

struct request {
    const char *method;
    const char *uri; /* as received, query included */
    struct str path; /* as received */
    struct param params[REQUEST_MAX_PARAMS];
    int n_params;
    struct str body;
    void *connection;  /* for request_header */
    struct stop *stop; /* the server is going down */
};

/* Produces more of a long body; returns false at the end. `out` comes empty. */
typedef bool reply_source(void *context, struct buf *out);

struct reply {
    int status;

    struct {
        char *name, *value;
    } headers[REPLY_MAX_HEADERS];

    int n_headers;
    struct buf body;
    reply_source *source; /* instead of body; called until it returns false */
    void *source_context;
    void (*source_free)(void *context);
    int64_t cut_after_bytes;  /* >= 0: the connection dies there */
    int64_t bytes_per_second; /* > 0: the body drips */
    bool never;               /* no answer at all until the client gives up or the server stops */
    int64_t wait_us;          /* before the first byte */
};

typedef void server_handler(void *context, const struct request *request, struct reply *reply);

struct server;

/* listen: "HOST:PORT" with a numeric IPv4 host; port 0 takes any. NULL with a text in err. */
struct server *
server_start(const char *listen, server_handler *handler, void *context, struct error *err);
void server_stop(struct server *server);
const char *server_address(const struct server *server); /* "127.0.0.1:45123" */

const char *request_header(const struct request *request, const char *name); /* or NULL */
bool request_param(const struct request *request, const char *name, struct str *ret_value);

void reply_header(struct reply *reply, const char *name, const char *format, ...)
    PRINTF_FORMAT(3, 4);

/* Decodes application/x-www-form-urlencoded text in place; returns the number of pairs. */
int params_decode(char *text, size_t len, struct param *params, int max_params);
