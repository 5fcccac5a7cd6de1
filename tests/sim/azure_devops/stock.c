#include "tests/sim/azure_devops/stock.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/sim/store.h"

/* "New:Proposed Active:InProgress": '_' stands for a blank, a leading '-' hides the state, '!'
 * says that it was removed from the process though old revisions have it, '+' that it is custom. */
struct stock_type {
    const char *name, *reference, *states;
};

#define AGILE_STORY                                                                                \
    "New:Proposed Active:InProgress Resolved:Resolved Closed:Completed Removed:Removed"
#define AGILE_TASK "New:Proposed Active:InProgress Closed:Completed Removed:Removed"
#define AGILE_BUG  "New:Proposed Active:InProgress Resolved:Resolved Closed:Completed"
#define SCRUM_ITEM                                                                                 \
    "New:Proposed Approved:Proposed Committed:InProgress Done:Completed Removed:Removed"
#define BASIC_ANY    "To_Do:Proposed Doing:InProgress Done:Completed"
#define CMMI_WORK    "Proposed:Proposed Active:InProgress Resolved:InProgress Closed:Completed"
#define CMMI_FINDING "Proposed:Proposed Active:InProgress Resolved:Resolved Closed:Completed"

static const struct stock_type agile[] = {
    {"Bug", "Microsoft.VSTS.WorkItemTypes.Bug", AGILE_BUG},
    {"Task", "Microsoft.VSTS.WorkItemTypes.Task", AGILE_TASK},
    {"User Story", "Microsoft.VSTS.WorkItemTypes.UserStory", AGILE_STORY},
    {"Issue", "Microsoft.VSTS.WorkItemTypes.Issue", "Active:InProgress Closed:Completed"},
    {"Epic", "Microsoft.VSTS.WorkItemTypes.Epic", AGILE_STORY},
    {"Feature", "Microsoft.VSTS.WorkItemTypes.Feature", AGILE_STORY},
    {NULL, NULL, NULL}};
static const struct stock_type scrum[] = {
    {"Bug", "Microsoft.VSTS.WorkItemTypes.Bug", SCRUM_ITEM},
    {"Task", "Microsoft.VSTS.WorkItemTypes.Task",
     "To_Do:Proposed In_Progress:InProgress Done:Completed Removed:Removed"},
    {"Product Backlog Item", "Microsoft.VSTS.WorkItemTypes.ProductBacklogItem", SCRUM_ITEM},
    {"Impediment", "Microsoft.VSTS.WorkItemTypes.Impediment", "Open:InProgress Closed:Completed"},
    {"Epic", "Microsoft.VSTS.WorkItemTypes.Epic",
     "New:Proposed In_Progress:InProgress Done:Completed Removed:Removed"},
    {NULL, NULL, NULL}};
static const struct stock_type basic[] = {
    {"Issue", "Microsoft.VSTS.WorkItemTypes.Issue", BASIC_ANY},
    {"Task", "Microsoft.VSTS.WorkItemTypes.Task", BASIC_ANY},
    {"Epic", "Microsoft.VSTS.WorkItemTypes.Epic", BASIC_ANY},
    {NULL, NULL, NULL}};
static const struct stock_type cmmi[] = {
    {"Bug", "Microsoft.VSTS.WorkItemTypes.Bug", CMMI_FINDING},
    {"Task", "Microsoft.VSTS.WorkItemTypes.Task", CMMI_WORK},
    {"Requirement", "Microsoft.VSTS.WorkItemTypes.Requirement", CMMI_WORK},
    {"Issue", "Microsoft.VSTS.WorkItemTypes.Issue", CMMI_FINDING},
    {"Epic", "Microsoft.VSTS.WorkItemTypes.Epic", CMMI_WORK},
    {NULL, NULL, NULL}};
static const struct stock_type inherited[] = {
    {"Bug", "Microsoft.VSTS.WorkItemTypes.Bug",
     "New:Proposed !Triage:Proposed Active:InProgress +On_Hold:InProgress Resolved:Resolved "
     "Closed:Completed"},
    {"Task", "Microsoft.VSTS.WorkItemTypes.Task", AGILE_TASK},
    {"User Story", "Microsoft.VSTS.WorkItemTypes.UserStory",
     "New:Proposed Active:InProgress -Resolved:Resolved Closed:Completed Removed:Removed"},
    {"Issue", "Microsoft.VSTS.WorkItemTypes.Issue", "Active:InProgress Closed:Completed"},
    {"Epic", "Microsoft.VSTS.WorkItemTypes.Epic", AGILE_STORY},
    {"Incident", "FabrikamAgile.Incident",
     "+Reported:Proposed +In_Arbeit:InProgress +Erledigt:Completed"},
    {NULL, NULL, NULL}};
