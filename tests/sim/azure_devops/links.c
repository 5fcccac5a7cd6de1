#include "tests/sim/azure_devops/links.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/azure_devops/items.h"

static const char *const types[] = {"System.LinkTypes.Hierarchy", "System.LinkTypes.Related",
                                    "System.LinkTypes.Dependency", "System.LinkTypes.Duplicate"};

void azure_links_init(struct azure_links *links, const struct azure_items *items)
{
    memset(links, 0, sizeof(*links));
    links->items = items;
    links->n_base = items->n_items;
}

void azure_links_reset(struct azure_links *links)
{
    xfree(links->extra);
    links->extra = NULL;
    links->n_extra = 0;
    links->capacity = 0;
}

int64_t azure_links_count(const struct azure_links *links)
{
    return links->n_base + links->n_extra;
}

/* Per 16 items: 12 children, a removed one, two related, one dependency; offsets of both ends. */
static void set_ends(struct azure_link *link, int slot)
{
    static const int others[3][3] = {{1, 5, 9}, {1, 2, 14}, {2, 0, 12}};
    int source;
    int target;

    link->active = true;
    if (slot < 12) {
        target = slot + slot / 3 + 1;
        source = target - target % 4;
        link->rel = types[0];
    } else if (slot == 15) { /* takes away what slot 5 made */
        target = 7;
        source = 4;
        link->rel = types[0];
        link->active = false;
    } else {
        link->rel = types[others[slot - 12][0]];
        source = others[slot - 12][1];
        target = others[slot - 12][2];
    }
    link->source = source;
    link->target = target;
}

void azure_link_at(const struct azure_links *links, int64_t n, struct azure_link *ret)
{
    if (n >= links->n_base) {
        *ret = links->extra[n - links->n_base];
        return;
    }
    int64_t unit = n / AZURE_UNIT * AZURE_UNIT;

    set_ends(ret, (int)(n % AZURE_UNIT));
    ret->source += unit + 1;
    ret->target += unit + 1;
    ret->changed_us =
        azure_base_instant(links->items, (n + 1) * (AZURE_REVS_PER_UNIT / AZURE_UNIT));
}

void azure_link_append(struct azure_links *links, const struct azure_link *link)
{
    if (links->n_extra == links->capacity) {
        links->capacity = links->capacity * 2 + 256;
        links->extra = xrealloc(links->extra, (size_t)links->capacity * sizeof(*links->extra));
    }
    links->extra[links->n_extra++] = *link;
}

static int compare_keys(const struct azure_link *a, const struct azure_link *b)
{
    int rel = strcmp(a->rel, b->rel);

    return rel != 0                 ? rel
           : a->source != b->source ? (a->source < b->source ? -1 : 1)
           : a->target != b->target ? (a->target < b->target ? -1 : 1)
                                    : 0;
}

/* Equal keys in their order of time, which is that of memory. */
static int compare_held(const void *a, const void *b)
{
    const struct azure_link *left = *(const struct azure_link *const *)a;
    const struct azure_link *right = *(const struct azure_link *const *)b;
    int keys = compare_keys(left, right);

    return keys != 0 ? keys : left < right ? -1 : left > right ? 1 : 0;
}

bool azure_link_is_held(const struct azure_links *links, const struct azure_link *link)
{
    for (int64_t i = 0; i < links->n_extra; i++) {
        if (compare_keys(&links->extra[i], link) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_held(const struct azure_link **held, int64_t n, const struct azure_link *link)
{
    int64_t low = 0;

    while (low < n) {
        int64_t middle = low + (n - low) / 2;
        int order = compare_keys(held[middle], link);

        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            n = middle;
        }
    }
    return false;
}

void azure_links_each(const struct azure_links *links,
                      void (*each)(void *context, const struct azure_link *link),
                      void *context)
{
    const struct azure_link **held CLEANUP(xfreep) =
        xcalloc((size_t)links->n_extra + 1, sizeof(struct azure_link *));
    int64_t n = links->n_extra;

    for (int64_t i = 0; i < n; i++) {
        held[i] = &links->extra[i];
    }
    if (n > 1) {
        qsort(held, (size_t)n, sizeof(struct azure_link *), compare_held);
    }
    for (int64_t i = 0; i < links->n_base; i++) {
        struct azure_link link;

        azure_link_at(links, i, &link);
        /* Slot 15 says the last about what slot 5 made. */
        if (i % AZURE_UNIT != 5 && !is_held(held, n, &link)) {
            each(context, &link);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        if (i + 1 == n || compare_keys(held[i], held[i + 1]) != 0) {
            each(context, held[i]);
        }
    }
}

const char *azure_link_type(struct str name)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct str type = str_from(types[i]);

        if (str_equal_nocase(name, type) || (str_ends_with(type, name) && name.len > 3)) {
            return types[i];
        }
    }
    return NULL;
}
