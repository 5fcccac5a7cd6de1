#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/effects.h"
#include "tests/sim/glpi/refs.h"
#include "tests/sim/glpi/system.h"
#include "tests/sim/glpi/view.h"

/* What /_control asks for. docs/SIMULATOR.md lists the operations. */

enum { DEFAULT_USER = 2, BURST_MAX = 1000000, BURST_PER_SECOND = 10 };

const char *const glpi_verbs[] = {
    "insert",    "update", "delete",       "purge",  "trash",           "restore", "burst",
    "add_actor", "rename", "remove_actor", "rights", "expire_sessions", NULL};

struct work {
    struct glpi *glpi;
    struct items *items;
    const struct json *what;
    struct item_table *table;
    enum itemtype type;
    struct effects effects;
    bool silent;
    struct error *err;
};

static bool find_table(struct work *work, const char *fallback)
{
    const char *name = json_find_string(work->what, "table");

    name = name != NULL ? name : fallback;
    work->table = name == NULL ? NULL : items_table(work->items, str_from(name));
    if (work->table == NULL) {
        return error_set(work->err, ERROR_DATA, "glpi: table %s: there is no such itemtype",
                         name == NULL ? "(none)" : name);
    }
    work->type = work->table->shape->itemtype;
    return true;
}

/* The row that `id` or `nth` says; nth counts from 0 what is not in the trash, by id. */
static bool find_row(struct work *work, struct item *ret_item)
{
    const struct json *number = json_find(work->what, "id");
    int64_t value;
    struct view view;

    if (json_int64(number, &value)) {
        return items_find(work->table, value, ret_item) ||
               error_set(work->err, ERROR_DATA, "glpi: %s %lld: there is no such row",
                         work->table->shape->name, (long long)value);
    }
    if (!json_int64(json_find(work->what, "nth"), &value)) {
        return error_set(work->err, ERROR_DATA, "glpi: the operation needs an id or an nth");
    }
    items_settle(work->items);
    view_open(&view, work->table, ORDER_ID, MASK_FIRST, false);
    bool found = value >= 0 && value < view.total;

    if (found) {
        view_seek(&view, value);
        found = view_next(&view, ret_item);
    }
    view_close(&view);
    return found || error_set(work->err, ERROR_DATA, "glpi: nth %lld: there are fewer rows",
                              (long long)value);
}

static bool set_value(struct work *work, struct draft *draft, int column, const struct json *value)
{
    const struct column *shape = &work->table->shape->columns[column];
    const char *text = json_string(value);
    int64_t number;

    if (json_kind(value) == JSON_KIND_NULL) {
        draft_set_null(draft, column);
        return true;
    }
    if (shape->type == TYPE_INT && json_int64(value, &number)) {
        draft_set_number(draft, column, number);
        return true;
    }
    if (shape->type == TYPE_INT && json_kind(value) == JSON_KIND_BOOL) {
        draft_set_number(draft, column, json_bool(value, false) ? 1 : 0);
        return true;
    }
    if (shape->type == TYPE_TIME && text != NULL &&
        (instant_parse_plain(str_from(text), &number) ||
         instant_parse_rfc3339(str_from(text), &number))) {
        draft_set_number(draft, column, number / US_PER_S);
        return true;
    }
    if ((shape->type == TYPE_TEXT || shape->type == TYPE_TREE) && text != NULL) {
        draft_set_text(draft, column, text[0] == '\0' ? (struct str){"", 0} : str_from(text));
        return true;
    }
    return error_set(work->err, ERROR_DATA, "glpi: %s.%s: the value is of another type",
                     work->table->shape->name, shape->name);
}

/* Members of "set" (or "values"). A new status first, so that what is said explicitly wins. */
static bool set_values(struct work *work, struct draft *draft)
{
    const struct json *set = json_find(work->what, "set");
    int64_t status;

    set = set != NULL ? set : json_find(work->what, "values");
    if (work->type == ITEM_Ticket && !work->silent &&
        json_int64(json_find(set, "status"), &status)) {
        effect_status(&work->effects, draft, status);
    }
    for (size_t i = 0; i < json_size(set); i++) {
        int column = column_of(work->table->shape, str_from(json_name_at(set, i)));

        if (column < 0) {
            return error_set(work->err, ERROR_DATA, "glpi: %s has no column %s",
                             work->table->shape->name, json_name_at(set, i));
        }
        if (!set_value(work, draft, column, json_at(set, i))) {
            return false;
        }
    }
    return true;
}

