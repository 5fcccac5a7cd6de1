#include "tests/sim/glpi/glpi.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "tests/sim/glpi/directory.h"
#include "tests/sim/glpi/replay.h"
#include "tests/sim/glpi/system.h"

static const struct account first_accounts[N_ACCOUNTS] = {
    {"foz", "foz-secret", "foz-glpi-token", 0, true, false},
    {"foz-limited", "foz-limited-secret", "foz-glpi-limited", 2, true, true},
};

static void read_modes(struct call *call)
{
    const char *sanitized = request_header(call->request, "X-GLPI-Sanitized-Content");
    struct look *look = &call->look;
    struct fault zone;

    glpi_read_look(call->glpi, look);
    look->decoded = sanitized != NULL && strcmp(sanitized, "false") == 0;
    if (glpi_mode(call->glpi, FAULT_user_time_zone, &zone)) {
        snprintf(call->zone_name, sizeof(call->zone_name), "%s", zone.value);
        look_set_zone(look, call->zone_name, (int64_t)zone.seconds);
        if (zone.value[0] == '\0' || fault_mode_is(&zone, "unnamed")) {
            look->zone = NULL;
        }
    }
}

static bool is_session_call(struct str name)
{
    return str_starts_with(name, STR_LITERAL("initSession")) ||
           str_starts_with(name, STR_LITERAL("killSession")) ||
           str_starts_with(name, STR_LITERAL("get")) ||
           str_starts_with(name, STR_LITERAL("changeActive"));
}

static void draw_faults(struct call *call)
{
    struct fault_target target = {
        .system = "glpi", .route = call->route, .table = call->itemtype, .rows = 15};
    struct str name = call->rest;
    struct str range;
    struct buf query CLEANUP(buf_release) = {0};
    int64_t start;
    int64_t end;

    if (strcmp(call->route, "item") == 0 && memchr(name.ptr, '/', name.len) != NULL) {
        (void)str_cut(&name, '/');
        target.table = name;
        target.route = "list";
    } else if (strcmp(call->route, "search") == 0) {
        target.table = name;
    }
    if (request_param(call->request, "range", &range)) {
        struct str tail = range;
        struct str head = str_cut(&tail, '-');

        if (str_to_int64(head, 0, INT64_MAX / 4, &start) &&
            str_to_int64(tail, 0, INT64_MAX / 4, &end)) {
            target.rows = end - start + 1;
        }
    }
    buf_init(&query, 65536);
    for (int i = 0; i < call->request->n_params; i++) {
        buf_addf(&query, "&%.*s=%.*s", STR_ARG(call->request->params[i].name),
                 STR_ARG(call->request->params[i].value));
    }
    target.query = buf_str(&query);
    faults_draw(call->glpi->faults, &target, &call->drawn);
}

static void answer_resource(struct call *call)
{
    struct glpi *glpi = call->glpi;

    if (!glpi_session_enter(call)) {
        return;
    }
    glpi_rights_read(call);
    if (strcmp(call->request->method, "GET") != 0 && strcmp(call->request->method, "HEAD") != 0) {
        respond_glpi_error(call, 405, "ERROR_METHOD_NOT_ALLOWED",
                           "This simulation is read-only here");
        return;
    }
    if (str_equal_c(call->itemtype, "search")) {
        glpi_search_answer(call);
        return;
    }
    if (str_equal_c(call->itemtype, "listSearchOptions")) {
        glpi_search_options_answer(call);
        return;
    }
    struct item_table *table = items_table(&glpi->items, call->itemtype);

    if (table == NULL) {
        respond_glpi_refusal(call, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM",
                             "resource not found or not an instance of CommonDBTM");
    } else if (call->rest.len > 0) {
        glpi_item_answer(call, table, call->rest);
    } else {
        glpi_list_answer(call, table, NULL);
    }
}

