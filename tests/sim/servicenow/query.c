#include "tests/sim/servicenow/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "tests/sim/servicenow/script.h"
#include "tests/sim/servicenow/world.h"

struct operator_name {
    const char *text;
    enum query_operator op;
};

/* A longer name before any that it begins with. */
static const struct operator_name operator_names[] = {
    {"NOT IN", OP_NOT_IN},
    {"NOT LIKE", OP_NOT_LIKE},
    {"ISNOTEMPTY", OP_IS_NOT_EMPTY},
    {"ISEMPTY", OP_IS_EMPTY},
    {"EMPTYSTRING", OP_EMPTY_STRING},
    {"ANYTHING", OP_ANYTHING},
    {"STARTSWITH", OP_STARTS_WITH},
    {"ENDSWITH", OP_ENDS_WITH},
    {"BETWEEN", OP_BETWEEN},
    {"NSAMEAS", OP_NOT_SAME_AS},
    {"SAMEAS", OP_SAME_AS},
    {"GT_OR_EQUALS_FIELD", OP_GREATER_EQUAL_FIELD},
    {"LT_OR_EQUALS_FIELD", OP_LESS_EQUAL_FIELD},
    {"GT_FIELD", OP_GREATER_FIELD},
    {"LT_FIELD", OP_LESS_FIELD},
    {"RELATIVEGE", OP_GREATER_EQUAL},
    {"RELATIVEGT", OP_GREATER},
    {"RELATIVELE", OP_LESS_EQUAL},
    {"RELATIVELT", OP_LESS},
    {"INSTANCEOF", OP_EQUAL},
    {"IN", OP_IN},
    {"LIKE", OP_LIKE},
    {"NOTON", OP_NOT_BETWEEN},
    {"ON", OP_BETWEEN},
    {"!=", OP_NOT_EQUAL},
    {"!*", OP_NOT_LIKE},
    {">=", OP_GREATER_EQUAL},
    {"<=", OP_LESS_EQUAL},
    {"=", OP_EQUAL},
    {"<", OP_LESS},
    {">", OP_GREATER},
    {"*", OP_LIKE},
    {"%", OP_ENDS_WITH},
};

static bool take_prefix(struct str *text, const char *prefix)
{
    struct str view = str_from(prefix);

    if (!str_starts_with(*text, view)) {
        return false;
    }
    text->ptr += view.len;
    text->len -= view.len;
    return true;
}

static struct str take_field(struct str *text)
{
    size_t n = 0;

    while (n < text->len && ((text->ptr[n] >= 'a' && text->ptr[n] <= 'z') || text->ptr[n] == '_' ||
                             text->ptr[n] == '.' || (text->ptr[n] >= '0' && text->ptr[n] <= '9'))) {
        n++;
    }
    struct str field = {text->ptr, n};

    text->ptr += n;
    text->len -= n;
    return field;
}

bool query_is_range(enum query_operator op)
{
    switch (op) {
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_IN:
    case OP_NOT_IN:
    case OP_IS_EMPTY:
    case OP_IS_NOT_EMPTY:
    case OP_EMPTY_STRING:
    case OP_ANYTHING:
    case OP_SAME_AS:
    case OP_NOT_SAME_AS:
    case OP_NEVER:
        return false;
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
    case OP_LIKE:
    case OP_NOT_LIKE:
    case OP_STARTS_WITH:
    case OP_ENDS_WITH:
    case OP_BETWEEN:
    case OP_NOT_BETWEEN:
    case OP_GREATER_FIELD:
    case OP_LESS_FIELD:
    case OP_GREATER_EQUAL_FIELD:
    case OP_LESS_EQUAL_FIELD:
        return true;
    }
    return false;
}

bool path_parse(struct path *path,
                const struct store *store,
                const struct table *table,
                struct str text)
{
    path->n_steps = 0;
    while (text.ptr != NULL) {
        struct str step = str_cut(&text, '.');
        const struct table *known =
            table != NULL ? table : ((const struct world *)store->world)->incident;
        int column = step.len == 0 ? -1 : table_column(known, step);

        if (column < 0 || path->n_steps == PATH_MAX_STEPS) {
            return false;
        }
        path->columns[path->n_steps] = column;
        path->tables[path->n_steps] = table;
        path->n_steps++;
        if (text.ptr == NULL) {
            return true;
        }
        const char *target = known->columns[column].target;

        if (target == NULL) {
            return false;
        }
        table = strcmp(target, "task") == 0 ? NULL : store_table(store, str_from(target));
        if (table == NULL && strcmp(target, "task") != 0) {
            return false;
        }
    }
    return false;
}

