#include "worker/cli/session.h"

#include <stdio.h>

#include "common/base/log.h"
#include "common/io/db_watch.h"
#include "worker/load/migrate.h"
#include "worker/run/policy.h"

int session_fail(const struct error *err)
{
    (void)fprintf(stderr, "foz-worker: %s\n", err->msg);
    return policy_exit_of_error(err);
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

/* With `watch` a stop cancels its statements, the first one included. */
static int open_database(const struct config *config,
                         bool need_schema,
                         struct db_watch *watch,
                         struct db **ret_db)
{
    struct error err = ERROR_INIT;
    struct db_settings settings = {.url = config->database_url, .application_name = "foz-worker"};
    struct db *db = db_open(&settings, &err);
    if (db == NULL) {
        return session_fail(&err);
    }
    if (watch != NULL) {
        db_watch_add(watch, db);
    }
    if (need_schema && !migrate_check(db, config, &err)) {
        db_close(db);
        return session_fail(&err);
    }
    *ret_db = db;
    return EXIT_COMPLETE;
}

int session_database(const struct config *config, bool need_schema, struct db **ret_db)
{
    return open_database(config, need_schema, NULL, ret_db);
}

int session_begin(const struct args *args, bool need_schema, struct session *session)
{
    *session = (struct session){.stop = stop_new(NULL)};
    session->signals = signals_start(session->stop);
    session->watch = db_watch_new(session->stop, 0);
    int code = session_config(args, &session->config);
    session->has_config = code == EXIT_COMPLETE;
    if (code == EXIT_COMPLETE) {
        code = open_database(&session->config, need_schema, session->watch, &session->db);
    }
    return code == EXIT_COMPLETE && stop_is_requested(session->stop) ? EXIT_STOPPED : code;
}

int session_end(struct session *session, int code)
{
    db_close(session->db);
    db_watch_free(session->watch);
    signals_stop(session->signals);
    if (session->has_config) {
        config_release(&session->config);
    }
    code = code != EXIT_COMPLETE && stop_is_requested(session->stop) ? EXIT_STOPPED : code;
    stop_free(session->stop);
    return code;
}
