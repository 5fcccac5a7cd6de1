#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/azure_devops.h"
#include "tests/sim/azure_devops/system.h"
#include "tests/sim/gzip.h"

/* The Volvo log: one case is one work item, one event one revision, as of the simulated clock. */

#define LOG_MAX_BYTES ((size_t)256 << 20)

enum column {
    LOG,
    CASE,
    SEQ,
    AT,
    LOCAL,
    STATUS,
    SUBSTATUS,
    OWNER,
    COUNTRY,
    GROUP,
    ROLE,
    ORG_LINE,
    ORG_COUNTRY,
    IMPACT,
    PRODUCT,
    N_COLUMNS
};

/* Texts numbered in the order of their first appearance. */
struct names {
    struct str *items;
    int n, capacity;
    int *slots; /* hash table of n + 1, 0: free */
    int n_slots;
};

struct event {
    int64_t at_s, order;
    int64_t seq;
    struct str columns[N_COLUMNS];
    int item; /* number of (log, case) */
    int owner, area;
    bool problem;
};

struct azure_replay {
    char *text, *area_text; /* what the names point into */
    int first_person;       /* of the owners, in the world */
    int *nodes;             /* by area number */
    struct event *events;
    int64_t n_events, next;
    int64_t *ids; /* by item number */
    struct names items, owners, areas;
    int64_t applied_us;
};

static uint64_t hash_text(struct str text)
{
    uint64_t h = 1469598103934665603U;

    for (size_t i = 0; i < text.len; i++) {
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211U;
    }
    return h;
}

static void rehash(struct names *names)
{
    names->n_slots = names->n_slots * 2 + 4096;
    xfree(names->slots);
    names->slots = xcalloc((size_t)names->n_slots, sizeof(*names->slots));
    for (int i = 0; i < names->n; i++) {
        uint64_t at = hash_text(names->items[i]) % (uint64_t)names->n_slots;

        while (names->slots[at] != 0) {
            at = (at + 1) % (uint64_t)names->n_slots;
        }
        names->slots[at] = i + 1;
    }
}

static int number_of(struct names *names, struct str text)
{
    if (names->n * 2 >= names->n_slots) {
        rehash(names);
    }
    uint64_t at = hash_text(text) % (uint64_t)names->n_slots;

    while (names->slots[at] != 0) {
        if (str_equal(names->items[names->slots[at] - 1], text)) {
            return names->slots[at] - 1;
        }
        at = (at + 1) % (uint64_t)names->n_slots;
    }
    if (names->n == names->capacity) {
        names->capacity = names->capacity * 2 + 1024;
        names->items = xrealloc(names->items, (size_t)names->capacity * sizeof(*names->items));
    }
    names->items[names->n++] = text;
    names->slots[at] = names->n;
    return names->n - 1;
}

static void free_names(struct names *names)
{
    xfree(names->items);
    xfree(names->slots);
}

void azure_replay_close(struct azure_replay *replay)
{
    if (replay == NULL) {
        return;
    }
    free_names(&replay->items);
    free_names(&replay->owners);
    free_names(&replay->areas);
    xfree(replay->events);
    xfree(replay->ids);
    xfree(replay->nodes);
    xfree(replay->area_text);
    xfree(replay->text);
    xfree(replay);
}

/* What lies between two columns of one line, both included: a key without a copy. */
static struct str span(const struct event *event, enum column first, enum column last)
{
    const char *start = event->columns[first].ptr;

    return (struct str){start,
                        (size_t)(event->columns[last].ptr + event->columns[last].len - start)};
}

static bool parse_event(struct azure_replay *replay, struct str line, struct event *event)
{
    int64_t at_us;

    for (int i = 0; i < N_COLUMNS; i++) {
        if (line.ptr == NULL) {
            return false;
        }
        event->columns[i] = str_cut(&line, ',');
    }
    if (!instant_parse_rfc3339(event->columns[AT], &at_us) ||
        !str_to_int64(event->columns[SEQ], 1, 100000, &event->seq)) {
        return false;
    }
    event->at_s = at_us / US_PER_S;
    event->problem = !str_equal_c(event->columns[LOG], "incidents");
    event->item = number_of(&replay->items, span(event, LOG, CASE));
    event->owner = number_of(&replay->owners, event->columns[OWNER]);
    return true;
}

static int compare_events(const void *a, const void *b)
{
    const struct event *left = a;
    const struct event *right = b;

    if (left->at_s != right->at_s) {
        return left->at_s < right->at_s ? -1 : 1;
    }
    int cases = str_compare(left->columns[CASE], right->columns[CASE]);

    if (cases != 0) {
        return cases;
    }
    return left->seq != right->seq      ? (left->seq < right->seq ? -1 : 1)
           : left->order < right->order ? -1
           : left->order > right->order ? 1
                                        : 0;
}

