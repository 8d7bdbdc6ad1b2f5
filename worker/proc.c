/*
 * proc.c - see proc.h.
 *
 * A kernel without lists of children (CONFIG_PROC_CHILDREN) has each process asked for its
 * parent instead.
 */
#include "proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All of a small file, or its beginning. Returns whether there was something; NUL-terminated.
 */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    text[MAX(got, 0)] = '\0';
    return got >= 0;
}

/* The number at the beginning, of so many bytes each. */
static int64_t bytes_of(const char *text, int64_t unit)
{
    return CLAMP(strtoll(text, NULL, 10), 0, INT64_MAX / unit) * unit;
}

/* Calls for each entry that is a number. */
static void each_number(const char *folder, void (*call)(pid_t number, GArray *pids, pid_t of),
    GArray *pids, pid_t of)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        pid_t number = (pid_t)strtol(entry->d_name, NULL, 10);
        if (number > 0) {
            call(number, pids, of);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

/* "PID (NAME) STATE PARENT ...", where the name may hold anything. */
static void add_if_child(pid_t pid, GArray *pids, pid_t parent)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    const char *end = read_text(path, text, sizeof text) ? strrchr(text, ')') : NULL;
    if (end != NULL && strlen(end) > 4 && strtol(end + 4, NULL, 10) == parent) {
        g_array_append_val(pids, pid);
    }
}

/* A read gives one page at most, some 600 children: the file ends where a read gives nothing.
 */
static void add_children_of_thread(pid_t thread, GArray *pids, pid_t of)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)thread);
    FILE *list = fopen(path, "re");
    int number;
    while (list != NULL && fscanf(list, "%d", &number) == 1) {
        pid_t child = number;
        if (child > 0) { /* kill(-1) is everybody */
            g_array_append_val(pids, child);
        }
    }
    if (list != NULL) {
        fclose(list);
    }
}

static bool has_lists(void)
{
    return access("/proc/thread-self/children", R_OK) == 0;
}

void proc_add_children(GArray *pids, pid_t pid)
{
    char folder[64];
    if (!has_lists()) {
        each_number("/proc", add_if_child, pids, pid);
        return;
    }
    snprintf(folder, sizeof folder, "/proc/%d/task", (int)pid);
    each_number(folder, add_children_of_thread, pids, pid);
}

GArray *proc_tree(pid_t root)
{
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    g_array_append_val(pids, root);
    for (guint i = 0; i < pids->len; i++) {
        proc_add_children(pids, g_array_index(pids, pid_t, i));
    }
    return pids;
}

int64_t proc_resident(pid_t pid)
{
    static int64_t page_bytes;
    char path[64], text[128];
    char *at = text;
    if (page_bytes == 0) {
        page_bytes = sysconf(_SC_PAGESIZE);
    }
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    if (!read_text(path, text, sizeof text)) {
        return 0;
    }
    strtoll(at, &at, 10); /* of address space */
    return bytes_of(at, page_bytes);
}

int64_t proc_proportional(pid_t pid)
{
    char path[64], text[2048];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    const char *pss = read_text(path, text, sizeof text) ? strstr(text, "\nPss:") : NULL;
    return pss != NULL ? bytes_of(pss + strlen("\nPss:"), 1024) : proc_resident(pid);
}

bool proc_is_own(void)
{
    char text[32];
    ssize_t got = readlink("/proc/self", text, sizeof text - 1);
    text[MAX(got, 0)] = '\0';
    return strtol(text, NULL, 10) == getpid();
}
