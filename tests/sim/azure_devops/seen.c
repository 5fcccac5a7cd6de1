#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/azure_devops/system.h"

enum { SEEN_MAX = 4096, BODY_MAX = 65536 };

/* A request as it came; secrets are left out. */
struct seen_request {
    uint64_t number;
    char *line; /* a JSON object; NULL: slot unused */
};

struct azure_seen {
    struct mutex lock;
    struct seen_request ring[SEEN_MAX]; /* guarded by lock */
    uint64_t n;                         /* guarded by lock */
};

struct azure_seen *azure_seen_new(void)
{
    struct azure_seen *seen = XNEW(struct azure_seen);

    mutex_init(&seen->lock);
    return seen;
}

void azure_seen_clear(struct azure_seen *seen)
{
    MUTEX_GUARD(&seen->lock);
    for (int i = 0; i < SEEN_MAX; i++) {
        xfree(seen->ring[i].line);
        seen->ring[i].line = NULL;
    }
    seen->n = 0;
}

void azure_seen_free(struct azure_seen *seen)
{
    azure_seen_clear(seen);
    mutex_release(&seen->lock);
    xfree(seen);
}

static void add_header(const struct request *request, const char *name, struct buf *out)
{
    const char *value = request_header(request, name);

    buf_addf(out, ",\"%s\":", name);
    if (value == NULL) {
        buf_add_c(out, "null");
    } else if (strcmp(name, "Authorization") == 0) {
        buf_add_json_string(out, (struct str){value, strcspn(value, " ")});
    } else {
        buf_add_json_string(out, str_from(value));
    }
}

void azure_seen_add(struct azure_seen *seen, const struct azure_call *call)
{
    const struct request *request = call->request;
    struct buf line;
    struct str body = request->body;

    body.len = body.len < BODY_MAX ? body.len : BODY_MAX;
    buf_init(&line, 1 << 20);
    buf_addf(&line, "{\"n\":%llu,\"method\":\"%s\",\"url\":", (unsigned long long)call->number,
             request->method);
    buf_add_json_string(&line, str_from(request->uri));
    buf_add_c(&line, ",\"route\":");
    buf_add_json_string(&line, str_from(call->route));
    buf_add_c(&line, ",\"headers\":{\"seen\":true");
    add_header(request, "Accept", &line);
    add_header(request, "Accept-Encoding", &line);
    add_header(request, "Authorization", &line);
    add_header(request, "Content-Type", &line);
    add_header(request, "User-Agent", &line);
    add_header(request, "X-TFS-FedAuthRedirect", &line);
    buf_add_c(&line, "},\"body\":");
    if (body.len > 0) {
        buf_add_json_string(&line, body);
    } else {
        buf_add_c(&line, "null");
    }
    buf_add_c(&line, "}\n");
    MUTEX_GUARD(&seen->lock);
    struct seen_request *slot = &seen->ring[seen->n++ % SEEN_MAX];

    xfree(slot->line);
    slot->number = call->number;
    slot->line = buf_take(&line);
}

void azure_seen_write(struct azure_seen *seen, struct buf *out)
{
    MUTEX_GUARD(&seen->lock);
    uint64_t first = seen->n > SEEN_MAX ? seen->n - SEEN_MAX : 0;

    for (uint64_t i = first; i < seen->n; i++) {
        buf_add_c(out, seen->ring[i % SEEN_MAX].line);
    }
}
