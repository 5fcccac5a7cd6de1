#include "worker/http/transport_curl.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "worker/http/url.h"

#define BUFFER_BYTES (128L * 1024)

/* Once a body has begun it must keep coming: fewer than this many bytes a second over a window of
 * half the timeout (at least 1 s, at most 60 s) is a stuck connection. The time before the
 * first byte is the source's to think; the timeout bounds it. */
#define SLOW_BYTES_PER_S INT64_C(100)
#define SLOW_WINDOW_MIN  US_PER_S
#define SLOW_WINDOW_MAX  US_PER_MIN

/* Why one of our callbacks ended the transfer. */
enum verdict {
    VERDICT_NONE,
    VERDICT_STOPPED,
    VERDICT_TOO_SLOW,
    VERDICT_BODY_CAP,
    VERDICT_HEADER_CAP
};

struct transport_curl {
    CURL *easy;
    struct transport_options options;
    char words[CURL_ERROR_SIZE]; /* libcurl's own about the last failure */
    /* of the exchange under way */
    struct transport_answer *answer;
    struct url url;
    int64_t timeout_us;
    enum verdict verdict;
    int64_t window_began_us;
    int64_t window_bytes;
};

/* libcurl wants one initialisation before any thread uses it; there is no other state here. */
static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        abort();
    }
}

const char *transport_curl_accept_encoding(struct str host)
{
    return url_host_is_loopback(host) ? "identity" : "gzip";
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct transport_curl *transport = arg;
    size_t len = size * count;

    buf_add(&transport->answer->body, bytes, len);
    if (transport->answer->body.overflow) {
        transport->verdict = VERDICT_BODY_CAP;
        return 0;
    }
    return len;
}

/* libcurl's type, though nothing is written. NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct transport_curl *transport = arg;
    struct str line = {bytes, size * count};

    if (str_starts_with(line, STR_LITERAL("HTTP/"))) {
        headers_reset(&transport->answer->headers); /* what came before was interim: 100, proxy */
        return line.len;
    }
    if (!headers_add_line(&transport->answer->headers, line)) {
        transport->verdict = VERDICT_HEADER_CAP;
        return 0;
    }
    return line.len;
}

static int64_t slow_window_us(const struct transport_curl *transport)
{
    int64_t window_us = transport->timeout_us / 2;

    if (window_us < SLOW_WINDOW_MIN) {
        return SLOW_WINDOW_MIN;
    }
    return window_us < SLOW_WINDOW_MAX ? window_us : SLOW_WINDOW_MAX;
}

static bool is_too_slow(struct transport_curl *transport, int64_t received_bytes)
{
    int64_t now_us = clock_monotonic_us();

    if (received_bytes == 0) {
        return false;
    }
    if (transport->window_began_us == 0) {
        transport->window_began_us = now_us;
        transport->window_bytes = received_bytes;
        return false;
    }
    int64_t elapsed_us = now_us - transport->window_began_us;

    if (elapsed_us < slow_window_us(transport)) {
        return false;
    }
    bool slow =
        (received_bytes - transport->window_bytes) * US_PER_S < SLOW_BYTES_PER_S * elapsed_us;

    transport->window_began_us = now_us;
    transport->window_bytes = received_bytes;
    return slow;
}

/* libcurl calls this at least once a second, idle or not. */
static int on_progress(void *arg,
                       curl_off_t download_total,
                       curl_off_t download_now,
                       curl_off_t upload_total,
                       curl_off_t upload_now)
{
    struct transport_curl *transport = arg;

    (void)download_total;
    (void)upload_total;
    (void)upload_now;
    if (stop_is_requested(transport->options.stop)) {
        transport->verdict = VERDICT_STOPPED;
        return 1;
    }
    if (is_too_slow(transport, download_now)) {
        transport->verdict = VERDICT_TOO_SLOW;
        return 1;
    }
    return 0;
}

#define SET(option, value) (void)curl_easy_setopt(transport->easy, (option), (value))

/* What never changes. libcurl refuses no value here but for lack of memory or of a feature, and the
 * features were checked when the project was configured. */
static void set_constants(struct transport_curl *transport)
{
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, transport->words);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    SET(CURLOPT_COOKIEFILE, ""); /* a jar in memory, read from nowhere */
    SET(CURLOPT_USERAGENT, "foz/" FOZ_VERSION);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, transport);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, transport);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, transport);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(transport->options.connect_timeout_us / US_PER_MS));
    if (transport->options.ca_file != NULL) {
        SET(CURLOPT_CAINFO, transport->options.ca_file);
    }
}

