#pragma once

#include "worker/sources/connector.h"
#include "worker/sources/glpi/session.h"

/*
 * Walking one partition of a GLPI itemtype: a list, several lists one after the other, single
 * items, or the lists below given parents. glpi_list.h tells how a list is read while it moves.
 */

/* partition.list */
enum glpi_partition_list {
    GLPI_LIST_LIVE,
    GLPI_LIST_TRASH,
    GLPI_LIST_FEED, /* CHANGES of an append-only itemtype: by id, down to from_key and from_us */
};

/* Requests of a page by default; more cost GLPI's memory, not time. */
#define GLPI_PAGE_SIZE_DEFAULT 1000

/* Does the itemtype have a trash, as far as the task's fields tell? Its column, or -1. */
int glpi_trash_column(const struct task_def *task);

/* The name of the field that fills a column. */
const char *glpi_field_of(const struct task_def *task, int column);

/* The itemtype of the task's parent, NULL if the catalog does not say it (`ref`). */
const char *glpi_parent_itemtype(const struct task_def *task);

struct walk *glpi_walk_open(void *session,
                            const struct source_config *source,
                            const struct task_def *task,
                            const struct partition *partition);
enum page_result glpi_walk_fetch(struct walk *walk,
                                 struct http_client *http,
                                 struct row_batch *batch,
                                 struct error *err);
void glpi_walk_proof(const struct walk *walk, struct walk_proof *ret_proof);
void glpi_walk_close(struct walk *walk);
