#include "worker/sources/servicenow/query.h"

#include <inttypes.h>
#include <string.h>

#define TERM_SHOWN_MAX 120U /* leaves room for the cure */

static bool is_field_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

/* Operators in words follow the field without a separator, so the field is what is lower case. */
static struct str term_field(struct str term)
{
    size_t len = 0;
    while (len < term.len && is_field_char(term.ptr[len]) &&
           !(term.ptr[len] >= 'A' && term.ptr[len] <= 'Z')) {
        len++;
    }
    return (struct str){term.ptr, len};
}

static bool is_order_or_end(struct str term)
{
    return str_starts_with(term, STR_LITERAL("ORDERBY")) ||
           str_starts_with(term, STR_LITERAL("GROUPBY")) || str_equal_c(term, "EQ");
}

static struct str strip_connective(struct str term)
{
    static const struct str CONNECTIVES[] = {{"OR", 2}, {"NQ", 2}};
    for (size_t i = 0; i < ARRAY_SIZE(CONNECTIVES); i++) {
        if (str_starts_with(term, CONNECTIVES[i]) && !is_order_or_end(term)) {
            return (struct str){term.ptr + CONNECTIVES[i].len, term.len - CONNECTIVES[i].len};
        }
    }
    return term;
}

/* What an operator wants behind it. */
enum operand { OPERAND_NONE, OPERAND_MAY_BE_EMPTY, OPERAND_VALUE, OPERAND_PARTS /* with "@" */ };

struct filter_operator {
    struct str text;
    enum operand operand;
};

/* Those the platform publishes for encoded queries; a longer one before any it begins with. */
static const struct filter_operator OPERATORS[] = {
    {{"!=", 2}, OPERAND_MAY_BE_EMPTY},
    {{"=", 1}, OPERAND_MAY_BE_EMPTY},
    {{">=", 2}, OPERAND_VALUE},
    {{">", 1}, OPERAND_VALUE},
    {{"<=", 2}, OPERAND_VALUE},
    {{"<", 1}, OPERAND_VALUE},
    {{"!*", 2}, OPERAND_VALUE},
    {{"*", 1}, OPERAND_VALUE},
    {{"%", 1}, OPERAND_VALUE},
    {{"IN_HIERARCHY_DYNAMIC", 20}, OPERAND_VALUE},
    {{"IN_HIERARCHY", 12}, OPERAND_VALUE},
    {{"INSTANCEOF", 10}, OPERAND_VALUE},
    {{"IN", 2}, OPERAND_VALUE},
    {{"NOT IN", 6}, OPERAND_VALUE},
    {{"LIKE", 4}, OPERAND_VALUE},
    {{"NOT LIKE", 8}, OPERAND_VALUE},
    {{"STARTSWITH", 10}, OPERAND_VALUE},
    {{"ENDSWITH", 8}, OPERAND_VALUE},
    {{"CONTAINS", 8}, OPERAND_VALUE},
    {{"DOES NOT CONTAIN", 16}, OPERAND_VALUE},
    {{"MATCH_PAT", 9}, OPERAND_VALUE},
    {{"MATCH_RGX", 9}, OPERAND_VALUE},
    {{"ISEMPTY", 7}, OPERAND_NONE},
    {{"ISNOTEMPTY", 10}, OPERAND_NONE},
    {{"EMPTYSTRING", 11}, OPERAND_NONE},
    {{"ANYTHING", 8}, OPERAND_NONE},
    {{"BETWEEN", 7}, OPERAND_PARTS},
    {{"SAMEAS", 6}, OPERAND_VALUE},
    {{"NSAMEAS", 7}, OPERAND_VALUE},
    {{"GT_FIELD", 8}, OPERAND_VALUE},
    {{"LT_FIELD", 8}, OPERAND_VALUE},
    {{"GT_OR_EQUALS_FIELD", 18}, OPERAND_VALUE},
    {{"LT_OR_EQUALS_FIELD", 18}, OPERAND_VALUE},
    {{"ON", 2}, OPERAND_PARTS},
    {{"NOTON", 5}, OPERAND_PARTS},
    {{"MORETHAN", 8}, OPERAND_PARTS},
    {{"LESSTHAN", 8}, OPERAND_PARTS},
    {{"DATEPART", 8}, OPERAND_PARTS},
    {{"RELATIVEGT", 10}, OPERAND_PARTS},
    {{"RELATIVEGE", 10}, OPERAND_PARTS},
    {{"RELATIVELT", 10}, OPERAND_PARTS},
    {{"RELATIVELE", 10}, OPERAND_PARTS},
    {{"RELATIVEEE", 10}, OPERAND_PARTS},
    {{"DYNAMIC", 7}, OPERAND_VALUE},
    {{"VALCHANGES", 10}, OPERAND_NONE},
    {{"CHANGESFROM", 11}, OPERAND_VALUE},
    {{"CHANGESTO", 9}, OPERAND_VALUE},
};