static void answer_api(struct call *call, struct str path)
{
    call->itemtype = str_cut(&path, '/');
    call->rest = path.ptr == NULL ? (struct str){"", 0} : path;
    call->route = is_session_call(call->itemtype)                    ? "session"
                  : str_equal_c(call->itemtype, "search")            ? "search"
                  : str_equal_c(call->itemtype, "listSearchOptions") ? "other"
                  : call->rest.len > 0                               ? "item"
                                                                     : "list";
    draw_faults(call);
    if (respond_glpi_fault(call)) {
        return;
    }
    if (call->itemtype.len == 0) {
        respond_glpi_refusal(call, "ERROR_RESOURCE_MISSING", "Resource is missing");
        return;
    }
    if (strcmp(call->request->method, "GET") == 0 && call->request->body.len > 0) {
        respond_glpi_refusal(call, "ERROR_JSON_PAYLOAD_FORBIDDEN",
                             "GET Request should not have json payload (http body)");
        return;
    }
    if (!glpi_app_token_fits(call)) {
        return;
    }
    pthread_rwlock_rdlock(&call->glpi->lock);
    if (!glpi_session_answer(call)) {
        answer_resource(call);
    }
    pthread_rwlock_unlock(&call->glpi->lock);
}

static void answer_elsewhere(struct call *call, struct str path)
{
    call->route = "other";
    call->itemtype = path;
    draw_faults(call);
    if (respond_glpi_fault(call)) {
        return;
    }
    if (str_equal_c(path, "/status.php")) {
        buf_add_c(&call->reply->body,
                  "{\"glpi\":{\"status\":\"OK\"},\"db\":{\"status\":\"OK\",\"main\":{\"status\":"
                  "\"OK\"},\"replicas\":{\"status\":\"NO_DATA\"}}}");
        respond_glpi_json(call, 200);
    } else if (call->look.version11 && str_starts_with(path, STR_LITERAL("/api.php"))) {
        buf_add_c(
            &call->reply->body,
            "{\"message\":\"Welcome to the GLPI API\",\"api_versions\":[{\"api_version\":\"1\","
            "\"version\":\"1.0.0\"},{\"api_version\":\"2\",\"version\":\"2.0.0\"}]}");
        respond_glpi_json(call, 200);
    } else {
        call->reply->status = 404;
        buf_add_c(&call->reply->body, "<html><head><title>404 Not Found</title></head></html>");
        reply_header(call->reply, "Content-Type", "text/html; charset=UTF-8");
    }
}

static void answer(void *self, const struct request *request, struct reply *reply)
{
    static const struct str roots[] = {{"/glpi/apirest.php", 17}, {"/glpi/api.php/v1", 16}};
    struct call *call CLEANUP(xfreep) = XNEW(struct call);
    struct str path = request->path;

    call->glpi = self;
    call->request = request;
    call->reply = reply;
    call->now_s = sim_clock_now_us(call->glpi->clock) / US_PER_S;
    mutex_lock(&call->glpi->small);
    memcpy(call->origin, call->glpi->origin, sizeof(call->origin));
    mutex_unlock(&call->glpi->small);
    glpi_catch_up(call->glpi);
    read_modes(call);
    for (size_t i = 0; i < (call->look.version11 ? 2 : 1); i++) {
        if (str_starts_with(path, roots[i]) &&
            (path.len == roots[i].len || path.ptr[roots[i].len] == '/')) {
            size_t skip = roots[i].len + (path.len > roots[i].len ? 1 : 0);

            answer_api(call, (struct str){path.ptr + skip, path.len - skip});
            respond_glpi_finish(call);
            return;
        }
    }
    answer_elsewhere(call, (struct str){path.ptr + 5, path.len - 5});
    respond_glpi_finish(call);
}

