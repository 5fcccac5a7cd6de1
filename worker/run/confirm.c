#include "worker/run/confirm.h"

#include <string.h>

#include "common/base/alloc.h"
#include "worker/load/merge_count.h"
#include "worker/load/merge_fuse.h"
#include "worker/load/merge_keys.h"
#include "worker/run/scope.h"

#define KEYS_PER_REQUEST 200

struct key_list {
    struct arena *arena;
    struct str *keys;
    size_t n;
    size_t capacity;
    bool overflow;
};

static void add_key(void *arg, struct str key)
{
    struct key_list *list = arg;
    char *copy = arena_strndup(list->arena, key.ptr, key.len);
    if (copy == NULL) {
        list->overflow = true;
        return;
    }
    if (list->n == list->capacity) {
        list->capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        list->keys = xrealloc(list->keys, list->capacity * sizeof(*list->keys));
    }
    list->keys[list->n++] = (struct str){copy, key.len};
}

static bool cut_given(struct task_run *task,
                      const struct key_list *list,
                      const struct partition **ret_partitions,
                      size_t *ret_n,
                      struct error *err)
{
    size_t n = (list->n + KEYS_PER_REQUEST - 1) / KEYS_PER_REQUEST;
    struct str *keys = arena_alloc(&task->confirm_arena, (list->n + 1) * sizeof(*keys));
    struct partition *partitions =
        arena_zalloc(&task->confirm_arena, (n + 1) * sizeof(*partitions));
    if (list->overflow || keys == NULL || partitions == NULL) {
        return error_set(err, ERROR_LIMIT,
                         "more keys differ than fit in memory; run a full load instead");
    }
    if (list->n > 0) {
        memcpy(keys, list->keys, list->n * sizeof(*keys));
    }
    for (size_t i = 0; i < n; i++) {
        size_t left = list->n - i * KEYS_PER_REQUEST;
        partitions[i] =
            (struct partition){.kind = WALK_GIVEN,
                               .keys = keys + i * KEYS_PER_REQUEST,
                               .n_keys = left < KEYS_PER_REQUEST ? left : KEYS_PER_REQUEST};
    }
    *ret_partitions = partitions;
    *ret_n = n;
    task->asked_keys = (int64_t)list->n;
    return true;
}

/* A fuse that will blow anyway needs no confirmation of each key. */
static bool is_worth_asking(struct db *db,
                            const struct merge_request *request,
                            bool *ret_worth,
                            struct error *err)
{
    int64_t scope = 0;
    int64_t missing = 0;
    if (!merge_count_missing(db, request, &scope, &missing, err)) {
        return false;
    }
    *ret_worth = missing > 0 && !merge_fuse_blows(request, missing, scope);
    return true;
}

static bool list_missing(struct db *db,
                         const struct task_run *task,
                         const struct merge_request *request,
                         struct key_list *list,
                         struct error *err)
{
    /* A window's missing rows may only have left it; held ones stay, wherever they are. */
    bool is_waiting = task->plan.hold != NULL && !request->allow_mass_delete;
    bool worth = task->plan.kind == WALK_WINDOW && !is_waiting;
    if (!worth && (!task->plan.confirm_missing || !scope_is_whole(request))) {
        return true;
    }
    /* What the operator lets go may be out of the account's sight: each answer would say no more.
     */
    if (!worth && request->hold && request->allow_mass_delete) {
        return true;
    }
    bool is_same = false;
    if (!merge_settle_spans(db, request, &is_same, err)) {
        return false;
    }
    if (is_same) {
        return true;
    }
    if (!worth && !is_worth_asking(db, request, &worth, err)) {
        return false;
    }
    return !worth || merge_missing_keys(db, request, add_key, list, err);
}

bool confirm_keys(struct db *db,
                  struct board *board,
                  struct task_run *task,
                  const struct partition **ret_partitions,
                  size_t *ret_n,
                  struct error *err)
{
    *ret_n = 0;
    struct merge_request request = scope_of(board, task);
    if (task->is_confirming || task->staging == NULL ||
        (task->plan.kind != WALK_KEYS && request.deletes != MERGE_DELETE_MISSING)) {
        return true;
    }
    struct key_list list = {.arena = &task->confirm_arena};
    bool done =
        (task->plan.kind != WALK_KEYS || merge_differing_keys(db, &request, add_key, &list, err)) &&
        list_missing(db, task, &request, &list, err) &&
        cut_given(task, &list, ret_partitions, ret_n, err);
    xfree(list.keys);
    return done;
}
