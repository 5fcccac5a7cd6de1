#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/glpi/system.h"

/*
 * GET /_control/rows?system=glpi&table=T[&fields=a,b][&account=LOGIN]: every row as it stands, in
 * the trash or not, decoded and in UTC, one JSON object a line; with an account only the rows that
 * it could list. It goes over computed rows by index and kept ones by array, without the views
 * that serve pages, so that a mistake in paging cannot hide here.
 */

#define CHUNK_BYTES ((size_t)256 << 10)

struct walk {
    struct call call; /* whose eyes are used */
    struct item_table *table;
    bool shown[COLUMNS_MAX];
    bool restricted;
    struct spot spot;
    int64_t next_base, next_kept;
};

static void free_walk(void *context)
{
    struct walk *walk = context;

    pthread_rwlock_unlock(&walk->call.glpi->lock);
    xfree(walk);
}

static void write_line(struct walk *walk, struct item *item, struct buf *out)
{
    const struct shape *shape = walk->table->shape;
    char scratch[CELL_TEXT_MAX];
    char separator = '{';

    if (walk->restricted && !glpi_rights_allow(&walk->call, item)) {
        return;
    }
    for (int i = 0; i < shape->n_columns; i++) {
        if (!walk->shown[i]) {
            continue;
        }
        struct cell cell = glpi_cell(&walk->call.look, item, i, scratch);
        struct column column = shape->columns[i];

        /* A path is decoded here, unlike what the server does with its header. */
        column.type = column.type == TYPE_TREE ? TYPE_TEXT : column.type;
        buf_addf(out, "%c\"%s\":", separator, column.name);
        look_write(&walk->call.look, &column, &cell, out);
        separator = ',';
    }
    buf_add_c(out, separator == '{' ? "{}\n" : "}\n");
}

static bool next_chunk(void *context, struct buf *out)
{
    struct walk *walk = context;
    struct item_table *table = walk->table;
    struct item item = {0};

    while (out->len < CHUNK_BYTES) {
        if (walk->next_base < table->n_base) {
            walk->spot = walk->next_base == 0 ? base_select(table, ORDER_ID, MASK_ALL, 0)
                                              : base_step(table, ORDER_ID, MASK_ALL, walk->spot, 1);
            walk->next_base++;
            if (!base_is_covered(table, walk->spot.index)) {
                item_set_base(&item, table, walk->spot);
                write_line(walk, &item, out);
            }
        } else if (walk->next_kept < table->n_kept) {
            item_set_kept(&item, table, table->by_id[walk->next_kept++]);
            write_line(walk, &item, out);
        } else {
            return false;
        }
    }
    return true;
}

/* false: an unknown field. */
static bool choose_fields(struct walk *walk, struct str fields)
{
    const struct shape *shape = walk->table->shape;

    for (int i = 0; fields.len == 0 && i < shape->n_columns; i++) {
        walk->shown[i] = look_shows(&walk->call.look, &shape->columns[i]);
    }
    while (fields.ptr != NULL && fields.len > 0) {
        int column = column_of(shape, str_trim(str_cut(&fields, ',')));

        if (column < 0) {
            return false;
        }
        walk->shown[column] = true;
    }
    return true;
}

/* false: there is no such account. */
static bool choose_account(struct walk *walk, struct str account)
{
    if (account.len == 0) {
        return true;
    }
    for (int i = 0; i < N_ACCOUNTS; i++) {
        if (str_equal_c(account, walk->call.glpi->accounts[i].login)) {
            walk->call.session = (struct session){.account = i, .whole = true};
            glpi_rights_read(&walk->call);
            walk->restricted = true;
            return true;
        }
    }
    return false;
}

void glpi_truth(struct glpi *glpi, const struct request *request, struct reply *reply)
{
    struct walk *walk = XNEW(struct walk);
    struct str table = STR_NONE;
    struct str fields = STR_NONE;
    struct str account = STR_NONE;

    (void)request_param(request, "table", &table);
    (void)request_param(request, "fields", &fields);
    (void)request_param(request, "account", &account);
    glpi_catch_up(glpi);
    pthread_rwlock_rdlock(&glpi->lock);
    walk->call.glpi = glpi;
    walk->call.now_s = sim_clock_now_us(glpi->clock) / US_PER_S;
    glpi_read_look(glpi, &walk->call.look);
    walk->call.look.decoded = true;
    walk->table = items_table(&glpi->items, table);
    if (walk->table == NULL || !choose_fields(walk, fields) || !choose_account(walk, account)) {
        free_walk(walk);
        reply->status = 400;
        buf_add_c(&reply->body, "{\"error\":\"rows: unknown table, field or account\"}\n");
        return;
    }
    reply->status = 200;
    reply_header(reply, "Content-Type", "application/x-ndjson");
    reply->source = next_chunk;
    reply->source_context = walk;
    reply->source_free = free_walk;
}
