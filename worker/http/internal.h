#pragma once

#include <stdatomic.h>

#include "worker/http/client.h"
#include "worker/http/limiter.h"
#include "worker/http/login.h"
#include "worker/http/transport.h"
#include "worker/http/url.h"
#include "worker/http/wait_clock.h"

/* What the files of worker/http share and nobody else sees. */

struct http_seams {
    const struct wait_clock *clock;
    struct http_transport (*transport_open)(void *arg, const struct transport_options *options);
    void *transport_arg;
};

/* A limiter that the sources of several configurations may share. */
struct gate {
    atomic_int users; /* the last may leave in any thread */
    struct limiter limiter;
};

struct http_source {
    const struct source_config *config;
    struct url url;
    struct stop *stop;
    struct http_seams seams;
    struct gate *gate;
    struct login *login;
};

/* http_source_new with other clocks and another wire; the seams are copied. */
struct http_source *http_source_new_with(const struct source_config *config,
                                         int64_t max_in_flight,
                                         struct stop *stop,
                                         const struct http_seams *seams,
                                         struct error *err);

/* May this source's credential be sent there? Its own URLs and subdomains of its host. */
bool http_source_trusts(const struct http_source *source, const struct url *url);

/* The request an answer belongs to. */
struct http_subject {
    const char *method;
    struct url url;
};

const struct http_subject *http_client_subject(const struct http_client *client);
