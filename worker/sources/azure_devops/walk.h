#pragma once

#include "worker/sources/azure_devops/page.h"
#include "worker/sources/azure_devops/request.h"
#include "worker/sources/connector.h"

/*
 * What all walks of Azure DevOps share; each kind is one struct ado_walk_type in a file of its own.
 * Nobody but the azure_devops files includes this.
 */

struct ado_walk_type {
    size_t state_bytes;
    void (*start)(struct walk *walk); /* no I/O; the state is zeroed */
    /* One request and what it brings, into a batch that has been reset. Sets walk->finished when
     * the walk is proven complete; rows may come with that. */
    bool (*step)(struct walk *walk,
                 struct http_client *http,
                 struct row_batch *batch,
                 struct error *err);
    void (*release)(struct walk *walk);
};

struct walk {
    const struct source_config *source;
    const struct task_def *task;
    const struct partition *partition;
    const struct ado_walk_type *type;
    void *state;
    bool finished;
    int64_t records;
    int64_t hidden;
    /* of a feed that came to its end; owned by the state */
    const char *cursor;
    int64_t high_us;
};

extern const struct ado_walk_type ado_revisions_walk; /* the feed of revisions */
extern const struct ado_walk_type ado_links_walk;     /* the feed of links */
extern const struct ado_walk_type ado_census_walk;    /* ids of all work items */
extern const struct ado_walk_type ado_items_walk;     /* given work items */
extern const struct ado_walk_type ado_revision_walk;  /* given revisions */
extern const struct ado_walk_type ado_projects_walk;
extern const struct ado_walk_type ado_states_walk;
extern const struct ado_walk_type ado_iterations_walk;
extern const struct ado_walk_type ado_people_walk;

/* What the task is read from. A task that is derived from the revisions is the work items. */
const char *ado_table_name(const struct task_def *task);

/* Of a partition of the identity task: which directory to read. */
enum ado_directory { ADO_ENTITLEMENTS, ADO_GRAPH, ADO_TEAMS };

/* The first of them that the account may read. ADO_TEAMS knows only members of teams. */
bool ado_find_directory(const struct source_config *source,
                        struct http_client *http,
                        enum ado_directory *ret_directory,
                        struct error *err);

/* Adds one record of a list task, unless the partition names the keys it wants and this is none of
 * them. */
bool ado_add_record(const struct walk *walk,
                    struct row_batch *batch,
                    const struct cell *cells,
                    struct error *err);

/* What is known of an item that is in the bin: that it is there and deleted. What is stored of it
 * stays. */
bool ado_add_deleted(struct row_batch *batch,
                     const struct task_def *task,
                     int64_t id,
                     struct error *err);

/* ---- cells of list tasks, by the catalog's field names ---- */

struct ado_cells {
    const struct task_def *task;
    struct cell *cells;
    char numbers[8][24];
    size_t n_numbers;
};

void ado_cells_init(struct ado_cells *cells, const struct task_def *task);
void ado_cells_release(struct ado_cells *cells);
void ado_cells_reset(struct ado_cells *cells); /* all NULL */
/* Fields that the task does not have are ignored. NULL text gives NULL; views must stay. */
void ado_cells_set_text(struct ado_cells *cells, const char *field, const char *text);
void ado_cells_set_bool(struct ado_cells *cells, const char *field, bool value);
void ado_cells_set_int(struct ado_cells *cells, const char *field, int64_t value);
/* A text, whole number or boolean member of `object`; anything else gives NULL. */
void ado_cells_set_member(struct ado_cells *cells,
                          const char *field,
                          const struct json *object,
                          const char *member);
void ado_cells_set(struct ado_cells *cells, const char *field, struct cell cell);

/* ---- projects, which other lists go by ---- */

struct ado_project {
    const char *id;
    const char *name;
    bool is_well_formed;
};

struct ado_projects {
    struct arena arena;
    struct ado_project *items;
    size_t n;
    size_t capacity;
};

void ado_projects_init(struct ado_projects *projects);
void ado_projects_release(struct ado_projects *projects);
/* Reads all pages. */
bool ado_projects_load(struct ado_projects *projects, struct http_client *http, struct error *err);

/* Whether a listed project is no longer there, when an address below it is unknown: one that is
 * there and refuses is an error. */
bool ado_project_is_gone(struct http_client *http, const char *project_id);

/* One page of projects; `page` says where it begins and is moved on. */
struct ado_project_page {
    char token[64];
    int64_t fetched;
    bool is_last;
};

struct json *ado_projects_page(struct http_client *http,
                               struct ado_project_page *page,
                               const struct json **ret_list,
                               struct error *err);

/* The process of a project: from the list of processes, else from the project itself. */
struct ado_process {
    const char *project_id; /* of one of its projects */
    const char *id;
    const char *name;
};

struct ado_processes {
    struct arena arena;
    struct ado_process *items; /* one per project of each process */
    size_t n;
    size_t capacity;
    bool is_known; /* false: the account may not read them */
};

void ado_processes_init(struct ado_processes *processes);
void ado_processes_release(struct ado_processes *processes);
bool ado_processes_load(struct ado_processes *processes,
                        struct http_client *http,
                        struct error *err);
const struct ado_process *ado_processes_find(const struct ado_processes *processes,
                                             const char *project_id);

/* The work item types of a project. */
struct json *ado_get_types(struct http_client *http,
                           const char *project_id,
                           const struct json **ret_list,
                           struct error *err);

/* Asks the project for its process, and adds it; NULL with err, or without if the project is gone
 * or nobody tells, as of XML processes on a server. */
const struct ado_process *ado_processes_ask(struct ado_processes *processes,
                                            struct http_client *http,
                                            const char *project_id,
                                            struct error *err);