void glpi_catch_up(struct glpi *glpi)
{
    int64_t now_s = sim_clock_now_us(glpi->clock) / US_PER_S;

    if (glpi->replay == NULL) {
        return;
    }
    pthread_rwlock_rdlock(&glpi->lock);
    bool due = glpi_replay_is_due(glpi->replay, now_s);

    pthread_rwlock_unlock(&glpi->lock);
    if (due) {
        pthread_rwlock_wrlock(&glpi->lock);
        glpi_replay_advance(glpi->replay, &glpi->items, now_s);
        items_settle(&glpi->items);
        pthread_rwlock_unlock(&glpi->lock);
    }
}

static bool
mutate(void *self, const char *verb, const struct json *what, struct buf *out, struct error *err)
{
    return glpi_mutate(self, verb, what, out, err);
}

static void reset(void *self)
{
    struct glpi *glpi = self;

    pthread_rwlock_wrlock(&glpi->lock);
    items_reset(&glpi->items);
    memcpy(glpi->accounts, first_accounts, sizeof(first_accounts));
    directory_fill(&glpi->items);
    if (glpi->replay != NULL) {
        glpi_replay_rewind(glpi->replay, &glpi->items);
        items_settle(&glpi->items);
    }
    pthread_rwlock_unlock(&glpi->lock);
    glpi_sessions_clear(glpi->sessions);
}

static void truth(void *self, const struct request *request, struct reply *reply)
{
    glpi_truth(self, request, reply);
}

static void write_counts(void *self, struct buf *out)
{
    struct glpi *glpi = self;

    glpi_catch_up(glpi);
    pthread_rwlock_rdlock(&glpi->lock);
    for (int i = 0; i < N_ITEMTYPES; i++) {
        buf_addf(out, "%s\"%s\":%lld", i > 0 ? "," : "", itemtypes[i].name,
                 (long long)items_count(&glpi->items.tables[i], MASK_ALL));
    }
    pthread_rwlock_unlock(&glpi->lock);
}

static void write_state(void *self, struct buf *out)
{
    glpi_sessions_write(((struct glpi *)self)->sessions, out);
}

static void set_address(void *self, const char *address)
{
    struct glpi *glpi = self;

    MUTEX_GUARD(&glpi->small);
    snprintf(glpi->origin, sizeof(glpi->origin), "http://%s/glpi", address);
}

static void free_system(void *self)
{
    struct glpi *glpi = self;

    glpi_replay_close(glpi->replay);
    glpi_sessions_free(glpi->sessions);
    items_release(&glpi->items);
    mutex_release(&glpi->small);
    pthread_rwlock_destroy(&glpi->lock);
    xfree(glpi);
}

bool glpi_open(struct simulated *ret_system,
               const struct simulated_options *options,
               struct sim_clock *clock,
               struct faults *faults,
               struct error *err)
{
    struct glpi *glpi = XNEW(struct glpi);
    struct world world;

    pthread_rwlock_init(&glpi->lock, NULL);
    mutex_init(&glpi->small);
    glpi->clock = clock;
    glpi->faults = faults;
    memcpy(glpi->accounts, first_accounts, sizeof(first_accounts));
    world_prepare(&world, options->seed, options->n_tickets, options->base_s);
    world.empty = options->recorded;
    items_init(&glpi->items, &world);
    glpi->sessions = glpi_sessions_new(options->seed);
    directory_fill(&glpi->items);
    if (options->data_dir != NULL) {
        glpi->replay = glpi_replay_open(options->data_dir, &glpi->items, err);
        if (glpi->replay == NULL) {
            free_system(glpi);
            return false;
        }
        items_settle(&glpi->items);
    }
    *ret_system = (struct simulated){
        .name = "glpi",
        .prefix = "/glpi",
        .verbs = glpi_verbs,
        .self = glpi,
        .recorded_until_s = glpi->replay != NULL ? glpi_replay_end_s(glpi->replay) : 0,
        .answer = answer,
        .mutate = mutate,
        .reset = reset,
        .truth = truth,
        .write_counts = write_counts,
        .write_state = write_state,
        .set_address = set_address,
        .free = free_system,
    };
    return true;
}
