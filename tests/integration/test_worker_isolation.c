/*
 * test_worker_isolation.c - jobs that do what they can against their worker, their machine and
 * each other: each ends as the failure that it should, nothing of it is left, and the next job
 * on the same worker succeeds. The handlers are those of rogue.c, in this very program.
 *
 * All of it runs where the system gives namespaces, and where it forbids them: then this
 * program starts ox-worker behind a filter that refuses them.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/capability.h>
#include <ox.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/process.h"
#include "../support/rogue.h"
#include "../support/worker.h"
#include "worker/proc.h"
#include "worker/serve.h"

#define DEADLINE_MS 20000

static char *self, forbid_word[] = "--without-namespaces";
static char no_proc_word[] = "--without-proc", hide_word[] = "--with-hidden-proc";
static bool forbid;        /* namespaces */
static char *proc_word;    /* what is done to /proc first; NULL: nothing */
static GPtrArray *workers; /* of the running test; a failed one leaves some */

/* ---- Workers and jobs -------------------------------------------------------------------- */

/* ox-worker with these words, which end in the queue, "q=HANDLER". */
static struct test_process *start_worker(const char *words)
{
    g_autofree char *program = test_program("ox-worker");
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    if (proc_word) {
        g_ptr_array_add(argv, self);
        g_ptr_array_add(argv, proc_word);
    }
    if (forbid) {
        g_ptr_array_add(argv, self);
        g_ptr_array_add(argv, forbid_word);
    }
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, (char[]){ "--redis" });
    g_ptr_array_add(argv, redis->url);
    for (char **word = list; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, NULL);
    struct test_process *worker = test_start((const char *const *)argv->pdata, NULL);
    g_ptr_array_add(workers, worker);
    return worker;
}

/* One child at a time, so that the next job meets what this one left. */
static struct test_process *start_rogue(const char *options, const char *handler)
{
    g_autofree char *words = g_strdup_printf("--handler-program %s --concurrency 1 %s%sq=%s",
        self, options, *options ? " " : "", handler);
    struct test_process *worker = start_worker(words);
    test_worker_connects(worker);
    return worker;
}

static char *add(struct test_queue *q, const char *json)
{
    ox_error err = { 0 };
    char *id = NULL;
    test_ok(ox_queue_add(q->queue, "do", json, NULL, &id, &err), &err);
    return id;
}

/* Runs a job; `reason` NULL: it completes. */
static void expect_end(struct test_queue *q, const char *json, const char *reason)
{
    char *id = add(q, json);
    test_job_ends(
        q->queue, id, workers->len ? g_ptr_array_index(workers, workers->len - 1) : NULL);
    g_autofree char *got = test_redis_text(redis, "HGET bull:q:%s failedReason", id);
    if (g_strcmp0(got, reason) != 0)
        test_fatal("%s: '%s' instead of '%s'", json, got ? got : "(completed)",
            reason ? reason : "(completed)");
    ox_free(id);
}

/* A job that fails so, and one that does not on the same worker. */
static void expect_failure(struct test_queue *q, const char *options, const char *handler,
    const char *json, const char *reason)
{
    struct test_process *worker = start_rogue(options, handler);
    expect_end(q, json, reason);
    expect_end(q, "0", NULL);
    test_worker_stop(worker);
}

/* ---- What is too much -------------------------------------------------------------------- */

static void memory_is_limited(void **state)
{
    struct test_queue *q = *state;
#if !defined(__SANITIZE_ADDRESS__)
    expect_failure(q, "--memory 64M", "eat", "200", "memory limit 64M exceeded");
    expect_failure(q, "--memory 64M", "eat", "-200", "memory limit 64M exceeded");
#else
    (void)q;
#endif
}

static void processes_are_limited(void **state)
{
    expect_failure(*state, "--processes 20", "family", "40", "process limit 20 exceeded");
}

