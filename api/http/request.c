#include "api/http/request.h"

#include <string.h>

#include "common/base/buf.h"

/* No line of a head is longer. */
#define JOINED_LINE_MAX (64UL * 1024)

/* RFC 9110 section 5.6.2. */
static bool is_token_byte(char c)
{
    switch (c) {
    case '!':
    case '#':
    case '$':
    case '%':
    case '&':
    case '\'':
    case '*':
    case '+':
    case '-':
    case '.':
    case '^':
    case '_':
    case '`':
    case '|':
    case '~':
        return true;
    default:
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    }
}

static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_byte(text.ptr[i])) {
            return false;
        }
    }
    return text.len > 0;
}

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

void request_set_target(struct request *request, struct str target)
{
    if (str_starts_with_nocase(target, STR_LITERAL("http://")) ||
        str_starts_with_nocase(target, STR_LITERAL("https://"))) {
        struct str rest = target;
        (void)str_cut(&rest, '/');
        (void)str_cut(&rest, '/');
        (void)str_cut(&rest, '/'); /* the authority; Host is what counts */
        target = rest.ptr == NULL ? STR_LITERAL("/") : (struct str){rest.ptr - 1, rest.len + 1};
    }
    struct str rest = target;
    request->path = str_cut(&rest, '?');
    request->query = rest;
}

struct str request_header(const struct request *request, const char *name)
{
    struct str wanted = str_from(name);
    for (size_t i = 0; i < request->n_headers; i++) {
        if (str_equal_nocase(request->headers[i].name, wanted)) {
            return str_trim(request->headers[i].value);
        }
    }
    return STR_NONE;
}

size_t request_header_count(const struct request *request, const char *name)
{
    struct str wanted = str_from(name);
    size_t count = 0;
    for (size_t i = 0; i < request->n_headers; i++) {
        if (str_equal_nocase(request->headers[i].name, wanted)) {
            count++;
        }
    }
    return count;
}

static bool has_token(struct str list, struct str token)
{
    while (list.ptr != NULL) {
        if (str_equal_nocase(str_trim(str_cut(&list, ',')), token)) {
            return true;
        }
    }
    return false;
}

bool request_header_has(const struct request *request, const char *name, const char *token)
{
    struct str wanted = str_from(name);
    for (size_t i = 0; i < request->n_headers; i++) {
        if (str_equal_nocase(request->headers[i].name, wanted) &&
            has_token(request->headers[i].value, str_from(token))) {
            return true;
        }
    }
    return false;
}

/* The line at `first` gets the values of all behind it that have its name. */
static void join_lines(struct request *request, size_t first)
{
    struct header *header = &request->headers[first];
    struct buf joined CLEANUP(buf_release) = {0};
    buf_init(&joined, request->n_headers * JOINED_LINE_MAX);
    buf_add_str(&joined, header->value);
    for (size_t i = first + 1; i < request->n_headers; i++) {
        if (str_equal_nocase(request->headers[i].name, header->name)) {
            buf_add_c(&joined, ", ");
            buf_add_str(&joined, request->headers[i].value);
        }
    }
    const char *kept = arena_strndup(request->arena, joined.ptr, joined.len);
    if (kept != NULL) {
        header->value = (struct str){kept, joined.len};
    }
}

void request_join_lists(struct request *request)
{
    static const struct str lists[] = {{"Accept", 6}, {"If-None-Match", 13}, {"Prefer", 6}};
    size_t n_lines[ARRAY_SIZE(lists)] = {0};
    size_t first[ARRAY_SIZE(lists)] = {0};
    for (size_t i = 0; i < request->n_headers; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
            if (str_equal_nocase(request->headers[i].name, lists[k])) {
                first[k] = n_lines[k]++ == 0 ? i : first[k];
            }
        }
    }
    for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
        if (n_lines[k] > 1) {
            join_lines(request, first[k]);
        }
    }
}

int64_t request_content_length(const struct request *request)
{
    struct str text = request_header(request, "Content-Length");
    int64_t length = -1;
    if (text.ptr == NULL || !str_to_int64(text, 0, INT64_MAX, &length)) {
        return -1;
    }
    return length;
}

static bool check_names_and_values(const struct request *request, struct problem *problem)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct header *header = &request->headers[i];
        if (!is_token(header->name)) {
            return problem_set(problem, 400, "bad_header",
                               "header number %zu has a name with forbidden characters", i + 1);
        }
        if (has_control(header->value)) {
            return problem_set(problem, 400, "bad_header", "header %.*s holds a control character",
                               STR_ARG(header->name));
        }
    }
    return true;
}

static bool is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
    }
    return text.len > 0;
}

static bool check_framing(const struct request *request, struct problem *problem)
{
    size_t lengths = request_header_count(request, "Content-Length");
    size_t codings = request_header_count(request, "Transfer-Encoding");
    if (lengths > 1) {
        return problem_set(problem, 400, "bad_framing",
                           "Content-Length is given %zu times: send it once", lengths);
    }
    if (lengths > 0 && codings > 0) {
        return problem_set(problem, 400, "bad_framing",
                           "Content-Length and Transfer-Encoding exclude each other");
    }
    if (lengths > 0 && !is_digits(request_header(request, "Content-Length"))) {
        return problem_set(problem, 400, "bad_framing", "Content-Length is not a decimal number");
    }
    bool is_http_10 = str_equal_c(request->version, "HTTP/1.0");
    if (codings > 1 ||
        (codings == 1 &&
         (is_http_10 || !str_equal_nocase(request_header(request, "Transfer-Encoding"),
                                          STR_LITERAL("chunked"))))) {
        return problem_set(problem, 400, "bad_framing",
                           "the only Transfer-Encoding understood is `chunked`, once, in HTTP/1.1");
    }
    bool is_read = str_equal_c(request->method, "GET") || str_equal_c(request->method, "HEAD");
    if (is_read && (codings > 0 || request_content_length(request) > 0)) {
        return problem_set(problem, 400, "body_not_allowed",
                           "a %.*s request has no body: use the query string",
                           STR_ARG(request->method));
    }
    return true;
}

bool request_check(const struct request *request, struct problem *problem)
{
    bool is_http_11 = str_equal_c(request->version, "HTTP/1.1");
    if (!is_http_11 && !str_equal_c(request->version, "HTTP/1.0")) {
        return problem_set(problem, 505, "bad_version", "speak HTTP/1.1 or HTTP/1.0");
    }
    if (!check_names_and_values(request, problem) || !check_framing(request, problem)) {
        return false;
    }
    size_t hosts = request_header_count(request, "Host");
    if (hosts > 1 || (hosts == 0 && is_http_11)) {
        return problem_set(problem, 400, "bad_host", "send exactly one Host header, not %zu",
                           hosts);
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool request_decode(struct arena *arena, struct str text, bool plus_is_blank, struct str *ret_text)
{
    char *out = arena_alloc(arena, text.len + 1);
    if (out == NULL) {
        return false;
    }
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            bool is_whole = text.len - i > 2;
            int high = is_whole ? hex_digit(text.ptr[i + 1]) : -1;
            int low = is_whole ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c == '\0') {
            return false;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    if (!str_is_utf8((struct str){out, len})) {
        return false;
    }
    *ret_text = (struct str){out, len};
    return true;
}
