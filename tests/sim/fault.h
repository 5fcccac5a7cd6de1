#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/thread.h"
#include "common/io/json.h"

/*
 * What is wrong with a simulated source right now. A fault is a kind, limits on which requests it
 * strikes, and parameters; docs/SIMULATOR.md lists the kinds. For each request the faults that
 * strike it are drawn once (fault_draw), which uses up their counts.
 */

enum fault_kind {

#define FAULT(name, system) FAULT_##name,
#include "tests/sim/faults.def"
#undef FAULT
    N_FAULT_KINDS
};

enum { FAULTS_MAX = 64, FAULT_TEXT_MAX = 256 };

struct fault {
    enum fault_kind kind;
    int64_t count; /* requests it still strikes; -1: all */
    int64_t after; /* requests it lets pass first */
    double probability;
    char system[16]; /* of its kind, unless another one was named */
    char route[16];  /* "table", "stats", "oauth"; "any"; "": all but oauth and session */
    char table[64];  /* "": any */
    char match[FAULT_TEXT_MAX]; /* only requests whose decoded query string holds this */
    char field[FAULT_TEXT_MAX]; /* one name, or several joined by ';' */
    char value[FAULT_TEXT_MAX];
    char mode[32];
    double seconds;
    int64_t over;  /* only requests for more rows than this */
    int64_t every; /* every n-th row */
    int64_t rate;  /* bytes per second; megabytes for gzip_bomb */
    double share;
    int64_t struck; /* so far */
};

struct faults {
    struct mutex lock;
    struct fault items[FAULTS_MAX]; /* guarded by lock */
    int n;                          /* guarded by lock */
    uint64_t random;                /* guarded by lock */
};

/* The faults that strike one request: at most one of a kind, but for bad_value. */
struct drawn {
    struct fault items[FAULTS_MAX];
    int n;
};

struct fault_target {
    const char *system;
    const char *route;
    struct str table;
    struct str query; /* decoded */
    int64_t rows;     /* asked for */
};

void faults_init(struct faults *faults, uint64_t seed);
void faults_release(struct faults *faults);

/* "rate_429:count=3,seconds=2,table=incident" */
bool faults_add_spec(struct faults *faults, const char *spec, struct error *err);
/* {"kind":"rate_429","count":3} */
bool faults_add_json(struct faults *faults, const struct json *object, struct error *err);
void faults_clear(struct faults *faults, const char *kind); /* NULL: all */
void faults_write(struct faults *faults, struct buf *out);  /* a JSON array of those still open */

void faults_draw(struct faults *faults, const struct fault_target *target, struct drawn *ret_drawn);
/* Only faults of one kind, and without using them up. */
void faults_peek(struct faults *faults,
                 enum fault_kind kind,
                 const struct fault_target *target,
                 struct drawn *ret_drawn);
const struct fault *drawn_find(const struct drawn *drawn, enum fault_kind kind); /* or NULL */
bool fault_mode_is(const struct fault *fault, const char *mode);
/* `list` of names joined by ';' holds `name`, or is "*" */
bool fault_names(const char *list, struct str name);