/* The states of the Volvo log are its statuses. */
static const struct stock_type vinst[] = {
    {"Issue", "Microsoft.VSTS.WorkItemTypes.Issue",
     "Queued:Proposed Unmatched:Proposed Accepted:InProgress Completed:Completed"},
    {"Bug", "Microsoft.VSTS.WorkItemTypes.Bug",
     "Queued:Proposed Unmatched:Proposed Accepted:InProgress Completed:Completed"},
    {NULL, NULL, NULL}};

static const struct {
    const char *id, *name, *reference, *parent;
    const struct stock_type *types;
} processes[] = {
    {"adcc42ab-9882-485e-a3ed-7678f01f66bc", "Agile", NULL, NULL, agile},
    {"6b724908-ef14-45cf-84f8-768b5384da45", "Scrum", NULL, NULL, scrum},
    {"27450541-8e31-4150-9947-dc59f998fc01", "CMMI", NULL, NULL, cmmi},
    {"b8a3a935-7e91-48b8-a94c-606d37c3e9f2", "Basic", NULL, NULL, basic},
    {"c5ef8a1b-4f0d-48ce-96c4-20e62993c218", "Fabrikam Agile",
     "Inherited.c5ef8a1b4f0d48ce96c420e62993c218", "adcc42ab-9882-485e-a3ed-7678f01f66bc",
     inherited},
    {"3d7b2b64-06b8-4d3f-8a0c-13b1c0bb2013", "VINST", "Inherited.3d7b2b6406b84d3f8a0c13b1c0bb2013",
     "b8a3a935-7e91-48b8-a94c-606d37c3e9f2", vinst},
};

static void add_state(struct azure_world *world, struct azure_type *type, struct str text)
{
    struct azure_state *state = &type->states[type->n_states++];
    struct str category = text;
    struct str name = str_cut(&category, ':');
    char copy[16];

    state->hidden = name.ptr[0] == '-';
    state->removed = name.ptr[0] == '!';
    state->custom = name.ptr[0] == '+' || state->removed;
    if (state->hidden || state->custom) {
        name = (struct str){name.ptr + 1, name.len - 1};
    }
    snprintf(state->name, sizeof(state->name), "%.*s", STR_ARG(name));
    for (char *c = state->name; *c != '\0'; c++) {
        *c = (char)(*c == '_' ? ' ' : *c);
    }
    snprintf(copy, sizeof(copy), "%.*s", STR_ARG(category));
    state->category = "Proposed";
    (void)azure_category(copy, &state->category);
    state->born = state->category;
    state->odd = state->hidden || state->removed;
    type->n_born = type->n_states;
    state->color = strcmp(state->category, "Proposed") == 0     ? "b2b2b2"
                   : strcmp(state->category, "InProgress") == 0 ? "007acc"
                   : strcmp(state->category, "Resolved") == 0   ? "ff9d00"
                                                                : "339933";
    /* The same state has the same id in all processes of Microsoft's. */
    azure_guid(state->custom ? world->seed : 0, state->name, 1, state->id);
}

void azure_stock_processes(struct azure_world *world, bool recorded)
{
    static const char *const icons[] = {"icon_insect", "icon_clipboard", "icon_book"};
    size_t n = ARRAY_SIZE(processes);

    /* The log's own process comes last and only with the log. */
    for (size_t i = 0; i < n - (recorded ? 0 : 1); i++) {
        struct azure_process *process = &world->processes[world->n_processes++];

        snprintf(process->id, sizeof(process->id), "%s", processes[i].id);
        process->name = processes[i].name;
        process->reference = processes[i].reference;
        process->parent = processes[i].parent;
        process->is_default = i == 0;
        for (const struct stock_type *t = processes[i].types; t->name != NULL; t++) {
            struct azure_type *type = &process->types[process->n_types++];
            struct str rest = str_from(t->states);

            type->name = t->name;
            type->reference = t->reference;
            type->color = "CC293D";
            type->icon = icons[process->n_types % 3];
            type->customization = process->parent == NULL                      ? "system"
                                  : strncmp(t->reference, "Microsoft", 9) == 0 ? "inherited"
                                                                               : "custom";
            type->inherits = strcmp(type->customization, "inherited") == 0 ? t->reference : NULL;
            while (rest.ptr != NULL) {
                add_state(world, type, str_cut(&rest, ' '));
            }
        }
    }
}

void azure_stock_descriptor(const char *prefix, const char *guid, char out[96])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(guid);
    size_t at = (size_t)snprintf(out, 96, "%s.", prefix);

    for (size_t i = 0; i + 2 < len && at + 5 < 96; i += 3) {
        unsigned bits = (unsigned)(unsigned char)guid[i] << 16 |
                        (unsigned)(unsigned char)guid[i + 1] << 8 | (unsigned char)guid[i + 2];

        out[at++] = digits[bits >> 18];
        out[at++] = digits[bits >> 12 & 63];
        out[at++] = digits[bits >> 6 & 63];
        out[at++] = digits[bits & 63];
    }
    out[at] = '\0';
}

