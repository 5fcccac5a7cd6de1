#pragma once

#include "tests/sim/glpi/items.h"

/*
 * What GLPI does by itself when something changes: the ticket's stamp, its deadlines and delays,
 * and the history. Used by the changes that tests ask for and by the recorded ones. Exclusive lock
 * held; the caller settles.
 */

struct actor_row {
    enum itemtype table; /* Ticket_User, Group_Ticket, Supplier_Ticket */
    int64_t ticket, who; /* who: user, group or supplier */
    int64_t type;
    struct str email;
};

struct effects {
    struct items *items;
    int64_t now_s;
    int64_t user; /* who does it */
    bool history; /* Log rows are written */
    bool touch;   /* date_mod of the ticket moves where GLPI moves it */
};

void effect_log(const struct effects *effects,
                int64_t ticket,
                const char *link,
                int action,
                int option,
                struct str old_value,
                struct str new_value);
/* date_mod and the last updater of a ticket. */
void effect_touch(const struct effects *effects, int64_t ticket);
/* The columns of a ticket in the making that follow from a new status. */
void effect_status(const struct effects *effects, struct draft *draft, int64_t status);
/* Stores a changed ticket and writes the history of what differs from `before`. */
void effect_save_ticket(const struct effects *effects, struct draft *draft, struct item *before);
int64_t effect_new_ticket(const struct effects *effects, struct draft *draft);
void effect_begin_ticket(const struct effects *effects, struct draft *draft);

/* A new child of a ticket, with what it does to the ticket. */
void effect_begin_child(const struct effects *effects, enum itemtype type, struct draft *draft);
int64_t effect_new_child(const struct effects *effects, enum itemtype type, struct draft *draft);
/* After a child's text changed; before a child goes. */
void effect_child_changed(const struct effects *effects, enum itemtype type, struct item *child);
void effect_child_goes(const struct effects *effects, enum itemtype type, struct item *child);
int64_t effect_add_actor(const struct effects *effects, const struct actor_row *actor);

/* The row, its children and its history; nothing tells of it any more. */
bool effect_purge_ticket(const struct effects *effects, int64_t ticket);
