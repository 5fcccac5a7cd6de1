#include <stdio.h>

#include "tests/sim/glpi/world.h"

/* Counts are drawn apart from the ticket's core: walking a block asks for thousands of them. */
enum { SALT_CHILDREN = 21, SALT_UUID = 22 };

enum { FOREIGN_EVERY = 40 };

bool itemtype_is_computed(enum itemtype type)
{
    return type <= ITEM_Log;
}

static uint64_t draw(const struct world *world, int64_t ticket)
{
    return world_hash(world, SALT_CHILDREN, ticket);
}

/* Who plays a part in a ticket, and how many rows of Ticket_User that makes. */
int64_t gen_actor(const struct world *world,
                  const struct ticket_core *core,
                  int64_t k,
                  struct actor *ret_actor)
{
    uint64_t hash = draw(world, core->index);
    struct actor actors[6] = {{core->requester, 1, ""}};
    int n = 1;

    if (hash % 23 == 0) { /* known twice, by two addresses */
        snprintf(actors[0].email, sizeof(actors[0].email), "u%d@example.test", core->requester);
        actors[n++] = (struct actor){core->requester, 1, "outro@example.test"};
    }
    if (hash % 15 == 0) {
        actors[n++] = (struct actor){0, 1, "externo@cliente.example.test"};
    }
    if (core->status != 1) {
        actors[n++] = (struct actor){core->technician, 2, ""};
        if (hash % 9 == 0) {
            int other =
                FIRST_TECHNICIAN + (core->technician - FIRST_TECHNICIAN + 1) % N_TECHNICIANS;

            actors[n++] = (struct actor){other, 2, ""};
        }
    }
    if (hash % 6 == 0) {
        actors[n++] = (struct actor){FIRST_REQUESTER + (int)(hash % N_REQUESTERS), 3, ""};
    }
    if (ret_actor != NULL && k < n) {
        *ret_actor = actors[k];
    }
    return n;
}

static int64_t count_actors(uint64_t hash, int status)
{
    return 1 + (hash % 23 == 0) + (hash % 15 == 0) + (status != 1 ? 1 + (hash % 9 == 0) : 0) +
           (hash % 6 == 0);
}

static int64_t count_followups(uint64_t hash)
{
    /* Some have more than a default page. */
    return hash % 1000 == 5 ? 21 : (int64_t)(hash >> 7) % 4 & 3;
}

int gen_foreign(enum itemtype type, int64_t ticket)
{
    int64_t phase = ticket % FOREIGN_EVERY;

    return (type == ITEM_ITILFollowup && phase == 7) ||
                   (type == ITEM_ITILSolution && phase == 11) || (type == ITEM_Log && phase == 23)
               ? 1
               : 0;
}

int64_t gen_count(const struct world *world, enum itemtype type, int64_t ticket)
{
    uint64_t hash = draw(world, ticket);

    switch (type) {
    case ITEM_Ticket:
        return 1;
    case ITEM_Ticket_User:
        return count_actors(hash, ticket_status(world, ticket));
    case ITEM_Group_Ticket:
        return (ticket_status(world, ticket) != 1) + (hash % 7 == 0);
    case ITEM_Supplier_Ticket:
        return hash % 50 == 0;
    case ITEM_ITILFollowup:
        return count_followups(hash) + gen_foreign(type, ticket);
    case ITEM_TicketTask:
        return hash % 3 == 0 ? 1 + (hash % 2 == 0) : 0;
    case ITEM_ITILSolution:
        return (ticket_status(world, ticket) >= 5 ? 1 + (hash % 30 == 0) : 0) +
               gen_foreign(type, ticket);
    case ITEM_TicketValidation:
        return hash % 25 == 0;
    case ITEM_TicketSatisfaction:
        return hash % 5 == 0 && ticket_status(world, ticket) == 6;
    case ITEM_TicketCost:
        return hash % 20 == 3;
    case ITEM_Log:
        return log_count(world, ticket) + gen_foreign(type, ticket);
    default:
        return 0;
    }
}

static struct cell put(char *out, int length)
{
    size_t len = length < CELL_TEXT_MAX ? (size_t)length : CELL_TEXT_MAX - 1;

    return cell_text((struct str){out, len});
}

