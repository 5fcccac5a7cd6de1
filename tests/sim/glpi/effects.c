#include "tests/sim/glpi/effects.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/glpi/directory.h"
#include "tests/sim/glpi/refs.h"

enum { NEW = 1, WAITING = 4, SOLVED = 5, CLOSED = 6 };

enum { LOG_CHANGE = 0, LOG_TRASH = 13, LOG_RESTORE = 14, LOG_LINK = 15, LOG_UNLINK = 16 };

enum { LOG_CHILD_NEW = 17, LOG_CHILD_CHANGED = 18, LOG_CHILD_GONE = 19, LOG_CREATED = 20 };

enum { LOGGED_MAX = 180 };

static const struct {
    int column, option;
} logged[] = {
    {Ticket_name, 1},
    {Ticket_content, 21},
    {Ticket_status, 12},
    {Ticket_type, 14},
    {Ticket_priority, 3},
    {Ticket_urgency, 10},
    {Ticket_impact, 11},
    {Ticket_itilcategories_id, 7},
    {Ticket_locations_id, 83},
    {Ticket_entities_id, 80},
    {Ticket_requesttypes_id, 9},
    {Ticket_time_to_resolve, 18},
    {Ticket_time_to_own, 155},
    {Ticket_slas_id_ttr, 30},
    {Ticket_slas_id_tto, 37},
    {Ticket_date, 15},
    {Ticket_solvedate, 17},
    {Ticket_closedate, 16},
    {Ticket_global_validation, 52},
};

static void set_c(struct draft *draft, int column, const char *text)
{
    draft_set_text(draft, column, str_from(text));
}

static struct str name_of(struct items *items, enum itemtype type, int64_t id, char *out)
{
    const struct item_table *table = &items->tables[type];
    char scratch[CELL_TEXT_MAX];
    struct str name = {"", 0};
    struct item item;

    if (items_find(table, id, &item)) {
        int column = column_of(table->shape, STR_LITERAL("completename"));

        column = column >= 0 ? column : column_of(table->shape, STR_LITERAL("name"));
        name = item_cell(&item, column, scratch).text;
        if (type == ITEM_User && !item_cell(&item, User_realname, scratch).null) {
            name = item_cell(&item, User_realname, scratch).text;
        }
    }
    int length = snprintf(out, CELL_TEXT_MAX, "%.*s (%lld)", STR_ARG(name), (long long)id);

    return (struct str){out, (size_t)length < CELL_TEXT_MAX ? (size_t)length : CELL_TEXT_MAX - 1};
}

void effect_log(const struct effects *effects,
                int64_t ticket,
                const char *link,
                int action,
                int option,
                struct str old_value,
                struct str new_value)
{
    struct item_table *table = &effects->items->tables[ITEM_Log];
    char user[CELL_TEXT_MAX];
    struct draft draft;

    if (!effects->history) {
        return;
    }
    draft_init(&draft);
    draft_set_number(&draft, Log_id, 0);
    set_c(&draft, Log_itemtype, "Ticket");
    draft_set_number(&draft, Log_items_id, ticket);
    set_c(&draft, Log_itemtype_link, link);
    draft_set_number(&draft, Log_linked_action, action);
    draft_set_text(&draft, Log_user_name, name_of(effects->items, ITEM_User, effects->user, user));
    draft_set_number(&draft, Log_date_mod, effects->now_s);
    draft_set_number(&draft, Log_id_search_option, option);
    draft_set_text(&draft, Log_old_value, str_shorten(old_value, LOGGED_MAX));
    draft_set_text(&draft, Log_new_value, str_shorten(new_value, LOGGED_MAX));
    (void)items_put(effects->items, table, &draft);
    draft_release(&draft);
}

static void log_action(
    const struct effects *effects, int64_t ticket, const char *link, int action, int64_t child)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", (long long)child);
    effect_log(effects, ticket, link, action, 0, (struct str){"", 0},
               child > 0 ? str_from(text) : (struct str){"", 0});
}

void effect_touch(const struct effects *effects, int64_t ticket)
{
    struct item_table *table = &effects->items->tables[ITEM_Ticket];
    struct draft draft;
    struct item item;

    if (!effects->touch || !items_find(table, ticket, &item)) {
        return;
    }
    draft_init(&draft);
    draft_load(&draft, &item);
    draft_set_number(&draft, Ticket_date_mod, effects->now_s);
    draft_set_number(&draft, Ticket_users_id_lastupdater, effects->user);
    (void)items_put(effects->items, table, &draft);
    draft_release(&draft);
}