const struct column *path_column(const struct path *path)
{
    const struct table *table = path->tables[path->n_steps - 1];

    /* Only task's own columns can be asked of a task, and incident has all of them. */
    if (table == NULL) {
        for (int i = 0; i < n_shapes; i++) {
            if (strcmp(shapes[i].name, "incident") == 0) {
                return &shapes[i].columns[path->columns[path->n_steps - 1]];
            }
        }
    }
    return &table->columns[path->columns[path->n_steps - 1]];
}

static bool find_task(const struct store *store, struct str id, struct row *ret_row)
{
    const struct world *world = store->world;
    const struct table *const tables[] = {world->incident, world->incident_task,
                                          world->change_request, world->problem};

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        if (store_find(store, tables[i], id, ret_row)) {
            return true;
        }
    }
    return false;
}

struct str path_cell(const struct path *path, struct row *row, char *out)
{
    struct row next;
    struct str cell = row_cell(row, path->columns[0], out);
    const struct store *store = row->store;

    for (int i = 1; i < path->n_steps; i++) {
        const struct table *table = path->tables[i];
        bool found = cell.len > 0 && (table != NULL ? store_find(store, table, cell, &next)
                                                    : find_task(store, cell, &next));
        int column = path->columns[i];

        if (found && table == NULL) {
            const struct world *world = store->world;

            column = table_column(next.table, str_from(world->incident->columns[column].name));
        }
        if (!found || column < 0) {
            return put_empty();
        }
        cell = row_cell(&next, column, out);
    }
    return cell;
}

static bool is_numeric(enum column_type type)
{
    return type == COLUMN_INTEGER || type == COLUMN_DECIMAL;
}

static bool to_number(struct str text, double *ret)
{
    char copy[64];
    char *end;

    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret = strtod(copy, &end);
    return *end == '\0' && copy[0] != ' ';
}

/* Turns the literal into what the column is compared with; false if it can never match. */
static bool prepare_value(struct str *value,
                          double *number,
                          char computed[48],
                          enum column_type type,
                          const struct query_rules *rules)
{
    int64_t us;
    int32_t days;

    if (str_starts_with(*value, STR_LITERAL("javascript:"))) {
        if (!script_evaluate(*value, rules->now_s, rules->user_offset_s, computed)) {
            return false;
        }
        *value = str_from(computed);
    }
    if (is_numeric(type)) {
        return to_number(*value, number);
    }
    if (type == COLUMN_DATETIME) {
        if (instant_parse_date(*value, &days)) {
            (void)put_time((int64_t)days * 86400, computed);
            *value = (struct str){computed, 19};
            return true;
        }
        return instant_parse_plain(*value, &us);
    }
    return true;
}

static bool prepare_between(struct term *term, const struct query_rules *rules)
{
    struct str rest = term->value;
    struct str parts[3] = {STR_NONE, STR_NONE, STR_NONE};
    int n = 0;

    while (rest.ptr != NULL && n < 3) {
        parts[n++] = str_cut(&rest, '@');
    }
    if (n < 2) {
        return false;
    }
    /* ONToday@start@end carries a label first, BETWEENa@b does not. */
    term->value = parts[n - 2];
    term->upper = parts[n - 1];
    return prepare_value(&term->value, &term->number, term->computed, term->type, rules) &&
           prepare_value(&term->upper, &term->upper_number, term->computed_upper, term->type,
                         rules);
}

static bool prepare_term(struct term *term,
                         const struct store *store,
                         const struct table *table,
                         const struct query_rules *rules,
                         bool relative)
{
    if (relative) {
        if (term->type != COLUMN_DATETIME ||
            !script_relative(term->value, rules->now_s, term->computed)) {
            return false;
        }
        term->value = str_from(term->computed);
        return true;
    }
    switch (term->op) {
    case OP_BETWEEN:
    case OP_NOT_BETWEEN:
        if (!prepare_between(term, rules)) {
            term->op = OP_NEVER;
        }
        return true;
    case OP_SAME_AS:
    case OP_NOT_SAME_AS:
    case OP_GREATER_FIELD:
    case OP_LESS_FIELD:
    case OP_GREATER_EQUAL_FIELD:
    case OP_LESS_EQUAL_FIELD:
        return path_parse(&term->other, store, table, term->value);
    case OP_EQUAL:
    case OP_NOT_EQUAL:
    case OP_LESS:
    case OP_LESS_EQUAL:
    case OP_GREATER:
    case OP_GREATER_EQUAL:
        if (term->value.len == 0) {
            /* "field=" asks for empty, "field!=" for filled. */
            term->op = term->op == OP_EQUAL       ? OP_IS_EMPTY
                       : term->op == OP_NOT_EQUAL ? OP_IS_NOT_EMPTY
                                                  : OP_NEVER;
        } else if (!prepare_value(&term->value, &term->number, term->computed, term->type, rules)) {
            term->op = OP_NEVER;
        }
        return true;
    default:
        return true;
    }
}

