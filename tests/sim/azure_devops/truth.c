#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/azure_devops/system.h"
#include "tests/sim/azure_devops/value.h"

/*
 * GET /_control/rows?system=azure_devops&table=T: the truth as NDJSON, without faults and paging.
 * Revisions are walked item by item, not as the feed does, so that a mistake there shows.
 */

#define CHUNK_BYTES ((size_t)256 << 10)

/* The walk over revisions or items outlives the handler; the shared lock is held until it ends. */
struct walk {
    struct azure *azure;
    bool latest; /* only the last revision of each */
    bool whole;  /* long texts too */
    int64_t id;
};

static void free_walk(void *context)
{
    struct walk *walk = context;

    pthread_rwlock_unlock(&walk->azure->lock);
    xfree(walk);
}

static void
write_person(const struct azure_items *items, int64_t person, const char *name, struct buf *out)
{
    const struct azure_person *p = &items->world->people[person];

    buf_add_json_string(out, str_from(p->unique));
    buf_addf(out, ",\"%s.id\":\"%s\",\"%s.display\":", name, p->vsid, name);
    buf_add_json_string(out, str_from(p->display));
}

static void write_revision(const struct walk *walk, const struct azure_revision *r, struct buf *out)
{
    const struct azure_items *items = &walk->azure->items;
    const struct azure_style style = {.identities = AZURE_IDENTITY_TEXT};
    struct buf room CLEANUP(buf_release) = {0};

    buf_init(&room, 1 << 22);
    buf_addf(out, "{\"id\":%lld,\"rev\":%d", (long long)r->id, r->rev);
    for (int f = 0; f < AZURE_N_FIELDS; f++) {
        if (azure_fields[f].is_long && !walk->whole) {
            continue;
        }
        buf_reset(&room);
        struct azure_value value = azure_get_value(items, r, f, &room);

        if (value.kind == AZURE_KIND_NONE) {
            continue;
        }
        buf_addf(out, ",\"%s\":", azure_fields[f].reference);
        if (value.kind == AZURE_KIND_PERSON) {
            write_person(items, value.integer, azure_fields[f].reference, out);
        } else {
            azure_write_value(items, &value, &style, out);
        }
    }
    buf_add_c(out, "}\n");
}

static bool next_chunk(void *context, struct buf *out)
{
    struct walk *walk = context;
    const struct azure_items *items = &walk->azure->items;

    while (out->len < CHUNK_BYTES) {
        if (walk->id > items->last_id) {
            return false;
        }
        int n = azure_item_revs(items, walk->id);

        for (int rev = walk->latest && n > 0 ? n : 1; rev <= n; rev++) {
            struct azure_revision r;

            if (azure_revision_get(items, walk->id, rev, &r)) {
                write_revision(walk, &r, out);
            }
        }
        walk->id++;
    }
    return true;
}

struct link_writer {
    const struct azure *azure;
    struct buf *out;
};

static void write_link(void *context, const struct azure_link *link)
{
    struct link_writer *writer = context;

    if (azure_item_destroyed(&writer->azure->items, link->source) ||
        azure_item_destroyed(&writer->azure->items, link->target)) {
        return;
    }
    buf_addf(writer->out,
             "{\"rel\":\"%s\",\"source_id\":%lld,\"target_id\":%lld,\"changed_date\":\"", link->rel,
             (long long)link->source, (long long)link->target);
    azure_write_time(link->changed_us, 0, writer->out);
    buf_addf(writer->out, "\",\"is_active\":%s}\n", link->active ? "true" : "false");
}

static void write_projects(const struct azure_world *world, struct buf *out)
{
    for (int i = 0; i < world->n_projects; i++) {
        const struct azure_project *p = &world->projects[i];

        buf_addf(out, "{\"id\":\"%s\",\"name\":", p->id);
        buf_add_json_string(out, str_from(p->name));
        buf_addf(out,
                 ",\"state\":\"%s\",\"revision\":%d,\"visibility\":\"%s\",\"process_id\":\"%s\","
                 "\"process_name\":\"%s\",\"last_update_time\":\"",
                 p->deleted ? "deleted" : "wellFormed", p->revision, p->visibility,
                 world->processes[p->process].id, world->processes[p->process].name);
        azure_write_time(p->updated_us, 0, out);
        buf_add_c(out, "\"}\n");
    }
}

static void write_states(const struct azure_world *world, struct buf *out)
{
    for (int p = 0; p < world->n_processes; p++) {
        const struct azure_process *process = &world->processes[p];

        for (int t = 0; t < process->n_types; t++) {
            for (int s = 0; s < process->types[t].n_states; s++) {
                const struct azure_state *state = &process->types[t].states[s];

                if (!state->removed) {
                    buf_addf(out,
                             "{\"process_id\":\"%s\",\"process_name\":\"%s\",\"type\":\"%s\","
                             "\"reference\":\"%s\",\"state\":",
                             process->id, process->name, process->types[t].name,
                             process->types[t].reference);
                    buf_add_json_string(out, str_from(state->name));
                    buf_addf(out, ",\"category\":\"%s\",\"hidden\":%s}\n", state->category,
                             state->hidden ? "true" : "false");
                }
            }
        }
    }
}

