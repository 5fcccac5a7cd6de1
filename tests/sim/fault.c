#include "tests/sim/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/random.h"

static const char *const kind_names[] = {
#define FAULT(name, system) #name,
#include "tests/sim/faults.def"
#undef FAULT
};

static const char *const kind_systems[] = {
#define FAULT(name, system) system,
#include "tests/sim/faults.def"
#undef FAULT
};

void faults_init(struct faults *faults, uint64_t seed)
{
    mutex_init(&faults->lock);
    faults->n = 0;
    faults->random = seed ^ 0xfa017;
}

void faults_release(struct faults *faults)
{
    mutex_release(&faults->lock);
}

static bool set_text(char *out, size_t size, struct str value, const char *key, struct error *err)
{
    if (value.len >= size) {
        return error_set(err, ERROR_CONFIG, "fault option %s: at most %zu bytes", key, size - 1);
    }
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static bool set_real(double *out, struct str value, const char *key, struct error *err)
{
    char copy[64];
    char *end;

    snprintf(copy, sizeof(copy), "%.*s", STR_ARG(value));
    *out = strtod(copy, &end);
    if (value.len == 0 || *end != '\0') {
        return error_set(err, ERROR_CONFIG, "fault option %s=%s: must be a number", key, copy);
    }
    return true;
}

static bool set_integer(int64_t *out, struct str value, const char *key, struct error *err)
{
    if (!str_to_int64(value, -1, INT64_C(1) << 60, out)) {
        return error_set(err, ERROR_CONFIG, "fault option %s=%.*s: must be a whole number", key,
                         STR_ARG(value));
    }
    return true;
}

static bool set_option(struct fault *fault, struct str key, struct str value, struct error *err)
{
    const struct {
        const char *name;
        int64_t *integer;
        double *real;
        char *text;
        size_t size;
    } options[] = {
        {"count", &fault->count, NULL, NULL, 0},
        {"after", &fault->after, NULL, NULL, 0},
        {"over", &fault->over, NULL, NULL, 0},
        {"every", &fault->every, NULL, NULL, 0},
        {"rate", &fault->rate, NULL, NULL, 0},
        {"probability", NULL, &fault->probability, NULL, 0},
        {"seconds", NULL, &fault->seconds, NULL, 0},
        {"share", NULL, &fault->share, NULL, 0},
        {"system", NULL, NULL, fault->system, sizeof(fault->system)},
        {"route", NULL, NULL, fault->route, sizeof(fault->route)},
        {"table", NULL, NULL, fault->table, sizeof(fault->table)},
        {"match", NULL, NULL, fault->match, sizeof(fault->match)},
        {"field", NULL, NULL, fault->field, sizeof(fault->field)},
        {"value", NULL, NULL, fault->value, sizeof(fault->value)},
        {"mode", NULL, NULL, fault->mode, sizeof(fault->mode)},
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!str_equal_c(key, options[i].name)) {
            continue;
        }
        return options[i].integer != NULL
                   ? set_integer(options[i].integer, value, options[i].name, err)
               : options[i].real != NULL
                   ? set_real(options[i].real, value, options[i].name, err)
                   : set_text(options[i].text, options[i].size, value, options[i].name, err);
    }
    return error_set(err, ERROR_CONFIG, "fault option %.*s: there is no such option", STR_ARG(key));
}

