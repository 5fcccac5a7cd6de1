#include "worker/load/migrate.h"

#include <stdio.h>

#include "worker/cli/commands.h"
#include "worker/cli/session.h"

int command_migrate(const struct args *args)
{
    struct session session;
    int failed = session_begin(args, false, &session);
    if (failed == 0) {
        struct buf plan CLEANUP(buf_release);
        buf_init(&plan, (size_t)1024 * 1024);
        struct error err = ERROR_INIT;
        if (!migrate_run(session.db, &session.config, args->dry_run, &plan, &err)) {
            failed = session_fail(&err);
        } else if (plan.len == 0) {
            printf("the database is up to date\n");
        } else {
            printf("%s%s", plan.ptr, args->dry_run ? "nothing was changed (--dry-run)\n" : "");
        }
    }
    return session_end(&session, failed);
}
