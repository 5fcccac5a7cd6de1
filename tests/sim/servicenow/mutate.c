#include "tests/sim/servicenow/mutate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/servicenow/cursor.h"
#include "tests/sim/servicenow/replay.h"

enum { SET_MAX = 128 };

enum verb { VERB_INSERT, VERB_UPDATE, VERB_DELETE };

/* One change, with its own copies of all texts. */
struct change {
    enum verb verb;
    struct table *table;
    int64_t visible_s;
    char *id;
    struct assignment set[SET_MAX];
    int n_set;
};

struct pending {
    struct change **items;
    int n, capacity;
};

struct pending *pending_new(void)
{
    return XNEW(struct pending);
}

static void free_change(struct change *change)
{
    if (change == NULL) {
        return;
    }
    for (int i = 0; i < change->n_set; i++) {
        union {
            const char *text;
            void *memory;
        } owned = {.text = change->set[i].value.ptr};

        xfree(owned.memory);
    }
    xfree(change->id);
    xfree(change);
}

DEFINE_CLEANUP(struct change *, free_change);

void pending_clear(struct pending *pending)
{
    for (int i = 0; i < pending->n; i++) {
        free_change(pending->items[i]);
    }
    pending->n = 0;
}

void pending_free(struct pending *pending)
{
    if (pending != NULL) {
        pending_clear(pending);
        xfree(pending->items);
        xfree(pending);
    }
}

static void assign(struct change *change, int column, struct str value)
{
    if (column < 0) {
        return;
    }
    char *copy = xstrndup(value.ptr == NULL ? "" : value.ptr, value.len);

    for (int i = 0; i < change->n_set; i++) {
        if (change->set[i].column == column) {
            union {
                const char *text;
                void *memory;
            } owned = {.text = change->set[i].value.ptr};

            xfree(owned.memory);
            change->set[i].value = (struct str){copy, value.len};
            return;
        }
    }
    change->set[change->n_set++] = (struct assignment){column, {copy, value.len}};
}

static void assign_named(struct change *change, const char *name, struct str value)
{
    assign(change, table_column(change->table, str_from(name)), value);
}

static bool is_set(const struct change *change, int column)
{
    for (int i = 0; i < change->n_set; i++) {
        if (change->set[i].column == column) {
            return true;
        }
    }
    return column < 0;
}

static void assign_default(struct change *change, const char *name, struct str value)
{
    if (!is_set(change, table_column(change->table, str_from(name)))) {
        assign_named(change, name, value);
    }
}

static void audit_delete(struct servicenow *sn, const struct change *change, int64_t now_s)
{
    struct table *audit = store_table(&sn->store, STR_LITERAL("sys_audit_delete"));
    struct change *note CLEANUP(free_changep) = XNEW(struct change);
    char stamp[32];

    note->table = audit;
    assign_named(note, "tablename", str_from(change->table->name));
    assign_named(note, "documentkey", str_from(change->id));
    assign_named(note, "display_value", str_from(change->id));
    assign_named(note, "sys_created_on", put_time(now_s, stamp));
    assign_named(note, "sys_updated_on", put_time(now_s, stamp));
    assign_named(note, "sys_mod_count", STR_LITERAL("0"));
    (void)store_insert(&sn->store, audit, note->set, note->n_set);
}

/* Exclusive lock held. `ret_id` (33 bytes and more) may be NULL. */
static bool apply_change(struct servicenow *sn, const struct change *change, bool audited)
{
    switch (change->verb) {
    case VERB_INSERT:
        (void)store_insert(&sn->store, change->table, change->set, change->n_set);
        return true;
    case VERB_UPDATE:
        return store_update(&sn->store, change->table, str_from(change->id), change->set,
                            change->n_set);
    case VERB_DELETE:
        if (!store_delete(&sn->store, change->table, str_from(change->id))) {
            return false;
        }
        if (audited) {
            audit_delete(sn, change, change->visible_s);
        }
        return true;
    }
    return false;
}

void pending_apply(struct servicenow *sn, int64_t now_s)
{
    bool due = false;

    pthread_rwlock_rdlock(&sn->store.lock);
    due = sn->replay != NULL && replay_is_due(sn->replay, now_s);
    for (int i = 0; i < sn->pending->n; i++) {
        due = due || sn->pending->items[i]->visible_s <= now_s;
    }
    pthread_rwlock_unlock(&sn->store.lock);
    if (!due) {
        return;
    }
    pthread_rwlock_wrlock(&sn->store.lock);
    if (sn->replay != NULL) {
        replay_advance(sn->replay, &sn->store, now_s);
    }
    int kept = 0;

    for (int i = 0; i < sn->pending->n; i++) {
        struct change *change = sn->pending->items[i];

        if (change->visible_s > now_s) {
            sn->pending->items[kept++] = change;
            continue;
        }
        (void)apply_change(sn, change, change->table->audited);
        free_change(change);
    }
    sn->pending->n = kept;
    store_settle(&sn->store);
    pthread_rwlock_unlock(&sn->store.lock);
}

