/*
 * place.c - see place.h.
 *
 * A unix socket's path holds 107 bytes at most. The socket lies in the folder itself when its
 * path is that short, so that it is easily found; else in a folder of its own below the
 * user's run-time or temporary folder, named after the path, so that the URL stays the same
 * from one start to the next.
 */
#include "place.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_DIR ".ox"
#define SOCKET_NAME "redis.sock"
#define MAX_SOCKET_BYTES (sizeof((struct sockaddr_un *)NULL)->sun_path - 1)

/* Creates the folder if needed and checks that only its owner can read it. */
static bool make_private(const char *dir)
{
    struct stat info;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return false;
    }
    if (lstat(dir, &info) < 0) {
        return false;
    }
    errno = EPERM;
    return S_ISDIR(info.st_mode) && info.st_uid == getuid() && !(info.st_mode & 077);
}

static char *short_dir(const char *dir)
{
    const char *run_time = g_getenv("XDG_RUNTIME_DIR");
    const char *base = run_time != NULL && *run_time ? run_time : g_get_tmp_dir();
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, dir, -1);
    return g_strdup_printf("%s/ox-dev-%u-%.12s", base, (unsigned)getuid(), sum);
}

static int place_socket(struct run *run, struct place *place)
{
    place->socket = g_build_filename(place->dir, SOCKET_NAME, NULL);
    if (strlen(place->socket) > MAX_SOCKET_BYTES) {
        g_free(place->socket);
        place->socket_dir = short_dir(place->dir);
        place->socket = g_build_filename(place->socket_dir, SOCKET_NAME, NULL);
        if (strlen(place->socket) > MAX_SOCKET_BYTES) {
            complain(run,
                "%s is too long for a socket (%zu bytes at most); choose another --dir",
                place->socket, MAX_SOCKET_BYTES);
            return STATUS_FAILED;
        }
        if (!make_private(place->socket_dir)) {
            complain(run, "cannot use %s: %s", place->socket_dir, g_strerror(errno));
            return STATUS_FAILED;
        }
    }
    g_autofree char *escaped = g_uri_escape_string(place->socket, "/", FALSE);
    place->url = g_strconcat("unix://", escaped, NULL);
    return STATUS_DONE;
}

/* The lock file contains its holder. */
static int already_runs(struct run *run, const struct place *place, const char *dir)
{
    char holder[PATH_MAX + 64] = "";
    ssize_t got = pread(place->lock_fd, holder, sizeof holder - 1, 0);
    holder[MAX(got, 0)] = '\0';
    g_strstrip(holder);
    complain(run, "already running in %s%s%s", dir, *holder ? ": " : "", holder);
    return STATUS_FAILED;
}

static int lock(struct run *run, struct place *place, const char *dir)
{
    g_autofree char *path = g_build_filename(place->dir, "lock", NULL);
    place->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->lock_fd < 0) {
        complain(run, "cannot write in %s: %s", dir, g_strerror(errno));
        return STATUS_FAILED;
    }
    if (flock(place->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        return already_runs(run, place, dir);
    }
    return STATUS_DONE;
}

/* Data of an earlier start, or of another server, may be readable for everyone. Only the
 * default folder is known to hold nothing else. */
static int close_to_others(struct run *run, const struct place *place, bool whole)
{
    static const struct {
        const char *name;
        mode_t mode;
    } ours[] = { { "lock", 0600 }, { "redis.log", 0600 }, { "dump.rdb", 0600 },
        { "appendonly.aof", 0600 }, { "appendonlydir", 0700 }, { ".", 0700 } };
    for (size_t i = 0; i < G_N_ELEMENTS(ours) - (whole ? 0 : 1); i++) {
        g_autofree char *path = g_build_filename(place->dir, ours[i].name, NULL);
        struct stat info;
        if (lstat(path, &info) < 0 || S_ISLNK(info.st_mode) || !(info.st_mode & 077)) {
            continue;
        }
        if (chmod(path, ours[i].mode) < 0) {
            complain(run, "cannot make %s private: %s", path, g_strerror(errno));
            return STATUS_FAILED;
        }
    }
    return STATUS_DONE;
}

static int sign(struct run *run, struct place *place)
{
    if (ftruncate(place->lock_fd, 0) == 0 &&
        dprintf(place->lock_fd, "process %d at %s\n", (int)getpid(), place->url) > 0) {
        return STATUS_DONE;
    }
    complain(run, "cannot write in %s: %s", place->dir, g_strerror(errno));
    return STATUS_FAILED;
}

int place_open(struct run *run, struct place *place, const char *dir)
{
    bool given = dir != NULL;
    dir = given ? dir : DEFAULT_DIR;
    *place = (struct place){ .lock_fd = -1 };
    char resolved[PATH_MAX];
    if (g_mkdir_with_parents(dir, 0700) < 0 || realpath(dir, resolved) == NULL) {
        complain(run, "cannot create the folder %s: %s", dir, g_strerror(errno));
        return STATUS_FAILED;
    }
    place->dir = g_strdup(resolved);
    place->log = g_build_filename(resolved, "redis.log", NULL);
    int status = lock(run, place, dir);
    if (!status) {
        status = close_to_others(run, place, !given);
    }
    if (!status) {
        status = place_socket(run, place);
    }
    return status ? status : sign(run, place);
}

void place_done(struct place *place)
{
    if (place->socket_dir != NULL) {
        unlink(place->socket);
        rmdir(place->socket_dir);
    }
    if (place->lock_fd >= 0) {
        close(place->lock_fd);
    }
    g_free(place->dir);
    g_free(place->socket);
    g_free(place->url);
    g_free(place->log);
    g_free(place->socket_dir);
    *place = (struct place){ .lock_fd = -1 };
}
