#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/servicenow/mutate.h"
#include "tests/sim/servicenow/page.h"

/*
 * GET /_control/rows: every row as it stands, without access rules, faults, limits or orders, one
 * JSON object a line. It walks the computed rows by index and the overlay by array, and shares
 * with paging only the cells and the condition, so that a fault in paging cannot hide here.
 */

#define CHUNK_BYTES ((size_t)256 << 10)

/* The walk outlives the handler; the shared lock is held until it ends. */
struct walk {
    struct servicenow *sn;
    const struct table *table;
    struct query query;
    char *query_text, *fields_text;
    struct path *paths;
    struct str *names;
    bool *shown; /* asked for as dv_NAME: the display value */
    int n_paths;
    int64_t next_base, next_over;
};

static void free_walk(void *context)
{
    struct walk *walk = context;

    pthread_rwlock_unlock(&walk->sn->store.lock);
    query_release(&walk->query);
    xfree(walk->query_text);
    xfree(walk->fields_text);
    xfree(walk->paths);
    xfree(walk->names);
    xfree(walk->shown);
    xfree(walk);
}

static void write_line(struct walk *walk, struct row *row, struct buf *out)
{
    char text[CELL_MAX];
    char display[CELL_MAX];

    if (!query_matches(&walk->query, row)) {
        return;
    }
    for (int i = 0; i < walk->n_paths; i++) {
        struct str cell = path_cell(&walk->paths[i], row, text);

        buf_add_char(out, i == 0 ? '{' : ',');
        buf_add_json_string(out, walk->names[i]);
        buf_add_char(out, ':');
        if (walk->shown[i]) {
            cell = page_display(row->store, path_column(&walk->paths[i]), cell, 0, display);
        }
        buf_add_json_string(out, cell);
    }
    buf_add_c(out, "}\n");
}

static bool next_chunk(void *context, struct buf *out)
{
    struct walk *walk = context;
    struct row row;

    while (out->len < CHUNK_BYTES) {
        if (walk->next_base < walk->table->n_base) {
            int64_t index = walk->next_base++;

            if (!table_is_covered(walk->table, index)) {
                row_set_base(&row, &walk->sn->store, walk->table, index);
                write_line(walk, &row, out);
            }
        } else if (walk->next_over < walk->table->n_live) {
            row_set_overlay(&row, &walk->sn->store, walk->table,
                            walk->table->by_id[walk->next_over++]);
            write_line(walk, &row, out);
        } else {
            return false;
        }
    }
    return true;
}

/* The walk's own copies; false: an unknown field. */
static bool read_fields(struct walk *walk, const char *fields)
{
    struct str rest = str_from(fields);
    size_t most = (size_t)walk->table->n_columns;

    for (const char *c = fields; *c != '\0'; c++) {
        most += *c == ',' ? 1 : 0;
    }
    walk->paths = xcalloc(most + 1, sizeof(*walk->paths));
    walk->names = xcalloc(most + 1, sizeof(*walk->names));
    walk->shown = xcalloc(most + 1, sizeof(*walk->shown));
    while (rest.ptr != NULL && rest.len > 0) {
        struct str name = str_trim(str_cut(&rest, ','));
        struct str column = name;

        walk->shown[walk->n_paths] = str_starts_with(name, STR_LITERAL("dv_"));
        if (walk->shown[walk->n_paths]) {
            column = (struct str){name.ptr + 3, name.len - 3};
        }
        if (!path_parse(&walk->paths[walk->n_paths], &walk->sn->store, walk->table, column)) {
            return false;
        }
        walk->names[walk->n_paths++] = name;
    }
    for (int i = 0; walk->n_paths == 0 && fields[0] == '\0' && i < walk->table->n_columns; i++) {
        walk->paths[i] = (struct path){.n_steps = 1, .columns = {i}, .tables = {walk->table}};
        walk->names[i] = str_from(walk->table->columns[i].name);
    }
    walk->n_paths = walk->n_paths == 0 ? walk->table->n_columns : walk->n_paths;
    return true;
}

static char *copy_param(const struct request *request, const char *name)
{
    struct str value = {"", 0};

    (void)request_param(request, name, &value);
    return xstrndup(value.ptr, value.len);
}

void servicenow_truth(struct servicenow *sn, const struct request *request, struct reply *reply)
{
    struct walk *walk = XNEW(struct walk);
    struct str table = STR_NONE;
    struct query_rules rules = {.now_s = sim_clock_now_us(sn->clock) / US_PER_S};

    pending_apply(sn, rules.now_s);
    pthread_rwlock_rdlock(&sn->store.lock);
    walk->sn = sn;
    walk->query_text = copy_param(request, "query");
    walk->fields_text = copy_param(request, "fields");
    (void)request_param(request, "table", &table);
    walk->table = store_table(&sn->store, table);
    if (walk->table == NULL || !read_fields(walk, walk->fields_text)) {
        free_walk(walk);
        reply->status = 400;
        buf_add_c(&reply->body, "{\"error\":\"rows: unknown table or field\"}\n");
        return;
    }
    query_parse(&walk->query, &sn->store, walk->table, str_from(walk->query_text), &rules);
    if (walk->query.n_dropped > 0) {
        free_walk(walk);
        reply->status = 400;
        buf_add_c(&reply->body, "{\"error\":\"rows: the query is not understood\"}\n");
        return;
    }
    reply->status = 200;
    reply_header(reply, "Content-Type", "application/x-ndjson");
    reply->source = next_chunk;
    reply->source_context = walk;
    reply->source_free = free_walk;
}
