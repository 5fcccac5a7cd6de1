#include "tests/sim/azure_devops/wiql_parse.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/fault.h"

enum token_kind {
    TOKEN_END,
    TOKEN_WORD,
    TOKEN_FIELD,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_MACRO,
    TOKEN_SIGN
};

struct token {
    enum token_kind kind;
    struct str text; /* of a string: with '' still doubled */
    const char *start;
};

struct parser {
    struct str rest;
    struct token token;
    const struct wiql_context *context;
    struct error *err;
};

static size_t run_length(struct str text, const char *of)
{
    size_t n = 0;

    while (n < text.len && strchr(of, text.ptr[n]) != NULL) {
        n++;
    }
    return n;
}

static const char word_bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";

static struct str take(struct parser *p, size_t n)
{
    struct str taken = {p->rest.ptr, n};

    p->rest = (struct str){p->rest.ptr + n, p->rest.len - n};
    return taken;
}

static void next_string(struct parser *p, char quote)
{
    size_t n = 1;

    while (n < p->rest.len &&
           (p->rest.ptr[n] != quote || (n + 1 < p->rest.len && p->rest.ptr[n + 1] == quote))) {
        n += p->rest.ptr[n] == quote ? 2 : 1;
    }
    if (n >= p->rest.len) {
        p->token.kind = TOKEN_END;
        return;
    }
    (void)take(p, 1);
    p->token.text = take(p, n - 1);
    (void)take(p, 1);
    p->token.kind = TOKEN_STRING;
}

static void next(struct parser *p)
{
    p->rest = str_trim(p->rest);
    p->token.start = p->rest.ptr;
    p->token.text = STR_NONE;
    p->token.kind = TOKEN_END;
    if (p->rest.len == 0) {
        return;
    }
    char c = p->rest.ptr[0];
    size_t words = run_length(p->rest, word_bytes);

    if (c == '[') {
        const char *end = memchr(p->rest.ptr, ']', p->rest.len);

        if (end != NULL) {
            p->token.text = take(p, (size_t)(end - p->rest.ptr) + 1);
            p->token.text = (struct str){p->token.text.ptr + 1, p->token.text.len - 2};
            p->token.kind = TOKEN_FIELD;
        }
    } else if (c == '\'' || c == '"') {
        next_string(p, c);
    } else if (c == '@') {
        (void)take(p, 1);
        p->token.text = take(p, run_length(p->rest, word_bytes));
        p->token.kind = TOKEN_MACRO;
    } else if ((c >= '0' && c <= '9') ||
               (c == '-' && p->rest.len > 1 && p->rest.ptr[1] >= '0' && p->rest.ptr[1] <= '9')) {
        p->token.text =
            take(p, 1 + run_length((struct str){p->rest.ptr + 1, p->rest.len - 1}, "0123456789."));
        p->token.kind = TOKEN_NUMBER;
    } else if (words > 0) {
        p->token.text = take(p, words);
        p->token.kind = TOKEN_WORD;
    } else {
        size_t signs = run_length(p->rest, "<>=");

        p->token.text = take(p, signs > 0 ? signs : 1);
        p->token.kind = TOKEN_SIGN;
    }
}

static bool is_word(const struct parser *p, const char *word)
{
    return p->token.kind == TOKEN_WORD && str_equal_nocase(p->token.text, str_from(word));
}

static bool accept_word(struct parser *p, const char *word)
{
    if (!is_word(p, word)) {
        return false;
    }
    next(p);
    return true;
}

static bool accept_sign(struct parser *p, const char *sign)
{
    if (p->token.kind != TOKEN_SIGN || !str_equal_c(p->token.text, sign)) {
        return false;
    }
    next(p);
    return true;
}

static bool fail(struct parser *p, const char *expected)
{
    return error_set(
        p->err, ERROR_DATA,
        "TF51006: The query statement is missing %s. The error is caused by \xC2\xAB%.*s\xC2\xBB.",
        expected, STR_ARG(p->token.text));
}

static bool parse_field(struct parser *p, int *ret_field)
{
    if (p->token.kind != TOKEN_FIELD && p->token.kind != TOKEN_WORD) {
        return fail(p, "a field");
    }
    *ret_field = azure_find_field(p->token.text);
    if (*ret_field < 0 && str_equal_nocase(p->token.text, STR_LITERAL("State"))) {
        *ret_field = AZURE_STATE;
    }
    if (*ret_field < 0 ||
        (p->context->refused != NULL &&
         fault_names(p->context->refused, str_from(azure_fields[*ret_field].reference)))) {
        return error_set(p->err, ERROR_DATA,
                         "TF51005: The query references a field that does not exist. The error is "
                         "caused by \xC2\xAB[%.*s]\xC2\xBB.",
                         STR_ARG(p->token.text));
    }
    next(p);
    return true;
}

