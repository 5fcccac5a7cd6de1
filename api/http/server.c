#include "api/http/server.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "api/http/listen.h"
#include "api/http/peers.h"
#include "api/http/server_answers.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/thread.h"

/* A head with the longest credential fits twice. The library wipes all of it behind each request,
 * and each open connection has one. */
#define CONNECTION_MEMORY_BYTES (16UL * 1024)
/* What the library keeps there beside the head, and for each of its lines. */
#define CONNECTION_OTHER_BYTES 256UL
#define HEADER_BYTES           64UL
/* The head of an answer without Link, X-Request-Id and what browsers are told of origins. */
#define ANSWER_HEAD_BYTES 768UL
#define ANSWER_CORS_BYTES 320UL
#define ARENA_EXTRA_BYTES (256UL * 1024)
/* Enough for most requests: hundreds may wait for one answer. */
#define ARENA_FIRST_BYTES (4UL * 1024)
/* Closing while the client still writes resets the connection, and the answer may be lost with it.
 * So an upload that is too large is read and dropped up to this size before the 413; what is
 * larger, or waits for our word (Expect), is answered at once. */
#define OVERSIZE_PATIENCE_BYTES (INT64_C(16) * 1024 * 1024)

enum stage { STAGE_HEADERS, STAGE_BODY, STAGE_ANSWERING, STAGE_SENT };

/* What the library's callbacks pass around; the handler sees only `exchange`. */
struct transaction {
    struct exchange exchange;
    struct server *server;
    struct sender *sender;
    struct MHD_Connection *connection;
    struct peer *peer;
    enum stage stage;
    struct buf target;
    const char *raw_target; /* in the library's buffer, for request_lines_are_clean */
    size_t raw_target_len;
    struct buf body;
    size_t body_dropped;
};

/* What a request may leave to the next one in buffers. */
#define SPARE_BODY_MAX (64UL * 1024)

/* What a polling thread has for itself, so that requests on two of them share nothing. */
struct sender {
    struct sender *next;
    struct server *server;
    struct transaction *spare;
    _Atomic int64_t n_in_flight;
    struct answers answers;
};

static _Thread_local struct sender *my_sender;

struct server {
    struct server_settings settings;
    struct MHD_Daemon *daemon;
    char address[LISTEN_ADDRESS_MAX];
    bool is_loopback;
    bool checks_lines;
    struct peers *peers;
    struct mutex lock;
    struct condition idle;
    struct sender *senders; /* guarded by lock */
    int listen_fd;
    _Atomic bool draining;
};

static struct transaction *transaction_of(struct exchange *exchange)
{
    return (struct transaction *)(void *)exchange;
}

/* --- connections and polling threads ------------------------------------------------------- */

static void on_connection(void *cls,
                          struct MHD_Connection *connection,
                          void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        int fd = info != NULL ? (int)info->connect_fd : -1;
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        *socket_context = peers_add(server->peers, fd, info != NULL ? info->client_addr : NULL);
    } else if (*socket_context != NULL) {
        peers_remove(server->peers, *socket_context);
        *socket_context = NULL;
    }
}

static struct sender *get_sender(struct server *server)
{
    if (my_sender == NULL) {
        my_sender = XNEW(struct sender);
        my_sender->server = server;
        MUTEX_GUARD(&server->lock);
        my_sender->next = server->senders;
        server->senders = my_sender;
    }
    assert(my_sender->server == server);
    return my_sender;
}

static int64_t count_in_flight(const struct server *server)
{
    int64_t count = 0;
    for (const struct sender *sender = server->senders; sender != NULL; sender = sender->next) {
        count += atomic_load(&sender->n_in_flight);
    }
    return count;
}

/* --- one request ------------------------------------------------------------------------------ */

static struct transaction *new_transaction(const struct server *server)
{
    struct transaction *transaction = XNEW(struct transaction);
    buf_init(&transaction->target, CONNECTION_MEMORY_BYTES);
    buf_init(&transaction->body, server->settings.body_limit_bytes);
    response_init(&transaction->exchange.response);
    arena_init_small(&transaction->exchange.arena,
                     server->settings.body_limit_bytes * 2 + ARENA_EXTRA_BYTES, ARENA_FIRST_BYTES);
    return transaction;
}