static bool operand_fits(enum operand operand, struct str value)
{
    switch (operand) {
    case OPERAND_NONE:
        return value.len == 0;
    case OPERAND_MAY_BE_EMPTY:
        return true;
    case OPERAND_VALUE:
        return value.len > 0;
    case OPERAND_PARTS:
        return value.len > 1 && memchr(value.ptr, '@', value.len) != NULL;
    }
    return false;
}

static bool is_condition(struct str text)
{
    for (size_t i = 0; i < ARRAY_SIZE(OPERATORS); i++) {
        const struct str name = OPERATORS[i].text;
        if (str_starts_with(text, name)) {
            return operand_fits(OPERATORS[i].operand,
                                (struct str){text.ptr + name.len, text.len - name.len});
        }
    }
    return false;
}

/* "a", "a.b.c": without an empty part, which the platform would not find. */
static bool is_dotted_field(struct str field)
{
    bool in_part = false;
    for (size_t i = 0; i < field.len; i++) {
        if (field.ptr[i] == '.' && !in_part) {
            return false;
        }
        in_part = field.ptr[i] != '.';
    }
    return in_part;
}

static bool is_term(struct str term)
{
    if (str_starts_with(term, STR_LITERAL("123TEXTQUERY321=")) ||
        str_starts_with(term, STR_LITERAL("RLQUERY")) ||
        str_starts_with(term, STR_LITERAL("ENDRLQUERY"))) {
        return true;
    }
    struct str field = term_field(term);
    return is_dotted_field(field) &&
           is_condition((struct str){term.ptr + field.len, term.len - field.len});
}

bool servicenow_filter_check(struct str filter, struct error *err)
{
    for (size_t i = 0; i < filter.len; i++) {
        if ((unsigned char)filter.ptr[i] < 0x20) {
            return error_set(err, ERROR_CONFIG, "the filter holds a control character");
        }
    }
    struct str rest = filter;
    while (rest.ptr != NULL && rest.len > 0) {
        struct str whole = str_cut(&rest, '^');
        if (is_order_or_end(whole) || is_term(strip_connective(whole))) {
            continue;
        }
        bool is_long = whole.len > TERM_SHOWN_MAX;
        return error_set(err, ERROR_CONFIG,
                         "filter: \"%.*s%s\" is not a term of an encoded query: a field, directly "
                         "behind it an operator, then its value; write priority=1, stateIN1,2 or "
                         "numberSTARTSWITHINC, or copy the list's query with \"Copy query\"; "
                         "ServiceNow answers a term it does not understand with the whole table",
                         (int)(is_long ? TERM_SHOWN_MAX : whole.len), whole.ptr,
                         is_long ? "..." : "");
    }
    return true;
}

void servicenow_filter_fields(struct str filter,
                              void (*on_field)(void *arg, struct str field),
                              void *arg)
{
    struct str rest = filter;
    while (rest.ptr != NULL && rest.len > 0) {
        struct str whole = str_cut(&rest, '^');
        if (is_order_or_end(whole)) {
            continue;
        }
        struct str term = strip_connective(whole);
        struct str dotted = term_field(term);
        struct str first = str_cut(&dotted, '.');
        if (first.len > 0 && !str_starts_with(term, STR_LITERAL("123TEXTQUERY321="))) {
            on_field(arg, first);
        }
    }
}