static void postpone(struct pending *pending, struct change *change)
{
    if (pending->n == pending->capacity) {
        pending->capacity = pending->capacity * 2 + 16;
        pending->items =
            xrealloc(pending->items, (size_t)pending->capacity * sizeof(struct change *));
    }
    pending->items[pending->n++] = change;
}

/* The n-th live row in sys_id order. */
static bool
find_nth(struct servicenow *sn, const struct table *table, int64_t nth, char out[CELL_MAX])
{
    struct bounds all = {0, table->n_base, 0, table->n_base, true};
    struct cursor cursor CLEANUP(cursor_close) = {0};
    struct row row;
    int64_t at = 0;

    cursor_open(&cursor, &sn->store, table, &all, CURSOR_BY_ID, false);
    while (cursor_next(&cursor, &row)) {
        if (at++ == nth) {
            struct str id = row_cell(&row, table->col_id, out);

            memmove(out, id.ptr, id.len);
            out[id.len] = '\0';
            return true;
        }
    }
    return false;
}

static void stamp_insert(struct servicenow *sn, struct change *change, int64_t now_s)
{
    char text[48];
    struct str now = put_time(now_s, text);

    (void)sn;
    assign_default(change, "sys_created_on", now);
    assign_default(change, "sys_updated_on", now);
    assign_default(change, "sys_created_by", STR_LITERAL("control"));
    assign_default(change, "sys_updated_by", STR_LITERAL("control"));
    assign_default(change, "sys_mod_count", STR_LITERAL("0"));
    assign_default(change, "sys_class_name", str_from(change->table->name));
    assign_default(change, "opened_at", now);
    assign_default(change, "active", STR_LITERAL("true"));
    if (change->table->col_opened >= 0) {
        assign_default(change, "state", STR_LITERAL("1"));
        assign_default(change, "incident_state", STR_LITERAL("1"));
        assign_default(change, "sys_domain", STR_LITERAL("global"));
        assign_default(change, "number",
                       put_padded("NEW", (int64_t)++sn->store.id_counter, 7, text));
    }
}

/* Exclusive lock held: looks at the row as it is. */
static void stamp_update(struct servicenow *sn, struct change *change, int64_t now_s)
{
    int mods = table_column(change->table, STR_LITERAL("sys_mod_count"));
    char text[CELL_MAX];
    int64_t count;
    struct row row;

    assign_default(change, "sys_updated_on", put_time(now_s, text));
    assign_default(change, "sys_updated_by", STR_LITERAL("control"));
    if (mods >= 0 && store_find(&sn->store, change->table, str_from(change->id), &row) &&
        str_to_int64(row_cell(&row, mods, text), 0, INT64_MAX - 1, &count)) {
        assign_default(change, "sys_mod_count", put_int(count + 1, text));
    }
}

static bool read_set(struct change *change, const struct json *set, struct error *err)
{
    for (size_t i = 0; i < json_size(set); i++) {
        const char *name = json_name_at(set, i);
        int column = table_column(change->table, str_from(name));
        struct buf text CLEANUP(buf_release) = {0};

        if (column < 0 && strcmp(name, "visible_after") == 0) {
            continue;
        }
        if (column < 0) {
            return error_set(err, ERROR_DATA, "set: table %s has no column %s", change->table->name,
                             name);
        }
        if (change->n_set >= SET_MAX - 16) {
            return error_set(err, ERROR_LIMIT, "set: too many columns at once");
        }
        buf_init(&text, 1 << 22);
        if (json_string(json_at(set, i)) != NULL) {
            buf_add_c(&text, json_string(json_at(set, i)));
        } else if (json_kind(json_at(set, i)) != JSON_KIND_NULL) {
            json_write(json_at(set, i), &text);
        }
        assign(change, column, buf_str(&text));
    }
    return true;
}

static bool json_flag(const struct json *object, const char *name, bool fallback)
{
    const struct json *member = json_find(object, name);

    return member == NULL ? fallback : json_bool(member, fallback);
}

static bool
fault_is_open(struct servicenow *sn, enum fault_kind kind, struct str table, double *ret_seconds)
{
    struct fault_target target = {
        .system = "servicenow", .route = "table", .table = table, .rows = 1};
    struct drawn *drawn CLEANUP(xfreep) = XNEW(struct drawn);

    /* Only the faults about mutations are meant; drawing would use others up. */
    faults_peek(sn->faults, kind, &target, drawn);
    const struct fault *fault = drawn_find(drawn, kind);

    if (fault != NULL && ret_seconds != NULL) {
        *ret_seconds = fault->seconds;
    }
    return fault != NULL;
}

