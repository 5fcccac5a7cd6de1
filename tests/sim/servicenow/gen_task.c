#include <string.h>

#include "common/base/cleanup.h"
#include "tests/sim/servicenow/world.h"

#define DAY_S         INT64_C(86400)
#define SETTLED_AFTER (20 * DAY_S) /* nearly everything older is closed */
#define LIFE_MAX_S    (40 * DAY_S)
#define LIFE_MIN_S    INT64_C(900)

struct task_core {
    const char *class_name;
    const char *prefix;
    uint64_t h, h2;
    int64_t index;
    int64_t opened, created, updated, resolved, closed, reopened;
    int state, impact, urgency, priority, reassignments, reopens, mods;
    bool active, made_sla;
    int64_t group, technician, caller, company;
};

_Static_assert(sizeof(struct task_core) <= CORE_MAX, "a row's core must fit");

static const char *const symptoms[] = {
    "Cannot log on to ",  "Slow response of ",  "Error message in ",      "No connection to ",
    "Access needed for ", "Data missing in ",   "Unexpected restart of ", "Password expired for ",
    "Question about ",    "Update failed for ", "Sem acesso ao sistema ", "Lentidão em ",
};
static const char *const objects[] = {
    "the mail server",      "SAP \"FI\" module",        "the VPN gateway",   "laptop L-4410",
    "the print queue",      "SharePoint site /finance", "Wi-Fi on floor 3",  "the payroll batch",
    "Citrix desktop",       "the customer portal",      "badge reader",      "database ORA\\PRD1",
    "a folha de pagamento", "the telephone system",     "Exchange calendar", "backup job",
};
static const char *const causes[] = {
    "Configuration error after change",
    "Hardware failure",
    "User error",
    "Expired certificate",
    "Capacity reached",
    "Vendor outage",
    "Unknown",
};
static const char *const close_codes[] = {
    "Solved (Permanently)",          "Solved (Work Around)",          "Closed/Resolved by Caller",
    "Not Solved (Not Reproducible)", "Solved Remotely (Permanently)",
};
static const char *const categories[] = {"inquiry", "software", "hardware",
                                         "network", "database", "password_reset"};
static const char *const subcategories[] = {"email",  "os",  "cpu", "vpn",
                                            "oracle", "dns", "",    "disk"};
static const char *const contacts[] = {"phone", "email", "self-service", "walk-in", "chat"};

#define PICK(list, hash) ((list)[(hash) % ARRAY_SIZE(list)])

static int pick_state(const struct store *store, const struct task_core *t)
{
    uint64_t dice = (t->h >> 8) % 100;

    if (store->base_s - t->updated > SETTLED_AFTER) {
        return dice < 95 ? 7 : dice < 97 ? 8 : dice < 98 ? 3 : 2;
    }
    return dice < 15 ? 1 : dice < 45 ? 2 : dice < 55 ? 3 : dice < 75 ? 6 : dice < 98 ? 7 : 8;
}

static void derive_people(const struct store *store, struct task_core *t)
{
    (void)store;
    t->group = (int64_t)((t->h >> 16) % WORLD_GROUPS);
    /* Technicians sit in groups: 5 per group. */
    t->technician =
        t->state == 1 && t->h2 % 2 == 0
            ? -1
            : (t->group + WORLD_GROUPS * (int64_t)((t->h >> 24) % 5)) % WORLD_TECHNICIANS;
    t->caller = WORLD_TECHNICIANS + (int64_t)((t->h >> 32) % (WORLD_USERS - WORLD_TECHNICIANS));
    t->company = t->caller % WORLD_COMPANIES;
}

static void derive_times(const struct table *table, struct task_core *t)
{
    uint64_t part = (t->h2 >> 8) % 1000;
    int64_t life = LIFE_MIN_S + (LIFE_MAX_S - LIFE_MIN_S) / 1000000 * (int64_t)(part * part);

    t->updated = table_stamp_s(table, t->index);
    t->opened = t->updated - life;
    t->created = t->opened + (int64_t)(t->h2 % 60);
}

