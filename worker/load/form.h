#pragma once

#include <stdbool.h>

#include "common/base/error.h"
#include "common/conf/catalog.h"
#include "common/io/db.h"
#include "common/io/hash.h"

/*
 * What a landed table's rows consist of: the names of the task's columns and which columns of the
 * table they are. It is part of each row's hash, so a row that was landed before a column was
 * renamed, replaced, or dropped and made again differs from the same record now.
 */
bool form_read(struct db *db,
               const struct task_def *task,
               struct hash128 *ret_form,
               struct error *err);
