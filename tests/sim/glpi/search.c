#include "tests/sim/glpi/search.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/glpi/view.h"

/* GET /search/Ticket: criteria, display and paging. */

enum { DEFAULT_END = 14 };

static int find_node(struct search *search, struct str path)
{
    for (int i = 0; i < search->n_nodes; i++) {
        if (str_equal_c(path, search->nodes[i].path)) {
            return i;
        }
    }
    if (search->n_nodes == NODES_MAX || path.len >= sizeof(search->nodes[0].path)) {
        return -1;
    }
    int made = search->n_nodes++;

    memset(&search->nodes[made], 0, sizeof(search->nodes[made]));
    memcpy(search->nodes[made].path, path.ptr, path.len);
    search->nodes[made].parent = -1;
    return made;
}

/* Where the group that holds `path` ends: "[0][criteria][1]" is in "[0]". */
static struct str group_of(struct str path)
{
    static const struct str mark = {"[criteria]", 10};

    for (size_t i = path.len; i-- > 0;) {
        if (i + mark.len <= path.len && memcmp(path.ptr + i, mark.ptr, mark.len) == 0) {
            return (struct str){path.ptr, i};
        }
    }
    return STR_NONE;
}

static void link_groups(struct search *search, int node)
{
    struct str path = str_from(search->nodes[node].path);
    struct str group = group_of(path);

    while (group.len > 0) {
        int parent = find_node(search, group);

        if (parent < 0) {
            return;
        }
        search->nodes[node].parent = parent;
        search->nodes[parent].group = true;
        node = parent;
        group = group_of(group);
    }
}

static void set_link(struct criterion *node, struct str link)
{
    node->alternative = str_starts_with_nocase(link, STR_LITERAL("OR"));
    node->negated = str_ends_with(link, STR_LITERAL("NOT"));
}

/* One parameter criteria[0][criteria][1][field]=12; false: answered with 400. */
static bool read_criterion(struct search *search, struct str name, struct str value)
{
    struct str path = {name.ptr + 8, name.len - 8};
    size_t cut = path.len;
    int64_t field;

    while (cut > 0 && path.ptr[cut - 1] != '[') {
        cut--;
    }
    if (cut < 2 || path.ptr[path.len - 1] != ']') {
        return true;
    }
    struct str key = {path.ptr + cut, path.len - cut - 1};
    int at = find_node(search, (struct str){path.ptr, cut - 1});

    if (at < 0) {
        return true;
    }
    link_groups(search, at);
    struct criterion *node = &search->nodes[at];

    if (str_equal_c(key, "link")) {
        set_link(node, value);
    } else if (str_equal_c(key, "searchtype")) {
        node->type = value;
        node->has_type = true;
    } else if (str_equal_c(key, "value")) {
        node->value = value;
        node->has_value = true;
    } else if (str_equal_c(key, "field")) {
        node->has_field = true;
        node->option = str_to_int64(value, 0, INT64_MAX, &field) ? search_option(field) : NULL;
        if (node->option == NULL) {
            respond_glpi_refusal(search->call, "ERROR", "Bad field ID in search criteria");
            return false;
        }
    }
    return true;
}

static void show(struct search *search, int64_t id)
{
    for (int i = 0; i < search->n_shown; i++) {
        if (search->shown[i] == id) {
            return;
        }
    }
    if (search->n_shown < SHOWN_MAX && search_option(id) != NULL) {
        search->shown[search->n_shown++] = id;
    }
}

