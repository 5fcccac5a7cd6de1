#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * The rows of one simulated system. A table consists of
 *   - base rows, computed from (seed, index) whenever they are looked at, so that a million of
 *     them cost no memory, and
 *   - overlay rows, held in memory: those that were inserted, changed or deleted since.
 *
 * Both orders that clients page in are cheap. Ids: base row `index` sits at `position` of the
 * sorted ids (an affine permutation), and the leading hex digits of an id encode that position.
 * Change stamps: they never fall while the index grows. Overlay rows are kept sorted both ways.
 *
 * Readers hold the lock shared, whoever mutates holds it exclusively and calls store_settle()
 * before letting go. Nothing here knows HTTP, JSON or a query.
 */

#define CELL_MAX 2048 /* longest computed cell */
#define CORE_MAX 320  /* bytes a generator may keep about one row */

enum column_type {
    COLUMN_STRING,
    COLUMN_GUID,
    COLUMN_INTEGER,
    COLUMN_DECIMAL,
    COLUMN_BOOLEAN,
    COLUMN_DATETIME,
    COLUMN_DATE,
    COLUMN_DURATION,
    COLUMN_REFERENCE,
    COLUMN_LIST,
    COLUMN_JOURNAL,
};

struct choice {
    const char *value;
    const char *label;
};

struct column {
    const char *name;
    int field; /* the generator's own name for it */
    enum column_type type;
    const char *target;           /* table a reference points to, or NULL */
    const struct choice *choices; /* ends with a NULL value; or NULL */
};

struct store;
struct table;

/* A row's core is whatever `derive` works out once so that `cell` is quick. */
struct generator {
    void (*derive)(const struct store *store, const struct table *table, int64_t index, void *core);
    /* The cell's text: static or in out[CELL_MAX]. */
    struct str (*cell)(const struct store *store,
                       const struct table *table,
                       const void *core,
                       int field,
                       char *out);
};

struct overlay_row {
    char *id;           /* hash key; also in cells */
    int64_t base_index; /* -1: not a base row */
    int64_t updated_s;
    bool deleted;
    struct str *cells; /* one per column, text in the same allocation */
};

struct table {
    const char *name;
    const struct column *columns;
    int n_columns;
    int col_id, col_created, col_updated, col_display, col_opened; /* -1: none */
    const struct generator *generator;
    int64_t n_base;
    uint64_t salt;
    uint64_t multiplier, inverse, shift, step; /* of the permutation; n_base > 0 */
    int64_t first_s, span_s;                   /* stamps lie in [first_s, first_s + span_s) */
    int64_t lag_max_s;   /* a base row was created and opened at most this long before its stamp */
    bool empty_for_user; /* readable, shows nothing (sys_dictionary for non-admins) */
    bool forbidden_for_user; /* 403 */
    bool audited;            /* deletes leave a row in sys_audit_delete */

    struct overlay_index *overlay;
    uint64_t *covered; /* bit per base index: an overlay row stands for it; NULL while none does */
    struct overlay_row **by_id;      /* live rows only */
    struct overlay_row **by_updated; /* (stamp, id) */
    int64_t n_live, capacity;
    bool dirty;
};

struct store {
    pthread_rwlock_t lock;
    struct table *tables;
    int n_tables;
    uint64_t seed;
    int64_t base_s; /* the instant the generated data leads up to */
    int64_t n_tickets;
    uint64_t id_counter; /* guarded by lock (exclusive) */
    const void *world;   /* the generator's constants */
};

/* One row being looked at. */
struct row {
    const struct store *store;
    const struct table *table;
    int64_t index;                  /* base row; meaningless with `over` */
    const struct overlay_row *over; /* or NULL */
    bool derived;
    _Alignas(16) unsigned char core[CORE_MAX];
};

uint64_t store_mix(uint64_t a, uint64_t b);

void store_init(struct store *store, uint64_t seed, int64_t base_s, int64_t n_tickets);
void store_release(struct store *store);

/* Prepares `table` (name, columns, generator set by the caller) for n_base computed rows. */
void table_init(struct table *table, const struct store *store, int64_t n_base);
void table_release(struct table *table);

struct table *store_table(const struct store *store, struct str name); /* NULL: no such table */
int table_column(const struct table *table, struct str name);          /* -1: no such column */
const char *table_choice_label(const struct column *column, struct str value); /* NULL: none */

/* Computed rows. */
int64_t table_stamp_s(const struct table *table, int64_t index);
int64_t table_first_with_stamp(const struct table *table, int64_t stamp_s); /* >= stamp_s */
int64_t table_position(const struct table *table, int64_t index);
int64_t table_index_at(const struct table *table, int64_t position);
void table_id_at(const struct table *table, int64_t position, char out[33]);
int64_t table_first_with_id(const struct table *table, struct str id, bool after); /* position */
bool table_is_covered(const struct table *table, int64_t index);

/* Rows. */
void row_set_base(struct row *row, const struct store *store, const struct table *table, int64_t i);
void row_set_overlay(struct row *row,
                     const struct store *store,
                     const struct table *table,
                     const struct overlay_row *over);
/* The cell's text; valid until `out` (CELL_MAX bytes) is reused or the lock is let go. */
struct str row_cell(struct row *row, int column, char *out);
bool store_find(const struct store *store,
                const struct table *table,
                struct str id,
                struct row *ret_row);

/* Mutations: exclusive lock held. */
struct assignment {
    int column;
    struct str value;
};

struct overlay_row *
store_insert(struct store *store, struct table *table, const struct assignment *set, int n_set);
bool store_update(struct store *store,
                  struct table *table,
                  struct str id,
                  const struct assignment *set,
                  int n_set);
bool store_delete(struct store *store, struct table *table, struct str id);
void store_settle(struct store *store); /* after mutations, before the lock is let go */
void store_reset(struct store *store);  /* forgets every overlay row */
int64_t table_live_rows(const struct table *table);