/* "V30" of "Org line A2" in the second project: "1|Org line A2|V30", kept in `text`. */
static void name_area(struct azure_replay *replay, struct event *event, struct buf *text)
{
    size_t before = text->len;

    buf_addf(text, "%d|%.*s|%.*s", event->problem ? 1 : 0, STR_ARG(event->columns[ORG_LINE]),
             STR_ARG(event->columns[GROUP]));
    int n = replay->areas.n;

    event->area = number_of(&replay->areas, (struct str){text->ptr + before, text->len - before});
    if (event->area < n) {
        buf_truncate(text, before);
    }
}

static bool
index_events(struct azure_replay *replay, struct str text, struct buf *areas, struct error *err)
{
    int64_t capacity = 0;

    if (str_starts_with(text, STR_LITERAL("\xEF\xBB\xBF"))) {
        text = (struct str){text.ptr + 3, text.len - 3};
    }
    (void)str_cut(&text, '\n');
    while (text.ptr != NULL && text.len > 0) {
        if (replay->n_events == capacity) {
            capacity = capacity * 2 + 4096;
            replay->events = xrealloc(replay->events, (size_t)capacity * sizeof(*replay->events));
        }
        struct event *event = &replay->events[replay->n_events];

        memset(event, 0, sizeof(*event));
        event->order = replay->n_events++;
        if (!parse_event(replay, str_trim(str_cut(&text, '\n')), event)) {
            return error_set(err, ERROR_CONFIG, "--data: row %lld of the log is not understood",
                             (long long)replay->n_events + 1);
        }
        name_area(replay, event, areas);
    }
    if (replay->n_events > 1) {
        qsort(replay->events, (size_t)replay->n_events, sizeof(*replay->events), compare_events);
    }
    return true;
}

/* An item's id is its rank by first event. */
static void number_items(struct azure_replay *replay)
{
    int64_t last = 0;

    replay->ids = xcalloc((size_t)replay->items.n + 1, sizeof(*replay->ids));
    for (int64_t e = 0; e < replay->n_events; e++) {
        int64_t *id = &replay->ids[replay->events[e].item];

        *id = *id == 0 ? ++last : *id;
    }
}

struct azure_replay *azure_replay_open(const char *data_dir, struct error *err)
{
    char *path CLEANUP(xfreep) = xasprintf("%s/%s", data_dir, AZURE_DEVOPS_LOG);
    struct azure_replay *replay = XNEW(struct azure_replay);
    struct buf text CLEANUP(buf_release) = {0};
    struct buf areas CLEANUP(buf_release) = {0};

    replay->applied_us = INT64_MIN;
    buf_init(&text, LOG_MAX_BYTES);
    /* Keys point into it: it must not move. */
    buf_init(&areas, (size_t)4 << 20);
    if (!gzip_read_file(path, &text, err) || !buf_reserve(&areas, (size_t)2 << 20) ||
        !index_events(replay, buf_str(&text), &areas, err)) {
        replay->text = buf_take(&text);
        azure_replay_close(replay);
        return NULL;
    }
    number_items(replay);
    replay->text = buf_take(&text);
    replay->area_text = buf_take(&areas);
    return replay;
}

int64_t azure_replay_end_s(const struct azure_replay *replay)
{
    return replay->n_events > 0 ? replay->events[replay->n_events - 1].at_s : 0;
}

static bool is_nobody(struct str owner)
{
    return str_equal_c(owner, "Siebel") || str_equal_c(owner, "-") || owner.len == 0;
}

void azure_replay_rewind(struct azure_replay *replay, struct azure *azure)
{
    struct azure_world *world = &azure->world;
    int process = azure_find_process(world, STR_LITERAL("VINST"));
    int64_t first_us = replay->n_events > 0 ? replay->events[0].at_s * US_PER_S : 0;
    char display[128];
    char unique[128];

    replay->next = 0;
    replay->applied_us = INT64_MIN;
    (void)azure_add_project(world, "VINST", process, first_us);
    (void)azure_add_project(world, "VINST-Problems", process, first_us);
    replay->first_person = world->n_people;
    for (int i = 0; i < replay->owners.n; i++) {
        snprintf(display, sizeof(display), "%.*s", STR_ARG(replay->owners.items[i]));
        snprintf(unique, sizeof(unique), "owner%04d@vinst.example", i);
        int p = azure_add_person(world, display, unique);

        world->people[p].service = is_nobody(replay->owners.items[i]);
        world->people[p].created_us = first_us;
    }
    replay->nodes = xrealloc(replay->nodes, ((size_t)replay->areas.n + 1) * sizeof(*replay->nodes));
    for (int i = 0; i < replay->areas.n; i++) {
        struct str rest = replay->areas.items[i];
        struct str project = str_cut(&rest, '|');
        struct str line = str_cut(&rest, '|');
        int p = project.ptr[0] - '0';
        int parent = -1;

        snprintf(display, sizeof(display), "%.*s", STR_ARG(line));
        for (int n = world->projects[p].areas + 1; n < world->n_nodes && parent < 0; n++) {
            if (world->nodes[n].parent == world->projects[p].areas &&
                strcmp(world->nodes[n].name, display) == 0) {
                parent = n;
            }
        }
        parent = parent >= 0 ? parent
                             : azure_add_node(world, p, world->projects[p].areas, display, false);
        snprintf(display, sizeof(display), "%.*s", STR_ARG(rest));
        replay->nodes[i] = azure_add_node(world, p, parent, display, false);
    }
    world->n_born_people = world->n_people;
    azure->items.last_id = replay->items.n;
}

