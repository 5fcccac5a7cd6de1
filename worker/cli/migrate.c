#include "worker/load/migrate.h"

#include <stdio.h>

#include "worker/cli/commands.h"
#include "worker/cli/session.h"

int command_migrate(const struct args *args)
{
    struct config config;
    int failed = session_config(args, &config);
    if (failed != 0) {
        return failed;
    }
    struct db *db = NULL;
    failed = session_database(&config, false, &db);
    if (failed == 0) {
        struct buf plan CLEANUP(buf_release);
        buf_init(&plan, (size_t)1024 * 1024);
        struct error err = ERROR_INIT;
        if (!migrate_run(db, &config, args->dry_run, &plan, &err)) {
            failed = session_fail(&err);
        } else if (plan.len == 0) {
            printf("the database is up to date\n");
        } else {
            printf("%s%s", plan.ptr, args->dry_run ? "nothing was changed (--dry-run)\n" : "");
        }
    }
    db_close(db);
    config_release(&config);
    return failed;
}
