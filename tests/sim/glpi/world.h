#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"

/*
 * The generated service desk: every cell of every computed row is a function of (seed, itemtype,
 * ticket, number of the row within its ticket) and of the instant the data leads up to. Tables of
 * the directory are not computed: gen_directory.c fills them once.
 *
 * Tickets come in blocks. Within a block the order of the change stamps is a permutation of that of
 * the ids, so that a page at any offset of either order costs its own size and one block.
 */

enum column_type { TYPE_INT, TYPE_TEXT, TYPE_TREE, TYPE_TIME };

enum column_versions { IN_BOTH, IN_V10, IN_V11 };

enum { COLUMNS_MAX = 48, CELL_TEXT_MAX = 2048 };

#define TABLE_BEGIN(table) ITEM_##table,
#define COLUMN(table, name, type, target, versions)
#define TABLE_END(table)

enum itemtype {

#include "tests/sim/glpi/tables.def"
    N_ITEMTYPES
};

#undef TABLE_BEGIN
#undef COLUMN
#undef TABLE_END

#define TABLE_BEGIN(table)                                                                         \
    enum table##_column                                                                            \
    {
#define COLUMN(table, name, type, target, versions) table##_##name,
#define TABLE_END(table)                                                                           \
    N_##table##_COLUMNS                                                                            \
    }                                                                                              \
    ;
#include "tests/sim/glpi/tables.def"
#undef TABLE_BEGIN
#undef COLUMN
#undef TABLE_END

struct column {
    const char *name;
    enum column_type type;
    const char *target; /* the itemtype a key refers to, or "" */
    enum column_versions versions;
};

struct shape {
    enum itemtype itemtype;
    const char *name;
    const struct column *columns;
    int n_columns;
};

extern const struct shape itemtypes[N_ITEMTYPES];

/* Text is as typed, not encoded; numbers are integers or seconds since 1970, UTC. */
struct cell {
    bool null;
    int64_t number;
    struct str text;
};

/* A computed row: the k-th of its table at a ticket's index. */
struct spot {
    int64_t ticket;
    int64_t k;
    int64_t index; /* among all computed rows of the table */
};

enum {
    FIRST_TECHNICIAN = 7, /* users */
    N_TECHNICIANS = 200,
    FIRST_REQUESTER = 207,
    N_REQUESTERS = 1795,
    N_GROUPS = 40,
    N_ENTITIES = 24,
    N_CATEGORIES = 60,
    N_LOCATIONS = 80,
    N_AGREEMENTS = 8,
    SYNC_USER = 6,
};

struct permutation {
    int64_t size, multiplier, inverse, shift;
};

struct world {
    uint64_t seed;
    int64_t n_tickets;
    int64_t base_s;
    int64_t first_s, span_s, total; /* stamps lie at first + x * span / total */
    int64_t block;                  /* tickets */
    struct permutation whole, last; /* of a full block, and of the last one */
    bool empty;                     /* recorded rows instead: nothing generated */
};

/* What is worked out once per ticket. Times are 0 where GLPI has null. */
struct ticket_core {
    int64_t index, rank, id;
    uint64_t hash;
    int64_t date_s, mod_s, took_s, solve_s, close_s, waiting_since_s;
    int64_t waited_seconds, action_seconds;
    int status, type, urgency, impact, priority, validation;
    int entity, category, location, request_type;
    int requester, technician, group;
    int sla_ttr, sla_tto, ola_ttr;
    int64_t ttr_s, tto_s, internal_ttr_s;
    bool trashed;
};

void world_prepare(struct world *world, uint64_t seed, int64_t n_tickets, int64_t base_s);
uint64_t glpi_mix(uint64_t a, uint64_t b);
uint64_t world_hash(const struct world *world, uint64_t salt, int64_t number);
int64_t world_ticket_id(int64_t index);
int64_t world_ticket_index(int64_t id); /* of the first ticket whose id is not lower */
int64_t world_rank(const struct world *world, int64_t index);
int64_t world_index_at(const struct world *world, int64_t rank);
int64_t world_opened_s(const struct world *world, int64_t index);
int64_t world_changed_s(const struct world *world, int64_t rank);
bool world_is_trashed(int64_t rank);

void ticket_derive(const struct world *world, int64_t index, struct ticket_core *core);
int ticket_status(const struct world *world, int64_t index);

bool itemtype_is_computed(enum itemtype type);
/* Computed rows of a table at one ticket; `foreign` of them (0 or 1, the last) is not a ticket's.
 */
int64_t gen_count(const struct world *world, enum itemtype type, int64_t ticket);
int gen_foreign(enum itemtype type, int64_t ticket);
int64_t gen_stamp_s(const struct world *world, enum itemtype type, int64_t ticket, int64_t k);
struct cell gen_cell(const struct world *world,
                     enum itemtype type,
                     const struct ticket_core *core,
                     int64_t k,
                     int column,
                     char scratch[CELL_TEXT_MAX]);

/* gen_children.c and gen_log.c, for gen_cell */
struct cell ticket_cell(const struct ticket_core *core, int column, char scratch[CELL_TEXT_MAX]);
struct cell child_cell(const struct world *world,
                       enum itemtype type,
                       const struct ticket_core *core,
                       int64_t k,
                       int column,
                       char scratch[CELL_TEXT_MAX]);
struct cell log_cell(const struct world *world,
                     const struct ticket_core *core,
                     int64_t k,
                     int column,
                     char scratch[CELL_TEXT_MAX]);
int64_t log_count(const struct world *world, int64_t ticket);

struct actor {
    int user; /* 0: only known by e-mail */
    int type;
    char email[48];
};

int64_t gen_actor(const struct world *world,
                  const struct ticket_core *core,
                  int64_t k,
                  struct actor *ret_actor);

/* Names both the directory and its users' history use. */
struct str person_name(int user, char out[CELL_TEXT_MAX]); /* "Souza Ana" */
struct str person_realname(int user);
struct str person_firstname(int user);
struct str entity_name(int entity);

static inline struct cell cell_null(void)
{
    return (struct cell){.null = true, .text = {"", 0}};
}

static inline struct cell cell_int(int64_t number)
{
    return (struct cell){.number = number, .text = {"", 0}};
}

static inline struct cell cell_text(struct str text)
{
    return (struct cell){.text = text};
}

static inline struct cell cell_time(int64_t at_s)
{
    return at_s == 0 ? cell_null() : cell_int(at_s);
}
