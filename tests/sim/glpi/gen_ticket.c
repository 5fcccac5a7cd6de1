#include <stdio.h>
#include <string.h>

#include "tests/sim/glpi/world.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

enum { SALT_TICKET = 11, SALT_STATUS = 12 };

static const char *const subjects[] = {
    "VPN <lenta> & \"instável\"",
    "Impressora não imprime",
    "Senha expirada",
    "E-mail não sincroniza no celular",
    "Erro 500 no ERP > módulo fiscal",
    "Notebook não liga",
    "Solicitação de acesso: pasta \"RH & DP\"",
    "Troca de monitor",
    "Lentidão na rede da filial",
    "Instalação de software",
};

static const int agreement_hours[] = {4, 8, 24, 72};
static const int agreement_minutes[] = {30, 60, 120, 240};

int ticket_status(const struct world *world, int64_t index)
{
    uint64_t hash = world_hash(world, SALT_STATUS, index);
    bool recent = world_rank(world, index) * 100 / world->n_tickets >= 93;
    static const int open_mix[] = {1, 1, 2, 2, 2, 2, 3, 4, 4, 5};

    if (recent) {
        return open_mix[hash % ARRAY_SIZE(open_mix)];
    }
    if (hash % 40 == 0) {
        return 4;
    }
    return hash % 41 == 0 ? 2 : hash % 9 == 0 ? 5 : 6;
}

/* When it was taken, solved and closed; all of it before its last change. */
static void derive_life(struct ticket_core *core)
{
    int64_t life_s = core->mod_s - core->date_s;

    core->took_s = core->status == 1 ? 0 : core->date_s + (int64_t)(core->hash % 7) * 600 + 1;
    if (core->took_s > core->mod_s) {
        core->took_s = core->mod_s;
    }
    core->waited_seconds = core->status != 1 && core->hash % 8 == 0 ? life_s / 5 : 0;
    if (core->status == 4) {
        core->waiting_since_s = core->mod_s;
    }
    if (core->status == 5) {
        core->solve_s = core->mod_s;
        core->waiting_since_s = core->mod_s;
    }
    if (core->status == 6) {
        core->close_s = core->mod_s;
        core->solve_s = core->mod_s - (life_s / 3 < 5 * DAY_S ? life_s / 3 : 5 * DAY_S);
        core->waiting_since_s = core->solve_s;
    }
}

static void derive_agreements(struct ticket_core *core)
{
    uint64_t pick = core->hash >> 20;

    if (pick % 2 == 0) {
        core->sla_ttr = (int)(pick / 2 % 4) * 2 + 1;
        core->ttr_s = core->date_s + core->waited_seconds +
                      (int64_t)agreement_hours[core->sla_ttr / 2] * HOUR_S;
    }
    if (pick % 3 == 0) {
        core->sla_tto = (int)(pick / 3 % 4) * 2 + 2;
        core->tto_s = core->date_s + (int64_t)agreement_minutes[core->sla_tto / 2 - 1] * 60;
    }
    if (pick % 5 == 0) {
        core->ola_ttr = 1;
        core->internal_ttr_s = core->date_s + core->waited_seconds + 4 * (int64_t)HOUR_S;
    }
}

void ticket_derive(const struct world *world, int64_t index, struct ticket_core *core)
{
    uint64_t hash = world_hash(world, SALT_TICKET, index);

    memset(core, 0, sizeof(*core));
    core->index = index;
    core->hash = hash;
    core->id = world_ticket_id(index);
    core->rank = world_rank(world, index);
    core->date_s = world_opened_s(world, index);
    core->mod_s = world_changed_s(world, core->rank);
    core->trashed = world_is_trashed(core->rank);
    core->status = ticket_status(world, index);
    core->type = hash % 3 == 0 ? 2 : 1;
    core->urgency = (int)((hash >> 8) % 5) + 1;
    core->impact = (int)((hash >> 11) % 5) + 1;
    core->priority = (core->urgency + core->impact) / 2;
    core->priority = hash % 200 == 3 ? 6 : core->priority;
    core->validation = hash % 25 == 0 ? (int)(hash % 75 / 25) + 2 : 1;
    core->entity = (int)(hash % N_ENTITIES);
    core->category = hash % 11 == 0 ? 0 : (int)(hash % 601 % N_CATEGORIES) + 1;
    core->location = hash % 4 == 0 ? 0 : (int)(hash % 401 % N_LOCATIONS) + 1;
    core->request_type = (int)(hash % 13 % 6) + 1;
    core->requester = FIRST_REQUESTER + (int)(hash % 65537 % N_REQUESTERS);
    core->technician = FIRST_TECHNICIAN + (int)(hash % 32771 % N_TECHNICIANS);
    core->group = (int)(hash % 8191 % N_GROUPS) + 1;
    core->action_seconds = gen_count(world, ITEM_TicketTask, index) * 1800;
    derive_life(core);
    derive_agreements(core);
}

