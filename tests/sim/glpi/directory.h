#pragma once

#include "tests/sim/glpi/items.h"

/* The tables that are few and kept: people, places, categories, agreements and what ships. */

/* What every GLPI has; with generated data also its users, groups, entities and so on. */
void directory_fill(struct items *items);

/* A row with GLPI's defaults: 0, null, the instant the data begins. */
void directory_begin(struct draft *draft, struct item_table *table, int64_t id);
/* Adds a tree node: its completename and level follow from its parent. */
void directory_tree(
    struct items *items, enum itemtype type, int64_t id, int64_t parent, struct str name);
void directory_user(
    struct items *items, int64_t id, struct str login, struct str realname, struct str firstname);
