#include <string.h>

#include "common/base/clock.h"
#include "tests/sim/azure_devops/item_json.h"

/* wit/classificationnodes, and the iterations that a team uses. */

static bool has_children(const struct azure_world *world, int node)
{
    for (int i = node + 1; i < world->n_nodes; i++) {
        if (world->nodes[i].parent == node) {
            return true;
        }
    }
    return false;
}

static void write_dates(const struct azure_node *node, const char *time_frame, struct buf *out)
{
    if (node->start_us == AZURE_NEVER) {
        return;
    }
    buf_add_c(out, ",\"attributes\":{\"startDate\":\"");
    azure_write_time(node->start_us, 0, out);
    buf_add_c(out, "\",\"finishDate\":\"");
    azure_write_time(node->finish_us, 0, out);
    buf_add_c(out, "\"");
    if (time_frame != NULL) {
        buf_addf(out, ",\"timeFrame\":\"%s\"", time_frame);
    }
    buf_add_char(out, '}');
}

static void write_url(struct azure_call *call, int node, struct buf *out)
{
    const struct azure_world *world = &call->azure->world;
    const struct azure_node *n = &world->nodes[node];

    if (n->parent < 0) {
        buf_addf(out, "%s/%s/_apis/wit/classificationNodes/%s", world->origin,
                 world->projects[n->project].id, n->iteration ? "Iterations" : "Areas");
        return;
    }
    write_url(call, n->parent, out);
    buf_add_char(out, '/');
    buf_add_percent(out, str_from(n->name), "");
}

static const char *name_of(const struct azure_world *world, const struct azure_node *node)
{
    return node->parent < 0 ? world->projects[node->project].name : node->name;
}

static void write_node(struct azure_call *call, int node, int64_t depth, bool top)
{
    const struct azure_world *world = &call->azure->world;
    const struct azure_node *n = &world->nodes[node];
    struct buf *out = &call->reply->body;
    struct buf path CLEANUP(buf_release) = {0};
    bool parent = has_children(world, node);
    bool any = false;

    buf_addf(out, "{\"id\":%d,\"identifier\":\"%s\",\"name\":", n->id, n->guid);
    buf_add_json_string(out, str_from(name_of(world, n)));
    buf_addf(out, ",\"structureType\":\"%s\",\"hasChildren\":%s",
             n->iteration ? "iteration" : "area", parent ? "true" : "false");
    /* Deeper than asked the children are not listed, though there are some. */
    for (int i = node + 1; i < world->n_nodes && depth > 0 && parent; i++) {
        if (world->nodes[i].parent == node) {
            buf_add_c(out, any ? "," : ",\"children\":[");
            write_node(call, i, depth - 1, false);
            any = true;
        }
    }
    buf_add_c(out, any ? "]" : "");
    write_dates(n, NULL, out);
    buf_init(&path, 4096);
    azure_node_path(world, node, true, &path);
    buf_add_c(out, ",\"path\":");
    buf_add_json_string(out, buf_str(&path));
    if (top) {
        buf_add_c(out, ",\"_links\":{\"self\":{\"href\":\"");
        write_url(call, node, out);
        buf_add_c(out, "\"}}");
    }
    buf_add_c(out, ",\"url\":\"");
    write_url(call, node, out);
    buf_add_c(out, "\"}");
}

/* The node below the root that the path's segments name; -1: none. */
static int walk(const struct azure_call *call, int root)
{
    const struct azure_world *world = &call->azure->world;

    for (int s = 3; s < call->n_segments && root >= 0; s++) {
        int found = -1;

        for (int i = root + 1; i < world->n_nodes && found < 0; i++) {
            if (world->nodes[i].parent == root &&
                str_equal_nocase(call->segments[s], str_from(world->nodes[i].name))) {
                found = i;
            }
        }
        root = found;
    }
    return root;
}