bool servicenow_filter_equality(struct str filter, struct str *ret_field, struct str *ret_value)
{
    struct str field = term_field(filter);
    if (field.len == 0 || field.len == filter.len || filter.ptr[field.len] != '=') {
        return false;
    }
    struct str value = {filter.ptr + field.len + 1, filter.len - field.len - 1};
    if (memchr(value.ptr, '^', value.len) != NULL || value.len == 0 ||
        str_starts_with(value, STR_LITERAL("javascript:"))) {
        return false;
    }
    *ret_field = field;
    *ret_value = value;
    return true;
}

static void join_branch(struct buf *out, struct str branch, struct str terms)
{
    size_t start = out->len;
    struct str rest = branch;
    while (rest.ptr != NULL && rest.len > 0) {
        struct str term = str_cut(&rest, '^');
        if (term.len == 0 || is_order_or_end(term)) {
            continue;
        }
        if (out->len > start) {
            buf_add_char(out, '^');
        }
        buf_add_str(out, term);
    }
    if (terms.len > 0) {
        if (out->len > start) {
            buf_add_char(out, '^');
        }
        buf_add_str(out, terms);
    }
}

void servicenow_query_join(struct buf *out, struct str filter, struct str terms, struct str order)
{
    size_t start = out->len;
    struct str rest = filter;
    bool first = true;
    for (;;) {
        const char *mark = rest.len > 0 ? memmem(rest.ptr, rest.len, "^NQ", 3) : NULL;
        struct str branch = {rest.ptr, mark != NULL ? (size_t)(mark - rest.ptr) : rest.len};
        if (!first) {
            buf_add_c(out, "^NQ");
        }
        join_branch(out, branch, terms);
        first = false;
        if (mark == NULL) {
            break;
        }
        rest = (struct str){mark + 3, rest.len - branch.len - 3};
    }
    if (order.len > 0) {
        if (out->len > start) {
            buf_add_char(out, '^');
        }
        buf_add_str(out, order);
    }
}

bool servicenow_wants_display(const struct task_def *task)
{
    for (size_t i = 0; i < task->n_fields; i++) {
        if (task->fields[i].display) {
            return true;
        }
    }
    return false;
}

static void add_fields(struct buf *out, const struct servicenow_page_request *request)
{
    const struct task_def *task = request->task;
    buf_add_c(out, "&sysparm_fields=");
    size_t start = out->len;
    bool has_extra = false;
    for (size_t i = 0; i < task->n_fields; i++) {
        bool wanted = !request->keys_only;
        for (size_t k = 0; k < task->n_key_columns && !wanted; k++) {
            wanted = task->columns[task->key_columns[k]].field == i;
        }
        wanted = wanted ||
                 (task->version_column >= 0 && task->columns[task->version_column].field == i) ||
                 (task->revision_column >= 0 && task->columns[task->revision_column].field == i);
        if (wanted) {
            if (out->len > start) {
                buf_add_char(out, ',');
            }
            buf_add_percent(out, str_from(task->fields[i].name), "");
            has_extra = has_extra || (request->extra_field != NULL &&
                                      strcmp(task->fields[i].name, request->extra_field) == 0);
        }
    }
    if (request->extra_field != NULL && !has_extra) {
        buf_add_char(out, ',');
        buf_add_percent(out, str_from(request->extra_field), "");
    }
}

void servicenow_page_url(struct buf *out, const struct servicenow_page_request *request)
{
    bool display =
        !request->keys_only && !request->all_fields && servicenow_wants_display(request->task);
    buf_add_c(out, "/api/now/v2/table/");
    buf_add_percent(out, str_from(request->task->table), "");
    buf_addf(out,
             "?sysparm_limit=%" PRId64 "&sysparm_display_value=%s"
             "&sysparm_exclude_reference_link=true&sysparm_suppress_pagination_header=true"
             "&sysparm_no_count=%s",
             request->limit, display ? "all" : "false", request->count ? "false" : "true");
    if (!request->all_fields) {
        add_fields(out, request);
    }
    if (request->query.len > 0) {
        buf_add_c(out, "&sysparm_query=");
        buf_add_percent(out, request->query, ",");
    }
}
