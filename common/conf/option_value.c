#include "common/conf/option_value.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit duration_units[] = {
    {"d", 86400000000}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}};

static const struct unit size_units[] = {{"GiB", 1073741824}, {"MiB", 1048576}, {"KiB", 1024}};

static bool parse_scaled(struct str text, const struct unit *unit, int64_t *ret_value)
{
    struct str suffix = str_from(unit->suffix);
    if (text.len <= suffix.len || !str_ends_with(text, suffix)) {
        return false;
    }
    struct str digits = {text.ptr, text.len - suffix.len};
    int64_t count = 0;
    if (digits.ptr[0] < '0' || digits.ptr[0] > '9' ||
        !str_to_int64(digits, 0, INT64_MAX / unit->factor, &count)) {
        return false;
    }
    *ret_value = count * unit->factor;
    return true;
}

bool option_parse_duration(struct str text, int64_t *ret_us)
{
    if (str_equal_c(text, "0")) {
        *ret_us = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
        if (parse_scaled(text, &duration_units[i], ret_us)) {
            return true;
        }
    }
    return false;
}

bool option_parse_size(struct str text, int64_t *ret_bytes)
{
    for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
        if (parse_scaled(text, &size_units[i], ret_bytes)) {
            return true;
        }
    }
    return text.len > 0 && text.ptr[0] >= '0' && text.ptr[0] <= '9' &&
           str_to_int64(text, 0, INT64_MAX, ret_bytes);
}

void option_format_duration(int64_t us, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
        if (us != 0 && us % duration_units[i].factor == 0) {
            buf_add_int(out, us / duration_units[i].factor);
            buf_add_c(out, duration_units[i].suffix);
            return;
        }
    }
    buf_add_int(out, us);
}

void option_format_size(int64_t bytes, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
        if (bytes != 0 && bytes % size_units[i].factor == 0) {
            buf_add_int(out, bytes / size_units[i].factor);
            buf_add_c(out, size_units[i].suffix);
            return;
        }
    }
    buf_add_int(out, bytes);
}

bool option_parse_float(const char *text, double *ret_value)
{
    size_t len = strlen(text);
    /* Nothing that strtod would take beyond digits and one point. */
    if (len == 0 || len > 30 || strspn(text, "0123456789.") != len || text[0] == '.' ||
        text[len - 1] == '.') {
        return false;
    }
    char *end = NULL;
    double value = strtod(text, &end);
    if (*end != '\0') {
        return false;
    }
    *ret_value = value;
    return true;
}

static bool is_host_name(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_';
        if (!fine) {
            return false;
        }
    }
    return host.len > 0 && host.len <= 253;
}

static bool is_ipv6(struct str address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (address.len == 0 || address.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    return inet_pton(AF_INET6, text, &parsed) == 1;
}

/* Splits HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT; *ret_port.ptr is NULL without a port. */
static bool split_authority(struct str authority, struct str *ret_host, struct str *ret_port)
{
    struct str rest = authority;
    if (rest.len > 0 && rest.ptr[0] == '[') {
        rest = (struct str){rest.ptr + 1, rest.len - 1};
        *ret_host = str_cut(&rest, ']');
        if (rest.ptr == NULL || !is_ipv6(*ret_host)) {
            return false;
        }
        *ret_port = STR_NONE;
        if (rest.len > 0) {
            *ret_port = (struct str){rest.ptr + 1, rest.len - 1};
            return rest.ptr[0] == ':';
        }
        return true;
    }
    *ret_host = str_cut(&rest, ':');
    *ret_port = rest;
    return is_host_name(*ret_host);
}

static bool is_port(struct str port, int64_t min)
{
    int64_t number = 0;
    return port.len > 0 && port.ptr[0] >= '0' && port.ptr[0] <= '9' &&
           str_to_int64(port, min, 65535, &number);
}

const char *option_url_fault(const char *text)
{
    struct str url = str_from(text);
    size_t scheme_len = str_starts_with(url, STR_LITERAL("https://"))  ? 8
                        : str_starts_with(url, STR_LITERAL("http://")) ? 7
                                                                       : 0;
    if (scheme_len == 0) {
        return "must begin with https:// or http://";
    }
    struct str rest = {url.ptr + scheme_len, url.len - scheme_len};
    for (size_t i = 0; i < url.len; i++) {
        if (url.ptr[i] <= ' ' || url.ptr[i] >= 127 || strchr("\"<>\\^`{|}", url.ptr[i]) != NULL) {
            return "holds a character that a URL cannot have; percent-encode it";
        }
    }
    size_t authority_len = strcspn(rest.ptr, "/?#");
    struct str authority = {rest.ptr, authority_len};
    if (memchr(authority.ptr, '@', authority.len) != NULL) {
        return "holds a user name or password; move it to auth";
    }
    if (strpbrk(rest.ptr, "?#") != NULL) {
        return "must not have a query or fragment (? or #)";
    }
    struct str host;
    struct str port;
    if (!split_authority(authority, &host, &port)) {
        return "names no valid host";
    }
    if (port.ptr != NULL && !is_port(port, 1)) {
        return "has a port that is not a number from 1 to 65535";
    }
    return NULL;
}

const char *option_listen_fault(const char *text)
{
    struct str host;
    struct str port;
    if (!split_authority(str_from(text), &host, &port)) {
        return "names no valid host";
    }
    if (port.ptr == NULL || !is_port(port, 0)) {
        return "needs a port from 0 to 65535";
    }
    return NULL;
}

bool option_listen_is_loopback(const char *text)
{
    struct str host;
    struct str port;
    if (!split_authority(str_from(text), &host, &port)) {
        return false;
    }
    if (str_equal_nocase(host, STR_LITERAL("localhost")) || str_equal_c(host, "::1")) {
        return true;
    }
    char address[INET_ADDRSTRLEN];
    struct in_addr parsed;
    if (host.len >= sizeof(address)) {
        return false;
    }
    memcpy(address, host.ptr, host.len);
    address[host.len] = '\0';
    return inet_pton(AF_INET, address, &parsed) == 1 && (ntohl(parsed.s_addr) >> 24) == 127;
}
