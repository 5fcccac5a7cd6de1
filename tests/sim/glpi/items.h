#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "tests/sim/glpi/world.h"

/*
 * The rows of the simulated GLPI. A table consists of computed rows, of which nothing is kept but
 * a count per block of tickets, and of kept rows: the directory, and all that was inserted or
 * changed. A changed computed row is covered by its kept version, a purged one by nothing.
 *
 * Rows come in two orders, by id and by change stamp, and in two classes: live or in the trash,
 * and rows of tickets or of other items. view.h walks any of these at any offset.
 *
 * Readers hold the lock of their owner shared, whoever changes rows holds it exclusively and calls
 * items_settle() before letting go. Nothing here knows HTTP or JSON.
 */

enum item_order { ORDER_ID, ORDER_STAMP, N_ORDERS };

enum { MASK_FIRST = 1, MASK_SECOND = 2, MASK_ALL = 3 }; /* of classes */

struct kept_row {
    int64_t id;
    int64_t base;    /* index of the computed row it covers, or -1 */
    int64_t stamp_s; /* date_mod; INT64_MIN for null or without one */
    int item_class;  /* 0 or 1 */
    struct cell *cells;
};

/* Sorted. */
struct ordinals {
    int64_t *items;
    int64_t n, capacity;
};

struct item_table {
    const struct shape *shape;
    const struct world *world;
    int64_t n_base;
    int64_t n_blocks;
    int64_t *before[2]; /* computed rows of each class in the blocks before */
    struct kept_row **by_id, **by_stamp;
    int64_t n_kept, capacity;
    bool unsorted;                                   /* by_stamp */
    struct ordinals covered[N_ORDERS][MASK_ALL + 1]; /* [.][0]: unused */
    uint64_t *covered_bits;                          /* by index; NULL while there are none */
    int64_t next_id;
};

struct items {
    struct world world;
    struct item_table tables[N_ITEMTYPES];
};

/* One row that is looked at. */
struct item {
    const struct item_table *table;
    const struct kept_row *kept; /* or NULL: computed */
    struct spot spot;
    struct ticket_core core;
    bool derived;
};

/* A row in the making: its cells, with their texts in the arena. */
struct draft {
    struct arena arena;
    struct cell cells[COLUMNS_MAX];
};

void items_init(struct items *items, const struct world *world);
void items_release(struct items *items);
void items_reset(struct items *items); /* forgets every kept row, and what they covered */
void items_settle(struct items *items);

struct item_table *items_table(struct items *items, struct str name); /* or NULL */
int64_t items_count(const struct item_table *table, int mask);

/* Computed rows: where the `ordinal`-th of those in `mask` is, and how many come before `spot`. */
struct spot
base_select(const struct item_table *table, enum item_order order, int mask, int64_t ordinal);
int64_t
base_ordinal(const struct item_table *table, enum item_order order, int mask, struct spot spot);
/* Moves by one in the order, among rows in `mask`; the caller knows that there is one. */
struct spot base_step(
    const struct item_table *table, enum item_order order, int mask, struct spot spot, int by);
int64_t base_count(const struct item_table *table, int mask);
int64_t base_id(const struct item_table *table, struct spot spot);
int64_t base_stamp_s(const struct item_table *table, struct spot spot);
bool base_is_covered(const struct item_table *table, int64_t index);
/* Rows in `mask` whose id (or stamp, for ORDER_STAMP) is lower than `key`. */
int64_t
base_before_key(const struct item_table *table, enum item_order order, int mask, int64_t key);

/* Position of the first item not lower than `value`. */
int64_t ordinals_lower_bound(const struct ordinals *ordinals, int64_t value);

/* Which of the computed rows in `mask` are covered, by their ordinals. */
const struct ordinals *
items_covered(const struct item_table *table, enum item_order order, int mask);

bool items_find(const struct item_table *table, int64_t id, struct item *ret_item);
void item_set_base(struct item *item, const struct item_table *table, struct spot spot);
void item_set_kept(struct item *item, const struct item_table *table, const struct kept_row *kept);
int64_t item_id(const struct item *item);
/* Valid until the lock is let go or `scratch` is used again. */
struct cell item_cell(struct item *item, int column, char scratch[CELL_TEXT_MAX]);
int64_t item_number(struct item *item, int column);        /* 0 for null */
int column_of(const struct shape *shape, struct str name); /* or -1 */

/* Changes: exclusive lock held. */
void draft_init(struct draft *draft);
void draft_release(struct draft *draft);
void draft_load(struct draft *draft, struct item *item);
void draft_set_text(struct draft *draft, int column, struct str text); /* ptr NULL: null */
void draft_set_number(struct draft *draft, int column, int64_t number);
void draft_set_null(struct draft *draft, int column);
/* Stores the draft as the row of its cell 0; id 0 takes the next one. Returns the id. */
int64_t items_put(struct items *items, struct item_table *table, struct draft *draft);
bool items_purge(struct items *items, struct item_table *table, int64_t id);
