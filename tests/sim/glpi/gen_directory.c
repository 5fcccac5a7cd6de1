#include <stdio.h>
#include <string.h>

#include "tests/sim/glpi/directory.h"

static void set_c(struct draft *draft, int column, const char *text)
{
    draft_set_text(draft, column, str_from(text));
}

static void set_if(struct draft *draft, const struct shape *shape, const char *name, int64_t number)
{
    int column = column_of(shape, str_from(name));

    if (column >= 0) {
        draft_set_number(draft, column, number);
    }
}

void directory_begin(struct draft *draft, struct item_table *table, int64_t id)
{
    const struct shape *shape = table->shape;
    int64_t at_s = table->world->first_s;

    for (int i = 0; i < shape->n_columns; i++) {
        if (shape->columns[i].type == TYPE_INT) {
            draft_set_number(draft, i, 0);
        } else {
            draft_set_null(draft, i);
        }
    }
    draft_set_number(draft, 0, id);
    set_if(draft, shape, "date_mod", at_s + id * 60);
    set_if(draft, shape, "date_creation", at_s);
    set_if(draft, shape, "is_recursive", 1);
    set_if(draft, shape, "is_active", 1);
    set_if(draft, shape, "level", 1);
}

static int parent_column(enum itemtype type)
{
    switch (type) {
    case ITEM_Entity:
        return Entity_entities_id;
    case ITEM_Group:
        return Group_groups_id;
    case ITEM_Location:
        return Location_locations_id;
    case ITEM_TaskCategory:
        return TaskCategory_taskcategories_id;
    default:
        return ITILCategory_itilcategories_id;
    }
}

void directory_tree(
    struct items *items, enum itemtype type, int64_t id, int64_t parent, struct str name)
{
    struct item_table *table = &items->tables[type];
    const struct shape *shape = table->shape;
    int complete = column_of(shape, STR_LITERAL("completename"));
    int level = column_of(shape, STR_LITERAL("level"));
    char scratch[CELL_TEXT_MAX];
    char full[CELL_TEXT_MAX];
    struct item above;
    struct draft draft;

    draft_init(&draft);
    directory_begin(&draft, table, id);
    draft_set_number(&draft, parent_column(type), parent);
    draft_set_text(&draft, column_of(shape, STR_LITERAL("name")), name);
    snprintf(full, sizeof(full), "%.*s", STR_ARG(name));
    if (id != parent && items_find(table, parent, &above)) {
        struct str path = item_cell(&above, complete, scratch).text;

        snprintf(full, sizeof(full), "%.*s > %.*s", STR_ARG(path), STR_ARG(name));
        draft_set_number(&draft, level, item_number(&above, level) + 1);
    }
    set_c(&draft, complete, full);
    set_c(&draft, column_of(shape, STR_LITERAL("ancestors_cache")), parent == 0 ? "[]" : "{}");
    for (int i = 0; i < shape->n_columns; i++) {
        if (strncmp(shape->columns[i].name, "is_", 3) == 0) {
            draft_set_number(&draft, i, 1);
        }
    }
    if (type == ITEM_Entity && id == 0) {
        draft_set_null(&draft, Entity_entities_id);
        draft_set_null(&draft, Entity_date_mod);
        draft_set_null(&draft, Entity_date_creation);
    }
    if (type == ITEM_Entity) {
        draft_set_number(&draft, Entity_calendars_strategy, id == 0 ? 0 : -2);
        draft_set_number(&draft, Entity_autoclose_delay, id == 0 ? -10 : -2);
        draft_set_number(&draft, Entity_autopurge_delay, id == 0 ? -10 : -2);
        draft_set_number(&draft, Entity_inquest_config, id == 0 ? 1 : -2);
    }
    (void)items_put(items, table, &draft);
    draft_release(&draft);
}

void directory_user(
    struct items *items, int64_t id, struct str login, struct str realname, struct str firstname)
{
    struct item_table *table = &items->tables[ITEM_User];
    struct draft draft;

    draft_init(&draft);
    directory_begin(&draft, table, id);
    draft_set_text(&draft, User_name, login);
    draft_set_text(&draft, User_realname, realname);
    draft_set_text(&draft, User_firstname, firstname);
    draft_set_number(&draft, User_list_limit, 20);
    draft_set_number(&draft, User_authtype, 1);
    set_c(&draft, User_phone, "");
    if (id > SYNC_USER) {
        set_c(&draft, User_language, "pt_BR");
        draft_set_number(&draft, User_locations_id, id % 9 == 0 ? 0 : id % N_LOCATIONS + 1);
        draft_set_number(&draft, User_is_deleted, id % 60 == 13 ? 1 : 0);
        draft_set_number(&draft, User_is_active, id % 37 == 5 ? 0 : 1);
        draft_set_number(&draft, User_last_login, table->world->base_s - id * 977);
        if (id % 4 == 0) {
            draft_set_null(&draft, User_entities_id);
        }
    } else {
        draft_set_null(&draft, User_date_creation);
    }
    (void)items_put(items, table, &draft);
    draft_release(&draft);
}