static struct cell put(char *out, int length)
{
    size_t len = length < CELL_TEXT_MAX ? (size_t)length : CELL_TEXT_MAX - 1;

    return cell_text((struct str){out, len});
}

static struct cell text_cell(const struct ticket_core *core, int column, char *out)
{
    long long id = core->id;

    if (column == Ticket_name) {
        const char *subject = subjects[core->hash % ARRAY_SIZE(subjects)];

        return core->hash % 3 == 0
                   ? put(out, snprintf(out, CELL_TEXT_MAX, "Chamado %06lld", id))
                   : put(out, snprintf(out, CELL_TEXT_MAX, "Chamado %06lld: %s", id, subject));
    }
    if (core->hash % 17 == 0) {
        return put(out, snprintf(out, CELL_TEXT_MAX,
                                 "Texto simples do chamado %lld\nlinha 2: 5 > 3 & 2 < 4", id));
    }
    return put(out,
               snprintf(out, CELL_TEXT_MAX,
                        "<p>Descrição do chamado %lld &amp; detalhes <b>negrito</b></p>"
                        "<p>O usuário %d informa: &lt;sem acesso&gt; desde ontem, sala %d.</p>",
                        id, core->requester, core->location));
}

static int64_t delay(int64_t from_s, int64_t to_s, int64_t waited)
{
    return to_s == 0 ? 0 : to_s - from_s - waited > 0 ? to_s - from_s - waited : 1;
}

static struct cell time_cell(const struct ticket_core *core, int column)
{
    switch (column) {
    case Ticket_date:
    case Ticket_date_creation:
        return cell_time(core->date_s);
    case Ticket_closedate:
        return cell_time(core->close_s);
    case Ticket_solvedate:
        return cell_time(core->solve_s);
    case Ticket_takeintoaccountdate:
        return cell_time(core->took_s);
    case Ticket_date_mod:
        return cell_time(core->mod_s);
    case Ticket_time_to_resolve:
        return cell_time(core->ttr_s);
    case Ticket_time_to_own:
        return cell_time(core->tto_s);
    case Ticket_begin_waiting_date:
        return cell_time(core->waiting_since_s);
    case Ticket_ola_ttr_begin_date:
        return cell_time(core->ola_ttr > 0 ? core->date_s : 0);
    case Ticket_internal_time_to_resolve:
        return cell_time(core->internal_ttr_s);
    default:
        return cell_null();
    }
}

static int64_t duration(const struct ticket_core *core, int column)
{
    switch (column) {
    case Ticket_sla_waiting_duration:
        return core->sla_ttr > 0 ? core->waited_seconds : 0;
    case Ticket_ola_waiting_duration:
        return core->ola_ttr > 0 ? core->waited_seconds : 0;
    case Ticket_waiting_duration:
        return core->waited_seconds;
    case Ticket_close_delay_stat:
        return delay(core->date_s, core->close_s, core->waited_seconds);
    case Ticket_solve_delay_stat:
        return delay(core->date_s, core->solve_s, core->waited_seconds);
    case Ticket_takeintoaccount_delay_stat:
        return delay(core->date_s, core->took_s, 0);
    case Ticket_actiontime:
        return core->action_seconds;
    default:
        return 0;
    }
}

static int64_t key(const struct ticket_core *core, int column)
{
    switch (column) {
    case Ticket_id:
        return core->id;
    case Ticket_entities_id:
        return core->entity;
    case Ticket_users_id_lastupdater:
        return core->status == 1 ? core->requester : core->technician;
    case Ticket_users_id_recipient:
        return core->requester;
    case Ticket_requesttypes_id:
        return core->request_type;
    case Ticket_itilcategories_id:
        return core->category;
    case Ticket_locations_id:
        return core->location;
    case Ticket_slas_id_ttr:
        return core->sla_ttr;
    case Ticket_slas_id_tto:
        return core->sla_tto;
    case Ticket_olas_id_ttr:
        return core->ola_ttr;
    default:
        return duration(core, column);
    }
}

struct cell ticket_cell(const struct ticket_core *core, int column, char scratch[CELL_TEXT_MAX])
{
    switch (column) {
    case Ticket_name:
    case Ticket_content:
        return text_cell(core, column, scratch);
    case Ticket_externalid:
        return cell_null();
    case Ticket_status:
        return cell_int(core->status);
    case Ticket_urgency:
        return cell_int(core->urgency);
    case Ticket_impact:
        return cell_int(core->impact);
    case Ticket_priority:
        return cell_int(core->priority);
    case Ticket_type:
        return cell_int(core->type);
    case Ticket_global_validation:
        return cell_int(core->validation);
    case Ticket_is_deleted:
        return cell_int(core->trashed ? 1 : 0);
    default:
        return itemtypes[ITEM_Ticket].columns[column].type == TYPE_TIME
                   ? time_cell(core, column)
                   : cell_int(key(core, column));
    }
}