static void
derive_task(const struct store *store, const struct table *table, int64_t index, void *core)
{
    struct task_core *t = core;
    const struct world *world = store->world;

    memset(t, 0, sizeof(*t));
    t->class_name = table->name;
    t->prefix = table == world->incident         ? "INC"
                : table == world->incident_task  ? "TASK"
                : table == world->change_request ? "CHG"
                                                 : "PRB";
    t->index = index;
    t->h = store_mix(table->salt, (uint64_t)index);
    t->h2 = store_mix(t->h, 7);
    derive_times(table, t);
    t->state = pick_state(store, t);
    t->impact = 1 + (int)(t->h % 7 > 0) + (int)(t->h % 7 > 3);
    t->urgency = 1 + (int)(t->h2 % 5 > 0) + (int)(t->h2 % 5 > 2);
    t->priority = t->impact + t->urgency - 1;
    t->active = t->state != 7 && t->state != 8;
    t->made_sla = t->h % 8 != 0;
    t->reassignments = (int)(t->h2 >> 40) % 4;
    t->reopens = t->h2 % 29 == 0 ? 1 : 0;
    t->mods = 1 + t->reassignments + t->reopens + t->state;
    if (t->state == 6 || t->state == 7) {
        t->resolved = t->opened + (t->updated - t->opened) * (int64_t)(50 + t->h % 50) / 100;
    }
    t->closed = t->active ? 0 : t->updated;
    t->reopened = t->reopens > 0 ? t->opened + (t->updated - t->opened) / 3 : 0;
    derive_people(store, t);
}

static struct str put_description(const struct task_core *t, char *out)
{
    struct str text = put_words(out, PICK(symptoms, t->h >> 3), PICK(objects, t->h2 >> 3),
                                ". Reported by the user on first contact; the service has been "
                                "checked from the desk.\r\nImpact on the team: \"");

    text.len += put_words(out + text.len, PICK(objects, t->h), "\" is not usable. ",
                          "Please call back before 18:00.")
                    .len;
    return text;
}

static struct str put_user(const struct world *world, int64_t index, char *out)
{
    return index < 0 ? put_empty() : put_ref(world->sys_user, index, out);
}

static struct str task_text(const struct task_core *t, int field, char *out)
{
    switch (field) {
    case FIELD_number:
    case FIELD_task_effective_number:
        return put_padded(t->prefix, t->index + 10001, 7, out);
    case FIELD_short_description:
        return put_words(out, PICK(symptoms, t->h >> 3), PICK(objects, t->h2 >> 3), "");
    case FIELD_description:
        return put_description(t, out);
    case FIELD_category:
        return str_from(PICK(categories, t->h >> 11));
    case FIELD_subcategory:
        return str_from(PICK(subcategories, t->h2 >> 11));
    case FIELD_contact_type:
        return str_from(PICK(contacts, t->h2 >> 13));
    case FIELD_close_code:
        return t->resolved != 0 ? str_from(PICK(close_codes, t->h >> 5)) : put_empty();
    case FIELD_close_notes:
        return t->resolved != 0 ? put_words(out, PICK(causes, t->h2), "; ", "confirmed by caller")
                                : put_empty();
    case FIELD_cause:
        return t->resolved != 0 ? str_from(PICK(causes, t->h2)) : put_empty();
    case FIELD_sys_class_name:
        return str_from(t->class_name);
    case FIELD_sys_created_by:
        return put_padded("user.", t->caller, 4, out);
    case FIELD_sys_updated_by:
        return t->h2 % 3 == 0 ? STR_LITERAL("system")
                              : put_padded("user.", t->technician < 0 ? 0 : t->technician, 4, out);
    case FIELD_approval:
        return STR_LITERAL("not requested");
    case FIELD_upon_approval:
        return STR_LITERAL("proceed");
    case FIELD_upon_reject:
        return STR_LITERAL("cancel");
    case FIELD_sys_domain:
        return STR_LITERAL("global");
    case FIELD_sys_domain_path:
        return STR_LITERAL("/");
    case FIELD_comments:
        return t->h % 4 == 0 ? STR_LITERAL("Caller informed.") : put_empty();
    case FIELD_work_notes:
        return t->h % 3 == 0 ? STR_LITERAL("Checked event log.\nNo finding.") : put_empty();
    default:
        return put_empty();
    }
}

