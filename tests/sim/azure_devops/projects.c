#include <stdio.h>
#include <string.h>

#include "tests/sim/azure_devops/item_json.h"

/* core: projects, their properties and teams. */

enum { PAGE_ROWS = 100 };

static void write_project(struct azure_call *call, const struct azure_project *project)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, "\"id\":\"%s\",\"name\":", project->id);
    buf_add_json_string(out, str_from(project->name));
    if (project->description != NULL) {
        buf_add_c(out, ",\"description\":");
        buf_add_json_string(out, str_from(project->description));
    }
    buf_addf(out, ",\"url\":\"%s/_apis/projects/%s\",\"state\":\"%s\"", call->azure->world.origin,
             project->id, project->deleted ? "deleted" : "wellFormed");
}

static void write_rest(struct azure_call *call, const struct azure_project *project)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, ",\"visibility\":\"%s\"", project->visibility);
}

static void write_time(struct azure_call *call, const struct azure_project *project)
{
    struct buf *out = &call->reply->body;

    buf_add_c(out, ",\"lastUpdateTime\":\"");
    azure_write_time(project->updated_us, 0, out);
    buf_add_char(out, '"');
}

static bool in_state(const struct azure_project *project, struct str filter)
{
    if (str_equal_nocase(filter, STR_LITERAL("all"))) {
        return true;
    }
    return str_equal_nocase(filter, STR_LITERAL("deleted")) ? project->deleted
           : filter.len == 0 || str_equal_nocase(filter, STR_LITERAL("wellFormed"))
               ? !project->deleted
               : false;
}

static void answer_list(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    const struct fault *smaller = azure_struck(call, FAULT_page_size);
    struct buf *out = &call->reply->body;
    struct buf rows CLEANUP(buf_release) = {0};
    struct str filter = STR_NONE;
    int64_t top = PAGE_ROWS;
    int64_t skip = 0;
    int64_t matched = 0;
    int64_t n = 0;

    (void)azure_param(call, "stateFilter", &filter);
    if (!azure_param_int(call, "$top", 1, INT32_MAX, &top) ||
        !azure_param_int(call, "$skip", 0, INT32_MAX, &skip) ||
        !azure_param_int(call, "continuationToken", 0, INT32_MAX, &skip)) {
        return;
    }
    top = smaller != NULL && smaller->rate > 0 && smaller->rate < top ? smaller->rate : top;
    for (int i = 0; i < world->n_projects; i++) {
        const struct azure_project *project = &world->projects[i];

        if (!in_state(project, filter)) {
            continue;
        }
        if (matched++ < skip || n == top) {
            continue;
        }
        buf_add_c(out, n++ > 0 ? ",{" : "{");
        write_project(call, project);
        buf_addf(out, ",\"revision\":%d", project->revision);
        write_rest(call, project);
        write_time(call, project);
        buf_add_char(out, '}');
    }
    buf_init(&rows, out->limit);
    buf_add_str(&rows, buf_str(out));
    buf_reset(out);
    buf_addf(out, "{\"count\":%lld,\"value\":[", (long long)n);
    buf_add_str(out, buf_str(&rows));
    buf_add_c(out, "]}");
    if (skip + n < matched) {
        reply_header(call->reply, "X-MS-ContinuationToken", "%lld", (long long)(skip + n));
    }
    azure_json(call, 200);
}

static void answer_one(struct azure_call *call, const struct azure_project *project)
{
    const struct azure_world *world = &call->azure->world;
    const struct azure_process *process = &world->processes[project->process];
    struct buf *out = &call->reply->body;

    bool is_told = azure_struck(call, FAULT_process_untold) == NULL;

    buf_add_char(out, '{');
    write_project(call, project);
    if (azure_param_true(call, "includeCapabilities")) {
        buf_addf(out,
                 ",\"capabilities\":{\"processTemplate\":{\"templateName\":\"%s\"%s%s%s},"
                 "\"versioncontrol\":{\"sourceControlType\":\"Git\","
                 "\"gitEnabled\":\"True\",\"tfvcEnabled\":\"False\"}}",
                 process->name, is_told ? ",\"templateTypeId\":\"" : "", is_told ? process->id : "",
                 is_told ? "\"" : "");
    }
    buf_addf(out,
             ",\"revision\":%d,\"_links\":{\"self\":{\"href\":\"%s/_apis/projects/"
             "%s\"},\"collection\":{\"href\":\"%s/_apis/projectCollections/"
             "%s\"},\"web\":{\"href\":\"%s/",
             project->revision, world->origin, project->id, world->origin, world->instance_id,
             world->origin);
    buf_add_percent(out, str_from(project->name), "");
    buf_add_c(out, "\"}}");
    write_rest(call, project);
    buf_addf(out, ",\"defaultTeam\":{\"id\":\"%s\",\"name\":", project->team_id);
    char name[100];

    snprintf(name, sizeof(name), "%s Team", project->name);
    buf_add_json_string(out, str_from(name));
    buf_addf(out, ",\"url\":\"%s/_apis/projects/%s/teams/%s\"}", world->origin, project->id,
             project->team_id);
    write_time(call, project);
    buf_add_char(out, '}');
    azure_json(call, 200);
}

