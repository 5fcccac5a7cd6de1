#include "worker/cli/commands.h"

const struct command COMMANDS[] = {
    {"migrate", "migrate [--dry-run]",
     "create or upgrade everything in the database; safe to repeat", "n", 0, 0, command_migrate},
    {"check", "check [--offline] [--json]",
     "say what works and what does not: configuration, database, sources", "oj", 0, 0,
     command_check},
    {"load",
     "load NAME... [--source S]... [--task T]... [--mode M] [--from T] [--to T]\n"
     "                       [--allow-mass-delete] [--no-wait] [--json]",
     "run loads now, in the foreground", "stmfuawgj", 1, ARGS_LIST_MAX, command_load},
    {"run", "run", "serve the queue: claim executions as they come, until SIGTERM", "", 0, 0,
     command_run},
    {"status", "status [--json]", "show last executions, freshness, queue and dead letters", "j", 0,
     0, command_status},
    {"rebuild", "rebuild [--json]",
     "compute tickets, technicians and missing history again from the landed tables", "j", 0, 0,
     command_rebuild},
    {"dead-letters", "dead-letters list|retry [--source S]... [--task T]... [--json]",
     "list rejected records, or read them from the source again", "stjw", 1, 1,
     command_dead_letters},
    {0},
};
