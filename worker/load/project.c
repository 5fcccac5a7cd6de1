#include "worker/load/project.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"

#define SQL_MAX ((size_t)4 * 1024 * 1024)

static const char *const source_types[] = {"azure_devops", "glpi", "servicenow"};

bool project_set_time(struct db *db, int64_t source_us, struct error *err)
{
    char seconds[40];
    (void)snprintf(seconds, sizeof(seconds), "%" PRId64 ".%06" PRId64, source_us / US_PER_S,
                   source_us % US_PER_S);
    return db_execute(db,
                      "SELECT set_config('foz.source_time', to_timestamp($1::numeric)::text, true)",
                      DB_PARAMS(seconds), NULL, err);
}

bool project_refresh(struct db *db,
                     const struct source_config *source,
                     const char *task,
                     int64_t execution_id,
                     const char *trace_id,
                     struct error *err)
{
    char id[24];
    (void)snprintf(id, sizeof(id), "%" PRId64, execution_id);
    return db_execute(db, "SELECT core.refresh($1, $2, $3, $4, $5, $6)",
                      DB_PARAMS(source->name, source->type, source->url, task, id,
                                trace_id[0] != '\0' ? trace_id : NULL),
                      NULL, err) ||
           error_wrap(err, "cannot bring core up to %s of %s", task, source->name);
}

bool project_owes(struct db *db, const char *source, bool *ret_owes, struct error *err)
{
    struct db_result *owes CLEANUP(db_result_freep) = db_query(
        db, "SELECT EXISTS (SELECT FROM core.owed WHERE source = $1)", DB_PARAMS(source), err);
    if (owes == NULL) {
        return error_wrap(err, "whether core is up to what was loaded from %s is not known",
                          source);
    }
    *ret_owes = db_bool(owes, 0, 0);
    return true;
}

bool project_settle(struct db *db,
                    const struct source_config *source,
                    int64_t execution_id,
                    const char *trace_id,
                    bool *ret_settled,
                    struct error *err)
{
    char id[24];
    (void)snprintf(id, sizeof(id), "%" PRId64, execution_id);
    struct db_result *settled CLEANUP(db_result_freep) =
        db_query(db, "SELECT core.settle($1, $2, $3, $4, $5)",
                 DB_PARAMS(source->name, source->type, source->url, id,
                           trace_id[0] != '\0' ? trace_id : NULL),
                 err);
    if (settled == NULL) {
        return error_wrap(err,
                          "core is not up to what was loaded from %s; foz-worker rebuild or the "
                          "next load brings it up",
                          source->name);
    }
    *ret_settled = db_bool(settled, 0, 0);
    return true;
}

/* [{"source": ..., "source_type": ..., "url": ...}] */
static void add_sources(struct buf *json, const struct config *config)
{
    buf_add_char(json, '[');
    for (size_t i = 0; i < config->n_sources; i++) {
        const struct source_config *source = &config->sources[i];
        buf_add_c(json, i > 0 ? ",{\"source\":" : "{\"source\":");
        buf_add_json_string(json, str_from(source->name));
        buf_add_c(json, ",\"source_type\":");
        buf_add_json_string(json, str_from(source->type));
        buf_add_c(json, ",\"url\":");
        buf_add_json_string(json, str_from(source->url));
        buf_add_char(json, '}');
    }
    buf_add_char(json, ']');
}

bool project_rebuild(struct db *db,
                     const struct config *config,
                     struct project_totals *ret_totals,
                     struct error *err)
{
    struct buf json CLEANUP(buf_release) = {0};
    buf_init(&json, SQL_MAX);
    add_sources(&json, config);
    struct db_result *totals CLEANUP(db_result_freep) =
        db_query(db, "SELECT tickets, changed, technicians, events FROM core.rebuild($1)",
                 DB_PARAMS(json.ptr), err);
    if (totals == NULL) {
        return error_wrap(err, "cannot compute core anew");
    }
    *ret_totals = (struct project_totals){.tickets = db_int64(totals, 0, 0),
                                          .changed = db_int64(totals, 0, 1),
                                          .technicians = db_int64(totals, 0, 2),
                                          .events = db_int64(totals, 0, 3)};
    return true;
}

