#include "tests/sim/glpi/view.h"

#include "common/base/alloc.h"

void view_open(struct view *view,
               const struct item_table *table,
               enum item_order order,
               int mask,
               bool descending)
{
    struct kept_row **all = order == ORDER_STAMP ? table->by_stamp : table->by_id;

    *view = (struct view){.table = table, .order = order, .mask = mask, .descending = descending};
    view->kept = all;
    view->n_kept = table->n_kept;
    if (mask != MASK_ALL && table->n_kept > 0) {
        view->kept = xmalloc((size_t)table->n_kept * sizeof(struct kept_row *));
        view->owns_kept = true;
        view->n_kept = 0;
        for (int64_t i = 0; i < table->n_kept; i++) {
            if (all[i]->item_class == mask - 1) {
                view->kept[view->n_kept++] = all[i];
            }
        }
    }
    view->n_base = base_count(table, mask) - items_covered(table, order, mask)->n;
    view->total = view->n_base + view->n_kept;
    view_seek(view, 0);
}

void view_close(struct view *view)
{
    if (view->owns_kept) {
        xfree(view->kept);
        view->owns_kept = false;
    }
}

static const struct ordinals *covered_of(const struct view *view)
{
    return items_covered(view->table, view->order, view->mask);
}

static int64_t key_of(const struct view *view, const struct kept_row *row)
{
    return view->order == ORDER_STAMP ? row->stamp_s : row->id;
}

/* How many computed rows that are shown stand before a kept one. Equal stamps: all of them. */
static int64_t base_rows_before(const struct view *view, const struct kept_row *row)
{
    int64_t key = key_of(view, row);

    if (view->order == ORDER_STAMP && key < INT64_MAX) {
        key++;
    }
    int64_t ordinal = base_before_key(view->table, view->order, view->mask, key);

    return ordinal - ordinals_lower_bound(covered_of(view), ordinal);
}

/* The ordinal, covered rows included, of the n-th row that is shown. */
static int64_t shown_ordinal(const struct view *view, int64_t n)
{
    const struct ordinals *covered = covered_of(view);
    int64_t low = 0;
    int64_t high = covered->n;

    while (low < high) { /* the first covered row with more than n shown ones before it */
        int64_t middle = (low + high) / 2;

        if (covered->items[middle] - middle <= n) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return n + low;
}

void view_seek(struct view *view, int64_t offset)
{
    int64_t before = view->descending ? view->total - offset : offset;
    int64_t low = 0;
    int64_t high = view->n_kept;

    while (low < high) { /* the first kept row that stands at `before` or later */
        int64_t middle = (low + high) / 2;

        if (middle + base_rows_before(view, view->kept[middle]) < before) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    view->kept_before = low;
    view->base_before = before - low;
    view->ordinal = -1;
}

/* Puts `spot` on the n-th shown computed row; cheap if it stood beside it. */
static void go_to(struct view *view, int64_t n)
{
    int64_t ordinal = shown_ordinal(view, n);
    int64_t away = ordinal - view->ordinal;

    if (view->ordinal >= 0 && (away >= -64 && away <= 64)) {
        for (; away != 0; away += away > 0 ? -1 : 1) {
            view->spot =
                base_step(view->table, view->order, view->mask, view->spot, away > 0 ? 1 : -1);
        }
    } else {
        view->spot = base_select(view->table, view->order, view->mask, ordinal);
    }
    view->ordinal = ordinal;
}

static bool base_comes_first(const struct view *view, const struct kept_row *row)
{
    return view->order == ORDER_STAMP ? base_stamp_s(view->table, view->spot) <= row->stamp_s
                                      : base_id(view->table, view->spot) < row->id;
}

static bool next_ascending(struct view *view, struct item *ret_item)
{
    bool has_base = view->base_before < view->n_base;
    bool has_kept = view->kept_before < view->n_kept;

    if (!has_base && !has_kept) {
        return false;
    }
    if (has_base) {
        go_to(view, view->base_before);
    }
    if (!has_kept || (has_base && base_comes_first(view, view->kept[view->kept_before]))) {
        item_set_base(ret_item, view->table, view->spot);
        view->base_before++;
    } else {
        item_set_kept(ret_item, view->table, view->kept[view->kept_before++]);
    }
    return true;
}

static bool next_descending(struct view *view, struct item *ret_item)
{
    bool has_base = view->base_before > 0;
    bool has_kept = view->kept_before > 0;

    if (!has_base && !has_kept) {
        return false;
    }
    if (has_base) {
        go_to(view, view->base_before - 1);
    }
    if (!has_base || (has_kept && base_comes_first(view, view->kept[view->kept_before - 1]))) {
        item_set_kept(ret_item, view->table, view->kept[--view->kept_before]);
    } else {
        item_set_base(ret_item, view->table, view->spot);
        view->base_before--;
    }
    return true;
}

bool view_next(struct view *view, struct item *ret_item)
{
    return view->descending ? next_descending(view, ret_item) : next_ascending(view, ret_item);
}