static struct table *named_table(struct servicenow *sn, const struct json *what, struct error *err)
{
    const char *name = json_find_string(what, "table");
    struct table *table = name == NULL ? NULL : store_table(&sn->store, str_from(name));

    if (table == NULL) {
        (void)error_set(err, ERROR_DATA, "table: %s is not a table of this simulator",
                        name == NULL ? "(missing)" : name);
    }
    return table;
}

/* Exclusive lock held. */
static bool
target_row(struct servicenow *sn, struct change *change, const struct json *what, struct error *err)
{
    const char *id = json_find_string(what, "sys_id");
    const struct json *nth = json_find(what, "nth");
    char found[CELL_MAX];
    int64_t number;

    if (id != NULL) {
        change->id = xstrdup(id);
        return true;
    }
    if (nth == NULL || !json_int64(nth, &number) || !find_nth(sn, change->table, number, found)) {
        return error_set(err, ERROR_DATA, "needs \"sys_id\" or \"nth\" of an existing row of %s",
                         change->table->name);
    }
    change->id = xstrdup(found);
    return true;
}

/* Named "set", or as in an insert "values". */
static const struct json *values_of(const struct json *what)
{
    const struct json *set = json_find(what, "set");

    return set != NULL ? set : json_find(what, "values");
}

static int64_t visible_at(struct servicenow *sn,
                          const struct change *change,
                          const struct json *what,
                          int64_t now_s)
{
    const struct json *late = json_find(what, "visible_after_s");
    const char *text = json_find_string(what, "visible_after");
    int64_t seconds = 0;
    int64_t us;
    double fault_seconds = 0;

    if (late != NULL && json_int64(late, &seconds)) {
        return now_s + seconds;
    }
    text = text != NULL || values_of(what) == NULL
               ? text
               : json_find_string(values_of(what), "visible_after");
    if (text != NULL && sim_duration_parse(str_from(text), &us)) {
        return now_s + us / US_PER_S;
    }
    if (fault_is_open(sn, FAULT_late_visible, str_from(change->table->name), &fault_seconds)) {
        return now_s + (int64_t)fault_seconds;
    }
    return now_s;
}

/* Exclusive lock held; takes the change over. */
static bool carry_out(struct servicenow *sn,
                      struct change *change,
                      const struct json *what,
                      int64_t now_s,
                      struct buf *out,
                      struct error *err)
{
    bool audited = change->table->audited && json_flag(what, "audit", true) &&
                   !fault_is_open(sn, FAULT_no_audit_delete, str_from(change->table->name), NULL);

    change->visible_s = visible_at(sn, change, what, now_s);
    if (change->verb == VERB_INSERT && !is_set(change, change->table->col_id)) {
        char id[33];
        uint64_t a = store_mix(sn->store.seed ^ 0x1d5, ++sn->store.id_counter);

        (void)snprintf(id, sizeof(id), "%016llx%016llx", (unsigned long long)a,
                       (unsigned long long)store_mix(a, 1));
        assign(change, change->table->col_id, str_from(id));
    }
    if (out != NULL) {
        buf_add_c(out, "{\"sys_id\":");
        for (int i = 0; change->id == NULL && i < change->n_set; i++) {
            if (change->set[i].column == change->table->col_id) {
                change->id = xstrndup(change->set[i].value.ptr, change->set[i].value.len);
            }
        }
        buf_add_json_string(out, str_from(change->id));
        buf_add_char(out, '}');
    }
    if (change->visible_s > now_s) {
        postpone(sn->pending, change);
        return true;
    }
    bool done = apply_change(sn, change, audited);

    if (!done) {
        (void)error_set(err, ERROR_DATA, "no row %s in %s", change->id, change->table->name);
    }
    free_change(change);
    return done;
}

static bool mutate_one(struct servicenow *sn,
                       enum verb verb,
                       const struct json *what,
                       int64_t now_s,
                       struct buf *out,
                       struct error *err)
{
    struct table *table = named_table(sn, what, err);
    struct change *change CLEANUP(free_changep) = XNEW(struct change);

    change->verb = verb;
    change->table = table;
    if (table == NULL || (verb != VERB_INSERT && !target_row(sn, change, what, err)) ||
        !read_set(change, values_of(what), err)) {
        return false;
    }
    if (verb == VERB_INSERT) {
        stamp_insert(sn, change, now_s);
    } else if (verb == VERB_UPDATE && !json_flag(what, "silent", false) &&
               !fault_is_open(sn, FAULT_silent_update, str_from(table->name), NULL)) {
        stamp_update(sn, change, now_s);
    }
    return carry_out(sn, TAKE(change), what, now_s, out, err);
}

