#include <string.h>

#include "tests/sim/azure_devops/item_json.h"

/* Who one is and who there is: connectionData, graph, entitlements, profile, identities. */

enum { GRAPH_PAGE = 50, ENTITLEMENTS_PAGE = 100 };

#define TENANT "72f988bf-86f1-41af-91ab-2d7cd011db47"

static int64_t page_rows(const struct azure_call *call, int64_t rows)
{
    const struct fault *fault = azure_struck(call, FAULT_page_size);

    return fault != NULL && fault->rate > 0 ? fault->rate : rows;
}

static void write_connected(struct azure_call *call, const char *name)
{
    const struct azure_person *p = &call->azure->world.people[call->account->person];
    struct buf *out = &call->reply->body;

    if (call->account->anonymous) {
        buf_addf(
            out,
            "\"%s\":{\"id\":\"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\",\"descriptor\":"
            "\"System:PublicAccess;aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa\","
            "\"subjectDescriptor\":\"unauth.YWFhYWFhYWEtYWFhYS1hYWFhLWFhYWEtYWFhYWFhYWFhYWFh\","
            "\"providerDisplayName\":\"Anonymous\",\"isActive\":true,\"properties\":{},"
            "\"resourceVersion\":2,\"metaTypeId\":0}",
            name);
        return;
    }
    buf_addf(out,
             "\"%s\":{\"id\":\"%s\",\"descriptor\":"
             "\"Microsoft.IdentityModel.Claims.ClaimsIdentity;" TENANT "\\\\%s\","
             "\"subjectDescriptor\":\"%s\",\"providerDisplayName\":",
             name, p->vsid, p->unique, p->descriptor);
    buf_add_json_string(out, str_from(p->display));
    buf_add_c(out, ",\"customDisplayName\":");
    buf_add_json_string(out, str_from(p->display));
    buf_addf(out,
             ",\"isActive\":true,\"properties\":{\"Account\":{\"$type\":\"System.String\","
             "\"$value\":\"%s\"}},\"resourceVersion\":2,\"metaTypeId\":0}",
             p->unique);
}

static void answer_connection(struct azure_call *call)
{
    struct buf *out = &call->reply->body;
    char deployment[AZURE_GUID];

    azure_guid(call->azure->world.seed, "deployment", 0, deployment);
    buf_add_char(out, '{');
    write_connected(call, "authenticatedUser");
    buf_add_char(out, ',');
    write_connected(call, "authorizedUser");
    buf_addf(out,
             ",\"instanceId\":\"%s\",\"deploymentId\":\"%s\",\"deploymentType\":\"hosted\","
             "\"locationServiceData\":{\"serviceOwner\":\"00025394-6065-48ca-87d9-7f5672854ef7\","
             "\"defaultAccessMappingMoniker\":\"PublicAccessMapping\",\"lastChangeId\":424239147,"
             "\"lastChangeId64\":424239147}}",
             call->azure->world.instance_id, deployment);
    azure_json(call, 200);
}

static void write_graph_user(struct azure_call *call, const struct azure_person *p)
{
    const char *origin = call->azure->world.origin;
    struct buf *out = &call->reply->body;

    buf_addf(out, "{\"subjectKind\":\"%s\",\"metaType\":\"member\",\"directoryAlias\":",
             p->group ? "group" : "user");
    buf_add_json_string(out, (struct str){p->unique, strcspn(p->unique, "@")});
    buf_addf(out, ",\"domain\":\"" TENANT "\",\"principalName\":");
    buf_add_json_string(out, str_from(p->unique));
    buf_add_c(out, ",\"mailAddress\":");
    buf_add_json_string(out, str_from(p->mail));
    buf_addf(out, ",\"origin\":\"%s\",\"originId\":\"%s\",\"displayName\":",
             p->service || p->group                  ? "vsts"
             : strncmp(p->descriptor, "win", 3) == 0 ? "ad"
                                                     : "aad",
             p->origin_id);
    buf_add_json_string(out, str_from(p->display));
    buf_addf(out,
             ",\"_links\":{\"self\":{\"href\":\"%s/_graph/_apis/Graph/Users/"
             "%s\"},\"memberships\":{\"href\":\"%s/_graph/_apis/Graph/Memberships/%s\"},"
             "\"membershipState\":{\"href\":\"%s/_graph/_apis/Graph/MembershipStates/"
             "%s\"},\"storageKey\":{\"href\":\"%s/_graph/_apis/Graph/StorageKeys/%s\"},"
             "\"avatar\":{\"href\":\"%s/_apis/GraphProfile/MemberAvatars/%s\"}},\"url\":\"%s/"
             "_graph/_apis/Graph/Users/%s\",\"descriptor\":\"%s\"}",
             origin, p->descriptor, origin, p->descriptor, origin, p->descriptor, origin,
             p->descriptor, origin, p->descriptor, origin, p->descriptor, p->descriptor);
}

