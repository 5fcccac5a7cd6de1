#include "tests/sim/glpi/world.h"

#include <string.h>

#include "common/base/random.h"

#define YEARS_S  (INT64_C(2) * 365 * 86400)
#define MARGIN_S INT64_C(600) /* between the last change and the start of the clock */

/* A gap in the ids after so many tickets, as if one had been purged. */
enum { GAP_EVERY = 97 };

/* Changes of a block come after all that happened to its tickets: this many steps later. */
enum { TIE_ROWS = 64, LAG_STEPS = TIE_ROWS + 4 };

enum { TRASH_EVERY = 50, TRASH_PHASE = 17 };

uint64_t glpi_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a ^ (b * 0x9e3779b97f4a7c15 + 0x7f4a7c15);

    return random_next(&state);
}

uint64_t world_hash(const struct world *world, uint64_t salt, int64_t number)
{
    return glpi_mix(glpi_mix(world->seed, salt), (uint64_t)number);
}

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static struct permutation make_permutation(int64_t size)
{
    struct permutation p = {.size = size, .multiplier = size * 3 / 5 + 1, .inverse = 1};

    while (p.multiplier > 1 && greatest_divisor(p.multiplier, size) != 1) {
        p.multiplier--;
    }
    while (size > 1 && p.multiplier * p.inverse % size != 1) {
        p.inverse++;
    }
    p.shift = size / 3;
    return p;
}

void world_prepare(struct world *world, uint64_t seed, int64_t n_tickets, int64_t base_s)
{
    memset(world, 0, sizeof(*world));
    world->seed = seed;
    world->n_tickets = n_tickets;
    world->base_s = base_s;
    world->span_s = YEARS_S;
    world->first_s = base_s - YEARS_S - MARGIN_S;
    /* A multiple of TRASH_EVERY, so that all full blocks hold as many trashed tickets. */
    world->block = n_tickets >= 20000 ? 1000 : n_tickets >= 1000 ? 100 : 50;
    world->total = n_tickets + world->block + LAG_STEPS;
    world->whole = make_permutation(world->block);
    if (n_tickets % world->block > 0) {
        world->last = make_permutation(n_tickets % world->block);
    }
}

int64_t world_ticket_id(int64_t index)
{
    return index + 1 + index / GAP_EVERY;
}

int64_t world_ticket_index(int64_t id)
{
    if (id < 1) {
        return 0;
    }
    int64_t rest = (id - 1) % (GAP_EVERY + 1);

    return (id - 1) / (GAP_EVERY + 1) * GAP_EVERY + (rest < GAP_EVERY ? rest : GAP_EVERY);
}

static const struct permutation *permutation_of(const struct world *world, int64_t block)
{
    return (block + 1) * world->block <= world->n_tickets ? &world->whole : &world->last;
}

int64_t world_rank(const struct world *world, int64_t index)
{
    int64_t block = index / world->block;
    const struct permutation *p = permutation_of(world, block);

    return block * world->block + (index % world->block * p->multiplier + p->shift) % p->size;
}

int64_t world_index_at(const struct world *world, int64_t rank)
{
    int64_t block = rank / world->block;
    const struct permutation *p = permutation_of(world, block);

    return block * world->block +
           (rank % world->block + p->size - p->shift) % p->size * p->inverse % p->size;
}

static int64_t instant_of(const struct world *world, int64_t step)
{
    return world->first_s + step * world->span_s / world->total;
}

int64_t world_opened_s(const struct world *world, int64_t index)
{
    return instant_of(world, index);
}

int64_t world_changed_s(const struct world *world, int64_t rank)
{
    /* One in three clusters was changed in one go: its tickets share a second. */
    int64_t shown = rank / TIE_ROWS % 3 == 1 ? rank / TIE_ROWS * TIE_ROWS : rank;

    return instant_of(world, shown + world->block + LAG_STEPS - 1);
}

bool world_is_trashed(int64_t rank)
{
    return rank % TRASH_EVERY == TRASH_PHASE;
}

/* The k-th thing that happened to a ticket. Ever later with the ticket's index and with k. */
int64_t gen_stamp_s(const struct world *world, enum itemtype type, int64_t ticket, int64_t k)
{
    if (type == ITEM_Ticket) {
        return world_changed_s(world, world_rank(world, ticket));
    }
    return instant_of(world, ticket + 2) + k * (world->span_s / world->total / 128);
}
