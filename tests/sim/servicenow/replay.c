#include "tests/sim/servicenow/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/instant.h"
#include "tests/sim/gzip.h"
#include "tests/sim/md5.h"
#include "tests/sim/servicenow/servicenow.h"
#include "tests/sim/servicenow/world.h"

#define LOG_MAX_BYTES ((size_t)256 << 20)
#define DIMENSION_S   INT64_C(1451606400) /* 2016-01-01: before everything */

enum { N_CSV = 36, SET_MAX = 48 };

enum kind { KIND_TEXT, KIND_TIME, KIND_CODE, KIND_STATE, KIND_NOTIFY, KIND_REF, KIND_FINAL };

/* The log's columns in file order and where they go. */
static const struct {
    const char *column;
    enum kind kind;
    const char *target;
} mapping[N_CSV] = {
    {"number", KIND_TEXT, NULL},
    {"state", KIND_STATE, NULL},
    {"active", KIND_TEXT, NULL},
    {"reassignment_count", KIND_TEXT, NULL},
    {"reopen_count", KIND_TEXT, NULL},
    {"sys_mod_count", KIND_TEXT, NULL},
    {"made_sla", KIND_TEXT, NULL},
    {"caller_id", KIND_REF, "sys_user"},
    {"opened_by", KIND_REF, "sys_user"},
    {"opened_at", KIND_TIME, NULL},
    {"sys_created_by", KIND_TEXT, NULL},
    {"sys_created_on", KIND_TIME, NULL},
    {"sys_updated_by", KIND_TEXT, NULL},
    {"sys_updated_on", KIND_TIME, NULL},
    {"contact_type", KIND_TEXT, NULL},
    {"location", KIND_REF, "cmn_location"},
    {"category", KIND_TEXT, NULL},
    {"subcategory", KIND_TEXT, NULL},
    {"u_symptom", KIND_TEXT, NULL},
    {"cmdb_ci", KIND_REF, "cmdb_ci"},
    {"impact", KIND_CODE, NULL},
    {"urgency", KIND_CODE, NULL},
    {"priority", KIND_CODE, NULL},
    {"assignment_group", KIND_REF, "sys_user_group"},
    {"assigned_to", KIND_REF, "sys_user"},
    {"knowledge", KIND_TEXT, NULL},
    {"u_priority_confirmation", KIND_TEXT, NULL},
    {"notify", KIND_NOTIFY, NULL},
    {"problem_id", KIND_REF, "problem"},
    {"rfc", KIND_REF, "change_request"},
    {"vendor", KIND_REF, "core_company"},
    {"caused_by", KIND_REF, "change_request"},
    {"close_code", KIND_FINAL, NULL},
    {"resolved_by", KIND_FINAL, "sys_user"},
    {"resolved_at", KIND_FINAL, NULL},
    {"closed_at", KIND_FINAL, NULL},
};

enum { CSV_NUMBER = 0, CSV_STATE = 1, CSV_OPENED = 9, CSV_CREATED = 11, CSV_UPDATED = 13 };

enum { CSV_CLOSE_CODE = 32, CSV_RESOLVED_BY = 33, CSV_RESOLVED_AT = 34 };

struct event {
    int64_t at_s;
    int64_t order; /* in the file */
    struct str line;
};

/* A value that the log refers to: a row of its own. */
struct dimension {
    const char *table;
    struct str value;
};

struct replay {
    char *text; /* the log, unpacked */
    struct dimension *dimensions;
    int64_t n_dimensions;
    int columns[N_CSV]; /* of incident */
    struct event *events;
    int64_t n_events;
    int64_t next;
    int64_t applied_s; /* INT64_MIN: nothing yet */
};

/* Scratch of one row's values. */
struct version {
    struct str csv[N_CSV];
    struct assignment set[SET_MAX];
    int n_set;
    char room[SET_MAX][48];
};

static bool split(struct str line, struct str csv[N_CSV])
{
    int n = 0;

    while (line.ptr != NULL && n < N_CSV) {
        csv[n] = str_cut(&line, ',');
        if (str_equal_c(csv[n], "?")) {
            csv[n] = (struct str){"", 0};
        }
        n++;
    }
    return n == N_CSV && line.ptr == NULL;
}

