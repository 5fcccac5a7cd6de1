#include "tests/sim/glpi/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/directory.h"
#include "tests/sim/glpi/effects.h"
#include "tests/sim/glpi/glpi.h"
#include "tests/sim/gzip.h"

#define LOG_MAX_BYTES ((size_t)64 << 20)

enum { N_FIELDS = 16, VALUE_MAX = 1000, FIRST_RESOURCE = 100, ROLE_ASSIGNED = 2 };

enum { CASE = 0, ACTIVITY, RESOURCE, AT };

enum {
    CUSTOMER = 8,
    PRODUCT,
    SECTION,
    SERIOUSNESS,
    SERVICE_LEVEL,
    SERVICE_TYPE,
    SUPPORT,
    WORKGROUP
};

struct event {
    int64_t at_s, order;
    int64_t ticket, resource, customer, product, seriousness, service_type, workgroup;
    struct str activity;
};

/* Who is already assigned to a ticket. */
struct assigned {
    uint64_t users, groups;
};

struct glpi_replay {
    char *text;
    struct event *events;
    int64_t n_events, next, applied_s, n_tickets;
    struct assigned *assigned; /* by ticket id */
    bool customers[VALUE_MAX], products[VALUE_MAX], resources[VALUE_MAX], groups[VALUE_MAX];
};

/* "2012/10/09 14:50:17.000" */
static bool parse_time(struct str text, int64_t *ret_s)
{
    char copy[20];
    int64_t us;

    if (text.len < 19) {
        return false;
    }
    memcpy(copy, text.ptr, 19);
    copy[4] = '-';
    copy[7] = '-';
    copy[19] = '\0';
    if (!instant_parse_plain((struct str){copy, 19}, &us)) {
        return false;
    }
    *ret_s = us / 1000000;
    return true;
}

/* "Value 12", "Case 4580" */
static bool parse_number(struct str text, int64_t max, int64_t *ret)
{
    (void)str_cut(&text, ' ');
    return str_to_int64(text, 1, max, ret);
}

static bool parse_event(struct str line, struct event *event)
{
    struct str fields[N_FIELDS];
    int n = 0;

    while (line.ptr != NULL && n < N_FIELDS) {
        fields[n++] = str_cut(&line, ',');
    }
    if (n != N_FIELDS || line.ptr != NULL) {
        return false;
    }
    event->activity = fields[ACTIVITY];
    return parse_time(fields[AT], &event->at_s) &&
           parse_number(fields[CASE], 1000000, &event->ticket) &&
           parse_number(fields[RESOURCE], VALUE_MAX - 1, &event->resource) &&
           parse_number(fields[CUSTOMER], VALUE_MAX - 1, &event->customer) &&
           parse_number(fields[PRODUCT], VALUE_MAX - 1, &event->product) &&
           parse_number(fields[SERIOUSNESS], VALUE_MAX - 1, &event->seriousness) &&
           parse_number(fields[SERVICE_TYPE], VALUE_MAX - 1, &event->service_type) &&
           parse_number(fields[WORKGROUP], 63, &event->workgroup);
}

static int compare_events(const void *a, const void *b)
{
    const struct event *left = a;
    const struct event *right = b;

    if (left->at_s != right->at_s) {
        return left->at_s < right->at_s ? -1 : 1;
    }
    return left->order < right->order ? -1 : left->order > right->order ? 1 : 0;
}

static bool read_events(struct glpi_replay *replay, struct str text, struct error *err)
{
    int64_t capacity = 0;

    (void)str_cut(&text, '\n'); /* the header */
    while (text.ptr != NULL && text.len > 0) {
        struct event event = {.order = replay->n_events};

        if (!parse_event(str_cut(&text, '\n'), &event)) {
            return error_set(err, ERROR_CONFIG, "--data: row %lld of %s is not understood",
                             (long long)replay->n_events + 2, GLPI_LOG);
        }
        if (replay->n_events == capacity) {
            capacity = capacity * 2 + 4096;
            replay->events = xrealloc(replay->events, (size_t)capacity * sizeof(struct event));
        }
        replay->events[replay->n_events++] = event;
        replay->n_tickets = event.ticket > replay->n_tickets ? event.ticket : replay->n_tickets;
        replay->customers[event.customer] = true;
        replay->products[event.product] = true;
        replay->resources[event.resource] = true;
        replay->groups[event.workgroup] = true;
    }
    if (replay->n_events > 1) {
        qsort(replay->events, (size_t)replay->n_events, sizeof(struct event), compare_events);
    }
    return true;
}

