#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/servicenow/page.h"
#include "tests/sim/servicenow/scan.h"
#include "tests/sim/servicenow/system.h"

/*
 * The Aggregate API: count, min, max, sum and avg, grouped or not; numbers as strings, an object
 * when ungrouped and an array when grouped, "" for the extreme of nothing.
 */

enum { STATS_MAX_FIELDS = 8, STATS_MAX_GROUPS = 4, GROUP_KEY_MAX = 512 };

struct figure {
    struct path path;
    struct str name;
    char least[128], most[128];
    double sum;
    int64_t n;
};

struct group {
    char key[GROUP_KEY_MAX]; /* the group's values, each ended by a NUL; sorted by it */
    size_t key_len;
    int64_t count;
    struct figure figures[STATS_MAX_FIELDS];
};

struct stats {
    struct call *call;
    struct figure fields[STATS_MAX_FIELDS]; /* what to look at */
    int n_fields;
    struct path group_by[STATS_MAX_GROUPS];
    struct str group_names[STATS_MAX_GROUPS];
    int n_group_by;
    struct group **groups; /* sorted by key */
    int64_t n_groups, capacity;
};

static const char *const figure_params[] = {"sysparm_min_fields", "sysparm_max_fields",
                                            "sysparm_sum_fields", "sysparm_avg_fields"};
static const char *const figure_names[] = {"min", "max", "sum", "avg"};

static void release_stats(struct stats *stats)
{
    for (int64_t i = 0; i < stats->n_groups; i++) {
        xfree(stats->groups[i]);
    }
    xfree(stats->groups);
}

static void add_field(struct stats *stats, struct str name)
{
    for (int i = 0; i < stats->n_fields; i++) {
        if (str_equal(stats->fields[i].name, name)) {
            return;
        }
    }
    struct figure *field = &stats->fields[stats->n_fields];

    if (stats->n_fields < STATS_MAX_FIELDS &&
        path_parse(&field->path, &stats->call->sn->store, stats->call->table, name)) {
        field->name = name;
        stats->n_fields++;
    }
}

static void read_params(struct stats *stats)
{
    struct str list;

    for (size_t i = 0; i < ARRAY_SIZE(figure_params); i++) {
        if (request_param(stats->call->request, figure_params[i], &list)) {
            while (list.ptr != NULL) {
                add_field(stats, str_trim(str_cut(&list, ',')));
            }
        }
    }
    if (!request_param(stats->call->request, "sysparm_group_by", &list)) {
        return;
    }
    while (list.ptr != NULL && stats->n_group_by < STATS_MAX_GROUPS) {
        struct str name = str_trim(str_cut(&list, ','));

        if (path_parse(&stats->group_by[stats->n_group_by], &stats->call->sn->store,
                       stats->call->table, name)) {
            stats->group_names[stats->n_group_by++] = name;
        }
    }
}

static struct group *find_group(struct stats *stats, const char *key, size_t key_len)
{
    int64_t low = 0;
    int64_t high = stats->n_groups;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        struct group *group = stats->groups[middle];
        int order =
            str_compare((struct str){group->key, group->key_len}, (struct str){key, key_len});

