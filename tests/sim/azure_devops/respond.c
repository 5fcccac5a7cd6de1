#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/system.h"
#include "tests/sim/gzip.h"
#include "tests/sim/store.h"

const struct fault *azure_struck(const struct azure_call *call, enum fault_kind kind)
{
    return drawn_find(&call->drawn, kind);
}

static void add_throttle_headers(struct azure_call *call)
{
    const struct fault *fault = azure_struck(call, FAULT_retry_after_200);
    int64_t reset_s = call->now_us / US_PER_S + 260;

    if (fault == NULL) {
        return;
    }
    reply_header(call->reply, "Retry-After", "%lld",
                 (long long)(fault->seconds > 0 ? fault->seconds : 3));
    reply_header(call->reply, "X-RateLimit-Resource", "Core/Work Item Tracking");
    reply_header(call->reply, "X-RateLimit-Delay", "4.123");
    reply_header(call->reply, "X-RateLimit-Limit", "200");
    reply_header(call->reply, "X-RateLimit-Remaining", "0");
    reply_header(call->reply, "X-RateLimit-Reset", "%lld", (long long)reset_s);
}

void azure_headers(struct azure_call *call)
{
    struct reply *reply = call->reply;
    const struct fault *skew = azure_struck(call, FAULT_clock_skew);
    int64_t shown_us = call->now_us + (skew != NULL ? (int64_t)skew->seconds * US_PER_S : 0);
    const char *session = request_header(call->request, "X-TFS-Session");
    char date[INSTANT_TEXT_MAX];
    char iso[INSTANT_TEXT_MAX];
    char activity[AZURE_GUID];
    char process[AZURE_GUID];
    uint64_t ref = store_mix(call->number, 77);

    azure_guid(call->azure->world.seed, "activity", call->number, activity);
    azure_guid(call->azure->world.seed, "process", 0, process);
    reply_header(reply, "Date", "%s", instant_format_http_date(shown_us, date));
    reply_header(reply, "X-TFS-ProcessId", "%s", process);
    reply_header(reply, "ActivityId", "%s", activity);
    reply_header(reply, "X-TFS-Session", "%s", session != NULL ? session : activity);
    reply_header(reply, "X-VSS-E2EID", "%s", activity);
    reply_header(reply, "X-VSS-SenderDeploymentId", "%s", call->azure->world.instance_id);
    if (call->account != NULL) {
        const struct azure_person *person = &call->azure->world.people[call->account->person];

        reply_header(reply, "X-VSS-UserData", "%s:%s", person->vsid, person->unique);
    }
    reply_header(reply, "X-Cache", "CONFIG_NOCACHE");
    reply_header(reply, "X-MSEdge-Ref", "Ref A: %016llX%016llX Ref B: SIM000000000001 Ref C: %s",
                 (unsigned long long)ref, (unsigned long long)store_mix(ref, 1),
                 instant_format_rfc3339(shown_us / US_PER_S * US_PER_S, iso));
}

void azure_json(struct azure_call *call, int status)
{
    const struct fault *type = azure_struck(call, FAULT_wrong_content_type);
    struct reply *reply = call->reply;

    reply->status = status;
    reply_header(reply, "Cache-Control", "no-cache");
    reply_header(reply, "Pragma", "no-cache");
    reply_header(reply, "Expires", "-1");
    reply_header(reply, "Vary", "Accept-Encoding");
    if (type != NULL) {
        reply_header(reply, "Content-Type", "%s",
                     type->value[0] != '\0' ? type->value : "text/plain; charset=utf-8");
    } else if (status == 200) {
        reply_header(reply, "Content-Type", "application/json; charset=utf-8; api-version=%s",
                     call->version);
        add_throttle_headers(call);
    } else {
        reply_header(reply, "Content-Type", "application/json; charset=utf-8");
    }
    azure_headers(call);
}

static const char *type_namespace(const char *type_key)
{
    return strncmp(type_key, "WorkItem", 8) == 0
               ? "Microsoft.TeamFoundation.WorkItemTracking.Server"
           : strncmp(type_key, "Project", 7) == 0 ? "Microsoft.TeamFoundation.Core.WebApi"
           : strncmp(type_key, "Vss", 3) == 0     ? "Microsoft.VisualStudio.Services.Common"
                                                  : "Microsoft.TeamFoundation.Framework.Server";
}

