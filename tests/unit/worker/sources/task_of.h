#pragma once

#include "common/base/cleanup.h"
#include "common/conf/catalog.h"

/* The arrays of a task_def; which columns mean what is named behind it. */
#define TASK_OF(of_fields, of_columns, of_key)                                                     \
    .fields = (of_fields), .n_fields = ARRAY_SIZE(of_fields), .columns = (of_columns),             \
    .n_columns = ARRAY_SIZE(of_columns), .key_columns = (of_key),                                  \
    .n_key_columns = ARRAY_SIZE(of_key)