static struct cell actor_cell(
    const struct world *world, const struct ticket_core *core, int64_t k, int column, char *out)
{
    struct actor actor = {0};

    (void)gen_actor(world, core, k, &actor);
    switch (column) {
    case Ticket_User_users_id:
        return cell_int(actor.user);
    case Ticket_User_type:
        return cell_int(actor.type);
    case Ticket_User_alternative_email:
        return put(out, snprintf(out, CELL_TEXT_MAX, "%s", actor.email));
    default:
        return cell_int(1);
    }
}

static struct cell group_cell(const struct ticket_core *core, int64_t k, int column)
{
    bool assigned = core->status != 1 && k == 0;

    if (column == Group_Ticket_groups_id) {
        return cell_int(assigned ? core->group : core->group % N_GROUPS + 1);
    }
    return cell_int(assigned ? 2 : 3);
}

static struct cell supplier_cell(int column)
{
    switch (column) {
    case Supplier_Ticket_suppliers_id:
        return cell_int(3);
    case Supplier_Ticket_type:
        return cell_int(2);
    case Supplier_Ticket_alternative_email:
        return cell_text((struct str){"", 0});
    default:
        return cell_int(1);
    }
}

static struct cell followup_cell(const struct ticket_core *core, int64_t k, int column, char *out)
{
    switch (column) {
    case ITILFollowup_users_id:
        return cell_int(k % 2 == 0 ? core->requester : core->technician);
    case ITILFollowup_content:
        return put(out,
                   snprintf(out, CELL_TEXT_MAX,
                            "<p>Acompanhamento %lld do item %lld &lt;ok&gt; &amp; <i>visto</i></p>",
                            (long long)k, (long long)core->id));
    case ITILFollowup_is_private:
        return cell_int((core->hash + (uint64_t)k) % 5 == 0);
    case ITILFollowup_timeline_position:
        return cell_int(1);
    default:
        return cell_int(0);
    }
}

static struct cell task_cell(
    const struct world *world, const struct ticket_core *core, int64_t k, int column, char *out)
{
    uint64_t uuid = world_hash(world, SALT_UUID, core->index * 8 + k);
    int64_t begin_s = (core->date_s / 86400 + 1) * 86400 + 9 * 3600;

    switch (column) {
    case TicketTask_uuid:
        return put(out, snprintf(out, CELL_TEXT_MAX, "%08llx-%04llx-4%03llx-8%03llx-%012llx",
                                 (unsigned long long)(uuid >> 32),
                                 (unsigned long long)(uuid >> 16 & 0xffff),
                                 (unsigned long long)(uuid & 0xfff),
                                 (unsigned long long)(uuid >> 12 & 0xfff),
                                 (unsigned long long)(core->index * 8 + k)));
    case TicketTask_taskcategories_id:
        return cell_int((int64_t)(core->hash % 4));
    case TicketTask_users_id:
    case TicketTask_users_id_tech:
        return cell_int(core->technician);
    case TicketTask_groups_id_tech:
        return cell_int(core->hash % 2 == 0 ? core->group : 0);
    case TicketTask_content:
        return put(out, snprintf(out, CELL_TEXT_MAX, "<p>Trocar cabo %lld &amp; testar</p>",
                                 (long long)k));
    case TicketTask_actiontime:
        return cell_int(1800);
    case TicketTask_begin:
        return core->hash % 2 == 0 ? cell_time(begin_s) : cell_null();
    case TicketTask_end:
        return core->hash % 2 == 0 ? cell_time(begin_s + 1800) : cell_null();
    case TicketTask_state:
        return cell_int(core->status >= 5 ? 2 : 1);
    case TicketTask_timeline_position:
        return cell_int(1);
    default:
        return cell_int(0);
    }
}

static struct cell solution_cell(const struct ticket_core *core, int64_t k, int column, char *out)
{
    bool accepted = core->status == 6;

    switch (column) {
    case ITILSolution_solutiontypes_id:
        return cell_int((int64_t)(core->hash % 4));
    case ITILSolution_content:
        return put(out, snprintf(out, CELL_TEXT_MAX,
                                 "<p>Resolvido: <b>reinício</b> &amp; limpeza (%lld)</p>",
                                 (long long)k));
    case ITILSolution_date_approval:
        return accepted ? cell_time(core->close_s) : cell_null();
    case ITILSolution_users_id:
        return cell_int(core->technician);
    case ITILSolution_users_id_approval:
        return cell_int(accepted ? core->requester : 0);
    case ITILSolution_status:
        return cell_int(accepted ? 3 : 2);
    case ITILSolution_itilfollowups_id:
    case ITILSolution_solutiontype_name:
    case ITILSolution_user_name:
    case ITILSolution_user_name_approval:
        return cell_null();
    default:
        return cell_int(0);
    }
}

