#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/search.h"

/* The value of a search option for a ticket, and whether it meets a criterion. */

/* One value among those of an option: of a key both the id and the name. */
struct value {
    bool null;
    int64_t number;
    char text[CELL_TEXT_MAX];
};

struct values {
    struct value items[VALUES_MAX];
    int n;
};

static bool option_is(const struct search_option *option, const char *datatype)
{
    return strcmp(option->datatype, datatype) == 0;
}

int search_column(const struct search_option *option)
{
    static const struct {
        int id, column;
    } keys[] = {{7, Ticket_itilcategories_id},   {80, Ticket_entities_id},
                {83, Ticket_locations_id},       {9, Ticket_requesttypes_id},
                {22, Ticket_users_id_recipient}, {64, Ticket_users_id_lastupdater},
                {30, Ticket_slas_id_ttr},        {37, Ticket_slas_id_tto},
                {190, Ticket_olas_id_tto},       {191, Ticket_olas_id_ttr}};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i].id == option->id) {
            return keys[i].column;
        }
    }
    return strcmp(option->table, "glpi_tickets") == 0
               ? column_of(&itemtypes[ITEM_Ticket], str_from(option->field))
               : -1;
}

static struct value *add_value(struct values *values)
{
    struct value *value = &values->items[values->n < VALUES_MAX - 1 ? values->n++ : values->n];

    value->null = false;
    value->number = 0;
    value->text[0] = '\0';
    return value;
}

static void name_value(struct call *call, const char *itemtype, int64_t id, struct value *value)
{
    struct buf name CLEANUP(buf_release) = {0};
    struct column column = {"completename", TYPE_TREE, "", IN_BOTH};
    struct look look = call->look;
    struct buf shown CLEANUP(buf_release) = {0};

    buf_init(&name, CELL_TEXT_MAX);
    buf_init(&shown, CELL_TEXT_MAX - 1);
    value->number = id;
    value->null = !glpi_name_of(call->glpi, itemtype, id, &name);
    if (!value->null) {
        struct cell cell = cell_text(buf_str(&name));

        look.decoded = false; /* the header has no effect here */
        (void)look_text(&look, &column, &cell, &shown);
        snprintf(value->text, sizeof(value->text), "%s", shown.ptr);
    }
}

static void actor_values(struct call *call, int64_t id, int64_t ticket, struct values *values)
{
    static const struct {
        int id, type;
        enum itemtype table;
    } roles[] = {{4, 1, ITEM_Ticket_User},   {5, 2, ITEM_Ticket_User},  {66, 3, ITEM_Ticket_User},
                 {71, 1, ITEM_Group_Ticket}, {8, 2, ITEM_Group_Ticket}, {65, 3, ITEM_Group_Ticket}};
    struct refs refs CLEANUP(refs_release) = {0};
    struct item item = {0};
    int role = -1;

    for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
        role = roles[i].id == id ? (int)i : role;
    }
    if (role < 0) {
        return;
    }
    const struct item_table *table = &call->glpi->items.tables[roles[role].table];

    refs_add_children(&refs, table, ticket);
    for (int64_t i = 0; i < refs.n; i++) {
        refs_get(&refs, table, i, &item);
        if (item_number(&item, Ticket_User_type) != roles[role].type) {
            continue;
        }
        struct value *value = add_value(values);
        int64_t who = item_number(&item, Ticket_User_users_id);

        if (roles[role].table == ITEM_Group_Ticket) {
            name_value(call, "Group", who, value);
            continue;
        }
        value->number = who;
        value->null = who == 0;
        snprintf(value->text, sizeof(value->text), "%lld", (long long)who);
    }
}

static int64_t time_of(struct item *ticket, int column)
{
    return item_number(ticket, column);
}

/* As GLPI computes columns 82, 159, 182 and 187. */
static bool is_late(struct call *call, int64_t id, struct item *ticket)
{
    bool resolve = id == 82 || id == 182;
    int deadline = id == 82    ? Ticket_time_to_resolve
                   : id == 182 ? Ticket_internal_time_to_resolve
                   : id == 159 ? Ticket_time_to_own
                               : Ticket_internal_time_to_own;
    int64_t due_s = time_of(ticket, deadline);
    int64_t solved_s = time_of(ticket, Ticket_solvedate);
    int64_t taken_s = time_of(ticket, Ticket_takeintoaccountdate);
    int64_t delay = time_of(ticket, Ticket_takeintoaccount_delay_stat);

    if (due_s == 0 || time_of(ticket, Ticket_status) == 4) {
        return false;
    }
    if (resolve) {
        return solved_s != 0 ? solved_s > due_s : due_s < call->now_s;
    }
    return (taken_s != 0 && taken_s > due_s) ||
           (taken_s == 0 && delay > due_s - time_of(ticket, Ticket_date)) ||
           (delay == 0 && due_s < call->now_s);
}

static int64_t count_children(struct call *call, enum itemtype type, int64_t ticket)
{
    struct refs refs CLEANUP(refs_release) = {0};

    refs_add_children(&refs, &call->glpi->items.tables[type], ticket);
    return refs.n;
}

