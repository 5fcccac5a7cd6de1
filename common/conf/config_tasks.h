#pragma once

#include "common/conf/config.h"
#include "common/conf/options.h"

/*
 * From the catalog's tasks to the tasks as each source copies them.
 */

/* Checks sources.X.tasks against the catalog and fills source_tasks and landed. */
void config_resolve_tasks(struct option_reader *reader, struct config *config);
