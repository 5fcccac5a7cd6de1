#include <string.h>

#include "tests/sim/glpi/system.h"

/* What the account of a call may see: a tree of entities. */

static bool is_below(const struct item_table *table, int64_t entity, int64_t root)
{
    struct item item;

    for (int depth = 0; depth < 32; depth++) {
        if (entity == root) {
            return true;
        }
        if (entity == 0 || !items_find(table, entity, &item)) {
            return false;
        }
        entity = item_number(&item, Entity_entities_id);
    }
    return false;
}

static bool sees(const struct call *call, const struct item_table *table, int64_t entity)
{
    const struct account *account = &call->account;
    const struct session *session = &call->session;
    bool allowed = entity == account->entity ||
                   (account->recursive && is_below(table, entity, account->entity));

    if (!allowed || session->whole) {
        return allowed;
    }
    return entity == session->entity ||
           (session->recursive && is_below(table, entity, session->entity));
}

void glpi_rights_read(struct call *call)
{
    const struct item_table *table = &call->glpi->items.tables[ITEM_Entity];
    struct fault shrunk;
    int64_t root = 0;

    call->account = call->glpi->accounts[call->session.account];
    if (glpi_mode(call->glpi, FAULT_entities_shrunk, &shrunk) &&
        str_to_int64(str_from(shrunk.value[0] != '\0' ? shrunk.value : "1"), 0, ENTITIES_MAX - 1,
                     &root)) {
        call->account.entity = root;
        call->account.recursive = true;
    }
    memset(call->visible, 0, sizeof(call->visible));
    call->sees_all = true;
    for (int64_t i = 0; i < table->n_kept; i++) {
        int64_t entity = table->by_id[i]->id;

        if (entity < ENTITIES_MAX && sees(call, table, entity)) {
            call->visible[entity / 64] |= UINT64_C(1) << (entity % 64);
        } else {
            call->sees_all = false;
        }
    }
}

static bool entity_is_visible(const struct call *call, int64_t entity)
{
    return entity >= 0 && entity < ENTITIES_MAX &&
           (call->visible[entity / 64] >> (entity % 64) & 1) != 0;
}

bool glpi_rights_limit(struct call *call, enum itemtype type)
{
    return !call->sees_all && (type == ITEM_Ticket || type == ITEM_ITILFollowup ||
                               type == ITEM_TicketValidation || type == ITEM_Entity);
}

bool glpi_rights_may_list(struct call *call, enum itemtype type)
{
    return !(call->account.limited && type == ITEM_TicketValidation);
}

/* Follow-ups are the only children that are hidden with their ticket. */
static bool ticket_is_visible(struct call *call, int64_t id)
{
    struct item ticket;

    return items_find(&call->glpi->items.tables[ITEM_Ticket], id, &ticket) &&
           entity_is_visible(call, item_number(&ticket, Ticket_entities_id));
}

bool glpi_rights_allow(struct call *call, struct item *item)
{
    char scratch[CELL_TEXT_MAX];

    if (call->sees_all) {
        return true;
    }
    switch (item->table->shape->itemtype) {
    case ITEM_Ticket:
        return entity_is_visible(call, item_number(item, Ticket_entities_id));
    case ITEM_TicketValidation:
        return entity_is_visible(call, item_number(item, TicketValidation_entities_id));
    case ITEM_Entity:
        return entity_is_visible(call, item_id(item));
    case ITEM_ITILFollowup:
        return str_equal_c(item_cell(item, ITILFollowup_itemtype, scratch).text, "Ticket") &&
               ticket_is_visible(call, item_number(item, ITILFollowup_items_id));
    default:
        return true;
    }
}
