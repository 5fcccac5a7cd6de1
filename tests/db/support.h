#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/conf/config.h"
#include "common/io/db.h"
#include "worker/load/merge.h"
#include "worker/load/staging.h"

/*
 * What the database tests share: fresh databases on the private cluster that tests/db/run starts,
 * and a small catalog of hostile names.
 */

#define ABSENT ((const char *)1) /* a cell that the source left out */

/* Fails the test with the error's words. */
#define assert_ok(condition, err)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("%s", (err).msg);                                                             \
        }                                                                                          \
    } while (0)

struct db *support_open(const char *database);
void support_url(const char *database, char out[256]);

/* Creates a database, empty or a copy of `template`; its name is written to `name`. */
void support_create_database(char name[64], const char *template);
void support_drop_database(const char *name);

/* One value of one row, "" for NULL; lives until the next call. */
const char *support_value(struct db *db, const char *sql);
int64_t support_number(struct db *db, const char *sql);
void support_run(struct db *db, const char *sql);

/* things (id; title, "user", we"ird, n bigint, at timestamptz window and version, rev) and pairs
 * (a bigint, b text; note). */
extern const struct task_def support_things;
extern const struct task_def support_pairs;
struct config support_config(void);
