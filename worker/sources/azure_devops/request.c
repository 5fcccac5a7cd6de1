#include "worker/sources/azure_devops/request.h"

#include <stdio.h>
#include <string.h>

#include "worker/http/url.h"
#include "worker/sources/azure_devops/judge.h"

#define CONTINUATION_HEADER "x-ms-continuationtoken"
/* A preview in every version of the API. */
#define CONNECTION_DATA "/_apis/connectionData?api-version=7.1-preview.1"
#define ANONYMOUS       "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
#define NOBODY          "00000000-0000-0000-0000-000000000000"

/* A sign-in page would be a 302 to elsewhere; with this header it is a plain 401. */
static const struct http_header HEADERS[] = {{"X-TFS-FedAuthRedirect", "Suppress"}};

static enum http_verdict judge(void *arg, struct http_response *response, struct error *err)
{
    const struct ado_request *request = arg;
    if (!ado_is_data(response)) {
        enum http_verdict verdict = ado_judge_failure(response, err);
        if (err->code == ERROR_LIMIT && verdict == HTTP_RETRY) {
            err->code = request->can_shrink ? ERROR_LIMIT : ERROR_TRANSIENT;
            return request->can_shrink ? HTTP_FAIL : HTTP_RETRY;
        }
        return verdict;
    }
    struct buf *body = response->body;
    size_t mark = body->len - ado_without_bom(buf_str(body)).len;
    if (request->decode(request->arg, body->ptr + mark, body->len - mark, err)) {
        return HTTP_ACCEPT;
    }
    err->http_status = response->status;
    return err->code == ERROR_TRANSIENT ? HTTP_RETRY : HTTP_FAIL;
}

bool ado_send(struct http_client *http,
              const struct ado_request *request,
              struct ado_answer *ret_answer,
              struct error *err)
{
    struct ado_request own = *request;
    bool is_post = request->method != NULL && strcmp(request->method, "POST") == 0;
    const struct http_request wire = {
        .method = request->method != NULL ? request->method : "GET",
        .url = request->url,
        .headers = HEADERS,
        .n_headers = ARRAY_SIZE(HEADERS),
        .body = request->body,
        .content_type = is_post ? "application/json" : NULL,
        .timeout_is_limit = request->can_shrink,
        .judge = judge,
        .judge_arg = &own,
    };
    struct http_response response;
    if (!http_send(http, &wire, &response, err)) {
        struct str path = request->url;
        struct str query = path;
        path = str_cut(&query, '?');
        bool is_named = strstr(err->msg, "/_apis") != NULL; /* by the client */
        return is_named ? false : error_wrap(err, "%s %.*s", wire.method, STR_ARG(path));
    }
    if (ret_answer != NULL) {
        struct str next = http_response_header(&response, CONTINUATION_HEADER);
        if (next.len >= sizeof(ret_answer->next)) {
            return error_set(err, ERROR_DATA,
                             CONTINUATION_HEADER " has %zu bytes, more than foz takes", next.len);
        }
        ret_answer->date_us = response.date_us;
        memcpy(ret_answer->next, next.len > 0 ? next.ptr : "", next.len);
        ret_answer->next[next.len] = '\0';
    }
    return true;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): a decoder of many */
static bool decode_tree(void *arg, char *document, size_t len, struct error *err)
{
    struct json **root = arg;
    json_free(*root);
    *root = json_parse((struct str){document, len}, err);
    if (*root == NULL) {
        err->code = ERROR_TRANSIENT;
        return error_wrap(err, "broken answer");
    }
    return true;
}

const struct json *ado_list(const struct json *root, struct error *err)
{
    static const char *const NAMES[] = {"value", "members", "items"};
    const struct json *list = json_kind(root) == JSON_KIND_ARRAY ? root : NULL;
    for (size_t i = 0; i < ARRAY_SIZE(NAMES) && list == NULL; i++) {
        list = json_find(root, NAMES[i]);
    }
    if (list == NULL || json_kind(list) != JSON_KIND_ARRAY) {
        (void)error_set(err, ERROR_DATA, "the answer holds no list");
        return NULL;
    }
    int64_t count = 0;
    if (json_int64(json_find(root, "count"), &count) && count != (int64_t)json_size(list)) {
        (void)error_set(err, ERROR_DATA, "the answer counts %lld elements and holds %zu",
                        (long long)count, json_size(list));
        return NULL;
    }
    return list;
}

/* A list that is not there is as broken as a document that ends too early. */
static bool decode_list(void *arg, char *document, size_t len, struct error *err)
{
    struct json **root = arg;
    if (!decode_tree(arg, document, len, err)) {
        return false;
    }
    if (ado_list(*root, err) == NULL) {
        err->code = ERROR_TRANSIENT;
        return error_wrap(err, "broken answer");
    }
    return true;
}