static struct cell validation_cell(const struct ticket_core *core, int column)
{
    switch (column) {
    case TicketValidation_entities_id:
        return cell_int(core->entity);
    case TicketValidation_users_id:
        return cell_int(core->requester);
    case TicketValidation_users_id_validate:
    case TicketValidation_items_id_target:
        return cell_int(core->technician);
    case TicketValidation_itemtype_target:
        return cell_text(STR_LITERAL("User"));
    case TicketValidation_comment_submission:
        return cell_text(STR_LITERAL("Aprovar?"));
    case TicketValidation_status:
        return cell_int(core->validation);
    case TicketValidation_timeline_position:
        return cell_int(1);
    default:
        return cell_null();
    }
}

static struct cell satisfaction_cell(const struct ticket_core *core, int64_t at_s, int column)
{
    bool answered = core->hash % 2 == 0;

    switch (column) {
    case TicketSatisfaction_type:
        return cell_int(1);
    case TicketSatisfaction_date_begin:
        return cell_time(at_s);
    case TicketSatisfaction_date_answered:
        return answered ? cell_time(at_s + 3600) : cell_null();
    case TicketSatisfaction_satisfaction:
    case TicketSatisfaction_satisfaction_scaled_to_5:
        return answered ? cell_int((int64_t)(core->hash % 5) + 1) : cell_null();
    default:
        return cell_null();
    }
}

static struct cell cost_cell(const struct ticket_core *core, int column)
{
    switch (column) {
    case TicketCost_name:
        return cell_text(STR_LITERAL("Peças"));
    case TicketCost_cost_time:
    case TicketCost_cost_material:
        return cell_text(STR_LITERAL("0.0000"));
    case TicketCost_cost_fixed:
        return cell_text(STR_LITERAL("120.5000"));
    case TicketCost_actiontime:
        return cell_int(3600);
    case TicketCost_entities_id:
        return cell_int(core->entity);
    case TicketCost_budgets_id:
        return cell_int(0);
    default:
        return cell_null();
    }
}

struct cell child_cell(const struct world *world,
                       enum itemtype type,
                       const struct ticket_core *core,
                       int64_t k,
                       int column,
                       char scratch[CELL_TEXT_MAX])
{
    const struct column *shown = &itemtypes[type].columns[column];
    struct str name = str_from(shown->name);
    int64_t at_s = gen_stamp_s(world, type, core->index, k);
    bool foreign =
        gen_foreign(type, core->index) == 1 && k == gen_count(world, type, core->index) - 1;

    if (str_equal_c(name, "tickets_id") || str_equal_c(name, "items_id")) {
        return cell_int(core->id);
    }
    if (str_equal_c(name, "itemtype")) {
        return cell_text(foreign ? STR_LITERAL("Change") : STR_LITERAL("Ticket"));
    }
    if (type != ITEM_TicketCost &&
        (str_equal_c(name, "date") || str_equal_c(name, "date_mod") ||
         str_equal_c(name, "date_creation") || str_equal_c(name, "submission_date"))) {
        return cell_time(at_s);
    }
    switch (type) {
    case ITEM_Ticket_User:
        return actor_cell(world, core, k, column, scratch);
    case ITEM_Group_Ticket:
        return group_cell(core, k, column);
    case ITEM_Supplier_Ticket:
        return supplier_cell(column);
    case ITEM_ITILFollowup:
        return followup_cell(core, k, column, scratch);
    case ITEM_TicketTask:
        return task_cell(world, core, k, column, scratch);
    case ITEM_ITILSolution:
        return solution_cell(core, k, column, scratch);
    case ITEM_TicketValidation:
        return validation_cell(core, column);
    case ITEM_TicketSatisfaction:
        return satisfaction_cell(core, at_s, column);
    default:
        return cost_cell(core, column);
    }
}

struct cell gen_cell(const struct world *world,
                     enum itemtype type,
                     const struct ticket_core *core,
                     int64_t k,
                     int column,
                     char scratch[CELL_TEXT_MAX])
{
    if (type == ITEM_Ticket) {
        return ticket_cell(core, column, scratch);
    }
    return type == ITEM_Log ? log_cell(world, core, k, column, scratch)
                            : child_cell(world, type, core, k, column, scratch);
}