static void free_transaction(struct transaction *transaction)
{
    if (transaction != NULL) {
        buf_release(&transaction->target);
        buf_release(&transaction->body);
        response_release(&transaction->exchange.response);
        arena_release(&transaction->exchange.arena);
        xfree(transaction);
    }
}

/* Keeps it for the next request, or most of its time would go into memory. */
static bool keep_transaction(struct transaction *transaction)
{
    struct sender *sender = my_sender; /* NULL while the server stops */
    if (sender == NULL || sender->spare != NULL || transaction->body.capacity > SPARE_BODY_MAX ||
        transaction->exchange.response.body.capacity > SPARE_BODY_MAX) {
        return false;
    }
    buf_reset(&transaction->target);
    buf_reset(&transaction->body);
    response_reset(&transaction->exchange.response);
    arena_reset(&transaction->exchange.arena);
    sender->spare = transaction;
    return true;
}

/* libmicrohttpd 0.9 would next cut the query into arguments that nobody asks it for, each at the
 * cost of 64 bytes of the connection's memory: behind two hundred none is left for an answer. It
 * looks in this very buffer, which is its own and no constant. */
static void hide_query(const char *target)
{
    const char *query = strchr(target, '?');
    if (query != NULL) {
        ((char *)(uintptr_t)query)[1] = '\0';
    }
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct server *server = cls;
    struct sender *sender = get_sender(server);
    struct transaction *transaction =
        sender->spare != NULL ? TAKE(sender->spare) : new_transaction(server);
    transaction->sender = sender;
    transaction->server = server;
    transaction->connection = connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    transaction->peer = info != NULL ? info->socket_context : NULL;
    transaction->stage = STAGE_HEADERS;
    transaction->raw_target = target;
    transaction->raw_target_len = strlen(target);
    transaction->body_dropped = 0;
    buf_add(&transaction->target, target, transaction->raw_target_len);
    if (server->checks_lines) {
        hide_query(target);
    }
    struct exchange *exchange = &transaction->exchange;
    exchange->user = NULL;
    exchange->request = (struct request){.arena = &exchange->arena};
    exchange->request.started_us = clock_monotonic_us();
    atomic_fetch_add(&sender->n_in_flight, 1);
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
        peer_limit(transaction->peer, server->settings.request_limit_us);
    }
    if (server->settings.finished != NULL) {
        server->settings.finished(&transaction->exchange);
    }
    struct sender *sender = transaction->sender;
    if (!keep_transaction(transaction)) {
        free_transaction(transaction);
    }
    if (atomic_fetch_sub(&sender->n_in_flight, 1) == 1 && atomic_load(&server->draining)) {
        MUTEX_GUARD(&server->lock);
        condition_broadcast(&server->idle);
    }
}

struct header_sink {
    struct header headers[REQUEST_HEADERS_MAX];
    size_t n_headers;
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
    if (sink->n_headers == REQUEST_HEADERS_MAX) {
        sink->overflow = true;
        return MHD_NO;
    }
    sink->headers[sink->n_headers++] = (struct header){{key, key_size}, {value, value_size}};
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
        peer_limit(transaction->peer, server->settings.answer_limit_us);
    }
    if (response->body.overflow) {
        struct problem problem = {0};
        (void)problem_set(&problem, 422, "answer_too_large",
                          "the answer would be larger than this service builds: lower `limit`");
        response_problem(response, &exchange->request, &problem);
        response_trace(response, &exchange->request);
    }
    if (server->settings.answered != NULL) {
        server->settings.answered(server->settings.context, exchange);
    }
    bool is_last = response->close || atomic_load(&server->draining);
    return answers_queue(&transaction->sender->answers, transaction->connection, response, is_last);
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