/* forcedisplay, or the user's display preferences; then what was searched. */
static void choose_columns(struct search *search)
{
    static const int64_t always[] = {2, 1, 80};
    static const int64_t preferred[] = {12, 19, 15, 3, 4, 5, 7, 18};
    const struct request *request = search->call->request;
    bool forced = false;
    int64_t id;

    for (size_t i = 0; i < ARRAY_SIZE(always); i++) {
        show(search, always[i]);
    }
    for (int i = 0; i < request->n_params; i++) {
        if (str_starts_with(request->params[i].name, STR_LITERAL("forcedisplay["))) {
            forced = true;
            if (str_to_int64(request->params[i].value, 0, INT64_MAX, &id)) {
                show(search, id);
            }
        }
    }
    for (size_t i = 0; !forced && i < ARRAY_SIZE(preferred); i++) {
        show(search, preferred[i]);
    }
    for (int i = 0; i < search->n_nodes; i++) {
        if (search->nodes[i].option != NULL) {
            show(search, search->nodes[i].option->id);
        }
    }
}

static void read_sorts(struct search *search)
{
    const struct request *request = search->call->request;

    for (int i = 0; i < request->n_params; i++) {
        struct str name = request->params[i].name;
        struct str value = request->params[i].value;
        bool sort = str_equal_c(name, "sort") || str_starts_with(name, STR_LITERAL("sort["));
        bool order = str_equal_c(name, "order") || str_starts_with(name, STR_LITERAL("order["));

        if (sort && search->n_sorts < SORTS_MAX &&
            str_to_int64(value, 0, INT64_MAX, &search->sorts[search->n_sorts])) {
            search->n_sorts++;
        } else if (order && search->n_orders < SORTS_MAX) {
            search->descending[search->n_orders++] = str_equal_nocase(value, STR_LITERAL("DESC"));
        }
    }
    if (search->n_sorts == 0) {
        search->sorts[search->n_sorts++] = 1;
    }
}

static bool read_search(struct search *search)
{
    const struct request *request = search->call->request;
    struct str range;

    search->end = DEFAULT_END;
    search->mask = glpi_flag(request, "is_deleted", false) ? MASK_SECOND : MASK_FIRST;
    if (request_param(request, "range", &range)) {
        struct str end = range;
        struct str start = str_cut(&end, '-');

        search->has_range = true;
        if (!str_to_int64(start, 0, INT64_MAX / 4, &search->start) ||
            !str_to_int64(end, search->start, INT64_MAX / 4, &search->end)) {
            respond_glpi_refusal(search->call, "ERROR",
                                 "range must be in format : [start-end] with integers");
            return false;
        }
    }
    for (int i = 0; i < request->n_params; i++) {
        if (str_starts_with(request->params[i].name, STR_LITERAL("criteria[")) &&
            !read_criterion(search, request->params[i].name, request->params[i].value)) {
            return false;
        }
    }
    for (int i = 0; i < search->n_nodes; i++) {
        const struct criterion *node = &search->nodes[i];

        if (!node->group && (!node->has_field || !node->has_type || !node->has_value)) {
            respond_glpi_refusal(search->call, "ERROR", "Malformed search criteria");
            return false;
        }
    }
    read_sorts(search);
    choose_columns(search);
    return true;
}

/* The members of a group as SQL reads them: AND binds tighter than OR. */
static bool group_matches(const struct search *search, int parent, struct item *ticket)
{
    bool any = false;
    bool all = true;
    bool first = true;

    for (int i = 0; i < search->n_nodes; i++) {
        const struct criterion *node = &search->nodes[i];

        if (node->parent != parent) {
            continue;
        }
        bool met =
            node->group ? group_matches(search, i, ticket) : search_matches(search, node, ticket);

        met = met != node->negated;
        if (node->alternative && !first) {
            any = any || all;
            all = true;
        }
        all = all && met;
        first = false;
    }
    return any || all;
}

static void collect(struct search *search, struct refs *refs)
{
    const struct item_table *table = &search->call->glpi->items.tables[ITEM_Ticket];
    struct item item = {0};
    struct view view;

    view_open(&view, table, ORDER_ID, search->mask, false);
    while (view_next(&view, &item)) {
        if (glpi_rights_allow(search->call, &item) && group_matches(search, -1, &item)) {
            refs_add(refs, &item);
        }
    }
    view_close(&view);
    for (int i = search->n_sorts - 1; i >= 0; i--) {
        const struct search_option *option = search_option(search->sorts[i]);
        int column = option == NULL ? -1 : search_column(option);

        if (column >= 0) {
            refs_sort(refs, table, column, search->descending[i]);
        }
    }
}

