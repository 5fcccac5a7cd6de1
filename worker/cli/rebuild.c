#include <inttypes.h>
#include <stdio.h>

#include "common/ops/readers.h"
#include "worker/cli/commands.h"
#include "worker/cli/session.h"
#include "worker/load/project.h"

static void print_totals(const struct project_totals *totals, bool as_json)
{
    printf(as_json ? "{\"tickets\":%" PRId64 ",\"changed\":%" PRId64 ",\"technicians\":%" PRId64
                     ",\"events\":%" PRId64 "}\n"
                   : "tickets      %" PRId64 "\nchanged      %" PRId64 "\ntechnicians  %" PRId64
                     "\nnew events   %" PRId64 "\n",
           totals->tickets, totals->changed, totals->technicians, totals->events);
}

int command_rebuild(const struct args *args)
{
    struct session session;
    int failed = session_begin(args, true, &session);
    if (failed == 0) {
        struct project_totals totals;
        struct error err = ERROR_INIT;
        if (project_rebuild(session.db, &session.config, &totals, &err)) {
            (void)readers_wait(session.db, READERS_PATIENCE_US);
            print_totals(&totals, args->json);
        } else {
            failed = session_fail(&err);
        }
    }
    return session_end(&session, failed);
}
