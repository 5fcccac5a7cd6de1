#include "api/http/server_answers.h"

#include <assert.h>
#include <string.h>

#include "common/base/alloc.h"

/* Answers of up to this size are kept ready for the next who is told the same. */
#define SHARED_BODY_MAX (128UL * 1024)

static void add_headers(struct MHD_Response *answer, const struct response *response, bool is_own)
{
    for (size_t i = 0; i < response->n_headers; i++) {
        const struct response_header *header = &response->headers[i];
        if (header->is_own == is_own) {
            (void)MHD_add_response_header(answer, header->name, header->value);
        }
    }
}

static struct MHD_Response *
new_answer(const struct response *response, char *body, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *answer = MHD_create_response_from_buffer(response->body.len, body, mode);
    if (answer == NULL) {
        return NULL;
    }
    if (response->content_type != NULL) {
        (void)MHD_add_response_header(answer, "Content-Type", response->content_type);
    }
    add_headers(answer, response, false);
    (void)MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    return answer;
}

static bool is_of_origin(const struct shared_answer *shared, struct response_origin origin)
{
    return shared->answer != NULL && origin.id != 0 && shared->origin.id == origin.id &&
           shared->origin.variant == origin.variant;
}

bool answers_have_body(const struct answers *answers,
                       struct response_origin origin,
                       size_t *ret_len)
{
    for (size_t i = 0; i < SHARED_ANSWERS; i++) {
        if (is_of_origin(&answers->shared[i], origin)) {
            *ret_len = answers->shared[i].body_len;
            return true;
        }
    }
    return false;
}

static bool is_same(const struct shared_answer *shared, const struct response *response)
{
    if (!is_of_origin(shared, response->origin) || shared->status != response->status ||
        shared->content_type != response->content_type) {
        return false;
    }
    size_t n_headers = 0;
    for (size_t i = 0; i < response->n_headers; i++) {
        const struct response_header *header = &response->headers[i];
        if (header->is_own) {
            continue;
        }
        if (n_headers == shared->n_headers || strcmp(shared->names[n_headers], header->name) != 0 ||
            strcmp(shared->values[n_headers], header->value) != 0) {
            return false;
        }
        n_headers++;
    }
    return n_headers == shared->n_headers;
}

static void release_shared(struct shared_answer *shared)
{
    if (shared->answer == NULL) {
        return;
    }
    for (size_t i = 0; i < shared->n_headers; i++) {
        xfree(shared->values[i]);
    }
    xfree(shared->names);
    xfree(shared->values);
    MHD_destroy_response(shared->answer); /* whoever is still being sent it holds it */
    *shared = (struct shared_answer){0};
}

static bool make_shared(struct shared_answer *shared, const struct response *response)
{
    release_shared(shared);
    char *body = xstrndup(response->body.ptr, response->body.len);
    shared->answer = new_answer(response, body, MHD_RESPMEM_MUST_FREE);
    if (shared->answer == NULL) {
        xfree(body);
        return false;
    }
    shared->origin = response->origin;
    shared->status = response->status;
    shared->content_type = response->content_type;
    shared->body = body;
    shared->body_len = response->body.len;
    shared->names = xcalloc(response->n_headers + 1, sizeof(*shared->names));
    shared->values = xcalloc(response->n_headers + 1, sizeof(*shared->values));
    for (size_t i = 0; i < response->n_headers; i++) {
        if (!response->headers[i].is_own) {
            shared->names[shared->n_headers] = response->headers[i].name;
            shared->values[shared->n_headers++] = xstrdup(response->headers[i].value);
        }
    }
    return true;
}

/* The library copies headers into the connection before the callback's caller returns, so the last
 * request's own can be taken off when the next one comes: all on this thread. */
static void replace_own_headers(struct shared_answer *shared, const struct response *response)
{
    for (size_t i = 0; i < shared->n_own; i++) {
        const char *value = MHD_get_response_header(shared->answer, shared->own_names[i]);
        if (value != NULL) {
            (void)MHD_del_response_header(shared->answer, shared->own_names[i], value);
        }
    }
    shared->n_own = 0;
    for (size_t i = 0; i < response->n_headers; i++) {
        if (response->headers[i].is_own) {
            shared->own_names[shared->n_own++] = response->headers[i].name;
        }
    }
    add_headers(shared->answer, response, true);
}

/* The handler left the body out, yet this answer needs one of its own. */
static void restore_body(const struct answers *answers, struct response *response)
{
    for (size_t i = 0; i < SHARED_ANSWERS && response->left_out_bytes > 0; i++) {
        const struct shared_answer *shared = &answers->shared[i];
        if (is_of_origin(shared, response->origin)) {
            buf_add(&response->body, shared->body, shared->body_len);
            response->left_out_bytes = 0;
        }
    }
    assert(response->left_out_bytes == 0);
}

/* The object that all who are told the same are sent; NULL if there is none to be. */
static struct MHD_Response *share_answer(struct answers *answers, struct response *response)
{
    struct shared_answer *found = NULL;
    for (size_t i = 0; i < SHARED_ANSWERS && found == NULL; i++) {
        found = is_same(&answers->shared[i], response) ? &answers->shared[i] : NULL;
    }
    if (found == NULL) {
        restore_body(answers, response);
        found = &answers->shared[answers->next++ % SHARED_ANSWERS];
        if (!make_shared(found, response)) {
            return NULL;
        }
    }
    replace_own_headers(found, response);
    return found->answer;
}

enum MHD_Result answers_queue(struct answers *answers,
                              struct MHD_Connection *connection,
                              struct response *response,
                              bool is_last)
{
    bool may_be_shared =
        !is_last && response->origin.id != 0 && response->body.len <= SHARED_BODY_MAX;
    struct MHD_Response *shared = may_be_shared ? share_answer(answers, response) : NULL;
    if (shared != NULL) {
        return MHD_queue_response(connection, (unsigned)response->status, shared);
    }
    restore_body(answers, response);
    /* The body belongs to the exchange, which lives until on_completed. */
    struct MHD_Response *answer = new_answer(response, response->body.ptr, MHD_RESPMEM_PERSISTENT);
    if (answer == NULL) {
        return MHD_NO;
    }
    add_headers(answer, response, true);
    if (is_last) {
        (void)MHD_add_response_header(answer, "Connection", "close");
    }
    enum MHD_Result result = MHD_queue_response(connection, (unsigned)response->status, answer);
    MHD_destroy_response(answer);
    return result;
}

void answers_release(struct answers *answers)
{
    for (size_t i = 0; i < SHARED_ANSWERS; i++) {
        release_shared(&answers->shared[i]);
    }
}
