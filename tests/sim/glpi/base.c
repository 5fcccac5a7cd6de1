#include "tests/sim/glpi/items.h"

/* Computed rows: finding the n-th of them, in constant time and without keeping any. */

static bool is_ticket(const struct item_table *table)
{
    return table->shape->itemtype == ITEM_Ticket;
}

/* The ticket at a slot of the order: tables of children are in the order of their tickets. */
static int64_t ticket_at(const struct item_table *table, enum item_order order, int64_t slot)
{
    return is_ticket(table) && order == ORDER_STAMP ? world_index_at(table->world, slot) : slot;
}

static int64_t slot_of(const struct item_table *table, enum item_order order, int64_t ticket)
{
    return is_ticket(table) && order == ORDER_STAMP ? world_rank(table->world, ticket) : ticket;
}

/* First and number of the rows in `mask` at one ticket. */
static int64_t rows_at(const struct item_table *table, int64_t ticket, int mask, int64_t *ret_first)
{
    enum itemtype type = table->shape->itemtype;

    *ret_first = 0;
    if (is_ticket(table)) {
        int own = world_is_trashed(world_rank(table->world, ticket)) ? MASK_SECOND : MASK_FIRST;

        return (mask & own) != 0 ? 1 : 0;
    }
    int64_t n = gen_count(table->world, type, ticket);
    int64_t foreign = gen_foreign(type, ticket);

    if (mask == MASK_SECOND) {
        *ret_first = n - foreign;
        return foreign;
    }
    return mask == MASK_FIRST ? n - foreign : n;
}

static int64_t all_rows_at(const struct item_table *table, int64_t ticket)
{
    return is_ticket(table) ? 1 : gen_count(table->world, table->shape->itemtype, ticket);
}

static int64_t before_block(const struct item_table *table, int mask, int64_t block)
{
    return ((mask & MASK_FIRST) != 0 ? table->before[0][block] : 0) +
           ((mask & MASK_SECOND) != 0 ? table->before[1][block] : 0);
}

int64_t base_count(const struct item_table *table, int mask)
{
    return table->n_base == 0 ? 0 : before_block(table, mask, table->n_blocks);
}

struct spot
base_select(const struct item_table *table, enum item_order order, int mask, int64_t ordinal)
{
    int64_t low = 0;
    int64_t high = table->n_blocks - 1;
    int64_t first;

    while (low < high) { /* the last block with no more than `ordinal` rows before it */
        int64_t middle = (low + high + 1) / 2;

        if (before_block(table, mask, middle) <= ordinal) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    ordinal -= before_block(table, mask, low);
    int64_t start = before_block(table, MASK_ALL, low); /* index of the ticket's first row */

    for (int64_t slot = low * table->world->block;; slot++) {
        int64_t ticket = ticket_at(table, order, slot);
        int64_t n = rows_at(table, ticket, mask, &first);

        if (ordinal < n) {
            int64_t k = first + ordinal;

            return (struct spot){ticket, k, is_ticket(table) ? ticket : start + k};
        }
        ordinal -= n;
        start += all_rows_at(table, ticket);
    }
}

int64_t
base_ordinal(const struct item_table *table, enum item_order order, int mask, struct spot spot)
{
    int64_t slot = slot_of(table, order, spot.ticket);
    int64_t block = slot / table->world->block;
    int64_t count = before_block(table, mask, block);
    int64_t first;

    for (int64_t s = block * table->world->block; s < slot; s++) {
        count += rows_at(table, ticket_at(table, order, s), mask, &first);
    }
    int64_t n = rows_at(table, spot.ticket, mask, &first);
    int64_t within = spot.k - first;

    return count + (within < 0 ? 0 : within > n ? n : within);
}

struct spot
base_step(const struct item_table *table, enum item_order order, int mask, struct spot spot, int by)
{
    int64_t first;
    int64_t n = rows_at(table, spot.ticket, mask, &first);
    int64_t slot = slot_of(table, order, spot.ticket);
    int64_t start = spot.index - spot.k; /* index of the ticket's first row */

    spot.k += by;
    while (spot.k < first || spot.k >= first + n) {
        start += by > 0 ? all_rows_at(table, spot.ticket) : 0;
        slot += by;
        spot.ticket = ticket_at(table, order, slot);
        start -= by < 0 ? all_rows_at(table, spot.ticket) : 0;
        n = rows_at(table, spot.ticket, mask, &first);
        spot.k = by > 0 ? first : first + n - 1;
    }
    spot.index = is_ticket(table) ? spot.ticket : start + spot.k;
    return spot;
}

int64_t base_id(const struct item_table *table, struct spot spot)
{
    return is_ticket(table) ? world_ticket_id(spot.ticket) : spot.index + 1;
}

int64_t base_stamp_s(const struct item_table *table, struct spot spot)
{
    return gen_stamp_s(table->world, table->shape->itemtype, spot.ticket, spot.k);
}

bool base_is_covered(const struct item_table *table, int64_t index)
{
    return table->covered_bits != NULL &&
           (table->covered_bits[index / 64] >> (index % 64) & 1) != 0;
}

/* By bisection over the ordinals of all rows: stamps never fall in either order. */
static int64_t before_stamp(const struct item_table *table, int mask, int64_t stamp_s)
{
    int64_t low = 0;
    int64_t high = base_count(table, mask);

    if (high == 0 || stamp_s > table->world->base_s) {
        return high;
    }
    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (base_stamp_s(table, base_select(table, ORDER_STAMP, mask, middle)) < stamp_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t
base_before_key(const struct item_table *table, enum item_order order, int mask, int64_t key)
{
    if (order == ORDER_STAMP) {
        return before_stamp(table, mask, key);
    }
    int64_t index = is_ticket(table) ? world_ticket_index(key) : key - 1;

    if (index >= table->n_base) {
        return base_count(table, mask);
    }
    if (index <= 0) {
        return 0;
    }
    struct spot spot = is_ticket(table) ? (struct spot){index, 0, index}
                                        : base_select(table, ORDER_ID, MASK_ALL, index);

    return base_ordinal(table, ORDER_ID, mask, spot);
}