static void column_value(struct call *call, int column, struct item *ticket, struct value *value)
{
    const struct column *shape = &itemtypes[ITEM_Ticket].columns[column];
    struct buf text CLEANUP(buf_release) = {0};
    char scratch[CELL_TEXT_MAX];
    struct look look = call->look;
    struct cell cell = glpi_cell(&look, ticket, column, scratch);

    if (shape->target[0] != '\0') {
        if (cell.number == 0 && column != Ticket_entities_id) {
            value->null = true;
            return;
        }
        name_value(call, shape->target, cell.number, value);
        return;
    }
    buf_init(&text, CELL_TEXT_MAX - 1);
    look.decoded = false;
    value->number = cell.number;
    value->null = !look_text(&look, shape, &cell, &text);
    snprintf(value->text, sizeof(value->text), "%s", text.ptr);
}

static void read_values(struct call *call,
                        const struct search_option *option,
                        struct item *ticket,
                        struct values *values)
{
    int column = search_column(option);

    values->n = 0;
    if (strcmp(option->field, "is_late") == 0) {
        struct value *value = add_value(values);

        value->number = is_late(call, option->id, ticket) ? 1 : 0;
        snprintf(value->text, sizeof(value->text), "%lld", (long long)value->number);
    } else if (column >= 0) {
        column_value(call, column, ticket, add_value(values));
    } else if (option->id == 27 || option->id == 28) {
        struct value *value = add_value(values);

        value->number = count_children(call, option->id == 27 ? ITEM_ITILFollowup : ITEM_TicketTask,
                                       item_id(ticket));
        snprintf(value->text, sizeof(value->text), "%lld", (long long)value->number);
    } else {
        actor_values(call, option->id, item_id(ticket), values);
    }
}

/* LIKE '%v%' with ^ and $; also ">100" and the like on numbers. */
static bool contains(const struct value *value, struct str wanted, bool number)
{
    struct str text = str_from(value->text);
    int64_t limit;

    if (str_equal_nocase(wanted, STR_LITERAL("NULL"))) {
        return value->null;
    }
    if (value->null) {
        return false;
    }
    if (number && wanted.len > 1 && (wanted.ptr[0] == '>' || wanted.ptr[0] == '<')) {
        bool equal = wanted.ptr[1] == '=';
        size_t skip = equal ? 2 : 1;

        if (str_to_int64(str_trim((struct str){wanted.ptr + skip, wanted.len - skip}), INT64_MIN,
                         INT64_MAX, &limit)) {
            return (equal && value->number == limit) ||
                   (wanted.ptr[0] == '>' ? value->number > limit : value->number < limit);
        }
    }
    if (number && str_to_int64(wanted, INT64_MIN, INT64_MAX, &limit)) {
        return value->number == limit;
    }
    bool from_start = wanted.len > 0 && wanted.ptr[0] == '^';

    wanted = from_start ? (struct str){wanted.ptr + 1, wanted.len - 1} : wanted;
    bool to_end = wanted.len > 0 && wanted.ptr[wanted.len - 1] == '$';

    wanted.len -= to_end ? 1 : 0;
    if (from_start) {
        return to_end ? str_equal_nocase(text, wanted) : str_starts_with_nocase(text, wanted);
    }
    if (to_end) {
        return text.len >= wanted.len &&
               str_equal_nocase((struct str){text.ptr + text.len - wanted.len, wanted.len}, wanted);
    }
    return wanted.len == 0 || str_contains_nocase(text, wanted);
}

/* "-2HOUR", "-1DAY" (its midnight), "NOW", "TODAY"; else the text, a bare date at midnight. */
static void instant_text(struct call *call, struct str wanted, char out[INSTANT_TEXT_MAX])
{
    static const struct {
        const char *unit;
        int64_t seconds;
        bool midnight;
    } units[] = {{"MINUTE", 60, false},
                 {"HOUR", 3600, false},
                 {"DAY", 86400, true},
                 {"WEEK", 7 * 86400, true}};

    int64_t now_s = look_local_s(&call->look, call->now_s);
    int64_t number;

    if (str_equal_c(wanted, "NOW") || str_equal_c(wanted, "TODAY")) {
        now_s -= str_equal_c(wanted, "TODAY") ? now_s % 86400 : 0;
        (void)instant_format_plain(now_s * US_PER_S, out);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        struct str unit = str_from(units[i].unit);

        if (str_ends_with(wanted, unit) &&
            str_to_int64((struct str){wanted.ptr, wanted.len - unit.len}, -100000, 100000,
                         &number)) {
            int64_t at_s = now_s + number * units[i].seconds;

            at_s -= units[i].midnight ? at_s % 86400 : 0;
            (void)instant_format_plain(at_s * US_PER_S, out);
            return;
        }
    }
    snprintf(out, INSTANT_TEXT_MAX, "%.*s%s", (int)(wanted.len < 30 ? wanted.len : 30), wanted.ptr,
             wanted.len == 10 ? " 00:00:00" : "");
}

