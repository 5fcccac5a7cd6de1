#include "common/conf/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/alloc.h"
#include "common/base/str.h"

#define SECRET_MAX_BYTES (64UL * 1024)

static const char *after_prefix(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static bool is_variable_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        bool letter = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || *c == '_';
        bool digit = *c >= '0' && *c <= '9';
        if (!letter && !(digit && c > name)) {
            return false;
        }
    }
    return name[0] != '\0';
}

/* systemd's rule: a plain file name. */
static bool is_credential_name(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0 && strlen(name) <= 255;
}

bool secret_is_reference(const char *reference)
{
    const char *rest = after_prefix(reference, "env:");
    if (rest != NULL) {
        return is_variable_name(rest);
    }
    rest = after_prefix(reference, "file:");
    if (rest != NULL) {
        return rest[0] != '\0';
    }
    rest = after_prefix(reference, "credential:");
    return rest != NULL && is_credential_name(rest);
}

static bool resolve_env(const char *reference, struct secret *ret_secret, struct error *err)
{
    const char *value = getenv(reference + strlen("env:"));
    if (value == NULL) {
        return error_set(err, ERROR_CONFIG,
                         "secret %s: the environment variable is not set; export it, or use "
                         "file:PATH or credential:NAME",
                         reference);
    }
    if (value[0] == '\0') {
        return error_set(err, ERROR_CONFIG, "secret %s: the environment variable is empty; set it",
                         reference);
    }
    if (strlen(value) > SECRET_MAX_BYTES) {
        return error_set(err, ERROR_CONFIG, "secret %s: longer than 64 KiB", reference);
    }
    ret_secret->value = xstrdup(value);
    return true;
}

static void fd_close(const int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* only read from: nothing can be lost */
    }
}

static bool fail_read(const char *reference, const char *path, int error_number, struct error *err)
{
    char words[128];
    return error_set(err, ERROR_CONFIG, "secret %s: cannot read %s: %s", reference, path,
                     strerror_r(error_number, words, sizeof(words)));
}

/* Reads up to one byte too many; the caller tells from the count. -1 and errno on failure. */
static ssize_t read_whole(int fd, char *out, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = read(fd, out + len, size - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* Wiped before it is freed: the buffer held the secret. */
static void wipe_free(char **text)
{
    if (*text != NULL) {
        explicit_bzero(*text, SECRET_MAX_BYTES + 3);
        xfree(*text);
    }
}

static bool
resolve_file(const char *reference, const char *path, struct secret *ret_secret, struct error *err)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return fail_read(reference, path, errno, err);
    }
    CLEANUP(wipe_free) char *text = xmalloc(SECRET_MAX_BYTES + 3);
    ssize_t got = read_whole(fd, text, SECRET_MAX_BYTES + 2);
    if (got < 0) {
        return fail_read(reference, path, errno, err);
    }
    size_t len = (size_t)got;
    if (len > 0 && text[len - 1] == '\n') {
        len--;
        if (len > 0 && text[len - 1] == '\r') {
            len--;
        }
    }
    text[len] = '\0';
    if (len == 0) {
        return error_set(err, ERROR_CONFIG, "secret %s: %s is empty", reference, path);
    }
    if (len > SECRET_MAX_BYTES) {
        return error_set(err, ERROR_CONFIG, "secret %s: %s is larger than 64 KiB", reference, path);
    }
    if (memchr(text, '\0', len) != NULL) {
        return error_set(err, ERROR_CONFIG, "secret %s: %s holds a NUL byte", reference, path);
    }
    ret_secret->value = xstrndup(text, len);
    return true;
}

static bool resolve_credential(const char *reference, struct secret *ret_secret, struct error *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL || folder[0] == '\0') {
        return error_set(err, ERROR_CONFIG,
                         "secret %s: CREDENTIALS_DIRECTORY is not set; run under a systemd unit "
                         "with LoadCredential=, or use env:NAME or file:PATH",
                         reference);
    }
    CLEANUP(xfreep)
    char *path = xasprintf("%s/%s", folder, reference + strlen("credential:"));
    return resolve_file(reference, path, ret_secret, err);
}

bool secret_resolve(const char *reference, struct secret *ret_secret, struct error *err)
{
    if (!secret_is_reference(reference)) {
        /* The text itself is not repeated: it may be the secret. */
        return error_set(err, ERROR_CONFIG,
                         "a secret must be a reference: env:NAME, file:PATH or credential:NAME");
    }
    if (after_prefix(reference, "env:") != NULL) {
        return resolve_env(reference, ret_secret, err);
    }
    if (after_prefix(reference, "file:") != NULL) {
        return resolve_file(reference, reference + strlen("file:"), ret_secret, err);
    }
    return resolve_credential(reference, ret_secret, err);
}

bool secret_resolve_text(const char *text, struct secret *ret_secret, struct error *err)
{
    if (secret_is_reference(text)) {
        return secret_resolve(text, ret_secret, err);
    }
    ret_secret->value = xstrdup(text);
    return true;
}

void secret_release(struct secret *secret)
{
    if (secret->value != NULL) {
        explicit_bzero(secret->value, strlen(secret->value));
        xfree(secret->value);
        secret->value = NULL;
    }
}