/* Head and answer share the connection's memory; an answer that does not fit is never sent. */
static int64_t spare_bytes(const struct transaction *transaction)
{
    const struct request *request = &transaction->exchange.request;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(transaction->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t origin = request_header(request, "Origin").len;
    size_t taken = (info != NULL ? info->header_size : CONNECTION_MEMORY_BYTES) +
                   request->n_headers * HEADER_BYTES + CONNECTION_OTHER_BYTES;
    size_t usual =
        ANSWER_HEAD_BYTES + request->request_id.len + (origin > 0 ? ANSWER_CORS_BYTES + origin : 0);
    return (int64_t)CONNECTION_MEMORY_BYTES - (int64_t)taken - (int64_t)usual;
}

static void read_head(struct transaction *transaction,
                      const char *method,
                      const char *version,
                      bool *ret_overflow)
{
    struct request *request = &transaction->exchange.request;
    request->method = str_from(method);
    request->version = str_from(version);
    request_set_target(request, buf_str(&transaction->target));
    struct header_sink sink;
    sink.n_headers = 0;
    sink.overflow = false;
    (void)MHD_get_connection_values_n(transaction->connection, MHD_HEADER_KIND, on_header, &sink);
    size_t size = sink.n_headers * sizeof(*request->headers);
    request->headers = arena_alloc(request->arena, size);
    if (request->headers != NULL) {
        memcpy(request->headers, sink.headers, size);
        request->n_headers = sink.n_headers;
    }
    *ret_overflow = sink.overflow || request->headers == NULL;
    request->remote = transaction->peer != NULL ? peer_remote(transaction->peer) : "unknown";
    trace_start(&request->trace, request_header(request, "traceparent"));
    struct str request_id = request_header(request, "X-Request-Id");
    if (trace_request_id_is_valid(request_id)) {
        request->request_id = request_id;
    }
    request->answer_spare_bytes = spare_bytes(transaction);
}

static enum MHD_Result
on_head(struct transaction *transaction, const char *method, const char *version)
{
    struct server *server = transaction->server;
    struct request *request = &transaction->exchange.request;
    bool overflow = false;
    read_head(transaction, method, version, &overflow);
    struct problem problem = {0};
    if (overflow) {
        (void)problem_set(&problem, 431, "too_many_headers", "send at most %d headers",
                          REQUEST_HEADERS_MAX);
        return refuse(transaction, &problem);
    }
    if (request->answer_spare_bytes < 0) {
        (void)problem_set(&problem, 431, "head_too_large",
                          "the head of the request leaves no room for that of the answer: send at "
                          "most 14 KiB, in fewer lines");
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
    request_join_lists(request);
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
        peer_limit(transaction->peer, PEER_TIME_IS_OURS);
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
        if (transaction->server->settings.resumed != NULL) {
            transaction->server->settings.resumed(&transaction->exchange);
        }
        return send_answer(transaction);
    case STAGE_SENT:
        break;
    }
    return MHD_NO;
}

bool exchange_has_body(struct response_origin origin, size_t *ret_len)
{
    return my_sender != NULL && answers_have_body(&my_sender->answers, origin, ret_len);
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
    condition_init(&server->idle);
    server->peers = peers_start(settings->request_limit_us);
    server->daemon = start_daemon(server);
    if (server->daemon == NULL) {
        (void)close(fd);
        peers_stop(server->peers);
        condition_release(&server->idle);
        mutex_release(&server->lock);
        error_set(err, ERROR_CONFIG,
                  "cannot serve on %s: libmicrohttpd did not start; check the limits of this "
                  "process (threads, open files)",
                  server->address);
        xfree(server);
        return NULL;
    }
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
    struct peers_counters counters = peers_counters(server->peers);
    return (struct server_counters){
        .connections = counters.open,
        .connections_total = counters.total,
        .slow_closed_total = counters.slow_closed_total,
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
    while (count_in_flight(server) > 0) {
        if (!condition_wait_until(&server->idle, &server->lock, deadline_us)) {
            return count_in_flight(server) == 0;
        }
    }
    return true;
}

/* Its thread is gone. */
static void free_sender(struct sender *sender)
{
    answers_release(&sender->answers);
    free_transaction(sender->spare);
    xfree(sender);
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    (void)server_drain(server, 0);
    MHD_stop_daemon(server->daemon);
    peers_stop(server->peers);
    while (server->senders != NULL) {
        struct sender *sender = server->senders;
        server->senders = sender->next;
        free_sender(sender);
    }
    condition_release(&server->idle);
    mutex_release(&server->lock);
    xfree(server);
}
