#include "api/http/server.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "api/http/listen.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"

#define CONNECTION_MEMORY_BYTES (32UL * 1024)
#define ARENA_EXTRA_BYTES       (256UL * 1024)
#define REAP_INTERVAL_US        (250 * US_PER_MS)
/* Closing while the client still writes resets the connection, and the answer may be lost with it.
 * So an upload that is too large is read and dropped up to this size before the 413; what is
 * larger, or waits for our word (Expect), is answered at once. */
#define OVERSIZE_PATIENCE_BYTES (INT64_C(16) * 1024 * 1024)

/* One open socket; what the reaper knows of it. */
struct peer {
    struct peer *next;  /* guarded by server's lock */
    struct peer **link; /* guarded by server's lock */
    int fd;
    _Atomic int64_t deadline_us; /* monotonic; INT64_MAX while the time is ours, not the peer's */
};

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_ANSWERING, STAGE_SENT };

/* What the library's callbacks pass around; the handler sees only `exchange`. */
struct transaction {
    struct exchange exchange;
    struct server *server;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum stage stage;
    struct buf target;
    const char *raw_target; /* in the library's buffer, for request_lines_are_clean */
    size_t raw_target_len;
    struct buf body;
    size_t body_dropped;
};

struct server {
    struct server_settings settings;
    struct MHD_Daemon *daemon;
    char address[LISTEN_ADDRESS_MAX];
    bool is_loopback;
    bool checks_lines;
    struct mutex lock;
    struct condition changed;
    struct peer *peers; /* guarded by lock */
    bool reaper_stops;  /* guarded by lock */
    struct thread reaper;
    int listen_fd;
    _Atomic int64_t n_in_flight;
    _Atomic int64_t n_connections;
    _Atomic int64_t n_connections_total;
    _Atomic int64_t n_slow_closed;
    _Atomic bool draining;
};

static struct transaction *transaction_of(struct exchange *exchange)
{
    return (struct transaction *)(void *)exchange;
}

/* --- connections ------------------------------------------------------------------------------ */

static void
add_peer(struct server *server, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct peer *peer = XNEW(struct peer);
    peer->fd = info != NULL ? (int)info->connect_fd : -1;
    atomic_store(&peer->deadline_us, clock_monotonic_us() + server->settings.request_limit_us);
    *socket_context = peer;
    atomic_fetch_add(&server->n_connections, 1);
    atomic_fetch_add(&server->n_connections_total, 1);
    MUTEX_GUARD(&server->lock);
    peer->next = server->peers;
    peer->link = &server->peers;
    if (peer->next != NULL) {
        peer->next->link = &peer->next;
    }
    server->peers = peer;
}

/* Called before the library closes the descriptor: the reaper never shuts down a reused one. */
static void remove_peer(struct server *server, struct peer *peer)
{
    {
        MUTEX_GUARD(&server->lock);
        *peer->link = peer->next;
        if (peer->next != NULL) {
            peer->next->link = peer->link;
        }
    }
    atomic_fetch_sub(&server->n_connections, 1);
    xfree(peer);
}

static void on_connection(void *cls,
                          struct MHD_Connection *connection,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        add_peer(server, connection, socket_context);
    } else if (*socket_context != NULL) {
        remove_peer(server, *socket_context);
        *socket_context = NULL;
    }
}

static void reap(struct server *server)
{
    int64_t now_us = clock_monotonic_us();
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (atomic_load(&peer->deadline_us) < now_us) {
            /* The polling thread wakes up, reads the end and closes. */
            (void)shutdown(peer->fd, SHUT_RDWR);
            atomic_store(&peer->deadline_us, INT64_MAX);
            atomic_fetch_add(&server->n_slow_closed, 1);
        }
    }
}

/* libmicrohttpd's own timeout starts again with each byte; this one does not. */
static void *reaper_main(void *arg)
{
    struct server *server = arg;
    MUTEX_GUARD(&server->lock);
    while (!server->reaper_stops) {
        (void)condition_wait_until(&server->changed, &server->lock,
                                   clock_monotonic_us() + REAP_INTERVAL_US);
        reap(server);
    }
    return NULL;
}

/* --- one request ------------------------------------------------------------------------------ */

