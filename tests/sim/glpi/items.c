#include "tests/sim/glpi/items.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"

#define DRAFT_BYTES ((size_t)4 << 20)

int column_of(const struct shape *shape, struct str name)
{
    for (int i = 0; i < shape->n_columns; i++) {
        if (str_equal_c(name, shape->columns[i].name)) {
            return i;
        }
    }
    return -1;
}

static void count_blocks(struct item_table *table)
{
    const struct world *world = table->world;
    int64_t sums[2] = {0, 0};
    enum itemtype type = table->shape->itemtype;

    table->n_blocks = (world->n_tickets + world->block - 1) / world->block;
    for (int c = 0; c < 2; c++) {
        table->before[c] = xcalloc((size_t)table->n_blocks + 1, sizeof(int64_t));
    }
    for (int64_t ticket = 0; ticket < world->n_tickets; ticket++) {
        if (ticket % world->block == 0) {
            table->before[0][ticket / world->block] = sums[0];
            table->before[1][ticket / world->block] = sums[1];
        }
        if (type == ITEM_Ticket) {
            sums[world_is_trashed(world_rank(world, ticket)) ? 1 : 0]++;
        } else {
            int foreign = gen_foreign(type, ticket);

            sums[0] += gen_count(world, type, ticket) - foreign;
            sums[1] += foreign;
        }
    }
    table->before[0][table->n_blocks] = sums[0];
    table->before[1][table->n_blocks] = sums[1];
    table->n_base = sums[0] + sums[1];
}

static int64_t first_free_id(const struct item_table *table)
{
    if (table->n_base == 0) {
        return 1;
    }
    return table->shape->itemtype == ITEM_Ticket ? world_ticket_id(table->n_base - 1) + 1
                                                 : table->n_base + 1;
}

void items_init(struct items *items, const struct world *world)
{
    memset(items, 0, sizeof(*items));
    items->world = *world;
    for (int i = 0; i < N_ITEMTYPES; i++) {
        struct item_table *table = &items->tables[i];

        table->shape = &itemtypes[i];
        table->world = &items->world;
        if (itemtype_is_computed((enum itemtype)i) && !world->empty && world->n_tickets > 0) {
            count_blocks(table);
        }
        table->next_id = first_free_id(table);
    }
}

static void forget_kept(struct item_table *table)
{
    for (int64_t i = 0; i < table->n_kept; i++) {
        xfree(table->by_id[i]);
    }
    table->n_kept = 0;
    table->unsorted = false;
    for (int o = 0; o < N_ORDERS; o++) {
        for (int mask = 0; mask <= MASK_ALL; mask++) {
            table->covered[o][mask].n = 0;
        }
    }
    xfree(table->covered_bits);
    table->covered_bits = NULL;
    table->next_id = first_free_id(table);
}

void items_reset(struct items *items)
{
    for (int i = 0; i < N_ITEMTYPES; i++) {
        forget_kept(&items->tables[i]);
    }
}

void items_release(struct items *items)
{
    for (int i = 0; i < N_ITEMTYPES; i++) {
        struct item_table *table = &items->tables[i];

        forget_kept(table);
        xfree(table->by_id);
        xfree(table->by_stamp);
        xfree(table->before[0]);
        xfree(table->before[1]);
        for (int o = 0; o < N_ORDERS; o++) {
            for (int mask = 0; mask <= MASK_ALL; mask++) {
                xfree(table->covered[o][mask].items);
            }
        }
    }
}

static int compare_stamps(const void *a, const void *b)
{
    const struct kept_row *left = *(struct kept_row *const *)a;
    const struct kept_row *right = *(struct kept_row *const *)b;

    if (left->stamp_s != right->stamp_s) {
        return left->stamp_s < right->stamp_s ? -1 : 1;
    }
    return left->id < right->id ? -1 : left->id > right->id ? 1 : 0;
}

void items_settle(struct items *items)
{
    for (int i = 0; i < N_ITEMTYPES; i++) {
        struct item_table *table = &items->tables[i];

        if (table->unsorted) {
            size_t bytes = (size_t)table->n_kept * sizeof(struct kept_row *);

            table->by_stamp =
                xrealloc(table->by_stamp, (size_t)table->capacity * sizeof(struct kept_row *));
            if (table->n_kept > 0) {
                memcpy(table->by_stamp, table->by_id, bytes);
                qsort(table->by_stamp, (size_t)table->n_kept, sizeof(struct kept_row *),
                      compare_stamps);
            }
            table->unsorted = false;
        }
    }
}

struct item_table *items_table(struct items *items, struct str name)
{
    for (int i = 0; i < N_ITEMTYPES; i++) {
        if (str_equal_c(name, itemtypes[i].name)) {
            return &items->tables[i];
        }
    }
    return NULL;
}