static struct json *get(struct http_client *http,
                        const struct buf *url,
                        bool (*decode)(void *arg, char *document, size_t len, struct error *err),
                        struct ado_answer *ret_answer,
                        struct error *err)
{
    struct json *root = NULL;
    if (url->overflow) {
        (void)error_set(err, ERROR_LIMIT, "a request's URL would pass %zu bytes", url->limit);
        return NULL;
    }
    const struct ado_request request = {
        .url = buf_str(url), .decode = decode, .arg = (void *)&root};
    if (!ado_send(http, &request, ret_answer, err)) {
        json_free(root);
        return NULL;
    }
    return root;
}

struct json *ado_get(struct http_client *http,
                     const struct buf *url,
                     struct ado_answer *ret_answer,
                     struct error *err)
{
    return get(http, url, decode_tree, ret_answer, err);
}

struct json *ado_get_list(struct http_client *http,
                          const struct buf *url,
                          struct ado_answer *ret_answer,
                          const struct json **ret_list,
                          struct error *err)
{
    struct error ignored = ERROR_INIT; /* the decoder has found it */
    struct json *root = get(http, url, decode_list, ret_answer, err);
    *ret_list = root != NULL ? ado_list(root, &ignored) : NULL;
    return root;
}

struct json *
ado_get_user(struct http_client *http, struct ado_answer *ret_answer, struct error *err)
{
    struct buf url CLEANUP(buf_release);
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, CONNECTION_DATA);
    struct json *root = ado_get(http, &url, ret_answer, err);
    if (root == NULL) {
        return NULL;
    }
    const char *id = json_find_string(json_find(root, "authenticatedUser"), "id");
    if (id == NULL || strcmp(id, ANONYMOUS) == 0 || strcmp(id, NOBODY) == 0) {
        json_free(root);
        (void)error_set(err, ERROR_DENIED,
                        "the organisation answers, but as to an anonymous visitor: the token is "
                        "not taken; check auth.token and create a new token if it expired");
        err->http_status = 401;
        return NULL;
    }
    return root;
}

void ado_add_segment(struct buf *url, const char *segment)
{
    buf_add_percent(url, str_from(segment), "");
}

void ado_add_bin(struct buf *url, const char *project_id)
{
    buf_add_char(url, '/');
    ado_add_segment(url, project_id);
    buf_add_c(url, "/_apis/wit/recyclebin?" ADO_VERSION);
}

bool ado_service_url(const struct source_config *source,
                     const char *configured,
                     const char *sibling,
                     struct buf *out)
{
    static const char HOST[] = "dev.azure.com";
    if (configured != NULL) {
        buf_add_c(out, configured);
        return true;
    }
    struct url url;
    struct error ignored = ERROR_INIT; /* the client has read it before */
    if (!url_parse(str_from(source->url), &url, &ignored) ||
        !str_equal_nocase(url.host, STR_LITERAL(HOST))) {
        return false;
    }
    buf_addf(out, "https://%s.%s%.*s", sibling, HOST, STR_ARG(url.path));
    return true;
}

bool ado_feed_tells_deletions(struct http_client *http, bool *ret_tells, struct error *err)
{
    struct buf url CLEANUP(buf_release);
    struct error fault = ERROR_INIT;
    buf_init(&url, ADO_URL_BYTES_MAX);
    buf_add_c(&url, ADO_ONE_REVISION ",System.IsDeleted");
    struct json *root = ado_get(http, &url, NULL, &fault);
    json_free(root);
    *ret_tells = root != NULL;
    if (root == NULL &&
        (fault.http_status != 400 || strstr(fault.msg, "System.IsDeleted") == NULL)) {
        *err = fault;
        return false;
    }
    return true;
}

static size_t count_segments(struct str path)
{
    size_t n = 0;
    while (path.len > 0) {
        n += str_cut(&path, '/').len > 0 ? 1 : 0;
    }
    return n;
}

bool ado_check_url(const struct source_config *source, struct error *err)
{
    static const char LEGACY[] = ".visualstudio.com";
    const size_t legacy_len = sizeof(LEGACY) - 1;
    struct url url;
    struct error ignored = ERROR_INIT; /* the client has read it before */
    if (!url_parse(str_from(source->url), &url, &ignored)) {
        return true;
    }
    size_t n = count_segments(url.path);
    bool is_legacy =
        url.host.len > legacy_len &&
        str_equal_nocase((struct str){url.host.ptr + url.host.len - legacy_len, legacy_len},
                         STR_LITERAL(LEGACY));
    bool is_collection = n == 1 && str_contains_nocase(url.path, STR_LITERAL("DefaultCollection"));
    bool is_wrong = is_legacy ? n > 0 && !is_collection
                              : n != 1 && str_equal_nocase(url.host, STR_LITERAL("dev.azure.com"));
    return !is_wrong || error_set(err, ERROR_CONFIG,
                                  "sources.%s.url (%s) is not that of an organisation; set it to "
                                  "https://dev.azure.com/ORG, without a project or anything else",
                                  source->name, source->url);
}

bool ado_is_refused(const struct error *err)
{
    return err->http_status == 401 || err->http_status == 403 || err->http_status == 404;
}
