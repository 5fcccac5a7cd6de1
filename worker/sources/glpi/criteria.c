#include "worker/sources/glpi/criteria.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/instant.h"

static const struct glpi_search_option OPTIONS[] = {
#define OPTION(id, what, data, types) {id, what, GLPI_SEARCH_##data, types},
#include "worker/sources/glpi/search_options.def"
#undef OPTION
};

static const char *const LINKS[] = {"AND", "OR", "AND NOT", "OR NOT"};

static const struct {
    const char *name;
    unsigned needs;
} TYPES[] = {
    [GLPI_CONTAINS] = {"contains", SEARCH_CONTAINS},
    [GLPI_NOTCONTAINS] = {"notcontains", SEARCH_CONTAINS},
    [GLPI_EQUALS] = {"equals", SEARCH_EQUALS},
    [GLPI_NOTEQUALS] = {"notequals", SEARCH_NOTEQUALS},
    [GLPI_LESSTHAN] = {"lessthan", SEARCH_COMPARES},
    [GLPI_MORETHAN] = {"morethan", SEARCH_COMPARES},
    [GLPI_UNDER] = {"under", SEARCH_UNDER},
    [GLPI_NOTUNDER] = {"notunder", SEARCH_UNDER},
};

const struct glpi_search_option *glpi_search_option(int id)
{
    for (size_t i = 0; i < ARRAY_SIZE(OPTIONS); i++) {
        if (OPTIONS[i].id == id) {
            return &OPTIONS[i];
        }
    }
    return NULL;
}

static bool is_numeric(const struct glpi_search_option *option)
{
    return option->data == GLPI_SEARCH_NUMBER || option->data == GLPI_SEARCH_COUNT ||
           option->data == GLPI_SEARCH_DECIMAL || option->data == GLPI_SEARCH_TIMESTAMP;
}

static bool is_number(struct str text)
{
    struct str rest = text;
    struct str whole = str_cut(&rest, '.');
    int64_t value = 0;
    return str_to_int64(whole, INT64_MIN, INT64_MAX, &value) &&
           (rest.ptr == NULL || str_to_int64(rest, 0, INT64_MAX, &value));
}

static bool is_comparison(enum glpi_search_type type)
{
    return type == GLPI_LESSTHAN || type == GLPI_MORETHAN;
}

/* What an actor, a category, an entity is compared with: its id, or one of GLPI's words. */
static bool is_reference(struct str value)
{
    int64_t id = 0;
    return str_to_int64(value, 0, INT64_MAX, &id) || str_equal_c(value, "myself") ||
           str_equal_c(value, "mygroups");
}

static const char *
value_fault(const struct glpi_search_option *option, enum glpi_search_type type, struct str value)
{
    int64_t us = 0;
    int32_t days = 0;
    bool is_pattern = type == GLPI_CONTAINS || type == GLPI_NOTCONTAINS;
    if (value.len == 0) {
        return "an empty value matches everything";
    }
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.ptr[i] < ' ') {
            return "the value holds a control character";
        }
    }
    if (is_numeric(option) && is_comparison(type) && !is_number(value)) {
        return "the value is not a number";
    }
    if (option->data == GLPI_SEARCH_DATETIME && !is_pattern && !instant_parse_plain(value, &us) &&
        !(value.len == 10 && instant_parse_date(value, &days))) {
        return "the value is neither YYYY-MM-DD nor YYYY-MM-DD HH:MM:SS";
    }
    if (option->data == GLPI_SEARCH_DROPDOWN && !is_pattern && !is_reference(value)) {
        return "the value is not an id; an unknown one would match everything";
    }
    return NULL;
}

static const char *criterion_fault(const struct glpi_criterion *criterion)
{
    const struct glpi_search_option *option = glpi_search_option(criterion->field);
    if (option == NULL) {
        return "there is no such search option";
    }
    bool is_written = option != NULL && is_numeric(option) && is_comparison(criterion->type);
    unsigned needs = is_written ? SEARCH_CONTAINS : TYPES[criterion->type].needs;
    if ((option->types & needs) == 0) {
        return option->types == SEARCH_NEVER ? "it can only be displayed"
                                             : "it does not take this type of search";
    }
    return value_fault(option, criterion->type, str_from(criterion->value));
}

