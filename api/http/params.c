#include "api/http/params.h"

#include <assert.h>
#include <string.h>

#include "common/base/instant.h"
#include "common/io/json.h"

#define VALUES_PER_PARAM_MAX 64

DEFINE_CLEANUP(struct json *, json_free);

/* The value of PARAM_BOOL. */
static bool parse_bool(const char *text, bool *ret_value)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret_value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static size_t spec_index(const struct params *params, struct str name)
{
    for (size_t i = 0; i < params->n_specs; i++) {
        const struct param_spec *spec = &params->specs[i];
        if (str_equal_c(name, spec->name) ||
            (spec->alias != NULL && str_equal_c(name, spec->alias))) {
            return i;
        }
    }
    return SIZE_MAX;
}

static bool refuse_unknown(const struct params *params, struct str name, struct problem *problem)
{
    if (params->n_specs == 0) {
        return problem_set_parameter(problem, name, "unknown_parameter",
                                     "unknown parameter \"%.*s\": this path takes none",
                                     STR_ARG(name));
    }
    const char *names[2 * PARAMS_MAX];
    size_t n_names = 0;
    struct buf list CLEANUP(buf_release) = {0};
    buf_init(&list, 400);
    for (size_t i = 0; i < params->n_specs; i++) {
        names[n_names++] = params->specs[i].name;
        buf_addf(&list, "%s%s", i == 0 ? "" : ", ", params->specs[i].name);
        if (params->specs[i].alias != NULL) {
            names[n_names++] = params->specs[i].alias;
        }
    }
    if (name.len > 0 && (name.ptr[0] == '{' || name.ptr[0] == '[')) {
        return problem_set(problem, 400, "unknown_parameter",
                           "the body looks like JSON but was sent as a form: set the header "
                           "Content-Type: application/json");
    }
    char text[64];
    size_t len = name.len < sizeof(text) - 1 ? name.len : sizeof(text) - 1;
    memcpy(text, name.ptr, len);
    text[len] = '\0';
    const char *nearest = str_nearest(text, names, n_names);
    if (nearest != NULL) {
        return problem_set_parameter(problem, name, "unknown_parameter",
                                     "unknown parameter \"%s\": did you mean \"%s\"? valid: %s",
                                     text, nearest, list.ptr);
    }
    return problem_set_parameter(problem, name, "unknown_parameter",
                                 "unknown parameter \"%s\"; valid: %s", text, list.ptr);
}

static bool out_of_room(struct problem *problem)
{
    return problem_set(problem, 413, "request_too_large", "the request's parameters are too large");
}

/* A + that was not written as %2B arrives as a blank; in an offset it can mean nothing else. */
static const char *repair_offset(struct arena *arena, const char *text)
{
    size_t len = strlen(text);
    if (len < 7 || text[len - 6] != ' ' || text[len - 3] != ':' || strchr(text, 'T') == NULL) {
        return text;
    }
    char *repaired = arena_strndup(arena, text, len);
    if (repaired == NULL) {
        return text;
    }
    repaired[len - 6] = '+';
    return repaired;
}

