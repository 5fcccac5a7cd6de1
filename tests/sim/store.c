#include "tests/sim/store.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"

#define uthash_malloc(size)       xmalloc(size)
#define uthash_free(memory, size) xfree(memory)
#define HASH_FUNCTION             HASH_FNV
#include <uthash.h>

#define BURST_ROWS 1536 /* base rows in the middle of a big table that share one second */
#define BLOCK_ROWS 64   /* one block in 16 shares one second */

/* Hash table entry; the row itself stays free of uthash in the header. */
struct overlay_entry {
    struct overlay_row row;
    UT_hash_handle hh;
};

struct overlay_index {
    struct overlay_entry *head;
};

uint64_t store_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t greatest_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static uint64_t modular_inverse(uint64_t value, uint64_t modulus)
{
    int64_t t = 0;
    int64_t next_t = 1;
    int64_t r = (int64_t)modulus;
    int64_t next_r = (int64_t)(value % modulus);

    while (next_r != 0) {
        int64_t quotient = r / next_r;
        int64_t swap = t - quotient * next_t;

        t = next_t;
        next_t = swap;
        swap = r - quotient * next_r;
        r = next_r;
        next_r = swap;
    }
    return (uint64_t)(t < 0 ? t + (int64_t)modulus : t);
}

void store_init(struct store *store, uint64_t seed, int64_t base_s, int64_t n_tickets)
{
    pthread_rwlock_init(&store->lock, NULL);
    store->seed = seed;
    store->base_s = base_s;
    store->n_tickets = n_tickets;
    store->id_counter = 0;
}

void store_release(struct store *store)
{
    for (int i = 0; i < store->n_tables; i++) {
        table_release(&store->tables[i]);
    }
    xfree(store->tables);
    store->tables = NULL;
    store->n_tables = 0;
    pthread_rwlock_destroy(&store->lock);
}

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037U;

    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    }
    return hash;
}

void table_init(struct table *table, const struct store *store, int64_t n_base)
{
    table->n_base = n_base;
    table->salt = store_mix(store->seed, hash_name(table->name));
    table->col_id = table_column(table, STR_LITERAL("sys_id"));
    table->col_created = table_column(table, STR_LITERAL("sys_created_on"));
    table->col_updated = table_column(table, STR_LITERAL("sys_updated_on"));
    table->col_opened = table_column(table, STR_LITERAL("opened_at"));
    table->overlay = XNEW(struct overlay_index);
    if (n_base <= 0) {
        return;
    }
    uint64_t n = (uint64_t)n_base;

    table->step = UINT64_MAX / n;
    table->multiplier = n > 2 ? n * 618 / 1000 + 1 : 1;
    while (greatest_divisor(table->multiplier, n) != 1) {
        table->multiplier++;
    }
    table->inverse = n > 1 ? modular_inverse(table->multiplier, n) : 0;
    table->shift = table->salt % n;
}

void table_release(struct table *table)
{
    if (table->overlay != NULL) {
        struct overlay_entry *entry;
        struct overlay_entry *next;

        HASH_ITER (hh, table->overlay->head, entry, next) {
            HASH_DEL(table->overlay->head, entry);
            xfree(entry->row.cells);
            xfree(entry->row.id);
            xfree(entry);
        }
        xfree(table->overlay);
    }
    xfree(table->covered);
    xfree(table->by_id);
    xfree(table->by_updated);
    table->overlay = NULL;
    table->covered = NULL;
    table->by_id = NULL;
    table->by_updated = NULL;
    table->n_live = 0;
    table->capacity = 0;
}

struct table *store_table(const struct store *store, struct str name)
{
    for (int i = 0; i < store->n_tables; i++) {
        if (str_equal_c(name, store->tables[i].name)) {
            return &store->tables[i];
        }
    }
    return NULL;
}

int table_column(const struct table *table, struct str name)
{
    for (int i = 0; i < table->n_columns; i++) {
        const char *own = table->columns[i].name;

        if (name.len > 0 && own[0] == name.ptr[0] && strncmp(own, name.ptr, name.len) == 0 &&
            own[name.len] == '\0') {
            return i;
        }
    }
    return -1;
}

