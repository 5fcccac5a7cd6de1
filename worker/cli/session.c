#include "worker/cli/session.h"

#include <stdio.h>

#include "common/base/log.h"
#include "worker/load/migrate.h"
#include "worker/run/policy.h"

int session_fail(const struct error *err)
{
    (void)fprintf(stderr, "foz-worker: %s\n", err->msg);
    return err->code == ERROR_CONFIG ? EXIT_BAD_CONFIG : policy_exit_of_error(err);
}

bool session_read_config(const struct args *args,
                         struct config *config,
                         struct buf *faults,
                         struct error *err)
{
    if (!config_load(config, args->config_path, faults, err)) {
        return false;
    }
    log_configure(config->log_level, config->log_format);
    return true;
}

int session_config(const struct args *args, struct config *config)
{
    struct buf faults CLEANUP(buf_release);
    buf_init(&faults, (size_t)256 * 1024);
    struct error err = ERROR_INIT;
    if (!session_read_config(args, config, &faults, &err)) {
        (void)fputs(faults.ptr, stderr);
        return session_fail(&err);
    }
    return EXIT_COMPLETE;
}

int session_database(const struct config *config, bool need_schema, struct db **ret_db)
{
    struct error err = ERROR_INIT;
    struct db_settings settings = {.url = config->database_url, .application_name = "foz-worker"};
    struct db *db = db_open(&settings, &err);
    if (db == NULL) {
        return session_fail(&err);
    }
    if (need_schema && !migrate_check(db, config, &err)) {
        db_close(db);
        return session_fail(&err);
    }
    *ret_db = db;
    return EXIT_COMPLETE;
}
