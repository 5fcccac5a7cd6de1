#include "worker/http/url.h"

#include <string.h>

#define PORT_HTTP  80
#define PORT_HTTPS 443
#define PORT_MAX   65535

static bool has_only_url_characters(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c <= ' ' || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static size_t length_until(struct str text, const char *ends)
{
    size_t len = 0;

    while (len < text.len && strchr(ends, text.ptr[len]) == NULL) {
        len++;
    }
    return len;
}

static struct str skip(struct str text, size_t len)
{
    return (struct str){text.ptr + len, text.len - len};
}

static bool parse_scheme(struct str *rest, struct url *url)
{
    static const struct {
        struct str prefix;
        int port;
    } schemes[] = {{STR_LITERAL("http://"), PORT_HTTP}, {STR_LITERAL("https://"), PORT_HTTPS}};

    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        if (str_starts_with_nocase(*rest, schemes[i].prefix)) {
            url->scheme = (struct str){rest->ptr, schemes[i].prefix.len - 3};
            url->port = schemes[i].port;
            *rest = skip(*rest, schemes[i].prefix.len);
            return true;
        }
    }
    return false;
}

/* host, host:port, [v6] or [v6]:port */
static bool parse_authority(struct str authority, struct url *url)
{
    bool is_bracketed = authority.len > 0 && authority.ptr[0] == '[';
    size_t end = length_until(authority, is_bracketed ? "]" : ":");

    url->host = (struct str){authority.ptr, end};
    if (is_bracketed) {
        if (end == authority.len) {
            return false;
        }
        url->host = (struct str){authority.ptr + 1, end - 1};
        end++;
    }
    struct str port = skip(authority, end);

    if (url->host.len == 0) {
        return false;
    }
    if (port.len > 0) {
        int64_t number = 0;

        if (port.ptr[0] != ':' || !str_to_int64(skip(port, 1), 1, PORT_MAX, &number)) {
            return false;
        }
        url->port = (int)number;
    }
    return true;
}

bool url_parse(struct str text, struct url *ret_url, struct error *err)
{
    struct url url = {0};
    struct str rest = text;

    if (!has_only_url_characters(text)) {
        return error_set(err, ERROR_CONFIG,
                         "the URL holds white space or control characters; percent-encode them");
    }
    if (!parse_scheme(&rest, &url)) {
        return error_set(err, ERROR_CONFIG, "the URL must begin with https:// or http://");
    }
    size_t authority_len = length_until(rest, "/?#");
    struct str authority = {rest.ptr, authority_len};

    if (length_until(authority, "@") != authority.len) {
        return error_set(err, ERROR_CONFIG,
                         "the URL holds a user name or password; configure them under auth");
    }
    if (!parse_authority(authority, &url)) {
        return error_set(err, ERROR_CONFIG, "the URL has no valid host and port");
    }
    rest = skip(rest, authority_len);
    url.path = (struct str){rest.ptr, length_until(rest, "?#")};
    if (url.path.len == 0) {
        url.path = STR_LITERAL("/");
    }
    *ret_url = url;
    return true;
}

bool url_is_same_origin(const struct url *a, const struct url *b)
{
    return str_equal_nocase(a->scheme, b->scheme) && str_equal_nocase(a->host, b->host) &&
           a->port == b->port;
}

bool url_is_subdomain(const struct url *url, const struct url *parent)
{
    struct str host = url->host;

    if (!str_equal_nocase(url->scheme, parent->scheme) || host.len <= parent->host.len + 1) {
        return false;
    }
    struct str tail = skip(host, host.len - parent->host.len);

    return tail.ptr[-1] == '.' && str_equal_nocase(tail, parent->host);
}

bool url_host_is_loopback(struct str host)
{
    struct str suffix = STR_LITERAL(".localhost");

    if (str_equal_nocase(host, STR_LITERAL("localhost")) || str_equal_c(host, "::1")) {
        return true;
    }
    if (host.len > suffix.len && str_equal_nocase(skip(host, host.len - suffix.len), suffix)) {
        return true;
    }
    if (!str_starts_with(host, STR_LITERAL("127."))) {
        return false;
    }
    /* 127.example.org is a name like any other. */
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9')) {
            return false;
        }
    }
    return true;
}
