#include "tests/sim/azure_devops/items.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"

#define MEMORY_MAX ((size_t)4 << 30)

void azure_items_init(struct azure_items *items,
                      const struct azure_world *world,
                      int64_t n_tickets,
                      int64_t base_s)
{
    memset(items, 0, sizeof(*items));
    items->world = world;
    items->seed = world->seed;
    items->block = n_tickets >= 16384 ? 512 : n_tickets >= 1024 ? 64 : AZURE_UNIT;
    items->n_items = (n_tickets + items->block - 1) / items->block * items->block;
    items->n_base = items->n_items / AZURE_UNIT * AZURE_REVS_PER_UNIT;
    azure_mixes_build(items);
    items->first_us = base_s * US_PER_S - items->span_us - 60 * US_PER_S;
    arena_init(&items->memory, MEMORY_MAX);
    items->last_id = items->n_items;
}

static void forget(struct azure_items *items)
{
    for (int64_t id = 0; id < items->known_size; id++) {
        if (items->known[id] != NULL) {
            xfree(items->known[id]->extra);
            xfree(items->known[id]);
        }
    }
    xfree(items->known);
    xfree(items->extra);
    items->known = NULL;
    items->known_size = 0;
    items->extra = NULL;
    items->n_extra = 0;
    items->capacity = 0;
    items->last_id = items->n_items;
}

void azure_items_release(struct azure_items *items)
{
    forget(items);
    azure_mixes_free(items);
    arena_release(&items->memory);
}

void azure_items_reset(struct azure_items *items)
{
    forget(items);
    arena_release(&items->memory);
    arena_init(&items->memory, MEMORY_MAX);
}

static struct azure_item *find_known(const struct azure_items *items, int64_t id)
{
    return id > 0 && id < items->known_size ? items->known[id] : NULL;
}

/* The item's entry, made when there is none. */
static struct azure_item *know(struct azure_items *items, int64_t id)
{
    if (id >= items->known_size) {
        int64_t size = id < items->n_items ? items->n_items + 1024 : id * 2 + 1024;
        /* Fresh zeroed pages cost nothing until they are written. */
        struct azure_item **grown = xcalloc((size_t)size, sizeof(struct azure_item *));

        if (items->known_size > 0) {
            memcpy(grown, items->known, (size_t)items->known_size * sizeof(struct azure_item *));
        }
        xfree(items->known);
        items->known = grown;
        items->known_size = size;
    }
    if (items->known[id] == NULL) {
        struct azure_item *item = XNEW(struct azure_item);

        item->parent = -1;
        item->n_revs = id <= items->n_items ? azure_base_revs(items, id - 1) : 0;
        items->known[id] = item;
    }
    return items->known[id];
}

int64_t azure_last_watermark(const struct azure_items *items)
{
    return items->n_base + items->n_extra;
}

bool azure_item_destroyed(const struct azure_items *items, int64_t id)
{
    const struct azure_item *item = find_known(items, id);

    return (item != NULL && item->destroyed) ||
           (id >= 1 && id <= items->n_items && azure_base_destroyed(items, id - 1));
}

int azure_item_revs(const struct azure_items *items, int64_t id)
{
    const struct azure_item *item = find_known(items, id);

    if (id < 1 || id > items->last_id || azure_item_destroyed(items, id)) {
        return 0;
    }
    return item != NULL ? item->n_revs : id <= items->n_items ? azure_base_revs(items, id - 1) : 0;
}

/* The end of a revision's validity: when the next was made. */
static void set_revised(const struct azure_items *items, struct azure_revision *r)
{
    const struct azure_item *item = find_known(items, r->id);

    if (item == NULL || r->rev >= item->n_revs) {
        return;
    }
    int n_computed = item->n_revs - item->n_extra;

    if (r->rev >= n_computed) {
        int64_t next = item->extra[r->rev - n_computed];

        r->revised_us = items->extra[next - items->n_base - 1]->changed_us;
    }
}

bool azure_revision_get(const struct azure_items *items,
                        int64_t id,
                        int rev,
                        struct azure_revision *ret)
{
    int n = azure_item_revs(items, id);

