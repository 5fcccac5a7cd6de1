#include <string.h>

#include "common/base/cleanup.h"
#include "tests/sim/servicenow/world.h"

/* People, groups, companies, places, network links and SLA definitions. */

struct entry_core {
    uint64_t h;
    int64_t index, created, updated;
};

static const char *const first_names[] = {
    "Ana",   "João", "Maria", "José", "Beatriz", "Luís",   "Inês",  "Tiago",  "Sofia", "Pedro",
    "Grace", "Alan", "Linus", "Ada",  "Barbara", "Edsger", "Käthe", "Jürgen", "Zoë",   "Łukasz",
};
static const char *const last_names[] = {
    "Silva",  "Santos",   "Ferreira", "Conceição", "Araújo",   "Gonçalves", "Souza",
    "Müller", "O'Connor", "Smith",    "Garcia",    "Nowak",    "Jensen",    "Dubois",
    "Rossi",  "Okafor",   "Hopper",   "Tanaka",    "Kowalska", "Lindqvist",
};
static const char *const group_names[] = {
    "Service Desk", "Network",        "Database", "Hardware",
    "Software",     "Field Services", "Security", "SAP Support",
};
static const char *const regions[] = {"Lisboa", "São Paulo", "Recife", "Porto", "Curitiba"};
static const char *const company_names[] = {
    "Acme", "Boxeo", "Águas do Norte", "Ceres & Filhos", "Delta \"D\"", "Estrela",
};
static const char *const suffixes[] = {" Lda.", " S.A.", " Ltda", " GmbH", " Inc."};

#define PICK(list, pick) ((list)[(uint64_t)(pick) % ARRAY_SIZE(list)])

struct str world_first_name(uint64_t pick)
{
    return str_from(PICK(first_names, pick));
}

struct str world_last_name(uint64_t pick)
{
    return str_from(PICK(last_names, pick));
}

static void
derive_entry(const struct store *store, const struct table *table, int64_t index, void *core)
{
    struct entry_core *e = core;

    (void)store;
    e->index = index;
    e->h = store_mix(table->salt, (uint64_t)index);
    e->updated = table_stamp_s(table, index);
    e->created = e->updated - (int64_t)(e->h % table->lag_max_s);
}

static struct str common_cell(const struct entry_core *e, int field, char *out)
{
    switch (field) {
    case FIELD_sys_created_on:
        return put_time(e->created, out);
    case FIELD_sys_updated_on:
        return put_time(e->updated, out);
    case FIELD_sys_created_by:
    case FIELD_sys_updated_by:
        return STR_LITERAL("admin");
    case FIELD_sys_mod_count:
        return put_int((int64_t)(e->h % 40), out);
    case FIELD_active:
        return put_bool(e->h % 23 != 0);
    default:
        return put_empty();
    }
}

static struct str put_email(const struct entry_core *e, char *out)
{
    struct str user = put_padded("user.", e->index, 4, out);
    static const char domain[] = "@example.com";

    memcpy(out + user.len, domain, sizeof(domain) - 1);
    return (struct str){out, user.len + sizeof(domain) - 1};
}

static struct str person_cell(
    const struct store *store, const struct table *table, const void *core, int field, char *out)
{
    const struct entry_core *e = core;
    const struct world *world = store->world;
    const char *first = PICK(first_names, e->index);
    const char *last = PICK(last_names, e->index / 20 + (int64_t)(e->h % 3));

    switch (field) {
    case FIELD_user_name:
        return e->index == 0 ? STR_LITERAL("foz") : put_padded("user.", e->index, 4, out);
    case FIELD_name:
        return put_words(out, first, " ", last);
    case FIELD_first_name:
        return str_from(first);
    case FIELD_last_name:
        return str_from(last);
    case FIELD_email:
        return e->h % 37 == 0 ? put_empty() : put_email(e, out);
    case FIELD_employee_number:
        return put_int(100000 + e->index, out);
    case FIELD_title:
        return e->index < WORLD_TECHNICIANS ? STR_LITERAL("Technician") : put_empty();
    case FIELD_company:
        return put_ref(world->core_company, e->index, out);
    case FIELD_location:
        return put_ref(world->cmn_location, e->index, out);
    case FIELD_manager:
        return put_ref(table, e->index / 12, out);
    case FIELD_time_zone:
        return e->index == 0 ? STR_LITERAL("GMT") : put_empty();
    case FIELD_locked_out:
    case FIELD_password_needs_reset:
    case FIELD_web_service_access_only:
        return put_bool(false);
    case FIELD_vip:
        return put_bool(e->h % 60 == 0);
    case FIELD_country:
        return STR_LITERAL("PT");
    case FIELD_city:
        return str_from(PICK(regions, e->index));
    case FIELD_failed_attempts:
        return put_int((int64_t)(e->h % 3), out);
    case FIELD_notification:
        return put_int(2, out);
    case FIELD_sys_class_name:
        return STR_LITERAL("sys_user");
    case FIELD_sys_domain:
        return STR_LITERAL("global");
    case FIELD_sys_domain_path:
        return STR_LITERAL("/");
    default:
        return common_cell(e, field, out);
    }
}

static struct str
group_cell(const struct world *world, const struct entry_core *e, int field, char *out)
{
    switch (field) {
    case FIELD_name:
        return put_words(out, PICK(group_names, e->index), " ", PICK(regions, e->index / 8));
    case FIELD_description:
        return STR_LITERAL("Resolver group");
    case FIELD_email:
        return put_padded("group.", e->index, 3, out);
    case FIELD_manager:
        return put_ref(world->sys_user, e->index, out);
    case FIELD_include_members:
    case FIELD_exclude_manager:
        return put_bool(false);
    default:
        return common_cell(e, field, out);
    }
}