static bool
date_matches(struct call *call, const struct value *value, struct str type, struct str wanted)
{
    char limit[INSTANT_TEXT_MAX];

    if (str_equal_c(type, "equals") || str_equal_c(type, "notequals")) {
        return !value->null && str_starts_with(str_from(value->text), wanted);
    }
    if (str_equal_c(type, "morethan") || str_equal_c(type, "lessthan")) {
        instant_text(call, wanted, limit);
        int order = strcmp(value->text, limit);

        return !value->null && (str_equal_c(type, "morethan") ? order > 0 : order < 0);
    }
    return contains(value, wanted, false);
}

static bool status_matches(int64_t status, struct str wanted)
{
    int64_t number;

    if (str_equal_c(wanted, "all")) {
        return true;
    }
    if (str_equal_c(wanted, "notold")) {
        return status <= 4 || status == 10;
    }
    if (str_equal_c(wanted, "notclosed")) {
        return status != 6;
    }
    if (str_equal_c(wanted, "process")) {
        return status == 2 || status == 3;
    }
    if (str_equal_c(wanted, "old")) {
        return status == 5 || status == 6;
    }
    return str_to_int64(wanted, INT64_MIN, INT64_MAX, &number) && number == status;
}

/* `equals` on keys and numbers; morethan and lessthan on numbers mean the same. */
static bool equals(const struct search_option *option, const struct value *value, struct str wanted)
{
    int64_t number = 0;

    if (option->id == 12) {
        return status_matches(value->number, wanted);
    }
    if (str_equal_c(wanted, "myself")) {
        return value->number == SYNC_USER;
    }
    if (!str_to_int64(wanted, INT64_MIN, INT64_MAX, &number)) {
        return str_equal_nocase(str_from(value->text), wanted);
    }
    return !value->null && value->number == number;
}

static bool is_under(struct call *call,
                     const struct search_option *option,
                     const struct value *value,
                     struct str wanted)
{
    const struct column *column = &itemtypes[ITEM_Ticket].columns[search_column(option)];
    struct value root;
    int64_t id;

    if (value->null || !str_to_int64(wanted, 0, INT64_MAX, &id)) {
        return false;
    }
    name_value(call, column->target, id, &root);
    struct str path = str_from(root.text);

    return value->number == id || (!root.null && str_starts_with(str_from(value->text), path) &&
                                   strncmp(value->text + path.len, " > ", 3) == 0);
}

static bool
value_matches(struct call *call, const struct criterion *node, const struct value *value)
{
    const struct search_option *option = node->option;
    bool number = option_is(option, "number") || option_is(option, "count") ||
                  option_is(option, "timestamp") || option_is(option, "decimal");

    if (option_is(option, "datetime")) {
        return date_matches(call, value, node->type, node->value);
    }
    if (str_equal_c(node->type, "contains") || str_equal_c(node->type, "notcontains")) {
        return contains(value, node->value, number);
    }
    if ((str_equal_c(node->type, "under") || str_equal_c(node->type, "notunder")) &&
        search_column(option) >= 0) {
        return is_under(call, option, value, node->value);
    }
    return equals(option, value, node->value);
}

bool search_matches(const struct search *search, const struct criterion *node, struct item *ticket)
{
    struct values *values CLEANUP(xfreep) = xmalloc(sizeof(*values)); /* large */
    bool negative = str_starts_with(node->type, STR_LITERAL("not"));
    bool any = false;

    if (node->value.len == 0) { /* an empty value fails open */
        return true;
    }
    read_values(search->call, node->option, ticket, values);
    if (values->n == 0 || (values->n == 1 && values->items[0].null)) {
        bool none = str_equal_c(node->value, "0") && str_equal_c(node->type, "equals");

        any = none || (values->n == 1 && value_matches(search->call, node, &values->items[0]));
    }
    for (int i = 0; i < values->n; i++) {
        any = any || value_matches(search->call, node, &values->items[i]);
    }
    return any != negative;
}

static void
write_value(const struct search_option *option, const struct value *value, struct buf *out)
{
    bool user = strcmp(option->table, "glpi_users") == 0 && search_column(option) < 0;
    bool number = option_is(option, "number") || option_is(option, "count") ||
                  option_is(option, "bool") || option_is(option, "specific") || option->id == 45;

    if (value->null) {
        buf_add_c(out, "null");
    } else if (number && !user) {
        buf_add_int(out, value->number);
    } else {
        buf_add_json_string(out, str_from(value->text));
    }
}

void search_write(struct call *call,
                  const struct search_option *option,
                  struct item *ticket,
                  struct buf *out)
{
    struct values *values CLEANUP(xfreep) = xmalloc(sizeof(*values));

    if (option->id == 188) {
        buf_add_c(out, "\"\"");
        return;
    }
    if (option->id == 35) {
        buf_add_c(out, "1");
        return;
    }
    read_values(call, option, ticket, values);
    if (values->n == 0) {
        buf_add_c(out, "null");
        return;
    }
    buf_add_c(out, values->n > 1 ? "[" : "");
    for (int i = 0; i < values->n; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        write_value(option, &values->items[i], out);
    }
    buf_add_c(out, values->n > 1 ? "]" : "");
}
