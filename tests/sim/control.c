#include "tests/sim/control.h"

#include <string.h>

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/instant.h"

enum { PLANS_MAX = 64 };

/* {"on_request": N, "do": [...]} */
struct plan {
    int64_t left;       /* requests that still pass before it */
    char table[64];     /* only requests whose path ends in it; "": any */
    const char *prefix; /* only requests to this system; NULL: any */
    struct json *document;
};

struct control {
    struct control_parts parts;
    struct mutex lock;
    struct plan plans[PLANS_MAX]; /* guarded by lock */
    int n_plans;
};

struct control *control_new(const struct control_parts *parts)
{
    struct control *control = XNEW(struct control);

    control->parts = *parts;
    mutex_init(&control->lock);
    return control;
}

static void drop_plans(struct control *control)
{
    MUTEX_GUARD(&control->lock);
    for (int i = 0; i < control->n_plans; i++) {
        json_free(control->plans[i].document);
    }
    control->n_plans = 0;
}

void control_free(struct control *control)
{
    if (control != NULL) {
        drop_plans(control);
        mutex_release(&control->lock);
        xfree(control);
    }
}

/* The system that `name` says, the first one without; NULL: there is no such system. */
static const struct simulated *find_system(const struct control *control, struct str name)
{
    for (int i = 0; i < control->parts.n_systems; i++) {
        if (name.len == 0 || str_equal_c(name, control->parts.systems[i].name)) {
            return &control->parts.systems[i];
        }
    }
    return NULL;
}

/* `op` is the object a member stands in, `what` its value: either may name the system. */
static const struct simulated *system_of(const struct control *control,
                                         const struct json *op,
                                         const struct json *what,
                                         struct error *err)
{
    const char *name = json_find_string(what, "system");

    name = name != NULL ? name : json_find_string(op, "system");
    const struct simulated *found = find_system(control, str_from(name));

    if (found == NULL) {
        (void)error_set(err, ERROR_DATA, "system %s: there is no such system", name);
    }
    return found;
}

static bool system_has_verb(const struct simulated *system, const char *verb)
{
    for (int i = 0; system->verbs[i] != NULL; i++) {
        if (strcmp(system->verbs[i], verb) == 0) {
            return true;
        }
    }
    return false;
}

/* A text is an instant or "now"; an object has "set", "advance" or "run". */
static bool set_clock(struct control *control, const struct json *value, struct error *err)
{
    const char *advance = json_find_string(value, "advance");
    const struct json *set = json_find(value, "set");
    const char *text = json_string(set != NULL ? set : value);
    int64_t us;

    if (json_find(value, "run") != NULL) {
        sim_clock_run(control->parts.clock, json_bool(json_find(value, "run"), true));
        return true;
    }
    if (advance != NULL && sim_duration_parse(str_from(advance), &us)) {
        sim_clock_advance(control->parts.clock, us);
        return true;
    }
    if (text != NULL && strcmp(text, "now") == 0) {
        sim_clock_set(control->parts.clock, clock_wall_us());
        return true;
    }
    if (text == NULL || !instant_parse_rfc3339(str_from(text), &us)) {
        return error_set(err, ERROR_DATA,
                         "clock: must be an instant like \"2016-03-24T18:40:00Z\", \"now\", or an "
                         "object with set, advance (\"90s\") or run");
    }
    sim_clock_set(control->parts.clock, us);
    return true;
}

static void reset(struct control *control)
{
    drop_plans(control);
    faults_clear(control->parts.faults, NULL);
    journal_reset(control->parts.journal);
    sim_clock_set(control->parts.clock, control->parts.start_us);
    sim_clock_run(control->parts.clock, control->parts.runs);
    for (int i = 0; i < control->parts.n_systems; i++) {
        control->parts.systems[i].reset(control->parts.systems[i].self);
    }
}

