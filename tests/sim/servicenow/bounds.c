#include "tests/sim/servicenow/bounds.h"

#include "common/base/instant.h"

static void everything(struct bounds *b, const struct table *table)
{
    b->id_low = 0;
    b->id_high = table->n_base;
    b->stamp_low = 0;
    b->stamp_high = table->n_base;
    b->exact = true;
}

static void raise(int64_t *low, int64_t to)
{
    *low = *low < to ? to : *low;
}

static void lower(int64_t *high, int64_t to)
{
    *high = *high > to ? to : *high;
}

static bool by_id(struct bounds *b, const struct table *table, const struct term *term)
{
    int64_t at = table_first_with_id(table, term->value, false);
    int64_t after = table_first_with_id(table, term->value, true);

    switch (term->op) {
    case OP_EQUAL:
        raise(&b->id_low, at);
        lower(&b->id_high, after);
        return true;
    case OP_GREATER:
        raise(&b->id_low, after);
        return true;
    case OP_GREATER_EQUAL:
        raise(&b->id_low, at);
        return true;
    case OP_LESS:
        lower(&b->id_high, at);
        return true;
    case OP_LESS_EQUAL:
        lower(&b->id_high, after);
        return true;
    default:
        return false;
    }
}

/* `early_s`: how much earlier than the stamp the column's value may lie (0 for the stamp itself).
 */
static bool
by_stamp(struct bounds *b, const struct table *table, const struct term *term, int64_t early_s)
{
    int64_t us;

    if (!instant_parse_plain(term->value, &us)) {
        return false;
    }
    int64_t at = table_first_with_stamp(table, us / 1000000);
    int64_t after = table_first_with_stamp(table, us / 1000000 + 1);
    int64_t late = early_s == 0 ? after : table_first_with_stamp(table, us / 1000000 + early_s + 1);

    switch (term->op) {
    case OP_EQUAL:
        raise(&b->stamp_low, at);
        lower(&b->stamp_high, late);
        return true;
    case OP_GREATER:
        raise(&b->stamp_low, after);
        return true;
    case OP_GREATER_EQUAL:
        raise(&b->stamp_low, at);
        return true;
    case OP_LESS:
        lower(&b->stamp_high, early_s == 0 ? at : late);
        return true;
    case OP_LESS_EQUAL:
        lower(&b->stamp_high, late);
        return true;
    default:
        return false;
    }
}

static void narrow(struct bounds *b, const struct table *table, const struct term *term)
{
    int column = term->path.columns[0];
    bool exact = false;

    if (term->path.n_steps == 1 && column == table->col_id) {
        exact = by_id(b, table, term);
    } else if (term->path.n_steps == 1 && column == table->col_updated) {
        exact = by_stamp(b, table, term, 0);
    } else if (term->path.n_steps == 1 &&
               (column == table->col_created || column == table->col_opened)) {
        (void)by_stamp(b, table, term, table->lag_max_s);
    }
    b->exact = b->exact && exact;
}

static void unite(struct bounds *all, const struct bounds *branch, bool first)
{
    if (first) {
        *all = *branch;
        return;
    }
    lower(&all->id_low, branch->id_low);
    raise(&all->id_high, branch->id_high);
    lower(&all->stamp_low, branch->stamp_low);
    raise(&all->stamp_high, branch->stamp_high);
    all->exact = false;
}

static void clamp(struct bounds *b, const struct table *table)
{
    bool ids_narrowed = b->id_low > 0 || b->id_high < table->n_base;
    bool stamps_narrowed = b->stamp_low > 0 || b->stamp_high < table->n_base;

    raise(&b->id_high, b->id_low);
    raise(&b->stamp_high, b->stamp_low);
    b->exact = b->exact && !(ids_narrowed && stamps_narrowed);
}

void bounds_find(struct bounds *bounds,
                 const struct store *store,
                 const struct table *table,
                 const struct query *query)
{
    struct bounds branch;
    bool first = true;

    (void)store;
    everything(&branch, table);
    for (int i = 0; i < query->n_terms; i++) {
        const struct term *term = &query->terms[i];
        bool alone = !term->is_or && (i + 1 == query->n_terms || !query->terms[i + 1].is_or ||
                                      query->terms[i + 1].is_new_query);

        if (term->is_new_query) {
            unite(bounds, &branch, first);
            first = false;
            everything(&branch, table);
        }
        if (alone) {
            narrow(&branch, table, term);
        } else {
            branch.exact = false;
        }
    }
    unite(bounds, &branch, first);
    clamp(bounds, table);
}