static void add_to(struct draft *draft, int column, int64_t seconds)
{
    if (!draft->cells[column].null) {
        draft->cells[column].number += seconds;
    }
}

/* Leaving a state in which the clock of the agreements stood still. */
static void stop_waiting(struct draft *draft, int64_t now_s)
{
    struct cell since = draft->cells[Ticket_begin_waiting_date];

    if (since.null) {
        return;
    }
    int64_t waited = now_s > since.number ? now_s - since.number : 0;

    add_to(draft, Ticket_waiting_duration, waited);
    if (draft->cells[Ticket_slas_id_ttr].number > 0) {
        add_to(draft, Ticket_sla_waiting_duration, waited);
        add_to(draft, Ticket_time_to_resolve, waited);
    }
    if (draft->cells[Ticket_olas_id_ttr].number > 0) {
        add_to(draft, Ticket_ola_waiting_duration, waited);
        add_to(draft, Ticket_internal_time_to_resolve, waited);
    }
    draft_set_null(draft, Ticket_begin_waiting_date);
}

static void set_delay(struct draft *draft, int column, int64_t now_s)
{
    int64_t delay =
        now_s - draft->cells[Ticket_date].number - draft->cells[Ticket_waiting_duration].number;

    draft_set_number(draft, column, delay > 0 ? delay : 1);
}

void effect_status(const struct effects *effects, struct draft *draft, int64_t status)
{
    int64_t before = draft->cells[Ticket_status].number;
    bool was_open = before != SOLVED && before != CLOSED;
    bool is_open = status != SOLVED && status != CLOSED;

    if (before == status) {
        return;
    }
    draft_set_number(draft, Ticket_status, status);
    if (before == WAITING || (before == SOLVED && status != CLOSED) || (!was_open && is_open)) {
        stop_waiting(draft, effects->now_s);
    }
    if (status == WAITING || status == SOLVED) {
        draft_set_number(draft, Ticket_begin_waiting_date, effects->now_s);
    }
    if (!was_open && is_open) {
        draft_set_null(draft, Ticket_solvedate);
        draft_set_null(draft, Ticket_closedate);
        draft_set_number(draft, Ticket_solve_delay_stat, 0);
        draft_set_number(draft, Ticket_close_delay_stat, 0);
    }
    if (!is_open && draft->cells[Ticket_solvedate].null) {
        draft_set_number(draft, Ticket_solvedate, effects->now_s);
        set_delay(draft, Ticket_solve_delay_stat, effects->now_s);
    }
    if (status == CLOSED) {
        draft_set_number(draft, Ticket_closedate, effects->now_s);
        set_delay(draft, Ticket_close_delay_stat, effects->now_s);
    }
    if (status != NEW && draft->cells[Ticket_takeintoaccountdate].null) {
        draft_set_number(draft, Ticket_takeintoaccountdate, effects->now_s);
        int64_t delay = effects->now_s - draft->cells[Ticket_date].number;

        draft_set_number(draft, Ticket_takeintoaccount_delay_stat, delay > 0 ? delay : 1);
    }
}

/* Keys are logged by name, the rest by value. */
static struct str
shown(const struct effects *effects, int column, const struct cell *cell, char *out)
{
    const struct column *shape = &itemtypes[ITEM_Ticket].columns[column];
    const struct item_table *target = items_table(effects->items, str_from(shape->target));
    int length;

    if (cell->null) {
        return (struct str){"", 0};
    }
    if (shape->type == TYPE_TEXT) {
        return cell->text;
    }
    if (target != NULL) {
        return name_of(effects->items, target->shape->itemtype, cell->number, out);
    }
    length = snprintf(out, CELL_TEXT_MAX, "%lld", (long long)cell->number);
    return (struct str){out, (size_t)length};
}