static int priority(struct str impact)
{
    return str_equal_c(impact, "Major")    ? 1
           : str_equal_c(impact, "High")   ? 2
           : str_equal_c(impact, "Medium") ? 3
           : str_equal_c(impact, "Low")    ? 4
                                           : 0;
}

static void set_state(struct azure_items *items,
                      const struct event *event,
                      struct azure_revision *r,
                      bool known)
{
    bool same = known && str_equal_c(event->columns[STATUS], r->state);
    bool done = str_equal_c(event->columns[STATUS], "Completed");
    bool accepted = str_equal_c(event->columns[STATUS], "Accepted");

    r->state_changed_us = same ? r->state_changed_us : r->changed_us;
    r->state = same ? r->state : azure_keep_text(items, event->columns[STATUS]);
    r->reason = azure_keep_text(items, event->columns[SUBSTATUS]);
    r->category = done ? "Completed" : accepted ? "InProgress" : "Proposed";
    r->closed_us = done ? r->state_changed_us : AZURE_NEVER;
    r->resolved_us =
        done && !str_equal_c(event->columns[SUBSTATUS], "Closed") ? r->changed_us : AZURE_NEVER;
    if (accepted && r->activated_us == AZURE_NEVER) {
        r->activated_us = r->changed_us;
    }
}

static void apply_event(struct azure *azure, const struct event *event)
{
    struct azure_replay *replay = azure->replay;
    struct azure_items *items = &azure->items;
    struct azure_revision r;
    bool known = azure_revision_get(items, replay->ids[event->item], 0, &r);
    int person = replay->first_person + event->owner;

    if (azure_item_destroyed(items, replay->ids[event->item])) {
        return;
    }
    if (!known) {
        char title[256];

        memset(&r, 0, sizeof(r));
        r.id = replay->ids[event->item];
        r.created_us = event->at_s * US_PER_S;
        r.created_by = person;
        r.activated_us = AZURE_NEVER;
        r.type = event->problem ? "Bug" : "Issue";
        snprintf(title, sizeof(title), "%.*s %.*s", STR_ARG(event->columns[PRODUCT]),
                 STR_ARG(event->columns[CASE]));
        r.title = azure_keep_text(items, str_from(title));
    }
    r.project = event->problem ? 1 : 0;
    r.iteration = azure->world.projects[r.project].iterations;
    r.area = replay->nodes[event->area];
    r.changed_us = event->at_s * US_PER_S;
    r.changed_by = person;
    r.assigned = is_nobody(event->columns[OWNER]) ? -1 : person;
    r.priority = priority(event->columns[IMPACT]);
    r.product = azure_keep_text(items, event->columns[PRODUCT]);
    r.country = azure_keep_text(items, event->columns[COUNTRY]);
    set_state(items, event, &r, known);
    (void)azure_append(items, &r);
}

void azure_replay_apply(struct azure *azure, int64_t now_us)
{
    struct azure_replay *replay = azure->replay;

    if (replay == NULL) {
        return;
    }
    pthread_rwlock_rdlock(&azure->lock);
    bool due =
        now_us < replay->applied_us ||
        (replay->next < replay->n_events && replay->events[replay->next].at_s <= now_us / US_PER_S);

    pthread_rwlock_unlock(&azure->lock);
    if (!due) {
        return;
    }
    pthread_rwlock_wrlock(&azure->lock);
    if (now_us < replay->applied_us) {
        azure_rebuild(azure);
    }
    while (replay->next < replay->n_events &&
           replay->events[replay->next].at_s <= now_us / US_PER_S) {
        apply_event(azure, &replay->events[replay->next++]);
    }
    replay->applied_us = now_us;
    pthread_rwlock_unlock(&azure->lock);
}
