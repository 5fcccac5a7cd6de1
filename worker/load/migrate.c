#include "worker/load/migrate.h"

#include <stdarg.h>
#include <string.h>

#include "common/io/crypto.h"
#include "common/ops/locks.h"
#include "schema/embedded.h"
#include "worker/load/landed.h"
#include "worker/load/project.h"

#define PLAN_MAX        ((size_t)1024 * 1024)
#define OLDEST_SERVER   150000
#define HEX_SHA256_SIZE (2 * SHA256_BYTES + 1)

bool migration_step(
    struct migration *migration, const char *sql, struct error *err, const char *description, ...)
{
    size_t start = migration->plan->len;
    va_list args;
    va_start(args, description);
    buf_addv(migration->plan, description, args);
    va_end(args);
    migration->n_steps++;
    if (!migration->dry_run && !db_script(migration->db, sql, err)) {
        return error_wrap(err, "%s", migration->plan->ptr + start);
    }
    buf_add_char(migration->plan, '\n');
    return true;
}

static void checksum(const struct embedded *file, char out[HEX_SHA256_SIZE])
{
    uint8_t digest[SHA256_BYTES];
    crypto_sha256((struct str){file->text, file->len}, digest);
    struct buf hex CLEANUP(buf_release) = {0};
    buf_init(&hex, HEX_SHA256_SIZE);
    crypto_hex((struct str){(const char *)digest, sizeof(digest)}, &hex);
    memcpy(out, hex.ptr, HEX_SHA256_SIZE);
}

static int64_t file_version(const struct embedded *file)
{
    int64_t version = 0;
    struct str rest = str_from(file->name);
    return str_to_int64(str_cut(&rest, '_'), 1, 9999, &version) ? version : 0;
}

static bool check_server(struct db *db, struct error *err)
{
    struct db_result *facts CLEANUP(db_result_freep) = db_query(
        db,
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'),"
        "       pg_is_in_recovery(), current_database(), current_setting('server_version')",
        DB_NO_PARAMS, err);
    if (facts == NULL) {
        return false;
    }
    if (db_int64(facts, 0, 0) < OLDEST_SERVER) {
        return error_set(err, ERROR_CONFIG, "PostgreSQL %s is too old: foz needs 15 or newer",
                         db_text(facts, 0, 4));
    }
    if (strcmp(db_text(facts, 0, 1), "UTF8") != 0) {
        return error_set(err, ERROR_CONFIG,
                         "database %s is encoded in %s: create it with ENCODING 'UTF8'",
                         db_text(facts, 0, 3), db_text(facts, 0, 1));
    }
    if (db_bool(facts, 0, 2)) {
        return error_set(err, ERROR_CONFIG,
                         "database %s is a read-only standby: database.url must name the primary",
                         db_text(facts, 0, 3));
    }
    return true;
}

static bool table_exists(struct db *db, const char *name, bool *ret_exists, struct error *err)
{
    struct db_result *found CLEANUP(db_result_freep) =
        db_query(db, "SELECT to_regclass($1) IS NOT NULL", DB_PARAMS(name), err);
    if (found == NULL) {
        return false;
    }
    *ret_exists = db_bool(found, 0, 0);
    return true;
}

/* What was applied must be what this program holds: neither changed nor newer. */
static bool check_applied(const struct db_result *applied, struct error *err)
{
    for (size_t row = 0; row < db_rows(applied); row++) {
        const struct embedded *file = NULL;
        for (size_t i = 0; i < embedded_migrations_count; i++) {
            if (file_version(&embedded_migrations[i]) == db_int64(applied, row, 0)) {
                file = &embedded_migrations[i];
            }
        }
        if (file == NULL) {
            return error_set(err, ERROR_CONFIG,
                             "the database is newer than this program: it has migration %s, which "
                             "foz %s does not know; install the newer foz",
                             db_text(applied, row, 1), FOZ_VERSION);
        }
        char sum[HEX_SHA256_SIZE];
        checksum(file, sum);
        if (strcmp(sum, db_text(applied, row, 2)) != 0) {
            return error_set(err, ERROR_CONFIG,
                             "migration %s was applied with other contents (SHA-256 %.12s, here "
                             "%.12s): applied migrations never change; install the foz that "
                             "applied it, or restore the file",
                             file->name, db_text(applied, row, 2), sum);
        }
    }
    return true;
}

static bool is_applied(const struct db_result *applied, int64_t version)
{
    for (size_t row = 0; applied != NULL && row < db_rows(applied); row++) {
        if (db_int64(applied, row, 0) == version) {
            return true;
        }
    }
    return false;
}

static void add_record(struct buf *sql, const struct embedded *file, int64_t version)
{
    char sum[HEX_SHA256_SIZE];
    checksum(file, sum);
    buf_addf(sql, ";\nINSERT INTO ops.migration (version, name, checksum) VALUES (%d, ",
             (int)version);
    db_quote_literal(sql, str_from(file->name));
    buf_addf(sql, ", '%s')", sum);
}