/* The people that are listed: groups are none. */
static bool is_listed(const struct azure_person *p)
{
    return !p->group;
}

static bool read_page_token(struct azure_call *call, int64_t *ret_first)
{
    *ret_first = 0;
    return azure_param_int(call, "continuationToken", 0, INT32_MAX, ret_first);
}

static void answer_graph_users(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    struct buf rows CLEANUP(buf_release) = {0};
    int64_t most = page_rows(call, GRAPH_PAGE);
    int64_t i;
    int64_t n = 0;

    if (!read_page_token(call, &i)) {
        return;
    }
    for (; i < world->n_people && n < most; i++) {
        if (is_listed(&world->people[i])) {
            buf_add_c(out, n++ > 0 ? "," : "");
            write_graph_user(call, &world->people[i]);
        }
    }
    buf_init(&rows, out->limit);
    buf_add_str(&rows, buf_str(out));
    buf_reset(out);
    buf_addf(out, "{\"count\":%lld,\"value\":[%s]}", (long long)n, rows.ptr);
    if (i < world->n_people) {
        reply_header(call->reply, "X-MS-ContinuationToken", "%lld", (long long)i);
    }
    azure_json(call, 200);
}

static void write_entitlement(struct azure_call *call, const struct azure_person *p)
{
    struct buf *out = &call->reply->body;

    buf_add_c(out, "{\"user\":");
    write_graph_user(call, p);
    buf_addf(
        out,
        ",\"extensions\":[],\"id\":\"%s\",\"accessLevel\":{\"licensingSource\":\"account\","
        "\"accountLicenseType\":\"express\",\"msdnLicenseType\":\"none\",\"gitHubLicenseType\":"
        "\"none\",\"licenseDisplayName\":\"Basic\",\"status\":\"%s\",\"statusMessage\":\"\","
        "\"assignmentSource\":\"unknown\"},\"lastAccessedDate\":\"",
        p->vsid, p->accessed_us == AZURE_NEVER ? "pending" : "active");
    if (p->accessed_us == AZURE_NEVER) {
        buf_add_c(out, "0001-01-01T00:00:00Z");
    } else {
        azure_write_time(p->accessed_us, 7, out);
    }
    buf_add_c(out, "\",\"dateCreated\":\"");
    azure_write_time(p->created_us, 0, out);
    buf_add_c(out, "\",\"projectEntitlements\":[],\"groupAssignments\":[]}");
}

static void answer_entitlements(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    int64_t most = page_rows(call, ENTITLEMENTS_PAGE);
    int64_t i;
    int64_t n = 0;
    int total = 0;

    if (!read_page_token(call, &i)) {
        return;
    }
    for (int p = 0; p < world->n_people; p++) {
        total += is_listed(&world->people[p]) ? 1 : 0;
    }
    buf_add_c(out, "{\"members\":[");
    for (; i < world->n_people && n < most; i++) {
        if (is_listed(&world->people[i])) {
            buf_add_c(out, n++ > 0 ? "," : "");
            write_entitlement(call, &world->people[i]);
        }
    }
    if (i < world->n_people) {
        buf_addf(out, "],\"continuationToken\":\"%lld\",\"totalCount\":%d,\"items\":[]}",
                 (long long)i, total);
    } else {
        buf_addf(out, "],\"continuationToken\":null,\"totalCount\":%d,\"items\":[]}", total);
    }
    azure_json(call, 200);
}

static void no_identity(struct azure_call *call, struct str name)
{
    azure_error(call, 404, "VssIdentityNotFoundException",
                "VS403283: Could not resolve identity %.*s.", STR_ARG(name));
}

/* storagekeys/{descriptor} and descriptors/{storage key}: {"value":...,"_links":...} */
static void answer_conversion(struct azure_call *call, bool to_key)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    int index = azure_find_person(world, call->segments[2]);

    if (index < 0) {
        no_identity(call, call->segments[2]);
        return;
    }
    const struct azure_person *p = &world->people[index];

    buf_addf(
        out,
        "{\"value\":\"%s\",\"_links\":{\"self\":{\"href\":\"%s/_graph/_apis/Graph/%s/%.*s\"}}}",
        to_key ? p->vsid : p->descriptor, world->origin, to_key ? "StorageKeys" : "Descriptors",
        STR_ARG(call->segments[2]));
    azure_json(call, 200);
}

