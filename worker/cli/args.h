#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

/*
 * The command line as a checked struct. Options may stand before or behind the command; each
 * command takes only its own. Strings are borrowed from argv.
 */

#define ARGS_LIST_MAX 64

struct command;

struct args {
    const struct command *command;
    const char *config_path; /* NULL = the default search */
    bool help;
    bool version;
    bool json;
    bool dry_run;
    bool offline;
    bool allow_mass_delete;
    bool no_wait;
    const char *mode;
    const char *from;
    const char *to;
    const char *trigger;
    const char *sources[ARGS_LIST_MAX];
    size_t n_sources;
    const char *tasks[ARGS_LIST_MAX];
    size_t n_tasks;
    const char *names[ARGS_LIST_MAX]; /* what stands behind the command */
    size_t n_names;
};

/* One command: what it takes and what it does. */
struct command {
    const char *name;
    const char *synopsis; /* "load NAME... [options]" */
    const char *summary;
    const char *options; /* the letters of the options it takes, see args.c */
    size_t names_min;
    size_t names_max;
    int (*run)(const struct args *args); /* returns the exit code */
};

/* Ends with a command whose name is NULL. */
extern const struct command COMMANDS[];

/* ERROR_CONFIG with what is wrong and what would be right. With help or version set nothing else is
 * required. */
bool args_parse(int argc, char **argv, struct args *ret_args, struct error *err);

/* Help for everything, or for args->command if there is one, on stdout. */
void args_print_help(const struct args *args);