static struct str task_number(const struct task_core *t, int field, char *out)
{
    switch (field) {
    case FIELD_state:
    case FIELD_incident_state:
        return put_int(t->state, out);
    case FIELD_impact:
    case FIELD_severity:
        return put_int(t->impact, out);
    case FIELD_urgency:
        return put_int(t->urgency, out);
    case FIELD_priority:
        return put_int(t->priority, out);
    case FIELD_escalation:
        return put_int(t->h % 31 == 0 ? 1 : 0, out);
    case FIELD_sys_mod_count:
        return put_int(t->mods, out);
    case FIELD_reassignment_count:
        return put_int(t->reassignments, out);
    case FIELD_reopen_count:
        return put_int(t->reopens, out);
    case FIELD_child_incidents:
        return put_int(0, out);
    case FIELD_notify:
        return put_int(1, out);
    case FIELD_hold_reason:
        return t->state == 3 ? put_int(1 + (int64_t)(t->h % 4), out) : put_empty();
    case FIELD_business_stc:
        return t->resolved != 0 ? put_int((t->resolved - t->opened) / 3, out) : put_empty();
    case FIELD_calendar_stc:
        return t->resolved != 0 ? put_int(t->resolved - t->opened, out) : put_empty();
    case FIELD_active:
        return put_bool(t->active);
    case FIELD_made_sla:
        return put_bool(t->made_sla);
    case FIELD_knowledge:
    case FIELD_u_priority_confirmation:
        return put_bool(t->h % 50 == 0);
    default:
        return task_text(t, field, out);
    }
}

static struct str task_time(const struct task_core *t, int field, char *out)
{
    switch (field) {
    case FIELD_sys_created_on:
        return put_time(t->created, out);
    case FIELD_sys_updated_on:
        return put_time(t->updated, out);
    case FIELD_opened_at:
        return put_time(t->opened, out);
    case FIELD_resolved_at:
        return put_time(t->resolved, out);
    case FIELD_closed_at:
        return put_time(t->closed, out);
    case FIELD_reopened_time:
        return put_time(t->reopened, out);
    case FIELD_due_date:
    case FIELD_sla_due:
        return put_time(t->opened + t->priority * 8 * 3600, out);
    case FIELD_work_start:
        return put_time(t->state > 1 ? t->created + 300 : 0, out);
    case FIELD_work_end:
        return put_time(t->resolved, out);
    case FIELD_business_duration:
        return t->closed != 0 ? put_duration((t->closed - t->opened) / 3, out) : put_empty();
    case FIELD_calendar_duration:
        return t->closed != 0 ? put_duration(t->closed - t->opened, out) : put_empty();
    case FIELD_time_worked:
        return t->h % 3 == 0 ? put_duration((int64_t)(t->h2 % 7200), out) : put_empty();
    default:
        return task_number(t, field, out);
    }
}

static struct str task_cell(
    const struct store *store, const struct table *table, const void *core, int field, char *out)
{
    const struct task_core *t = core;
    const struct world *world = store->world;

    (void)table;
    switch (field) {
    case FIELD_assigned_to:
        return put_user(world, t->technician, out);
    case FIELD_opened_by:
        return put_user(world, t->h % 3 == 0 ? t->caller : t->technician, out);
    case FIELD_caller_id:
        return put_user(world, t->caller, out);
    case FIELD_resolved_by:
        return put_user(world, t->resolved != 0 ? t->technician : -1, out);
    case FIELD_closed_by:
        return put_user(world, t->closed != 0 ? t->technician : -1, out);
    case FIELD_reopened_by:
        return put_user(world, t->reopened != 0 ? t->caller : -1, out);
    case FIELD_assignment_group:
        return put_ref(world->sys_user_group, t->group, out);
    case FIELD_company:
        return put_ref(world->core_company, t->company, out);
    case FIELD_location:
        return put_ref(world->cmn_location, t->caller, out);
    case FIELD_incident:
    case FIELD_parent:
        /* Four incidents share one incident_task on average. */
        return t->prefix[0] == 'T'
                   ? put_ref(world->incident, t->index * 4 + (int64_t)(t->h % 4), out)
                   : put_empty();
    case FIELD_problem_id:
        return t->h % 41 == 0 ? put_ref(world->problem, (int64_t)(t->h2 % 1024), out) : put_empty();
    case FIELD_rfc:
    case FIELD_caused_by:
        return t->h % 67 == 0 ? put_ref(world->change_request, (int64_t)(t->h2 % 1024), out)
                              : put_empty();
    case FIELD_watch_list:
        return t->h2 % 10 == 0 ? put_user(world, (int64_t)(t->h2 % WORLD_USERS), out) : put_empty();
    default:
        return task_time(t, field, out);
    }
}

const struct generator generate_task = {derive_task, task_cell};
