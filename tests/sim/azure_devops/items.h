#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "tests/sim/azure_devops/world.h"

/*
 * The work items of an organisation, as revisions in the order in which they happened: number w
 * (from 1) is the collection's watermark. The first `n_base` are computed from (seed, w) whenever
 * they are looked at, so that a million cost no memory; later ones are held. Both directions are
 * constant time: w -> (id, rev) for the feed, (id, rev) -> w for the items.
 *
 * Readers hold the lock of struct azure shared, whoever changes something holds it exclusively.
 */

enum { AZURE_UNIT = 16, AZURE_REVS_PER_UNIT = 64, AZURE_REVS_MOST = 8, AZURE_VARIANTS = 4 };

#define AZURE_NEVER INT64_MIN

enum azure_field {

#define FIELD(symbol, reference, name, type, is_long, is_identity) AZURE_##symbol,
#include "tests/sim/azure_devops/fields.def"
#undef FIELD
    AZURE_N_FIELDS
};

/* A field given a value by hand: JSON, or NULL for none. */
struct azure_set {
    int field;
    const char *json;
    const struct azure_set *before; /* older ones; the first found counts */
};

struct azure_revision {
    int64_t id, watermark;
    int rev;
    int project, area, iteration;
    int assigned, created_by, changed_by; /* people; -1: nobody */
    const char *type, *state, *reason;
    const char *title, *category;  /* title NULL: computed; category of the state, or NULL */
    const char *product, *country; /* of recorded items, or NULL */
    int64_t created_us, changed_us, revised_us; /* revised AZURE_NEVER: still current */
    int64_t state_changed_us, activated_us, resolved_us, closed_us; /* or AZURE_NEVER */
    int64_t parent;                                                 /* 0: none */
    int priority;                                                   /* 0: none */
    bool deleted;
    uint64_t hash; /* of the item: what is made up follows from it */
    const struct azure_set *sets;
};

/* What is known of an item beyond its computed revisions. */
struct azure_item {
    int n_revs;     /* computed ones included */
    int n_extra;    /* held ones */
    int64_t *extra; /* their watermarks */
    bool destroyed;
    int64_t parent; /* -1: as computed */
};

struct azure_items {
    const struct azure_world *world;
    struct arena memory;
    uint64_t seed;
    int64_t n_items; /* computed ones: ids 1 .. n_items */
    int64_t n_base;  /* computed revisions */
    int64_t first_us, span_us;
    int block;               /* items that are mixed with each other; a multiple of AZURE_UNIT */
    struct azure_mix *mixes; /* AZURE_VARIANTS ways to mix a block */
    struct azure_revision **extra;
    int64_t n_extra, capacity;
    struct azure_item **known; /* by id; NULL entries: as computed */
    int64_t known_size;
    int64_t last_id;
};

void azure_items_init(struct azure_items *items,
                      const struct azure_world *world,
                      int64_t n_tickets,
                      int64_t base_s);
void azure_items_release(struct azure_items *items);
void azure_items_reset(struct azure_items *items); /* forgets what is held */

int64_t azure_last_watermark(const struct azure_items *items);
/* Revision number w; false: of an item that was destroyed, or w out of range. */
bool azure_revision_at(const struct azure_items *items, int64_t w, struct azure_revision *ret);
/* Revision `rev` of an item, rev 0: the latest; false: there is none. */
bool azure_revision_get(const struct azure_items *items,
                        int64_t id,
                        int rev,
                        struct azure_revision *ret);
int azure_item_revs(const struct azure_items *items, int64_t id); /* 0: no such item */
bool azure_item_destroyed(const struct azure_items *items, int64_t id);
/* The last revision that was there at `at_us`, by its date; false: none. */
bool azure_revision_as_of(const struct azure_items *items,
                          int64_t id,
                          int64_t at_us,
                          struct azure_revision *ret);
/* The instant at which watermark w was reached; back-dated items say otherwise. */
int64_t azure_instant_of(const struct azure_items *items, int64_t w);
int64_t azure_item_parent(const struct azure_items *items, int64_t id); /* as of now; 0: none */

/* Appends a revision: `next` is copied; watermark, and for id 0 the id, are given. Its texts must
 * outlive the items: azure_keep_text. */
const struct azure_revision *azure_append(struct azure_items *items,
                                          const struct azure_revision *next);
const char *azure_keep_text(struct azure_items *items, struct str text);
const struct azure_set *azure_keep_set(struct azure_items *items,
                                       int field,
                                       const char *json,
                                       const struct azure_set *before);
void azure_destroy_item(struct azure_items *items, int64_t id);
void azure_set_parent(struct azure_items *items, int64_t id, int64_t parent);

/* generate.c */
void azure_mixes_build(struct azure_items *items);
void azure_mixes_free(struct azure_items *items);
void azure_place_of(const struct azure_items *items, int64_t w, int64_t *ret_index, int *ret_rev);
int azure_base_revs(const struct azure_items *items, int64_t index);
int64_t azure_watermark_of(const struct azure_items *items, int64_t index, int rev);
int64_t azure_base_instant(const struct azure_items *items, int64_t w);
bool azure_base_destroyed(const struct azure_items *items, int64_t index);
int64_t azure_base_parent(int64_t index); /* id; 0: none */
void azure_base_revision(const struct azure_items *items,
                         int64_t index,
                         int rev,
                         struct azure_revision *ret);
