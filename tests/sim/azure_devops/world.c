#include "tests/sim/azure_devops/world.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/azure_devops/stock.h"
#include "tests/sim/store.h"

void azure_guid(uint64_t seed, const char *kind, uint64_t n, char out[AZURE_GUID])
{
    uint64_t a = store_mix(seed, n);
    uint64_t b;

    for (const char *c = kind; *c != '\0'; c++) {
        a = store_mix(a, (uint64_t)(unsigned char)*c);
    }
    b = store_mix(a, 0x6e657874);
    snprintf(out, AZURE_GUID, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a >> 16) & 0xffff, (unsigned)a & 0xfff, 0x8000 | ((unsigned)b & 0x3fff),
             (unsigned long long)(b >> 16));
}

int azure_add_node(
    struct azure_world *world, int project, int parent, const char *name, bool iteration)
{
    if (world->n_nodes == AZURE_NODES_MAX) {
        return parent;
    }
    int index = world->n_nodes++;
    struct azure_node *node = &world->nodes[index];

    memset(node, 0, sizeof(*node));
    azure_guid(world->seed, "node", (uint64_t)index, node->guid);
    snprintf(node->name, sizeof(node->name), "%s", name);
    node->id = 10600 + index;
    node->project = project;
    node->parent = parent;
    node->iteration = iteration;
    node->start_us = INT64_MIN;
    node->finish_us = INT64_MIN;
    return index;
}

int azure_add_project(struct azure_world *world, const char *name, int process, int64_t now_us)
{
    if (world->n_projects == AZURE_PROJECTS_MAX) {
        return -1;
    }
    int index = world->n_projects++;
    struct azure_project *project = &world->projects[index];

    memset(project, 0, sizeof(*project));
    azure_guid(world->seed, "project", (uint64_t)index, project->id);
    azure_guid(world->seed, "team", (uint64_t)index, project->team_id);
    snprintf(project->name, sizeof(project->name), "%s", name);
    project->process = process;
    project->revision = 11 + index * 7;
    project->updated_us = now_us;
    project->visibility = index % 3 == 1 ? "organization" : "private";
    project->areas = azure_add_node(world, index, -1, name, false);
    project->iterations = azure_add_node(world, index, -1, name, true);
    return index;
}

int azure_add_person(struct azure_world *world, const char *display, const char *unique)
{
    if (world->n_people == AZURE_PEOPLE_MAX) {
        return -1;
    }
    int index = world->n_people++;
    struct azure_person *person = &world->people[index];
    char guid[AZURE_GUID];

    memset(person, 0, sizeof(*person));
    azure_guid(world->seed, "vsid", (uint64_t)index, person->vsid);
    azure_guid(world->seed, "oid", (uint64_t)index, person->origin_id);
    /* The descriptor holds another GUID than the VSID, base64. */
    azure_guid(world->seed, "subject", (uint64_t)index, guid);
    azure_stock_descriptor("aad", guid, person->descriptor);
    snprintf(person->display, sizeof(person->display), "%s", display);
    snprintf(person->unique, sizeof(person->unique), "%s", unique);
    snprintf(person->mail, sizeof(person->mail), "%s", strchr(unique, '@') != NULL ? unique : "");
    person->accessed_us = INT64_MIN;
    azure_person_render(world, index);
    return index;
}

static struct str keep(struct buf *text)
{
    size_t len = text->len;

    return (struct str){buf_take(text), len};
}

static void drop(struct str *text)
{
    union {
        const char *read_only;
        char *memory;
    } pointer = {.read_only = text->ptr};

    xfree(pointer.memory);
    *text = STR_NONE;
}

static void
render_ref(const struct azure_world *world, const struct azure_person *p, struct buf *out)
{
    buf_add_c(out, "{\"displayName\":");
    buf_add_json_string(out, str_from(p->display));
    buf_addf(out,
             ",\"url\":\"%s/_graph/_apis/Identities/%s\",\"_links\":{\"avatar\":{\"href\":\"%s/"
             "_apis/GraphProfile/MemberAvatars/%s\"}},\"id\":\"%s\",\"uniqueName\":",
             world->origin, p->vsid, world->origin, p->descriptor, p->vsid);
    buf_add_json_string(out, str_from(p->unique));
    buf_addf(out, ",\"imageUrl\":\"%s/_apis/GraphProfile/MemberAvatars/%s\",\"descriptor\":\"%s\"}",
             world->origin, p->descriptor, p->descriptor);
}

void azure_person_render(struct azure_world *world, int index)
{
    struct azure_person *p = &world->people[index];
    struct buf text;
    char plain[300];

    drop(&p->ref);
    drop(&p->old_ref);
    drop(&p->text);
    buf_init(&text, 65536);
    render_ref(world, p, &text);
    p->ref = keep(&text);
    snprintf(plain, sizeof(plain), "%s <%s>", p->display, p->unique);
    buf_init(&text, 65536);
    buf_add_json_string(&text, str_from(plain));
    p->text = keep(&text);
    buf_init(&text, 65536);
    buf_addf(&text, "{\"id\":\"%s\",\"uniqueName\":%s}", p->vsid, p->text.ptr);
    p->old_ref = keep(&text);
}