/* "29/2/2016 01:16"; false for "" and anything else. */
static bool parse_time(struct str text, int64_t *ret_s)
{
    struct str clock = text;
    struct str date = str_cut(&clock, ' ');
    struct str hour = str_cut(&clock, ':');
    struct str day = str_cut(&date, '/');
    struct str month = str_cut(&date, '/');
    int64_t d;
    int64_t m;
    int64_t y;
    int64_t h;
    int64_t min;

    if (!str_to_int64(day, 1, 31, &d) || !str_to_int64(month, 1, 12, &m) ||
        !str_to_int64(date, 1970, 9999, &y) || !str_to_int64(hour, 0, 23, &h) ||
        !str_to_int64(clock, 0, 59, &min)) {
        return false;
    }
    *ret_s = instant_days_from_civil(y, (unsigned)m, (unsigned)d) * 86400 + h * 3600 + min * 60;
    return true;
}

static struct str state_code(struct str name)
{
    static const struct {
        const char *name, *code;
    } states[] = {{"New", "1"},
                  {"Active", "2"},
                  {"Awaiting Problem", "3"},
                  {"Awaiting User Info", "4"},
                  {"Awaiting Evidence", "5"},
                  {"Resolved", "6"},
                  {"Closed", "7"},
                  {"Awaiting Vendor", "20"}};

    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (str_equal_c(name, states[i].name)) {
            return str_from(states[i].code);
        }
    }
    return name; /* -100 */
}

static void reference(const char *table, struct str value, char out[33])
{
    char text[256];

    snprintf(text, sizeof(text), "%s:%.*s", table, STR_ARG(value));
    md5_hex(str_from(text), out);
}

static struct str convert(enum kind kind, const char *target, struct str value, char room[48])
{
    int64_t at_s;

    if (value.len == 0) {
        return value;
    }
    if (target != NULL) {
        reference(target, value, room);
        return (struct str){room, 32};
    }
    switch (kind) {
    case KIND_TIME:
        return parse_time(value, &at_s) ? put_time(at_s, room) : (struct str){"", 0};
    case KIND_CODE:
        return (struct str){value.ptr, 1};
    case KIND_STATE:
        return state_code(value);
    case KIND_NOTIFY:
        return str_equal_c(value, "Do Not Notify") ? STR_LITERAL("1")
               : str_equal_c(value, "Send Email")  ? STR_LITERAL("2")
                                                   : value;
    case KIND_TEXT:
    case KIND_REF:
    case KIND_FINAL:
        return value;
    }
    return value;
}

static void
set_column(struct version *v, const struct table *table, const char *column, struct str value)
{
    v->set[v->n_set].column = table_column(table, str_from(column));
    v->set[v->n_set].value = value;
    v->n_set++;
}

static void set_csv(const struct replay *replay, struct version *v, int i, struct str value)
{
    v->set[v->n_set].column = replay->columns[i];
    v->set[v->n_set].value = convert(mapping[i].kind, mapping[i].target, value, v->room[v->n_set]);
    v->n_set++;
}

/* What only holds once the incident is resolved or closed. */
static void set_outcome(const struct replay *replay,
                        struct version *v,
                        const struct table *table,
                        struct row *before,
                        bool known)
{
    struct str state = v->csv[CSV_STATE];
    char out[CELL_MAX];
    int resolved_by = table_column(table, STR_LITERAL("resolved_by"));

    if (str_equal_c(state, "Resolved")) {
        set_csv(replay, v, CSV_RESOLVED_BY, v->csv[CSV_RESOLVED_BY]);
        if (v->csv[CSV_RESOLVED_AT].len > 0) {
            set_column(v, table, "resolved_at",
                       convert(KIND_TIME, NULL, v->csv[CSV_UPDATED], v->room[v->n_set]));
        }
    }
    if (str_equal_c(state, "Closed")) {
        set_column(v, table, "closed_at",
                   convert(KIND_TIME, NULL, v->csv[CSV_UPDATED], v->room[v->n_set]));
        set_csv(replay, v, CSV_CLOSE_CODE, v->csv[CSV_CLOSE_CODE]);
        if (!known || row_cell(before, resolved_by, out).len == 0) {
            set_csv(replay, v, CSV_RESOLVED_BY, v->csv[CSV_RESOLVED_BY]);
        }
    }
}

static void write_audit(struct store *store,
                        const struct table *incident,
                        struct row *before,
                        const struct version *v,
                        struct str id)
{
    struct table *audit = store_table(store, STR_LITERAL("sys_audit"));
    char out[CELL_MAX];

