#include "api/http/router.h"

#include <string.h>

static bool pattern_matches(const char *pattern, struct str path, struct str *values)
{
    size_t at = 0;
    size_t n_values = 0;
    while (*pattern != '\0') {
        if (*pattern == '[' && strcmp(pattern, "[/]") == 0) {
            return at == path.len || (at + 1 == path.len && path.ptr[at] == '/');
        }
        if (*pattern == '{') {
            size_t start = at;
            while (at < path.len && path.ptr[at] != '/') {
                at++;
            }
            if (at == start) {
                return false;
            }
            values[n_values++] = (struct str){path.ptr + start, at - start};
            pattern = strchr(pattern, '}') + 1;
            continue;
        }
        if (at == path.len || path.ptr[at] != *pattern) {
            return false;
        }
        at++;
        pattern++;
    }
    return at == path.len;
}

static bool decode_values(const struct request *request,
                          const struct str raw[ROUTE_VALUES_MAX],
                          struct route_match *ret_match)
{
    for (size_t i = 0; i < ROUTE_VALUES_MAX; i++) {
        if (raw[i].ptr != NULL &&
            !request_decode(request->arena, raw[i], false, &ret_match->values[i])) {
            return false;
        }
    }
    return true;
}

enum route_result route_find(const struct route *routes,
                             size_t n_routes,
                             const struct request *request,
                             struct route_match *ret_match,
                             struct buf *allow)
{
    bool is_head = str_equal_c(request->method, "HEAD");
    struct str method = is_head ? STR_LITERAL("GET") : request->method;
    bool path_exists = false;
    for (size_t i = 0; i < n_routes; i++) {
        struct str raw[ROUTE_VALUES_MAX] = {STR_NONE, STR_NONE};
        if (!pattern_matches(routes[i].pattern, request->path, raw)) {
            continue;
        }
        if (str_equal_c(method, routes[i].method)) {
            *ret_match = (struct route_match){.route = &routes[i]};
            return decode_values(request, raw, ret_match) ? ROUTE_FOUND : ROUTE_BAD_PATH;
        }
        /* Several patterns may fit one path. */
        if (strstr(allow->ptr, routes[i].method) == NULL) {
            buf_addf(allow, "%s%s, ", routes[i].method,
                     strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
        }
        path_exists = true;
    }
    buf_add_c(allow, "OPTIONS");
    return path_exists ? ROUTE_WRONG_METHOD : ROUTE_UNKNOWN_PATH;
}

static const struct {
    enum scope scope;
    const char *name;
} scope_names[] = {
    {SCOPE_READ, "dash.read"},
    {SCOPE_ADMIN, "dash.admin"},
    {SCOPE_OBSERVABILITY, "dash.observability"},
};

const char *scope_name(enum scope scope)
{
    for (size_t i = 0; i < ARRAY_SIZE(scope_names); i++) {
        if (scope_names[i].scope == scope) {
            return scope_names[i].name;
        }
    }
    return "";
}

bool scope_parse(struct str text, enum scope *ret_scope)
{
    for (size_t i = 0; i < ARRAY_SIZE(scope_names); i++) {
        if (str_equal_c(text, scope_names[i].name)) {
            *ret_scope = scope_names[i].scope;
            return true;
        }
    }
    return false;
}
