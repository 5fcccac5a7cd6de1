#include <string.h>

#include "tests/sim/azure_devops/item_json.h"

/* work/processes with types and states; per project wit/workitemtypes and wit/fields. */

static bool expands(const struct azure_call *call, const char *what)
{
    struct str text;

    return azure_param(call, "$expand", &text) && str_contains_nocase(text, str_from(what));
}

static void write_states(struct azure_call *call,
                         const struct azure_process *process,
                         const struct azure_type *type)
{
    struct buf *out = &call->reply->body;
    int order = 0;

    buf_add_char(out, '[');
    for (int i = 0; i < type->n_states; i++) {
        const struct azure_state *state = &type->states[i];

        if (state->removed) {
            continue;
        }
        buf_addf(out, "%s{\"id\":\"%s\",\"name\":", order > 0 ? "," : "", state->id);
        buf_add_json_string(out, str_from(state->name));
        buf_addf(out,
                 ",\"color\":\"%s\",\"stateCategory\":\"%s\",\"order\":%d,\"url\":\"%s" AZURE_WORK
                 "/processes/%s/workItemTypes/%s/states/%s\"",
                 state->color, state->category, order + 1, call->azure->world.origin, process->id,
                 type->reference, state->id);
        if (state->hidden) {
            buf_add_c(out, ",\"hidden\":true");
        }
        buf_addf(out, ",\"customizationType\":\"%s\"}",
                 state->custom   ? "custom"
                 : state->hidden ? "inherited"
                                 : "system");
        order++;
    }
    buf_add_char(out, ']');
}

static void write_type(struct azure_call *call,
                       const struct azure_process *process,
                       const struct azure_type *type)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, "{\"referenceName\":\"%s\",\"name\":", type->reference);
    buf_add_json_string(out, str_from(type->name));
    buf_addf(out,
             ",\"description\":\"Tracks "
             "%s.\",\"url\":\"%s" AZURE_WORK "/processes/%s/workItemTypes/"
             "%s\",\"customization\":\"%s\",\"color\":\"%s\",\"icon\":\"%s\","
             "\"isDisabled\":false,\"inherits\":",
             type->name, call->azure->world.origin, process->id, type->reference,
             type->customization, type->color, type->icon);
    if (type->inherits != NULL) {
        buf_addf(out, "\"%s\"", type->inherits);
    } else {
        buf_add_c(out, "null");
    }
    if (expands(call, "states")) {
        buf_add_c(out, ",\"states\":");
        write_states(call, process, type);
    }
    buf_add_char(out, '}');
}

static void write_process(struct azure_call *call, int index)
{
    const struct azure_world *world = &call->azure->world;
    const struct azure_process *process = &world->processes[index];
    struct buf *out = &call->reply->body;
    bool any = false;

    buf_addf(out, "{\"typeId\":\"%s\",\"name\":\"%s\",\"referenceName\":", process->id,
             process->name);
    if (process->reference != NULL) {
        buf_addf(out, "\"%s\"", process->reference);
    } else {
        buf_add_c(out, "null");
    }
    buf_addf(out,
             ",\"description\":\"The %s "
             "process.\",\"parentProcessTypeId\":\"%s\",\"isEnabled\":true,\"isDefault\":%s,"
             "\"customizationType\":\"%s\"",
             process->name,
             process->parent != NULL ? process->parent : "00000000-0000-0000-0000-000000000000",
             process->is_default ? "true" : "false",
             process->parent != NULL ? "inherited" : "system");
    for (int i = 0; i < world->n_projects && expands(call, "projects"); i++) {
        const struct azure_project *project = &world->projects[i];

        if (project->process == index && !project->deleted) {
            buf_addf(out, "%s{\"id\":\"%s\",\"name\":", any ? "," : ",\"projects\":[", project->id);
            buf_add_json_string(out, str_from(project->name));
            buf_addf(out, ",\"url\":\"vstfs:///Classification/TeamProject/%s\"}", project->id);
            any = true;
        }
    }
    buf_add_c(out, any ? "]}" : "}");
}

static void answer_types(struct azure_call *call, const struct azure_process *process)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, "{\"count\":%d,\"value\":[", process->n_types);
    for (int i = 0; i < process->n_types; i++) {
        buf_add_c(out, i > 0 ? "," : "");
        write_type(call, process, &process->types[i]);
    }
    buf_add_c(out, "]}");
    azure_json(call, 200);
}

static int shown_states(const struct azure_type *type, bool hidden)
{
    int n = 0;

    for (int i = 0; i < type->n_states; i++) {
        n += !type->states[i].removed && (hidden || !type->states[i].hidden) ? 1 : 0;
    }
    return n;
}

static bool answer_process_part(struct azure_call *call, struct azure_process *process)
{
    struct buf *out = &call->reply->body;

    if (!azure_segment_is(call, 3, "workItemTypes")) {
        return false;
    }
    if (call->n_segments == 4) {
        answer_types(call, process);
        return true;
    }
    struct azure_type *type = azure_find_type(process, call->segments[4]);

    if (type == NULL) {
        azure_error(call, 404, "WorkItemTypeNotFoundException",
                    "VS402805: Cannot find work item type with reference name '%.*s' in process "
                    "named '%s'.",
                    STR_ARG(call->segments[4]), process->name);
    } else if (call->n_segments == 5) {
        write_type(call, process, type);
        azure_json(call, 200);
    } else if (azure_segment_is(call, 5, "states") && call->n_segments == 6) {
        buf_addf(out, "{\"count\":%d,\"value\":", shown_states(type, true));
        write_states(call, process, type);
        buf_add_char(out, '}');
        azure_json(call, 200);
    } else {
        return false;
    }
    return true;
}

