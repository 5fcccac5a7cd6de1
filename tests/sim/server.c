#include "tests/sim/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/error.h"

#define BODY_MAX_BYTES   (size_t)(16 << 20) /* of a request */
#define REPLY_MAX_BYTES  (size_t)(512 << 20)
#define CONNECTION_BYTES (size_t)(512 << 10)
#define BLOCK_BYTES      (size_t)(256 << 10)

struct server {
    struct MHD_Daemon *daemon;
    server_handler *handler;
    void *context;
    struct stop *stop;
    char address[64];
};

/* One request from its first byte to the last of its reply. */
struct exchange {
    struct server *server;
    char *uri;
    char *decoded;
    bool started;
    struct buf body;
    struct request request;
    struct reply reply;
    size_t sent;      /* of reply.body */
    int64_t begun_us; /* of the body, for dripping */
    int64_t total;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t decode_in_place(char *text, size_t len)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] == '+') {
            text[out++] = ' ';
        } else if (text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
                   hex_digit(text[i + 2]) >= 0) {
            text[out++] = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        } else {
            text[out++] = text[i];
        }
    }
    return out;
}

int params_decode(char *text, size_t len, struct param *params, int max_params)
{
    struct str rest = {text, len};
    int n = 0;

    while (rest.ptr != NULL && len > 0 && n < max_params) {
        struct str pair = str_cut(&rest, '&');
        struct str value = pair;
        struct str name = str_cut(&value, '=');

        if (name.len == 0) {
            continue;
        }
        params[n].name =
            (struct str){name.ptr, decode_in_place(text + (name.ptr - text), name.len)};
        params[n].value =
            value.ptr == NULL
                ? (struct str){"", 0}
                : (struct str){value.ptr, decode_in_place(text + (value.ptr - text), value.len)};
        n++;
    }
    return n;
}

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

bool request_param(const struct request *request, const char *name, struct str *ret_value)
{
    for (int i = 0; i < request->n_params; i++) {
        if (str_equal_c(request->params[i].name, name)) {
            *ret_value = request->params[i].value;
            return true;
        }
    }
    return false;
}

void reply_header(struct reply *reply, const char *name, const char *format, ...)
{
    struct buf text CLEANUP(buf_release) = {0};
    va_list args;

    if (reply->n_headers == REPLY_MAX_HEADERS) {
        return;
    }
    buf_init(&text, 65536);
    va_start(args, format);
    buf_addv(&text, format, args);
    va_end(args);
    reply->headers[reply->n_headers].name = xstrdup(name);
    reply->headers[reply->n_headers].value = buf_take(&text);
    reply->n_headers++;
}

static void *open_exchange(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct exchange *exchange = XNEW(struct exchange);

    exchange->server = context;
    exchange->uri = xstrdup(uri);
    exchange->request.connection = connection;
    buf_init(&exchange->body, BODY_MAX_BYTES);
    buf_init(&exchange->reply.body, REPLY_MAX_BYTES);
    exchange->reply.cut_after_bytes = -1;
    return exchange;
}

static void free_exchange(struct exchange *exchange)
{
    for (int i = 0; i < exchange->reply.n_headers; i++) {
        xfree(exchange->reply.headers[i].name);
        xfree(exchange->reply.headers[i].value);
    }
    if (exchange->reply.source_free != NULL) {
        exchange->reply.source_free(exchange->reply.source_context);
    }
    buf_release(&exchange->reply.body);
    buf_release(&exchange->body);
    xfree(exchange->decoded);
    xfree(exchange->uri);
    xfree(exchange);
}

static void close_exchange(void *context,
                           struct MHD_Connection *connection,
                           void **state,
                           enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    if (*state != NULL) {
        free_exchange(*state);
        *state = NULL;
    }
}

/* Refills reply.body from the source; false: nothing more. */
static bool refill(struct exchange *exchange)
{
    struct reply *reply = &exchange->reply;

    if (reply->source == NULL) {
        return false;
    }
    buf_reset(&reply->body);
    exchange->sent = 0;
    if (!reply->source(reply->source_context, &reply->body)) {
        reply->source = NULL;
    }
    return reply->body.len > 0;
}

/* How many of `size` bytes may go out now, after waiting for the drip's turn; 0: stopped. */
static size_t drip(struct exchange *exchange, size_t size)
{
    struct reply *reply = &exchange->reply;
    size_t share = (size_t)(reply->bytes_per_second / 10 + 1);
    int64_t due_us = exchange->begun_us + exchange->total * US_PER_S / reply->bytes_per_second;

    if (!stop_sleep_until(exchange->server->stop, due_us)) {
        return 0;
    }
    return size < share ? size : share;
}

