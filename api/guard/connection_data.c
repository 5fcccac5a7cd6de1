#include "api/guard/connection_data.h"

#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "common/io/json.h"

#define ANONYMOUS_ID "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
#define NOBODY_ID    "00000000-0000-0000-0000-000000000000"

DEFINE_CLEANUP(struct json *, json_free);

static bool copy_guid(const char *text, char out[GUID_LEN + 1])
{
    static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text == NULL || strlen(text) != GUID_LEN) {
        return false;
    }
    for (size_t i = 0; i < GUID_LEN; i++) {
        bool is_upper = text[i] >= 'A' && text[i] <= 'F';
        bool is_hex =
            is_upper || (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (pattern[i] == '-' ? text[i] != '-' : !is_hex) {
            return false;
        }
        out[i] = (char)(is_upper ? text[i] - 'A' + 'a' : text[i]);
    }
    out[GUID_LEN] = '\0';
    return true;
}

static const char *account_of(const struct json *user)
{
    const struct json *account = json_find(json_find(user, "properties"), "Account");
    const char *candidates[] = {json_find_string(account, "$value"),
                                json_find_string(user, "customDisplayName"),
                                json_find_string(user, "providerDisplayName")};
    for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
        if (candidates[i] != NULL && candidates[i][0] != '\0') {
            return candidates[i];
        }
    }
    return NULL;
}

static enum connection_result
read_document(struct str text, struct connection_data *ret_data, const char **ret_why)
{
    struct error err = ERROR_INIT;
    struct connection_data data = {0};
    struct json *root CLEANUP(json_freep) = json_parse(text, &err);
    const struct json *user = json_find(root, "authenticatedUser");
    if (root == NULL || user == NULL ||
        !copy_guid(json_find_string(root, "instanceId"), data.organisation_id)) {
        *ret_why = "the answer is no connectionData document";
        return CONNECTION_UNAVAILABLE;
    }
    if (!copy_guid(json_find_string(user, "id"), data.user_id) ||
        strcmp(data.user_id, ANONYMOUS_ID) == 0 || strcmp(data.user_id, NOBODY_ID) == 0) {
        *ret_why = "the credential is answered as anonymous";
        return CONNECTION_REFUSED;
    }
    const struct json *active = json_find(user, "isActive");
    if (active != NULL && !json_bool(active, false)) {
        *ret_why = "the account is not active";
        return CONNECTION_REFUSED;
    }
    const char *account = account_of(user);
    struct str shown = str_shorten(str_from(account != NULL ? account : data.user_id), ACCOUNT_MAX);
    (void)snprintf(data.account, sizeof(data.account), "%.*s", STR_ARG(shown));
    *ret_data = data;
    *ret_why = "";
    return CONNECTION_KNOWN;
}

static bool is_throttling(struct str body)
{
    return memmem(body.ptr, body.len, "TF400733", 8) != NULL;
}

enum connection_result connection_data_read(const struct fetch_answer *answer,
                                            struct connection_data *ret_data,
                                            const char **ret_why)
{
    struct str body = buf_str(&answer->body);
    struct str type = str_from(answer->content_type);
    bool is_json = str_starts_with_nocase(type, STR_LITERAL("application/json"));
    bool is_page = str_starts_with_nocase(type, STR_LITERAL("text/html"));
    int status = answer->status;
    if (status == 401 || status == 203 || status == 302 || (status == 200 && is_page)) {
        *ret_why = "Azure DevOps asks to sign in: wrong, expired or for another organisation";
        return CONNECTION_REFUSED;
    }
    if (status == 403 && answer->retry_after_s == 0 && !is_throttling(body)) {
        *ret_why = "Azure DevOps forbids it: the credential lacks rights in this organisation";
        return CONNECTION_REFUSED;
    }
    if (status != 200 || !is_json) {
        *ret_why = "Azure DevOps answered with an error";
        return CONNECTION_UNAVAILABLE;
    }
    if (str_starts_with(body, STR_LITERAL("\xef\xbb\xbf"))) {
        body.ptr += 3;
        body.len -= 3;
    }
    return read_document(body, ret_data, ret_why);
}