static void write_identity(struct azure_call *call, const struct azure_person *p)
{
    struct buf *out = &call->reply->body;

    buf_addf(out,
             "{\"id\":\"%s\",\"descriptor\":\"Microsoft.IdentityModel.Claims.ClaimsIdentity;" TENANT
             "\\\\",
             p->vsid);
    buf_add_c(out, strchr(p->unique, '\\') != NULL ? "svc" : p->unique);
    buf_addf(out, "\",\"subjectDescriptor\":\"%s\",\"providerDisplayName\":", p->descriptor);
    buf_add_json_string(out, str_from(p->display));
    buf_addf(out,
             ",\"isActive\":true,\"isContainer\":%s,\"members\":[],\"memberOf\":[],\"properties\":{"
             "\"Mail\":{\"$type\":\"System.String\",\"$value\":",
             p->group ? "true" : "false");
    buf_add_json_string(out, str_from(p->mail));
    buf_add_c(out, "}},\"resourceVersion\":2,\"metaTypeId\":0}");
}

/* identities?identityIds=a,b or descriptors or subjectDescriptors; unknown ones come as null. */
static void answer_identities(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    struct buf *out = &call->reply->body;
    struct str list = STR_NONE;
    int n = 0;

    if (!azure_param(call, "identityIds", &list) &&
        !azure_param(call, "subjectDescriptors", &list)) {
        (void)azure_param(call, "filterValue", &list);
    }
    buf_add_c(out, "{\"value\":[");
    while (list.ptr != NULL && list.len > 0) {
        int index = azure_find_person(world, str_cut(&list, ','));

        buf_add_c(out, n++ > 0 ? "," : "");
        if (index < 0) {
            buf_add_c(out, "null");
        } else {
            write_identity(call, &world->people[index]);
        }
    }
    buf_addf(out, "],\"count\":%d}", n);
    azure_json(call, 200);
}

static bool answer_graph(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;

    if (azure_segment_is(call, 0, "identities") && call->n_segments == 1) {
        answer_identities(call);
        return true;
    }
    if (!azure_segment_is(call, 0, "graph")) {
        return false;
    }
    if (azure_segment_is(call, 1, "users") && call->n_segments == 2) {
        answer_graph_users(call);
    } else if (azure_segment_is(call, 1, "users") && call->n_segments == 3) {
        int index = azure_find_person(world, call->segments[2]);

        if (index < 0) {
            no_identity(call, call->segments[2]);
        } else {
            write_graph_user(call, &world->people[index]);
            azure_json(call, 200);
        }
    } else if (call->n_segments == 3 && azure_segment_is(call, 1, "storagekeys")) {
        answer_conversion(call, true);
    } else if (call->n_segments == 3 && azure_segment_is(call, 1, "descriptors")) {
        answer_conversion(call, false);
    } else {
        return false;
    }
    return true;
}

static bool answer_profile(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;
    const struct azure_person *me = &world->people[call->account->person];
    struct buf *out = &call->reply->body;

    if (azure_segment_is(call, 0, "accounts") && call->n_segments == 1) {
        buf_addf(out,
                 "{\"count\":1,\"value\":[{\"accountId\":\"%s\",\"accountUri\":\"%s/"
                 "\",\"accountName\":\"fabrikam\",\"properties\":{}}]}",
                 world->instance_id, world->origin);
    } else if (azure_segment_is(call, 0, "profile") && azure_segment_is(call, 1, "profiles") &&
               azure_segment_is(call, 2, "me") && call->n_segments == 3) {
        buf_add_c(out, "{\"displayName\":");
        buf_add_json_string(out, str_from(me->display));
        buf_addf(out,
                 ",\"publicAlias\":\"%s\",\"emailAddress\":\"%s\",\"coreRevision\":1647,"
                 "\"timeStamp\":\"",
                 me->vsid, me->mail);
        azure_write_time(me->created_us, 0, out);
        buf_truncate(out, out->len - 1);
        buf_addf(out, "+00:00\",\"id\":\"%s\",\"revision\":1647}", me->vsid);
    } else {
        return false;
    }
    azure_json(call, 200);
    return true;
}

static bool answer_entitlement(struct azure_call *call)
{
    const struct azure_world *world = &call->azure->world;

    if (!azure_segment_is(call, 0, "userentitlements") || call->n_segments > 2) {
        return false;
    }
    if (call->n_segments == 1) {
        answer_entitlements(call);
        return true;
    }
    int index = azure_find_person(world, call->segments[1]);

    if (index < 0) {
        no_identity(call, call->segments[1]);
    } else {
        write_entitlement(call, &world->people[index]);
        azure_json(call, 200);
    }
    return true;
}

bool azure_answer_people(struct azure_call *call)
{
    if (call->post) {
        return false;
    }
    switch (call->service) {
    case AZURE_MAIN:
        if (azure_segment_is(call, 0, "connectionData") && call->n_segments == 1) {
            answer_connection(call);
            return true;
        }
        return false;
    case AZURE_GRAPH:
        return answer_graph(call);
    case AZURE_ENTITLEMENTS:
        return answer_entitlement(call);
    case AZURE_PROFILE:
        return answer_profile(call);
    }
    return false;
}
