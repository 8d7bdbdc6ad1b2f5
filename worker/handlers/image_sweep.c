/*
 * image_sweep.c - clears what killed runs left behind, when a worker starts.
 *
 * A job that runs again clears its own leftovers, but not every job does: it may have been
 * removed, or have left a file of a random name. So the folders below the root are looked
 * through for temporary files that are old and that nobody writes (see image_place.c). Links
 * are not followed. A worker must not wait long for its start, so a sweep ends after a second,
 * however large the root is: what it has not seen stays for the next one.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLD_S 3600
#define BUDGET_US 1000000
#define DEPTH_MAX 64

struct sweep {
    int64_t end_us; /* monotonic */
    int64_t now_s;
};

static void sweep_folder(const struct sweep *sweep, int folder, int depth);

static void sweep_below(const struct sweep *sweep, int folder, const char *name, int depth)
{
    int below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) {
        sweep_folder(sweep, below, depth + 1);
    }
}

static bool is_old(const struct sweep *sweep, const struct stat *st)
{
    return sweep->now_s - (int64_t)st->st_mtime > OLD_S;
}

/* Not every file system says in d_type what an entry is. */
static void look_at(
    const struct sweep *sweep, int folder, const struct dirent *entry, int depth)
{
    struct stat st;
    bool temp = path_is_temp_name(entry->d_name);
    bool may_be_folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
    if ((!temp && !may_be_folder) ||
        fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return;
    }
    if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
        sweep_below(sweep, folder, entry->d_name, depth);
    } else if (temp && S_ISREG(st.st_mode) && is_old(sweep, &st)) {
        image_place_clear_temp(folder, entry->d_name);
    }
}

/* Closes `folder`. */
static void sweep_folder(const struct sweep *sweep, int folder, int depth)
{
    DIR *dir = fdopendir(folder);
    if (dir == NULL) {
        close(folder);
        return;
    }
    const struct dirent *entry;
    while (g_get_monotonic_time() < sweep->end_us && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            look_at(sweep, folder, entry, depth);
        }
    }
    closedir(dir);
}

void image_sweep(int root)
{
    const struct sweep sweep = {
        .end_us = g_get_monotonic_time() + BUDGET_US,
        .now_s = g_get_real_time() / G_USEC_PER_SEC,
    };
    sweep_folder(&sweep, root, 0);
}
