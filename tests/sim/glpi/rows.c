#include <stdio.h>
#include <string.h>

#include "tests/sim/glpi/system.h"

/* One row as JSON: the lists and the single items are made of these. */

bool glpi_flag(const struct request *request, const char *name, bool fallback)
{
    struct str value;

    if (!request_param(request, name, &value)) {
        return fallback;
    }
    return str_equal_c(value, "true") || str_equal_c(value, "1");
}

bool glpi_name_of(struct glpi *glpi, const char *itemtype, int64_t id, struct buf *out)
{
    const struct item_table *table = items_table(&glpi->items, str_from(itemtype));
    char scratch[CELL_TEXT_MAX];
    struct item item;

    if (table == NULL || !items_find(table, id, &item)) {
        return false;
    }
    int name = column_of(table->shape, STR_LITERAL("completename"));

    if (table->shape->itemtype == ITEM_User) {
        struct cell realname = item_cell(&item, User_realname, scratch);

        if (!realname.null && realname.text.len > 0) {
            struct cell firstname = item_cell(&item, User_firstname, scratch);

            buf_add_str(out, realname.text);
            buf_add_c(out, firstname.null ? "" : " ");
            buf_add_str(out, firstname.text);
            return true;
        }
    }
    name = name >= 0 ? name : column_of(table->shape, STR_LITERAL("name"));
    if (name < 0) {
        return false;
    }
    buf_add_str(out, item_cell(&item, name, scratch).text);
    return true;
}

struct cell
glpi_cell(const struct look *look, struct item *item, int column, char scratch[CELL_TEXT_MAX])
{
    struct cell cell = item_cell(item, column, scratch);

    if (look->version11 && item->kept == NULL && column == Ticket_status &&
        item->table->shape->itemtype == ITEM_Ticket && item->core.validation == 2 &&
        cell.number <= 3) {
        return cell_int(10);
    }
    return cell;
}

/* A key that is expanded: greater than 0, or an entity. */
static bool write_expanded(struct call *call,
                           const struct column *column,
                           const struct cell *cell,
                           struct buf *out)
{
    struct buf name CLEANUP(buf_release) = {0};
    struct buf shown CLEANUP(buf_release) = {0};
    bool entity = strcmp(column->target, "Entity") == 0;

    if (column->target[0] == '\0' || cell->null || (cell->number == 0 && !entity)) {
        return false;
    }
    buf_init(&name, 65536);
    buf_init(&shown, 65536);
    if (!glpi_name_of(call->glpi, column->target, cell->number, &name)) {
        return false;
    }
    if (call->look.version11) {
        buf_add_str(&shown, buf_str(&name));
    } else {
        look_encode(&call->look, buf_str(&name), &shown); /* separators too */
    }
    buf_add_json_string(out, buf_str(&shown));
    return true;
}

static void add_link(struct call *call, const char *rel, const char *path, struct buf *out)
{
    buf_addf(out, "%s{\"rel\":\"%s\",\"href\":\"%s/apirest.php/%s\"}",
             out->len > 0 && out->ptr[out->len - 1] == '}' ? "," : "", rel, call->origin, path);
}

static void write_links(struct call *call, struct item *item, struct buf *out)
{
    static const char *const parts[] = {"Document_Item", "TicketTask",     "TicketValidation",
                                        "TicketCost",    "Problem_Ticket", "Change_Ticket",
                                        "Item_Ticket",   "ITILSolution",   "ITILFollowup",
                                        "Ticket_User",   "Group_Ticket",   "Supplier_Ticket"};
    const struct shape *shape = item->table->shape;
    char path[128];

    buf_add_c(out, ",\"links\":[");
    for (int i = 0; i < shape->n_columns; i++) {
        const char *target = shape->columns[i].target;

        if (target[0] == '\0' || !look_shows(&call->look, &shape->columns[i])) {
            continue;
        }
        int64_t key = item_number(item, i);

        if (key > 0 || strcmp(target, "Entity") == 0) {
            snprintf(path, sizeof(path), "%s/%lld", target, (long long)key);
            add_link(call, target, path, out);
        }
    }
    for (size_t i = 0; shape->itemtype == ITEM_Ticket && i < ARRAY_SIZE(parts); i++) {
        snprintf(path, sizeof(path), "Ticket/%lld/%s/", (long long)item_id(item), parts[i]);
        add_link(call, parts[i], path, out);
    }
    buf_add_char(out, ']');
}

static const struct fault *bad_value(const struct call *call, const char *column, int64_t id)
{
    for (int i = 0; i < call->drawn.n; i++) {
        const struct fault *fault = &call->drawn.items[i];

        if (fault->kind == FAULT_bad_value && fault_names(fault->field, str_from(column)) &&
            (fault->every <= 1 || glpi_mix((uint64_t)id, 3) % (uint64_t)fault->every == 0)) {
            return fault;
        }
    }
    return NULL;
}

/* false: the value as it is. */
static bool write_bad(const struct fault *fault, const struct cell *cell, struct buf *out)
{
    static const struct {
        const char *mode, *json;
    } constants[] = {
        {"zero_date", "\"0000-00-00 00:00:00\""},
        {"not_date", "\"2026-13-45 99:00:00\""},
        {"not_integer", "\"abc\""},
        {"nul", "\"before\\u0000after\""},
        {"null", "null"},
        {"object", "{\"id\":1,\"name\":\"nested\"}"},
        {"array", "[1,\"a\"]"},
        {"bool", "true"},
        {"fraction", "2.5"},
        {"lone_surrogate", "\"broken \\ud800 pair\""},
        {"bad_utf8", "\"broken \xff byte\""},
        {"extra", "0,\"plugin_fields_new\":{\"nested\":[1,{\"x\":null}]}"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(constants); i++) {
        if (fault_mode_is(fault, constants[i].mode)) {
            buf_add_c(out, constants[i].json);
            return true;
        }
    }
    if (fault_mode_is(fault, "string_int")) {
        if (cell->null || cell->text.len > 0) {
            return false;
        }
        buf_addf(out, "\"%lld\"", (long long)cell->number);
        return true;
    }
    buf_add_c(out, fault->value[0] != '\0' ? fault->value : "null"); /* mode raw */
    return true;
}

void glpi_write_row(struct call *call,
                    struct item *item,
                    const struct row_options *options,
                    struct buf *out)
{
    const struct shape *shape = item->table->shape;
    char scratch[CELL_TEXT_MAX];
    int64_t id = item_id(item);
    bool may_be_bad = drawn_find(&call->drawn, FAULT_bad_value) != NULL;

    buf_add_char(out, '{');
    for (int i = 0; i < (options->only_id ? 1 : shape->n_columns); i++) {
        const struct column *column = &shape->columns[i];
        const struct fault *bad = may_be_bad ? bad_value(call, column->name, id) : NULL;

        if (!look_shows(&call->look, column) || (bad != NULL && fault_mode_is(bad, "missing"))) {
            continue;
        }
        struct cell cell = glpi_cell(&call->look, item, i, scratch);

        buf_add_c(out, out->ptr[out->len - 1] == '{' ? "\"" : ",\"");
        buf_add_c(out, column->name);
        buf_add_c(out, "\":");
        if ((bad != NULL && write_bad(bad, &cell, out)) ||
            (options->expand && write_expanded(call, column, &cell, out))) {
            continue;
        }
        look_write(&call->look, column, &cell, out);
    }
    if (options->links) {
        write_links(call, item, out);
    }
    buf_add_char(out, '}');
}
