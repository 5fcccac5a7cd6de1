#include <string.h>

#include "tests/sim/servicenow/world.h"

/* What hangs on tasks: their SLAs and the time booked on them. */

struct work_core {
    uint64_t h, h2;
    int64_t index, created, updated, start, end, planned;
    const struct table *parent; /* the task's table */
    int64_t parent_index;
    int stage; /* index into stages */
    bool breached;
    int64_t seconds;
};

_Static_assert(sizeof(struct work_core) <= CORE_MAX, "a row's core must fit");

static const char *const stages[] = {"in_progress", "paused", "completed", "cancelled"};

static void derive_common(const struct table *table, int64_t index, struct work_core *w)
{
    memset(w, 0, sizeof(*w));
    w->index = index;
    w->h = store_mix(table->salt, (uint64_t)index);
    w->h2 = store_mix(w->h, 11);
    w->updated = table_stamp_s(table, index);
}

/* Two SLA rows per incident, one in eight of them on a change instead. */
static void
derive_sla(const struct store *store, const struct table *table, int64_t index, void *core)
{
    struct work_core *w = core;
    const struct world *world = store->world;

    derive_common(table, index, w);
    w->parent = index % 8 == 7 ? world->change_request : world->incident;
    w->parent_index = index % 8 == 7 ? index / 8 : index / 2;
    w->seconds = 600 + (int64_t)(w->h % 400000);
    w->start = w->updated - w->seconds;
    w->created = w->start + 1;
    w->stage = store->base_s - w->updated > 20 * INT64_C(86400) ? 2 + (int)(w->h2 % 20 == 0)
                                                                : (int)(w->h2 % 4);
    w->end = w->stage >= 2 ? w->updated : 0;
    w->planned = w->start + (4 << (w->h2 >> 8) % 5) * INT64_C(3600);
    w->breached = w->updated > w->planned;
}

static struct str put_percentage(const struct work_core *w, char *out)
{
    int64_t hundredths = w->seconds * 10000 / (w->planned - w->start);
    struct str whole = put_int(hundredths / 100, out);

    out[whole.len] = '.';
    out[whole.len + 1] = (char)('0' + hundredths / 10 % 10);
    out[whole.len + 2] = (char)('0' + hundredths % 10);
    return (struct str){out, whole.len + 3};
}

static struct str sla_detail(const struct work_core *w, int field, char *out)
{
    switch (field) {
    case FIELD_sys_created_on:
        return put_time(w->created, out);
    case FIELD_sys_updated_on:
        return put_time(w->updated, out);
    case FIELD_start_time:
        return put_time(w->start, out);
    case FIELD_end_time:
        return put_time(w->end, out);
    case FIELD_planned_end_time:
    case FIELD_original_breach_time:
        return put_time(w->planned, out);
    case FIELD_pause_time:
        return put_time(w->stage == 1 ? w->updated : 0, out);
    case FIELD_duration:
        return put_duration(w->seconds, out);
    case FIELD_business_duration:
        return put_duration(w->seconds / 3, out);
    case FIELD_pause_duration:
        return w->h % 9 == 0 ? put_duration((int64_t)(w->h2 % 90000), out) : put_empty();
    case FIELD_time_left:
        return put_duration(w->breached ? 0 : w->planned - w->updated, out);
    case FIELD_percentage:
    case FIELD_business_percentage:
        return put_percentage(w, out);
    case FIELD_timezone:
        return STR_LITERAL("GMT");
    case FIELD_sys_mod_count:
        return put_int(1 + (int64_t)(w->h % 30), out);
    case FIELD_sys_created_by:
    case FIELD_sys_updated_by:
        return STR_LITERAL("system");
    default:
        return put_empty();
    }
}

static struct str sla_cell(
    const struct store *store, const struct table *table, const void *core, int field, char *out)
{
    const struct work_core *w = core;
    const struct world *world = store->world;

    (void)table;
    switch (field) {
    case FIELD_task:
        return put_ref(w->parent, w->parent_index, out);
    case FIELD_sla:
        return put_ref(world->contract_sla, (int64_t)((w->h2 >> 16) % WORLD_SLAS), out);
    case FIELD_stage:
        return str_from(stages[w->stage]);
    case FIELD_active:
        return put_bool(w->stage < 2);
    case FIELD_has_breached:
        return put_bool(w->breached);
    default:
        return sla_detail(w, field, out);
    }
}

static void
derive_time(const struct store *store, const struct table *table, int64_t index, void *core)
{
    struct work_core *w = core;
    const struct world *world = store->world;

    derive_common(table, index, w);
    w->parent = index % 5 == 4 ? world->incident_task : world->incident;
    w->parent_index = index % 5 == 4 ? index / 2 : index * 2 + (int64_t)(w->h % 2);
    w->created = w->updated - (int64_t)(w->h2 % 3 == 0 ? w->h2 % 86400 : 0);
    /* One booking in 500 is longer than a day. */
    w->seconds = 60 + (int64_t)(w->h % 14400) + (w->h2 % 500 == 0 ? 90000 : 0);
}

static struct str time_cell(
    const struct store *store, const struct table *table, const void *core, int field, char *out)
{
    const struct work_core *w = core;
    const struct world *world = store->world;

    (void)table;
    switch (field) {
    case FIELD_task:
        return put_ref(w->parent, w->parent_index, out);
    case FIELD_user:
        return put_ref(world->sys_user, (int64_t)(w->h2 % WORLD_TECHNICIANS), out);
    case FIELD_work_date:
        return put_date(w->created, out);
    case FIELD_time_worked:
        return put_duration(w->seconds, out);
    case FIELD_time_in_seconds:
        return put_int(w->seconds, out);
    case FIELD_comments:
        return w->h % 2 == 0 ? STR_LITERAL("Análise e correção") : put_empty();
    case FIELD_category:
        return STR_LITERAL("task_work");
    case FIELD_sys_created_on:
        return put_time(w->created, out);
    case FIELD_sys_updated_on:
        return put_time(w->updated, out);
    case FIELD_sys_mod_count:
        return put_int(w->created == w->updated ? 0 : 1, out);
    case FIELD_sys_created_by:
    case FIELD_sys_updated_by:
        return put_padded("user.", (int64_t)(w->h2 % WORLD_TECHNICIANS), 4, out);
    default:
        return put_empty();
    }
}

const struct generator generate_sla = {derive_sla, sla_cell};
const struct generator generate_time = {derive_time, time_cell};
