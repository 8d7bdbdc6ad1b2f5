/*
 * paths.c - opening files that a job names, without ever leaving the root.
 *
 * The kernel does the confining: openat2(2) with RESOLVE_BENEATH resolves the whole path in
 * one step and refuses any "..", absolute link or renamed folder that would lead out, so there
 * is no gap between a check and the use. Links that stay below the root are followed.
 *
 * Kernels before 5.6 lack openat2. There the path is walked component by component from the
 * root's descriptor, each opened with O_NOFOLLOW: stricter (no link is followed at all), and
 * as safe, since every step starts from a descriptor and not from a name.
 *
 * Descriptors are owned by the caller and closed on exec.
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A rename on the way makes openat2 give up with EAGAIN; it is worth a few more tries. */
enum { OPEN_TRIES = 16 };

#define TEMP_BEGIN ".ox-"
#define TEMP_END ".tmp"
#define RECORD_END ".made"
#define SUM_DIGITS 16

static const struct {
    int error;
    const char *reason;
} reasons[] = {
    { EXDEV, "leaves the root folder" },
    { ELOOP, "goes through a symbolic link that may not be followed" },
    { ENOENT, "does not exist" },
    { ENOTDIR, "goes through something that is not a folder" },
    { EISDIR, "is a folder" },
    { ENXIO, "is not a regular file" }, /* a socket */
    { ENAMETOOLONG, "is too long" },
    { EACCES, "may not be opened: permission denied" },
};

const char *path_reason(int error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        if (reasons[i].error == error) {
            return reasons[i].reason;
        }
    }
    return g_strerror(error);
}

bool path_hopeless(int error)
{
    switch (error) {
    case EXDEV:
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
    case ENXIO:
    case ENAMETOOLONG:
    case EINVAL:
        return true;
    default:
        return false;
    }
}

const char *path_problem(const char *path)
{
    if (!*path) {
        return "is empty";
    }
    if (*path == '/') {
        return "is an absolute path; paths are relative to the root folder";
    }
    if (path[strlen(path) - 1] == '/') {
        return "ends in '/'";
    }
    for (const char *c = path; *c; c++) {
        if (g_ascii_iscntrl(*c)) {
            return "holds a control character";
        }
    }
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part != NULL; part++) {
        if (strcmp(*part, "..") == 0) {
            return "holds '..'; paths stay below the root folder";
        }
    }
    if (strcmp(path_leaf(path), ".") == 0) {
        return "names a folder";
    }
    return NULL;
}

const char *path_leaf(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static char *name_beside(const char *leaf, const char *end)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, leaf, -1);
    return g_strdup_printf(TEMP_BEGIN "%.*s%s", SUM_DIGITS, sum, end);
}

char *path_temp_name(const char *leaf)
{
    return name_beside(leaf, TEMP_END);
}

char *path_record_name(const char *leaf)
{
    return name_beside(leaf, RECORD_END);
}

char *path_random_temp_name(void)
{
    return g_strdup_printf(TEMP_BEGIN "%08x%08x" TEMP_END, g_random_int(), g_random_int());
}

bool path_is_temp_name(const char *name)
{
    size_t begin = strlen(TEMP_BEGIN);
    return g_str_has_prefix(name, TEMP_BEGIN) &&
           strspn(name + begin, "0123456789abcdef") == SUM_DIGITS &&
           strcmp(name + begin + SUM_DIGITS, TEMP_END) == 0;
}

/* Some file systems take upper case for lower. */
bool path_is_ours(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (char **part = parts; *part != NULL; part++) {
        g_autofree char *name = g_ascii_strdown(*part, -1);
        if (g_str_has_prefix(name, TEMP_BEGIN) &&
            (g_str_has_suffix(name, TEMP_END) || g_str_has_suffix(name, RECORD_END))) {
            return true;
        }
    }
    return false;
}

int path_open_root(const char *root)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The kernel's answer to a link is ELOOP, or ENOTDIR when a folder was asked for as well;
 * make it one. */
static int step_error(int dir, const char *name, int error)
{
    struct stat st;
    bool link = error == ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                S_ISLNK(st.st_mode);
    return link ? -ELOOP : -error;
}

int path_open_stepwise(int root, const char *path, int flags)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    int fd = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    for (char **part = parts; *part != NULL; part++) {
        bool last = part[1] == NULL;
        if (strcmp(*part, "..") == 0) {
            close(fd);
            return -EXDEV;
        }
        if (!last && (!**part || strcmp(*part, ".") == 0)) {
            continue;
        }
        int how = last ? flags : O_PATH | O_DIRECTORY;
        int next = openat(fd, *part, how | O_NOFOLLOW | O_CLOEXEC);
        int error = next < 0 ? step_error(fd, *part, errno) : 0;
        close(fd);
        if (error) {
            return error;
        }
        fd = next;
    }
    return fd;
}

int path_open(int root, const char *path, int flags)
{
    static bool lacks_openat2;
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    for (int tries = 0; tries < OPEN_TRIES && !lacks_openat2; tries++) {
        long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0) {
            return (int)fd;
        }
        if (errno == EPERM) { /* how some old containers' filters answer to a call they lack */
            return path_open_stepwise(root, path, flags);
        }
        if (errno == ENOSYS) {
            lacks_openat2 = true;
        } else if (errno != EAGAIN && errno != EINTR) {
            return -errno;
        }
    }
    return lacks_openat2 ? path_open_stepwise(root, path, flags) : -EAGAIN;
}

/* Opens a folder below the root, making it and those above it where they are missing. Every
 * folder is opened from the root anew, so that a link met on the way is judged as a whole. */
static int open_or_make(int root, const char *folder)
{
    int fd = path_open(root, folder, O_RDONLY | O_DIRECTORY);
    if (fd != -ENOENT || strcmp(folder, ".") == 0) {
        return fd;
    }
    g_autofree char *above = g_path_get_dirname(folder);
    int parent = open_or_make(root, above);
    if (parent < 0) {
        return parent;
    }
    g_autofree char *name = g_path_get_basename(folder);
    int error = mkdirat(parent, name, 0777) < 0 && errno != EEXIST ? errno : 0;
    if (!error && fsync(parent) < 0) {
        error = errno;
    }
    close(parent);
    return error ? -error : path_open(root, folder, O_RDONLY | O_DIRECTORY);
}

int path_open_folder(int root, const char *path)
{
    g_autofree char *folder = g_path_get_dirname(path);
    return open_or_make(root, folder);
}
