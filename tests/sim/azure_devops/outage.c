#include <string.h>

#include "common/base/clock.h"
#include "common/base/instant.h"
#include "tests/sim/azure_devops/system.h"

/* Answers of a service that is not there, does not want to, or wants to know who asks. */

static const char expired_text[] =
    "Access%20Denied%3A%20The%20Personal%20Access%20Token%20used%20has%20expired.";

static void refuse_plainly(struct azure_call *call, bool expired)
{
    buf_reset(&call->reply->body);
    call->reply->status = 401;
    reply_header(
        call->reply, "WWW-Authenticate",
        "Bearer authorization_uri=https://login.windows.net/72f988bf-86f1-41af-91ab-2d7cd011db47");
    reply_header(call->reply, "WWW-Authenticate",
                 "Basic realm=\"https://tfsprodsin1.app.visualstudio.com/\"");
    if (expired) {
        reply_header(call->reply, "X-TFS-ServiceError", "%s", expired_text);
    }
    azure_headers(call);
}

/* mode "": as the request's headers ask; "html", "redirect", "json", "empty". */
void azure_sign_in(struct azure_call *call, const char *mode, bool expired)
{
    const char *suppress = request_header(call->request, "X-TFS-FedAuthRedirect");
    bool suppressed = suppress != NULL && strcmp(suppress, "Suppress") == 0;
    bool anonymous = request_header(call->request, "Authorization") == NULL;

    call->account = NULL;
    if (strcmp(mode, "json") == 0) {
        azure_error(call, 401, "UnauthorizedRequestException",
                    "TF400813: The user '' is not authorized to access this resource.");
    } else if (strcmp(mode, "redirect") == 0 || (mode[0] == '\0' && !suppressed && anonymous)) {
        reply_header(call->reply, "Location",
                     "https://spsprodcus1.vssps.visualstudio.invalid/"
                     "_signin?realm=dev.azure.com&reply_to=%s&redirect=1",
                     call->azure->world.origin);
        reply_header(call->reply, "X-TFS-FedAuthRealm",
                     "https://tfsprodsin1.app.visualstudio.com/");
        azure_html(call, 302, "Object moved");
    } else if (strcmp(mode, "html") == 0 || (mode[0] == '\0' && !suppressed)) {
        azure_html(call, 203, "Azure DevOps Services | Sign In");
    } else {
        refuse_plainly(call, expired);
    }
}

static void throttle(struct azure_call *call, const struct fault *fault)
{
    int64_t seconds = fault->seconds > 0 ? (int64_t)fault->seconds : 27;
    char date[INSTANT_TEXT_MAX];

    if (!fault_mode_is(fault, "none") && !fault_mode_is(fault, "html")) {
        if (fault_mode_is(fault, "date")) {
            reply_header(call->reply, "Retry-After", "%s",
                         instant_format_http_date(call->now_us + seconds * US_PER_S, date));
        } else {
            reply_header(call->reply, "Retry-After", "%lld", (long long)seconds);
        }
        reply_header(call->reply, "X-RateLimit-Resource", "Core/Work Item Tracking");
        reply_header(call->reply, "X-RateLimit-Delay", "4.123");
        reply_header(call->reply, "X-RateLimit-Limit", "200");
        reply_header(call->reply, "X-RateLimit-Remaining", "0");
        reply_header(call->reply, "X-RateLimit-Reset", "%lld",
                     (long long)(call->now_us / US_PER_S + seconds));
    }
    if (fault_mode_is(fault, "html")) {
        azure_html(call, 429, "Too Many Requests");
        return;
    }
    azure_error(call, fault_mode_is(fault, "403") ? 403 : 429, "RequestBlockedException",
                "TF400733: The request has been canceled: Request was blocked due to exceeding "
                "usage of resource "
                "Concurrency in namespace User ID.");
}

