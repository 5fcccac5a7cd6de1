#pragma once

/*
 * The advisory locks of foz, as SQL writes them: two int4 keys, of which the first spells "foz" and
 * a number, so that other programs in the same database do not meet them. Files under schema/
 * repeat the number, for SQL has no include.
 */

/* Session lock of whoever owns the execution of the second key (31 bits of its id):
 * ops.execution_is_owned. */
#define LOCK_EXECUTION "1718581761"

/* While something is queued for the load of the second key (a hash of its name): ops.enqueue. */
#define LOCK_QUEUE "1718581762"

/* While the task of the second key (a hash of source and task) is published. */
#define LOCK_TASK "1718581763"

/* While the database is migrated. */
#define LOCK_MIGRATION "1718581764"

/* While core is changed: core.lock, core.tick. */
#define LOCK_CORE "1718581765"

/* Session lock, shared, of readers that answer from memory: readers.h. */
#define LOCK_READERS "1718581766"
