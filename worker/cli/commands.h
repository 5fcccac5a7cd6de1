#pragma once

#include "worker/cli/args.h"

/* The commands of foz-worker; each returns the exit code. Data on stdout, the rest on stderr. */

int command_migrate(const struct args *args);
int command_check(const struct args *args);
int command_load(const struct args *args);
int command_run(const struct args *args);
int command_status(const struct args *args);
int command_rebuild(const struct args *args);
int command_dead_letters(const struct args *args);