static struct str
company_cell(const struct world *world, const struct entry_core *e, int field, char *out)
{
    switch (field) {
    case FIELD_name:
        return put_words(out, PICK(company_names, e->index),
                         PICK(suffixes, e->index / (int64_t)ARRAY_SIZE(company_names)),
                         e->index >= 30 ? " II" : "");
    case FIELD_city:
        return str_from(PICK(regions, e->h));
    case FIELD_country:
        return e->h % 2 == 0 ? STR_LITERAL("Brasil") : STR_LITERAL("Portugal");
    case FIELD_customer:
        return put_bool(e->index % 3 != 0);
    case FIELD_vendor:
        return put_bool(e->index % 3 == 0);
    case FIELD_manufacturer:
    case FIELD_primary:
    case FIELD_publicly_traded:
        return put_bool(e->index == 0);
    case FIELD_phone:
    case FIELD_fax_phone:
        return put_padded("+351 21 ", (int64_t)(e->h % 10000000), 7, out);
    case FIELD_num_employees:
        return put_int((int64_t)(e->h % 5000), out);
    case FIELD_contact:
        return put_ref(world->sys_user, e->index + WORLD_TECHNICIANS, out);
    case FIELD_latitude:
        return STR_LITERAL("38.7167000");
    case FIELD_longitude:
        return STR_LITERAL("-9.1333000");
    case FIELD_sys_class_name:
        return STR_LITERAL("core_company");
    default:
        return common_cell(e, field, out);
    }
}

static struct str
link_cell(const struct world *world, const struct entry_core *e, int field, char *out)
{
    switch (field) {
    case FIELD_name:
    case FIELD_u_link_name:
        return put_padded("LINK-", e->index, 4, out);
    case FIELD_company:
    case FIELD_vendor:
        return put_ref(world->core_company, e->index, out);
    case FIELD_location:
        return put_ref(world->cmn_location, e->index, out);
    case FIELD_support_group:
    case FIELD_assignment_group:
        return put_ref(world->sys_user_group, 1, out);
    case FIELD_install_status:
        return put_int(e->h % 9 == 0 ? 7 : 1, out);
    case FIELD_operational_status:
        return put_int(e->h % 9 == 0 ? 2 : 1, out);
    case FIELD_install_date:
    case FIELD_first_discovered:
        return put_time(e->created, out);
    case FIELD_purchase_date:
        return put_date(e->created, out);
    case FIELD_cost:
        return put_padded("", (int64_t)(e->h % 90000), 1, out);
    case FIELD_fault_count:
        return put_int((int64_t)(e->h % 5), out);
    case FIELD_monitor:
    case FIELD_can_print:
    case FIELD_unverified:
    case FIELD_skip_sync:
        return put_bool(false);
    case FIELD_u_bandwidth:
        return put_padded("", 100 << e->h % 5, 1, out);
    case FIELD_sys_class_name:
        return STR_LITERAL("cmdb_ci_network_link");
    default:
        return common_cell(e, field, out);
    }
}

static struct str sla_definition_cell(const struct entry_core *e, int field, char *out)
{
    static const char *const priorities[] = {"Priority 1", "Priority 2", "Priority 3",
                                             "Priority 4"};

    switch (field) {
    case FIELD_name:
        return put_words(out, PICK(priorities, e->index / 2),
                         e->index % 2 == 0 ? " resolution" : " response",
                         e->index >= 16  ? " (24x7)"
                         : e->index >= 8 ? " (premium)"
                                         : "");
    case FIELD_sys_name:
        return put_padded("SLA ", e->index, 2, out);
    case FIELD_type:
        return STR_LITERAL("SLA");
    case FIELD_target:
        return e->index % 2 == 0 ? STR_LITERAL("resolution") : STR_LITERAL("response");
    case FIELD_collection:
        return STR_LITERAL("incident");
    case FIELD_duration:
        return put_duration((4 << e->index % 5) * INT64_C(3600), out);
    case FIELD_start_condition:
        return STR_LITERAL("active=true^EQ");
    case FIELD_stop_condition:
        return STR_LITERAL("state=6^ORstate=7^EQ");
    case FIELD_timezone:
        return STR_LITERAL("GMT");
    case FIELD_retroactive:
    case FIELD_retroactive_pause:
    case FIELD_enable_logging:
        return put_bool(false);
    case FIELD_sys_class_name:
        return STR_LITERAL("contract_sla");
    default:
        return common_cell(e, field, out);
    }
}

static struct str location_cell(const struct entry_core *e, int field, char *out)
{
    switch (field) {
    case FIELD_name:
        return put_padded("Office ", e->index, 2, out);
    case FIELD_city:
        return str_from(PICK(regions, e->index));
    case FIELD_country:
        return STR_LITERAL("Portugal");
    default:
        return common_cell(e, field, out);
    }
}

static struct str directory_cell(
    const struct store *store, const struct table *table, const void *core, int field, char *out)
{
    const struct entry_core *e = core;
    const struct world *world = store->world;

    if (table == world->sys_user_group) {
        return group_cell(world, e, field, out);
    }
    if (table == world->core_company) {
        return company_cell(world, e, field, out);
    }
    if (table == world->contract_sla) {
        return sla_definition_cell(e, field, out);
    }
    if (table == world->cmn_location) {
        return location_cell(e, field, out);
    }
    return link_cell(world, e, field, out);
}

const struct generator generate_person = {derive_entry, person_cell};
const struct generator generate_directory = {derive_entry, directory_cell};