static bool is_child(enum itemtype type)
{
    return itemtype_is_computed(type) && type != ITEM_Ticket && type != ITEM_Log;
}

static bool insert_one(struct work *work, int64_t *ret_id)
{
    struct draft draft CLEANUP(draft_release);

    draft_init(&draft);
    if (work->type == ITEM_Ticket) {
        effect_begin_ticket(&work->effects, &draft);
    } else {
        effect_begin_child(&work->effects, work->type, &draft);
    }
    if (!set_values(work, &draft)) {
        return false;
    }
    if (work->type == ITEM_Ticket) {
        *ret_id = effect_new_ticket(&work->effects, &draft);
    } else if (is_child(work->type)) {
        *ret_id = effect_new_child(&work->effects, work->type, &draft);
    } else {
        *ret_id = items_put(work->items, work->table, &draft);
    }
    return true;
}

/* The names below a renamed node change with it. */
static void rename_tree(struct work *work, struct draft *draft)
{
    int full = column_of(work->table->shape, STR_LITERAL("completename"));
    int name = column_of(work->table->shape, STR_LITERAL("name"));
    struct buf text CLEANUP(buf_release) = {0};

    if (full < 0 || json_find(json_find(work->what, "set"), "completename") != NULL) {
        return;
    }
    struct str path = draft->cells[full].text;
    size_t keep = 0;

    for (size_t i = 0; i + 3 <= path.len; i++) {
        keep = memcmp(path.ptr + i, " > ", 3) == 0 ? i + 3 : keep;
    }
    buf_init(&text, CELL_TEXT_MAX);
    buf_add(&text, path.ptr, keep);
    buf_add_str(&text, draft->cells[name].text);
    draft_set_text(draft, full, buf_str(&text));
}

static bool update_one(struct work *work, struct item *item)
{
    struct draft draft CLEANUP(draft_release);
    int stamp = column_of(work->table->shape, STR_LITERAL("date_mod"));

    draft_init(&draft);
    draft_load(&draft, item);
    if (stamp >= 0 && !work->silent && work->type != ITEM_Ticket) {
        draft_set_number(&draft, stamp, work->effects.now_s);
    }
    if (!set_values(work, &draft)) {
        return false;
    }
    if (work->type == ITEM_Ticket) {
        const struct json *set = json_find(work->what, "set");
        bool stamped = json_find(set, "date_mod") != NULL;
        struct effects effects = work->effects;

        effects.touch = effects.touch && !stamped;
        effect_save_ticket(&effects, &draft, item);
        return true;
    }
    if (is_child(work->type)) {
        effect_child_changed(&work->effects, work->type, item);
    } else {
        rename_tree(work, &draft);
    }
    (void)items_put(work->items, work->table, &draft);
    return true;
}

static bool purge_one(struct work *work, struct item *item)
{
    int64_t id = item_id(item);

    if (work->type == ITEM_Ticket) {
        return effect_purge_ticket(&work->effects, id);
    }
    if (is_child(work->type)) {
        effect_child_goes(&work->effects, work->type, item);
    }
    return items_purge(work->items, work->table, id);
}

static bool trash_one(struct work *work, struct item *item, bool deleted)
{
    struct draft draft CLEANUP(draft_release);
    int column = column_of(work->table->shape, STR_LITERAL("is_deleted"));
    int stamp = column_of(work->table->shape, STR_LITERAL("date_mod"));

    if (column < 0) {
        return error_set(work->err, ERROR_DATA, "glpi: %s has no trash", work->table->shape->name);
    }
    draft_init(&draft);
    draft_load(&draft, item);
    draft_set_number(&draft, column, deleted ? 1 : 0);
    if (work->type == ITEM_Ticket) {
        effect_save_ticket(&work->effects, &draft, item);
        return true;
    }
    if (!work->silent) {
        draft_set_number(&draft, stamp, work->effects.now_s);
    }
    (void)items_put(work->items, work->table, &draft);
    return true;
}

