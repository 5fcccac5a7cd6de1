#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "tests/sim/azure_devops/items.h"
#include "tests/sim/store.h"

/*
 * Computed work items. Blocks of items live in the same stretch of time; within a block a table,
 * made once, says which revision of which item comes when. Everything else follows from hashes of
 * (seed, item, revision).
 */

#define SPAN_US (INT64_C(720) * 86400 * US_PER_S)

/* One way to mix a block's revisions. */
struct azure_mix {
    uint8_t *revs;  /* per item */
    int *first;     /* per item: where its slots begin in `slots` */
    int *slots;     /* of revision first[item] + rev - 1 */
    uint16_t *item; /* per slot */
    uint8_t *rev;   /* per slot */
};

struct moment {
    uint64_t at;
    int item, rev;
};

static int compare_moments(const void *a, const void *b)
{
    const struct moment *left = a;
    const struct moment *right = b;

    if (left->at != right->at) {
        return left->at < right->at ? -1 : 1;
    }
    return left->item != right->item ? left->item - right->item : left->rev - right->rev;
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right ? 1 : 0;
}

static void build_mix(struct azure_mix *mix, int block, uint64_t random)
{
    /* 64 revisions in 16 items */
    static const uint8_t counts[AZURE_UNIT] = {1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8};
    int n_slots = block / AZURE_UNIT * AZURE_REVS_PER_UNIT;
    struct moment *moments CLEANUP(xfreep) = xcalloc((size_t)n_slots, sizeof(*moments));
    int n = 0;

    mix->revs = xcalloc((size_t)block, sizeof(*mix->revs));
    mix->first = xcalloc((size_t)block, sizeof(*mix->first));
    mix->slots = xcalloc((size_t)n_slots, sizeof(*mix->slots));
    mix->item = xcalloc((size_t)n_slots, sizeof(*mix->item));
    mix->rev = xcalloc((size_t)n_slots, sizeof(*mix->rev));
    for (int i = 0; i < block; i++) {
        mix->revs[i] = counts[i % AZURE_UNIT];
    }
    for (int i = block - 1; i > 0; i--) {
        int j = (int)random_below(&random, (uint64_t)i + 1);
        uint8_t kept = mix->revs[i];

        mix->revs[i] = mix->revs[j];
        mix->revs[j] = kept;
    }
    for (int i = 0; i < block; i++) {
        uint64_t times[AZURE_REVS_MOST];

        /* Created in the order of ids, changed until the block's end. */
        for (int r = 0; r < mix->revs[i]; r++) {
            times[r] = (uint64_t)i * 1000 / (uint64_t)block * 1000 +
                       (r == 0 ? 0 : random_below(&random, 1000000));
        }
        qsort(times, mix->revs[i], sizeof(times[0]), compare_numbers);
        mix->first[i] = n;
        for (int r = 0; r < mix->revs[i]; r++) {
            moments[n++] = (struct moment){times[r], i, r + 1};
        }
    }
    qsort(moments, (size_t)n_slots, sizeof(*moments), compare_moments);
    for (int s = 0; s < n_slots; s++) {
        mix->item[s] = (uint16_t)moments[s].item;
        mix->rev[s] = (uint8_t)moments[s].rev;
        mix->slots[mix->first[moments[s].item] + moments[s].rev - 1] = s;
    }
}

void azure_mixes_build(struct azure_items *items)
{
    items->mixes = xcalloc(AZURE_VARIANTS, sizeof(*items->mixes));
    for (int v = 0; v < AZURE_VARIANTS; v++) {
        build_mix(&items->mixes[v], items->block, store_mix(items->seed, (uint64_t)v + 1));
    }
    items->span_us = SPAN_US;
}

void azure_mixes_free(struct azure_items *items)
{
    for (int v = 0; v < AZURE_VARIANTS && items->mixes != NULL; v++) {
        xfree(items->mixes[v].revs);
        xfree(items->mixes[v].first);
        xfree(items->mixes[v].slots);
        xfree(items->mixes[v].item);
        xfree(items->mixes[v].rev);
    }
    xfree(items->mixes);
    items->mixes = NULL;
}

static const struct azure_mix *mix_of(const struct azure_items *items, int64_t block)
{
    return &items->mixes[store_mix(items->seed ^ 0xb10c, (uint64_t)block) % AZURE_VARIANTS];
}

static int64_t slots_per_block(const struct azure_items *items)
{
    return items->block / AZURE_UNIT * AZURE_REVS_PER_UNIT;
}

