#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/glpi/system.h"

/* GET /:itemtype/:id and what lies below it. */

static void forbid(struct call *call)
{
    respond_glpi_error(call, 403, "ERROR_RIGHT_MISSING",
                       "You don't have permission to perform this action.");
}

static void answer_one(struct call *call, struct item *item)
{
    struct row_options options = {
        .links = glpi_flag(call->request, "get_hateoas", true),
        .expand = glpi_flag(call->request, "expand_dropdowns", false),
    };
    int stamp = column_of(item->table->shape, STR_LITERAL("date_mod"));
    int64_t changed_s = stamp >= 0 ? item_number(item, stamp) : 0;
    char date[INSTANT_TEXT_MAX];

    if (changed_s != 0) {
        reply_header(call->reply, "Last-Modified", "%s",
                     instant_format_http_date(changed_s * US_PER_S, date));
    }
    glpi_write_row(call, item, &options, &call->reply->body);
    respond_glpi_json(call, 200);
}

void glpi_item_answer(struct call *call, struct item_table *table, struct str path)
{
    struct str number = str_cut(&path, '/');
    struct item item = {0};
    int64_t id;

    if (!str_to_int64(number, 0, INT64_MAX, &id) || !items_find(table, id, &item)) {
        respond_glpi_error(call, 404, "ERROR_ITEM_NOT_FOUND", "Item not found");
        return;
    }
    if (!glpi_rights_may_list(call, table->shape->itemtype) || !glpi_rights_allow(call, &item)) {
        forbid(call);
        return;
    }
    if (path.len == 0) {
        answer_one(call, &item);
        return;
    }
    if (path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    struct item_table *children = items_table(&call->glpi->items, path);

    if (children == NULL) {
        respond_glpi_refusal(call, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM",
                             "resource not found or not an instance of CommonDBTM");
        return;
    }
    call->itemtype = path;
    glpi_list_answer(call, children, &item);
}
