#include "api/http/fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "api/http/loopback.h"
#include "common/base/alloc.h"
#include "common/base/clock.h"

#define CONNECT_TIMEOUT_MS 3000L
#define HEADERS_BYTES_MAX  (64UL * 1024)

enum verdict { VERDICT_NONE, VERDICT_STOPPED, VERDICT_TOO_LARGE };

struct fetch {
    CURL *easy;
    char *ca_file;
    char words[CURL_ERROR_SIZE]; /* libcurl's own about the last failure */
    /* of the request under way */
    struct fetch_answer *answer;
    struct stop *stop;
    size_t header_bytes;
    enum verdict verdict;
};

/* libcurl wants one initialisation before any thread uses it; there is no other state here. */
static pthread_once_t global_once = PTHREAD_ONCE_INIT;

static void global_init(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        abort();
    }
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetch *fetch = arg;
    buf_add(&fetch->answer->body, bytes, size * count);
    if (fetch->answer->body.overflow) {
        fetch->verdict = VERDICT_TOO_LARGE;
        return 0;
    }
    return size * count;
}

/* libcurl's type, though nothing is written. NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct fetch *fetch = arg;
    (void)bytes;
    fetch->header_bytes += size * count;
    if (fetch->header_bytes > HEADERS_BYTES_MAX) {
        fetch->verdict = VERDICT_TOO_LARGE;
        return 0;
    }
    return size * count;
}

/* Called at least once a second, idle or not. */
static int on_progress(void *arg,
                       curl_off_t download_total,
                       curl_off_t download_now,
                       curl_off_t upload_total,
                       curl_off_t upload_now)
{
    struct fetch *fetch = arg;
    (void)download_total;
    (void)download_now;
    (void)upload_total;
    (void)upload_now;
    if (fetch->stop != NULL && stop_is_requested(fetch->stop)) {
        fetch->verdict = VERDICT_STOPPED;
        return 1;
    }
    return 0;
}

/* No option here is refused but for lack of memory or of a feature that Debian's build has. */
#define SET(option, value) (void)curl_easy_setopt(fetch->easy, (option), (value))

struct fetch *fetch_open(const char *ca_file)
{
    (void)pthread_once(&global_once, global_init);
    struct fetch *fetch = XNEW(struct fetch);
    fetch->easy = curl_easy_init();
    if (fetch->easy == NULL) {
        abort(); /* out of memory, as in xmalloc */
    }
    fetch->ca_file = ca_file != NULL ? xstrdup(ca_file) : NULL;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, fetch->words);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_USERAGENT, "foz/" FOZ_VERSION);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, fetch);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, fetch);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, fetch);
    if (ca_file != NULL) {
        SET(CURLOPT_CAINFO, fetch->ca_file);
    }
    return fetch;
}

void fetch_close(struct fetch *fetch)
{
    if (fetch != NULL) {
        curl_easy_cleanup(fetch->easy);
        xfree(fetch->ca_file);
        xfree(fetch);
    }
}

void fetch_answer_init(struct fetch_answer *answer, size_t body_limit_bytes)
{
    *answer = (struct fetch_answer){0};
    buf_init(&answer->body, body_limit_bytes);
}

void fetch_answer_release(struct fetch_answer *answer)
{
    buf_release(&answer->body);
}

static void wipe_list(struct curl_slist **list)
{
    for (struct curl_slist *node = *list; node != NULL; node = node->next) {
        explicit_bzero(node->data, strlen(node->data));
    }
    curl_slist_free_all(*list);
}

static struct curl_slist *make_list(const char *const *headers)
{
    struct curl_slist *list = NULL;
    for (; *headers != NULL; headers++) {
        struct curl_slist *longer = curl_slist_append(list, *headers);
        if (longer == NULL) {
            abort(); /* out of memory, as in xmalloc */
        }
        list = longer;
    }
    return list;
}

static bool has_line_break(const char *const *headers)
{
    for (; *headers != NULL; headers++) {
        if (strpbrk(*headers, "\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

/* "host" or "host:port". */
static void host_of(const char *url, char *out, size_t size)
{
    const char *start = strstr(url, "://");
    start = start != NULL ? start + 3 : url;
    (void)snprintf(out, size, "%.*s", (int)strcspn(start, "/?#"), start);
}

bool fetch_url_is_loopback(const char *url)
{
    char host[256];
    host_of(url, host, sizeof(host));
    return host_is_loopback(str_from(host));
}

static bool explain(const struct fetch *fetch, const char *url, CURLcode code, struct error *err)
{
    char host[256];
    host_of(url, host, sizeof(host));
    /* libcurl's words, unless they could quote more of a URL than its host. */
    bool is_quotable = fetch->words[0] != '\0' && strpbrk(fetch->words, "?@\r\n") == NULL;
    const char *words = is_quotable ? fetch->words : curl_easy_strerror(code);
    if (fetch->verdict == VERDICT_STOPPED) {
        return error_set(err, ERROR_CANCELLED, "stopped while %s was answering", host);
    }
    if (fetch->verdict == VERDICT_TOO_LARGE) {
        return error_set(err, ERROR_LIMIT, "the answer of %s passes %zu bytes", host,
                         fetch->answer->body.limit);
    }
    switch ((int)code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return error_set(err, ERROR_CONFIG,
                         "the TLS certificate of %s is not trusted (%s): name the PEM file of the "
                         "authority that signed it (ca_file), or correct the host in the URL",
                         host, words);
    case CURLE_URL_MALFORMAT:
        return error_set(err, ERROR_CONFIG, "the URL cannot be used (%s)", words);
    default:
        return error_set(err, ERROR_TRANSIENT, "%s did not answer (%s)", host, words);
    }
}

static void fill_answer(struct fetch *fetch, struct fetch_answer *answer)
{
    long status = 0;
    curl_off_t retry_after_s = 0;
    const char *content_type = NULL;
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    (void)curl_easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &content_type);
    answer->status = (int)status;
    answer->retry_after_s = retry_after_s;
    (void)snprintf(answer->content_type, sizeof(answer->content_type), "%s",
                   content_type != NULL ? content_type : "");
}

bool fetch_get(struct fetch *fetch,
               const struct fetch_request *request,
               struct fetch_answer *answer,
               struct error *err)
{
    static const char *const none[] = {NULL};
    const char *const *headers = request->headers != NULL ? request->headers : none;
    if (has_line_break(headers)) {
        return error_set(err, ERROR_BUG, "a header to be sent holds a line break");
    }
    struct curl_slist *list CLEANUP(wipe_list) = make_list(headers);
    buf_reset(&answer->body);
    fetch->answer = answer;
    fetch->stop = request->stop;
    fetch->header_bytes = 0;
    fetch->verdict = VERDICT_NONE;
    fetch->words[0] = '\0';
    SET(CURLOPT_HTTPGET, 1L);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, list);
    SET(CURLOPT_TIMEOUT_MS, (long)(request->timeout_us / US_PER_MS));
    SET(CURLOPT_NOPROXY, fetch_url_is_loopback(request->url) ? "*" : NULL);
    CURLcode code = curl_easy_perform(fetch->easy);
    fill_answer(fetch, answer);
    SET(CURLOPT_HTTPHEADER, NULL);
    fetch->answer = code == CURLE_OK ? NULL : answer;
    bool is_good = code == CURLE_OK || explain(fetch, request->url, code, err);
    fetch->answer = NULL;
    fetch->stop = NULL;
    return is_good;
}

#undef SET
