#include <stdio.h>

#include "tests/sim/glpi/world.h"

/*
 * The history of a generated ticket: actors, creation, then states, follow-ups, tasks and
 * solutions, in the order of their ids.
 */

struct parts {
    int64_t actors, states, followups, tasks, solutions;
};

/* The states a ticket went through: path[0] is where it was created. */
static int status_path(int status, int path[5])
{
    static const int ways[][5] = {{1}, {1, 2}, {1, 2, 3}, {1, 2, 4}, {1, 2, 4, 2, 5}, {1, 2, 5, 6}};
    static const int lengths[] = {1, 2, 3, 3, 5, 4};
    int way = status >= 1 && status <= 6 ? status - 1 : 0;

    for (int i = 0; i < lengths[way]; i++) {
        path[i] = ways[way][i];
    }
    return lengths[way];
}

static struct parts count_parts(const struct world *world, int64_t ticket, int status)
{
    int path[5];

    return (struct parts){
        .actors = gen_count(world, ITEM_Ticket_User, ticket),
        .states = status_path(status, path) - 1,
        .followups =
            gen_count(world, ITEM_ITILFollowup, ticket) - gen_foreign(ITEM_ITILFollowup, ticket),
        .tasks = gen_count(world, ITEM_TicketTask, ticket),
        .solutions =
            gen_count(world, ITEM_ITILSolution, ticket) - gen_foreign(ITEM_ITILSolution, ticket),
    };
}

int64_t log_count(const struct world *world, int64_t ticket)
{
    struct parts parts = count_parts(world, ticket, ticket_status(world, ticket));

    return 1 + parts.actors + parts.states + parts.followups + parts.tasks + parts.solutions;
}

struct entry {
    const char *link;
    int action, option;
    int old_status, new_status; /* of a change of state */
    int64_t child;
    struct actor actor;
    bool by_technician;
};

static void find_entry(const struct world *world,
                       const struct ticket_core *core,
                       int64_t k,
                       struct entry *entry)
{
    struct parts parts = count_parts(world, core->index, core->status);
    static const int options[] = {0, 4, 5, 66};
    int path[5];

    *entry = (struct entry){.link = "0", .action = 20, .child = k};
    if (k < parts.actors) {
        (void)gen_actor(world, core, k, &entry->actor);
        entry->link = "User";
        entry->action = 15;
        entry->option = options[entry->actor.type];
        return;
    }
    k -= parts.actors;
    if (k == 0) {
        return;
    }
    k--;
    entry->by_technician = true;
    if (k < parts.states) {
        (void)status_path(core->status, path);
        entry->link = "";
        entry->action = 0;
        entry->option = 12;
        entry->old_status = path[k];
        entry->new_status = path[k + 1];
        return;
    }
    k -= parts.states;
    entry->action = 17;
    entry->link = k < parts.followups                 ? "ITILFollowup"
                  : k < parts.followups + parts.tasks ? "TicketTask"
                                                      : "ITILSolution";
    entry->child = k;
}

static struct cell put(char *out, int length)
{
    size_t len = length < CELL_TEXT_MAX ? (size_t)length : CELL_TEXT_MAX - 1;

    return cell_text((struct str){out, len});
}

static struct cell new_value(const struct entry *entry, char *out)
{
    char name[CELL_TEXT_MAX];

    if (entry->action == 15 && entry->actor.user == 0) {
        return put(out, snprintf(out, CELL_TEXT_MAX, "%s", entry->actor.email));
    }
    if (entry->action == 15) {
        return put(out, snprintf(out, CELL_TEXT_MAX, "%.*s (%d)",
                                 STR_ARG(person_name(entry->actor.user, name)), entry->actor.user));
    }
    if (entry->option == 12) {
        return put(out, snprintf(out, CELL_TEXT_MAX, "%d", entry->new_status));
    }
    if (entry->action == 17) {
        return put(out, snprintf(out, CELL_TEXT_MAX, "%lld", (long long)entry->child + 1));
    }
    return cell_text((struct str){"", 0});
}

struct cell log_cell(const struct world *world,
                     const struct ticket_core *core,
                     int64_t k,
                     int column,
                     char scratch[CELL_TEXT_MAX])
{
    bool foreign = gen_foreign(ITEM_Log, core->index) == 1 && k == log_count(world, core->index);
    struct entry entry = {.link = "0", .action = 20};
    char name[CELL_TEXT_MAX];

    switch (column) {
    case Log_itemtype:
        return cell_text(foreign ? STR_LITERAL("Computer") : STR_LITERAL("Ticket"));
    case Log_items_id:
        return cell_int(core->id);
    case Log_date_mod:
        return cell_time(gen_stamp_s(world, ITEM_Log, core->index, k));
    default:
        break;
    }
    if (!foreign) {
        find_entry(world, core, k, &entry);
    }
    int user = entry.by_technician ? core->technician : core->requester;

    switch (column) {
    case Log_itemtype_link:
        return cell_text(str_from(entry.link));
    case Log_linked_action:
        return cell_int(entry.action);
    case Log_id_search_option:
        return cell_int(entry.option);
    case Log_user_name:
        return foreign ? cell_text((struct str){"", 0})
                       : put(scratch, snprintf(scratch, CELL_TEXT_MAX, "%.*s (%d)",
                                               STR_ARG(person_name(user, name)), user));
    case Log_old_value:
        return entry.option == 12
                   ? put(scratch, snprintf(scratch, CELL_TEXT_MAX, "%d", entry.old_status))
                   : cell_text((struct str){"", 0});
    default:
        return new_value(&entry, scratch);
    }
}