int64_t ordinals_lower_bound(const struct ordinals *ordinals, int64_t value)
{
    int64_t low = 0;
    int64_t high = ordinals->n;

    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (ordinals->items[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void ordinals_add(struct ordinals *ordinals, int64_t value)
{
    int64_t at = ordinals_lower_bound(ordinals, value);

    if (ordinals->n == ordinals->capacity) {
        ordinals->capacity = ordinals->capacity * 2 + 64;
        ordinals->items = xrealloc(ordinals->items, (size_t)ordinals->capacity * sizeof(int64_t));
    }
    memmove(&ordinals->items[at + 1], &ordinals->items[at],
            (size_t)(ordinals->n - at) * sizeof(int64_t));
    ordinals->items[at] = value;
    ordinals->n++;
}

static int base_mask(const struct item_table *table, struct spot spot)
{
    if (table->shape->itemtype == ITEM_Ticket) {
        return world_is_trashed(world_rank(table->world, spot.ticket)) ? MASK_SECOND : MASK_FIRST;
    }
    enum itemtype type = table->shape->itemtype;
    bool foreign = gen_foreign(type, spot.ticket) == 1 &&
                   spot.k == gen_count(table->world, type, spot.ticket) - 1;

    return foreign ? MASK_SECOND : MASK_FIRST;
}

/* The computed row is not shown any more. */
static void cover(struct item_table *table, struct spot spot)
{
    int own = base_mask(table, spot);

    if (table->covered_bits == NULL) {
        table->covered_bits = xcalloc((size_t)table->n_base / 64 + 1, sizeof(uint64_t));
    }
    table->covered_bits[spot.index / 64] |= UINT64_C(1) << (spot.index % 64);
    /* Only tickets come in two orders. */
    ordinals_add(&table->covered[ORDER_ID][own], base_ordinal(table, ORDER_ID, own, spot));
    ordinals_add(&table->covered[ORDER_ID][MASK_ALL], spot.index);
    if (table->shape->itemtype == ITEM_Ticket) {
        ordinals_add(&table->covered[ORDER_STAMP][own],
                     base_ordinal(table, ORDER_STAMP, own, spot));
        ordinals_add(&table->covered[ORDER_STAMP][MASK_ALL],
                     base_ordinal(table, ORDER_STAMP, MASK_ALL, spot));
    }
}

const struct ordinals *
items_covered(const struct item_table *table, enum item_order order, int mask)
{
    return &table->covered[table->shape->itemtype == ITEM_Ticket ? order : ORDER_ID][mask];
}

static int64_t kept_position(const struct item_table *table, int64_t id)
{
    int64_t low = 0;
    int64_t high = table->n_kept;

    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (table->by_id[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct kept_row *find_kept(const struct item_table *table, int64_t id)
{
    int64_t at = kept_position(table, id);

    return at < table->n_kept && table->by_id[at]->id == id ? table->by_id[at] : NULL;
}

static bool find_spot(const struct item_table *table, int64_t id, struct spot *ret_spot)
{
    bool ticket = table->shape->itemtype == ITEM_Ticket;
    int64_t index = ticket ? world_ticket_index(id) : id - 1;

    if (id < 1 || index < 0 || index >= table->n_base || (ticket && world_ticket_id(index) != id)) {
        return false;
    }
    *ret_spot =
        ticket ? (struct spot){index, 0, index} : base_select(table, ORDER_ID, MASK_ALL, index);
    return true;
}

bool items_find(const struct item_table *table, int64_t id, struct item *ret_item)
{
    const struct kept_row *kept = find_kept(table, id);
    struct spot spot;

    if (kept != NULL) {
        item_set_kept(ret_item, table, kept);
        return true;
    }
    if (!find_spot(table, id, &spot) || base_is_covered(table, spot.index)) {
        return false;
    }
    item_set_base(ret_item, table, spot);
    return true;
}

void item_set_base(struct item *item, const struct item_table *table, struct spot spot)
{
    item->table = table;
    item->kept = NULL;
    item->spot = spot;
    item->derived = false;
}

void item_set_kept(struct item *item, const struct item_table *table, const struct kept_row *kept)
{
    item->table = table;
    item->kept = kept;
    item->derived = false;
}

int64_t item_id(const struct item *item)
{
    return item->kept != NULL ? item->kept->id : base_id(item->table, item->spot);
}

struct cell item_cell(struct item *item, int column, char scratch[CELL_TEXT_MAX])
{
    if (item->kept != NULL) {
        return item->kept->cells[column];
    }
    if (column == 0) {
        return cell_int(base_id(item->table, item->spot));
    }
    if (!item->derived) {
        ticket_derive(item->table->world, item->spot.ticket, &item->core);
        item->derived = true;
    }
    return gen_cell(item->table->world, item->table->shape->itemtype, &item->core, item->spot.k,
                    column, scratch);
}

int64_t item_number(struct item *item, int column)
{
    char scratch[CELL_TEXT_MAX];
    struct cell cell = item_cell(item, column, scratch);

    return cell.null ? 0 : cell.number;
}

static int64_t count_kept(const struct item_table *table, int mask)
{
    int64_t n = 0;

    if (mask == MASK_ALL) {
        return table->n_kept;
    }
    for (int64_t i = 0; i < table->n_kept; i++) {
        n += table->by_id[i]->item_class == mask - 1 ? 1 : 0;
    }
    return n;
}

int64_t items_count(const struct item_table *table, int mask)
{
    return base_count(table, mask) - table->covered[ORDER_ID][mask].n + count_kept(table, mask);
}

void draft_init(struct draft *draft)
{
    memset(draft->cells, 0, sizeof(draft->cells));
    arena_init(&draft->arena, DRAFT_BYTES);
}

void draft_release(struct draft *draft)
{
    arena_release(&draft->arena);
}

void draft_set_text(struct draft *draft, int column, struct str text)
{
    if (text.ptr == NULL) {
        draft_set_null(draft, column);
        return;
    }
    char *copy = arena_strndup(&draft->arena, text.ptr, text.len);

    draft->cells[column] =
        cell_text((struct str){copy == NULL ? "" : copy, copy == NULL ? 0 : text.len});
}

void draft_set_number(struct draft *draft, int column, int64_t number)
{
    draft->cells[column] = cell_int(number);
}

void draft_set_null(struct draft *draft, int column)
{
    draft->cells[column] = cell_null();
}

void draft_load(struct draft *draft, struct item *item)
{
    char scratch[CELL_TEXT_MAX];

    for (int i = 0; i < item->table->shape->n_columns; i++) {
        struct cell cell = item_cell(item, i, scratch);

        draft->cells[i] = cell;
        if (!cell.null && cell.text.len > 0) {
            draft_set_text(draft, i, cell.text);
        }
    }
}

static struct kept_row *make_row(const struct shape *shape, const struct draft *draft)
{
    size_t n = (size_t)shape->n_columns;
    size_t bytes = sizeof(struct kept_row) + n * sizeof(struct cell);

    for (size_t i = 0; i < n; i++) {
        bytes += draft->cells[i].text.len;
    }
    struct kept_row *row = xmalloc(bytes);
    char *text;

    row->cells = (struct cell *)(row + 1);
    text = (char *)(row->cells + n);
    for (size_t i = 0; i < n; i++) {
        struct str from = draft->cells[i].text;

        row->cells[i] = draft->cells[i];
        if (from.len > 0) {
            memcpy(text, from.ptr, from.len);
        }
        row->cells[i].text = (struct str){from.len > 0 ? text : "", from.len};
        text += from.len;
    }
    return row;
}

/* Which of the two lists a kept row is in. */
static void classify(const struct shape *shape, struct kept_row *row)
{
    int deleted = column_of(shape, STR_LITERAL("is_deleted"));
    int itemtype = column_of(shape, STR_LITERAL("itemtype"));
    int stamp = column_of(shape, STR_LITERAL("date_mod"));

    row->item_class = (deleted >= 0 && row->cells[deleted].number != 0) ||
                              (itemtype >= 0 && !str_equal_c(row->cells[itemtype].text, "Ticket"))
                          ? 1
                          : 0;
    row->stamp_s = stamp >= 0 && !row->cells[stamp].null ? row->cells[stamp].number : INT64_MIN;
}

int64_t items_put(struct items *items, struct item_table *table, struct draft *draft)
{
    struct item before;
    bool takes_id = draft->cells[0].number == 0 && table->shape->itemtype != ITEM_Entity;

    (void)items;
    if (takes_id) {
        draft->cells[0].number = table->next_id;
    }
    int64_t id = draft->cells[0].number;
    bool known = items_find(table, id, &before);
    int64_t at = kept_position(table, id);
    struct kept_row *row = make_row(table->shape, draft);

    row->id = id;
    row->base = -1;
    classify(table->shape, row);
    table->next_id = id >= table->next_id ? id + 1 : table->next_id;
    table->unsorted = true;
    if (known && before.kept != NULL) {
        row->base = table->by_id[at]->base;
        xfree(table->by_id[at]);
        table->by_id[at] = row;
        return id;
    }
    if (known) {
        row->base = before.spot.index;
        cover(table, before.spot);
    }
    if (table->n_kept == table->capacity) {
        table->capacity = table->capacity * 2 + 64;
        table->by_id = xrealloc(table->by_id, (size_t)table->capacity * sizeof(struct kept_row *));
    }
    memmove(&table->by_id[at + 1], &table->by_id[at],
            (size_t)(table->n_kept - at) * sizeof(struct kept_row *));
    table->by_id[at] = row;
    table->n_kept++;
    return id;
}

bool items_purge(struct items *items, struct item_table *table, int64_t id)
{
    struct item item;

    (void)items;
    if (!items_find(table, id, &item)) {
        return false;
    }
    if (item.kept == NULL) {
        cover(table, item.spot);
        return true;
    }
    int64_t at = kept_position(table, id);

    xfree(table->by_id[at]);
    memmove(&table->by_id[at], &table->by_id[at + 1],
            (size_t)(table->n_kept - at - 1) * sizeof(struct kept_row *));
    table->n_kept--;
    table->unsorted = true;
    return true;
}
