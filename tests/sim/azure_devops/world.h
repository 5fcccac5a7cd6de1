#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

/*
 * What an organisation consists of besides its work items: processes with their types and states,
 * projects, area and iteration trees, people. Small, built once from a seed, changed by
 * mutations. Everything is referred to by index and never removed, so an index stays good.
 */

enum {
    AZURE_PROCESSES_MAX = 8,
    AZURE_TYPES_MAX = 12,
    AZURE_STATES_MAX = 16,
    AZURE_PROJECTS_MAX = 64,
    AZURE_NODES_MAX = 8192,
    AZURE_PEOPLE_MAX = 4096,
    AZURE_GUID = 37,
};

struct azure_state {
    char name[80];
    char id[AZURE_GUID];
    const char *category; /* "Proposed", ...: static */
    const char *color;
    bool hidden;
    bool removed; /* no list shows it any more */
    bool custom;
    const char *born; /* its first category: generated items stick to it */
    bool odd;         /* hidden or removed from the beginning */
};

struct azure_type {
    const char *name, *reference, *inherits; /* inherits: NULL for system types */
    const char *customization, *color, *icon;
    struct azure_state states[AZURE_STATES_MAX];
    int n_states, n_born; /* born: there from the beginning */
};

struct azure_process {
    char id[AZURE_GUID];
    const char *name, *reference, *parent; /* parent: a process id or NULL */
    bool is_default;
    struct azure_type types[AZURE_TYPES_MAX];
    int n_types;
};

struct azure_project {
    char id[AZURE_GUID], team_id[AZURE_GUID];
    char name[80];
    char old_name[80]; /* before the last renaming; "" */
    const char *description, *visibility;
    int process;
    int revision;
    int64_t updated_us;
    bool deleted;
    int areas, iterations; /* root nodes */
};

/* A node of an area or iteration tree. */
struct azure_node {
    char guid[AZURE_GUID];
    char name[80];
    int id;
    int project, parent; /* parent: node index, -1: a root */
    bool iteration;
    int64_t start_us, finish_us; /* INT64_MIN: no dates */
};

struct azure_person {
    char vsid[AZURE_GUID], origin_id[AZURE_GUID];
    char descriptor[96]; /* "aad.Mj..." */
    char display[128], unique[128], mail[128];
    int64_t created_us, accessed_us; /* accessed INT64_MIN: never */
    bool group, service;
    struct str ref, old_ref, text; /* as JSON: IdentityRef; id and uniqueName; "Name <unique>" */
};

struct azure_world {
    struct azure_process processes[AZURE_PROCESSES_MAX];
    int n_processes;
    struct azure_project projects[AZURE_PROJECTS_MAX];
    int n_projects, n_born_projects;
    bool any_deleted; /* a project with work items was */
    struct azure_node *nodes;
    int n_nodes;
    struct azure_person *people;
    int n_people, n_born_people;
    char instance_id[AZURE_GUID];
    char origin[128]; /* "http://127.0.0.1:1234/azure" */
    uint64_t seed;
};

/* The generated organisation, or with `recorded` only its processes: projects, nodes and people
 * come with the log. */
void azure_world_build(struct azure_world *world, uint64_t seed, int64_t base_s, bool recorded);
void azure_world_release(struct azure_world *world);
/* Writes every person's JSON anew: after `origin` or a name changed. */
void azure_world_render(struct azure_world *world);
void azure_person_render(struct azure_world *world, int index);

/* A GUID for number n of a kind of thing. */
void azure_guid(uint64_t seed, const char *kind, uint64_t n, char out[AZURE_GUID]);

int azure_add_project(struct azure_world *world, const char *name, int process, int64_t now_us);
int azure_add_node(
    struct azure_world *world, int project, int parent, const char *name, bool iteration);
int azure_add_person(struct azure_world *world, const char *display, const char *unique);

/* By name or id (or, with `past`, an old name), ignoring case; -1: none. */
int azure_find_project(const struct azure_world *world, struct str name, bool past);
int azure_find_person(const struct azure_world *world,
                      struct str name); /* unique, VSID, mail, descriptor, display */
int azure_find_process(const struct azure_world *world, struct str name);
struct azure_type *azure_find_type(struct azure_process *process, struct str name); /* or NULL */
/* "Proj\\Sprint 1" of a node; the tree's path has a segment more: "\\Proj\\Iteration\\Sprint 1". */
void azure_node_path(const struct azure_world *world, int node, bool tree, struct buf *out);
int azure_find_node(const struct azure_world *world,
                    struct str path,
                    bool iteration); /* -1: none */
bool azure_category(const char *text, const char **ret_category);