static bool apply_migrations(struct migration *migration, struct error *err)
{
    bool exists = false;
    if (!table_exists(migration->db, "ops.migration", &exists, err)) {
        return false;
    }
    struct db_result *applied CLEANUP(db_result_freep) = NULL;
    if (exists) {
        applied = db_query(migration->db,
                           "SELECT version, name, checksum FROM ops.migration ORDER BY version",
                           DB_NO_PARAMS, err);
        if (applied == NULL || !check_applied(applied, err)) {
            return false;
        }
    }
    for (size_t i = 0; i < embedded_migrations_count; i++) {
        const struct embedded *file = &embedded_migrations[i];
        int64_t version = file_version(file);
        if (version == 0) {
            return error_set(err, ERROR_BUG, "migration %s has no number in its name", file->name);
        }
        if (is_applied(applied, version)) {
            continue;
        }
        struct buf sql CLEANUP(buf_release) = {0};
        buf_init(&sql, file->len + 1024);
        buf_add(&sql, file->text, file->len);
        add_record(&sql, file, version);
        if (!migration_step(migration, sql.ptr, err, "apply migration %s", file->name)) {
            return false;
        }
    }
    return true;
}

static bool projection_is_current(const struct db_result *applied, const struct embedded *file)
{
    char sum[HEX_SHA256_SIZE];
    checksum(file, sum);
    for (size_t row = 0; applied != NULL && row < db_rows(applied); row++) {
        if (strcmp(db_text(applied, row, 0), file->name) == 0) {
            return strcmp(db_text(applied, row, 1), sum) == 0;
        }
    }
    return false;
}

static bool
apply_projection(struct migration *migration, const struct embedded *file, struct error *err)
{
    char sum[HEX_SHA256_SIZE];
    checksum(file, sum);
    struct buf sql CLEANUP(buf_release) = {0};
    buf_init(&sql, file->len + 1024);
    buf_add(&sql, file->text, file->len);
    buf_add_c(&sql, ";\nINSERT INTO ops.projection (name, checksum) VALUES (");
    db_quote_literal(&sql, str_from(file->name));
    buf_addf(&sql,
             ", '%s') ON CONFLICT (name) DO UPDATE SET checksum = EXCLUDED.checksum, applied_at = "
             "now()",
             sum);
    return migration_step(migration, sql.ptr, err, "apply projection %s", file->name);
}

/* Later files build on earlier ones, so one change replaces them all, and so does any change of
 * the tables below. */
static bool apply_projections(struct migration *migration, bool *ret_renewed, struct error *err)
{
    bool exists = false;
    if (!table_exists(migration->db, "ops.projection", &exists, err)) {
        return false;
    }
    struct db_result *applied CLEANUP(db_result_freep) = NULL;
    if (exists) {
        applied =
            db_query(migration->db, "SELECT name, checksum FROM ops.projection", DB_NO_PARAMS, err);
        if (applied == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < embedded_projections_count; i++) {
        *ret_renewed = *ret_renewed || !projection_is_current(applied, &embedded_projections[i]);
    }
    bool stale = *ret_renewed || migration->n_steps > 0;
    for (size_t i = 0; stale && i < embedded_projections_count; i++) {
        if (!apply_projection(migration, &embedded_projections[i], err)) {
            return false;
        }
    }
    return true;
}

static bool migrate_all(struct migration *migration, const struct config *config, struct error *err)
{
    bool renewed = false;
    return check_server(migration->db, err) && apply_migrations(migration, err) &&
           landed_migrate(migration, config, err) && apply_projections(migration, &renewed, err) &&
           project_migrate(migration, config, renewed, err);
}

bool migrate_run(
    struct db *db, const struct config *config, bool dry_run, struct buf *plan, struct error *err)
{
    struct migration migration = {.db = db, .dry_run = dry_run, .plan = plan};
    if (dry_run) {
        return migrate_all(&migration, config, err);
    }
    /* Two keys: the class of our locks, then the one migration there can be. */
    if (!db_begin(db, err)) {
        return false;
    }
    bool ok = db_script(db, "SELECT pg_advisory_xact_lock(" LOCK_MIGRATION ", 0)", err) &&
              migrate_all(&migration, config, err) && db_commit(db, err);
    if (!ok) {
        db_rollback(db);
    }
    return ok;
}

bool migrate_check(struct db *db, const struct config *config, struct error *err)
{
    struct buf plan CLEANUP(buf_release) = {0};
    buf_init(&plan, PLAN_MAX);
    if (!migrate_run(db, config, true, &plan, err)) {
        return false;
    }
    if (plan.len == 0) {
        return true;
    }
    struct str rest = buf_str(&plan);
    struct str first = str_cut(&rest, '\n');
    return error_set(err, ERROR_CONFIG,
                     "the database is behind this program and its catalog (first step: %.*s); run "
                     "foz-worker migrate",
                     STR_ARG(first));
}