static bool change_one(struct work *work, const char *verb, struct item *item)
{
    if (strcmp(verb, "update") == 0) {
        return update_one(work, item);
    }
    if (strcmp(verb, "trash") == 0 || strcmp(verb, "restore") == 0) {
        return trash_one(work, item, strcmp(verb, "trash") == 0);
    }
    return purge_one(work, item);
}

static void pass_second(struct work *work, int64_t i)
{
    if (!json_bool(json_find(work->what, "same_second"), true) && i % BURST_PER_SECOND == 0) {
        sim_clock_advance(work->glpi->clock, US_PER_S);
        work->effects.now_s++;
    }
}

/* `n` rows spread over those that are not in the trash (or are, to be restored). */
static bool burst(struct work *work, struct buf *out)
{
    const char *kind = json_find_string(work->what, "kind");
    struct refs refs CLEANUP(refs_release) = {0};
    struct item item = {0};
    struct view view;
    int64_t n = 0;
    int64_t id;

    kind = kind != NULL ? kind : "update";
    if ((!json_int64(json_find(work->what, "n"), &n) &&
         !json_int64(json_find(work->what, "count"), &n)) ||
        n < 1 || n > BURST_MAX) {
        return error_set(work->err, ERROR_DATA, "glpi: burst: needs n");
    }
    for (int64_t i = 0; strcmp(kind, "insert") == 0 && i < n; i++) {
        pass_second(work, i);
        if (!insert_one(work, &id)) {
            return false;
        }
    }
    items_settle(work->items);
    view_open(&view, work->table, ORDER_ID, strcmp(kind, "restore") == 0 ? MASK_SECOND : MASK_FIRST,
              false);
    for (int64_t i = 0; strcmp(kind, "insert") != 0 && i < n && i < view.total; i++) {
        view_seek(&view, n >= view.total ? i : i * (view.total / n));
        if (view_next(&view, &item)) {
            refs_add(&refs, &item);
        }
    }
    view_close(&view);
    /* Ids first: changing one row may move another one of the list. */
    int64_t *ids CLEANUP(xfreep) = xcalloc((size_t)refs.n + 1, sizeof(int64_t));

    for (int64_t i = 0; i < refs.n; i++) {
        refs_get(&refs, work->table, i, &item);
        ids[i] = item_id(&item);
    }
    for (int64_t i = 0; i < refs.n; i++) {
        pass_second(work, i);
        if (items_find(work->table, ids[i], &item) && !change_one(work, kind, &item)) {
            return false;
        }
    }
    buf_addf(out, "{\"changed\":%lld}", (long long)(strcmp(kind, "insert") == 0 ? n : refs.n));
    return true;
}

static bool read_actor(struct work *work, struct actor_row *actor)
{
    static const struct {
        const char *key;
        enum itemtype table;
    } kinds[] = {{"users_id", ITEM_Ticket_User},
                 {"groups_id", ITEM_Group_Ticket},
                 {"suppliers_id", ITEM_Supplier_Ticket}};

    *actor = (struct actor_row){.table = ITEM_Ticket_User, .type = 2};
    if (!json_int64(json_find(work->what, "ticket"), &actor->ticket)) {
        return error_set(work->err, ERROR_DATA, "glpi: the actor needs a \"ticket\"");
    }
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (json_int64(json_find(work->what, kinds[i].key), &actor->who)) {
            actor->table = kinds[i].table;
        }
    }
    (void)json_int64(json_find(work->what, "type"), &actor->type);
    actor->email = str_from(json_find_string(work->what, "alternative_email"));
    return true;
}

static bool add_actor(struct work *work, struct buf *out)
{
    struct actor_row actor;

    if (!read_actor(work, &actor)) {
        return false;
    }
    buf_addf(out, "{\"id\":%lld}", (long long)effect_add_actor(&work->effects, &actor));
    return true;
}

/* Those of the ticket that fit what is said about them. */
static bool remove_actor(struct work *work, struct buf *out)
{
    struct refs refs CLEANUP(refs_release) = {0};
    struct actor_row actor;
    struct item item = {0};
    int64_t removed = 0;

    if (!read_actor(work, &actor)) {
        return false;
    }
    work->table = &work->items->tables[actor.table];
    work->type = actor.table;
    refs_add_children(&refs, work->table, actor.ticket);
    for (int64_t i = refs.n - 1; i >= 0; i--) {
        refs_get(&refs, work->table, i, &item);
        if ((actor.who == 0 || item_number(&item, Ticket_User_users_id) == actor.who) &&
            (json_find(work->what, "type") == NULL ||
             item_number(&item, Ticket_User_type) == actor.type)) {
            removed += purge_one(work, &item) ? 1 : 0;
        }
    }
    buf_addf(out, "{\"removed\":%lld}", (long long)removed);
    return true;
}

