#include "tests/sim/glpi/refs.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"

static void forget_key(struct ref *ref)
{
    if (ref->key.text.len > 0) {
        union {
            const char *shown;
            void *owned;
        } text = {ref->key.text.ptr};

        xfree(text.owned);
    }
    ref->key = cell_null();
}

void refs_release(struct refs *refs)
{
    for (int64_t i = 0; i < refs->n; i++) {
        forget_key(&refs->items[i]);
    }
    xfree(refs->items);
    *refs = (struct refs){0};
}

void refs_add(struct refs *refs, const struct item *item)
{
    if (refs->n == refs->capacity) {
        refs->capacity = refs->capacity * 2 + 64;
        refs->items = xrealloc(refs->items, (size_t)refs->capacity * sizeof(struct ref));
    }
    refs->items[refs->n++] =
        (struct ref){.kept = item->kept, .spot = item->spot, .key = cell_null()};
}

void refs_get(const struct refs *refs, const struct item_table *table, int64_t i, struct item *ret)
{
    if (refs->items[i].kept != NULL) {
        item_set_kept(ret, table, refs->items[i].kept);
    } else {
        item_set_base(ret, table, refs->items[i].spot);
    }
}

static int compare(const struct ref *left, const struct ref *right)
{
    if (left->key.null || right->key.null) { /* null first, as MySQL has it */
        return (left->key.null ? 0 : 1) - (right->key.null ? 0 : 1);
    }
    if (left->key.number != right->key.number) {
        return left->key.number < right->key.number ? -1 : 1;
    }
    return str_compare_nocase(left->key.text, right->key.text);
}

static int compare_up(const void *a, const void *b)
{
    return compare(a, b);
}

static int compare_down(const void *a, const void *b)
{
    return compare(b, a);
}

void refs_sort(struct refs *refs, const struct item_table *table, int column, bool descending)
{
    char scratch[CELL_TEXT_MAX];
    struct item item;

    for (int64_t i = 0; i < refs->n; i++) {
        forget_key(&refs->items[i]);
        refs_get(refs, table, i, &item);
        struct cell cell = item_cell(&item, column, scratch);

        if (cell.text.len > 0) {
            cell.text.ptr = xstrndup(cell.text.ptr, cell.text.len);
        }
        refs->items[i].key = cell;
    }
    if (refs->n > 1) { /* glibc's merges, so it is stable */
        qsort(refs->items, (size_t)refs->n, sizeof(struct ref),
              descending ? compare_down : compare_up);
    }
}

int ticket_column(const struct shape *shape)
{
    int column = column_of(shape, STR_LITERAL("tickets_id"));

    return column >= 0 ? column : column_of(shape, STR_LITERAL("items_id"));
}

static void add_computed(struct refs *refs, const struct item_table *table, int64_t ticket_id)
{
    enum itemtype type = table->shape->itemtype;
    int64_t ticket = world_ticket_index(ticket_id);
    struct item item = {0};

    if (table->n_base == 0 || ticket >= table->world->n_tickets ||
        world_ticket_id(ticket) != ticket_id) {
        return;
    }
    struct spot spot = {ticket, 0, 0};
    int64_t n = gen_count(table->world, type, ticket) - gen_foreign(type, ticket);

    spot.index = base_ordinal(table, ORDER_ID, MASK_ALL, spot);
    for (; spot.k < n; spot.k++, spot.index++) {
        if (!base_is_covered(table, spot.index)) {
            item_set_base(&item, table, spot);
            refs_add(refs, &item);
        }
    }
}

void refs_add_children(struct refs *refs, const struct item_table *table, int64_t ticket_id)
{
    int column = ticket_column(table->shape);
    struct item item = {0};

    if (column < 0) {
        return;
    }
    if (itemtype_is_computed(table->shape->itemtype)) {
        add_computed(refs, table, ticket_id);
    }
    for (int64_t i = 0; i < table->n_kept; i++) {
        const struct kept_row *row = table->by_id[i];

        if (row->cells[column].number == ticket_id && row->item_class == 0) {
            item_set_kept(&item, table, row);
            refs_add(refs, &item);
        }
    }
}