void azure_error(struct azure_call *call, int status, const char *type_key, const char *format, ...)
{
    struct buf message CLEANUP(buf_release) = {0};
    struct buf *body = &call->reply->body;
    const char *space = type_namespace(type_key);
    va_list args;

    buf_init(&message, 65536);
    va_start(args, format);
    buf_addv(&message, format, args);
    va_end(args);
    buf_reset(body);
    buf_add_c(body, "{\"$id\":\"1\",\"innerException\":null,\"message\":");
    buf_add_json_string(body, buf_str(&message));
    buf_addf(body, ",\"typeName\":\"%s.%s, %s\",\"typeKey\":\"%s\",\"errorCode\":0,\"eventId\":%d}",
             space, type_key, space, type_key, strncmp(type_key, "WorkItem", 8) == 0 ? 3200 : 3000);
    azure_json(call, status);
}

void azure_bad_input(struct azure_call *call, int status, const char *format, ...)
{
    struct buf message CLEANUP(buf_release) = {0};
    struct buf *body = &call->reply->body;
    va_list args;

    buf_init(&message, 65536);
    va_start(args, format);
    buf_addv(&message, format, args);
    va_end(args);
    buf_reset(body);
    buf_add_c(body, "{\"count\":1,\"value\":{\"Message\":");
    buf_add_json_string(body, buf_str(&message));
    buf_add_c(body, "}}");
    azure_json(call, status);
}

void azure_html(struct azure_call *call, int status, const char *title)
{
    buf_reset(&call->reply->body);
    buf_addf(&call->reply->body,
             "<!DOCTYPE html>\r\n<html "
             "lang=\"en-US\"><head><title>%s</title></head>\r\n<body><h1>%s</h1></body></html>\r\n",
             title, title);
    call->reply->status = status;
    reply_header(call->reply, "Content-Type", "text/html; charset=utf-8");
    azure_headers(call);
}

void azure_not_found(struct azure_call *call)
{
    struct buf *body = &call->reply->body;
    struct buf escaped CLEANUP(buf_release) = {0};

    buf_reset(body);
    buf_addf(body, "The controller for path '%s' was not found or does not implement IController.",
             call->path_text);
    buf_init(&escaped, 65536);
    buf_add_percent(&escaped, buf_str(body), "");
    reply_header(call->reply, "X-TFS-ServiceError", "%s", escaped.ptr);
    reply_header(call->reply, "Content-Type", "text/plain; charset=utf-8");
    call->reply->status = 404;
    azure_headers(call);
}

static void put_bom(struct buf *body)
{
    struct buf with;

    buf_init(&with, body->limit);
    buf_add(&with, "\xEF\xBB\xBF", 3);
    buf_add_str(&with, buf_str(body));
    buf_release(body);
    *body = with;
}

void azure_finish(struct azure_call *call)
{
    struct reply *reply = call->reply;
    const struct fault *fault;
    const char *accepted = request_header(call->request, "Accept-Encoding");

    if (azure_struck(call, FAULT_bom) != NULL && reply->body.len > 0) {
        put_bom(&reply->body);
    }
    if ((fault = azure_struck(call, FAULT_partial_array)) != NULL) {
        buf_truncate(&reply->body, (size_t)((double)reply->body.len * fault->share));
    }
    if ((fault = azure_struck(call, FAULT_gzip_bomb)) != NULL) {
        gzip_bomb(&reply->body, fault->rate > 0 ? fault->rate : 256);
        reply_header(reply, "Content-Encoding", "gzip");
    } else if (accepted != NULL && strstr(accepted, "gzip") != NULL && reply->body.len > 0) {
        gzip_replace(&reply->body);
        reply_header(reply, "Content-Encoding", "gzip");
    }
    if ((fault = azure_struck(call, FAULT_cut_chunk)) != NULL) {
        reply->cut_after_bytes = (int64_t)((double)reply->body.len * fault->share);
    }
    if ((fault = azure_struck(call, FAULT_slow_drip)) != NULL) {
        reply->bytes_per_second = fault->rate > 0 ? fault->rate : 100;
    }
}
