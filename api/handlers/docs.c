#include "api/handlers/docs.h"

#include <string.h>

#include "api/handlers/call.h"
#include "api/http/asset.h"

/* It loads nothing but its own parts and the document, and nobody may frame it. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static const struct {
    const char *pattern;
    const char *asset;
    const char *content_type;
} parts[] = {
    {"/docs", "docs.html", "text/html; charset=utf-8"},
    {"/docs/docs.js", "docs.js", "text/javascript; charset=utf-8"},
    {"/docs/docs.css", "docs.css", "text/css; charset=utf-8"},
};

void docs_answer(struct call *call)
{
    size_t part = 0;
    while (part + 1 < ARRAY_SIZE(parts) &&
           strcmp(parts[part].pattern, call->match.route->pattern) != 0) {
        part++;
    }
    struct str text = asset_text(parts[part].asset);
    buf_add_str(&call->response->body, text);
    call->response->content_type = parts[part].content_type;
    response_header(call->response, call->request, "Content-Security-Policy", "%s", POLICY);
    response_header(call->response, call->request, "Referrer-Policy", "no-referrer");
    char digest[RESPONSE_ETAG_MAX];
    response_digest(text, digest);
    (void)response_validate(call->response, call->request, str_from(digest),
                            call->match.route->ttl_s);
}