static void write_rows(struct search *search, const struct refs *refs, bool html, struct buf *out)
{
    struct call *call = search->call;
    bool uids = glpi_flag(call->request, "uid_cols", false);
    bool indexes = glpi_flag(call->request, "withindexes", false);
    struct item item = {0};

    buf_add_char(out, indexes ? '{' : '[');
    for (int64_t i = search->start; i <= search->end && i < refs->n; i++) {
        refs_get(refs, &call->glpi->items.tables[ITEM_Ticket], i, &item);
        buf_add_c(out, i > search->start ? "," : "");
        if (indexes) {
            buf_addf(out, "\"%lld\":", (long long)item_id(&item));
        }
        for (int k = 0; k < search->n_shown; k++) {
            const struct search_option *option = search_option(search->shown[k]);

            if (uids) {
                buf_addf(out, "%c\"%s\":", k == 0 ? '{' : ',', option->uid);
            } else {
                buf_addf(out, "%c\"%lld\":", k == 0 ? '{' : ',', (long long)option->id);
            }
            if (html) {
                buf_addf(out, "\"<span class='text-nowrap'>%lld</span>\"",
                         (long long)item_id(&item));
            } else {
                search_write(call, option, &item, out);
            }
        }
        buf_add_char(out, '}');
    }
    buf_add_char(out, indexes ? '}' : ']');
}

static void write_answer(struct search *search, const struct refs *refs)
{
    struct call *call = search->call;
    struct buf *out = &call->reply->body;
    int64_t end = search->end < refs->n - 1 ? search->end : refs->n - 1;
    int64_t count = refs->n > search->start ? end - search->start + 1 : 0;

    buf_addf(out, "{\"totalcount\":%lld,\"count\":%lld,\"sort\":[", (long long)refs->n,
             (long long)count);
    for (int i = 0; i < search->n_sorts; i++) {
        buf_addf(out, "%s%lld", i > 0 ? "," : "", (long long)search->sorts[i]);
    }
    buf_add_c(out, "],\"order\":[");
    for (int i = 0; i < search->n_sorts; i++) {
        buf_addf(out, "%s\"%s\"", i > 0 ? "," : "", search->descending[i] ? "DESC" : "ASC");
    }
    buf_add_char(out, ']');
    if (count > 0) {
        buf_add_c(out, ",\"data\":");
        write_rows(search, refs, false, out);
        if (glpi_flag(call->request, "giveItems", false)) {
            buf_add_c(out, ",\"data_html\":");
            write_rows(search, refs, true, out);
        }
    }
    buf_addf(out, ",\"content-range\":\"%lld-%lld/%lld\"}", (long long)search->start,
             (long long)end, (long long)refs->n);
    reply_header(call->reply, "Accept-Range", "Ticket 1000");
    if (refs->n > 0) {
        reply_header(call->reply, "Content-Range", "%lld-%lld/%lld", (long long)search->start,
                     (long long)end, (long long)refs->n);
    }
    respond_glpi_json(call, end - search->start + 1 < refs->n ? 206 : 200);
}

void glpi_search_answer(struct call *call)
{
    struct search *search CLEANUP(xfreep) = XNEW(struct search);
    struct refs refs CLEANUP(refs_release) = {0};
    char message[96];

    search->call = call;
    if (!str_equal_c(call->rest, "Ticket")) {
        respond_glpi_refusal(call, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM",
                             "only the search of Ticket is simulated");
        return;
    }
    if (!read_search(search)) {
        return;
    }
    collect(search, &refs);
    if (search->has_range && search->start > refs.n) {
        snprintf(message, sizeof(message), "Provided range exceed total count of data: %lld",
                 (long long)refs.n);
        respond_glpi_refusal(call, "ERROR_RANGE_EXCEED_TOTAL", message);
        return;
    }
    write_answer(search, &refs);
}