static bool add_one(struct params *params,
                    const struct request *request,
                    struct str name,
                    struct str text,
                    struct problem *problem)
{
    size_t index = spec_index(params, name);
    if (index == SIZE_MAX) {
        return refuse_unknown(params, name, problem);
    }
    const struct param_spec *spec = &params->specs[index];
    struct param_value *value = &params->values[index];
    if (text.len == 0) {
        return problem_set_parameter(problem, name, "invalid_parameter",
                                     "%.*s is empty: give a value or leave it out", STR_ARG(name));
    }
    const char *copy = arena_strndup(request->arena, text.ptr, text.len);
    if (copy == NULL) {
        return out_of_room(problem);
    }
    if (spec->type == PARAM_INSTANT) {
        copy = repair_offset(request->arena, copy);
    }
    if (value->said_as == NULL) {
        value->said_as = str_equal_c(name, spec->name) ? spec->name : spec->alias;
    }
    for (size_t i = 0; i < value->n_texts; i++) {
        if (strcmp(value->texts[i], copy) == 0) {
            return true; /* said twice, meant once */
        }
    }
    if (value->n_texts > 0 && spec->type != PARAM_LIST) {
        return problem_set_parameter(problem, name, "conflicting_parameter",
                                     "%s%s%s is given with two different values: give one",
                                     spec->name, spec->alias != NULL ? " or its alias " : "",
                                     spec->alias != NULL ? spec->alias : "");
    }
    if (value->n_texts == VALUES_PER_PARAM_MAX) {
        return problem_set_parameter(problem, name, "invalid_parameter",
                                     "%s has more than %d values", spec->name,
                                     VALUES_PER_PARAM_MAX);
    }
    if (value->n_texts == value->capacity) {
        size_t capacity = value->capacity == 0 ? 2 : value->capacity * 2;
        const char **texts = arena_alloc(request->arena, capacity * sizeof(*texts));
        if (texts == NULL) {
            return out_of_room(problem);
        }
        for (size_t i = 0; i < value->n_texts; i++) {
            texts[i] = value->texts[i];
        }
        value->texts = texts;
        value->capacity = capacity;
    }
    value->texts[value->n_texts++] = copy;
    return true;
}

/* Values that cannot hold a comma may be separated by one. */
static bool add_value(struct params *params,
                      const struct request *request,
                      struct str name,
                      struct str text,
                      struct problem *problem)
{
    size_t index = spec_index(params, name);
    bool is_list = index != SIZE_MAX && params->specs[index].type == PARAM_LIST &&
                   params->specs[index].choices != NULL;
    struct str rest = text;
    while (is_list && memchr(rest.ptr, ',', rest.len) != NULL) {
        if (!add_one(params, request, name, str_cut(&rest, ','), problem)) {
            return false;
        }
    }
    return add_one(params, request, name, rest, problem);
}

/* Query strings and form bodies. */
static bool collect_pairs(struct params *params,
                          const struct request *request,
                          struct str text,
                          struct problem *problem)
{
    struct str rest = text;
    while (rest.ptr != NULL && rest.len > 0) {
        struct str pair = str_cut(&rest, '&');
        if (pair.len == 0) {
            continue;
        }
        struct str raw = pair;
        struct str raw_name = str_cut(&raw, '=');
        struct str name;
        struct str value = STR_LITERAL("");
        if (!request_decode(request->arena, raw_name, true, &name) ||
            (raw.ptr != NULL && !request_decode(request->arena, raw, true, &value))) {
            return problem_set_parameter(
                problem, raw_name, "bad_encoding", "\"%.*s\" is not percent-encoded UTF-8",
                (int)(raw_name.len > 64 ? 64 : raw_name.len), raw_name.ptr);
        }
        if (!add_value(params, request, name, value, problem)) {
            return false;
        }
    }
    return true;
}

static bool refuse_kind(const struct param_spec *spec, struct str name, struct problem *problem)
{
    static const char *const wanted[] = {
        [PARAM_TEXT] = "a string",
        [PARAM_LIST] = "a string or a list of strings",
        [PARAM_INSTANT] = "a string with a date or an RFC 3339 time",
        [PARAM_INTEGER] = "a whole number",
        [PARAM_CHOICE] = "a string",
        [PARAM_BOOL] = "true or false",
    };
    return problem_set_parameter(problem, name, "invalid_parameter", "%.*s must be %s",
                                 STR_ARG(name), wanted[spec->type]);
}

static bool add_json_number(struct params *params,
                            const struct request *request,
                            struct str name,
                            const struct json *node,
                            struct problem *problem)
{
    size_t index = spec_index(params, name);
    int64_t number = 0;
    if (index == SIZE_MAX) {
        return refuse_unknown(params, name, problem);
    }
    if (params->specs[index].type != PARAM_INTEGER || !json_int64(node, &number)) {
        return refuse_kind(&params->specs[index], name, problem);
    }
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, 32);
    buf_add_int(&text, number);
    return add_value(params, request, name, buf_str(&text), problem);
}

