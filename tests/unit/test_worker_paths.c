/*
 * test_worker_paths.c - files that a job names are found below the root, and nowhere else.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "worker/paths.h"

/*  TOP/secret          TOP/root/inner/file     TOP/root/link-in -> inner
 *  TOP/outside/file    TOP/root/link-out -> ../outside     ...                              */
static char *top;
static int root = -1;

static void make_link(const char *target, const char *name)
{
    if (symlinkat(target, root, name) < 0)
        test_fatal("cannot link %s", name);
}

static int set_up(void **state)
{
    (void)state;
    top = test_dir_new();
    static const char *const folders[] = { "root", "outside", "root/inner" };
    static const char *const files[] = { "secret", "outside/file", "root/inner/file" };
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(top, folders[i], NULL);
        mkdir(path, 0755);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(top, files[i], NULL);
        test_write(path, files[i], -1);
    }
    g_autofree char *path = g_build_filename(top, "root", NULL);
    g_autofree char *secret = g_build_filename(top, "secret", NULL);
    root = path_open_root(path);
    assert_true(root >= 0);
    make_link("inner", "link-in");
    make_link("inner/file", "file-in");
    make_link("../outside", "link-out");
    make_link("../secret", "file-out");
    make_link(secret, "file-absolute");
    make_link("/proc/self/root", "magic");
    make_link("inner/../../secret", "winding");
    make_link("nowhere", "dangling");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(root);
    test_remove(top);
    g_free(top);
    return 0;
}

typedef int opener(int root, const char *path, int flags);

/* Opens and closes; the errno or 0. */
static int try_open(opener *open_it, const char *path, int flags)
{
    int fd = open_it(root, path, flags);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -fd : 0;
}

static void expect(opener *open_it, const char *path, int flags, int error)
{
    int got = try_open(open_it, path, flags);
    if (got != error)
        test_fatal("%s: %s, not %s", path, g_strerror(got), g_strerror(error));
}

static void checks_path_before_opening(void **state)
{
    (void)state;
    static const struct {
        const char *path, *problem;
    } rows[] = {
        { "a.jpg", NULL },
        { "a/b/c.jpg", NULL },
        { "./a.jpg", NULL },
        { "a//b.jpg", NULL },
        { "..a/b..c/...", NULL },
        { "gr\xc3\xbcn/\xe6\x97\xa5.jpg", NULL },
        { "", "is empty" },
        { "/etc/passwd", "absolute" },
        { "..", "'..'" },
        { "../a", "'..'" },
        { "a/../b", "'..'" },
        { "a/..", "'..'" },
        { "a/", "ends in '/'" },
        { ".", "names a folder" },
        { "a/.", "names a folder" },
        { "a\nb", "control character" },
        { "a\x7f", "control character" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *problem = path_problem(rows[i].path);
        if (!problem != !rows[i].problem || (problem && !strstr(problem, rows[i].problem)))
            test_fatal("\"%s\": %s", rows[i].path, problem ? problem : "no problem");
    }
}

/* What both ways of opening agree on. */
static void opens_below_the_root_only(void **state)
{
    (void)state;
    opener *const ways[] = { path_open, path_open_stepwise };
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        expect(ways[i], "inner/file", O_RDONLY, 0);
        expect(ways[i], "./inner//file", O_RDONLY, 0);
        expect(ways[i], "inner", O_RDONLY | O_DIRECTORY, 0);
        expect(ways[i], ".", O_RDONLY | O_DIRECTORY, 0);
        expect(ways[i], "inner/none", O_RDONLY, ENOENT);
        expect(ways[i], "none/file", O_RDONLY, ENOENT);
        expect(ways[i], "inner/file/more", O_RDONLY, ENOTDIR);
        expect(ways[i], "inner/file", O_RDONLY | O_DIRECTORY, ENOTDIR);
        expect(ways[i], "..", O_RDONLY, EXDEV);
        expect(ways[i], "../secret", O_RDONLY, EXDEV);
        expect(ways[i], "inner/../../secret", O_RDONLY, EXDEV);
    }
}

