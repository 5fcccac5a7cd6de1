#pragma once

#include "common/io/db.h"

/* A query's rows as a table on stdout; its column names are the heads. */
void result_table_print(const struct db_result *result);