static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct server *server = cls;
    struct transaction *transaction = XNEW(struct transaction);
    transaction->server = server;
    transaction->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    transaction->peer = info != NULL ? info->socket_context : NULL;
    transaction->raw_target = target;
    transaction->raw_target_len = strlen(target);
    buf_init(&transaction->target, CONNECTION_MEMORY_BYTES);
    buf_add(&transaction->target, target, transaction->raw_target_len);
    buf_init(&transaction->body, server->settings.body_limit_bytes);
    struct exchange *exchange = &transaction->exchange;
    arena_init(&exchange->arena, server->settings.body_limit_bytes * 2 + ARENA_EXTRA_BYTES);
    response_init(&exchange->response);
    exchange->request.arena = &exchange->arena;
    exchange->request.started_us = clock_monotonic_us();
    atomic_fetch_add(&server->n_in_flight, 1);
    return transaction;
}

static void on_completed(void *cls,
                         struct MHD_Connection *connection,
                         void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    struct server *server = cls;
    struct transaction *transaction = *con_cls;
    *con_cls = NULL;
    if (transaction == NULL) {
        return;
    }
    if (transaction->peer != NULL) {
        atomic_store(&transaction->peer->deadline_us,
                     clock_monotonic_us() + server->settings.request_limit_us);
    }
    buf_release(&transaction->target);
    buf_release(&transaction->body);
    response_release(&transaction->exchange.response);
    arena_release(&transaction->exchange.arena);
    xfree(transaction);
    if (atomic_fetch_sub(&server->n_in_flight, 1) == 1 && atomic_load(&server->draining)) {
        MUTEX_GUARD(&server->lock);
        condition_broadcast(&server->changed);
    }
}

struct header_sink {
    struct request *request;
    bool overflow;
};

static enum MHD_Result on_header(void *cls,
                                 enum MHD_ValueKind kind,
                                 const char *key,
                                 size_t key_size,
                                 const char *value,
                                 size_t value_size)
{
    (void)kind;
    struct header_sink *sink = cls;
    if (sink->request->n_headers == REQUEST_HEADERS_MAX) {
        sink->overflow = true;
        return MHD_NO;
    }
    sink->request->headers[sink->request->n_headers++] =
        (struct header){{key, key_size}, {value, value_size}};
    return MHD_YES;
}

/*
 * libmicrohttpd 0.9 takes a bare CR or LF for the end of a line, stops reading a value at a NUL,
 * unfolds continuation lines, skips blanks in the request line and takes a line without a name
 * (":...") for the end of the head: none of it can be seen in what it hands out, and all of it lets
 * a proxy in front see other requests than we do. But it cuts the lines in place, writing NULs over
 * their ends, and tells how long the head was: what CRLF leaves behind are two NULs between a value
 * and the next name and two more at the end, and then the sizes add up. One form stays invisible, a
 * line of ":" and a bare LF, which leaves the same NULs as an empty line: keep a proxy in front
 * that refuses or repairs it (nginx does) where others may share its connections.
 */