static void time_of_the_processor_is_limited(void **state)
{
    expect_failure(*state, "--rlimit cpu=1s", "burn", "1", "CPU time limit exceeded");
}

static void zombies_are_buried(void **state)
{
    struct test_queue *q = *state;
    struct test_process *worker = start_rogue("", "zombies");
    for (int i = 0; i < 5; i++)
        expect_end(q, "100", NULL);
    g_autoptr(GArray) left = proc_tree(worker->pid);
    assert_true(
        left->len <= 5); /* ox-worker, keeper, init, handler, and the wrapper of a test */
    test_worker_stop(worker);
}

/* ---- What is not allowed ----------------------------------------------------------------- */

static void a_confined_handler_is_refused_the_rest(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    g_autofree char *json = g_strdup_printf("\"%s\"", file);
    g_autofree char *reason = g_strdup_printf("%s: Permission denied", file);
    test_write(file, "x", 1);
    struct test_process *worker = start_rogue("", "caged");
    expect_end(q, "\"socket\"", "socket: Operation not permitted");
    expect_end(q, "\"exec\"", "exec: Operation not permitted");
    expect_end(q, json, reason);
    expect_end(q, "\"nothing\"", NULL);
    test_worker_stop(worker);
}

static void off_is_loud(void **state)
{
    struct test_queue *q = *state;
    struct test_process *worker = start_rogue("--sandbox off", "caged");
    expect_end(q, "\"socket\"", NULL);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(
        strstr(err, "level=warn event=sandbox queue=q jobs=* handler=caged sandbox=off"));
    test_worker_stop(worker);
}

static void the_log_says_what_is_there(void **state)
{
    (void)state;
    struct test_process *worker = start_rogue("", "caged");
    g_autofree char *err = test_process_err(worker);
    const char *line = strstr(err, "event=sandbox queue=q jobs=* handler=caged sandbox=on");
    assert_non_null(line);
    if (forbid)
        assert_non_null(strstr(line, "namespace=no"));
    test_worker_stop(worker);
}

static void strict_wants_everything(void **state)
{
    (void)state;
    if (!forbid)
        skip();
    g_autofree char *words =
        g_strdup_printf("--handler-program %s --sandbox strict q=caged", self);
    struct test_process *worker = start_worker(words);
    assert_int_equal(test_process_wait(worker, DEADLINE_MS), 2);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err,
        "q=caged: --sandbox=strict: this system does not give PID namespaces: Operation not "
        "permitted"));
}

static bool may_mount(void)
{
    return prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 1 && geteuid() == 0;
}

static void expect_refused(const char *options, const char *reason)
{
    g_autofree char *words = g_strdup_printf("--handler-program %s %sq=tell", self, options);
    struct test_process *worker = start_worker(words);
    int status = test_process_wait(worker, DEADLINE_MS);
    g_autofree char *err = test_process_err(worker);
    if (status != 2 || !strstr(err, reason))
        test_fatal("exit status %d; stderr: %s", status, err);
}

/* Else nothing that a job leaves could be killed. */
static void there_is_a_proc_or_a_namespace(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its own look for leaks needs /proc, and so do the options that would end it */
#endif
    if (!may_mount())
        skip();
    proc_word = no_proc_word;
    if (!forbid) {
        test_worker_stop(start_rogue("", "tell"));
        expect_refused("--sandbox off ", "--sandbox=off makes no PID namespace, and /proc");
        return;
    }
    expect_refused("", "q=tell: the processes of a job could not be killed: this system gives "
                       "no PID namespace: Operation not permitted, and /proc, where they would "
                       "be found, is not mounted; mount it");
}