static bool start_fault(struct fault *fault, struct str kind, struct error *err)
{
    memset(fault, 0, sizeof(*fault));
    fault->count = -1;
    fault->probability = 1.0;
    fault->share = 0.5;
    fault->every = 1;
    for (int i = 0; i < N_FAULT_KINDS; i++) {
        if (str_equal_c(kind, kind_names[i])) {
            fault->kind = (enum fault_kind)i;
            snprintf(fault->system, sizeof(fault->system), "%s", kind_systems[i]);
            return true;
        }
    }
    char name[64];

    snprintf(name, sizeof(name), "%.*s", STR_ARG(kind));
    const char *near = str_nearest(name, kind_names, N_FAULT_KINDS);

    return error_set(err, ERROR_CONFIG, "fault %s: there is no such kind%s%s", name,
                     near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

static bool system_is_known(const char *system)
{
    for (int i = 0; i < N_FAULT_KINDS; i++) {
        if (strcmp(kind_systems[i], system) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_fault(struct faults *faults, const struct fault *fault, struct error *err)
{
    if (!system_is_known(fault->system)) {
        return error_set(err, ERROR_CONFIG, "fault option system=%s: there is no such system",
                         fault->system);
    }
    MUTEX_GUARD(&faults->lock);
    /* Those used up make room. */
    int kept = 0;

    for (int i = 0; i < faults->n; i++) {
        if (faults->items[i].count != 0) {
            faults->items[kept++] = faults->items[i];
        }
    }
    faults->n = kept;
    if (faults->n == FAULTS_MAX) {
        return error_set(err, ERROR_LIMIT, "at most %d faults at once: clear some first",
                         FAULTS_MAX);
    }
    faults->items[faults->n++] = *fault;
    return true;
}

bool faults_add_spec(struct faults *faults, const char *spec, struct error *err)
{
    struct str rest = str_from(spec);
    struct str kind = str_cut(&rest, ':');
    struct fault fault;

    if (!start_fault(&fault, kind, err)) {
        return false;
    }
    while (rest.ptr != NULL && rest.len > 0) {
        struct str value = str_cut(&rest, ',');
        struct str key = str_cut(&value, '=');

        if (!set_option(&fault, key, value, err)) {
            return error_wrap(err, "%s", spec);
        }
    }
    return add_fault(faults, &fault, err);
}

bool faults_add_json(struct faults *faults, const struct json *object, struct error *err)
{
    const char *kind = json_find_string(object, "kind");
    struct fault fault;

    if (kind == NULL) {
        return error_set(err, ERROR_DATA, "fault: needs a \"kind\"");
    }
    if (!start_fault(&fault, str_from(kind), err)) {
        return false;
    }
    for (size_t i = 0; i < json_size(object); i++) {
        const struct json *member = json_at(object, i);
        const char *name = json_name_at(object, i);
        struct buf text CLEANUP(buf_release) = {0};

        buf_init(&text, 4096);
        if (strcmp(name, "kind") == 0) {
            continue;
        }
        if (json_string(member) != NULL) {
            buf_add_c(&text, json_string(member));
        } else {
            json_write(member, &text);
        }
        if (!set_option(&fault, str_from(name), buf_str(&text), err)) {
            return false;
        }
    }
    return add_fault(faults, &fault, err);
}

void faults_clear(struct faults *faults, const char *kind)
{
    MUTEX_GUARD(&faults->lock);
    int kept = 0;

    for (int i = 0; kind != NULL && i < faults->n; i++) {
        if (strcmp(kind_names[faults->items[i].kind], kind) != 0) {
            faults->items[kept++] = faults->items[i];
        }
    }
    faults->n = kept;
}

void faults_write(struct faults *faults, struct buf *out)
{
    MUTEX_GUARD(&faults->lock);
    bool first = true;

    buf_add_char(out, '[');
    for (int i = 0; i < faults->n; i++) {
        const struct fault *fault = &faults->items[i];

        if (fault->count == 0) {
            continue;
        }
        buf_addf(out,
                 "%s{\"kind\":\"%s\",\"count\":%lld,\"after\":%lld,\"struck\":%lld,\"system\":",
                 first ? "" : ",", kind_names[fault->kind], (long long)fault->count,
                 (long long)fault->after, (long long)fault->struck);
        buf_add_json_string(out, str_from(fault->system));
        buf_add_c(out, ",\"table\":");
        buf_add_json_string(out, str_from(fault->table));
        buf_add_char(out, '}');
        first = false;
    }
    buf_add_char(out, ']');
}

/* Logging in works unless a fault is about just that. */
static bool route_matches(const struct fault *fault, const char *route)
{
    if (fault->route[0] != '\0') {
        return strcmp(fault->route, route) == 0 || strcmp(fault->route, "any") == 0;
    }
    return (strcmp(route, "oauth") != 0 && strcmp(route, "session") != 0) ||
           fault->kind == FAULT_oauth_refuse || fault->kind == FAULT_oauth_short_life;
}

static bool strikes(struct faults *faults, struct fault *fault, const struct fault_target *target)
{
    struct str needle = str_from(fault->match);

    /* These bend changes to the data, not answers. */
    if (fault->kind == FAULT_late_visible || fault->kind == FAULT_silent_update ||
        fault->kind == FAULT_no_audit_delete) {
        return false;
    }
    if (fault->count == 0 || strcmp(fault->system, target->system) != 0 ||
        !route_matches(fault, target->route) ||
        target->rows <= fault->over - (fault->over == 0 ? 1 : 0) ||
        (fault->table[0] != '\0' && !str_equal_c(target->table, fault->table)) ||
        (needle.len > 0 && (target->query.len == 0 || memmem(target->query.ptr, target->query.len,
                                                             needle.ptr, needle.len) == NULL))) {
        return false;
    }
    if (fault->after > 0) {
        fault->after--;
        return false;
    }
    if (fault->probability < 1.0 &&
        (double)random_below(&faults->random, 1000000) >= fault->probability * 1e6) {
        return false;
    }
    return true;
}

void faults_draw(struct faults *faults, const struct fault_target *target, struct drawn *ret_drawn)
{
    MUTEX_GUARD(&faults->lock);
    ret_drawn->n = 0;
    for (int i = 0; i < faults->n; i++) {
        struct fault *fault = &faults->items[i];

        if (!strikes(faults, fault, target)) {
            continue;
        }
        fault->struck++;
        fault->count -= fault->count > 0 ? 1 : 0;
        ret_drawn->items[ret_drawn->n++] = *fault;
    }
}

void faults_peek(struct faults *faults,
                 enum fault_kind kind,
                 const struct fault_target *target,
                 struct drawn *ret_drawn)
{
    MUTEX_GUARD(&faults->lock);
    ret_drawn->n = 0;
    for (int i = 0; i < faults->n; i++) {
        const struct fault *fault = &faults->items[i];

        if (fault->kind == kind && fault->count != 0 &&
            strcmp(fault->system, target->system) == 0 &&
            (fault->table[0] == '\0' || str_equal_c(target->table, fault->table))) {
            ret_drawn->items[ret_drawn->n++] = *fault;
        }
    }
}

const struct fault *drawn_find(const struct drawn *drawn, enum fault_kind kind)
{
    for (int i = 0; i < drawn->n; i++) {
        if (drawn->items[i].kind == kind) {
            return &drawn->items[i];
        }
    }
    return NULL;
}

bool fault_mode_is(const struct fault *fault, const char *mode)
{
    return strcmp(fault->mode, mode) == 0;
}

bool fault_names(const char *list, struct str name)
{
    struct str rest = str_from(list);

    if (str_equal_c(rest, "*")) {
        return true;
    }
    while (rest.ptr != NULL) {
        if (str_equal(str_cut(&rest, ';'), name)) {
            return true;
        }
    }
    return false;
}