void effect_save_ticket(const struct effects *effects, struct draft *draft, struct item *before)
{
    char scratch[CELL_TEXT_MAX];
    char old_text[CELL_TEXT_MAX];
    char new_text[CELL_TEXT_MAX];
    int64_t id = item_id(before);

    for (size_t i = 0; i < ARRAY_SIZE(logged); i++) {
        int column = logged[i].column;
        struct cell old = item_cell(before, column, scratch);
        struct cell fresh = draft->cells[column];

        if (old.null != fresh.null || old.number != fresh.number ||
            !str_equal(old.text, fresh.text)) {
            effect_log(effects, id, "", LOG_CHANGE, logged[i].option,
                       shown(effects, column, &old, old_text),
                       shown(effects, column, &fresh, new_text));
        }
    }
    int64_t was_deleted = item_number(before, Ticket_is_deleted);

    if (was_deleted != draft->cells[Ticket_is_deleted].number) {
        log_action(effects, id, "0", was_deleted != 0 ? LOG_RESTORE : LOG_TRASH, 0);
    }
    if (effects->touch) {
        draft_set_number(draft, Ticket_date_mod, effects->now_s);
        draft_set_number(draft, Ticket_users_id_lastupdater, effects->user);
    }
    (void)items_put(effects->items, &effects->items->tables[ITEM_Ticket], draft);
}

void effect_begin_ticket(const struct effects *effects, struct draft *draft)
{
    static const struct {
        int column, value;
    } defaults[] = {{Ticket_status, NEW},       {Ticket_urgency, 3}, {Ticket_impact, 3},
                    {Ticket_priority, 3},       {Ticket_type, 1},    {Ticket_global_validation, 1},
                    {Ticket_requesttypes_id, 1}};

    directory_begin(draft, &effects->items->tables[ITEM_Ticket], 0);
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
        draft_set_number(draft, defaults[i].column, defaults[i].value);
    }
    draft_set_number(draft, Ticket_date, effects->now_s);
    draft_set_number(draft, Ticket_date_creation, effects->now_s);
    draft_set_number(draft, Ticket_date_mod, effects->now_s);
    draft_set_number(draft, Ticket_users_id_recipient, effects->user);
    draft_set_number(draft, Ticket_users_id_lastupdater, effects->user);
    set_c(draft, Ticket_name, "Novo chamado");
    set_c(draft, Ticket_content, "<p>Aberto agora &amp; ainda sem resposta</p>");
}

int64_t effect_new_ticket(const struct effects *effects, struct draft *draft)
{
    int64_t id = items_put(effects->items, &effects->items->tables[ITEM_Ticket], draft);

    log_action(effects, id, "0", LOG_CREATED, 0);
    return id;
}

void effect_begin_child(const struct effects *effects, enum itemtype type, struct draft *draft)
{
    const struct shape *shape = &itemtypes[type];
    static const char *const stamps[] = {"date", "date_mod", "date_creation", "submission_date",
                                         "date_begin"};
    static const char *const texts[][2] = {{"itemtype", "Ticket"},
                                           {"alternative_email", ""},
                                           {"content", "<p>Novo &amp; curto</p>"},
                                           {"uuid", "00000000-0000-4000-8000-000000000000"}};
    static const char *const ones[] = {"type", "use_notification", "state", "timeline_position"};

    directory_begin(draft, &effects->items->tables[type], 0);
    for (int i = 0; i < shape->n_columns; i++) {
        struct str name = str_from(shape->columns[i].name);

        for (size_t k = 0; k < ARRAY_SIZE(stamps); k++) {
            if (str_equal_c(name, stamps[k]) && shape->columns[i].type == TYPE_TIME) {
                draft_set_number(draft, i, effects->now_s);
            }
        }
        for (size_t k = 0; k < ARRAY_SIZE(texts); k++) {
            if (str_equal_c(name, texts[k][0])) {
                set_c(draft, i, texts[k][1]);
            }
        }
        for (size_t k = 0; k < ARRAY_SIZE(ones); k++) {
            if (str_equal_c(name, ones[k])) {
                draft_set_number(draft, i, 1);
            }
        }
        if (str_equal_c(name, "users_id") && type != ITEM_Ticket_User) {
            draft_set_number(draft, i, effects->user);
        }
        if (str_equal_c(name, "status")) {
            draft_set_number(draft, i, 2);
        }
    }
}

static bool is_actor(enum itemtype type)
{
    return type == ITEM_Ticket_User || type == ITEM_Group_Ticket || type == ITEM_Supplier_Ticket;
}

/* Which of the history's actor options a row means, and what it is called there. */
static int actor_option(enum itemtype type, int64_t role)
{
    static const int users[] = {0, 4, 5, 66};
    static const int groups[] = {0, 71, 8, 65};

    if (role < 1 || role > 3 || type == ITEM_Supplier_Ticket) {
        return 6;
    }
    return type == ITEM_Ticket_User ? users[role] : groups[role];
}

