#include "common/conf/catalog_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/alloc.h"
#include "common/base/str.h"

static void
add_file(struct option_reader *reader, struct catalog_files *files, const char *path, int line)
{
    if (files->n == CATALOG_MAX_FILES) {
        options_fault(reader, line, "%s: more than 64 catalog files; join some", path);
        return;
    }
    files->paths[files->n++] = options_copy(reader, path, strlen(path));
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void dir_close(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* only read from: nothing can be lost */
    }
}

static void fault_path(struct option_reader *reader, const char *path, int line, int error_number)
{
    char words[128];
    options_fault(reader, line, "catalog: cannot read %s: %s; create it or take it out of the list",
                  path, strerror_r(error_number, words, sizeof(words)));
}

void catalog_files_add(struct option_reader *reader,
                       struct catalog_files *files,
                       const char *path,
                       int line)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fault_path(reader, path, line, errno);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        add_file(reader, files, path, line);
        return;
    }
    CLEANUP(dir_close) DIR *dir = opendir(path);
    if (dir == NULL) {
        fault_path(reader, path, line, errno);
        return;
    }
    size_t first = files->n;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.' ||
            !str_ends_with(str_from(entry->d_name), STR_LITERAL(".yaml"))) {
            continue;
        }
        CLEANUP(xfreep) char *joined = xasprintf("%s/%s", path, entry->d_name);
        add_file(reader, files, joined, line);
    }
    qsort(files->paths + first, files->n - first, sizeof(files->paths[0]), compare_paths);
}