static struct str unquote(struct parser *p, struct str text)
{
    char *copy = arena_strndup(p->context->arena, text.len > 0 ? text.ptr : "", text.len);
    size_t out = 0;

    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        copy[out++] = text.ptr[i];
        i += text.ptr[i] == '\'' && i + 1 < text.len && text.ptr[i + 1] == '\'' ? 1 : 0;
    }
    return (struct str){copy, copy != NULL ? out : 0};
}

static bool is_date_field(int field)
{
    return strcmp(azure_fields[field].type, "dateTime") == 0;
}

static bool parse_value(struct parser *p, int field, struct wiql_value *value)
{
    const struct wiql_context *context = p->context;

    memset(value, 0, sizeof(*value));
    switch (p->token.kind) {
    case TOKEN_NUMBER:
        value->text = p->token.text;
        value->is_number = str_to_int64(value->text, INT64_MIN, INT64_MAX, &value->number);
        break;
    case TOKEN_STRING:
        value->text = unquote(p, p->token.text);
        value->is_number = str_to_int64(value->text, INT64_MIN, INT64_MAX, &value->number);
        break;
    case TOKEN_MACRO:
        value->text =
            str_from(str_equal_nocase(p->token.text, STR_LITERAL("project")) ? context->project
                     : str_equal_nocase(p->token.text, STR_LITERAL("me"))    ? context->me
                                                                             : NULL);
        if (str_equal_nocase(p->token.text, STR_LITERAL("today"))) {
            value->is_time = true;
            value->number = context->now_us / US_PER_S / 86400 * 86400 * US_PER_S;
            next(p);
            if (p->token.kind == TOKEN_NUMBER &&
                str_to_int64(p->token.text, -36500, 36500, &value->number)) {
                value->number =
                    (context->now_us / US_PER_S / 86400 + value->number) * 86400 * US_PER_S;
                next(p);
            }
            return true;
        }
        if (value->text.ptr == NULL) {
            return error_set(p->err, ERROR_DATA,
                             "VS403410: The macro \xC2\xAB@%.*s\xC2\xBB cannot be used here.",
                             STR_ARG(p->token.text));
        }
        break;
    case TOKEN_WORD: /* true, false */
        value->text = p->token.text;
        break;
    default:
        return fail(p, "a value");
    }
    if (is_date_field(field)) {
        if (!instant_parse_rfc3339(value->text, &value->number)) {
            return error_set(p->err, ERROR_DATA,
                             "TF51525: The date-time string '%.*s' was not recognized.",
                             STR_ARG(value->text));
        }
        value->is_time = true;
        if (!context->time_precision && value->text.len > 10) {
            return error_set(p->err, ERROR_DATA,
                             "You cannot supply a time with the date when running a query using "
                             "date precision. The error is caused by "
                             "\xC2\xAB[%s] >= '%.*s'\xC2\xBB.",
                             azure_fields[field].reference, STR_ARG(value->text));
        }
    }
    next(p);
    return true;
}

static bool parse_operator(struct parser *p, enum wiql_operator *ret)
{
    static const struct {
        const char *text;
        enum wiql_operator op;
    } signs[] = {{"=", WIQL_EQ},  {"<>", WIQL_NE}, {"<", WIQL_LT},
                 {"<=", WIQL_LE}, {">", WIQL_GT},  {">=", WIQL_GE}};

    bool negated = accept_word(p, "NOT");

    for (size_t i = 0; i < ARRAY_SIZE(signs) && !negated; i++) {
        if (accept_sign(p, signs[i].text)) {
            *ret = signs[i].op;
            return true;
        }
    }
    if (accept_word(p, "CONTAINS")) {
        (void)accept_word(p, "WORDS");
        *ret = negated ? WIQL_NOT_CONTAINS : WIQL_CONTAINS;
    } else if (accept_word(p, "UNDER")) {
        *ret = negated ? WIQL_NOT_UNDER : WIQL_UNDER;
    } else if (accept_word(p, "IN")) {
        *ret = negated ? WIQL_NOT_IN : WIQL_IN;
    } else if (accept_word(p, "EVER")) {
        *ret = WIQL_EVER;
    } else {
        return fail(p, "an operator");
    }
    return true;
}

static bool parse_condition(struct parser *p, const struct wiql_node **ret);