static void write_nodes(const struct azure_world *world, bool iterations, struct buf *out)
{
    struct buf path CLEANUP(buf_release) = {0};

    buf_init(&path, 4096);
    for (int i = 0; i < world->n_nodes; i++) {
        const struct azure_node *node = &world->nodes[i];

        if (node->iteration != iterations || world->projects[node->project].deleted) {
            continue;
        }
        buf_reset(&path);
        azure_node_path(world, i, false, &path);
        buf_addf(out, "{\"id\":%d,\"identifier\":\"%s\",\"project_id\":\"%s\",\"name\":", node->id,
                 node->guid, world->projects[node->project].id);
        buf_add_json_string(
            out, str_from(node->parent < 0 ? world->projects[node->project].name : node->name));
        buf_add_c(out, ",\"path\":");
        buf_add_json_string(out, buf_str(&path));
        if (node->start_us != AZURE_NEVER) {
            buf_add_c(out, ",\"start_date\":\"");
            azure_write_time(node->start_us, 0, out);
            buf_add_c(out, "\",\"finish_date\":\"");
            azure_write_time(node->finish_us, 0, out);
            buf_add_char(out, '"');
        }
        buf_add_c(out, "}\n");
    }
}

static void write_people(const struct azure_world *world, struct buf *out)
{
    for (int i = 0; i < world->n_people; i++) {
        const struct azure_person *p = &world->people[i];

        buf_addf(out, "{\"id\":\"%s\",\"descriptor\":\"%s\",\"origin_id\":\"%s\",\"display_name\":",
                 p->vsid, p->descriptor, p->origin_id);
        buf_add_json_string(out, str_from(p->display));
        buf_add_c(out, ",\"unique_name\":");
        buf_add_json_string(out, str_from(p->unique));
        buf_add_c(out, ",\"mail\":");
        buf_add_json_string(out, str_from(p->mail));
        buf_addf(out, ",\"group\":%s}\n", p->group ? "true" : "false");
    }
}

static void write_destroyed(const struct azure_items *items, struct buf *out)
{
    for (int64_t id = 1; id <= items->last_id; id++) {
        if (azure_item_destroyed(items, id)) {
            buf_addf(out, "{\"id\":%lld}\n", (long long)id);
        }
    }
}

/* Small tables are written at once; false: there is no such table. */
static bool write_table(struct azure *azure, struct str table, struct buf *out)
{
    struct link_writer writer = {azure, out};

    if (str_equal_c(table, "links")) {
        azure_links_each(&azure->links, write_link, &writer);
    } else if (str_equal_c(table, "projects")) {
        write_projects(&azure->world, out);
    } else if (str_equal_c(table, "states")) {
        write_states(&azure->world, out);
    } else if (str_equal_c(table, "iterations") || str_equal_c(table, "areas")) {
        write_nodes(&azure->world, str_equal_c(table, "iterations"), out);
    } else if (str_equal_c(table, "identities")) {
        write_people(&azure->world, out);
    } else if (str_equal_c(table, "destroyed")) {
        write_destroyed(&azure->items, out);
    } else if (str_equal_c(table, "requests")) {
        azure_seen_write(azure->seen, out);
    } else {
        return false;
    }
    return true;
}

void azure_truth(void *self, const struct request *request, struct reply *reply)
{
    struct azure *azure = self;
    struct str table = STR_NONE;
    struct str value = STR_NONE;

    (void)request_param(request, "table", &table);
    azure_replay_apply(azure, sim_clock_now_us(azure->clock));
    pthread_rwlock_rdlock(&azure->lock);
    reply->status = 200;
    if (str_equal_c(table, "revisions") || str_equal_c(table, "work_items")) {
        struct walk *walk = XNEW(struct walk);

        walk->azure = azure;
        walk->latest = str_equal_c(table, "work_items");
        walk->whole = request_param(request, "long", &value);
        walk->id = 1;
        reply->source = next_chunk;
        reply->source_context = walk;
        reply->source_free = free_walk;
        reply_header(reply, "Content-Type", "application/x-ndjson");
        return;
    }
    if (!write_table(azure, table, &reply->body)) {
        reply->status = 400;
        buf_add_c(&reply->body,
                  "{\"error\":\"rows: the tables are revisions, work_items, links, projects, "
                  "states, iterations, areas, identities, destroyed, requests\"}\n");
    }
    reply_header(reply, "Content-Type", "application/x-ndjson");
    pthread_rwlock_unlock(&azure->lock);
}
