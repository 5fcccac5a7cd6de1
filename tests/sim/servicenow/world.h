#pragma once

#include "tests/sim/servicenow/shapes.h"
#include "tests/sim/store.h"

/*
 * The generated service desk: every cell of every base row is a function of (seed, table, index)
 * and the base instant. This header is what the generators share.
 */

enum {
    WORLD_USERS = 2000,
    WORLD_TECHNICIANS = 200, /* the first users */
    WORLD_GROUPS = 40,
    WORLD_COMPANIES = 60,
    WORLD_LOCATIONS = 48,
    WORLD_LINKS = 120,
    WORLD_SLAS = 24,
};

/* Tables that others refer to, by position in store->tables. */
struct world {
    const struct table *incident, *incident_task, *change_request, *problem, *sys_user;
    const struct table *sys_user_group, *core_company, *cmn_location, *contract_sla;
};

extern const struct generator generate_task; /* incident, incident_task, change_request, problem */
extern const struct generator generate_sla;  /* task_sla */
extern const struct generator generate_time; /* task_time_worked */
extern const struct generator generate_person;    /* sys_user */
extern const struct generator generate_directory; /* groups, companies, locations, links, SLAs */

/* Builds all tables. With `empty` no base rows: the tables are filled by a replay. */
void world_build(struct store *store, struct world *world, bool empty);

/* Texts both generators and replays use. */
struct str world_first_name(uint64_t pick);
struct str world_last_name(uint64_t pick);

/* What a cell is made of. Each puts its text into `out` and returns it. */
struct str put_int(int64_t value, char *out);
struct str put_time(int64_t at_s, char *out); /* "YYYY-MM-DD HH:MM:SS"; 0 gives "" */
struct str put_date(int64_t at_s, char *out);
struct str put_duration(int64_t seconds, char *out); /* offset from 1970-01-01 */
struct str put_ref(const struct table *table, int64_t index, char *out);
struct str put_words(char *out, const char *first, const char *second, const char *third);
struct str put_padded(const char *prefix, int64_t number, int digits, char *out);

static inline struct str put_bool(bool value)
{
    return value ? STR_LITERAL("true") : STR_LITERAL("false");
}

static inline struct str put_empty(void)
{
    return (struct str){"", 0};
}
