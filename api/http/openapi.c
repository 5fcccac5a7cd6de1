#include "api/http/openapi.h"

#include <string.h>

#include "api/http/asset.h"

static const char info[] =
    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"foz\",\"version\":\"" FOZ_VERSION "\","
    "\"summary\":\"ServiceNow, GLPI and Azure DevOps in one PostgreSQL database\","
    "\"license\":{\"name\":\"MIT\",\"identifier\":\"MIT\"}},\"paths\":{";

static void write_path(struct buf *out, const char *pattern)
{
    const char *optional = strstr(pattern, "[/]");
    size_t len = optional != NULL ? (size_t)(optional - pattern) : strlen(pattern);
    buf_addf(out, "\"%.*s%s\":{", (int)len, pattern, optional != NULL ? "/" : "");
}

static void write_path_parameters(struct buf *out, const struct route *route, bool *is_first)
{
    const char *open = strchr(route->pattern, '{');
    while (open != NULL) {
        size_t len = strcspn(open + 1, "}");
        buf_addf(out,
                 "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
                 "\"string\"}}",
                 *is_first ? "" : ",", (int)len, open + 1);
        *is_first = false;
        open = strchr(open + 1, '{');
    }
}

static void write_choices(struct buf *out, const struct param_spec *spec)
{
    buf_add_c(out, ",\"enum\":[");
    for (size_t i = 0; spec->choices[i] != NULL; i++) {
        buf_addf(out, "%s\"%s\"", i == 0 ? "" : ",", spec->choices[i]);
    }
    buf_add_char(out, ']');
}

static void write_schema(struct buf *out, const struct param_spec *spec)
{
    switch (spec->type) {
    case PARAM_TEXT:
        buf_add_c(out, "{\"type\":\"string\"");
        break;
    case PARAM_LIST:
        buf_add_c(out, "{\"type\":\"array\",\"items\":{\"type\":\"string\"");
        if (spec->choices != NULL) {
            write_choices(out, spec);
        }
        buf_add_char(out, '}');
        break;
    case PARAM_INSTANT:
        buf_add_c(out, "{\"type\":\"string\",\"examples\":[\"2026-01-31\","
                       "\"2026-01-31T13:45:00Z\"]");
        break;
    case PARAM_INTEGER:
        buf_addf(out, "{\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld",
                 (long long)spec->min, (long long)spec->max);
        break;
    case PARAM_CHOICE:
        buf_add_c(out, "{\"type\":\"string\"");
        write_choices(out, spec);
        break;
    case PARAM_BOOL:
        buf_add_c(out, "{\"type\":\"boolean\"");
        break;
    }
    buf_add_char(out, '}');
}

static void write_help(struct buf *out, const struct param_spec *spec)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 1000);
    buf_add_c(&text, spec->help);
    if (spec->alias != NULL) {
        buf_addf(&text, " Also named %s.", spec->alias);
    }
    if (spec->fallback != NULL) {
        buf_addf(&text, " Default: %s.", spec->fallback);
    }
    buf_add_c(out, ",\"description\":");
    buf_add_json_string(out, buf_str(&text));
}

static void write_parameters(struct buf *out, const struct route *route)
{
    bool is_first = true;
    buf_add_c(out, ",\"parameters\":[");
    write_path_parameters(out, route, &is_first);
    for (size_t i = 0; i < route->n_params; i++) {
        const struct param_spec *spec = &route->params[i];
        buf_addf(out, "%s{\"name\":\"%s\",\"in\":\"query\"", is_first ? "" : ",", spec->name);
        write_help(out, spec);
        buf_add_c(out, ",\"schema\":");
        write_schema(out, spec);
        buf_add_char(out, '}');
        is_first = false;
    }
    buf_add_char(out, ']');
}

static void write_object_schema(struct buf *out, const struct route *route)
{
    buf_add_c(out, "{\"schema\":{\"type\":\"object\",\"additionalProperties\":false,"
                   "\"properties\":{");
    for (size_t i = 0; i < route->n_params; i++) {
        buf_addf(out, "%s\"%s\":", i == 0 ? "" : ",", route->params[i].name);
        write_schema(out, &route->params[i]);
    }
    buf_add_c(out, "}}}");
}

static void write_body(struct buf *out, const struct route *route)
{
    if (strcmp(route->method, "POST") != 0 || route->n_params == 0) {
        return;
    }
    buf_add_c(out, ",\"requestBody\":{\"required\":false,\"description\":\"The same parameters as "
                   "in the query, merged with them.\",\"content\":{\"application/json\":");
    write_object_schema(out, route);
    buf_add_c(out, ",\"application/x-www-form-urlencoded\":");
    write_object_schema(out, route);
    buf_add_c(out, "}}");
}

