#include <stdio.h>
#include <string.h>

#include "common/base/alloc.h"
#include "tests/sim/azure_devops/system.h"

static const struct azure_account accounts[] = {
    {.pat = "foz-pat", .person = 0},
    {.bearer = "foz-bearer", .person = 0},
    {.pat = "foz-narrow-pat", .person = 0, .narrow = true},
    {.pat = "foz-expired-pat", .person = 0, .expired = true},
    {.pat = "foz-caller-pat", .person = 1, .narrow = true},
    {.bearer = "foz-caller-bearer", .person = 1, .narrow = true},
};

static int digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* The password of Basic credentials, any user name. */
static bool read_basic(const char *encoded, char *out, size_t size)
{
    unsigned bits = 0;
    int n_bits = 0;
    size_t len = 0;

    for (const char *c = encoded; *c != '\0' && *c != '='; c++) {
        if (digit(*c) < 0 || len + 1 >= size) {
            return false;
        }
        bits = bits << 6 | (unsigned)digit(*c);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[len++] = (char)(bits >> n_bits & 0xff);
        }
    }
    out[len] = '\0';
    char *colon = strchr(out, ':');

    if (colon == NULL) {
        return false;
    }
    memmove(out, colon + 1, strlen(colon + 1) + 1);
    return true;
}

static const struct azure_account *find_account(const char *header)
{
    char password[256] = "";
    bool basic = strncmp(header, "Basic ", 6) == 0;
    bool bearer = strncmp(header, "Bearer ", 7) == 0;

    if (basic && !read_basic(header + 6, password, sizeof(password))) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(accounts); i++) {
        if ((basic && accounts[i].pat != NULL && strcmp(password, accounts[i].pat) == 0) ||
            (bearer && accounts[i].bearer != NULL && strcmp(header + 7, accounts[i].bearer) == 0)) {
            return &accounts[i];
        }
    }
    return NULL;
}

bool azure_authenticate(struct azure_call *call)
{
    static const struct azure_account anybody = {.narrow = true, .anonymous = true};
    const char *header = request_header(call->request, "Authorization");
    const struct azure_account *account = header != NULL ? find_account(header) : NULL;

    if (account == NULL && azure_struck(call, FAULT_public_organisation) != NULL) {
        account = &anybody;
    }
    if (account == NULL || account->expired) {
        azure_sign_in(call, "", account != NULL);
        return false;
    }
    call->account = account;
    if (account->narrow && call->service == AZURE_PROFILE) {
        /* Tokens of one organisation are nobody here. */
        azure_sign_in(call, "empty", false);
        return false;
    }
    if (account->narrow && call->service != AZURE_MAIN) {
        azure_error(call, 403, "AccessCheckException",
                    "Access Denied: the personal access token lacks the scope %s",
                    call->service == AZURE_GRAPH ? "vso.graph" : "vso.memberentitlementmanagement");
        return false;
    }
    return true;
}

/* "7.1", "7.1-preview", "7.1-preview.3": major * 10 + minor, or -1. */
static int parse_version(struct str text, bool *ret_preview)
{
    struct str rest = text;
    struct str number = str_cut(&rest, '-');
    struct str minor = number;
    struct str major = str_cut(&minor, '.');
    int64_t a;
    int64_t b;

    *ret_preview = rest.ptr != NULL;
    if (!str_to_int64(major, 1, 99, &a) || !str_to_int64(minor, 0, 9, &b) ||
        (*ret_preview && !str_starts_with(rest, STR_LITERAL("preview")))) {
        return -1;
    }
    return (int)(a * 10 + b);
}

/* The version in the Accept header: "application/json;api-version=7.1". */
static struct str version_in_accept(const struct azure_call *call)
{
    const char *accept = request_header(call->request, "Accept");
    const char *found = accept != NULL ? strstr(accept, "api-version=") : NULL;

    return found == NULL ? STR_NONE : (struct str){found + 12, strcspn(found + 12, "; ,")};
}

bool azure_check_version(struct azure_call *call, bool preview)
{
    const struct fault *old_server = azure_struck(call, FAULT_server_version);
    struct str text = version_in_accept(call);
    bool is_preview;
    bool ignored;
    int latest = old_server != NULL ? parse_version(str_from(old_server->value), &ignored) : 72;

    (void)azure_param(call, "api-version", &text);
    if (text.len == 0) {
        azure_error(call, 400, "VssVersionNotSpecifiedException",
                    "No api-version was supplied for the \"%s\" request. The version must be "
                    "supplied either as part of the Accept header (e.g. "
                    "\"application/json; api-version=1.0\") or as a query parameter (e.g. "
                    "\"?api-version=1.0\").",
                    call->request->method);
        return false;
    }
    int version = parse_version(text, &is_preview);

    snprintf(call->version, sizeof(call->version), "%.*s", STR_ARG(text));
    if (version < 0) {
        azure_bad_input(call, 400, "The api-version '%s' is not a version.", call->version);
        return false;
    }
    if (version > latest) {
        azure_error(call, 400, "VssVersionOutOfRangeException",
                    "The requested REST API version of %s is out of range for this server. The "
                    "latest REST API version this server supports is %d.%d.",
                    call->version, latest / 10, latest % 10);
        return false;
    }
    if (!is_preview && (preview || version == 72)) {
        azure_error(call, 400, "VssInvalidPreviewVersionException",
                    "The requested version \"%s\" of the resource is under preview. The -preview "
                    "flag must be supplied in the api-version for such requests. "
                    "For example: \"%s-preview\"",
                    call->version, call->version);
        return false;
    }
    return true;
}