static bool name_is(const char *rule, struct str field)
{
    return rule != NULL && (strcmp(rule, "*") == 0 || str_equal_c(field, rule));
}

/* False: the term is not understood, or the instance leaves it out. */
static bool parse_term(struct query *query,
                       struct term *term,
                       const struct store *store,
                       const struct table *table,
                       struct str text,
                       const struct query_rules *rules)
{
    struct str field = take_field(&text);
    const struct operator_name *name = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(operator_names) && name == NULL; i++) {
        if (take_prefix(&text, operator_names[i].text)) {
            name = &operator_names[i];
        }
    }
    if (field.len == 0 || name == NULL || !path_parse(&term->path, store, table, field)) {
        query->nothing = query->nothing || rules->invalid_returns_none;
        return false;
    }
    query->forbidden = query->forbidden ||
                       (rules->unreadable_field != NULL && name_is(rules->unreadable_field, field));
    if (name_is(rules->widened_field, field) ||
        (query_is_range(name->op) && name_is(rules->range_denied_field, field))) {
        return false;
    }
    term->op = name->op;
    term->type = path_column(&term->path)->type;
    term->value = text;
    return prepare_term(term, store, table, rules, strncmp(name->text, "RELATIVE", 8) == 0);
}

static void parse_sort(struct query *query,
                       const struct store *store,
                       const struct table *table,
                       struct str field,
                       bool descending,
                       const struct query_rules *rules)
{
    struct sort *sort = &query->sorts[query->n_sorts];

    if (query->n_sorts == QUERY_MAX_SORTS || !path_parse(&sort->path, store, table, field)) {
        query->n_dropped++;
        return;
    }
    query->forbidden = query->forbidden ||
                       (rules->unreadable_field != NULL && name_is(rules->unreadable_field, field));
    if (name_is(rules->range_denied_field, field)) {
        query->n_dropped++;
        return;
    }
    sort->descending = descending;
    query->n_sorts++;
}

void query_parse(struct query *query,
                 const struct store *store,
                 const struct table *table,
                 struct str text,
                 const struct query_rules *rules)
{
    bool new_query = false;
    bool group_dropped = true; /* nothing before it that an ^OR could join */

    memset(query, 0, sizeof(*query));
    while (text.ptr != NULL) {
        struct str part = str_cut(&text, '^');
        bool is_or = false;

        if (take_prefix(&part, "ORDERBYDESC")) {
            parse_sort(query, store, table, part, true, rules);
            continue;
        }
        if (take_prefix(&part, "ORDERBY")) {
            parse_sort(query, store, table, part, false, rules);
            continue;
        }
        if (str_equal_c(part, "EQ") || part.len == 0 || take_prefix(&part, "GROUPBY")) {
            continue;
        }
        if (take_prefix(&part, "NQ")) {
            new_query = query->n_terms > 0;
            group_dropped = true;
        } else if (take_prefix(&part, "OR")) {
            is_or = true;
        }
        if (query->n_terms == QUERY_MAX_TERMS) {
            query->n_dropped++;
            continue;
        }
        if (query->n_terms % 16 == 0) {
            query->terms =
                xrealloc(query->terms, ((size_t)query->n_terms + 16) * sizeof(*query->terms));
        }
        struct term *term = &query->terms[query->n_terms];

        memset(term, 0, sizeof(*term));
        if (!parse_term(query, term, store, table, part, rules)) {
            group_dropped = group_dropped || !is_or;
            query->n_dropped++;
            continue;
        }
        term->is_or = is_or && !group_dropped;
        term->is_new_query = new_query;
        new_query = false;
        group_dropped = false;
        query->n_terms++;
    }
}

void query_release(struct query *query)
{
    xfree(query->terms);
    query->terms = NULL;
    query->n_terms = 0;
}