bool project_tick(struct db *db, int64_t *ret_events, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(db, "SELECT coalesce(core.tick(), -1)", DB_NO_PARAMS, err);
    if (found == NULL) {
        return error_wrap(err, "cannot look for deadlines that passed");
    }
    *ret_events = db_int64(found, 0, 0);
    return true;
}

/* --- migration ---------------------------------------------------------------------------------
 */

static bool is_of(const struct mapping_def *mapping, const char *source_type)
{
    return strcmp(mapping->source_type, source_type) == 0;
}

/* Does the table hold other mappings of the type than the catalog? It need not exist. */
static bool mappings_differ(struct migration *migration,
                            const struct catalog *catalog,
                            const char *source_type,
                            bool *ret_differ,
                            struct error *err)
{
    struct db_result *exists CLEANUP(db_result_freep) = db_query(
        migration->db, "SELECT to_regclass('core.mapping') IS NOT NULL", DB_NO_PARAMS, err);
    if (exists == NULL) {
        return false;
    }
    struct db_result *rows CLEANUP(db_result_freep) = NULL;
    if (db_bool(exists, 0, 0)) {
        rows = db_query(migration->db,
                        "SELECT kind, raw, mapped FROM core.mapping WHERE source_type = $1",
                        DB_PARAMS(source_type), err);
        if (rows == NULL) {
            return false;
        }
    }
    size_t n_same = 0;
    size_t n_wanted = 0;
    for (size_t i = 0; i < catalog->n_mappings; i++) {
        const struct mapping_def *mapping = &catalog->mappings[i];
        n_wanted += is_of(mapping, source_type) ? 1 : 0;
        for (size_t row = 0; rows != NULL && row < db_rows(rows); row++) {
            n_same += is_of(mapping, source_type) &&
                              strcmp(mapping->kind, db_text(rows, row, 0)) == 0 &&
                              strcmp(mapping->raw, db_text(rows, row, 1)) == 0 &&
                              strcmp(mapping->mapped, db_text(rows, row, 2)) == 0
                          ? 1
                          : 0;
        }
    }
    *ret_differ = n_same != n_wanted || (rows != NULL && n_same != db_rows(rows));
    return true;
}

static void add_mappings(struct buf *sql, const struct catalog *catalog, const char *source_type)
{
    buf_add_c(sql, "DELETE FROM core.mapping WHERE source_type = ");
    db_quote_literal(sql, str_from(source_type));
    for (size_t i = 0; i < catalog->n_mappings; i++) {
        const struct mapping_def *mapping = &catalog->mappings[i];
        if (!is_of(mapping, source_type)) {
            continue;
        }
        const char *const values[] = {mapping->source_type, mapping->kind, mapping->raw,
                                      mapping->mapped};
        buf_add_c(sql, "; INSERT INTO core.mapping (source_type, kind, raw, mapped) VALUES ");
        for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
            buf_add_c(sql, k == 0 ? "(" : ", ");
            db_quote_literal(sql, str_from(values[k]));
        }
        buf_add_char(sql, ')');
    }
}

bool project_migrate(struct migration *migration,
                     const struct config *config,
                     bool renewed,
                     struct error *err)
{
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, SQL_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(source_types); i++) {
        bool differ = false;
        if (!mappings_differ(migration, &config->catalog, source_types[i], &differ, err)) {
            return false;
        }
        if (!differ) {
            continue;
        }
        renewed = true;
        buf_reset(&sql);
        add_mappings(&sql, &config->catalog, source_types[i]);
        if (!migration_step(migration, sql.ptr, err, "map states and priorities of %s",
                            source_types[i])) {
            return false;
        }
    }
    if (!renewed) {
        return true;
    }
    struct buf json CLEANUP(buf_release) = {0};
    buf_init(&json, SQL_MAX);
    add_sources(&json, config);
    buf_reset(&sql);
    buf_add_c(&sql, "SELECT core.rebuild(");
    db_quote_literal(&sql, buf_str(&json));
    buf_add_c(&sql, ")");
    return migration_step(migration, sql.ptr, err, "compute core from the landed tables");
}
