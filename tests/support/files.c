/*
 * files.c - temporary folders that go away when the test program ends, however it ends.
 *
 * The first folder asked for makes the program's base folder and forks a janitor, which does
 * nothing but read from a pipe whose other end only the program holds. When the program ends
 * (by exit, a crash, a sanitizer's _exit, SIGKILL) the pipe closes and the janitor removes
 * the base folder. On a plain exit the program waits for that, so that nothing is left when a
 * runner looks. The janitor has a process group of its own: a signal to the test's group
 * (Ctrl-C, timeout) does not stop it from cleaning up.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char *base; /* the program's folder, NULL before the first use */
static pid_t janitor;
static int lifeline = -1; /* closing it lets the janitor work */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)type;
    (void)ftw;
    if (S_ISDIR(st->st_mode) ? rmdir(path) : unlink(path))
        return errno == ENOENT ? 0 : -1;
    return 0;
}

/* A folder without write permission (a test of refusals made it) would keep its files. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type == FTW_D || type == FTW_DNR)
        return (st->st_mode & 0700) == 0700 ? 0 : chmod(path, 0700);
    return 0;
}

void test_remove(const char *path)
{
    nftw(path, open_up, 16, FTW_PHYS);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A server that dies together with the program may still write while we remove. */
static void clean_up_after_parent(int pipe_end)
{
    char byte;
    setpgid(0, 0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(pipe_end, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
        _exit(1);
    closefrom(3);
    while (read(0, &byte, 1) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < 100 && access(base, F_OK) == 0; i++) {
        test_remove(base);
        usleep(i ? 20000 : 0);
    }
    _exit(0);
}

static void wait_for_janitor(void)
{
    if (lifeline < 0)
        return;
    close(lifeline);
    lifeline = -1;
    while (waitpid(janitor, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void make_base(void)
{
    int ends[2];
    const char *tmp = g_getenv("TMPDIR");
    base = g_build_filename(tmp && *tmp ? tmp : "/tmp", "ox-test-XXXXXX", NULL);
    if (!g_mkdtemp(base) || pipe2(ends, O_CLOEXEC) < 0)
        test_fatal("cannot make %s: %s", base, g_strerror(errno));
    janitor = fork();
    if (janitor < 0)
        test_fatal("cannot fork: %s", g_strerror(errno));
    if (janitor == 0) {
        close(ends[1]);
        clean_up_after_parent(ends[0]);
    }
    close(ends[0]);
    lifeline = ends[1];
    atexit(wait_for_janitor);
}

char *test_dir_new(void)
{
    if (!base)
        make_base();
    char *dir = g_build_filename(base, "XXXXXX", NULL);
    if (!g_mkdtemp(dir))
        test_fatal("cannot make a folder in %s: %s", base, g_strerror(errno));
    return dir;
}

void test_write(const char *path, const char *text, long bytes)
{
    g_autoptr(GError) error = NULL;
    if (!g_file_set_contents(path, text, bytes, &error))
        test_fatal("%s", error->message);
}

char *test_read(const char *path, size_t *bytes)
{
    char *text = NULL;
    gsize length = 0;
    if (!g_file_get_contents(path, &text, &length, NULL))
        return NULL;
    if (bytes)
        *bytes = length;
    return text;
}

char *test_headers(void)
{
    g_autoptr(GDir) dir = g_dir_open("lib/include", 0, NULL);
    GString *all = g_string_new(NULL);
    const char *name;
    assert_non_null(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("lib/include", name, NULL);
        g_autofree char *text = test_read(path, NULL);
        assert_non_null(text);
        g_string_append(all, text);
    }
    return g_string_free(all, FALSE);
}

const char *test_build_dir(void)
{
    static char *dir;
    if (dir)
        return dir;
    if (g_getenv("OX_BUILD")) {
        dir = g_canonicalize_filename(g_getenv("OX_BUILD"), NULL);
        return dir;
    }
    /* BUILD/tests/KIND/PROGRAM */
    dir = g_file_read_link("/proc/self/exe", NULL);
    for (int up = 0; dir && up < 3; up++) {
        char *parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
    if (!dir)
        test_fatal("cannot tell the build folder: set OX_BUILD");
    return dir;
}

char *test_program(const char *name)
{
    char *path = g_build_filename(test_build_dir(), name, NULL);
    if (!strchr(name, '/') && access(path, X_OK) == 0)
        return path;
    g_free(path);
    return g_strdup(name);
}