void glpi_replay_rewind(struct glpi_replay *replay, struct items *items)
{
    char name[64];
    char login[64];

    replay->next = 0;
    replay->applied_s = INT64_MIN;
    memset(replay->assigned, 0, (size_t)(replay->n_tickets + 1) * sizeof(struct assigned));
    for (int i = 1; i < VALUE_MAX; i++) {
        if (replay->customers[i]) {
            snprintf(name, sizeof(name), "Customer %d", i);
            directory_tree(items, ITEM_Entity, i, 0, str_from(name));
        }
        if (replay->products[i]) {
            snprintf(name, sizeof(name), "Product %d", i);
            directory_tree(items, ITEM_ITILCategory, i, 0, str_from(name));
        }
        if (replay->groups[i]) {
            snprintf(name, sizeof(name), "Workgroup %d", i);
            directory_tree(items, ITEM_Group, i, 0, str_from(name));
        }
        if (replay->resources[i]) {
            snprintf(name, sizeof(name), "Resource %d", i);
            snprintf(login, sizeof(login), "resource.%d", i);
            directory_user(items, FIRST_RESOURCE + i, str_from(login), str_from(name), STR_NONE);
        }
    }
}

struct glpi_replay *glpi_replay_open(const char *data_dir, struct items *items, struct error *err)
{
    char *path CLEANUP(xfreep) = xasprintf("%s/%s", data_dir, GLPI_LOG);
    struct glpi_replay *replay = XNEW(struct glpi_replay);
    struct buf text;

    buf_init(&text, LOG_MAX_BYTES);
    bool ok = gzip_read_file(path, &text, err);
    size_t len = text.len;

    replay->text = len > 0 ? buf_take(&text) : NULL;
    if (!ok || !read_events(replay, (struct str){replay->text, len}, err)) {
        glpi_replay_close(replay);
        return NULL;
    }
    replay->assigned = xcalloc((size_t)replay->n_tickets + 1, sizeof(struct assigned));
    glpi_replay_rewind(replay, items);
    return replay;
}

void glpi_replay_close(struct glpi_replay *replay)
{
    if (replay != NULL) {
        xfree(replay->assigned);
        xfree(replay->events);
        xfree(replay->text);
        xfree(replay);
    }
}

int64_t glpi_replay_end_s(const struct glpi_replay *replay)
{
    return replay->n_events == 0 ? 0 : replay->events[replay->n_events - 1].at_s;
}

bool glpi_replay_is_due(const struct glpi_replay *replay, int64_t now_s)
{
    return now_s < replay->applied_s ||
           (replay->next < replay->n_events && replay->events[replay->next].at_s <= now_s);
}

/* The status an event leads to; 0: it stays. */
static int status_after(struct str activity)
{
    static const struct {
        const char *activity;
        int status;
    } steps[] = {{"Take in charge ticket", 2},
                 {"Schedule intervention", 3},
                 {"Require upgrade", 3},
                 {"Create SW anomaly", 3},
                 {"Wait", 4},
                 {"Resolve ticket", 5},
                 {"RESOLVED", 5},
                 {"Resolve SW anomaly", 5},
                 {"DUPLICATE", 5},
                 {"INVALID", 5},
                 {"VERIFIED", 5},
                 {"Closed", 6},
                 {"Assign seriousness", 1},
                 {"Insert ticket", 1}};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        if (str_equal_c(activity, steps[i].activity)) {
            return steps[i].status;
        }
    }
    return 0;
}

