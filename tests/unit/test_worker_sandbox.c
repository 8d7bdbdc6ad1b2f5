/*
 * What a confined process can and cannot do: each case is a process of its own, which enters
 * the sandbox and tries. Layers that this kernel lacks are passed over.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/user.h"
#include "worker/handlers/sql.h"
#include "worker/handlers/webhook.h"
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

/* Bound, or as whoever connects gets it. */
static int serve_at(bool bound)
{
    const struct sockaddr_in any = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || (bound && bind(fd, (const struct sockaddr *)&any, sizeof any) < 0))
        return errno;
    return bound ? 0 : result(listen(fd, 1));
}

static int bind_to_port(void)
{
    return serve_at(true);
}

static int listen_on_port(void)
{
    return serve_at(false);
}

static int open_packet_socket(void)
{
    return result(socket(AF_PACKET, SOCK_RAW, 0));
}

/* Another protocol than the one by which the C library asks for addresses. */
static int open_netfilter_socket(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
}

static int open_kernel_crypto(void)
{
    return result(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

/* Nobody listens there, which is not the sandbox's word. */
static int connect_somewhere(void)
{
    const struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = 0x0100, .sin_addr.s_addr = 0x0100007f
    };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error =
        fd < 0 ? errno : result(connect(fd, (const struct sockaddr *)&here, sizeof here));
    return error == ECONNREFUSED ? 0 : error;
}

static int find(const char *name)
{
    struct addrinfo *found = NULL;
    return getaddrinfo(name, "443", NULL, &found) == 0 ? 0 : ENOENT;
}

static int find_a_name(void)
{
    return find("localhost");
}

static int read_certificates(void)
{
    return result(open("/etc/ssl/certs", O_RDONLY | O_DIRECTORY));
}

static int read_private_keys(void)
{
    return result(open("/etc/ssl/private", O_RDONLY | O_DIRECTORY));
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

static int change_mode_outside(void)
{
    return result(chmod(outside, 0644));
}

static int give_away_outside(void)
{
    return result(chown(outside, geteuid(), getegid()));
}

static int touch_outside(void)
{
    return result(utimensat(AT_FDCWD, outside, NULL, 0));
}

/* A path may be opened anywhere, if for nothing but that. */
static int give_away_by_descriptor(void)
{
    int fd = open(outside, O_PATH);
    return fd < 0 ? errno : result(fchownat(fd, "", geteuid(), getegid(), AT_EMPTY_PATH));
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
    { "chmod outside", change_mode_outside, EPERM, 0 },
    { "chown outside", give_away_outside, EPERM, 0 },
    { "chown by descriptor", give_away_by_descriptor, EPERM, 0 },
    { "utime outside", touch_outside, EPERM, 0 },
    { "write to /dev/null", write_to_null, 0, 0 },
    { "look into the parent", look_into_parent, EACCES, EACCES },
};

static void expect(
    const struct sandbox_needs *needs, const char *name, int (*attempt)(void), int expected)
{
    int got = try_confined(needs, attempt);
    if (got == NOT_CONFINED)
        skip();
    if (got != expected)
        test_fatal("%s: %s instead of %s", name,
            got < 128 ? strerror(got) : strsignal(got - 128), strerror(expected));
}

static void check_attempts(const struct sandbox_needs *needs)
{
    for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
        const struct attempt *one = &attempts[i];
        expect(needs, one->name, one->attempt,
            needs->programs ? one->with_programs : one->with_nothing);
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

/* ---- Handlers ---------------------------------------------------------------------------- */

#define EXPECT(needs, attempt, expected) expect(needs, #attempt, attempt, expected)

static void expect_no_programs(const struct sandbox_needs *needs)
{
    assert_true(needs->confined);
    EXPECT(needs, start_program, EPERM);
    EXPECT(needs, start_process, EPERM);
    EXPECT(needs, start_thread, 0);
    EXPECT(needs, trace, TRACING);
    EXPECT(needs, read_outside, EACCES);
    EXPECT(needs, write_outside, EACCES);
    EXPECT(needs, change_mode_outside, EPERM);
    EXPECT(needs, look_into_parent, EACCES);
}

static void expect_client(const struct sandbox_needs *needs)
{
    struct sandbox_layers layers;
    expect_no_programs(needs);
    EXPECT(needs, connect_somewhere, 0);
    EXPECT(needs, open_unix_socket, 0);
    EXPECT(needs, find_a_name, 0);
    EXPECT(needs, listen_on_port, EPERM);
    EXPECT(needs, open_packet_socket, EPERM);
    EXPECT(needs, open_netfilter_socket, EPERM);
    EXPECT(needs, open_kernel_crypto, EPERM);
    EXPECT(needs, write_inside, EACCES);
    if (g_file_test("/etc/ssl/certs", G_FILE_TEST_IS_DIR))
        EXPECT(needs, read_certificates, 0);
    if (read_private_keys() == 0)
        EXPECT(needs, read_private_keys, EACCES);
    sandbox_probe(needs, &layers);
    if (layers.landlock >= 4)
        EXPECT(needs, bind_to_port, EACCES);
}

static void webhooks_connect_and_read_what_they_are_told_to(void **state)
{
    (void)state;
    const struct webhook_options options = { .url = "https://localhost/", .ca = inside };
    const struct handler_config config = { .options = &options };
    struct sandbox_needs needs;
    webhook_handler.needs(&config, &needs);
    expect_client(&needs);
    EXPECT(&needs, read_inside, 0);
    EXPECT(&needs, read_password, EACCES);
    g_autofree char *secret = g_strconcat("@", inside, NULL);
    const struct webhook_options others = { .url = "https://localhost/", .secret = secret };
    const struct handler_config other = { .options = &others };
    webhook_handler.needs(&other, &needs);
    EXPECT(&needs, read_inside, 0);
}

/* The first text of the options is the database, as --db fills it. */
static void sql_needs(const char *db, struct sandbox_needs *out)
{
    g_autofree char *options = g_malloc0(sql_handler.options_size);
    const struct handler_config config = { .options = options, .arg = "/nonexistent.sql" };
    for (const struct opt *row = sql_handler.opts; row->name; row++)
        if (strcmp(row->name, "db") == 0)
            memcpy(options + row->offset, &db, sizeof db);
    sql_handler.needs(&config, out);
}

static void postgresql_is_connected_to(void **state)
{
    (void)state;
    struct sandbox_needs needs;
    g_autofree char *url = g_strdup_printf("postgresql://u@localhost/d?sslrootcert=%s", inside);
    sql_needs(url, &needs);
    expect_client(&needs);
    EXPECT(&needs, read_inside, 0);
    EXPECT(&needs, read_password, 0); /* for the user's name */
}

static void files_of_a_service_are_read(void **state)
{
    (void)state;
    struct sandbox_needs needs;
    g_autofree char *path = g_build_filename(folder, "service", NULL);
    g_autofree char *text = g_strdup_printf("[mine]\nhost=localhost\npassfile=%s\n", inside);
    test_write(path, text, -1);
    g_setenv("PGSERVICEFILE", path, TRUE);
    sql_needs("postgresql:///?service=mine", &needs);
    g_unsetenv("PGSERVICEFILE");
    assert_null(g_getenv("PGSERVICE"));
    EXPECT(&needs, read_inside, 0);
}

static void sqlite_has_the_folder_of_its_file(void **state)
{
    (void)state;
    struct sandbox_needs needs;
    g_autofree char *db = g_strconcat("sqlite:", inside, NULL);
    sql_needs(db, &needs);
    expect_no_programs(&needs);
    EXPECT(&needs, read_inside, 0);
    EXPECT(&needs, write_inside, 0);
    EXPECT(&needs, open_socket, EPERM);
    EXPECT(&needs, open_unix_socket, EPERM);
    EXPECT(&needs, read_password, EACCES);
}

/* ---- Files that are replaced ------------------------------------------------------------- */

static void put(const char *path, const char *text)
{
    g_autofree char *next = g_strconcat(path, ".next", NULL);
    test_write(next, text, -1);
    assert_int_equal(rename(next, path), 0);
}

/* Starts a process that is confined, and then stops until files were replaced. What `when_told`
 * returns is its status. NOT_CONFINED: there is none. */
static pid_t start_confined(const struct sandbox_needs *needs, int (*when_told)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct sandbox_layers layers;
        sandbox_enter(needs, &layers);
        if (layers.missing)
            _exit(NOT_CONFINED);
        if (sandbox_is_outdated())
            _exit(1);
        raise(SIGSTOP);
        _exit(when_told());
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_CONFINED)
        return NOT_CONFINED;
    assert_true(WIFSTOPPED(status));
    return pid;
}

static int tell(pid_t pid)
{
    int status;
    kill(pid, SIGCONT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int is_outdated(void)
{
    return sandbox_is_outdated() ? 2 : 3;
}

static void a_replaced_file_is_noticed(void **state)
{
    (void)state;
    g_autofree char *missing = g_strconcat(inside, ".missing", NULL);
    const char *const reads[] = { inside, missing, "/dev/stdin", NULL };
    const struct sandbox_needs needs = { .confined = true, .reads = reads },
                               first = { .confined = true, .first_reads = reads };
    const struct {
        const struct sandbox_needs *needs;
        const char *made, *removed; /* besides the file that is replaced */
        int expected;
    } cases[] = {
        { &needs, inside, NULL, 2 }, { &first, inside, NULL, 3 }, { &needs, missing, NULL, 2 },
        { &needs, NULL, missing, 3 }, /* no other process could read it */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        pid_t pid = start_confined(cases[i].needs, is_outdated);
        if (pid == NOT_CONFINED)
            skip();
        if (cases[i].made)
            put(cases[i].made, "y");
        if (cases[i].removed)
            assert_int_equal(unlink(cases[i].removed), 0);
        assert_int_equal(tell(pid), cases[i].expected);
    }
}

static int finds_before_only(void)
{
    return find("before.test") == 0 && find("after.test") != 0 && !sandbox_is_outdated() ? 0
                                                                                         : 1;
}

static int finds_after(void)
{
    return find("after.test");
}

static int is_outdated_without_names(void)
{
    return sandbox_is_outdated() && finds_after() != 0 ? 0 : 1;
}

/* In a name space of mounts of its own, where `etc` is /etc. */
static int replace_hosts(const char *etc)
{
    const struct sandbox_needs needs = { .confined = true, .connects = true };
    g_autofree char *hosts = g_build_filename(etc, "hosts", NULL);
    g_autofree char *order = g_build_filename(etc, "nsswitch.conf", NULL);
    put(hosts, "127.0.0.1 before.test\n");
    put(order, "hosts: files\n");
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(etc, "/etc", NULL, MS_BIND, NULL) < 0)
        return NOT_CONFINED;
    int got = try_confined(&needs, finds_before_only);
    if (got != 0)
        return got;
    pid_t pid = start_confined(&needs, is_outdated_without_names);
    if (pid == NOT_CONFINED)
        return NOT_CONFINED;
    put(hosts, "127.0.0.1 after.test\n");
    return tell(pid) == 0 && try_confined(&needs, finds_after) == 0 ? 0 : 2;
}

/* As when a lease is renewed, which replaces /etc/resolv.conf. */
static void replaced_host_names_are_found_by_the_next_process(void **state)
{
    (void)state;
    int status;
    g_autofree char *etc = test_dir_new();
    pid_t pid = fork();
    if (pid == 0)
        _exit(replace_hosts(etc));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    test_remove(etc);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_CONFINED)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- */

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
        cmocka_unit_test(webhooks_connect_and_read_what_they_are_told_to),
        cmocka_unit_test(postgresql_is_connected_to),
        cmocka_unit_test(files_of_a_service_are_read),
        cmocka_unit_test(sqlite_has_the_folder_of_its_file),
        cmocka_unit_test(a_replaced_file_is_noticed),
        cmocka_unit_test(replaced_host_names_are_found_by_the_next_process),
        cmocka_unit_test(others_get_no_signal),
        cmocka_unit_test(who_is_not_confined_gains_nothing),
        cmocka_unit_test(a_probe_changes_nothing_here),
    };
    return cmocka_run_group_tests(tests, make_files, forget_files);
}

int main(void)
{
    return test_as_plain_user(run_all) + run_all();
}