    rev = rev == 0 ? n : rev;
    if (n == 0 || rev < 1 || rev > n) {
        return false;
    }
    const struct azure_item *item = find_known(items, id);
    int n_computed = n - (item != NULL ? item->n_extra : 0);

    if (rev <= n_computed) {
        azure_base_revision(items, id - 1, rev, ret);
    } else {
        *ret = *items->extra[item->extra[rev - n_computed - 1] - items->n_base - 1];
    }
    set_revised(items, ret);
    return true;
}

bool azure_revision_at(const struct azure_items *items, int64_t w, struct azure_revision *ret)
{
    if (w < 1 || w > azure_last_watermark(items)) {
        return false;
    }
    if (w > items->n_base) {
        *ret = *items->extra[w - items->n_base - 1];
        set_revised(items, ret);
        return !azure_item_destroyed(items, ret->id);
    }
    int64_t index;
    int rev;

    azure_place_of(items, w, &index, &rev);
    if (azure_item_destroyed(items, index + 1)) {
        /* Who it was is still known: tokens name it. */
        memset(ret, 0, sizeof(*ret));
        ret->id = index + 1;
        ret->rev = rev;
        ret->watermark = w;
        return false;
    }
    azure_base_revision(items, index, rev, ret);
    set_revised(items, ret);
    return true;
}

bool azure_revision_as_of(const struct azure_items *items,
                          int64_t id,
                          int64_t at_us,
                          struct azure_revision *ret)
{
    for (int rev = azure_item_revs(items, id); rev >= 1; rev--) {
        if (azure_revision_get(items, id, rev, ret) && ret->changed_us <= at_us) {
            return true;
        }
    }
    return false;
}

int64_t azure_instant_of(const struct azure_items *items, int64_t w)
{
    return w > items->n_base ? items->extra[w - items->n_base - 1]->changed_us
                             : azure_base_instant(items, w);
}

int64_t azure_item_parent(const struct azure_items *items, int64_t id)
{
    const struct azure_item *item = find_known(items, id);

    if (item != NULL && item->parent >= 0) {
        return item->parent;
    }
    return id <= items->n_items ? azure_base_parent(id - 1) : 0;
}

const struct azure_revision *azure_append(struct azure_items *items,
                                          const struct azure_revision *next)
{
    struct azure_revision *kept = arena_zalloc(&items->memory, sizeof(*kept));

    if (kept == NULL) {
        return NULL;
    }
    *kept = *next;
    kept->id = next->id != 0 ? next->id : items->last_id + 1;
    items->last_id = kept->id > items->last_id ? kept->id : items->last_id;
    if (items->n_extra == items->capacity) {
        items->capacity = items->capacity * 2 + 1024;
        items->extra =
            xrealloc(items->extra, (size_t)items->capacity * sizeof(struct azure_revision *));
    }
    items->extra[items->n_extra++] = kept;
    kept->watermark = items->n_base + items->n_extra;
    kept->revised_us = AZURE_NEVER;
    struct azure_item *item = know(items, kept->id);

    item->extra = xrealloc(item->extra, ((size_t)item->n_extra + 1) * sizeof(*item->extra));
    item->extra[item->n_extra++] = kept->watermark;
    item->n_revs++;
    kept->rev = item->n_revs;
    return kept;
}

const char *azure_keep_text(struct azure_items *items, struct str text)
{
    const char *kept = arena_strndup(&items->memory, text.len > 0 ? text.ptr : "", text.len);

    return kept != NULL ? kept : "";
}

const struct azure_set *azure_keep_set(struct azure_items *items,
                                       int field,
                                       const char *json,
                                       const struct azure_set *before)
{
    struct azure_set *set = arena_zalloc(&items->memory, sizeof(*set));

    if (set == NULL) {
        return before;
    }
    set->field = field;
    set->json = json;
    set->before = before;
    return set;
}

void azure_destroy_item(struct azure_items *items, int64_t id)
{
    know(items, id)->destroyed = true;
}

void azure_set_parent(struct azure_items *items, int64_t id, int64_t parent)
{
    know(items, id)->parent = parent;
}
