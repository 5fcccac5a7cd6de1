#include "tests/unit/common/conf/conf_files.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void conf_files_init(struct conf_files *files)
{
    *files = (struct conf_files){.folder = "/tmp/foz-conf-XXXXXX"};
    char *made = mkdtemp(files->folder);
    assert(made != NULL);
}

static void make_path(struct conf_files *files, const char *name)
{
    (void)snprintf(files->path, sizeof(files->path), "%s/%s", files->folder, name);
}

void conf_files_release(struct conf_files *files)
{
    for (size_t i = 0; i < files->n; i++) {
        make_path(files, files->names[i]);
        (void)unlink(files->path);
    }
    int failed = rmdir(files->folder);
    assert(failed == 0);
}

const char *conf_files_write(struct conf_files *files, const char *name, const char *text)
{
    make_path(files, name);
    FILE *file = fopen(files->path, "we");
    assert(file != NULL && files->n < sizeof(files->names) / sizeof(files->names[0]));
    (void)snprintf(files->names[files->n++], sizeof(files->names[0]), "%s", name);
    size_t written = fwrite(text, 1, strlen(text), file);
    int failed = fclose(file);
    assert(written == strlen(text) && failed == 0);
    return files->path;
}
