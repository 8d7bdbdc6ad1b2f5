/*
 * fuzz_worker_proc.c - what /proc says of a process, where names and numbers may be anything.
 *
 * Input: a letter for the file, then its text: s stat, c children, m statm, r smaps_rollup.
 * Files below /proc are this text once and empty from then on, as those of processes that have
 * ended; the linker puts the functions below in the place of the system's.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/proc.h"

#define PARENT 7

static const char *text; /* NULL: /proc is the system's */
static size_t length;
static bool has_lists; /* of children, for each process */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_access(const char *path, int mode);

static int open_text(void)
{
    int fd = memfd_create("proc", MFD_CLOEXEC);
    expect(fd >= 0 && write(fd, text, length) == (ssize_t)length);
    expect(lseek(fd, 0, SEEK_SET) == 0);
    length = 0;
    return fd;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = va_arg(args, int);
    va_end(args);
    return text != NULL && g_str_has_prefix(path, "/proc/") ? open_text()
                                                            : __real_open(path, flags, mode);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return text != NULL && g_str_has_prefix(path, "/proc/") ? fdopen(open_text(), mode)
                                                            : __real_fopen(path, mode);
}

/* Who else asks has none to ask for. */
int __wrap_access(const char *path, int mode)
{
    (void)path, (void)mode;
    return has_lists ? 0 : -1;
}

static void read_children(void)
{
    GArray *tree = proc_tree(getpid());
    expect(tree->len >= 1 && g_array_index(tree, pid_t, 0) == getpid());
    for (guint i = 1; i < tree->len; i++) {
        expect(g_array_index(tree, pid_t, i) > 0);
    }
    g_array_unref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    char *copy = fuzz_text(data + 1, size - 1);
    text = copy;
    length = size - 1;
    has_lists = data[0] == 'c';
    if (data[0] == 'c' || data[0] == 's') {
        read_children();
    } else if (data[0] == 'm') {
        expect(proc_resident(PARENT) >= 0);
    } else if (data[0] == 'r') {
        expect(proc_proportional(PARENT) >= 0);
    }
    text = NULL;
    free(copy);
    return 0;
}