static void set_method(struct transport_curl *transport, const struct transport_request *request)
{
    SET(CURLOPT_CUSTOMREQUEST, NULL);
    SET(CURLOPT_NOBODY, 0L);
    if (strcmp(request->method, "GET") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
        return;
    }
    if (strcmp(request->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return;
    }
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    SET(CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.ptr : "");
    if (strcmp(request->method, "POST") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_request(struct transport_curl *transport,
                        const struct transport_request *request,
                        struct curl_slist *headers)
{
    bool is_loopback = url_host_is_loopback(transport->url.host);

    set_method(transport, request);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_TIMEOUT_MS, (long)(request->timeout_us / US_PER_MS));
    SET(CURLOPT_ACCEPT_ENCODING, transport_curl_accept_encoding(transport->url.host));
    SET(CURLOPT_NOPROXY, is_loopback ? "*" : NULL);
}

#undef SET

static void wipe_list(struct curl_slist **list)
{
    for (struct curl_slist *node = *list; node != NULL; node = node->next) {
        explicit_bzero(node->data, strlen(node->data));
    }
    curl_slist_free_all(*list);
}

/* NULL if a header would smuggle in a second one. */
static struct curl_slist *make_list(const struct transport_request *request)
{
    struct curl_slist *list = NULL;

    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        if (strpbrk(header->name, "\r\n") != NULL || strpbrk(header->value, "\r\n") != NULL) {
            wipe_list(&list);
            return NULL;
        }
        char *line = xasprintf("%s: %s", header->name, header->value);
        struct curl_slist *longer = curl_slist_append(list, line);

        explicit_bzero(line, strlen(line));
        xfree(line);
        if (longer == NULL) {
            abort(); /* out of memory, as in xmalloc */
        }
        list = longer;
    }
    return list;
}

/* libcurl's words, unless they could quote more of a URL than its host. */
static const char *words_of(const struct transport_curl *transport, CURLcode code)
{
    bool is_quotable = transport->words[0] != '\0' && strpbrk(transport->words, "?@\r\n") == NULL;

    return is_quotable ? transport->words : curl_easy_strerror(code);
}

static enum transport_result explain_verdict(const struct transport_curl *transport,
                                             struct error *err)
{
    struct str host = transport->url.host;

    switch (transport->verdict) {
    case VERDICT_NONE:
        break;
    case VERDICT_STOPPED:
        error_set(err, ERROR_CANCELLED, "stopped while %.*s was answering", STR_ARG(host));
        return TRANSPORT_FAILED;
    case VERDICT_TOO_SLOW:
        error_set(err, ERROR_TRANSIENT,
                  "%.*s sends fewer than %lld bytes a second; the connection is stuck or the "
                  "source overloaded",
                  STR_ARG(host), (long long)SLOW_BYTES_PER_S);
        return TRANSPORT_TIMED_OUT;
    case VERDICT_BODY_CAP:
        error_set(err, ERROR_LIMIT,
                  "the answer of %.*s passes %zu bytes (unpacked); lower page_size or raise "
                  "worker.page_memory",
                  STR_ARG(host), transport->answer->body.limit);
        return TRANSPORT_FAILED;
    case VERDICT_HEADER_CAP:
        error_set(err, ERROR_LIMIT,
                  "the headers of the answer of %.*s pass %zu bytes; no API sends that: check the "
                  "source's url",
                  STR_ARG(host), HEADERS_LIMIT_BYTES);
        return TRANSPORT_FAILED;
    }
    error_set(err, ERROR_BUG, "a transfer from %.*s ended without a reason", STR_ARG(host));
    return TRANSPORT_FAILED;
}

static enum transport_result explain_timeout(const struct transport_curl *transport,
                                             struct error *err)
{
    struct str host = transport->url.host;

    if (!transport->answer->was_sent) {
        error_set(err, ERROR_TRANSIENT,
                  "no connection to %.*s port %d in time; check network and firewall, or raise "
                  "connect_timeout",
                  STR_ARG(host), transport->url.port);
        return TRANSPORT_UNREACHABLE;
    }
    error_set(err, ERROR_TRANSIENT, "%.*s did not answer in full within %lld ms (timeout)",
              STR_ARG(host), (long long)(transport->timeout_us / US_PER_MS));
    return TRANSPORT_TIMED_OUT;
}

static enum transport_result
explain_tls(const struct transport_curl *transport, CURLcode code, struct error *err)
{
    const char *ca_file = transport->options.ca_file;

    error_set(err, ERROR_CONFIG,
              "the TLS certificate of %.*s is not trusted (%s); set sources.%s.ca_file to the PEM "
              "file of the authority that signed it (now: %s), or correct the host in the url",
              STR_ARG(transport->url.host), words_of(transport, code), transport->options.source,
              ca_file != NULL ? ca_file : "the system's");
    return TRANSPORT_FAILED;
}

static enum transport_result
explain(const struct transport_curl *transport, CURLcode code, struct error *err)
{
    struct str host = transport->url.host;
    int port = transport->url.port;
    const char *words = words_of(transport, code);

    if (transport->verdict != VERDICT_NONE) {
        return explain_verdict(transport, err);
    }
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        error_set(err, ERROR_TRANSIENT,
                  "unknown host %.*s (%s); correct the source's url or this machine's DNS",
                  STR_ARG(host), words);
        return TRANSPORT_UNREACHABLE;
    case CURLE_COULDNT_CONNECT:
        error_set(err, ERROR_TRANSIENT, "cannot connect to %.*s port %d (%s)", STR_ARG(host), port,
                  words);
        return TRANSPORT_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return explain_timeout(transport, err);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return explain_tls(transport, code, err);
    case CURLE_SSL_CONNECT_ERROR: /* a wrong port, or a server that gave up during the handshake */
        error_set(err, ERROR_TRANSIENT,
                  "no TLS connection to %.*s port %d (%s); does that port speak https?",
                  STR_ARG(host), port, words);
        return TRANSPORT_UNREACHABLE;
    case CURLE_UNSUPPORTED_PROTOCOL: /* the scheme is known to be good: it is the answer */
        error_set(err, ERROR_TRANSIENT,
                  "%.*s port %d does not speak HTTP (%s); correct the source's url", STR_ARG(host),
                  port, words);
        return TRANSPORT_BROKEN;
    case CURLE_URL_MALFORMAT:
        error_set(err, ERROR_CONFIG, "the URL cannot be used (%s); correct the source's url",
                  words);
        return TRANSPORT_FAILED;
    default:
        error_set(err, ERROR_TRANSIENT, "the exchange with %.*s broke off (%s)", STR_ARG(host),
                  words);
        return TRANSPORT_BROKEN;
    }
}