static bool
lines_are_clean(const struct transaction *transaction, const char *method, const char *version)
{
    const struct request *request = &transaction->exchange.request;
    const char *target_end = transaction->raw_target + transaction->raw_target_len;
    if (method + strlen(method) + 1 != transaction->raw_target || target_end + 1 != version) {
        return false;
    }
    const char *end = version + strlen(version);
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct header *header = &request->headers[i];
        if (end[0] != '\0' || end[1] != '\0' || header->name.ptr != end + 2) {
            return false;
        }
        end = header->value.ptr + header->value.len;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(transaction->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return end[0] == '\0' && end[1] == '\0' && info != NULL &&
           info->header_size == (size_t)(end + 4 - method);
}

static enum MHD_Result send_answer(struct transaction *transaction)
{
    struct exchange *exchange = &transaction->exchange;
    struct server *server = transaction->server;
    struct response *response = &exchange->response;
    transaction->stage = STAGE_SENT;
    if (transaction->peer != NULL) {
        atomic_store(&transaction->peer->deadline_us,
                     clock_monotonic_us() + server->settings.answer_limit_us);
    }
    if (response->body.overflow) {
        struct problem problem = {0};
        (void)problem_set(&problem, 422, "answer_too_large",
                          "the answer would be larger than this service builds: lower `limit`");
        response_problem(response, &exchange->request, &problem);
        response_trace(response, &exchange->request);
    }
    /* The body belongs to the exchange, which lives until on_completed. */
    struct MHD_Response *answer = MHD_create_response_from_buffer(
        response->body.len, response->body.ptr, MHD_RESPMEM_PERSISTENT);
    if (answer == NULL) {
        return MHD_NO;
    }
    if (response->content_type != NULL) {
        (void)MHD_add_response_header(answer, "Content-Type", response->content_type);
    }
    for (size_t i = 0; i < response->n_headers; i++) {
        (void)MHD_add_response_header(answer, response->headers[i].name,
                                      response->headers[i].value);
    }
    (void)MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    if (response->close || atomic_load(&server->draining)) {
        (void)MHD_add_response_header(answer, "Connection", "close");
    }
    if (server->settings.answered != NULL) {
        server->settings.answered(server->settings.context, exchange);
    }
    enum MHD_Result result =
        MHD_queue_response(transaction->connection, (unsigned)response->status, answer);
    MHD_destroy_response(answer);
    return result;
}

static enum MHD_Result refuse(struct transaction *transaction, const struct problem *problem)
{
    struct exchange *exchange = &transaction->exchange;
    response_problem(&exchange->response, &exchange->request, problem);
    response_trace(&exchange->response, &exchange->request);
    /* What follows on this connection cannot be trusted to be a request. */
    exchange->response.close = true;
    return send_answer(transaction);
}

static void read_head(struct transaction *transaction,
                      const char *method,
                      const char *version,
                      struct header_sink *sink)
{
    struct request *request = &transaction->exchange.request;
    request->method = str_from(method);
    request->version = str_from(version);
    request_set_target(request, buf_str(&transaction->target));
    sink->request = request;
    (void)MHD_get_connection_values_n(transaction->connection, MHD_HEADER_KIND, on_header, sink);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(transaction->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    listen_peer_text(info != NULL ? info->client_addr : NULL, request->remote,
                     sizeof(request->remote));
    trace_start(&request->trace, request_header(request, "traceparent"));
    struct str request_id = request_header(request, "X-Request-Id");
    if (trace_request_id_is_valid(request_id)) {
        request->request_id = request_id;
    }
}

static enum MHD_Result
on_head(struct transaction *transaction, const char *method, const char *version)
{
    struct server *server = transaction->server;
    struct request *request = &transaction->exchange.request;
    struct header_sink sink = {0};
    read_head(transaction, method, version, &sink);
    struct problem problem = {0};
    if (sink.overflow) {
        (void)problem_set(&problem, 431, "too_many_headers", "send at most %d headers",
                          REQUEST_HEADERS_MAX);
        return refuse(transaction, &problem);
    }
    if (server->checks_lines && !lines_are_clean(transaction, method, version)) {
        (void)problem_set(&problem, 400, "bad_header",
                          "each line of the head must end with CRLF, hold no NUL and not be "
                          "continued on the next");
        return refuse(transaction, &problem);
    }
    if (!request_check(request, &problem)) {
        return refuse(transaction, &problem);
    }
    int64_t length = request_content_length(request);
    bool is_answered_at_once =
        length > OVERSIZE_PATIENCE_BYTES || request_header_has(request, "Expect", "100-continue");
    if (length > (int64_t)server->settings.body_limit_bytes && is_answered_at_once) {
        (void)problem_set(&problem, 413, "body_too_large", "the body may have at most %zu bytes",
                          server->settings.body_limit_bytes);
        return refuse(transaction, &problem);
    }
    transaction->stage = STAGE_BODY;
    return MHD_YES;
}

static enum MHD_Result
on_upload(struct transaction *transaction, const char *data, size_t *data_size)
{
    buf_add(&transaction->body, data, *data_size);
    if (transaction->body.overflow) {
        transaction->body_dropped += *data_size;
    }
    *data_size = 0;
    return transaction->body_dropped > (size_t)OVERSIZE_PATIENCE_BYTES ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_whole(struct transaction *transaction)
{
    struct server *server = transaction->server;
    struct problem problem = {0};
    if (transaction->body.overflow) {
        (void)problem_set(&problem, 413, "body_too_large", "the body may have at most %zu bytes",
                          server->settings.body_limit_bytes);
        return refuse(transaction, &problem);
    }
    if (transaction->peer != NULL) {
        atomic_store(&transaction->peer->deadline_us, INT64_MAX);
    }
    transaction->exchange.request.body = buf_str(&transaction->body);
    transaction->stage = STAGE_ANSWERING;
    enum exchange_state state =
        server->settings.handle(server->settings.context, &transaction->exchange);
    switch (state) {
    case EXCHANGE_ANSWERED:
        return send_answer(transaction);
    case EXCHANGE_TAKEN:
        break;
    }
    return MHD_YES;
}

/* NOLINTNEXTLINE(readability-function-size): the signature is libmicrohttpd's */
static enum MHD_Result on_access(void *cls,
                                 struct MHD_Connection *connection,
                                 const char *url,
                                 const char *method,
                                 const char *version,
                                 const char *upload_data,
                                 size_t *upload_data_size,
                                 void **con_cls)
{
    (void)cls;
    (void)connection;
    (void)url;
    struct transaction *transaction = *con_cls;
    switch (transaction->stage) {
    case STAGE_HEADERS:
        return on_head(transaction, method, version);
    case STAGE_BODY:
        return *upload_data_size > 0 ? on_upload(transaction, upload_data, upload_data_size)
                                     : on_whole(transaction);
    case STAGE_ANSWERING:
        return send_answer(transaction);
    case STAGE_SENT:
        break;
    }
    return MHD_NO;
}

void exchange_suspend(struct exchange *exchange)
{
    MHD_suspend_connection(transaction_of(exchange)->connection);
}

void exchange_resume(struct exchange *exchange)
{
    MHD_resume_connection(transaction_of(exchange)->connection);
}

/* --- lifecycle -------------------------------------------------------------------------------- */

/* Paths and queries are decoded by request_decode, which the library must not forestall. */
static size_t keep_escapes(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void on_library_message(void *cls, const char *format, va_list args) PRINTF_FORMAT(2, 0);

static void on_library_message(void *cls, const char *format, va_list args)
{
    (void)cls;
    char text[256];
    (void)vsnprintf(text, sizeof(text), format, args);
    text[strcspn(text, "\n")] = '\0';
    log_debug("libmicrohttpd", LOG_TEXT("text", text));
}

static struct MHD_Daemon *start_daemon(struct server *server)
{
    const struct server_settings *settings = &server->settings;
    unsigned threads = (unsigned)settings->threads;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_library_message, NULL},
        {MHD_OPTION_LISTEN_SOCKET, server->listen_fd, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)settings->connection_limit, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)settings->connection_limit_per_address,
         NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, server},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        /* A pool of one is refused by the library: one thread is the default. */
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        on_access, server, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

struct server *server_start(const struct server_settings *settings, struct error *err)
{
    int fd = listen_open(settings->listen, err);
    if (fd < 0) {
        return NULL;
    }
    struct server *server = XNEW(struct server);
    server->settings = *settings;
    server->listen_fd = fd;
    server->is_loopback = listen_is_loopback(fd);
    /* Later major versions refuse such lines themselves and may keep their buffers otherwise. */
    server->checks_lines = strncmp(MHD_get_version(), "0.9.", 4) == 0;
    listen_describe(fd, server->address);
    mutex_init(&server->lock);
    condition_init(&server->changed);
    server->daemon = start_daemon(server);
    if (server->daemon == NULL) {
        (void)close(fd);
        condition_release(&server->changed);
        mutex_release(&server->lock);
        error_set(err, ERROR_CONFIG,
                  "cannot serve on %s: libmicrohttpd did not start; check the limits of this "
                  "process (threads, open files)",
                  server->address);
        xfree(server);
        return NULL;
    }
    thread_start(&server->reaper, "http reaper", reaper_main, server);
    return server;
}

const char *server_address(const struct server *server)
{
    return server->address;
}

bool server_is_loopback(const struct server *server)
{
    return server->is_loopback;
}

struct server_counters server_counters(struct server *server)
{
    return (struct server_counters){
        .connections = atomic_load(&server->n_connections),
        .connections_total = atomic_load(&server->n_connections_total),
        .slow_closed_total = atomic_load(&server->n_slow_closed),
    };
}

bool server_drain(struct server *server, int64_t deadline_us)
{
    if (!atomic_exchange(&server->draining, true)) {
        MHD_socket fd = MHD_quiesce_daemon(server->daemon);
        if (fd != MHD_INVALID_SOCKET) {
            (void)close(fd);
        }
    }
    MUTEX_GUARD(&server->lock);
    while (atomic_load(&server->n_in_flight) > 0) {
        if (!condition_wait_until(&server->changed, &server->lock, deadline_us)) {
            return atomic_load(&server->n_in_flight) == 0;
        }
    }
    return true;
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    (void)server_drain(server, 0);
    MHD_stop_daemon(server->daemon);
    {
        MUTEX_GUARD(&server->lock);
        server->reaper_stops = true;
        condition_broadcast(&server->changed);
    }
    thread_join(&server->reaper);
    condition_release(&server->changed);
    mutex_release(&server->lock);
    xfree(server);
}