        if (order == 0) {
            return group;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (stats->n_groups == stats->capacity) {
        stats->capacity = stats->capacity * 2 + 16;
        stats->groups = xrealloc(stats->groups, (size_t)stats->capacity * sizeof(*stats->groups));
    }
    memmove(&stats->groups[low + 1], &stats->groups[low],
            (size_t)(stats->n_groups - low) * sizeof(*stats->groups));
    struct group *fresh = XNEW(struct group);

    memcpy(fresh->key, key, key_len);
    fresh->key_len = key_len;
    stats->groups[low] = fresh;
    stats->n_groups++;
    return fresh;
}

static void take_figure(struct figure *figure, enum column_type type, struct str cell)
{
    char text[128];
    bool numeric = type == COLUMN_INTEGER || type == COLUMN_DECIMAL;

    if (cell.len == 0 || cell.len >= sizeof(text)) {
        return;
    }
    memcpy(text, cell.ptr, cell.len);
    text[cell.len] = '\0';
    double number = strtod(text, NULL);
    bool less = numeric ? number < strtod(figure->least, NULL) : strcmp(text, figure->least) < 0;
    bool more = numeric ? number > strtod(figure->most, NULL) : strcmp(text, figure->most) > 0;

    if (figure->n == 0 || less) {
        memcpy(figure->least, text, cell.len + 1);
    }
    if (figure->n == 0 || more) {
        memcpy(figure->most, text, cell.len + 1);
    }
    figure->sum += number;
    figure->n++;
}

static bool take_row(void *context, struct row *row)
{
    struct stats *stats = context;
    char key[GROUP_KEY_MAX];
    char out[CELL_MAX];
    size_t key_len = 0;

    for (int i = 0; i < stats->n_group_by; i++) {
        struct str cell = path_cell(&stats->group_by[i], row, out);
        size_t room = GROUP_KEY_MAX / STATS_MAX_GROUPS - 1;
        size_t len = cell.len < room ? cell.len : room;

        memcpy(key + key_len, cell.ptr, len);
        key_len += len;
        key[key_len++] = '\0';
    }
    struct group *group = find_group(stats, key, key_len);

    group->count++;
    for (int i = 0; i < stats->n_fields; i++) {
        take_figure(&group->figures[i], path_column(&stats->fields[i].path)->type,
                    path_cell(&stats->fields[i].path, row, out));
    }
    return true;
}

static void write_figure(struct buf *out, const struct figure *figure, int which)
{
    char number[64];

    if (which == 0 || which == 1) {
        buf_add_json_string(out, str_from(which == 0 ? figure->least : figure->most));
        return;
    }
    snprintf(number, sizeof(number), "%.4f",
             which == 2 ? figure->sum : figure->sum / (double)(figure->n > 0 ? figure->n : 1));
    if (which == 2 && figure->sum == (double)(int64_t)figure->sum) {
        snprintf(number, sizeof(number), "%lld", (long long)figure->sum);
    }
    buf_add_json_string(out, str_from(figure->n > 0 ? number : ""));
}

static void write_figures(struct stats *stats, const struct group *group, int which, bool *first)
{
    struct buf *out = &stats->call->reply->body;
    struct str list;
    bool first_field = true;

    if (!request_param(stats->call->request, figure_params[which], &list)) {
        return;
    }
    buf_addf(out, "%s\"%s\":{", *first ? "" : ",", figure_names[which]);
    *first = false;
    while (list.ptr != NULL) {
        struct str name = str_trim(str_cut(&list, ','));

        for (int i = 0; i < stats->n_fields; i++) {
            if (str_equal(stats->fields[i].name, name)) {
                buf_add_c(out, first_field ? "" : ",");
                buf_add_json_string(out, name);
                buf_add_char(out, ':');
                write_figure(out, &group->figures[i], which);
                first_field = false;
            }
        }
    }
    buf_add_char(out, '}');
}

static void write_group(struct stats *stats, const struct group *group)
{
    struct buf *out = &stats->call->reply->body;
    struct str value;
    bool first = true;

    buf_add_c(out, "{\"stats\":{");
    if (request_param(stats->call->request, "sysparm_count", &value) &&
        str_equal_c(value, "true")) {
        buf_addf(out, "\"count\":\"%lld\"", (long long)group->count);
        first = false;
    }
    for (int which = 0; which < 4; which++) {
        write_figures(stats, group, which, &first);
    }
    buf_add_char(out, '}');
    if (stats->n_group_by > 0) {
        const char *at = group->key;

        buf_add_c(out, ",\"groupby_fields\":[");
        for (int i = 0; i < stats->n_group_by; i++) {
            buf_add_c(out, i > 0 ? ",{\"value\":" : "{\"value\":");
            buf_add_json_string(out, str_from(at));
            buf_add_c(out, ",\"field\":");
            buf_add_json_string(out, stats->group_names[i]);
            buf_add_char(out, '}');
            at += strlen(at) + 1;
        }
        buf_add_char(out, ']');
    }
    buf_add_char(out, '}');
}

static void write_stats(struct stats *stats, const struct query *query)
{
    struct call *call = stats->call;
    struct scan_request scan = {&call->sn->store, call->table, query, 0, -1, 0};
    struct buf *out = &call->reply->body;
    struct group *whole = XNEW(struct group);

    if (stats->n_group_by == 0 && stats->n_fields == 0) {
        whole->count = scan_count(&scan);
    } else {
        struct query unsorted = *query;

        unsorted.n_sorts = 0;
        scan.query = &unsorted;
        (void)scan_run(&scan, take_row, stats);
    }
    buf_add_c(out, stats->n_group_by > 0 ? "{\"result\":[" : "{\"result\":");
    for (int64_t i = 0; i < stats->n_groups; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        write_group(stats, stats->groups[i]);
    }
    if (stats->n_group_by == 0 && stats->n_groups == 0) {
        write_group(stats, whole);
    }
    buf_add_c(out, stats->n_group_by > 0 ? "]}" : "}");
    xfree(whole);
    respond_json(call, 200);
}

void stats_answer(struct call *call)
{
    struct stats *stats = XNEW(struct stats);
    struct query query CLEANUP(query_release) = {0};
    struct query_rules rules;
    struct str text = STR_NONE;

    stats->call = call;
    (void)request_param(call->request, "sysparm_query", &text);
    respond_rules(call, &rules);
    query_parse(&query, &call->sn->store, call->table, text, &rules);
    query.nothing = query.nothing || call->table->empty_for_user;
    if (query.forbidden || call->table->forbidden_for_user) {
        respond_error(call, 403, "Insufficient rights to query records",
                      "Field(s) present in the query do not have permission to be read");
    } else {
        read_params(stats);
        write_stats(stats, &query);
    }
    release_stats(stats);
    xfree(stats);
}