static void fill_answer(struct transport_curl *transport)
{
    struct transport_answer *answer = transport->answer;
    long status = 0;
    long request_bytes = 0;
    long header_bytes = 0;
    curl_off_t body_bytes = 0;

    (void)curl_easy_getinfo(transport->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transport->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    (void)curl_easy_getinfo(transport->easy, CURLINFO_HEADER_SIZE, &header_bytes);
    (void)curl_easy_getinfo(transport->easy, CURLINFO_SIZE_DOWNLOAD_T, &body_bytes);
    answer->status = (int)status;
    answer->was_sent = request_bytes > 0;
    answer->wire_bytes = header_bytes + body_bytes;
}

static enum transport_result curl_perform(void *self,
                                          const struct transport_request *request,
                                          struct transport_answer *answer,
                                          struct error *err)
{
    struct transport_curl *transport = self;

    headers_reset(&answer->headers);
    buf_reset(&answer->body);
    answer->status = 0;
    answer->wire_bytes = 0;
    answer->was_sent = false;
    if (!url_parse(str_from(request->url), &transport->url, err)) {
        return TRANSPORT_FAILED;
    }
    struct curl_slist *headers CLEANUP(wipe_list) = make_list(request);

    if (headers == NULL) {
        error_set(err, ERROR_BUG, "a header to be sent is missing or holds a line break");
        return TRANSPORT_FAILED;
    }
    transport->answer = answer;
    transport->timeout_us = request->timeout_us;
    transport->verdict = VERDICT_NONE;
    transport->window_began_us = 0;
    transport->words[0] = '\0';
    set_request(transport, request, headers);
    CURLcode code = curl_easy_perform(transport->easy);
    enum transport_result result = TRANSPORT_ANSWERED;

    fill_answer(transport);
    if (code != CURLE_OK) {
        result = explain(transport, code, err);
    }
    (void)curl_easy_setopt(transport->easy, CURLOPT_HTTPHEADER, NULL);
    transport->answer = NULL;
    return result;
}

static void curl_forget_cookies(void *self)
{
    struct transport_curl *transport = self;

    (void)curl_easy_setopt(transport->easy, CURLOPT_COOKIELIST, "ALL");
}

static void curl_close(void *self)
{
    struct transport_curl *transport = self;

    curl_easy_cleanup(transport->easy);
    xfree(transport);
}

struct http_transport transport_curl_open(void *arg, const struct transport_options *options)
{
    (void)arg;
    (void)pthread_once(&global_once, global_init);
    struct transport_curl *transport = XNEW(struct transport_curl);

    transport->options = *options;
    transport->easy = curl_easy_init();
    if (transport->easy == NULL) {
        abort(); /* out of memory, as in xmalloc */
    }
    set_constants(transport);
    return (struct http_transport){
        .perform = curl_perform,
        .forget_cookies = curl_forget_cookies,
        .close = curl_close,
        .self = transport,
    };
}