void azure_world_render(struct azure_world *world)
{
    for (int i = 0; i < world->n_people; i++) {
        azure_person_render(world, i);
    }
}

void azure_world_build(struct azure_world *world, uint64_t seed, int64_t base_s, bool recorded)
{
    char origin[sizeof(world->origin)];

    memcpy(origin, world->origin, sizeof(origin));
    memset(world, 0, sizeof(*world));
    memcpy(world->origin, origin, sizeof(origin));
    world->seed = seed;
    world->nodes = xcalloc(AZURE_NODES_MAX, sizeof(*world->nodes));
    world->people = xcalloc(AZURE_PEOPLE_MAX, sizeof(*world->people));
    azure_guid(seed, "instance", 0, world->instance_id);
    azure_stock_processes(world, recorded);
    /* People 0 and 1 are those of the accounts. */
    azure_stock_accounts(world, base_s);
    if (!recorded) {
        azure_stock_people(world, base_s);
        azure_stock_projects(world, base_s);
    }
    world->n_born_people = world->n_people;
    world->n_born_projects = world->n_projects;
}

void azure_world_release(struct azure_world *world)
{
    for (int i = 0; i < world->n_people; i++) {
        drop(&world->people[i].ref);
        drop(&world->people[i].old_ref);
        drop(&world->people[i].text);
    }
    xfree(world->people);
    xfree(world->nodes);
    world->people = NULL;
    world->nodes = NULL;
    world->n_people = 0;
}

int azure_find_project(const struct azure_world *world, struct str name, bool past)
{
    for (int i = 0; i < world->n_projects; i++) {
        const struct azure_project *project = &world->projects[i];

        if (str_equal_nocase(name, str_from(project->name)) ||
            str_equal_nocase(name, str_from(project->id)) ||
            (past && project->old_name[0] != '\0' &&
             str_equal_nocase(name, str_from(project->old_name)))) {
            return i;
        }
    }
    return -1;
}

int azure_find_person(const struct azure_world *world, struct str name)
{
    for (int i = 0; i < world->n_people; i++) {
        const struct azure_person *p = &world->people[i];

        if (str_equal_nocase(name, str_from(p->unique)) ||
            str_equal_nocase(name, str_from(p->vsid)) || str_equal_c(name, p->descriptor) ||
            (p->mail[0] != '\0' && str_equal_nocase(name, str_from(p->mail)))) {
            return i;
        }
    }
    for (int i = 0; i < world->n_people; i++) {
        if (str_equal_nocase(name, str_from(world->people[i].display))) {
            return i;
        }
    }
    return -1;
}

int azure_find_process(const struct azure_world *world, struct str name)
{
    for (int i = 0; i < world->n_processes; i++) {
        if (str_equal_nocase(name, str_from(world->processes[i].id)) ||
            str_equal_nocase(name, str_from(world->processes[i].name))) {
            return i;
        }
    }
    return -1;
}

struct azure_type *azure_find_type(struct azure_process *process, struct str name)
{
    for (int i = 0; i < process->n_types; i++) {
        if (str_equal_nocase(name, str_from(process->types[i].name)) ||
            str_equal_nocase(name, str_from(process->types[i].reference))) {
            return &process->types[i];
        }
    }
    return NULL;
}

void azure_node_path(const struct azure_world *world, int node, bool tree, struct buf *out)
{
    const struct azure_node *n = &world->nodes[node];

    if (n->parent < 0) {
        /* A root is called as its project is now. */
        buf_add_c(out, tree ? "\\" : "");
        buf_add_c(out, world->projects[n->project].name);
        buf_add_c(out, !tree ? "" : n->iteration ? "\\Iteration" : "\\Area");
        return;
    }
    azure_node_path(world, n->parent, tree, out);
    buf_add_char(out, '\\');
    buf_add_c(out, n->name);
}

int azure_find_node(const struct azure_world *world, struct str path, bool iteration)
{
    struct buf text CLEANUP(buf_release) = {0};

    buf_init(&text, 4096);
    for (int i = 0; i < world->n_nodes; i++) {
        if (world->nodes[i].iteration != iteration) {
            continue;
        }
        buf_reset(&text);
        azure_node_path(world, i, false, &text);
        if (str_equal_nocase(path, buf_str(&text))) {
            return i;
        }
    }
    return -1;
}

bool azure_category(const char *text, const char **ret_category)
{
    static const char *const categories[] = {"Proposed", "InProgress", "Resolved", "Completed",
                                             "Removed"};

    for (size_t i = 0; text != NULL && i < ARRAY_SIZE(categories); i++) {
        if (strcmp(text, categories[i]) == 0) {
            *ret_category = categories[i];
            return true;
        }
    }
    return false;
}