/* A worker that does not see its children cannot limit them, and says so. */
static void hidden_processes_are_told(void **state)
{
    (void)state;
    if (!may_mount())
        skip();
    struct test_process *worker = start_rogue("", "tell");
    g_autofree char *seen = test_process_err(worker);
    test_worker_stop(worker);
    proc_word = hide_word;
    worker = start_rogue("", "tell");
    g_autofree char *hidden = test_process_err(worker);
    test_worker_stop(worker);
    assert_non_null(strstr(seen, " limits=yes "));
    assert_non_null(strstr(hidden, " limits=no "));
    assert_non_null(strstr(hidden, "level=warn event=sandbox"));
    if (!forbid)
        expect_refused("--sandbox strict ",
            "this system does not give a view of other processes in /proc (hidepid)");
}

/* ---- What should not be left ------------------------------------------------------------- */

static bool file_is_there(void *path)
{
    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void nothing_outlives_a_killed_worker(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    g_autofree char *json = g_strdup_printf("\"%s\"", file);
    struct test_process *worker = start_rogue("", "hang");
    ox_free(add(q, json));
    assert_true(test_wait_for(DEADLINE_MS, file_is_there, file));
    test_process_signal(worker, SIGKILL);
    assert_true(test_wait_for(2000, rogue_is_gone, file));
}

static void nothing_outlives_a_timeout(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    g_autofree char *json = g_strdup_printf("\"%s\"", file);
    struct test_process *worker = start_rogue("--timeout 500ms", "hang");
    expect_end(q, json, "handler killed: timeout after 500ms");
    assert_true(rogue_is_gone(file));
    test_worker_stop(worker);
}

/* Ten seconds later it would be killed itself, and leave them. */
static void a_stopped_keeper_goes_on_to_kill(void **state)
{
    struct test_queue *q = *state;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "f", NULL);
    g_autofree char *json = g_strdup_printf("\"%s\"", file);
    struct test_process *worker = start_rogue("--timeout 500ms", "freeze");
    expect_end(q, json, "handler killed: timeout after 500ms");
    g_autofree char *err = test_process_err(worker);
    assert_true(rogue_is_gone(file));
    assert_null(strstr(err, "event=not-killed"));
    test_worker_stop(worker);
}

static void a_large_child_is_replaced(void **state)
{
    struct test_queue *q = *state;
    static const struct {
        const char *options;
        int starts;
    } cases[] = { { "--recycle-memory 1M --log-level debug", 3 },
        { "--recycle-memory 4G --log-level debug", 1 } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct test_process *worker = start_rogue(cases[i].options, "tell");
        for (int job = 0; job < 3; job++)
            expect_end(q, "0", NULL);
        g_autofree char *err = test_process_err(worker);
        g_auto(GStrv) parts = g_strsplit(err, "event=child-started", -1);
        assert_int_equal((int)g_strv_length(parts) - 1, cases[i].starts);
        test_worker_stop(worker);
    }
}

/* ---- What is not to be seen -------------------------------------------------------------- */

/* The descriptors of a process, "0 1 2 3", and how many of them are sockets. */
static char *list_descriptors(pid_t pid, int *sockets)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autoptr(GString) all = g_string_new(NULL);
    const char *name;
    *sockets = 0;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *to = g_file_read_link(path, NULL);
        *sockets += to && g_str_has_prefix(to, "socket:");
        g_string_append_printf(all, "%s%s", all->len > 0 ? " " : "", name);
    }
    return g_string_free(g_steal_pointer(&all), FALSE);
}

static bool is_handler(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *name = test_read(path, NULL);
    return name && g_str_has_prefix(name, "ox-handler");
}

/* 0 to 3, and what the handler itself has opened: the image handler's root. */
static void children_have_no_other_descriptors(void **state)
{
    struct test_queue *q = *state;
    static const struct {
        const char *words, *descriptors;
    } cases[] = { { "q=noop", "0 1 2 3" }, { "q=echo", "0 1 2 3" },
        { "--root /tmp q=image", "0 1 2 3 4" } };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct test_process *worker = start_worker(cases[i].words);
        char *id = add(q, "{}");
        test_job_ends(q->queue, id, worker);
        g_autoptr(GArray) tree = proc_tree(worker->pid);
        int count = 0, sockets;
        for (guint at = 0; at < tree->len; at++) {
            pid_t pid = g_array_index(tree, pid_t, at);
            g_autofree char *got = list_descriptors(pid, &sockets);
            if (!is_handler(pid))
                continue;
            count++;
            assert_string_equal(got, cases[i].descriptors);
            assert_int_equal(sockets, 3); /* stdout is stderr */
        }
        assert_int_equal(count, 1);
        ox_free(id);
        test_worker_stop(worker);
    }
}