    for (int i = 0; i < v->n_set && i < N_CSV; i++) {
        const char *name = incident->columns[v->set[i].column].name;
        struct version note = {.n_set = 0};
        struct str old = row_cell(before, v->set[i].column, out);

        if (strncmp(name, "sys_", 4) == 0 || strcmp(name, "resolved_at") == 0 ||
            strcmp(name, "resolved_by") == 0 || strcmp(name, "closed_at") == 0 ||
            strcmp(name, "close_code") == 0 || strcmp(name, "incident_state") == 0 ||
            str_equal(old, v->set[i].value)) {
            continue;
        }
        struct str at = convert(KIND_TIME, NULL, v->csv[CSV_UPDATED], note.room[0]);

        set_column(&note, audit, "tablename", STR_LITERAL("incident"));
        set_column(&note, audit, "documentkey", id);
        set_column(&note, audit, "fieldname", str_from(name));
        set_column(&note, audit, "oldvalue", old);
        set_column(&note, audit, "newvalue", v->set[i].value);
        set_column(&note, audit, "record_checkpoint", v->csv[5]);
        set_column(&note, audit, "user", v->csv[12]);
        set_column(&note, audit, "sys_created_on", at);
        set_column(&note, audit, "sys_updated_on", at);
        set_column(&note, audit, "sys_created_by", v->csv[12]);
        (void)store_insert(store, audit, note.set, note.n_set);
    }
}

static void apply_event(const struct replay *replay, struct store *store, const struct event *event)
{
    struct table *incident = store_table(store, STR_LITERAL("incident"));
    struct version v = {.n_set = 0};
    struct row before;
    char id_text[33];

    (void)split(event->line, v.csv);
    reference("incident", v.csv[CSV_NUMBER], id_text);
    struct str id = {id_text, 32};
    bool known = store_find(store, incident, id, &before);

    if (v.csv[CSV_CREATED].len == 0) {
        v.csv[CSV_CREATED] = v.csv[CSV_OPENED];
    }
    for (int i = 0; i < N_CSV; i++) {
        if (mapping[i].kind != KIND_FINAL) {
            set_csv(replay, &v, i, v.csv[i]);
        }
    }
    set_column(&v, incident, "incident_state", state_code(v.csv[CSV_STATE]));
    set_outcome(replay, &v, incident, &before, known);
    if (known) {
        write_audit(store, incident, &before, &v, id);
        (void)store_update(store, incident, id, v.set, v.n_set);
        return;
    }
    set_column(&v, incident, "sys_id", id);
    set_column(&v, incident, "sys_class_name", STR_LITERAL("incident"));
    set_column(&v, incident, "task_effective_number", v.csv[CSV_NUMBER]);
    set_column(&v, incident, "sys_domain", STR_LITERAL("global"));
    set_column(&v, incident, "sys_domain_path", STR_LITERAL("/"));
    (void)store_insert(store, incident, v.set, v.n_set);
}

/* False: it is there already. */
static bool add_dimension(struct store *store, const char *name, struct str value)
{
    struct table *table = store_table(store, str_from(name));
    struct version v = {.n_set = 0};
    struct row found;
    char id[33];

    reference(name, value, id);
    if (store_find(store, table, (struct str){id, 32}, &found)) {
        return false;
    }
    struct str stamp = put_time(DIMENSION_S, v.room[0]);
    bool is_task = table->col_opened >= 0;

    set_column(&v, table, "sys_id", (struct str){id, 32});
    set_column(&v, table, is_task ? "number" : "name", value);
    set_column(&v, table, "sys_created_on", stamp);
    set_column(&v, table, "sys_updated_on", stamp);
    set_column(&v, table, "sys_created_by", STR_LITERAL("admin"));
    set_column(&v, table, "sys_updated_by", STR_LITERAL("admin"));
    set_column(&v, table, "sys_mod_count", STR_LITERAL("0"));
    if (table_column(table, STR_LITERAL("sys_class_name")) >= 0) {
        set_column(&v, table, "sys_class_name", str_from(name));
    }
    if (table_column(table, STR_LITERAL("active")) >= 0) {
        set_column(&v, table, "active", STR_LITERAL("true"));
    }
    if (table_column(table, STR_LITERAL("user_name")) >= 0) {
        set_column(&v, table, "user_name", value);
    }
    (void)store_insert(store, table, v.set, v.n_set);
    return true;
}