const char *table_choice_label(const struct column *column, struct str value)
{
    for (const struct choice *c = column->choices; c != NULL && c->value != NULL; c++) {
        if (str_equal_c(value, c->value)) {
            return c->label;
        }
    }
    return NULL;
}

static int64_t raw_stamp_s(const struct table *table, int64_t index)
{
    return table->first_s + index * table->span_s / table->n_base;
}

int64_t table_stamp_s(const struct table *table, int64_t index)
{
    int64_t burst = table->n_base / 2 / BLOCK_ROWS * BLOCK_ROWS;
    int64_t block = index / BLOCK_ROWS;

    if (table->n_base >= 8 * BURST_ROWS && index >= burst && index < burst + BURST_ROWS) {
        return raw_stamp_s(table, burst);
    }
    if (store_mix(table->salt, (uint64_t)block) % 16 == 0) {
        return raw_stamp_s(table, block * BLOCK_ROWS);
    }
    return raw_stamp_s(table, index);
}

int64_t table_first_with_stamp(const struct table *table, int64_t stamp_s)
{
    int64_t low = 0;
    int64_t high = table->n_base;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (table_stamp_s(table, middle) < stamp_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t table_position(const struct table *table, int64_t index)
{
    return (int64_t)(((uint64_t)index * table->multiplier + table->shift) %
                     (uint64_t)table->n_base);
}

int64_t table_index_at(const struct table *table, int64_t position)
{
    uint64_t n = (uint64_t)table->n_base;

    return (int64_t)(((uint64_t)position + n - table->shift) % n * table->inverse % n);
}

static void put_hex(uint64_t value, char out[16])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 15; i >= 0; i--) {
        out[i] = digits[value & 15];
        value >>= 4;
    }
}

void table_id_at(const struct table *table, int64_t position, char out[33])
{
    uint64_t noise = store_mix(table->salt, (uint64_t)position);
    uint64_t within = (uint64_t)(((unsigned __int128)noise * table->step) >> 64);

    put_hex((uint64_t)position * table->step + within, out);
    put_hex(store_mix(noise, table->salt), out + 16);
    out[32] = '\0';
}

