#pragma once

#include "common/io/db.h"

/*
 * Statements that a connection keeps parsed and planned. The server plans them anew when tables or
 * views change under them.
 */

/* As db_query, for a statement asked again and again: prepared under `name` when the connection
 * meets it first. One name always means one text. Inside a transaction only where the columns of
 * the answer never change their types: a statement that has to be prepared anew fails first. */
struct db_result *db_query_prepared(struct db *db,
                                    const char *name,
                                    const char *sql,
                                    const char *const *params,
                                    size_t n_params,
                                    struct error *err);