void azure_stock_accounts(struct azure_world *world, int64_t base_s)
{
    int sync = azure_add_person(world, "Foz Sync", "foz@fabrikam.example");
    int caller = azure_add_person(world, "Paula Caller", "paula.caller@fabrikam.example");

    world->people[sync].created_us = (base_s - 700 * 86400) * US_PER_S + 41874279 % US_PER_S;
    world->people[sync].accessed_us = (base_s - 60) * US_PER_S + 816624;
    world->people[caller].created_us = (base_s - 500 * 86400) * US_PER_S + 593000;
}

void azure_stock_people(struct azure_world *world, int64_t base_s)
{
    static const char *const first[] = {"Jamal",  "Normal", "Christie", "Chuck", "Johnnie", "José",
                                        "Márcia", "Zoë",    "Łukasz",   "Ayşe",  "Иван",    "Mei",
                                        "Priya",  "Sean",   "Björn",    "Raúl"};
    static const char *const last[] = {"Hartnett", "Paulk",    "Church",  "Reinhart", "McLeod",
                                       "O'Neil",   "da Silva", "van Dam", "Nowak",    "Yılmaz",
                                       "Petrov",   "李",       "Shah"};
    char display[128];
    char unique[128];

    for (int i = 0; i < 208; i++) {
        snprintf(display, sizeof(display), "%s %s", first[i % 16], last[i % 13]);
        snprintf(unique, sizeof(unique), "user%03d@fabrikam.example", i);
        int p = azure_add_person(world, display, unique);
        struct azure_person *person = &world->people[p];

        person->created_us = (base_s - (800 - i) * 86400) * US_PER_S + i * 1234;
        person->accessed_us = i % 9 == 4 ? INT64_MIN : (base_s - i * 3600) * US_PER_S + i * 4711;
        if (i % 29 == 7) { /* mail in other letters than the name */
            snprintf(person->mail, sizeof(person->mail), "User%03d@Fabrikam.Example", i);
        }
        if (i == 20) { /* from a server on the premises */
            snprintf(person->unique, sizeof(person->unique), "FABRIKAM\\svc.build");
            azure_stock_descriptor("win", person->origin_id, person->descriptor);
            person->mail[0] = '\0';
        }
        if (i == 21) { /* a service account */
            snprintf(person->unique, sizeof(person->unique), "%s", person->origin_id);
            snprintf(person->display, sizeof(person->display), "Project Collection Build Service");
            azure_stock_descriptor("svc", person->origin_id, person->descriptor);
            person->mail[0] = '\0';
            person->service = true;
        }
        if (i == 22) { /* a group that work is assigned to */
            snprintf(person->unique, sizeof(person->unique),
                     "vstfs:///Classification/TeamProject/%s", person->vsid);
            snprintf(person->display, sizeof(person->display), "[Fabrikam]\\Support \"A\" Team");
            azure_stock_descriptor("vssgp", person->origin_id, person->descriptor);
            person->mail[0] = '\0';
            person->group = true;
        }
        azure_person_render(world, p);
    }
}

static void add_tree(struct azure_world *world, int project, int64_t base_s)
{
    static const char *const areas[] = {"Web", "Database & Reports", "Büro"};
    const struct azure_project *p = &world->projects[project];
    int64_t start_s = (base_s / 86400 - 720) * 86400;
    char name[80];

    for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
        (void)azure_add_node(world, project, p->areas, areas[i], false);
    }
    for (int release = 1; release <= 3; release++) {
        snprintf(name, sizeof(name), "Release %d", release);
        int node = azure_add_node(world, project, p->iterations, name, true);

        for (int sprint = 1; sprint <= 8; sprint++) {
            snprintf(name, sizeof(name), "Sprint %d", (release - 1) * 8 + sprint);
            int leaf = azure_add_node(world, project, node, name, true);
            int64_t at_s = start_s + ((release - 1) * 8 + sprint - 1) * 30 * INT64_C(86400);

            if (sprint != 8) { /* the last of a release has no dates yet */
                world->nodes[leaf].start_us = at_s * US_PER_S;
                world->nodes[leaf].finish_us = (at_s + 29 * 86400) * US_PER_S;
            }
        }
    }
}

void azure_stock_projects(struct azure_world *world, int64_t base_s)
{
    static const struct {
        const char *name, *description;
        int process;
    } projects[] = {
        {"Fabrikam-Fiber-Git", "Fabrikam Fiber", 4},
        {"Contoso Web", NULL, 0},
        {"Scrum Room", "Scrum", 1},
        {"Base", NULL, 3},
        {"CMMI & Co", "With an \"&\" in its name", 2},
        {"Série Brasil", NULL, 4},
        {"Operations", "Operations", 0},
        {"Old Attic", "Deleted", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(projects); i++) {
        int p = azure_add_project(world, projects[i].name, projects[i].process,
                                  (base_s - (int64_t)(i * 11 + 1) * 86400) * US_PER_S +
                                      270000 * (int64_t)(i % 4));

        world->projects[p].description = projects[i].description;
        add_tree(world, p, base_s);
    }
    world->projects[world->n_projects - 1].deleted = true;
}
