/*
 * image_commit.c - puts the outputs of a job in place: all of them, or none.
 *
 * Each temporary file is renamed to its output's name, so a reader sees the old file or the new
 * one, whole. An old file is not replaced but exchanged: it lies under the temporary name until
 * the last output is in place and safe on disk. When one cannot be put in place, those before
 * it are exchanged back. A crash in between leaves some outputs new and some old, each whole,
 * and the old ones' other names are cleared by the run that repeats the job.
 *
 * File systems that cannot exchange (NFS) take a second name for the old file instead, a hard
 * link; where there are none either, the old file is replaced at once and cannot come back.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(int folder, const char *name)
{
    struct stat st;
    return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Locks the old file, so that another run leaves it alone while it has a temporary name. */
static void hold_old(struct image_place *place)
{
    struct stat st;
    const char *leaf = path_leaf(place->file);
    if (fstatat(place->folder, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
        return;
    }
    place->old_fd =
        openat(place->folder, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (place->old_fd >= 0) {
        flock(place->old_fd, LOCK_EX | LOCK_NB);
    }
}

static int exchange(const struct image_place *place)
{
    int status = renameat2(
        place->folder, place->temp, place->folder, path_leaf(place->file), RENAME_EXCHANGE);
    return status < 0 ? -errno : 0;
}

/* A folder could have come to be there since it was looked at. */
static int exchange_file(struct image_place *place)
{
    int error = exchange(place);
    if (!error && is_folder(place->folder, place->temp)) {
        exchange(place);
        error = -EISDIR;
    }
    if (!error) {
        place->state = PLACE_EXCHANGED;
    }
    return error;
}

/* Without the kernel's exchange. */
static int replace(struct image_place *place)
{
    const char *leaf = path_leaf(place->file);
    g_autofree char *second = path_random_temp_name();
    place->state = PLACE_REPLACED;
    if (linkat(place->folder, leaf, place->folder, second, 0) == 0) {
        place->old = g_steal_pointer(&second);
        place->state = PLACE_LINKED;
    } else if (errno == ENOENT) {
        place->state = PLACE_NEW;
    }
    if (renameat(place->folder, place->temp, place->folder, leaf) < 0) {
        int error = -errno;
        place->state = PLACE_WRITTEN;
        return error;
    }
    g_clear_pointer(&place->temp, g_free);
    return 0;
}

static int put(struct image_place *place)
{
    const char *leaf = path_leaf(place->file);
    if (is_folder(place->folder, leaf)) {
        return -EISDIR;
    }
    if (renameat2(place->folder, place->temp, place->folder, leaf, RENAME_NOREPLACE) == 0) {
        g_clear_pointer(&place->temp, g_free);
        place->state = PLACE_NEW;
        return 0;
    }
    int error = -errno;
    if (error == -EEXIST) {
        hold_old(place);
        error = exchange_file(place);
    }
    return error == -EINVAL || error == -ENOSYS ? replace(place) : error;
}

/* Whether what has the output's name is still what we gave it. */
static bool is_ours(const struct image_place *place)
{
    struct stat here, there;
    return fstat(place->fd, &here) == 0 &&
           fstatat(place->folder, path_leaf(place->file), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* False when the old state cannot be had again. */
static bool take_back(struct image_place *place)
{
    const char *leaf = path_leaf(place->file);
    if (place->state == PLACE_WRITTEN) {
        return true;
    }
    if (!is_ours(place)) { /* another run was here since: what it made stays */
        return true;
    }
    bool back = false;
    if (place->state == PLACE_NEW) {
        back = unlinkat(place->folder, leaf, 0) == 0;
    } else if (place->state == PLACE_EXCHANGED) {
        back = exchange(place) == 0;
    } else if (place->state == PLACE_LINKED) {
        back = renameat(place->folder, place->old, place->folder, leaf) == 0;
    }
    if (back) {
        place->state = PLACE_WRITTEN;
    }
    return back;
}

static enum handler_result refuse(
    struct image_place *const *places, size_t put_count, size_t at, int error, GString *why)
{
    image_refuse(why, path_hopeless(-error) ? HANDLER_FATAL : HANDLER_RETRY,
        "output \"%s\" cannot be put in place: %s", places[at]->file, g_strerror(-error));
    for (size_t i = put_count; i-- > 0;) {
        if (!take_back(places[i])) {
            g_string_append_printf(
                why, "; output \"%s\" could not be put back as it was", places[i]->file);
        }
    }
    return path_hopeless(-error) ? HANDLER_FATAL : HANDLER_RETRY;
}

enum handler_result image_places_commit(
    struct image_place *const *places, size_t count, GString *why)
{
    for (size_t i = 0; i < count; i++) {
        int error = put(places[i]);
        if (error) {
            return refuse(places, i + 1, i, error, why);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (fsync(places[i]->folder) < 0) {
            return refuse(places, count, i, -errno, why);
        }
    }
    return HANDLER_DONE;
}