static bool answer_processes(struct azure_call *call)
{
    struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;

    if (call->n_segments == 2) {
        buf_addf(out, "{\"count\":%d,\"value\":[", world->n_processes);
        for (int i = 0; i < world->n_processes; i++) {
            buf_add_c(out, i > 0 ? "," : "");
            write_process(call, i);
        }
        buf_add_c(out, "]}");
        azure_json(call, 200);
        return true;
    }
    int index = azure_find_process(world, call->segments[2]);

    if (index < 0) {
        azure_error(call, 404, "ProcessNotFoundByTypeIdException",
                    "VS402362: Process with type id %.*s does not exist.",
                    STR_ARG(call->segments[2]));
        return true;
    }
    if (call->n_segments == 3) {
        write_process(call, index);
        azure_json(call, 200);
        return true;
    }
    return answer_process_part(call, &world->processes[index]);
}

/* As a project shows them: neither hidden nor removed states. */
static void write_shown_states(struct azure_call *call, const struct azure_type *type)
{
    struct buf *out = &call->reply->body;
    bool any = false;

    buf_add_char(out, '[');
    for (int i = 0; i < type->n_states; i++) {
        const struct azure_state *state = &type->states[i];

        if (!state->removed && !state->hidden) {
            buf_add_c(out, any ? ",{\"name\":" : "{\"name\":");
            buf_add_json_string(out, str_from(state->name));
            buf_addf(out, ",\"color\":\"%s\",\"category\":\"%s\"}", state->color, state->category);
            any = true;
        }
    }
    buf_add_char(out, ']');
}

static void write_project_type(struct azure_call *call, const struct azure_type *type)
{
    struct buf *out = &call->reply->body;

    buf_add_c(out, "{\"name\":");
    buf_add_json_string(out, str_from(type->name));
    buf_addf(out,
             ",\"referenceName\":\"%s\",\"description\":\"Tracks "
             "%s.\",\"color\":\"%s\",\"icon\":{\"id\":\"%s\",\"url\":\"%s/_apis/wit/workItemIcons/"
             "%s\"},\"isDisabled\":false,"
             "\"states\":",
             type->reference, type->name, type->color, type->icon, call->azure->world.origin,
             type->icon);
    write_shown_states(call, type);
    buf_addf(out, ",\"url\":\"%s/%s/_apis/wit/workItemTypes/", call->azure->world.origin,
             call->azure->world.projects[call->project].id);
    buf_add_percent(out, str_from(type->name), "");
    buf_add_c(out, "\"}");
}

static bool answer_project_types(struct azure_call *call)
{
    struct azure_process *process =
        &call->azure->world.processes[call->azure->world.projects[call->project].process];
    struct buf *out = &call->reply->body;

    if (call->n_segments == 2) {
        buf_addf(out, "{\"count\":%d,\"value\":[", process->n_types);
        for (int i = 0; i < process->n_types; i++) {
            buf_add_c(out, i > 0 ? "," : "");
            write_project_type(call, &process->types[i]);
        }
        buf_add_c(out, "]}");
        azure_json(call, 200);
        return true;
    }
    const struct azure_type *type = azure_find_type(process, call->segments[2]);

    if (type == NULL) {
        azure_error(call, 404, "WorkItemTypeNotFoundException",
                    "TF401347: Invalid tree name given for work item type: %.*s.",
                    STR_ARG(call->segments[2]));
    } else if (call->n_segments == 3) {
        write_project_type(call, type);
        azure_json(call, 200);
    } else if (azure_segment_is(call, 3, "states") && call->n_segments == 4) {
        buf_addf(out, "{\"count\":%d,\"value\":", shown_states(type, false));
        write_shown_states(call, type);
        buf_add_char(out, '}');
        azure_json(call, 200);
    } else {
        return false;
    }
    return true;
}

static void answer_fields(struct azure_call *call)
{
    struct buf *out = &call->reply->body;

    buf_addf(out, "{\"count\":%d,\"value\":[", (int)AZURE_N_FIELDS);
    for (int i = 0; i < AZURE_N_FIELDS; i++) {
        const struct azure_field_info *field = &azure_fields[i];

        buf_addf(out,
                 "%s{\"name\":\"%s\",\"referenceName\":\"%s\",\"description\":null,\"type\":\"%s\","
                 "\"usage\":\"workItem\",\"readOnly\":%s,\"canSortBy\":%s,"
                 "\"isQueryable\":true,\"supportedOperations\":[{\"referenceName\":"
                 "\"SupportedOperations.Equals\",\"name\":\"=\"}],\"isIdentity\":%s,"
                 "\"isPicklist\":false,\"isPicklistSuggested\":false,\"isDeleted\":false,\"url\":"
                 "\"%s/_apis/wit/fields/%s\"}",
                 i > 0 ? "," : "", field->name, field->reference, field->type,
                 i < AZURE_TITLE ? "true" : "false", field->is_long ? "false" : "true",
                 field->is_identity ? "true" : "false", call->azure->world.origin,
                 field->reference);
    }
    buf_add_c(out, "]}");
    azure_json(call, 200);
}

bool azure_answer_processes(struct azure_call *call)
{
    if (call->post) {
        return false;
    }
    if (azure_segment_is(call, 0, "work") && azure_segment_is(call, 1, "processes")) {
        return answer_processes(call);
    }
    if (!azure_segment_is(call, 0, "wit")) {
        return false;
    }
    if (azure_segment_is(call, 1, "workItemTypes") && call->project >= 0) {
        return answer_project_types(call);
    }
    if (azure_segment_is(call, 1, "fields") && call->n_segments == 2) {
        answer_fields(call);
        return true;
    }
    return false;
}