static bool plan(struct control *control, const struct json *op, struct error *err)
{
    const char *table = json_find_string(op, "table");
    const struct json *todo = json_find(op, "do");
    const struct simulated *system = system_of(control, op, NULL, err);
    struct buf text CLEANUP(buf_release) = {0};
    int64_t number;

    if (system == NULL) {
        return false;
    }
    if (!json_int64(json_find(op, "on_request"), &number) || number < 1 || todo == NULL) {
        return error_set(err, ERROR_DATA, "on_request: needs a number from 1 and a list \"do\"");
    }
    buf_init(&text, 1 << 24);
    json_write(todo, &text);
    MUTEX_GUARD(&control->lock);
    if (control->n_plans == PLANS_MAX) {
        return error_set(err, ERROR_LIMIT, "on_request: at most %d plans at once", PLANS_MAX);
    }
    struct json *document = json_parse(buf_str(&text), err);

    if (document == NULL) {
        return false;
    }
    struct plan *fresh = &control->plans[control->n_plans++];

    memset(fresh, 0, sizeof(*fresh));
    fresh->left = number;
    fresh->prefix = json_find(op, "system") != NULL ? system->prefix : NULL;
    fresh->document = document;
    if (table != NULL && strlen(table) < sizeof(fresh->table)) {
        memcpy(fresh->table, table, strlen(table));
    }
    return true;
}

/* One member of the operation `op`. `out` gets what it has to say, as a JSON value. */
static bool run_member(struct control *control,
                       const struct json *op,
                       size_t index,
                       struct buf *out,
                       struct error *err)
{
    const char *name = json_name_at(op, index);
    const struct json *value = json_at(op, index);
    int64_t seconds;

    if (strcmp(name, "clock") == 0) {
        return set_clock(control, value, err);
    }
    if (strcmp(name, "advance_s") == 0 && json_int64(value, &seconds)) {
        sim_clock_advance(control->parts.clock, seconds * US_PER_S);
        return true;
    }
    if (strcmp(name, "run") == 0) {
        sim_clock_run(control->parts.clock, json_bool(value, true));
        return true;
    }
    if (strcmp(name, "fault") == 0) {
        return faults_add_json(control->parts.faults, value, err);
    }
    if (strcmp(name, "clear_faults") == 0) {
        faults_clear(control->parts.faults, json_string(value));
        return true;
    }
    if (strcmp(name, "reset") == 0) {
        reset(control);
        return true;
    }
    if (strcmp(name, "clear_requests") == 0) {
        drop_plans(control);
        return true;
    }
    if (strcmp(name, "reset_counters") == 0) {
        journal_reset(control->parts.journal);
        return true;
    }
    const struct simulated *system = system_of(control, op, value, err);

    if (system == NULL) {
        return false;
    }
    if (system_has_verb(system, name)) {
        return system->mutate(system->self, name, value, out, err);
    }
    return error_set(err, ERROR_DATA, "%s: %s has no such operation, or its value is wrong", name,
                     system->name);
}

static bool
run_op(struct control *control, const struct json *op, struct buf *out, struct error *err)
{
    bool first = true;

    buf_add_char(out, '{');
    if (json_find(op, "on_request") != NULL) {
        buf_add_char(out, '}');
        return plan(control, op, err);
    }
    for (size_t i = 0; i < json_size(op); i++) {
        const char *name = json_name_at(op, i);
        struct buf said CLEANUP(buf_release) = {0};

        if (strcmp(name, "system") == 0) {
            continue;
        }
        buf_init(&said, 1 << 24);
        if (!run_member(control, op, i, &said, err)) {
            return false;
        }
        buf_addf(out, "%s\"%s\":", first ? "" : ",", name);
        buf_add_c(out, said.len > 0 ? said.ptr : "true");
        first = false;
    }
    buf_add_char(out, '}');
    return true;
}

static bool run_document(struct control *control,
                         const struct json *document,
                         struct buf *out,
                         struct error *err)
{
    if (json_kind(document) != JSON_KIND_ARRAY) {
        return run_op(control, document, out, err);
    }
    buf_add_char(out, '[');
    for (size_t i = 0; i < json_size(document); i++) {
        buf_add_c(out, i > 0 ? "," : "");
        if (!run_op(control, json_at(document, i), out, err)) {
            return false;
        }
    }
    buf_add_char(out, ']');
    return true;
}

static void free_document(struct json **document)
{
    json_free(*document);
}

static void answer_post(struct control *control, const struct request *request, struct reply *reply)
{
    struct error err = ERROR_INIT;
    struct json *document CLEANUP(free_document) = json_parse(request->body, &err);
    struct buf result CLEANUP(buf_release) = {0};

    buf_init(&result, 1 << 24);
    bool ok = document != NULL && run_document(control, document, &result, &err);

    reply->status = ok ? 200 : 400;
    if (ok) {
        buf_add_str(&reply->body, buf_str(&result));
        return;
    }
    buf_add_c(&reply->body, "{\"error\":");
    buf_add_json_string(&reply->body, str_from(err.msg));
    buf_add_char(&reply->body, '}');
}