static ssize_t read_body(void *context, uint64_t position, char *out, size_t max)
{
    struct exchange *exchange = context;
    struct reply *reply = &exchange->reply;

    (void)position;
    if (exchange->begun_us == 0) {
        exchange->begun_us = clock_monotonic_us();
    }
    size_t size = reply->body.len - exchange->sent;

    if (size == 0) {
        if (!refill(exchange)) {
            return MHD_CONTENT_READER_END_OF_STREAM;
        }
        size = reply->body.len - exchange->sent;
    }
    size = size < max ? size : max;
    if (reply->cut_after_bytes >= 0) {
        size_t left = (size_t)(reply->cut_after_bytes - exchange->total);

        if (left == 0) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        size = size < left ? size : left;
    }
    if (reply->bytes_per_second > 0) {
        size = drip(exchange, size);
        if (size == 0) {
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
    memcpy(out, reply->body.ptr + exchange->sent, size);
    exchange->sent += size;
    exchange->total += (int64_t)size;
    return (ssize_t)size;
}

/* Until the client hangs up or the server stops. */
static void hang(struct exchange *exchange, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char byte;

    while (stop_sleep_until(exchange->server->stop, clock_monotonic_us() + 50 * US_PER_MS)) {
        if (recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) {
            return;
        }
    }
}

static enum MHD_Result send_reply(struct exchange *exchange, struct MHD_Connection *connection)
{
    struct reply *reply = &exchange->reply;
    struct MHD_Response *response;

    if (reply->wait_us > 0) {
        (void)stop_sleep_until(exchange->server->stop, clock_monotonic_us() + reply->wait_us);
    }
    if (reply->never) {
        hang(exchange, connection);
        return MHD_NO;
    }
    if (reply->body.len == 0 && reply->source == NULL) {
        static char nothing[] = "";

        response = MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_body,
                                                     exchange, NULL);
    }
    for (int i = 0; i < reply->n_headers; i++) {
        (void)MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    }
    enum MHD_Result queued = MHD_queue_response(connection, (unsigned)reply->status, response);

    MHD_destroy_response(response);
    return queued;
}

static void parse_request(struct exchange *exchange, const char *method)
{
    struct request *request = &exchange->request;
    struct str rest = str_from(exchange->uri);

    request->method = method;
    request->uri = exchange->uri;
    request->path = str_cut(&rest, '?');
    request->body = buf_str(&exchange->body);
    request->stop = exchange->server->stop;
    if (rest.ptr != NULL) {
        exchange->decoded = xstrndup(rest.ptr, rest.len);
        request->n_params =
            params_decode(exchange->decoded, rest.len, request->params, REQUEST_MAX_PARAMS);
    }
}

static enum MHD_Result handle(void *context,
                              struct MHD_Connection *connection,
                              const char *url,
                              const char *method,
                              const char *version,
                              const char *upload,
                              size_t *upload_size,
                              void **state)
{
    struct server *server = context;
    struct exchange *exchange = *state;

    (void)url;
    (void)version;
    if (!exchange->started) {
        exchange->started = true;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        buf_add(&exchange->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    parse_request(exchange, method);
    if (exchange->body.overflow) {
        exchange->reply.status = 413;
        return send_reply(exchange, connection);
    }
    server->handler(server->context, &exchange->request, &exchange->reply);
    if (exchange->reply.body.overflow) {
        return MHD_NO;
    }
    return send_reply(exchange, connection);
}

static bool parse_listen(const char *listen, struct sockaddr_in *ret_address, struct error *err)
{
    struct str port = str_from(listen);
    struct str host = str_cut(&port, ':');
    char text[64];
    int64_t number;

    snprintf(text, sizeof(text), "%.*s", STR_ARG(host));
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sin_family = AF_INET;
    if (inet_pton(AF_INET, text, &ret_address->sin_addr) != 1 || port.ptr == NULL ||
        !str_to_int64(port, 0, 65535, &number)) {
        return error_set(err, ERROR_CONFIG,
                         "--listen %s: must be a numeric IPv4 address and a port, like "
                         "127.0.0.1:0",
                         listen);
    }
    ret_address->sin_port = htons((uint16_t)number);
    return true;
}

struct server *
server_start(const char *listen, server_handler *handler, void *context, struct error *err)
{
    struct sockaddr_in address;

    if (!parse_listen(listen, &address, err)) {
        return NULL;
    }
    struct server *server = XNEW(struct server);

    server->handler = handler;
    server->context = context;
    server->stop = stop_new(NULL);
    /* The simulated clock writes the Date header. */
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_SUPPRESS_DATE_NO_CLOCK,
        0, NULL, NULL, handle, server, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_URI_LOG_CALLBACK,
        open_exchange, server, MHD_OPTION_NOTIFY_COMPLETED, close_exchange, NULL,
        MHD_OPTION_CONNECTION_LIMIT, 512U, MHD_OPTION_END);
    if (server->daemon == NULL) {
        stop_free(server->stop);
        xfree(server);
        (void)error_set(err, ERROR_CONFIG, "cannot listen on %s: is the port taken?", listen);
        return NULL;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT);
    char host[INET_ADDRSTRLEN] = "";

    (void)inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host));
    snprintf(server->address, sizeof(server->address), "%s:%u", host, (unsigned)info->port);
    return server;
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    stop_request(server->stop, STOP_SIGNAL);
    MHD_stop_daemon(server->daemon);
    stop_free(server->stop);
    xfree(server);
}

const char *server_address(const struct server *server)
{
    return server->address;
}