static void links_may_not_lead_out(void **state)
{
    (void)state;
    static const char *const out[] = { "link-out/file", "file-out", "file-absolute", "winding",
        "magic/etc/passwd" };
    for (size_t i = 0; i < G_N_ELEMENTS(out); i++) {
        expect(path_open, out[i], O_RDONLY, EXDEV);
        expect(path_open_stepwise, out[i], O_RDONLY, ELOOP);
    }
}

static void links_that_stay_inside_are_followed(void **state)
{
    (void)state;
    expect(path_open, "link-in/file", O_RDONLY, 0);
    expect(path_open, "file-in", O_RDONLY, 0);
    expect(path_open, "dangling", O_RDONLY, ENOENT);
    /* Without openat2 none is. */
    expect(path_open_stepwise, "link-in/file", O_RDONLY, ELOOP);
    expect(path_open_stepwise, "file-in", O_RDONLY, ELOOP);
    expect(path_open_stepwise, "link-in", O_RDONLY | O_DIRECTORY, ELOOP);
}

static void descriptors_do_not_reach_other_programs(void **state)
{
    (void)state;
    opener *const ways[] = { path_open, path_open_stepwise };
    for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
        int fd = ways[i](root, "inner/file", O_RDONLY);
        assert_true(fd >= 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(fd);
    }
}

static bool is_folder(const char *name)
{
    struct stat st;
    return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static void missing_folders_are_made(void **state)
{
    (void)state;
    int fd = path_open_folder(root, "new/deep/er/file.jpg");
    assert_true(fd >= 0);
    close(fd);
    assert_true(is_folder("new/deep/er"));
    assert_false(is_folder("new/deep/er/file.jpg"));
    fd = path_open_folder(root, "top.jpg");
    assert_true(fd >= 0);
    close(fd);
    fd = path_open_folder(root, "link-in/made/file.jpg");
    assert_true(fd >= 0);
    close(fd);
    assert_true(is_folder("inner/made"));
}

static void no_folder_is_made_outside(void **state)
{
    (void)state;
    g_autofree char *made = g_build_filename(top, "outside", "made", NULL);
    assert_int_equal(path_open_folder(root, "link-out/made/file.jpg"), -EXDEV);
    assert_int_equal(path_open_folder(root, "link-out/made/deeper/file.jpg"), -EXDEV);
    assert_int_equal(path_open_folder(root, "../made/file.jpg"), -EXDEV);
    assert_int_equal(access(made, F_OK), -1);
    assert_int_equal(path_open_folder(root, "inner/file/made.jpg"), -ENOTDIR);
    assert_int_equal(path_open_folder(root, "dangling/file.jpg"), -ENOENT);
}

static void only_invalid_paths_are_permanent_errors(void **state)
{
    (void)state;
    static const int hopeless[] = { EXDEV, ELOOP, ENOTDIR, EISDIR, ENAMETOOLONG, EINVAL };
    static const int passing[] = { ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE, EACCES, EPERM, EROFS,
        ENOENT, EIO, EFBIG, EBUSY, ESTALE };
    for (size_t i = 0; i < G_N_ELEMENTS(hopeless); i++)
        assert_true(path_hopeless(hopeless[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(passing); i++)
        assert_false(path_hopeless(passing[i]));
    assert_string_equal(path_reason(EXDEV), "leaves the root folder");
    assert_string_equal(path_reason(ENOSPC), "No space left on device");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_path_before_opening),
        cmocka_unit_test(opens_below_the_root_only),
        cmocka_unit_test(links_may_not_lead_out),
        cmocka_unit_test(links_that_stay_inside_are_followed),
        cmocka_unit_test(descriptors_do_not_reach_other_programs),
        cmocka_unit_test(missing_folders_are_made),
        cmocka_unit_test(no_folder_is_made_outside),
        cmocka_unit_test(only_invalid_paths_are_permanent_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
