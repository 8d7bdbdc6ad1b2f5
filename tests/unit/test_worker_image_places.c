/*
 * test_worker_image_places.c - the outputs of a job come to their places together or not at
 * all: what cannot be put there is told before any work, what fails in the middle puts the old
 * files back, and what a killed run left is made whole by the next.
 *
 * The kernel is made to fail, to lack the exchange of two names or to kill the run in between
 * by a filter of system calls in a process of its own.
 */
#include "photos.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const char three[] =
    "{\"input\":\"put/in.png\",\"outputs\":[{\"file\":\"put/out/a.jpg\"},"
    "{\"file\":\"put/out/b.webp\",\"width\":90},{\"file\":\"put/out/c.png\",\"width\":60}]}";

static const char *const names[] = { "put/out/a.jpg", "put/out/b.webp", "put/out/c.png" };

/* Old files where the first `count` outputs go. */
static void set_up(int count)
{
    g_autofree char *folder = at("put");
    if (g_file_test(folder, G_FILE_TEST_EXISTS))
        test_remove(folder);
    save(paint_photo(120, 90), "put/in.png");
    make_folder("put/out");
    for (int i = 0; i < count; i++) {
        g_autofree char *path = at(names[i]);
        g_autofree char *text = g_strdup_printf("old file %d", i);
        test_write(path, text, -1);
    }
}

static void expect_old(int count)
{
    for (int i = 0; i < count; i++) {
        g_autofree char *path = at(names[i]);
        g_autofree char *text = g_strdup_printf("old file %d", i);
        g_autofree char *content = test_read(path, NULL);
        assert_non_null(content);
        assert_string_equal(content, text);
    }
    assert_int_equal(count_files("put/out"), count);
}

static void expect_new(void)
{
    assert_string_equal(format_of(names[0]), "jpeg");
    assert_string_equal(format_of(names[1]), "webp");
    assert_string_equal(format_of(names[2]), "png");
    expect_size(names[2], 60, 45);
    assert_int_equal(count_files("put/out"), 3);
}

/* ---- Before any work --------------------------------------------------------------------- */

static void names_that_are_too_long_are_told_first(void **state)
{
    (void)state;
    char leaf[300];
    set_up(1);
    memset(leaf, 'x', sizeof leaf);
    g_autofree char *data =
        g_strdup_printf("{\"input\":\"put/in.png\",\"outputs\":[{\"file\":\"put/out/a.jpg\"},"
                        "{\"file\":\"put/out/%.252s.jpg\"}]}",
            leaf);
    run_badly(HANDLER_FATAL, "the name has 256 bytes; the file system takes at most 255", data);
    assert_string_equal(last.progress, "");
    expect_old(1);
}

static void what_is_no_file_is_told_first(void **state)
{
    (void)state;
    set_up(2);
    g_autofree char *place = at(names[2]);
    assert_int_equal(mkfifo(place, 0600), 0);
    run_badly(HANDLER_FATAL, "output \"put/out/c.png\" is not a regular file", three);
    assert_string_equal(last.progress, "");
    assert_int_equal(unlink(place), 0);
    expect_old(2);
}

/* ---- In the middle ----------------------------------------------------------------------- */

/* The place of the last output becomes a folder while pictures are made. */
static void take_place(void *arg, const char *json)
{
    (void)arg;
    if (!strcmp(json, "100"))
        make_folder(names[2]);
}

static void run_with(void (*progress)(void *, const char *))
{
    const struct handler_io io = { .progress = progress, .log = note_log };
    const struct handler_job job = {
        .queue = "images", .id = "1", .name = "c", .data = three, .data_len = strlen(three)
    };
    g_autoptr(GString) out = g_string_new(NULL);
    last.result = image_handler.run(&job, &config, &io, out);
    g_strlcpy(last.reason, out->str, sizeof last.reason);
}

static void a_failure_puts_the_old_files_back(void **state)
{
    (void)state;
    for (int old = 0; old <= 2; old++) {
        set_up(old);
        run_with(take_place);
        assert_int_equal(last.result, HANDLER_FATAL);
        assert_non_null(strstr(
            last.reason, "output \"put/out/c.png\" cannot be put in place: Is a directory"));
        g_autofree char *place = at(names[2]);
        assert_int_equal(rmdir(place), 0);
        expect_old(old);
    }
}