void azure_place_of(const struct azure_items *items, int64_t w, int64_t *ret_index, int *ret_rev)
{
    int64_t block = (w - 1) / slots_per_block(items);
    int64_t slot = (w - 1) % slots_per_block(items);
    const struct azure_mix *mix = mix_of(items, block);

    *ret_index = block * items->block + mix->item[slot];
    *ret_rev = mix->rev[slot];
}

int azure_base_revs(const struct azure_items *items, int64_t index)
{
    return mix_of(items, index / items->block)->revs[index % items->block];
}

int64_t azure_watermark_of(const struct azure_items *items, int64_t index, int rev)
{
    int64_t block = index / items->block;
    const struct azure_mix *mix = mix_of(items, block);

    return block * slots_per_block(items) + mix->slots[mix->first[index % items->block] + rev - 1] +
           1;
}

int64_t azure_base_instant(const struct azure_items *items, int64_t w)
{
    int64_t step_us = items->span_us / (items->n_base + 1);

    /* Some happened in the same instant. */
    w -= w % 16 < 3 ? w % 16 : 0;
    int64_t jitter_us = (int64_t)(store_mix(items->seed ^ 0x71c, (uint64_t)w) % (uint64_t)step_us);
    int64_t at_ms = (items->first_us + w * step_us + jitter_us) / US_PER_MS;

    /* As SQL Server keeps a datetime: .000, .003 or .007 of a hundredth. */
    at_ms = at_ms / 10 * 10 + (at_ms % 10 < 3 ? 0 : at_ms % 10 < 7 ? 3 : 7);
    return at_ms * US_PER_MS;
}

static uint64_t item_hash(const struct azure_items *items, int64_t index)
{
    return store_mix(items->seed ^ 0x17e3, (uint64_t)index);
}

bool azure_base_destroyed(const struct azure_items *items, int64_t index)
{
    return item_hash(items, index) % 101 == 50;
}

int64_t azure_base_parent(int64_t index)
{
    /* Of each four items the first is the parent; that of the eighth of 16 was taken away. */
    return index % 4 == 0 || index % 16 == 7 ? 0 : index - index % 4 + 1;
}

/* What an item's history looks like. */
struct plot {
    uint64_t hash;
    int n;           /* revisions */
    int delete_rev;  /* deleted from this revision on; 0: never */
    int restore_rev; /* restored with this one; 0: never */
    int move_rev;    /* in another project from this one on; 0: never */
    int project, to_project;
    const struct azure_type *type;
    int path[AZURE_STATES_MAX]; /* states in order, but those that are hidden or mean removed */
    int n_path;
    int64_t shift_us; /* dates were imported */
};

static void plan(const struct azure_items *items, int64_t index, struct plot *plot)
{
    const struct azure_world *world = items->world;
    uint64_t h = item_hash(items, index);
    int live = world->n_born_projects - 1; /* the last is deleted */

    memset(plot, 0, sizeof(*plot));
    plot->hash = h;
    plot->n = azure_base_revs(items, index);
    plot->project = (int)(h >> 20 & 7) < 4 ? 0 : (int)((h >> 23) % (uint64_t)live);
    plot->to_project = plot->project;
    if (plot->n >= 2 && (h >> 8) % 37 == 11) {
        plot->delete_rev = plot->n;
    } else if (plot->n >= 3 && (h >> 8) % 37 == 12) {
        plot->delete_rev = plot->n - 1;
        plot->restore_rev = plot->n;
    } else if (plot->n >= 2 && (h >> 8) % 37 == 13) {
        plot->move_rev = plot->n / 2 + 1;
        plot->to_project = (plot->project + 1) % live;
    }
    const struct azure_process *process = &world->processes[world->projects[plot->project].process];

    plot->type = &process->types[(h >> 30) % (uint64_t)process->n_types];
    for (int s = 0; s < plot->type->n_born; s++) {
        const struct azure_state *state = &plot->type->states[s];

        if (strcmp(state->born, "Removed") != 0 && (!state->odd || (h >> 40) % 8 == 3)) {
            plot->path[plot->n_path++] = s;
        }
    }
    plot->shift_us = (h >> 44) % 97 == 5 ? -INT64_C(400) * 86400 * US_PER_S : 0;
}