static void fill_users(struct items *items)
{
    struct item_table *emails = &items->tables[ITEM_UserEmail];
    struct item_table *members = &items->tables[ITEM_Group_User];
    struct item_table *profiles = &items->tables[ITEM_Profile_User];
    struct draft draft;
    char text[CELL_TEXT_MAX];

    for (int64_t id = FIRST_TECHNICIAN; id < FIRST_REQUESTER + N_REQUESTERS; id++) {
        bool technician = id < FIRST_REQUESTER;

        int length = snprintf(text, sizeof(text), "user.%04lld", (long long)id);
        directory_user(items, id, (struct str){text, (size_t)length}, person_realname((int)id),
                       person_firstname((int)id));
        draft_init(&draft);
        for (int n = 0; n < (id % 50 == 3 ? 2 : id % 40 == 1 ? 0 : 1); n++) {
            directory_begin(&draft, emails, 0);
            draft_set_number(&draft, UserEmail_users_id, id);
            draft_set_number(&draft, UserEmail_is_default, n == 0);
            snprintf(text, sizeof(text), "user.%04lld%s@example.test", (long long)id,
                     n == 0 ? "" : ".alt");
            set_c(&draft, UserEmail_email, text);
            (void)items_put(items, emails, &draft);
        }
        if (technician) {
            directory_begin(&draft, members, 0);
            draft_set_number(&draft, Group_User_users_id, id);
            draft_set_number(&draft, Group_User_groups_id, id % N_GROUPS + 1);
            (void)items_put(items, members, &draft);
        }
        directory_begin(&draft, profiles, 0);
        draft_set_number(&draft, Profile_User_users_id, id);
        draft_set_number(&draft, Profile_User_profiles_id, technician ? 6 : 1);
        (void)items_put(items, profiles, &draft);
        draft_release(&draft);
    }
}

static void fill_trees(struct items *items)
{
    char text[CELL_TEXT_MAX];
    static const char *const categories[] = {"Rede",         "WiFi & VPN", "E-mail",
                                             "ERP <fiscal>", "Hardware",   "Acesso"};

    for (int id = 1; id < N_ENTITIES; id++) {
        snprintf(text, sizeof(text), "%.*s %d", STR_ARG(entity_name(id)), id);
        directory_tree(items, ITEM_Entity, id, id <= 4 ? 0 : (id - 1) / 4, str_from(text));
    }
    for (int id = 1; id <= N_GROUPS; id++) {
        snprintf(text, sizeof(text), "Service Desk N%d & apoio", id);
        directory_tree(items, ITEM_Group, id, id <= 5 ? 0 : id / 5, str_from(text));
    }
    for (int id = 1; id <= N_CATEGORIES; id++) {
        snprintf(text, sizeof(text), "%s %d", categories[(size_t)id % ARRAY_SIZE(categories)], id);
        directory_tree(items, ITEM_ITILCategory, id, id <= 6 ? 0 : id / 6, str_from(text));
    }
    for (int id = 1; id <= N_LOCATIONS; id++) {
        snprintf(text, sizeof(text), id <= 8 ? "Prédio %d" : "Sala %d", id);
        directory_tree(items, ITEM_Location, id, id <= 8 ? 0 : id % 8 + 1, str_from(text));
    }
}

static void fill_agreements(struct items *items)
{
    static const int hours[] = {4, 8, 24, 72};
    static const int minutes[] = {30, 60, 120, 240};
    struct draft draft;
    char text[64];

    draft_init(&draft);
    directory_begin(&draft, &items->tables[ITEM_SLM], 1);
    set_c(&draft, SLM_name, "Contrato padrão");
    (void)items_put(items, &items->tables[ITEM_SLM], &draft);
    for (int id = 1; id <= N_AGREEMENTS; id++) {
        bool resolve = id % 2 == 1;

        directory_begin(&draft, &items->tables[ITEM_SLA], id);
        snprintf(text, sizeof(text), resolve ? "TTR %dh" : "TTO %dmin",
                 resolve ? hours[id / 2] : minutes[id / 2 - 1]);
        set_c(&draft, SLA_name, text);
        draft_set_number(&draft, SLA_type, resolve ? 0 : 1);
        draft_set_number(&draft, SLA_number_time, resolve ? hours[id / 2] : minutes[id / 2 - 1]);
        set_c(&draft, SLA_definition_time, resolve ? "hour" : "minute");
        draft_set_number(&draft, SLA_slms_id, 1);
        (void)items_put(items, &items->tables[ITEM_SLA], &draft);
    }
    directory_begin(&draft, &items->tables[ITEM_OLA], 1);
    set_c(&draft, OLA_name, "OLA TTR 4h");
    draft_set_number(&draft, OLA_number_time, 4);
    set_c(&draft, OLA_definition_time, "hour");
    draft_set_number(&draft, OLA_slms_id, 1);
    (void)items_put(items, &items->tables[ITEM_OLA], &draft);
    draft_release(&draft);
}