static void answer_properties(struct azure_call *call, const struct azure_project *project)
{
    const struct azure_process *process = &call->azure->world.processes[project->process];
    struct buf *out = &call->reply->body;
    char current[AZURE_GUID];
    struct str keys = STR_NONE;
    bool is_told = azure_struck(call, FAULT_process_untold) == NULL;
    int n = 0;

    azure_guid(call->azure->world.seed, "template", (uint64_t)project->process, current);
    (void)azure_param(call, "keys", &keys);

    const struct {
        const char *name, *value;
    } properties[] = {{"System.CurrentProcessTemplateId", current},
                      {"System.OriginalProcessTemplateId", current},
                      {is_told ? "System.ProcessTemplateType" : "System.MSPROJ", process->id},
                      {"System.Process Template", process->name},
                      {"System.Microsoft.TeamFoundation.Team.Default", project->team_id},
                      {"System.SourceControlCapabilityFlags", "2"},
                      {"System.SourceControlGitEnabled", "True"}};

    buf_add_c(out, "{\"value\":[");
    for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
        if (keys.len == 0 || str_contains_nocase(keys, str_from(properties[i].name))) {
            buf_addf(out, "%s{\"name\":\"%s\",\"value\":\"%s\"}", n++ > 0 ? "," : "",
                     properties[i].name, properties[i].value);
        }
    }
    buf_addf(out, "],\"count\":%d}", n);
    azure_json(call, 200);
}

static void write_team(struct azure_call *call, const struct azure_project *project)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    char name[100];

    snprintf(name, sizeof(name), "%s Team", project->name);
    buf_addf(out, "{\"id\":\"%s\",\"name\":", project->team_id);
    buf_add_json_string(out, str_from(name));
    buf_addf(out,
             ",\"url\":\"%s/_apis/projects/%s/teams/%s\",\"description\":\"The default project "
             "team.\",\"identityUrl\":\"%s/_graph/_apis/Identities/%s\",\"projectName\":",
             world->origin, project->id, project->team_id, world->origin, project->team_id);
    buf_add_json_string(out, str_from(project->name));
    buf_addf(out, ",\"projectId\":\"%s\"}", project->id);
}

static void answer_members(struct azure_call *call, const struct azure_project *project)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    int n = world->n_people < 12 ? world->n_people : 12;
    int64_t top = n;
    int64_t skip = 0;

    (void)project;
    if (!azure_param_int(call, "$top", 1, INT32_MAX, &top) ||
        !azure_param_int(call, "$skip", 0, INT32_MAX, &skip)) {
        return;
    }
    int64_t end = skip + top < n ? skip + top : n;

    buf_add_c(out, "{\"value\":[");
    for (int64_t i = skip; i < end; i++) {
        const struct azure_person *p = &world->people[i];

        buf_addf(out, "%s{\"isTeamAdmin\":%s,\"identity\":{\"displayName\":", i > skip ? "," : "",
                 i % 5 == 2 ? "true" : "false");
        buf_add_json_string(out, str_from(p->display));
        buf_addf(out, ",\"url\":\"%s/_graph/_apis/Identities/%s\",\"id\":\"%s\",\"uniqueName\":",
                 world->origin, p->vsid, p->vsid);
        buf_add_json_string(out, str_from(p->unique));
        buf_addf(out,
                 ",\"imageUrl\":\"%s/_api/_common/identityImage?id=%s\",\"descriptor\":\"%s\"}}",
                 world->origin, p->vsid, p->descriptor);
    }
    buf_addf(out, "],\"count\":%lld}", (long long)(end > skip ? end - skip : 0));
    azure_json(call, 200);
}

static void answer_teams(struct azure_call *call, int only)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    int n = 0;

    buf_add_c(out, "{\"value\":[");
    for (int i = 0; i < world->n_projects; i++) {
        if (!world->projects[i].deleted && (only < 0 || only == i)) {
            buf_add_c(out, n++ > 0 ? "," : "");
            write_team(call, &world->projects[i]);
        }
    }
    buf_addf(out, "],\"count\":%d}", n);
    azure_json(call, 200);
}

static bool answer_project_part(struct azure_call *call, int index)
{
    const struct azure_project *project = &call->azure->world.projects[index];

    if (call->n_segments == 2) {
        answer_one(call, project);
    } else if (azure_segment_is(call, 2, "properties") && call->n_segments == 3) {
        answer_properties(call, project);
    } else if (azure_segment_is(call, 2, "teams") && call->n_segments == 3) {
        answer_teams(call, index);
    } else if (azure_segment_is(call, 2, "teams") && call->n_segments == 4) {
        write_team(call, project);
        azure_json(call, 200);
    } else if (azure_segment_is(call, 4, "members") && call->n_segments == 5) {
        answer_members(call, project);
    } else {
        return false;
    }
    return true;
}

bool azure_answer_projects(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;

    if (azure_segment_is(call, 0, "teams") && call->n_segments == 1) {
        answer_teams(call, -1);
        return true;
    }
    if (!azure_segment_is(call, 0, "projects") || call->post) {
        return false;
    }
    if (call->n_segments == 1) {
        answer_list(call);
        return true;
    }
    int index =
        azure_find_project(world, call->segments[1], azure_param_true(call, "includeHistory"));

    if (index < 0 || world->projects[index].deleted) {
        azure_error(call, 404, "ProjectDoesNotExistWithNameException",
                    "TF200016: The following project does not exist: %.*s. Verify that the name of "
                    "the project is correct and that the project exists on the "
                    "specified Azure DevOps Server.",
                    STR_ARG(call->segments[1]));
        return true;
    }
    return answer_project_part(call, index);
}
