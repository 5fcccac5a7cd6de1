#pragma once

#include "tests/db/fixture.h"

/*
 * Tasks whose records belong to other tasks': folders with sheets (no stamp of their own) and notes
 * (stamped), drafts with every revision, works as the latest of them, people whom drafts name, and
 * states that keep when they were seen.
 */

extern const struct task_def family_folders;
extern const struct task_def family_sheets;
extern const struct task_def family_notes;
extern const struct task_def family_drafts;
extern const struct task_def family_works;
extern const struct task_def family_people;
extern const struct task_def family_states;

/* As make_fixture, with the family's tables; the task is folders. */
int make_family(void **state);

void begin_task(struct fixture *fixture, const struct task_def *task, const char *source);

/* A landed child: drops what belongs to no folder. */
void begin_child(struct fixture *fixture, const struct task_def *task);

/* A watermark of source s; high may be NULL. */
void set_watermark(struct fixture *fixture, const char *task, const char *high);

/* What task of source s owes to a folder, and the id of the last debt. */
void owe(struct fixture *fixture, const char *task, const char *folder);
int64_t last_debt(struct fixture *fixture);

/* Folders 1 to 4 of source s; with load_sheets sheets 10 and 11 of folder 1, 20 of 2, 30 of 3. */
void load_folders(struct fixture *fixture);
void load_sheets(struct fixture *fixture);
void expect_sheets(struct fixture *fixture, const char *sheets);

#define FAMILY_TEST(claim) cmocka_unit_test_setup_teardown(claim, make_family, drop_fixture)

/* id, name, created, changed */
#define FOLDER(id, name, created, changed) (id), (name), (created), (changed)
/* id, folder, n */
#define SHEET(id, folder, n) (id), (folder), (n)
/* id, rev, title, changed, and who did it: unique name, id, display name */
#define DRAFT(id, rev, title, changed, by) (id), (rev), (title), (changed), (by), (by), (by)