static void open_ticket(const struct effects *effects, const struct event *event)
{
    struct draft draft;
    char text[128];

    draft_init(&draft);
    effect_begin_ticket(effects, &draft);
    draft_set_number(&draft, Ticket_id, event->ticket);
    snprintf(text, sizeof(text), "Product %lld, customer %lld", (long long)event->product,
             (long long)event->customer);
    draft_set_text(&draft, Ticket_name, str_from(text));
    draft_set_number(&draft, Ticket_entities_id, event->customer);
    draft_set_number(&draft, Ticket_itilcategories_id, event->product);
    draft_set_number(&draft, Ticket_type, event->service_type == 1 ? 1 : 2);
    draft_set_number(&draft, Ticket_urgency, event->seriousness < 5 ? event->seriousness + 1 : 5);
    (void)effect_new_ticket(effects, &draft);
    draft_release(&draft);
}

static void
assign(struct glpi_replay *replay, const struct effects *effects, const struct event *event)
{
    struct assigned *known = &replay->assigned[event->ticket];
    uint64_t user = UINT64_C(1) << (event->resource % 64);
    uint64_t group = UINT64_C(1) << event->workgroup;

    if ((known->groups & group) == 0) {
        struct actor_row actor = {.table = ITEM_Group_Ticket,
                                  .ticket = event->ticket,
                                  .who = event->workgroup,
                                  .type = ROLE_ASSIGNED};

        known->groups |= group;
        (void)effect_add_actor(effects, &actor);
    }
    if ((known->users & user) == 0 && str_equal_c(event->activity, "Take in charge ticket")) {
        struct actor_row actor = {.table = ITEM_Ticket_User,
                                  .ticket = event->ticket,
                                  .who = FIRST_RESOURCE + event->resource,
                                  .type = ROLE_ASSIGNED};

        known->users |= user;
        (void)effect_add_actor(effects, &actor);
    }
}

static void add_solution(const struct effects *effects, const struct event *event)
{
    struct draft draft;

    draft_init(&draft);
    effect_begin_child(effects, ITEM_ITILSolution, &draft);
    draft_set_number(&draft, ITILSolution_items_id, event->ticket);
    draft_set_text(&draft, ITILSolution_content, event->activity);
    (void)effect_new_child(effects, ITEM_ITILSolution, &draft);
    draft_release(&draft);
}

static void apply(struct glpi_replay *replay, struct items *items, const struct event *event)
{
    struct effects effects = {.items = items,
                              .now_s = event->at_s,
                              .user = FIRST_RESOURCE + event->resource,
                              .history = true,
                              .touch = true};
    struct item_table *tickets = &items->tables[ITEM_Ticket];
    int64_t n_log = items->tables[ITEM_Log].next_id;
    struct draft draft;
    struct item item;

    if (!items_find(tickets, event->ticket, &item)) {
        open_ticket(&effects, event);
    }
    assign(replay, &effects, event);
    int status = status_after(event->activity);

    if (status == 5 && !str_equal_c(event->activity, "VERIFIED")) {
        add_solution(&effects, event);
    }
    (void)items_find(tickets, event->ticket, &item);
    draft_init(&draft);
    draft_load(&draft, &item);
    if (status != 0) {
        effect_status(&effects, &draft, status);
    }
    if (status == 1) {
        draft_set_number(&draft, Ticket_priority, draft.cells[Ticket_urgency].number);
    }
    effect_save_ticket(&effects, &draft, &item);
    draft_release(&draft);
    if (items->tables[ITEM_Log].next_id == n_log) { /* nothing that GLPI tells apart */
        effect_log(&effects, event->ticket, "", 12, 0, (struct str){"", 0}, event->activity);
    }
}

void glpi_replay_advance(struct glpi_replay *replay, struct items *items, int64_t now_s)
{
    if (now_s < replay->applied_s) {
        items_reset(items);
        directory_fill(items);
        glpi_replay_rewind(replay, items);
    }
    while (replay->next < replay->n_events && replay->events[replay->next].at_s <= now_s) {
        apply(replay, items, &replay->events[replay->next++]);
    }
    replay->applied_s = now_s;
}
