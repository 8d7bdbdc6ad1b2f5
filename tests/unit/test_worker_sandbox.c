/*
 * What a confined process can and cannot do: each case is a process of its own, which enters
 * the sandbox and tries. Layers that this kernel lacks are passed over.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/user.h"
#include "worker/rlimits.h"
#include "worker/sandbox.h"

#define NOT_CONFINED 99

#if defined(__SANITIZE_ADDRESS__) /* which traces itself in search of leaks */
#define TRACING 0
#else
#define TRACING EPERM
#endif

static char *folder, *inside, *outside;

/* The errno that `attempt` (0: it went well) gets in the sandbox, or 128 + the signal that
 * ended the process. */
static int try_confined(const struct sandbox_needs *needs, int (*attempt)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_layers layers;
        sandbox_enter(needs, &layers);
        _exit(layers.missing ? NOT_CONFINED : attempt());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int result(long value)
{
    return value < 0 ? errno : 0;
}

static int open_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int open_unix_socket(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int start_program(void)
{
    return result(execl("/bin/true", "true", (char *)NULL));
}

static int start_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int trace(void)
{
    return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int look_for_keys(void)
{
    return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

static int make_ring(void)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int mount_something(void)
{
    return result(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int make_namespace(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int clone_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static void *do_nothing(void *arg)
{
    return arg;
}

static int start_thread(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, do_nothing, NULL);
    return error ? error : pthread_join(thread, NULL);
}

static int read_inside(void)
{
    return result(open(inside, O_RDONLY));
}

static int read_outside(void)
{
    return result(open(outside, O_RDONLY));
}

static int read_password(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static int read_library(void)
{
    return result(open("/etc/ld.so.cache", O_RDONLY));
}

static int write_inside(void)
{
    g_autofree char *path = g_strconcat(inside, ".new", NULL);
    g_autofree char *moved = g_strconcat(inside, ".moved", NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return fd < 0 || write(fd, "x", 1) != 1 || rename(path, moved) < 0 ? errno : 0;
}

static int write_outside(void)
{
    return result(open(outside, O_WRONLY | O_APPEND));
}

static int write_to_null(void)
{
    int fd = open("/dev/null", O_RDWR);
    return fd < 0 ? errno : result(write(fd, "x", 1));
}

static int signal_parent(void)
{
    return result(kill(getppid(), 0));
}

static int look_into_parent(void)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/environ", (int)getppid());
    return result(open(path, O_RDONLY));
}

static const struct attempt {
    const char *name;
    int (*attempt)(void);
    int with_nothing, with_programs; /* the errno */
} attempts[] = {
    { "socket", open_socket, EPERM, EPERM },
    { "unix socket", open_unix_socket, EPERM, EPERM },
    { "exec", start_program, EPERM, 0 },
    { "fork", start_process, EPERM, 0 },
    { "thread", start_thread, 0, 0 },
    { "ptrace", trace, TRACING, TRACING },
    { "keyctl", look_for_keys, EPERM, EPERM },
    { "io_uring", make_ring, EPERM, EPERM },
    { "mount", mount_something, EPERM, EPERM },
    { "unshare", make_namespace, EPERM, EPERM },
    { "clone into a namespace", clone_namespace, EPERM, EPERM },
    { "read inside", read_inside, 0, 0 },
    { "read outside", read_outside, EACCES, EACCES },
    { "read /etc/passwd", read_password, EACCES, 0 },
    { "read ld.so.cache", read_library, 0, 0 },
    { "write inside", write_inside, 0, 0 },
    { "write outside", write_outside, EACCES, EACCES },
    { "write to /dev/null", write_to_null, 0, 0 },
    { "look into the parent", look_into_parent, EACCES, EACCES },
};

static void check_attempts(const struct sandbox_needs *needs)
{
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        const struct attempt *attempt = &attempts[i];
        int expected = needs->programs ? attempt->with_programs : attempt->with_nothing;
        int got = try_confined(needs, attempt->attempt);
        if (got == NOT_CONFINED)
            skip();
        if (got != expected)
            test_fatal("%s: %s instead of %s", attempt->name,
                got < 128 ? strerror(got) : strsignal(got - 128), strerror(expected));
    }
}

static void nothing_is_left_but_the_root(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { .confined = true, .root = folder };
    check_attempts(&needs);
}

static void programs_may_be_started(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { .confined = true, .programs = true, .root = folder };
    check_attempts(&needs);
}

static void the_network_may_be_used(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { .confined = true, .network = true };
    int got = try_confined(&needs, open_socket);
    if (got == NOT_CONFINED)
        skip();
    assert_int_equal(got, 0);
    assert_int_equal(try_confined(&needs, start_program), EPERM);
    assert_int_equal(try_confined(&needs, read_inside), EACCES);
}

static void others_get_no_signal(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { .confined = true };
    struct sandbox_layers layers;
    sandbox_probe(&needs, &layers);
    if (layers.landlock < 6)
        skip();
    assert_int_equal(try_confined(&needs, signal_parent), EPERM);
}

static int has_no_new_privs(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static void who_is_not_confined_gains_nothing(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { 0 };
    assert_int_equal(try_confined(&needs, has_no_new_privs), 0);
    assert_int_equal(try_confined(&needs, open_socket), 0);
    assert_int_equal(try_confined(&needs, read_outside), 0);
    assert_int_equal(try_confined(&needs, start_program), 0);
}

static void a_probe_changes_nothing_here(void **state)
{
    (void)state;
    const struct sandbox_needs needs = { .confined = true };
    struct sandbox_layers layers;
    sandbox_probe(&needs, &layers);
    assert_true(layers.no_new_privs);
    assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    assert_int_equal(read_outside(), 0);
}

/* ---- Limits ------------------------------------------------------------------------------ */

static struct rlimits read_rlimits(const char *words)
{
    g_autofree char *text = g_strdup(words), *why = NULL;
    struct rlimits limits = { 0 };
    if (!rlimits_parse(text, &limits, &why))
        test_fatal("%s: %s", words, why);
    return limits;
}

static void limits_are_read(void **state)
{
    (void)state;
    struct rlimits limits = read_rlimits("cpu=90s,file-size=2M,open-files=64");
    g_autofree char *text = g_strdup("memory=1G"), *why = NULL;
    assert_int_equal(limits.cpu_ms, 90000);
    assert_int_equal(limits.file_bytes, 2 << 20);
    assert_int_equal(limits.open_files, 64);
    assert_false(rlimits_parse(text, &limits, &why));
    assert_string_equal(
        why, "\"memory=1G\" is not one of cpu=TIME, file-size=SIZE, open-files=N");
}

static int limited(const char *words, int64_t space_bytes, void (*use)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimits limits = read_rlimits(words);
        rlimits_enter(&limits, space_bytes);
        rlimits_start_job(&limits);
        use();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void burn(void)
{
    for (;;) {
    }
}

static void write_megabytes(void)
{
    static const char bytes[1 << 16];
    int fd = open(inside, O_WRONLY | O_APPEND);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 32; i++)
        if (write(fd, bytes, sizeof bytes) < 0)
            _exit(errno);
}

static void open_many(void)
{
    for (int i = 0; i < 100; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            _exit(errno);
}

static void limits_hold(void **state)
{
    (void)state;
    assert_int_equal(limited("cpu=1s", 0, burn), 128 + SIGXCPU);
    assert_int_equal(limited("file-size=1M", 0, write_megabytes), EFBIG);
    assert_int_equal(limited("open-files=32", 0, open_many), EMFILE);
}

/* ---- */

static int make_files(void **state)
{
    (void)state;
    g_autofree char *elsewhere = test_dir_new();
    folder = test_dir_new();
    inside = g_build_filename(folder, "file", NULL);
    outside = g_build_filename(elsewhere, "file", NULL);
    test_write(inside, "x", 1);
    test_write(outside, "x", 1);
    return 0;
}

static int forget_files(void **state)
{
    (void)state;
    g_free(folder);
    g_free(inside);
    g_free(outside);
    return 0;
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left_but_the_root),
        cmocka_unit_test(programs_may_be_started),
        cmocka_unit_test(the_network_may_be_used),
        cmocka_unit_test(others_get_no_signal),
        cmocka_unit_test(who_is_not_confined_gains_nothing),
        cmocka_unit_test(a_probe_changes_nothing_here),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, make_files, forget_files);
}

int main(void)
{
    return test_as_plain_user(run_all) + run_all();
}
