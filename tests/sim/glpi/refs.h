#pragma once

#include "tests/sim/glpi/items.h"

/* A list of rows found one way or another, when no view can walk them. */

struct ref {
    const struct kept_row *kept; /* or NULL: computed */
    struct spot spot;
    struct cell key; /* of sorting; text owned */
};

struct refs {
    struct ref *items;
    int64_t n, capacity;
};

void refs_release(struct refs *refs);
void refs_add(struct refs *refs, const struct item *item);
void refs_get(const struct refs *refs, const struct item_table *table, int64_t i, struct item *ret);
/* By one column; rows that are equal keep the order they were added in, or the reverse of it. */
void refs_sort(struct refs *refs, const struct item_table *table, int column, bool descending);

/* The column by which rows of the table belong to a ticket, or -1. */
int ticket_column(const struct shape *shape);
/* All rows of a ticket, in the order of their ids. */
void refs_add_children(struct refs *refs, const struct item_table *table, int64_t ticket_id);