/* The first of these flags with which a renaming call does what `action` says. */
static void filter_renames(guint32 flags, guint32 action)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, flags, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { G_N_ELEMENTS(code), (struct sock_filter *)code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        test_fatal("no filter: %s", strerror(errno));
}

/* Runs the job in a process of its own, under that filter; this program anew, because threads
 * of libvips do not live on in a fork. Returns how it ended: the result of the job, or less
 * than 0 when it was killed. */
static int run_filtered(guint32 flags, guint32 action, bool with_folder)
{
    int status;
    g_autofree char *flags_text = g_strdup_printf("%u", flags);
    g_autofree char *action_text = g_strdup_printf("%u", action);
    char self[] = "filtered", hook[] = { with_folder ? '1' : '0', '\0' };
    char *args[] = { self, root, flags_text, action_text, hook, NULL };
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execv("/proc/self/exe", args);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The other side of it. */
static int filtered_main(char **args)
{
    char *problem = NULL;
    root = args[1];
    set_options();
    if (!image_handler.init(&config, false, &problem))
        return 126;
    filter_renames((guint32)strtoul(args[2], NULL, 10), (guint32)strtoul(args[3], NULL, 10));
    run_with(*args[4] == '1' ? take_place : note_progress);
    return (int)last.result;
}

enum { NEW_OR_OLD = RENAME_NOREPLACE | RENAME_EXCHANGE };

/* The first output is new, the second replaces a file: between the two the run ends. */
static void a_repeat_makes_whole_what_a_crash_left(void **state)
{
    (void)state;
    set_up(3);
    g_autofree char *first = at(names[0]);
    assert_int_equal(unlink(first), 0);
    assert_true(run_filtered(RENAME_EXCHANGE, SECCOMP_RET_KILL_PROCESS, false) < 0);
    assert_string_equal(format_of(names[0]), "jpeg");
    assert_string_equal(format_of(names[1]), "none");
    run_well(three);
    expect_new();
}

/* Killed when the first old file has the temporary name already. */
static void a_repeat_clears_old_files_of_a_crash(void **state)
{
    (void)state;
    set_up(2);
    g_autofree char *path = at(names[1]), *leaf = g_path_get_basename(path);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, leaf, -1);
    g_autofree char *name = g_strdup_printf("put/out/.ox-%.16s.tmp", sum), *temp = at(name);
    test_write(temp, "old file 1", -1);
    run_well(three);
    expect_new();
}

static void an_error_of_the_kernel_may_pass(void **state)
{
    (void)state;
    set_up(3);
    int result = run_filtered(RENAME_EXCHANGE, SECCOMP_RET_ERRNO | EIO, false);
    assert_int_equal(result, HANDLER_RETRY);
    expect_old(3);
}

/* As on NFS. */
static void works_without_the_exchange_of_names(void **state)
{
    (void)state;
    guint32 lacking = SECCOMP_RET_ERRNO | EINVAL;
    for (int old = 0; old <= 3; old++) {
        set_up(old);
        assert_int_equal(run_filtered(NEW_OR_OLD, lacking, false), HANDLER_DONE);
        expect_new();
    }
    for (int old = 0; old <= 2; old++) {
        set_up(old);
        assert_int_equal(run_filtered(NEW_OR_OLD, lacking, true), HANDLER_FATAL);
        g_autofree char *place = at(names[2]);
        assert_int_equal(rmdir(place), 0);
        expect_old(old);
    }
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[0], "filtered"))
        return filtered_main(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_too_long_are_told_first),
        cmocka_unit_test(what_is_no_file_is_told_first),
        cmocka_unit_test(a_failure_puts_the_old_files_back),
        cmocka_unit_test(a_repeat_makes_whole_what_a_crash_left),
        cmocka_unit_test(a_repeat_clears_old_files_of_a_crash),
        cmocka_unit_test(an_error_of_the_kernel_may_pass),
        cmocka_unit_test(works_without_the_exchange_of_names),
    };
    return cmocka_run_group_tests(tests, start_handler, stop_handler);
}