/* What a burst changes in a row, so that a stale copy differs. */
static void burst_values(struct change *change, int64_t k)
{
    static const char *const candidates[] = {"short_description", "name", "stage", "comments"};
    char text[64];
    struct str value = put_padded("burst ", k, 1, text);

    for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
        int column = table_column(change->table, str_from(candidates[i]));

        if (column >= 0) {
            assign(change, column, value);
            return;
        }
    }
}

static bool burst_one(struct servicenow *sn,
                      const struct json *what,
                      enum verb verb,
                      struct table *table,
                      const char *id,
                      int64_t k,
                      struct error *err)
{
    struct change *change CLEANUP(free_changep) = XNEW(struct change);
    int64_t now_s = sim_clock_now_us(sn->clock) / US_PER_S;

    change->verb = verb;
    change->table = table;
    change->id = id == NULL ? NULL : xstrdup(id);
    if (verb != VERB_DELETE && values_of(what) == NULL) {
        burst_values(change, k);
    }
    if (!read_set(change, values_of(what), err)) {
        return false;
    }
    if (verb == VERB_INSERT) {
        stamp_insert(sn, change, now_s);
    } else if (verb == VERB_UPDATE && !json_flag(what, "silent", false)) {
        stamp_update(sn, change, now_s);
    }
    return carry_out(sn, TAKE(change), what, now_s, NULL, err);
}

/* `n` ids spread evenly over the table. */
static char **pick_ids(struct servicenow *sn, const struct table *table, int64_t n, int64_t *ret_n)
{
    struct bounds all = {0, table->n_base, 0, table->n_base, true};
    struct cursor cursor CLEANUP(cursor_close) = {0};
    int64_t live = table_live_rows(table);
    int64_t picked = 0;
    char **ids = xcalloc((size_t)n + 1, sizeof(char *));
    char text[CELL_MAX];
    struct row row;

    cursor_open(&cursor, &sn->store, table, &all, CURSOR_BY_ID, false);
    for (int64_t at = 0; picked < n && cursor_next(&cursor, &row); at++) {
        if (at * n / (live > 0 ? live : 1) >= picked) {
            struct str id = row_cell(&row, table->col_id, text);

            ids[picked++] = xstrndup(id.ptr, id.len);
        }
    }
    *ret_n = picked;
    return ids;
}

static bool
mutate_burst(struct servicenow *sn, const struct json *what, struct buf *out, struct error *err)
{
    const char *kind = json_find_string(what, "kind");
    struct table *table = named_table(sn, what, err);
    const struct json *wanted = json_find(what, json_find(what, "n") != NULL ? "n" : "count");
    bool same_second = json_flag(what, "same_second", true);
    enum verb verb = kind == NULL || strcmp(kind, "update") == 0 ? VERB_UPDATE
                     : strcmp(kind, "insert") == 0               ? VERB_INSERT
                                                                 : VERB_DELETE;
    int64_t n;

    if (table == NULL) {
        return false;
    }
    if (wanted == NULL || !json_int64(wanted, &n) || n < 1 || n > 10000000) {
        return error_set(err, ERROR_DATA, "burst: \"n\" must be a number of rows");
    }
    int64_t done = n;
    char **ids = verb == VERB_INSERT ? NULL : pick_ids(sn, table, n, &done);
    int64_t frozen_us = sim_clock_now_us(sn->clock);
    bool ok = true;

    for (int64_t k = 0; k < done; k++) {
        /* Spread over time, or all within one second whatever the clock does meanwhile. */
        if (same_second) {
            sim_clock_set(sn->clock, frozen_us);
        } else if (k % 10 == 9) {
            sim_clock_advance(sn->clock, US_PER_S);
        }
        ok = ok && burst_one(sn, what, verb, table, ids == NULL ? NULL : ids[k], k, err);
        if (ids != NULL) {
            xfree(ids[k]);
        }
    }
    xfree(ids);
    buf_addf(out, "{\"n\":%lld}", (long long)done);
    return ok;
}

bool servicenow_mutate(struct servicenow *sn,
                       const char *verb,
                       const struct json *what,
                       struct buf *out,
                       struct error *err)
{
    static const char *const verbs[] = {"insert", "update", "delete"};
    int64_t now_s = sim_clock_now_us(sn->clock) / US_PER_S;
    bool done = false;

    pending_apply(sn, now_s);
    pthread_rwlock_wrlock(&sn->store.lock);
    if (strcmp(verb, "burst") == 0) {
        done = mutate_burst(sn, what, out, err);
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verb, verbs[i]) == 0) {
            done = mutate_one(sn, (enum verb)i, what, now_s, out, err);
        }
    }
    store_settle(&sn->store);
    pthread_rwlock_unlock(&sn->store.lock);
    return done;
}
