#pragma once

#include "common/conf/config.h"
#include "common/conf/options.h"

/*
 * What a table cannot say of one option: the rules between options. The first group is called by
 * the tables while reading, config_check once everything is known.
 */

option_read_fn check_source;
option_read_fn check_retry;
option_read_fn check_jwt;
option_read_fn check_cors;

/* Reads sources.X.tasks.NAME.fields: a list or a mapping. */
option_read_fn read_task_fields;

/* Listen addresses, loads, references between sections. `root` is the file. */
void config_check(struct option_reader *reader,
                  const struct yaml_node *root,
                  const struct config *config);