/* To another user's eyes as to root's: what is read there has no password. */
static void the_worker_shows_no_password(void **state)
{
    (void)state;
    g_autofree char *program = test_program("ox-worker");
    g_autofree char *line = g_strdup_printf(
        "OX_REDIS_URL=redis://u:hidden-word@127.0.0.1:1/0 exec %s --handler-program %s "
        "q=tell",
        program, self);
    const char *const argv[] = { "sh", "-c", line, NULL };
    struct test_process *worker = test_start(argv, NULL);
    g_ptr_array_add(workers, worker);
    assert_true(test_process_says(worker, "event=error", DEADLINE_MS));
    g_autofree char *path = g_strdup_printf("/proc/%d/environ", (int)worker->pid);
    gsize length = 0;
    g_autofree char *text = test_read(path, &length);
    assert_non_null(text);
    assert_null(g_strstr_len(text, (gssize)length, "hidden-word"));
    test_worker_stop(worker);
}

/* ---- */

static int set_up(void **state)
{
    proc_word = NULL;
    workers = g_ptr_array_new_with_free_func((GDestroyNotify)test_process_free);
    return test_queue_up(state);
}

static int tear_down(void **state)
{
    g_ptr_array_free(workers, TRUE);
    return test_queue_down(state);
}

static int forbid_namespaces(char **argv)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) < 0 ||
        seccomp_load(filter) < 0)
        return 1;
    execv(argv[0], argv);
    return 127;
}

/* In mounts of its own: without /proc, or with one where only who may trace a process sees it,
 * which root may not any more. */
static int change_proc(char **argv, bool hide)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        umount2("/proc", MNT_DETACH) < 0)
        return 1;
    if (hide && (mount("proc", "/proc", "proc", 0, "hidepid=2,gid=12345") < 0 ||
                    prctl(PR_CAPBSET_DROP, CAP_SYS_PTRACE) < 0))
        return 1;
    execv(argv[0], argv);
    return 127;
}

static int run_all(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(memory_is_limited),
        TEST(processes_are_limited),
        TEST(time_of_the_processor_is_limited),
        TEST(zombies_are_buried),
        TEST(a_confined_handler_is_refused_the_rest),
        TEST(off_is_loud),
        TEST(the_log_says_what_is_there),
        TEST(strict_wants_everything),
        TEST(there_is_a_proc_or_a_namespace),
        TEST(hidden_processes_are_told),
        TEST(nothing_outlives_a_killed_worker),
        TEST(nothing_outlives_a_timeout),
        TEST(a_stopped_keeper_goes_on_to_kill),
        TEST(a_large_child_is_replaced),
        TEST(children_have_no_other_descriptors),
        TEST(the_worker_shows_no_password),
    };
    return cmocka_run_group_tests_name(
        forbid ? "without namespaces" : "namespaces", tests, test_server_up, test_server_down);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    if (argc > 2 && strcmp(argv[1], forbid_word) == 0)
        return forbid_namespaces(argv + 2);
    if (argc > 2 && strcmp(argv[1], no_proc_word) == 0)
        return change_proc(argv + 2, false);
    if (argc > 2 && strcmp(argv[1], hide_word) == 0)
        return change_proc(argv + 2, true);
    self = g_canonicalize_filename(argv[0], NULL);
    int failed = run_all();
    forbid = true;
    failed += run_all();
    g_free(self);
    return failed;
}
