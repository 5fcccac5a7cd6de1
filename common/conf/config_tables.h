#pragma once

#include "common/conf/config.h"
#include "common/conf/options.h"

/*
 * The option tables of the configuration file, and the environment variables that override it.
 */

extern const struct option_table config_table;

/* The part `api:`, in config_tables_api.c; the first option is `listen`. */
extern const struct option config_api_options[];
extern const struct option_table config_api_table;

struct config_override {
    const char *variable;
    const struct option *option;
    size_t object_offset; /* of the option's struct in struct config */
};

extern const struct config_override config_overrides[];
extern const size_t config_overrides_count;