static void
log_actor(const struct effects *effects, enum itemtype type, const struct cell *cells, bool added)
{
    char name[CELL_TEXT_MAX];
    int64_t who = cells[Ticket_User_users_id].number;
    enum itemtype target = type == ITEM_Group_Ticket ? ITEM_Group : ITEM_User;
    const char *link = type == ITEM_Ticket_User    ? "User"
                       : type == ITEM_Group_Ticket ? "Group"
                                                   : "Supplier";
    struct str shown_name = name_of(effects->items, target, who, name);

    if (type == ITEM_Ticket_User && who == 0) {
        shown_name = cells[Ticket_User_alternative_email].text;
    }
    effect_log(effects, cells[Ticket_User_tickets_id].number, link, added ? LOG_LINK : LOG_UNLINK,
               actor_option(type, cells[Ticket_User_type].number),
               added ? (struct str){"", 0} : shown_name, added ? shown_name : (struct str){"", 0});
}

static bool moves_ticket(enum itemtype type)
{
    return type != ITEM_TicketCost && type != ITEM_TicketSatisfaction && type != ITEM_Log;
}

int64_t effect_new_child(const struct effects *effects, enum itemtype type, struct draft *draft)
{
    int64_t id = items_put(effects->items, &effects->items->tables[type], draft);
    int64_t ticket = draft->cells[ticket_column(&itemtypes[type])].number;

    if (is_actor(type)) {
        log_actor(effects, type, draft->cells, true);
    } else if (moves_ticket(type)) {
        log_action(effects, ticket, itemtypes[type].name, LOG_CHILD_NEW, id);
    }
    if (moves_ticket(type)) {
        effect_touch(effects, ticket);
    }
    return id;
}

static int64_t parent_of(struct item *child)
{
    return item_number(child, ticket_column(child->table->shape));
}

void effect_child_changed(const struct effects *effects, enum itemtype type, struct item *child)
{
    if (type == ITEM_ITILFollowup || type == ITEM_TicketTask || type == ITEM_TicketValidation) {
        log_action(effects, parent_of(child), itemtypes[type].name, LOG_CHILD_CHANGED,
                   item_id(child));
        effect_touch(effects, parent_of(child));
    }
}

void effect_child_goes(const struct effects *effects, enum itemtype type, struct item *child)
{
    char scratch[CELL_TEXT_MAX];
    struct cell cells[COLUMNS_MAX];

    if (is_actor(type)) {
        for (int i = 0; i < itemtypes[type].n_columns; i++) {
            cells[i] = item_cell(child, i, scratch);
        }
        log_actor(effects, type, cells, false);
    } else if (moves_ticket(type)) {
        log_action(effects, parent_of(child), itemtypes[type].name, LOG_CHILD_GONE, item_id(child));
    }
    if (moves_ticket(type)) {
        effect_touch(effects, parent_of(child));
    }
}

int64_t effect_add_actor(const struct effects *effects, const struct actor_row *actor)
{
    struct draft draft;

    draft_init(&draft);
    effect_begin_child(effects, actor->table, &draft);
    draft_set_number(&draft, Ticket_User_tickets_id, actor->ticket);
    draft_set_number(&draft, Ticket_User_users_id, actor->who); /* the same place in all three */
    draft_set_number(&draft, Ticket_User_type, actor->type);
    if (actor->table == ITEM_Ticket_User && actor->email.len > 0) {
        draft_set_text(&draft, Ticket_User_alternative_email, actor->email);
    }
    int64_t id = effect_new_child(effects, actor->table, &draft);

    draft_release(&draft);
    return id;
}

bool effect_purge_ticket(const struct effects *effects, int64_t ticket)
{
    struct item item;

    if (!items_purge(effects->items, &effects->items->tables[ITEM_Ticket], ticket)) {
        return false;
    }
    for (int i = 0; i < N_ITEMTYPES; i++) {
        struct item_table *table = &effects->items->tables[i];
        struct refs refs CLEANUP(refs_release) = {0};

        if (!itemtype_is_computed((enum itemtype)i) || i == ITEM_Ticket) {
            continue;
        }
        refs_add_children(&refs, table, ticket);
        for (int64_t k = refs.n - 1; k >= 0; k--) {
            refs_get(&refs, table, k, &item);
            (void)items_purge(effects->items, table, item_id(&item));
        }
    }
    return true;
}