static void write_json_content(struct buf *out, const char *schema)
{
    buf_addf(out, "\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}",
             schema);
}

static void write_content(struct buf *out, const struct route *route)
{
    if (route->media != NULL) {
        buf_addf(out, "\"%s\":{\"schema\":{\"type\":\"string\"}}", route->media);
        return;
    }
    write_json_content(out, route->schema);
    if (route->is_list) {
        buf_add_c(out, ",\"text/csv\":{\"schema\":{\"type\":\"string\"}},\"application/x-ndjson\":{"
                       "\"schema\":{\"type\":\"string\"}}");
    }
}

static void write_responses(struct buf *out, const struct route *route)
{
    buf_addf(out, ",\"responses\":{\"%d\":{\"description\":\"Good.\",\"content\":{", route->status);
    write_content(out, route);
    buf_add_c(out, "}}");
    if (route->other_status != 0) {
        buf_addf(out, ",\"%d\":{\"description\":\"Good, too: see above.\",\"content\":{",
                 route->other_status);
        write_json_content(out, route->other_schema);
        buf_add_c(out, "}}");
    }
    if (strcmp(route->method, "GET") == 0) {
        buf_add_c(out, ",\"304\":{\"description\":\"What If-None-Match names is still good.\"}");
    }
    buf_add_c(out, ",\"default\":{\"description\":\"Refused or failed.\",\"content\":{"
                   "\"application/problem+json\":{\"schema\":{\"$ref\":"
                   "\"#/components/schemas/Problem\"}}}}}");
}

static void write_operation(struct buf *out, const struct route *route)
{
    bool is_get = strcmp(route->method, "GET") == 0;
    buf_addf(out, "\"%s\":{\"operationId\":\"%s\",\"summary\":", is_get ? "get" : "post",
             route->operation);
    buf_add_json_string(out, str_from(route->summary));
    if (route->scope == SCOPE_NONE) {
        buf_add_c(out, ",\"security\":[]");
    } else {
        const char *scope = scope_name(route->scope);
        buf_addf(out,
                 ",\"security\":[{\"apiKey\":[\"%s\"]},{\"bearer\":[\"%s\"]},"
                 "{\"azureDevOps\":[\"%s\"]}]",
                 scope, scope, scope);
    }
    write_parameters(out, route);
    write_body(out, route);
    write_responses(out, route);
    buf_add_char(out, '}');
}

/* What answers look like; referred to by name from the route table. */
static void write_schemas(struct buf *out)
{
    struct str text = asset_text("schemas.json");
    while (text.ptr != NULL) {
        buf_add_str(out, str_cut(&text, '\n'));
    }
}

/* Is this the first row with its pattern? */
static bool opens_path(const struct route *routes, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(routes[i].pattern, routes[index].pattern) == 0) {
            return false;
        }
    }
    return true;
}

void openapi_write(const struct route *routes, size_t n_routes, struct buf *out)
{
    buf_add_c(out, info);
    for (size_t i = 0; i < n_routes; i++) {
        if (!opens_path(routes, i)) {
            continue;
        }
        buf_add_c(out, i == 0 ? "" : ",");
        write_path(out, routes[i].pattern);
        bool is_first = true;
        for (size_t k = i; k < n_routes; k++) {
            if (strcmp(routes[k].pattern, routes[i].pattern) == 0) {
                buf_add_c(out, is_first ? "" : ",");
                write_operation(out, &routes[k]);
                is_first = false;
            }
        }
        buf_add_char(out, '}');
    }
    buf_add_c(
        out, "},\"components\":{\"securitySchemes\":{\"apiKey\":{\"type\":\"apiKey\",\"in\":"
             "\"header\",\"name\":\"X-API-Key\"},\"bearer\":{\"type\":\"http\",\"scheme\":"
             "\"bearer\",\"bearerFormat\":\"JWT\",\"description\":\"A token of api.auth.jwt, or of "
             "Azure DevOps, where the service is configured for it.\"},\"azureDevOps\":{\"type\":"
             "\"http\",\"scheme\":\"basic\",\"description\":\"An Azure DevOps PAT as the password "
             "of an empty user name, where the service is configured for it.\"}},\"schemas\":");
    write_schemas(out);
    buf_add_c(out, "}}\n");
}