static void stop_organisation(struct azure_call *call)
{
    static const char body[] =
        "\xEF\xBB\xBF{\"$id\":\"1\",\"innerException\":null,\"message\":\"TF24668: The following "
        "team project collection is stopped: "
        "Fabrikam. Start the collection and then try again. Administrator Reason: This Azure "
        "DevOps organization has been deactivated due to inactivity. "
        "For more information please visit "
        "aka.ms/"
        "adofootprintreduction\",\"typeName\":\"Microsoft.VisualStudio.Services.Common."
        "VssServiceException, "
        "Microsoft.VisualStudio.Services.Common\",\"typeKey\":\"VssServiceException\","
        "\"errorCode\":0,\"eventId\":3000}";

    buf_reset(&call->reply->body);
    buf_add_c(&call->reply->body, body);
    call->reply->status = 503;
    call->account = NULL;
    reply_header(call->reply, "Content-Type", "application/json");
    reply_header(call->reply, "X-TFS-ServiceError",
                 "TF24668%%3A%%20The%%20following%%20team%%20project%%20collection%%20is%%"
                 "20stopped%%3A%%20Fabrikam.");
    azure_headers(call);
}

static bool answer_status(struct azure_call *call)
{
    static const struct {
        enum fault_kind kind;
        int status;
        const char *title; /* of an HTML page, or NULL */
        const char *type_key, *message;
    } answers[] = {
        {FAULT_html_200, 200, "Azure DevOps Services | Maintenance", NULL, NULL},
        {FAULT_bad_gateway_502, 502, "502 - Web server received an invalid response", NULL, NULL},
        {FAULT_unavailable_503, 503, "Our services aren't available right now", NULL, NULL},
        {FAULT_gateway_timeout_504, 504, "504 Gateway Time-out", NULL, NULL},
        {FAULT_error_500, 500, NULL, "VssServiceException",
         "TF400898: An Internal Error Occurred. Activity Id: "
         "00000000-0000-4000-8000-000000000000."},
        {FAULT_query_timeout, 400, NULL, "WorkItemTrackingQueryTimeoutException",
         "VS402335: The timeout period (30 seconds) elapsed prior to completion of the query or "
         "the server is not responding."},
        {FAULT_server_busy, 400, NULL, "WorkItemTrackingServerBusyException",
         "VS402491: The server is busy. Try again later."},
        {FAULT_not_found_404, 404, NULL, "ProjectDoesNotExistWithNameException", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        const struct fault *fault = azure_struck(call, answers[i].kind);

        if (fault == NULL) {
            continue;
        }
        if (fault->seconds > 0 && answers[i].status == 503) {
            reply_header(call->reply, "Retry-After", "%lld", (long long)fault->seconds);
        }
        if (answers[i].title != NULL) {
            azure_html(call, answers[i].status, answers[i].title);
        } else if (answers[i].status == 404) {
            azure_error(call, 404, answers[i].type_key,
                        "TF200016: The following project does not exist: %.*s. Verify that the "
                        "name of the project is correct and that the project exists on the "
                        "specified Azure DevOps Server.",
                        STR_ARG(call->project_name));
        } else {
            azure_error(call, answers[i].status, answers[i].type_key, "%s", answers[i].message);
        }
        return true;
    }
    return false;
}

bool azure_outage(struct azure_call *call)
{
    const struct fault *fault;

    if (azure_struck(call, FAULT_hang) != NULL) {
        call->reply->never = true;
        return true;
    }
    if ((fault = azure_struck(call, FAULT_delay)) != NULL) {
        call->reply->wait_us = (int64_t)(fault->seconds * 1e6);
    }
    if (azure_struck(call, FAULT_org_stopped_503) != NULL) {
        stop_organisation(call);
        return true;
    }
    if ((fault = azure_struck(call, FAULT_rate_429)) != NULL) {
        throttle(call, fault);
        return true;
    }
    if ((fault = azure_struck(call, FAULT_pat_expired)) != NULL) {
        azure_sign_in(call, fault->mode, true);
        return true;
    }
    if (azure_struck(call, FAULT_unauthorized_401) != NULL) {
        azure_sign_in(call, "empty", false);
        return true;
    }
    if (azure_struck(call, FAULT_sso_redirect) != NULL) {
        azure_sign_in(call, "redirect", false);
        return true;
    }
    if (azure_struck(call, FAULT_forbidden_403) != NULL) {
        azure_error(call, 403, "AccessCheckException",
                    "Access Denied: Foz Sync needs the following permission(s) to perform this "
                    "action: View instance-level information");
        return true;
    }
    return answer_status(call);
}