static bool add_json_list(struct params *params,
                          const struct request *request,
                          struct str name,
                          const struct json *list,
                          struct problem *problem)
{
    size_t index = spec_index(params, name);
    if (index == SIZE_MAX) {
        return refuse_unknown(params, name, problem);
    }
    if (params->specs[index].type != PARAM_LIST) {
        return refuse_kind(&params->specs[index], name, problem);
    }
    size_t n_items = json_size(list);
    if (n_items > VALUES_PER_PARAM_MAX) {
        return problem_set_parameter(problem, name, "invalid_parameter",
                                     "%.*s has more than %d values", STR_ARG(name),
                                     VALUES_PER_PARAM_MAX);
    }
    for (size_t i = 0; i < n_items; i++) {
        const char *text = json_string(json_at(list, i));
        if (text == NULL) {
            return refuse_kind(&params->specs[index], name, problem);
        }
        if (!add_value(params, request, name, str_from(text), problem)) {
            return false;
        }
    }
    return true;
}

static bool add_json_member(struct params *params,
                            const struct request *request,
                            struct str name,
                            const struct json *node,
                            struct problem *problem)
{
    size_t index = spec_index(params, name);
    if (index == SIZE_MAX) {
        return refuse_unknown(params, name, problem);
    }
    const struct param_spec *spec = &params->specs[index];
    switch (json_kind(node)) {
    case JSON_KIND_NULL:
        return true;
    case JSON_KIND_BOOL:
        if (spec->type != PARAM_BOOL) {
            return refuse_kind(spec, name, problem);
        }
        return add_value(params, request, name, str_from(json_bool(node, false) ? "true" : "false"),
                         problem);
    case JSON_KIND_NUMBER:
        return add_json_number(params, request, name, node, problem);
    case JSON_KIND_STRING:
        return add_value(params, request, name, str_from(json_string(node)), problem);
    case JSON_KIND_ARRAY:
        return add_json_list(params, request, name, node, problem);
    case JSON_KIND_OBJECT:
        break;
    }
    return refuse_kind(spec, name, problem);
}

static bool
collect_json(struct params *params, const struct request *request, struct problem *problem)
{
    struct error err = ERROR_INIT;
    struct json *root CLEANUP(json_freep) = json_parse(request->body, &err);
    if (root == NULL) {
        return problem_set(problem, 400, "bad_json", "the body is not valid JSON: %.300s", err.msg);
    }
    if (json_kind(root) != JSON_KIND_OBJECT) {
        return problem_set(problem, 400, "bad_json",
                           "the body must be one JSON object, like {\"mode\": \"full\"}");
    }
    size_t n_members = json_size(root);
    for (size_t i = 0; i < n_members; i++) {
        if (!add_json_member(params, request, str_from(json_name_at(root, i)), json_at(root, i),
                             problem)) {
            return false;
        }
    }
    return true;
}

static bool
collect_body(struct params *params, const struct request *request, struct problem *problem)
{
    struct str body = str_trim(request->body);
    if (body.len == 0) {
        return true;
    }
    struct str type = request_header(request, "Content-Type");
    struct str media = str_trim(str_cut(&type, ';'));
    bool is_json = str_equal_nocase(media, STR_LITERAL("application/json"));
    if (is_json || (media.len == 0 && body.ptr[0] == '{')) {
        return collect_json(params, request, problem);
    }
    if (str_equal_nocase(media, STR_LITERAL("application/x-www-form-urlencoded"))) {
        return collect_pairs(params, request, body, problem);
    }
    return problem_set(problem, 415, "unsupported_media_type",
                       "Content-Type must be application/json or "
                       "application/x-www-form-urlencoded");
}

static bool check_choice(const struct param_spec *spec, const char *text, struct problem *problem)
{
    size_t n_choices = 0;
    struct buf list CLEANUP(buf_release) = {0};
    buf_init(&list, 400);
    for (; spec->choices[n_choices] != NULL; n_choices++) {
        if (strcmp(spec->choices[n_choices], text) == 0) {
            return true;
        }
        buf_addf(&list, "%s%s", n_choices == 0 ? "" : ", ", spec->choices[n_choices]);
    }
    const char *nearest = str_nearest(text, spec->choices, n_choices);
    return problem_set_parameter(problem, str_from(spec->name), "invalid_parameter",
                                 "%s \"%.64s\" is unknown%s%s%s; valid: %s", spec->name, text,
                                 nearest != NULL ? ": did you mean \"" : "",
                                 nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "",
                                 list.ptr);
}