static void
answer_state(struct control *control, const struct request *request, struct reply *reply)
{
    char instant[INSTANT_TEXT_MAX];
    struct str last = STR_NONE;
    int64_t n = 200;

    if (request_param(request, "last", &last)) {
        (void)str_to_int64(last, 0, JOURNAL_LAST, &n);
    }
    reply->status = 200;
    buf_addf(&reply->body, "{\"clock\":\"%s\",",
             instant_format_rfc3339(sim_clock_now_us(control->parts.clock), instant));
    journal_write(control->parts.journal, n, &reply->body);
    buf_add_c(&reply->body, ",\"faults\":");
    faults_write(control->parts.faults, &reply->body);
    buf_add_c(&reply->body, ",\"rows\":{");
    for (int i = 0; i < control->parts.n_systems; i++) {
        const struct simulated *system = &control->parts.systems[i];

        buf_addf(&reply->body, "%s\"%s\":{", i > 0 ? "," : "", system->name);
        system->write_counts(system->self, &reply->body);
        buf_add_char(&reply->body, '}');
    }
    buf_add_char(&reply->body, '}');
    for (int i = 0; i < control->parts.n_systems; i++) {
        const struct simulated *system = &control->parts.systems[i];

        if (system->write_state != NULL) {
            buf_addf(&reply->body, ",\"%s\":{", system->name);
            system->write_state(system->self, &reply->body);
            buf_add_char(&reply->body, '}');
        }
    }
    buf_add_char(&reply->body, '}');
}

static void answer_rows(struct control *control, const struct request *request, struct reply *reply)
{
    struct str name = STR_NONE;

    (void)request_param(request, "system", &name);
    const struct simulated *system = find_system(control, name);

    if (system == NULL) {
        reply->status = 400;
        buf_add_c(&reply->body, "{\"error\":\"rows: there is no such system\"}\n");
        return;
    }
    system->truth(system->self, request, reply);
}

bool control_answer(struct control *control, const struct request *request, struct reply *reply)
{
    bool post = strcmp(request->method, "POST") == 0;

    if (!str_starts_with(request->path, STR_LITERAL("/_control"))) {
        return false;
    }
    if (str_equal_c(request->path, "/_control/rows") && !post) {
        answer_rows(control, request, reply);
        return true;
    }
    reply_header(reply, "Content-Type", "application/json");
    if (str_equal_c(request->path, "/_control") && post) {
        answer_post(control, request, reply);
    } else if (str_equal_c(request->path, "/_control/state") && !post) {
        answer_state(control, request, reply);
    } else {
        reply->status = 404;
        buf_add_c(&reply->body, "{\"error\":\"POST /_control, GET /_control/state, "
                                "GET /_control/rows\"}");
    }
    return true;
}

/* The path's last segments are `table`: "Ticket" is not meant by ".../Group_Ticket". */
static bool path_ends_in(struct str path, const char *table)
{
    struct str tail = str_from(table);

    return str_ends_with(path, tail) &&
           (path.len == tail.len || path.ptr[path.len - tail.len - 1] == '/');
}

static bool plan_meets(const struct plan *plan, const struct request *request)
{
    return (plan->table[0] == '\0' || path_ends_in(request->path, plan->table)) &&
           (plan->prefix == NULL || str_starts_with(request->path, str_from(plan->prefix)));
}

/* The plan whose turn this request is, taken out of the list. */
static struct json *due_plan(struct control *control, const struct request *request)
{
    struct json *due = NULL;
    MUTEX_GUARD(&control->lock);

    for (int i = 0; i < control->n_plans && due == NULL; i++) {
        struct plan *p = &control->plans[i];

        if (plan_meets(p, request) && --p->left == 0) {
            due = p->document;
            control->plans[i] = control->plans[--control->n_plans];
        }
    }
    return due;
}

void control_before_request(struct control *control, const struct request *request)
{
    struct json *due CLEANUP(free_document) = due_plan(control, request);
    struct buf result CLEANUP(buf_release) = {0};
    struct error err = ERROR_INIT;

    if (due != NULL) {
        buf_init(&result, 1 << 24);
        /* A mistake in a plan shows in what the test finds; there is nobody here to tell. */
        (void)run_document(control, due, &result, &err);
    }
}