/* <0, 0, >0, as the column's type orders; *ret_comparable is false for empty or foreign cells. */
static int compare_cell(
    const struct term *term, struct str cell, struct str value, double number, bool *ret_comparable)
{
    double own;

    *ret_comparable = cell.len > 0;
    if (!is_numeric(term->type)) {
        return str_compare(cell, value);
    }
    if (!to_number(cell, &own)) {
        *ret_comparable = false;
        return -1;
    }
    return own < number ? -1 : own > number ? 1 : 0;
}

static bool list_has(struct str list, struct str cell)
{
    while (list.ptr != NULL) {
        if (str_equal(str_cut(&list, ','), cell)) {
            return true;
        }
    }
    return false;
}

static bool contains(struct str text, struct str part)
{
    return part.len == 0 || memmem(text.ptr, text.len, part.ptr, part.len) != NULL;
}

static bool matches_other(const struct term *term, struct row *row, struct str cell)
{
    char out[CELL_MAX];
    struct str other = path_cell(&term->other, row, out);
    double number = 0;
    bool comparable;

    (void)to_number(other, &number);
    int order = compare_cell(term, cell, other, number, &comparable);

    comparable = comparable && other.len > 0;
    switch (term->op) {
    case OP_SAME_AS:
        return str_equal(cell, other);
    case OP_NOT_SAME_AS:
        return !str_equal(cell, other);
    case OP_GREATER_FIELD:
        return comparable && order > 0;
    case OP_LESS_FIELD:
        return comparable && order < 0;
    case OP_GREATER_EQUAL_FIELD:
        return comparable && order >= 0;
    default:
        return comparable && order <= 0;
    }
}

static bool matches_text(const struct term *term, struct row *row, struct str cell)
{
    switch (term->op) {
    case OP_LIKE:
        return contains(cell, term->value);
    case OP_NOT_LIKE:
        return !contains(cell, term->value);
    case OP_STARTS_WITH:
        return str_starts_with(cell, term->value);
    case OP_ENDS_WITH:
        return str_ends_with(cell, term->value);
    case OP_IN:
        return cell.len > 0 && list_has(term->value, cell);
    case OP_NOT_IN:
        return !list_has(term->value, cell);
    case OP_IS_EMPTY:
    case OP_EMPTY_STRING:
        return cell.len == 0;
    case OP_IS_NOT_EMPTY:
        return cell.len > 0;
    case OP_ANYTHING:
        return true;
    case OP_NEVER:
        return false;
    default:
        return matches_other(term, row, cell);
    }
}

static bool term_matches(const struct term *term, struct row *row)
{
    char out[CELL_MAX];
    struct str cell = path_cell(&term->path, row, out);
    bool comparable;
    bool upper_comparable;
    int order;

    switch (term->op) {
    case OP_EQUAL:
        order = compare_cell(term, cell, term->value, term->number, &comparable);
        return comparable && order == 0;
    case OP_NOT_EQUAL:
        order = compare_cell(term, cell, term->value, term->number, &comparable);
        return !comparable || order != 0; /* empty is not equal to anything */
    case OP_LESS:
    case OP_LESS_EQUAL:
        order = compare_cell(term, cell, term->value, term->number, &comparable);
        return comparable && (order < 0 || (order == 0 && term->op == OP_LESS_EQUAL));
    case OP_GREATER:
    case OP_GREATER_EQUAL:
        order = compare_cell(term, cell, term->value, term->number, &comparable);
        return comparable && (order > 0 || (order == 0 && term->op == OP_GREATER_EQUAL));
    case OP_BETWEEN:
    case OP_NOT_BETWEEN:
        order = compare_cell(term, cell, term->value, term->number, &comparable);
        comparable =
            comparable && order >= 0 &&
            compare_cell(term, cell, term->upper, term->upper_number, &upper_comparable) <= 0;
        return comparable == (term->op == OP_BETWEEN);
    default:
        return matches_text(term, row, cell);
    }
}

bool query_matches(const struct query *query, struct row *row)
{
    bool branch = true; /* all AND groups so far */
    bool group = true;  /* the current OR group */

    if (query->nothing) {
        return false;
    }
    for (int i = 0; i < query->n_terms; i++) {
        const struct term *term = &query->terms[i];

        if (term->is_new_query) {
            if (branch && group) {
                return true;
            }
            branch = true;
            group = term_matches(term, row);
        } else if (term->is_or && i > 0) {
            group = group || term_matches(term, row);
        } else {
            branch = branch && group;
            group = branch && term_matches(term, row);
        }
    }
    return branch && group;
}