static bool change_rights(struct work *work)
{
    const char *login = json_find_string(work->what, "account");

    for (int i = 0; i < N_ACCOUNTS; i++) {
        struct account *account = &work->glpi->accounts[i];

        if (strcmp(login == NULL ? "foz" : login, account->login) == 0) {
            (void)json_int64(json_find(work->what, "entity"), &account->entity);
            account->recursive = json_bool(json_find(work->what, "recursive"), account->recursive);
            return true;
        }
    }
    return error_set(work->err, ERROR_DATA, "glpi: rights: there is no such account");
}

static bool rename_one(struct work *work, struct item *item)
{
    struct draft draft CLEANUP(draft_release);
    const char *name = json_find_string(work->what, "name");
    int column = column_of(work->table->shape, STR_LITERAL("name"));
    int stamp = column_of(work->table->shape, STR_LITERAL("date_mod"));

    if (name == NULL || column < 0) {
        return error_set(work->err, ERROR_DATA, "glpi: rename: needs a table with a name, and it");
    }
    draft_init(&draft);
    draft_load(&draft, item);
    draft_set_text(&draft, work->type == ITEM_User ? User_realname : column, str_from(name));
    if (stamp >= 0 && !work->silent) {
        draft_set_number(&draft, stamp, work->effects.now_s);
    }
    rename_tree(work, &draft);
    (void)items_put(work->items, work->table, &draft);
    return true;
}

static bool run_on_rows(struct work *work, const char *verb, struct buf *out)
{
    struct item item = {0};
    int64_t id;

    if (!find_table(work,
                    strcmp(verb, "trash") == 0 || strcmp(verb, "restore") == 0 ? "Ticket" : NULL)) {
        return false;
    }
    if (strcmp(verb, "burst") == 0) {
        return burst(work, out);
    }
    if (strcmp(verb, "insert") == 0) {
        bool done = insert_one(work, &id);

        buf_addf(out, "{\"id\":%lld}", (long long)(done ? id : 0));
        return done;
    }
    if (!find_row(work, &item)) {
        return false;
    }
    id = item_id(&item);
    bool done =
        strcmp(verb, "rename") == 0 ? rename_one(work, &item) : change_one(work, verb, &item);

    buf_addf(out, "{\"id\":%lld}", (long long)id);
    return done;
}

bool glpi_mutate(struct glpi *glpi,
                 const char *verb,
                 const struct json *what,
                 struct buf *out,
                 struct error *err)
{
    struct work work = {.glpi = glpi, .items = &glpi->items, .what = what, .err = err};
    bool done = true;

    work.silent = json_bool(json_find(what, "silent"), false);
    work.effects = (struct effects){
        .items = &glpi->items,
        .now_s = sim_clock_now_us(glpi->clock) / US_PER_S,
        .user = DEFAULT_USER,
        .history = !work.silent && json_bool(json_find(what, "history"), true) &&
                   !glpi_mode(glpi, FAULT_silent_history, NULL),
        .touch = !work.silent && json_bool(json_find(what, "touch"), true),
    };
    (void)json_int64(json_find(what, "by"), &work.effects.user);
    if (strcmp(verb, "expire_sessions") == 0) {
        glpi_sessions_clear(glpi->sessions);
        return true;
    }
    glpi_catch_up(glpi);
    pthread_rwlock_wrlock(&glpi->lock);
    if (strcmp(verb, "rights") == 0) {
        done = change_rights(&work);
    } else if (strcmp(verb, "add_actor") == 0) {
        done = add_actor(&work, out);
    } else if (strcmp(verb, "remove_actor") == 0) {
        done = remove_actor(&work, out);
    } else {
        done = run_on_rows(&work, verb, out);
    }
    items_settle(&glpi->items);
    pthread_rwlock_unlock(&glpi->lock);
    return done;
}