void replay_rewind(struct replay *replay, struct store *store)
{
    replay->next = 0;
    replay->applied_s = INT64_MIN;
    for (int64_t i = 0; i < replay->n_dimensions; i++) {
        (void)add_dimension(store, replay->dimensions[i].table, replay->dimensions[i].value);
    }
}

static void index_dimensions(struct replay *replay, struct store *store)
{
    struct str csv[N_CSV];
    struct str before[N_CSV] = {{NULL, 0}};
    int64_t capacity = 0;

    for (int64_t e = 0; e < replay->n_events; e++) {
        (void)split(replay->events[e].line, csv);
        for (int i = 0; i < N_CSV; i++) {
            /* Rows of one incident follow each other and mostly repeat themselves. */
            if (mapping[i].target == NULL || csv[i].len == 0 || str_equal(csv[i], before[i]) ||
                !add_dimension(store, mapping[i].target, csv[i])) {
                continue;
            }
            if (replay->n_dimensions == capacity) {
                capacity = capacity * 2 + 1024;
                replay->dimensions =
                    xrealloc(replay->dimensions, (size_t)capacity * sizeof(*replay->dimensions));
            }
            replay->dimensions[replay->n_dimensions++] =
                (struct dimension){mapping[i].target, csv[i]};
        }
        memcpy(before, csv, sizeof(before));
    }
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

static bool
index_events(struct replay *replay, struct store *store, struct str text, struct error *err)
{
    int64_t capacity = 0;
    struct str csv[N_CSV];

    (void)str_cut(&text, '\n'); /* the header */
    while (text.ptr != NULL && text.len > 0) {
        struct event event = {.order = replay->n_events, .line = str_cut(&text, '\n')};

        if (!split(event.line, csv) || !parse_time(csv[CSV_UPDATED], &event.at_s)) {
            return error_set(err, ERROR_CONFIG, "--data: row %lld of the log is not understood",
                             (long long)replay->n_events + 2);
        }
        if (replay->n_events == capacity) {
            capacity = capacity * 2 + 4096;
            replay->events = xrealloc(replay->events, (size_t)capacity * sizeof(*replay->events));
        }
        replay->events[replay->n_events++] = event;
    }
    index_dimensions(replay, store);
    if (replay->n_events > 1) {
        qsort(replay->events, (size_t)replay->n_events, sizeof(*replay->events), compare_events);
    }
    return true;
}

struct replay *replay_open(const char *data_dir, struct store *store, struct error *err)
{
    char *path CLEANUP(xfreep) = xasprintf("%s/%s", data_dir, SERVICENOW_LOG);
    struct replay *replay = XNEW(struct replay);
    struct buf text;

    buf_init(&text, LOG_MAX_BYTES);
    bool ok = gzip_read_file(path, &text, err);
    struct str whole = buf_str(&text);

    replay->text = text.len > 0 ? buf_take(&text) : NULL;
    if (!ok || !index_events(replay, store, (struct str){replay->text, whole.len}, err)) {
        replay_close(replay);
        return NULL;
    }
    replay->applied_s = INT64_MIN;
    for (int i = 0; i < N_CSV; i++) {
        replay->columns[i] =
            table_column(store_table(store, STR_LITERAL("incident")), str_from(mapping[i].column));
    }
    store_settle(store);
    return replay;
}

void replay_close(struct replay *replay)
{
    if (replay != NULL) {
        xfree(replay->events);
        xfree(replay->dimensions);
        xfree(replay->text);
        xfree(replay);
    }
}

int64_t replay_end_s(const struct replay *replay)
{
    return replay->n_events == 0 ? 0 : replay->events[replay->n_events - 1].at_s;
}

bool replay_is_due(const struct replay *replay, int64_t now_s)
{
    return now_s < replay->applied_s ||
           (replay->next < replay->n_events && replay->events[replay->next].at_s <= now_s);
}

void replay_advance(struct replay *replay, struct store *store, int64_t now_s)
{
    if (now_s < replay->applied_s) {
        store_reset(store);
        replay_rewind(replay, store);
    }
    while (replay->next < replay->n_events && replay->events[replay->next].at_s <= now_s) {
        apply_event(replay, store, &replay->events[replay->next++]);
    }
    replay->applied_s = now_s;
}