int64_t table_first_with_id(const struct table *table, struct str id, bool after)
{
    int64_t low = 0;
    int64_t high = table->n_base;

    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        char text[33];

        table_id_at(table, middle, text);
        int order = str_compare((struct str){text, 32}, id);

        if (order < 0 || (after && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool table_is_covered(const struct table *table, int64_t index)
{
    return table->covered != NULL && (table->covered[index / 64] >> (index % 64) & 1) != 0;
}

static struct overlay_row *find_overlay(const struct table *table, struct str id)
{
    struct overlay_entry *entry = NULL;

    HASH_FIND(hh, table->overlay->head, id.ptr, (unsigned)id.len, entry);
    return entry == NULL ? NULL : &entry->row;
}

/* The base row with this id, whether an overlay row stands for it or not; -1: none. */
static int64_t find_base(const struct table *table, struct str id)
{
    uint64_t lead = 0;
    char text[33];

    if (table->n_base <= 0 || id.len != 32) {
        return -1;
    }
    for (int i = 0; i < 16; i++) {
        char c = id.ptr[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return -1;
        }
        lead = lead << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    int64_t position = (int64_t)(lead / table->step);

    if (position >= table->n_base) {
        return -1;
    }
    table_id_at(table, position, text);
    return memcmp(text, id.ptr, 32) == 0 ? table_index_at(table, position) : -1;
}

void row_set_base(struct row *row, const struct store *store, const struct table *table, int64_t i)
{
    row->store = store;
    row->table = table;
    row->index = i;
    row->over = NULL;
    row->derived = false;
}

void row_set_overlay(struct row *row,
                     const struct store *store,
                     const struct table *table,
                     const struct overlay_row *over)
{
    row->store = store;
    row->table = table;
    row->index = -1;
    row->over = over;
    row->derived = false;
}

struct str row_cell(struct row *row, int column, char *out)
{
    if (row->over != NULL) {
        return row->over->cells[column];
    }
    const struct table *table = row->table;

    if (column == table->col_id) {
        table_id_at(table, table_position(table, row->index), out);
        return (struct str){out, 32};
    }
    if (!row->derived) {
        table->generator->derive(row->store, table, row->index, row->core);
        row->derived = true;
    }
    return table->generator->cell(row->store, table, row->core, table->columns[column].field, out);
}

bool store_find(const struct store *store,
                const struct table *table,
                struct str id,
                struct row *ret_row)
{
    const struct overlay_row *over = find_overlay(table, id);

    if (over != NULL) {
        if (over->deleted) {
            return false;
        }
        row_set_overlay(ret_row, store, table, over);
        return true;
    }
    int64_t index = find_base(table, id);

    if (index < 0) {
        return false;
    }
    row_set_base(ret_row, store, table, index);
    return true;
}

/* Lays the cells and their text out in one allocation; frees what was there. */
static void replace_cells(struct table *table, struct overlay_row *row, const struct str *cells)
{
    size_t n = (size_t)table->n_columns;
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        bytes += cells[i].len;
    }
    struct str *fresh = xmalloc(n * sizeof(*fresh) + bytes + 1);
    char *text = (char *)(fresh + n);

    for (size_t i = 0; i < n; i++) {
        fresh[i] = (struct str){text, cells[i].len};
        if (cells[i].len > 0) {
            memcpy(text, cells[i].ptr, cells[i].len);
            text += cells[i].len;
        }
    }
    xfree(row->cells);
    row->cells = fresh;
    if (!instant_parse_plain(fresh[table->col_updated], &row->updated_s)) {
        row->updated_s = INT64_MIN;
    } else {
        row->updated_s /= 1000000;
    }
    table->dirty = true;
}

static struct overlay_row *add_overlay(struct table *table, struct str id, int64_t base_index)
{
    struct overlay_entry *entry = XNEW(struct overlay_entry);

    entry->row.id = xstrndup(id.ptr, id.len);
    entry->row.base_index = base_index;
    HASH_ADD_KEYPTR(hh, table->overlay->head, entry->row.id, (unsigned)id.len, entry);
    if (base_index >= 0) {
        if (table->covered == NULL) {
            table->covered = xcalloc((size_t)table->n_base / 64 + 1, sizeof(uint64_t));
        }
        table->covered[base_index / 64] |= UINT64_C(1) << (base_index % 64);
    }
    return &entry->row;
}

static void assign_all(struct str *cells, const struct assignment *set, int n_set)
{
    for (int i = 0; i < n_set; i++) {
        cells[set[i].column] = set[i].value;
    }
}

struct overlay_row *
store_insert(struct store *store, struct table *table, const struct assignment *set, int n_set)
{
    struct str *cells CLEANUP(xfreep) = xcalloc((size_t)table->n_columns, sizeof(*cells));
    char fresh_id[33];

    assign_all(cells, set, n_set);
    if (cells[table->col_id].len == 0) {
        uint64_t a = store_mix(table->salt ^ 0x5151, ++store->id_counter);

        put_hex(a, fresh_id);
        put_hex(store_mix(a, store->id_counter), fresh_id + 16);
        fresh_id[32] = '\0';
        cells[table->col_id] = (struct str){fresh_id, 32};
    }
    struct overlay_row *row = find_overlay(table, cells[table->col_id]);

    if (row == NULL) {
        row = add_overlay(table, cells[table->col_id], find_base(table, cells[table->col_id]));
    }
    row->deleted = false;
    replace_cells(table, row, cells);
    return row;
}

/* The overlay row for `id`, made from the base row where there is none yet; NULL: no such row. */
static struct overlay_row *materialise(struct store *store, struct table *table, struct str id)
{
    struct overlay_row *over = find_overlay(table, id);

    if (over != NULL) {
        return over->deleted ? NULL : over;
    }
    int64_t index = find_base(table, id);

    if (index < 0) {
        return NULL;
    }
    size_t n = (size_t)table->n_columns;
    struct str *cells CLEANUP(xfreep) = xcalloc(n, sizeof(*cells));
    size_t *offsets CLEANUP(xfreep) = xcalloc(n, sizeof(*offsets));
    struct buf text CLEANUP(buf_release) = {0};
    char *out CLEANUP(xfreep) = xmalloc(CELL_MAX);
    struct row row;

    buf_init(&text, n * CELL_MAX);
    row_set_base(&row, store, table, index);
    for (size_t i = 0; i < n; i++) {
        struct str cell = row_cell(&row, (int)i, out);

        offsets[i] = text.len;
        cells[i].len = cell.len;
        buf_add_str(&text, cell);
    }
    for (size_t i = 0; i < n; i++) {
        cells[i].ptr = text.ptr + offsets[i];
    }
    over = add_overlay(table, id, index);
    replace_cells(table, over, cells);
    return over;
}

bool store_update(struct store *store,
                  struct table *table,
                  struct str id,
                  const struct assignment *set,
                  int n_set)
{
    struct overlay_row *over = materialise(store, table, id);

    if (over == NULL) {
        return false;
    }
    struct str *cells CLEANUP(xfreep) = xcalloc((size_t)table->n_columns, sizeof(*cells));

    memcpy(cells, over->cells, (size_t)table->n_columns * sizeof(*cells));
    assign_all(cells, set, n_set);
    replace_cells(table, over, cells);
    return true;
}

bool store_delete(struct store *store, struct table *table, struct str id)
{
    struct overlay_row *over = materialise(store, table, id);

    if (over == NULL) {
        return false;
    }
    over->deleted = true;
    table->dirty = true;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const struct overlay_row *left = *(struct overlay_row *const *)a;
    const struct overlay_row *right = *(struct overlay_row *const *)b;

    return strcmp(left->id, right->id);
}

static int compare_stamps(const void *a, const void *b)
{
    const struct overlay_row *left = *(struct overlay_row *const *)a;
    const struct overlay_row *right = *(struct overlay_row *const *)b;

    if (left->updated_s != right->updated_s) {
        return left->updated_s < right->updated_s ? -1 : 1;
    }
    return strcmp(left->id, right->id);
}

static void settle_table(struct table *table)
{
    int64_t n = (int64_t)HASH_COUNT(table->overlay->head);
    struct overlay_entry *entry;
    struct overlay_entry *next;

    if (n > table->capacity) {
        table->capacity = n + n / 2 + 16;
        table->by_id = xrealloc(table->by_id, (size_t)table->capacity * sizeof(*table->by_id));
        table->by_updated =
            xrealloc(table->by_updated, (size_t)table->capacity * sizeof(*table->by_updated));
    }
    table->n_live = 0;
    HASH_ITER (hh, table->overlay->head, entry, next) {
        if (!entry->row.deleted) {
            table->by_id[table->n_live] = &entry->row;
            table->by_updated[table->n_live] = &entry->row;
            table->n_live++;
        }
    }
    if (table->n_live > 0) {
        qsort(table->by_id, (size_t)table->n_live, sizeof(*table->by_id), compare_ids);
        qsort(table->by_updated, (size_t)table->n_live, sizeof(*table->by_updated), compare_stamps);
    }
    table->dirty = false;
}

void store_settle(struct store *store)
{
    for (int i = 0; i < store->n_tables; i++) {
        if (store->tables[i].dirty) {
            settle_table(&store->tables[i]);
        }
    }
}

void store_reset(struct store *store)
{
    for (int i = 0; i < store->n_tables; i++) {
        struct table *table = &store->tables[i];

        table_release(table);
        table->overlay = XNEW(struct overlay_index);
        table->dirty = false;
    }
}

int64_t table_live_rows(const struct table *table)
{
    int64_t covered = 0;

    for (int64_t i = 0; table->covered != NULL && i <= table->n_base / 64; i++) {
        covered += __builtin_popcountll(table->covered[i]);
    }
    return table->n_base - covered + table->n_live;
}