/* A table of names that every installation starts with. */
static void
fill_names(struct items *items, enum itemtype type, const char *const *names, int64_t first)
{
    struct item_table *table = &items->tables[type];
    struct draft draft;

    draft_init(&draft);
    for (int64_t i = 0; names[i] != NULL; i++) {
        directory_begin(&draft, table, first + i);
        set_c(&draft, column_of(table->shape, STR_LITERAL("name")), names[i]);
        if (type == ITEM_RequestType) {
            draft_set_number(&draft, RequestType_is_helpdesk_default, i == 0);
            draft_set_number(&draft, RequestType_is_ticketheader, 1);
            draft_set_number(&draft, RequestType_is_itilfollowup, 1);
            draft_set_null(&draft, RequestType_date_mod);
            draft_set_null(&draft, RequestType_date_creation);
        }
        (void)items_put(items, table, &draft);
    }
    draft_release(&draft);
}

static void fill_calendar(struct items *items)
{
    struct draft draft;

    draft_init(&draft);
    directory_begin(&draft, &items->tables[ITEM_Calendar], 1);
    set_c(&draft, Calendar_name, "Default");
    set_c(&draft, Calendar_comment, "Default calendar");
    set_c(&draft, Calendar_cache_duration, "[0,43200,43200,43200,43200,43200,0]");
    draft_set_null(&draft, Calendar_date_mod);
    draft_set_null(&draft, Calendar_date_creation);
    (void)items_put(items, &items->tables[ITEM_Calendar], &draft);
    for (int day = 1; day <= 5; day++) {
        directory_begin(&draft, &items->tables[ITEM_CalendarSegment], day);
        draft_set_number(&draft, CalendarSegment_calendars_id, 1);
        draft_set_number(&draft, CalendarSegment_is_recursive, 0);
        draft_set_number(&draft, CalendarSegment_day, day);
        set_c(&draft, CalendarSegment_begin, "08:00:00");
        set_c(&draft, CalendarSegment_end, day == 5 ? "24:00:00" : "20:00:00");
        (void)items_put(items, &items->tables[ITEM_CalendarSegment], &draft);
    }
    draft_release(&draft);
}

static void fill_stock(struct items *items)
{
    static const char *const requests[] = {"Helpdesk", "E-Mail", "Phone", "Direct",
                                           "Written",  "Other",  NULL};
    static const char *const solutions[] = {"Reinício", "Troca de peça", "Orientação & treino",
                                            NULL};
    static const char *const pending[] = {"Aguardando fornecedor", "Aguardando usuário", NULL};
    static const char *const profiles[] = {"Self-Service", "Observer",  "Admin",
                                           "Super-Admin",  "Hotliner",  "Technician",
                                           "Supervisor",   "Read-Only", NULL};
    static const char *const logins[] = {"glpi", "post-only", "tech", "normal", NULL};
    static const char *const work[] = {"Análise", "Campo", "Remoto", NULL};

    directory_tree(items, ITEM_Entity, 0, 0, STR_LITERAL("Root entity"));
    for (int64_t i = 0; logins[i] != NULL; i++) {
        directory_user(items, i + 2, str_from(logins[i]), STR_NONE, STR_NONE);
    }
    directory_user(items, SYNC_USER, STR_LITERAL("foz"), STR_LITERAL("Sync"), STR_LITERAL("Foz"));
    for (int64_t i = 0; work[i] != NULL; i++) {
        directory_tree(items, ITEM_TaskCategory, i + 1, 0, str_from(work[i]));
    }
    fill_names(items, ITEM_RequestType, requests, 1);
    fill_names(items, ITEM_SolutionType, solutions, 1);
    fill_names(items, ITEM_PendingReason, pending, 1);
    fill_names(items, ITEM_Profile, profiles, 1);
    fill_calendar(items);
}

void directory_fill(struct items *items)
{
    fill_stock(items);
    if (!items->world.empty) {
        fill_trees(items);
        fill_agreements(items);
        fill_users(items);
    }
    items_settle(items);
}
