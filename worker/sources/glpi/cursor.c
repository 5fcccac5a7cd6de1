#include "worker/sources/glpi/cursor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/instant.h"
#include "common/io/hash.h"
#include "common/io/json.h"

#define CURSOR_MAX_BYTES ((size_t)1024 * 1024)

/* More ranges than any GLPI has entities are a broken text. */
#define ENTITIES_MAX 1000000

/* Names what a cursor was made with: another table, filter or field list needs a full read. */
static void
fingerprint(const struct source_config *source, const struct task_def *task, struct buf *out)
{
    struct buf text CLEANUP(buf_release);
    buf_init(&text, (size_t)64 * 1024);
    buf_addf(&text, "%s|%s|%s", source->url, task->table, task->filter != NULL ? task->filter : "");
    for (size_t i = 0; i < task->n_columns; i++) {
        buf_addf(&text, "|%s:%d", task->columns[i].name, (int)task->columns[i].type);
    }
    struct hash128 hash = hash128_of(buf_str(&text));
    for (size_t i = 0; i < 8; i++) {
        buf_addf(out, "%02x", hash.bytes[i]);
    }
}

void glpi_cursor_read(const char *text,
                      const struct source_config *source,
                      const struct task_def *task,
                      struct arena *arena,
                      struct glpi_cursor *ret_cursor)
{
    struct glpi_cursor cursor = {
        .why_not = "first run", .high_us = INT64_MIN, .read_at_us = INT64_MIN, .log_id = -1};
    if (text != NULL) {
        struct error ignored = ERROR_INIT; /* an unreadable cursor means a full read */
        struct json *root = json_parse(str_from(text), &ignored);
        const char *high = json_find_string(root, "high");
        const char *read_at = json_find_string(root, "read_at");
        const char *made_with = json_find_string(root, "fingerprint");
        const char *entities = json_find_string(root, "entities");
        const char *missing = json_find_string(root, "missing");
        struct buf now_with CLEANUP(buf_release);
        buf_init(&now_with, 64);
        fingerprint(source, task, &now_with);
        (void)json_int64(json_find(root, "log"), &cursor.log_id);
        if (read_at == NULL || !instant_parse_rfc3339(str_from(read_at), &cursor.read_at_us)) {
            cursor.read_at_us = INT64_MIN;
        }
        cursor.entities = entities != NULL ? arena_strdup(arena, entities) : NULL;
        cursor.missing = missing != NULL ? arena_strdup(arena, missing) : NULL;
        if (high == NULL || !instant_parse_rfc3339(str_from(high), &cursor.high_us)) {
            cursor.why_not = "the watermark is unreadable";
        } else if (made_with == NULL || strcmp(made_with, now_with.ptr) != 0) {
            cursor.why_not = "url, table, filter or fields changed since the last run";
        } else {
            cursor.is_usable = true;
            cursor.why_not = NULL;
        }
        json_free(root);
    }
    *ret_cursor = cursor;
}

const char *glpi_cursor_write(const struct glpi_cursor *cursor,
                              const struct source_config *source,
                              const struct task_def *task,
                              struct str entities,
                              struct arena *arena)
{
    char text[INSTANT_TEXT_MAX];
    struct buf out CLEANUP(buf_release);
    buf_init(&out, CURSOR_MAX_BYTES);
    buf_addf(&out, "{\"high\":\"%s\"", instant_format_rfc3339(cursor->high_us, text));
    if (cursor->log_id >= 0) {
        buf_addf(&out, ",\"log\":%" PRId64, cursor->log_id);
    }
    buf_addf(&out, ",\"read_at\":\"%s\"", instant_format_rfc3339(cursor->read_at_us, text));
    buf_add_c(&out, ",\"entities\":\"");
    buf_add_str(&out, entities);
    if (cursor->missing != NULL) {
        buf_addf(&out, "\",\"missing\":\"%s", cursor->missing);
    }
    buf_add_c(&out, "\",\"fingerprint\":\"");
    fingerprint(source, task, &out);
    buf_add_c(&out, "\"}");
    return out.overflow ? NULL : arena_strdup(arena, out.ptr);
}

void glpi_entities_write(const int64_t *ids, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        size_t last = i;
        while (last + 1 < n && ids[last + 1] <= ids[last] + 1) {
            last++;
        }
        buf_addf(out, "%s%" PRId64, i > 0 ? "," : "", ids[i]);
        if (ids[last] > ids[i]) {
            buf_addf(out, "-%" PRId64, ids[last]);
        }
        i = last + 1;
    }
}

/* The ids of "0-2,5", ascending; false if it is no such text. Caller frees. */
static bool read_set(const char *text, int64_t **ret_ids, size_t *ret_n)
{
    struct str rest = str_from(text);
    int64_t *ids CLEANUP(xfreep) = NULL;
    size_t n = 0;
    size_t capacity = 0;
    while (rest.len > 0) {
        struct str last = str_cut(&rest, ',');
        struct str first = str_cut(&last, '-');
        int64_t from = 0;
        int64_t to = 0;
        if (!str_to_int64(first, 0, INT64_MAX - ENTITIES_MAX, &from) ||
            !str_to_int64(last.ptr != NULL ? last : first, from, from + ENTITIES_MAX, &to)) {
            return false;
        }
        for (; from <= to; from++) {
            if (n == capacity) {
                capacity = capacity == 0 ? 64 : 2 * capacity;
                ids = xrealloc(ids, capacity * sizeof(*ids));
            }
            ids[n++] = from;
        }
        if (n > ENTITIES_MAX) {
            return false;
        }
    }
    *ret_ids = TAKE(ids);
    *ret_n = n;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

size_t glpi_entities_compare(
    const char *old, const int64_t *ids, size_t n, struct buf *all, struct buf *lost)
{
    int64_t *before CLEANUP(xfreep) = NULL;
    size_t n_before = 0;
    if (old == NULL || !read_set(old, &before, &n_before)) {
        glpi_entities_write(ids, n, all);
        return 0;
    }
    int64_t *missing CLEANUP(xfreep) = xcalloc(n_before + 1, sizeof(*missing));
    int64_t *joined CLEANUP(xfreep) = xcalloc(n_before + n + 1, sizeof(*joined));
    size_t n_missing = 0;
    memcpy(joined, ids, n * sizeof(*ids));
    for (size_t i = 0; i < n_before; i++) {
        if (bsearch(&before[i], ids, n, sizeof(*ids), compare_ids) == NULL) {
            missing[n_missing] = before[i];
            joined[n + n_missing++] = before[i];
        }
    }
    qsort(joined, n + n_missing, sizeof(*joined), compare_ids);
    glpi_entities_write(joined, n + n_missing, all);
    glpi_entities_write(missing, n_missing, lost);
    return n_missing;
}

static bool holds(const int64_t *ids, size_t n, int64_t id)
{
    return n > 0 && bsearch(&id, ids, n, sizeof(*ids), compare_ids) != NULL;
}

bool glpi_entities_gained(const struct glpi_cursor *cursor, const int64_t *ids, size_t n)
{
    int64_t *before CLEANUP(xfreep) = NULL;
    int64_t *missing CLEANUP(xfreep) = NULL;
    size_t n_before = 0;
    size_t n_missing = 0;
    const char *out_of_sight = cursor->missing != NULL ? cursor->missing : "";
    if (cursor->entities == NULL || !read_set(cursor->entities, &before, &n_before) ||
        !read_set(out_of_sight, &missing, &n_missing)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!holds(before, n_before, ids[i]) || holds(missing, n_missing, ids[i])) {
            return true;
        }
    }
    return false;
}
