#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/http/request.h"
#include "api/http/response.h"
#include "common/base/error.h"

/*
 * The network side of the service and the one wrapper of libmicrohttpd: sockets, limits, framing.
 * It hands complete, checked requests to one function and sends what that function built; it knows
 * no route.
 *
 * Polling threads never block: a request that needs time is taken off them with exchange_suspend
 * and put back with exchange_resume. poll(2), never epoll: libmicrohttpd 0.9.75 stalls there when
 * one thread has many ready connections.
 */

struct server;

/* One request and its answer. Owned by the server; lent to the handler until it answers. */
struct exchange {
    struct request request;
    struct response response;
    struct arena arena;
    void *user; /* the handler's */
};

enum exchange_state {
    EXCHANGE_ANSWERED, /* response is ready */
    EXCHANGE_TAKEN,    /* exchange_suspend was called; do not touch the exchange any more */
};

struct server_settings {
    const char *listen;      /* "127.0.0.1:8080", "[::1]:0", "localhost:80" */
    size_t threads;          /* polling */
    size_t connection_limit; /* in all */
    size_t connection_limit_per_address;
    size_t body_limit_bytes;
    int64_t request_limit_us; /* from the first byte (or the last answer) to the whole request */
    int64_t answer_limit_us;  /* to send an answer */
    /* On a polling thread. */
    enum exchange_state (*handle)(void *context, struct exchange *exchange);
    /* On the polling thread that is about to send what was taken off it; may be NULL. */
    void (*resumed)(struct exchange *exchange);
    /* The exchange ends, whatever came of it; may be NULL. */
    void (*finished)(struct exchange *exchange);
    /* A request was answered, also one that never reached `handle`. Any thread, must not block. */
    void (*answered)(void *context, const struct exchange *exchange);
    void *context;
};

/* Binds, listens and starts the threads. ERROR_CONFIG names the address and what is wrong. */
struct server *server_start(const struct server_settings *settings, struct error *err);

/* "127.0.0.1:34567": where it really listens. */
const char *server_address(const struct server *server);
bool server_is_loopback(const struct server *server);

struct server_counters {
    int64_t connections; /* open now */
    int64_t connections_total;
    int64_t slow_closed_total; /* cut for taking too long */
};

struct server_counters server_counters(struct server *server);

/* Stops accepting, and from now on closes each connection behind its answer. Waits until no request
 * is in flight or deadline_us (monotonic) passed; true = all done. */
bool server_drain(struct server *server, int64_t deadline_us);

/* No exchange may be suspended any more. Accepts NULL. */
void server_stop(struct server *server);

/* On the polling thread: can a good answer of that origin be sent without its body being built?
 * Then the handler sets `origin` and may set `left_out_bytes` to *ret_len instead. */
bool exchange_has_body(struct response_origin origin, size_t *ret_len);

/* Takes the exchange off its polling thread; `handle` must then return EXCHANGE_TAKEN. */
void exchange_suspend(struct exchange *exchange);

/* The answer is complete: sends it. Any thread; the exchange is gone afterwards. */
void exchange_resume(struct exchange *exchange);