static bool answer_nodes(struct azure_call *call)
{
    const struct azure_project *project = &call->azure->world.projects[call->project];
    struct buf *out = &call->reply->body;
    int64_t depth = 0;

    if (!azure_param_int(call, "$depth", 0, 100, &depth)) {
        return true;
    }
    if (call->n_segments == 2) {
        buf_add_c(out, "{\"count\":2,\"value\":[");
        write_node(call, project->areas, depth, true);
        buf_add_char(out, ',');
        write_node(call, project->iterations, depth, true);
        buf_add_c(out, "]}");
        azure_json(call, 200);
        return true;
    }
    bool iterations = azure_segment_is(call, 2, "iterations");

    if (!iterations && !azure_segment_is(call, 2, "areas")) {
        return false;
    }
    int node = walk(call, iterations ? project->iterations : project->areas);

    if (node < 0) {
        azure_error(call, 404, "WorkItemTrackingTreeNodeNotFoundException",
                    "VS402485: The %s name is not recognized: %.*s.",
                    iterations ? "iteration" : "area",
                    STR_ARG(call->segments[call->n_segments - 1]));
        return true;
    }
    write_node(call, node, depth, true);
    azure_json(call, 200);
    return true;
}

static void answer_team_iterations(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    struct buf path CLEANUP(buf_release) = {0};
    struct str wanted = STR_NONE;
    int n = 0;

    (void)azure_param(call, "$timeframe", &wanted);
    buf_init(&path, 4096);
    buf_add_c(out, "{\"value\":[");
    for (int i = 0; i < world->n_nodes; i++) {
        const struct azure_node *node = &world->nodes[i];
        const char *frame = node->finish_us + 86400 * US_PER_S <= call->now_us ? "past"
                            : node->start_us <= call->now_us                   ? "current"
                                                                               : "future";

        if (node->project != call->project || !node->iteration || node->start_us == AZURE_NEVER ||
            (wanted.len > 0 && !str_equal_nocase(wanted, str_from(frame)))) {
            continue;
        }
        buf_reset(&path);
        azure_node_path(world, i, false, &path);
        buf_addf(out, "%s{\"id\":\"%s\",\"name\":", n++ > 0 ? "," : "", node->guid);
        buf_add_json_string(out, str_from(node->name));
        buf_add_c(out, ",\"path\":");
        buf_add_json_string(out, buf_str(&path));
        write_dates(node, frame, out);
        buf_addf(out, ",\"url\":\"%s/%s" AZURE_WORK "/teamsettings/iterations/%s\"}", world->origin,
                 world->projects[call->project].id, node->guid);
    }
    buf_addf(out, "],\"count\":%d}", n);
    azure_json(call, 200);
}

static void answer_team_settings(struct azure_call *call)
{
    struct buf *out = &call->reply->body;

    buf_addf(out,
             "{\"backlogIteration\":{\"id\":\"%s\"},\"bugsBehavior\":\"asRequirements\","
             "\"workingDays\":[\"monday\",\"tuesday\",\"wednesday\",\"thursday\",\"friday\"],"
             "\"backlogVisibilities\":{},\"url\":\"%s/%s" AZURE_WORK "/teamsettings\"}",
             call->azure->world.nodes[call->azure->world.projects[call->project].iterations].guid,
             call->azure->world.origin, call->azure->world.projects[call->project].id);
    azure_json(call, 200);
}

bool azure_answer_nodes(struct azure_call *call)
{
    if (call->post || call->project < 0) {
        return false;
    }
    if (azure_segment_is(call, 0, "wit") && azure_segment_is(call, 1, "classificationNodes")) {
        return answer_nodes(call);
    }
    if (!azure_segment_is(call, 0, "work") || !azure_segment_is(call, 1, "teamsettings")) {
        return false;
    }
    if (call->n_segments == 2) {
        answer_team_settings(call);
        return true;
    }
    if (azure_segment_is(call, 2, "iterations") && call->n_segments == 3) {
        answer_team_iterations(call);
        return true;
    }
    return false;
}