static bool check_value(const struct param_spec *spec,
                        const char *said_as,
                        const char *text,
                        struct problem *problem)
{
    int64_t number = 0;
    bool flag = false;
    struct str name = str_from(said_as);
    switch (spec->type) {
    case PARAM_TEXT:
        return true;
    case PARAM_LIST:
        return spec->choices == NULL || check_choice(spec, text, problem);
    case PARAM_INSTANT:
        return instant_parse_rfc3339(str_from(text), &number) ||
               problem_set_parameter(problem, name, "invalid_parameter",
                                     "%s \"%.64s\" is not a time: write 2026-01-31 or "
                                     "2026-01-31T13:45:00Z (a + in a query string is %%2B)",
                                     said_as, text);
    case PARAM_INTEGER:
        return str_to_int64(str_from(text), spec->min, spec->max, &number) ||
               problem_set_parameter(problem, name, "invalid_parameter",
                                     "%s \"%.64s\" is not a whole number from %lld to %lld",
                                     said_as, text, (long long)spec->min, (long long)spec->max);
    case PARAM_CHOICE:
        return check_choice(spec, text, problem);
    case PARAM_BOOL:
        return parse_bool(text, &flag) ||
               problem_set_parameter(problem, name, "invalid_parameter",
                                     "%s \"%.64s\" must be true or false", said_as, text);
    }
    return false;
}

static bool check_values(const struct params *params, struct problem *problem)
{
    for (size_t i = 0; i < params->n_specs; i++) {
        for (size_t k = 0; k < params->values[i].n_texts; k++) {
            if (!check_value(&params->specs[i], params->values[i].said_as,
                             params->values[i].texts[k], problem)) {
                return false;
            }
        }
    }
    return true;
}

bool params_parse(struct params *params,
                  const struct param_spec *specs,
                  size_t n_specs,
                  const struct request *request,
                  struct problem *problem)
{
    assert(n_specs <= PARAMS_MAX);
    *params = (struct params){.specs = specs, .n_specs = n_specs};
    return collect_pairs(params, request, request->query, problem) &&
           collect_body(params, request, problem) && check_values(params, problem);
}

static const struct param_value *find_value(const struct params *params, const char *name)
{
    size_t index = spec_index(params, str_from(name));
    assert(index != SIZE_MAX);
    return &params->values[index];
}

const char *params_text(const struct params *params, const char *name)
{
    const struct param_value *value = find_value(params, name);
    return value->n_texts == 0 ? NULL : value->texts[0];
}

const char *const *params_list(const struct params *params, const char *name, size_t *ret_n)
{
    const struct param_value *value = find_value(params, name);
    *ret_n = value->n_texts;
    return value->texts;
}

int64_t params_integer(const struct params *params, const char *name, int64_t fallback)
{
    const char *text = params_text(params, name);
    int64_t number = fallback;
    if (text != NULL) {
        (void)str_to_int64(str_from(text), INT64_MIN, INT64_MAX, &number);
    }
    return number;
}

bool params_bool(const struct params *params, const char *name)
{
    const char *text = params_text(params, name);
    bool flag = false;
    return text != NULL && parse_bool(text, &flag) && flag;
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

void params_write_query(const struct params *params, const char *const *except, struct buf *out)
{
    size_t start = out->len;
    for (size_t i = 0; i < params->n_specs; i++) {
        const struct param_spec *spec = &params->specs[i];
        if (is_listed(except, spec->name)) {
            continue;
        }
        for (size_t k = 0; k < params->values[i].n_texts; k++) {
            buf_add_c(out, out->len == start ? "" : "&");
            buf_add_c(out, spec->name);
            buf_add_char(out, '=');
            buf_add_percent(out, str_from(params->values[i].texts[k]), "");
        }
    }
}
