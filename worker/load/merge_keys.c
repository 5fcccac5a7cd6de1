#include "worker/load/merge_keys.h"

#include <string.h>

#include "common/io/db_copy.h"
#include "worker/load/merge_sql.h"
#include "worker/load/merge_state.h"

#define SQL_MAX ((size_t)512 * 1024)

struct key_reader {
    void (*on_key)(void *arg, struct str key);
    void *arg;
    struct buf key;
};

static void key_reader_release(struct key_reader *reader)
{
    buf_release(&reader->key);
}

/* COPY writes a backslash and a letter for what would break its lines. */
static char unescape(char letter)
{
    static const char letters[] = "bfnrtv";
    static const char bytes[] = "\b\f\n\r\t\v";
    const char *found = strchr(letters, letter);
    return found == NULL || letter == '\0' ? letter : bytes[found - letters];
}

static bool read_key(void *arg, struct str line)
{
    struct key_reader *reader = arg;
    buf_reset(&reader->key);
    for (size_t i = 0; i < line.len; i++) {
        bool escaped = line.ptr[i] == '\\' && i + 1 < line.len;
        i += escaped;
        buf_add_char(&reader->key, escaped ? unescape(line.ptr[i]) : line.ptr[i]);
    }
    reader->on_key(reader->arg, buf_str(&reader->key));
    return true;
}

static bool expand(struct db *db,
                   const struct merge_request *request,
                   const char *template,
                   struct buf *out,
                   struct error *err)
{
    struct merge_sql sql = {.request = request, .task = request->staging->task};
    if (!merge_check_request(request, err) || !staging_check(db, request->staging, err)) {
        return false;
    }
    merge_sql_expand(&sql, template, out);
    return true;
}

static bool read_keys(struct db *db,
                      const struct merge_request *request,
                      const char *template,
                      struct key_reader reader,
                      struct error *err)
{
    struct key_reader owned CLEANUP(key_reader_release) = reader;
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&owned.key, SQL_MAX);
    buf_init(&text, SQL_MAX);
    return expand(db, request, template, &text, err) &&
           db_copy_out(db, text.ptr, read_key, &owned, err);
}

bool merge_missing_keys(struct db *db,
                        const struct merge_request *request,
                        void (*on_key)(void *arg, struct str key),
                        void *arg,
                        struct error *err)
{
    return read_keys(db, request,
                     "COPY (SELECT {t.key text} FROM {table} t WHERE {gone} ORDER BY {t.key})"
                     " TO STDOUT",
                     (struct key_reader){.on_key = on_key, .arg = arg}, err);
}

bool merge_differing_keys(struct db *db,
                          const struct merge_request *request,
                          void (*on_key)(void *arg, struct str key),
                          void *arg,
                          struct error *err)
{
    return read_keys(db, request,
                     "COPY (SELECT DISTINCT {k.key text} AS key FROM {census} k"
                     " LEFT JOIN {table} t ON t.\"source\" = {source} AND {k=t}"
                     " WHERE t.\"source\" IS NULL OR {other version} ORDER BY key) TO STDOUT",
                     (struct key_reader){.on_key = on_key, .arg = arg}, err);
}

bool merge_count_missing(struct db *db,
                         const struct merge_request *request,
                         int64_t *ret_scope,
                         int64_t *ret_missing,
                         struct error *err)
{
    struct buf text CLEANUP(buf_release) = {0};
    buf_init(&text, SQL_MAX);
    if (!expand(db, request,
                "SELECT (SELECT count(*) FROM {table} t WHERE {scope}),"
                " (SELECT count(*) FROM {table} t WHERE {gone})",
                &text, err)) {
        return false;
    }
    struct db_result *found CLEANUP(db_result_freep) = db_query(db, text.ptr, DB_NO_PARAMS, err);
    if (found == NULL) {
        return false;
    }
    *ret_scope = db_int64(found, 0, 0);
    *ret_missing = db_int64(found, 0, 1);
    return true;
}