/* "criteria[0][criteria][1]" of the place a criterion has. */
struct place {
    const struct place *parent;
    size_t index;
};

static void add_place(const struct place *place, struct buf *url)
{
    if (place->parent != NULL) {
        add_place(place->parent, url);
        buf_add_c(url, "%5Bcriteria%5D");
    } else {
        buf_add_c(url, "criteria");
    }
    buf_addf(url, "%%5B%zu%%5D", place->index);
}

static void add_part(const struct place *place, const char *name, struct str value, struct buf *url)
{
    if (url->len > 0 && url->ptr[url->len - 1] != '?' && url->ptr[url->len - 1] != '&') {
        buf_add_char(url, '&');
    }
    add_place(place, url);
    buf_addf(url, "%%5B%s%%5D=", name);
    buf_add_percent(url, value, "");
}

static void
add_criterion(const struct glpi_criterion *criterion, const struct place *place, struct buf *url)
{
    const struct glpi_search_option *option = glpi_search_option(criterion->field);
    bool is_written = option != NULL && is_numeric(option) && is_comparison(criterion->type);
    struct buf text CLEANUP(buf_release);
    buf_init(&text, 1024);
    buf_addf(&text, "%d", criterion->field);
    add_part(place, "field", buf_str(&text), url);
    buf_reset(&text);
    if (is_written) {
        buf_add_c(&text, criterion->type == GLPI_LESSTHAN ? "<" : ">");
    }
    buf_add_c(&text, criterion->value);
    add_part(place, "searchtype",
             str_from(is_written ? TYPES[GLPI_CONTAINS].name : TYPES[criterion->type].name), url);
    add_part(place, "value", buf_str(&text), url);
    url->overflow = url->overflow || text.overflow;
}

static bool add_all(const struct glpi_criterion *criteria,
                    size_t n,
                    const struct place *parent,
                    unsigned depth,
                    struct buf *url,
                    struct error *err)
{
    if (n == 0 || depth > GLPI_CRITERIA_DEPTH_MAX) {
        return error_set(err, ERROR_CONFIG,
                         n == 0 ? "search criteria: an empty group matches everything"
                                : "search criteria: groups are nested too deep");
    }
    for (size_t i = 0; i < n; i++) {
        const struct glpi_criterion *criterion = &criteria[i];
        struct place place = {parent, i};
        bool is_or = criterion->link == GLPI_OR || criterion->link == GLPI_OR_NOT;
        if (i == 0 && is_or) {
            return error_set(err, ERROR_CONFIG,
                             "search criteria: the first one has nothing to be "
                             "linked to by %s",
                             LINKS[criterion->link]);
        }
        const char *fault = criterion->field != 0 ? criterion_fault(criterion) : NULL;
        if (fault != NULL) {
            return error_set(err, ERROR_CONFIG, "search criteria: field %d %s \"%.80s\": %s",
                             criterion->field, TYPES[criterion->type].name,
                             criterion->value != NULL ? criterion->value : "", fault);
        }
        add_part(&place, "link", str_from(LINKS[criterion->link]), url);
        if (criterion->field != 0) {
            add_criterion(criterion, &place, url);
        } else if (!add_all(criterion->group, criterion->n_group, &place, depth + 1, url, err)) {
            return false;
        }
    }
    return true;
}

bool glpi_criteria_add(const struct glpi_criterion *criteria,
                       size_t n,
                       struct buf *url,
                       struct error *err)
{
    size_t start = url->len;
    bool good = add_all(criteria, n, NULL, 1, url, err);
    if (good && url->overflow) {
        good = error_set(err, ERROR_LIMIT, "search criteria: the URL is too long");
    }
    if (!good) {
        buf_truncate(url, start);
    }
    return good;
}
