#include <string.h>

#include "common/base/clock.h"
#include "common/io/json.h"
#include "tests/sim/azure_devops/wiql_parse.h"

/* What a condition says about a revision. */

static int compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b ? 1 : 0;
}

/* A person is known by name, unique name or both. */
static bool is_person(const struct azure_person *person, struct str text)
{
    return str_equal_nocase(text, str_from(person->unique)) ||
           str_equal_nocase(text, str_from(person->display)) ||
           (text.len > 2 && str_contains_nocase(text, str_from(person->unique)));
}

static bool match_text(enum wiql_operator op, struct str have, struct str want)
{
    int order = str_compare_nocase(have, want);

    switch (op) {
    case WIQL_EQ:
    case WIQL_IN:
        return order == 0;
    case WIQL_NE:
    case WIQL_NOT_IN:
        return order != 0;
    case WIQL_LT:
        return order < 0;
    case WIQL_LE:
        return order <= 0;
    case WIQL_GT:
        return order > 0;
    case WIQL_GE:
        return order >= 0;
    case WIQL_CONTAINS:
        return str_contains_nocase(have, want);
    case WIQL_NOT_CONTAINS:
        return !str_contains_nocase(have, want);
    case WIQL_UNDER:
        return order == 0 || (have.len > want.len && have.ptr[want.len] == '\\' &&
                              str_equal_nocase((struct str){have.ptr, want.len}, want));
    default:
        return false;
    }
}

static bool match_order(enum wiql_operator op, int order)
{
    return op == WIQL_EQ || op == WIQL_IN       ? order == 0
           : op == WIQL_NE || op == WIQL_NOT_IN ? order != 0
           : op == WIQL_LT                      ? order < 0
           : op == WIQL_LE                      ? order <= 0
           : op == WIQL_GT                      ? order > 0
           : op == WIQL_GE                      ? order >= 0
                                                : false;
}

static bool match_value(const struct wiql_node *node,
                        enum wiql_operator op,
                        const struct azure_items *items,
                        const struct azure_value *have,
                        const struct wiql_value *want)
{
    int64_t us = have->integer;

    switch (have->kind) {
    case AZURE_KIND_NONE:
        return op == WIQL_EQ ? want->text.len == 0
                             : op == WIQL_NE || op == WIQL_NOT_IN || op == WIQL_NOT_CONTAINS ||
                                   op == WIQL_NOT_UNDER;
    case AZURE_KIND_INTEGER:
        return want->is_number && match_order(op, compare_numbers(have->integer, want->number));
    case AZURE_KIND_DOUBLE:
        return want->is_number && match_order(op, have->real < (double)want->number   ? -1
                                                  : have->real > (double)want->number ? 1
                                                                                      : 0);
    case AZURE_KIND_TIME:
        /* A date alone means its whole day. */
        if (want->text.len == 10 || want->text.ptr == NULL) {
            us = us / US_PER_S / 86400 * 86400 * US_PER_S;
        }
        return want->is_time && match_order(op, compare_numbers(us, want->number));
    case AZURE_KIND_BOOL:
        return match_order(
            op, (have->integer != 0) == str_equal_nocase(want->text, STR_LITERAL("true")) ? 0 : 1);
    case AZURE_KIND_PERSON:
        if (op == WIQL_EQ || op == WIQL_IN || op == WIQL_NE || op == WIQL_NOT_IN) {
            return is_person(&items->world->people[have->integer], want->text) ==
                   (op == WIQL_EQ || op == WIQL_IN);
        }
        return match_text(op, str_from(items->world->people[have->integer].display), want->text);
    case AZURE_KIND_JSON:
    case AZURE_KIND_TEXT:
        break;
    }
    struct str text = have->text;

    if (have->kind == AZURE_KIND_JSON && text.len >= 2 && text.ptr[0] == '"') {
        text = (struct str){text.ptr + 1, text.len - 2};
    }
    (void)node;
    return op == WIQL_NOT_UNDER ? !match_text(WIQL_UNDER, text, want->text)
                                : match_text(op, text, want->text);
}

static bool match_now(const struct wiql_node *node,
                      enum wiql_operator op,
                      const struct azure_items *items,
                      const struct azure_revision *r)
{
    struct buf room CLEANUP(buf_release) = {0};
    bool all = op == WIQL_NOT_IN;

    buf_init(&room, 1 << 22);
    struct azure_value have = azure_get_value(items, r, node->field, &room);

    for (int i = 0; i < node->n_values; i++) {
        if (match_value(node, op, items, &have, &node->values[i]) != all) {
            return !all;
        }
    }
    return all;
}

static bool matched_ever(const struct wiql_node *node,
                         const struct azure_items *items,
                         const struct azure_revision *r)
{
    for (int rev = 1; rev <= r->rev; rev++) {
        struct azure_revision then;

        if (azure_revision_get(items, r->id, rev, &then) &&
            match_now(node, WIQL_EQ, items, &then)) {
            return true;
        }
    }
    return false;
}

bool wiql_matches(const struct wiql_node *node,
                  const struct azure_items *items,
                  const struct azure_revision *r)
{
    if (node == NULL) {
        return true;
    }
    switch (node->op) {
    case WIQL_AND:
        return wiql_matches(node->left, items, r) && wiql_matches(node->right, items, r);
    case WIQL_OR:
        return wiql_matches(node->left, items, r) || wiql_matches(node->right, items, r);
    case WIQL_NOT:
        return !wiql_matches(node->left, items, r);
    case WIQL_EVER:
        return matched_ever(node, items, r);
    default:
        return match_now(node, node->op, items, r);
    }
}

int64_t wiql_lowest_id(const struct wiql_node *node)
{
    if (node == NULL) {
        return 1;
    }
    if (node->op == WIQL_AND) {
        int64_t left = wiql_lowest_id(node->left);
        int64_t right = wiql_lowest_id(node->right);

        return left > right ? left : right;
    }
    if (node->field != AZURE_ID || node->n_values == 0 || !node->values[0].is_number) {
        return 1;
    }
    int64_t bound = node->op == WIQL_GT                          ? node->values[0].number + 1
                    : node->op == WIQL_GE || node->op == WIQL_EQ ? node->values[0].number
                                                                 : 1;

    return bound > 1 ? bound : 1;
}