/* Index of the state in the plot's path. */
static int position(const struct plot *plot, int rev)
{
    int last = plot->n_path - 1;
    bool open = (plot->hash >> 50 & 3) == 0;
    bool reopened = plot->n >= 4 && (plot->hash >> 52) % 13 == 5;

    if (reopened && rev == plot->n) {
        return last > 1 ? 1 : 0;
    }
    if (reopened && rev == plot->n - 1) {
        return last;
    }
    if (plot->n == 1) {
        return 0;
    }
    return open ? (rev - 1) * last / plot->n : (rev - 1) * last / (plot->n - 1);
}

static const struct azure_state *state_of(const struct plot *plot, int rev)
{
    return &plot->type->states[plot->path[position(plot, rev)]];
}

static int person_of(const struct azure_items *items, uint64_t hash)
{
    int n = items->world->n_born_people;

    return n <= 2 ? 0 : 2 + (int)(hash % (uint64_t)(n - 2));
}

static int assignee(const struct azure_items *items, const struct plot *plot, int rev)
{
    uint64_t h = store_mix(plot->hash, 1000 + (uint64_t)rev / 2);

    return (rev == 1 && plot->hash % 3 == 0) || h % 6 == 0 ? -1 : person_of(items, h >> 8);
}

static int64_t
instant(const struct azure_items *items, const struct plot *plot, int64_t index, int rev)
{
    return azure_base_instant(items, azure_watermark_of(items, index, rev)) + plot->shift_us;
}

/* The dates that depend on when the state changed. */
static void set_state_dates(const struct azure_items *items,
                            const struct plot *plot,
                            int64_t index,
                            struct azure_revision *r)
{
    int since = r->rev;

    while (since > 1 && position(plot, since - 1) == position(plot, r->rev)) {
        since--;
    }
    r->state_changed_us = instant(items, plot, index, since);
    r->activated_us = AZURE_NEVER;
    r->resolved_us = AZURE_NEVER;
    r->closed_us = strcmp(r->category, "Completed") == 0 ? r->state_changed_us : AZURE_NEVER;
    if (strcmp(r->category, "Resolved") == 0) {
        r->resolved_us = r->state_changed_us;
    }
    if (strcmp(r->category, "Proposed") != 0) {
        int active = 1;

        while (active < r->rev && strcmp(state_of(plot, active)->born, "Proposed") == 0) {
            active++;
        }
        r->activated_us = instant(items, plot, index, active);
    }
}

static int pick_node(const struct azure_items *items, int root, bool iteration, uint64_t hash)
{
    /* The nodes of a tree follow each other: areas 3, then 3 releases with 8 sprints each. */
    int n = iteration ? 27 : 3;

    (void)items;
    return hash % 5 == 0 ? root : root + (iteration ? 1 + 3 : 2) + (int)((hash >> 4) % (uint64_t)n);
}

void azure_base_revision(const struct azure_items *items,
                         int64_t index,
                         int rev,
                         struct azure_revision *ret)
{
    const struct azure_world *world = items->world;
    struct plot plot;

    plan(items, index, &plot);
    bool moved = plot.move_rev > 0 && rev >= plot.move_rev;
    const struct azure_state *state = state_of(&plot, rev);

    memset(ret, 0, sizeof(*ret));
    ret->id = index + 1;
    ret->rev = rev;
    ret->hash = plot.hash;
    ret->watermark = azure_watermark_of(items, index, rev);
    ret->project = moved ? plot.to_project : plot.project;
    ret->area = pick_node(items, world->projects[ret->project].areas, false, plot.hash >> 3);
    ret->iteration = pick_node(items, world->projects[ret->project].iterations, true,
                               store_mix(plot.hash, (uint64_t)rev / 3));
    ret->type = plot.type->name;
    ret->state = state->name;
    ret->category = state->born;
    ret->reason = rev == 1 ? "New" : rev % 2 == 0 ? "Work started" : "Moved to state";
    ret->assigned = assignee(items, &plot, rev);
    ret->created_by = person_of(items, plot.hash >> 11);
    ret->changed_by =
        rev == 1 ? ret->created_by : person_of(items, store_mix(plot.hash, (uint64_t)rev));
    ret->created_us = instant(items, &plot, index, 1);
    ret->changed_us = instant(items, &plot, index, rev);
    ret->revised_us = rev < plot.n ? instant(items, &plot, index, rev + 1) : AZURE_NEVER;
    set_state_dates(items, &plot, index, ret);
    ret->deleted = plot.delete_rev > 0 && rev >= plot.delete_rev &&
                   (plot.restore_rev == 0 || rev < plot.restore_rev);
    ret->priority = (int)(store_mix(plot.hash, (uint64_t)rev / 3) >> 9 & 3) + 1;
    ret->parent = azure_base_parent(index);
}
