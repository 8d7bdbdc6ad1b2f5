/*
 * image_place.c - the output file: its folder, and the temporary file beside its place.
 *
 * What can be known about a place is looked at before any work is done. image_commit.c gives
 * the file its name.
 *
 * The temporary file's name follows from the output's name alone, and no output may have such a
 * name. So what a killed worker left behind is cleared by the run that repeats its job, before
 * anything else, so that it goes even when that run fails. Two runs
 * at once must not share one, so whoever writes it holds a lock (flock) on it: a run that
 * finds it locked, or finds anything there but a plain file of ours, takes a random name
 * instead. The lock lives as long as the descriptor, and the kernel drops it with the process.
 */
#include "handlers/image_parts.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAKE_TRIES = 4, OPEN_FLAGS = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };

static enum handler_result refuse(
    GString *why, const struct image_place *place, const char *what, int error)
{
    return image_refuse(why, path_hopeless(error) ? HANDLER_FATAL : HANDLER_RETRY,
        "output \"%s\" %s: %s", place->file, what, g_strerror(error));
}

/* Ours alone: locked, still the file of that name, and nobody's but ours to write to. */
static bool owns(int folder, const char *name, int fd)
{
    struct stat there, here;
    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &here) == 0 &&
           fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           here.st_dev == there.st_dev && here.st_ino == there.st_ino &&
           S_ISREG(here.st_mode) && here.st_nlink == 1 && here.st_uid == geteuid();
}

void image_place_clear_temp(int folder, const char *name)
{
    int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (owns(folder, name, fd)) {
        unlinkat(folder, name, 0);
    }
    close(fd);
}

static void clear_temp(int folder, const char *file)
{
    g_autofree char *name = path_temp_name(path_leaf(file));
    image_place_clear_temp(folder, name);
}

void image_place_clear(int root, const char *file)
{
    g_autofree char *path = g_path_get_dirname(file);
    int folder = path_open(root, path, O_RDONLY | O_DIRECTORY);
    if (folder < 0) {
        return;
    }
    clear_temp(folder, file);
    close(folder);
}

/* What would otherwise fail only when the file gets its name. A link is replaced like a file.
 */
static enum handler_result check_name(const struct image_place *place, GString *why)
{
    struct stat st;
    const char *leaf = path_leaf(place->file);
    long most = fpathconf(place->folder, _PC_NAME_MAX);
    if (most > 0 && strlen(leaf) > (size_t)most) {
        return image_refuse(why, HANDLER_FATAL,
            "output \"%s\": the name has %zu bytes; the file system takes at most %ld",
            place->file, strlen(leaf), most);
    }
    if (fstatat(place->folder, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode) ||
        S_ISLNK(st.st_mode)) {
        return HANDLER_DONE;
    }
    return image_refuse(why, HANDLER_FATAL, "output \"%s\" is %s", place->file,
        S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
}

enum handler_result image_place_open(
    struct image_place *place, int root, const char *file, GString *why)
{
    struct stat st;
    *place = (struct image_place){ .file = file, .fd = -1, .old_fd = -1 };
    place->folder = path_open_folder(root, file);
    if (place->folder < 0) {
        return image_refuse(why, path_hopeless(-place->folder) ? HANDLER_FATAL : HANDLER_RETRY,
            "the folder of output \"%s\" %s", file, path_reason(-place->folder));
    }
    if (fstat(place->folder, &st) < 0) {
        return refuse(why, place, "cannot be written", errno);
    }
    place->device = st.st_dev;
    place->inode = st.st_ino;
    clear_temp(place->folder, file);
    return check_name(place, why);
}

bool image_place_same(const struct image_place *a, const struct image_place *b)
{
    return a->device == b->device && a->inode == b->inode &&
           strcmp(path_leaf(a->file), path_leaf(b->file)) == 0;
}

bool image_place_holds(const struct image_place *place, const struct image_input *input)
{
    struct stat st;
    return fstatat(place->folder, path_leaf(place->file), &st, 0) == 0 &&
           st.st_dev == input->device && st.st_ino == input->inode;
}

static int take_usual(int folder, const char *name)
{
    for (int tries = 0; tries < TAKE_TRIES; tries++) {
        int fd = openat(folder, name, OPEN_FLAGS, 0666);
        if (fd < 0) {
            return -errno;
        }
        if (owns(folder, name, fd) && ftruncate(fd, 0) == 0) {
            return fd;
        }
        close(fd);
    }
    return -EBUSY;
}

static int make_temp(struct image_place *place)
{
    g_autofree char *name = path_temp_name(path_leaf(place->file));
    int fd = take_usual(place->folder, name);
    if (fd < 0) {
        g_free(name);
        name = path_random_temp_name();
        fd = openat(place->folder, name, OPEN_FLAGS | O_EXCL, 0666);
    }
    if (fd < 0) {
        return -errno;
    }
    place->fd = fd;
    place->temp = g_steal_pointer(&name);
    return 0;
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        data += n;
        bytes -= (size_t)n;
    }
    return fsync(fd) < 0 ? -errno : 0;
}

enum handler_result image_place_write(
    struct image_place *place, const void *data, size_t bytes, GString *why)
{
    int error = make_temp(place);
    if (!error) {
        error = write_all(place->fd, data, bytes);
    }
    return error ? refuse(why, place, "cannot be written", -error) : HANDLER_DONE;
}

void image_place_close(struct image_place *place)
{
    if (place->temp != NULL) { /* before the lock goes with the descriptor */
        unlinkat(place->folder, place->temp, 0);
    }
    if (place->old != NULL) {
        unlinkat(place->folder, place->old, 0);
    }
    g_clear_pointer(&place->temp, g_free);
    g_clear_pointer(&place->old, g_free);
    if (place->fd >= 0) {
        close(place->fd);
    }
    if (place->old_fd >= 0) {
        close(place->old_fd);
    }
    if (place->folder >= 0) {
        close(place->folder);
    }
    place->fd = place->old_fd = place->folder = -1;
}