static bool parse_comparison(struct parser *p, const struct wiql_node **ret)
{
    struct wiql_node *node = arena_zalloc(p->context->arena, sizeof(*node));
    struct wiql_value *values;

    if (node == NULL || !parse_field(p, &node->field) || !parse_operator(p, &node->op)) {
        return error_is_set(p->err) ? false : fail(p, "a condition");
    }
    bool list = node->op == WIQL_IN || node->op == WIQL_NOT_IN;

    values = arena_zalloc(p->context->arena, (list ? WIQL_VALUES_MAX : 1) * sizeof(*values));
    if (values == NULL || (list && !accept_sign(p, "("))) {
        return fail(p, "a list");
    }
    do {
        if (node->n_values == WIQL_VALUES_MAX ||
            !parse_value(p, node->field, &values[node->n_values])) {
            return error_is_set(p->err) ? false : fail(p, "fewer values");
        }
        node->n_values++;
    } while (list && accept_sign(p, ","));
    node->values = values;
    *ret = node;
    return !list || accept_sign(p, ")") || fail(p, "a bracket");
}

static bool parse_factor(struct parser *p, const struct wiql_node **ret)
{
    if (accept_word(p, "NOT")) {
        struct wiql_node *node = arena_zalloc(p->context->arena, sizeof(*node));

        if (node == NULL) {
            return fail(p, "memory");
        }
        node->op = WIQL_NOT;
        *ret = node;
        return parse_factor(p, &node->left);
    }
    if (accept_sign(p, "(")) {
        return parse_condition(p, ret) && (accept_sign(p, ")") || fail(p, "a bracket"));
    }
    return parse_comparison(p, ret);
}

static bool join(struct parser *p,
                 enum wiql_operator op,
                 const struct wiql_node **left,
                 const struct wiql_node *right)
{
    struct wiql_node *node = arena_zalloc(p->context->arena, sizeof(*node));

    if (node == NULL) {
        return fail(p, "memory");
    }
    node->op = op;
    node->left = *left;
    node->right = right;
    *left = node;
    return true;
}

static bool parse_term(struct parser *p, const struct wiql_node **ret)
{
    const struct wiql_node *right = NULL;

    if (!parse_factor(p, ret)) {
        return false;
    }
    while (accept_word(p, "AND")) {
        if (!parse_factor(p, &right) || !join(p, WIQL_AND, ret, right)) {
            return false;
        }
    }
    return true;
}

static bool parse_condition(struct parser *p, const struct wiql_node **ret)
{
    const struct wiql_node *right = NULL;

    if (!parse_term(p, ret)) {
        return false;
    }
    while (accept_word(p, "OR")) {
        if (!parse_term(p, &right) || !join(p, WIQL_OR, ret, right)) {
            return false;
        }
    }
    return true;
}

static bool parse_order(struct parser *p, struct wiql_query *query)
{
    if (!accept_word(p, "ORDER")) {
        return true;
    }
    if (!accept_word(p, "BY")) {
        return fail(p, "BY");
    }
    do {
        if (query->n_order == WIQL_COLUMNS_MAX || !parse_field(p, &query->order[query->n_order])) {
            return error_is_set(p->err) ? false : fail(p, "fewer fields");
        }
        query->descending[query->n_order] = accept_word(p, "DESC");
        (void)accept_word(p, "ASC");
        query->n_order++;
    } while (accept_sign(p, ","));
    return true;
}

bool wiql_parse(struct str text,
                const struct wiql_context *context,
                struct wiql_query *ret,
                struct error *err)
{
    struct parser parser = {.rest = text, .context = context, .err = err};
    struct parser *p = &parser;

    memset(ret, 0, sizeof(*ret));
    ret->as_of_us = AZURE_NEVER;
    next(p);
    if (!accept_word(p, "SELECT")) {
        return fail(p, "SELECT");
    }
    do {
        if (ret->n_columns == WIQL_COLUMNS_MAX || !parse_field(p, &ret->columns[ret->n_columns])) {
            return error_is_set(p->err) ? false : fail(p, "fewer fields");
        }
        ret->n_columns++;
    } while (accept_sign(p, ","));
    if (!accept_word(p, "FROM") || !accept_word(p, "WorkItems")) {
        return fail(p, "FROM WorkItems");
    }
    if (accept_word(p, "WHERE") && !parse_condition(p, &ret->where)) {
        return false;
    }
    if (!parse_order(p, ret)) {
        return false;
    }
    if (accept_word(p, "ASOF")) {
        if (p->token.kind != TOKEN_STRING ||
            !instant_parse_rfc3339(p->token.text, &ret->as_of_us)) {
            return fail(p, "a date behind ASOF");
        }
        next(p);
    }
    return p->token.kind == TOKEN_END && p->rest.len == 0 ? true : fail(p, "its end");
}
