/*
 * One child process: it runs jobs, and whatever it does instead, its end is told once, with
 * the right words, when nothing of it is left. The handlers that misbehave are in rogue.c,
 * and this program runs them.
 */
#include "../support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/rogue.h"
#include "../support/user.h"
#include "worker/child.h"
#include "worker/log.h"
#include "worker/serve.h"
#include "worker/settings.h"
#include "worker/tree.h"

#define DEADLINE_MS 20000

static const char *self;
static bool in_namespace; /* what holds a child's processes together; all tests run with both */

/* One child and all that it told. */
struct watch {
    uint32_t timeout_ms; /* of a job; 0: DEADLINE_MS */
    uv_loop_t loop;
    uv_timer_t deadline;
    struct child_settings settings;
    struct child *child;
    GString *said; /* hooks as they came: "ready;", "done:1;", "gone:why;" */
    size_t log_rows, log_bytes, text_bytes;
    bool gone;
};

static enum failure last_kind; /* with which a child went */

static void when_ready(void *owner)
{
    struct watch *watch = owner;
    g_string_append(watch->said, "ready;");
}

static void when_progress(void *owner, const char *json)
{
    struct watch *watch = owner;
    g_string_append_printf(watch->said, "progress:%s;", json);
}

static void when_log(void *owner, const char *row)
{
    struct watch *watch = owner;
    watch->log_rows++;
    watch->log_bytes += strlen(row);
    if (strlen(row) < 100)
        g_string_append_printf(watch->said, "log:%s;", row);
}

static void when_retry_after(void *owner, int64_t ms)
{
    struct watch *watch = owner;
    g_string_append_printf(watch->said, "after:%" G_GINT64_FORMAT ";", ms);
}

static void when_failure(void *owner, enum failure kind)
{
    struct watch *watch = owner;
    g_string_append_printf(watch->said, "kind:%s;", failure_word(kind));
}

static void when_result(void *owner, enum handler_result result, const char *text)
{
    static const char *const names[] = { "done", "retry", "fatal" };
    struct watch *watch = owner;
    watch->text_bytes = strlen(text);
    g_string_append_printf(
        watch->said, "%s:%s;", names[result], strlen(text) < 100 ? text : "(long)");
}

static void when_gone(void *owner, enum failure kind, const char *reason)
{
    struct watch *watch = owner;
    watch->gone = true;
    last_kind = kind;
    assert_true((kind == FAILURE_NONE) == (reason == NULL));
    g_string_append_printf(watch->said, "gone:%s;", reason ? reason : "");
}

static void when_outdated(void *owner)
{
    struct watch *watch = owner;
    g_string_append(watch->said, "outdated;");
}

static const struct child_hooks hooks = { when_ready, when_progress, when_log, when_retry_after,
    when_failure, when_result, when_outdated, when_gone };

static void on_deadline(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    test_fatal("no end in time; it said: %s", watch->said->str);
}

static void open_watch(struct watch *watch, const char *handler, const char *arg)
{
    char *options[] = { NULL };
    const struct route_settings route = {
        .queue = "q",
        .handler = handler,
        .arg = arg,
        .options = options,
        .in_namespace = in_namespace,
    };
    *watch = (struct watch){ .said = g_string_new(NULL) };
    uv_loop_init(&watch->loop);
    uv_timer_init(&watch->loop, &watch->deadline);
    watch->deadline.data = watch;
    uv_timer_start(&watch->deadline, on_deadline, DEADLINE_MS, 0);
    watch->settings = (struct child_settings){
        .loop = &watch->loop,
        .program = self,
        .argv = settings_child_argv(&route, getpid()),
        .env = settings_child_env(&route),
        .words = settings_private_words(&route),
        .start_timeout_ms = DEADLINE_MS,
        .place = { .queue = "q" },
    };
}

static void start_watch(struct watch *watch, const char *handler)
{
    g_autofree char *problem = NULL;
    open_watch(watch, handler, NULL);
    watch->child = child_new(&watch->settings, &hooks, watch, &problem);
    assert_non_null(watch->child);
}

static void close_watch(struct watch *watch)
{
    uv_close((uv_handle_t *)&watch->deadline, NULL);
    uv_run(&watch->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&watch->loop), 0);
    g_strfreev(watch->settings.argv);
    g_strfreev(watch->settings.env);
    g_strfreev(watch->settings.words);
    g_string_free(watch->said, TRUE);
}

/* Turns the loop until `text` was said. */
static void await(struct watch *watch, const char *text)
{
    while (!strstr(watch->said->str, text) && !watch->gone)
        uv_run(&watch->loop, UV_RUN_ONCE);
    if (!strstr(watch->said->str, text))
        test_fatal("'%s' was not said, but: %s", text, watch->said->str);
}

static void give(struct watch *watch, const char *data, uint32_t attempt)
{
    const struct frame_job job = { .id = "7",
        .id_len = 1,
        .name = "n",
        .name_len = 1,
        .data = data,
        .data_len = strlen(data),
        .attempt = attempt };
    child_run(watch->child, &job, watch->timeout_ms > 0 ? watch->timeout_ms : DEADLINE_MS);
}

/* The life of a child that is given one job and goes by itself or is killed for it. */
static void assert_life(const char *handler, const char *data, const char *life)
{
    struct watch watch;
    start_watch(&watch, handler);
    await(&watch, "ready;");
    give(&watch, data, 1);
    await(&watch, "gone:");
    assert_string_equal(watch.said->str, life);
    close_watch(&watch);
}

/* The same, and the kind of failure that it is. */
static void assert_death(
    const char *handler, const char *data, enum failure kind, const char *life)
{
    assert_life(handler, data, life);
    if (last_kind != kind)
        test_fatal("%s is of the kind %s", life, failure_word(last_kind));
}

/* The same for a child that is retired after its job. */
static void assert_job(const char *handler, const char *data, const char *life)
{
    struct watch watch;
    start_watch(&watch, handler);
    await(&watch, "ready;");
    give(&watch, data, 1);
    while (!strstr(watch.said->str, "done:") && !strstr(watch.said->str, "retry:") &&
           !strstr(watch.said->str, "fatal:") && !watch.gone)
        uv_run(&watch.loop, UV_RUN_ONCE);
    assert_true(child_usable(watch.child));
    child_retire(watch.child);
    assert_false(child_usable(watch.child));
    await(&watch, "gone:");
    assert_string_equal(watch.said->str, life);
    close_watch(&watch);
}

static void runs_jobs_in_sequence(void **state)
{
    (void)state;
    struct watch watch;
    start_watch(&watch, "tell");
    await(&watch, "ready;");
    for (uint32_t attempt = 1; attempt <= 1000; attempt++) {
        g_autofree char *wanted = g_strdup_printf("done:\"q 7 n %u 2\";", attempt);
        g_string_assign(watch.said, "");
        give(&watch, "{}", attempt);
        await(&watch, wanted);
    }
    g_string_assign(watch.said, "");
    child_retire(watch.child);
    await(&watch, "gone:;");
    close_watch(&watch);
}

static void results_have_their_kinds(void **state)
{
    (void)state;
    assert_job("copy", "{\"a\":1}", "ready;done:{\"a\":1};gone:;");
    assert_job("copy", "", "ready;done:;gone:;");
    assert_job("retry", "{}", "ready;retry:not today;gone:;");
    assert_job("retry", "90000", "ready;after:90000;retry:not today;gone:;");
    assert_job("fatal", "{}", "ready;fatal:never;gone:;");
}

static void reports_progress_and_logs(void **state)
{
    (void)state;
    assert_job(
        "talk", "{}", "ready;log:first;progress:50;log:bad utf-8: \xef\xbf\xbd;done:;gone:;");
}

static void large_texts_pass(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *data = g_strnfill((gsize)3 << 20, 'x');
    start_watch(&watch, "copy");
    await(&watch, "ready;");
    give(&watch, data, 1);
    await(&watch, "done:");
    assert_int_equal(watch.text_bytes, 3 << 20);
    child_retire(watch.child);
    await(&watch, "gone:;");
    close_watch(&watch);
}

static void limits_return_value(void **state)
{
    (void)state;
    assert_job("large", "17000000",
        "ready;kind:bad-output;fatal:the return value is over the limit of 16 MB;gone:;");
}

static void limits_log_volume(void **state)
{
    (void)state;
    struct watch watch;
    start_watch(&watch, "chatter");
    await(&watch, "ready;");
    give(&watch, "16", 1);
    await(&watch, "done:");
    assert_string_equal(
        watch.said->str, "ready;log:more than 4 MB of logs: the rest is left out;done:;");
    assert_true(watch.log_bytes > (4 << 20) / 20 * 19 && watch.log_bytes <= 4 << 20);
    child_retire(watch.child);
    await(&watch, "gone:;");
    close_watch(&watch);
}

static void distinguishes_crashes(void **state)
{
    (void)state;
    assert_death("segv", "{}", FAILURE_CRASHED, "ready;gone:handler crashed: SIGSEGV;");
    assert_death("exit", "3", FAILURE_EXITED, "ready;gone:handler exited with status 3;");
    assert_death("exit", "0", FAILURE_EXITED, "ready;gone:handler exited with status 0;");
}

static void result_before_death_counts(void **state)
{
    (void)state;
    assert_life("last-words", "{}", "ready;done:\"last\";gone:handler exited with status 9;");
}

static void malformed_frames_kill_child(void **state)
{
    (void)state;
    assert_death("garbage", "{}", FAILURE_BAD_OUTPUT,
        "ready;gone:handler killed: malformed frame (unknown type);");
    assert_life("wait", "{}", "ready;gone:handler killed: malformed frame (not a wait);");
    assert_life("huge", "{}", "ready;gone:handler killed: malformed frame (too large);");
    assert_life("twice", "{}",
        "ready;done:1;gone:handler killed: malformed frame (an answer to nothing);");
    assert_life(
        "claim", "{}", "ready;gone:handler killed: malformed frame (not a kind of failure);");
    assert_death(
        "close", "{}", FAILURE_BAD_OUTPUT, "ready;gone:handler killed: closed its socket;");
}

static void a_timeout_kills_the_whole_group(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "file", NULL);
    start_watch(&watch, "hang");
    await(&watch, "ready;");
    watch.timeout_ms = 1500;
    give(&watch, file, 1);
    await(&watch, "gone:");
    assert_string_equal(watch.said->str, "ready;gone:handler killed: timeout after 1500ms;");
    assert_true(rogue_is_gone(file));
    close_watch(&watch);
}

static bool file_is_there(void *arg)
{
    return g_file_test(arg, G_FILE_TEST_EXISTS);
}

static void what_a_job_leaves_is_killed(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "file", NULL);
    start_watch(&watch, "stray");
    await(&watch, "ready;");
    give(&watch, file, 1);
    await(&watch, "done:");
    assert_true(rogue_is_gone(file));
    give(&watch, file, 2);
    await(&watch, "done:;done:;");
    assert_true(rogue_is_gone(file));
    child_retire(watch.child);
    await(&watch, "gone:;");
    close_watch(&watch);
}

static void what_a_handler_keeps_is_left(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "file", NULL);
    start_watch(&watch, "keep");
    await(&watch, "ready;");
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        g_string_assign(watch.said, "");
        give(&watch, file, attempt);
        await(&watch, "done:1;");
        assert_true(rogue_is_gone(file));
    }
    child_retire(watch.child);
    await(&watch, "gone:;");
    close_watch(&watch);
}

static void kill_keeps_given_reason(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *folder = test_dir_new(), *file = g_build_filename(folder, "file", NULL);
    start_watch(&watch, "hang");
    await(&watch, "ready;");
    give(&watch, file, 1);
    while (!file_is_there(file))
        uv_run(&watch.loop, UV_RUN_NOWAIT);
    child_kill(watch.child, FAILURE_STOPPED, "first");
    child_kill(watch.child, FAILURE_TIMEOUT, "second");
    assert_false(child_usable(watch.child));
    await(&watch, "gone:first;");
    assert_int_equal(last_kind, FAILURE_STOPPED);
    assert_true(rogue_is_gone(file));
    close_watch(&watch);
}

static void reports_kill_from_outside(void **state)
{
    (void)state;
    struct watch watch;
    start_watch(&watch, "tell");
    await(&watch, "ready;");
    kill(child_pid(watch.child), SIGKILL);
    await(&watch, "gone:");
    assert_non_null(strstr(watch.said->str, "gone:handler crashed: SIGKILL (from outside"));
    close_watch(&watch);
}

static void assert_no_start(const char *handler, uint32_t timeout_ms, const char *life)
{
    struct watch watch;
    g_autofree char *problem = NULL;
    open_watch(&watch, handler, NULL);
    watch.settings.start_timeout_ms = timeout_ms;
    watch.child = child_new(&watch.settings, &hooks, &watch, &problem);
    assert_non_null(watch.child);
    await(&watch, "gone:");
    assert_string_equal(watch.said->str, life);
    close_watch(&watch);
}

static void reports_failed_start(void **state)
{
    (void)state;
    assert_no_start("refuse", DEADLINE_MS, "gone:the moon is not right;");
    assert_no_start("die", DEADLINE_MS, "gone:handler exited with status 4;");
    assert_no_start("old", DEADLINE_MS, "gone:the program of handlers is of another version;");
    assert_no_start("slow", 300, "gone:handler not ready within 300ms;");
}

static void reports_missing_program(void **state)
{
    (void)state;
    struct watch watch;
    g_autofree char *problem = NULL;
    open_watch(&watch, "tell", NULL);
    watch.settings.program = "/nowhere/ox-handler";
    assert_null(child_new(&watch.settings, &hooks, &watch, &problem));
    assert_string_equal(problem, "cannot start /nowhere/ox-handler: no such file or directory");
    uv_run(&watch.loop, UV_RUN_NOWAIT);
    assert_string_equal(watch.said->str, "");
    close_watch(&watch);
}

static void starting_child_can_be_stopped(void **state)
{
    (void)state;
    struct watch watch;
    start_watch(&watch, "slow");
    child_retire(watch.child);
    await(&watch, "gone:not needed any more;");
    close_watch(&watch);
}

/* 0, 1, 2 and the socket; a group of its own; nothing about the server. */
static void inherits_no_descriptors(void **state)
{
    (void)state;
    int leak = fcntl(STDERR_FILENO, F_DUPFD, 20);
    assert_true(leak >= 20);
    g_setenv("OX_REDIS_URL", "redis://:secret@host", TRUE);
    assert_job("inherit", "{}", "ready;done:\"4 none 1\";gone:;");
    g_unsetenv("OX_REDIS_URL");
    close(leak);
}

/* Whether this process would leave a core in the current folder. */
static bool leaves_core(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
        raise(SIGSEGV);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WCOREDUMP(status);
}

static bool is_empty(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    assert_non_null(dir);
    return !g_dir_read_name(dir);
}

/* Its memory may hold secrets. */
static void leaves_no_core(void **state)
{
    (void)state;
    g_autofree char *before = g_get_current_dir(), *folder = test_dir_new();
    g_autofree char *other = test_dir_new();
    struct rlimit old, most;
    getrlimit(RLIMIT_CORE, &old);
    most = (struct rlimit){ MIN(old.rlim_max, 1 << 20), old.rlim_max };
    setrlimit(RLIMIT_CORE, &most);
    assert_int_equal(chdir(other), 0);
    if (!leaves_core() || is_empty(other))
        print_message("(no cores are written to files here)\n");
    assert_int_equal(chdir(folder), 0);
    assert_death("segv", "{}", FAILURE_CRASHED, "ready;gone:handler crashed: SIGSEGV;");
    assert_int_equal(chdir(before), 0);
    assert_true(is_empty(folder));
    setrlimit(RLIMIT_CORE, &old);
}

/* As the user of its worker, who gets all rights in a namespace of its own: a job has none. */
static void has_no_rights(void **state)
{
    (void)state;
    g_autofree char *life =
        g_strdup_printf("ready;done:\"user %d.%d rights 0.0.0 core 0.0\";gone:;",
            (int)geteuid(), (int)getegid());
    if (geteuid() == 0)
        skip();
    assert_job("rights", "{}", life);
}

static int open_log(void **state)
{
    (void)state;
    int *ends = g_new(int, 2);
    *state = ends;
    return pipe(ends);
}

static int close_log(void **state)
{
    int *ends = *state;
    log_close();
    close(ends[0]);
    close(ends[1]);
    g_free(ends);
    return 0;
}

static void its_output_is_logged(void **state)
{
    int *ends = *state;
    char bytes[4096];
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    assert_job(
        "talk", "{}", "ready;log:first;progress:50;log:bad utf-8: \xef\xbf\xbd;done:;gone:;");
    log_flush();
    ssize_t count = read(ends[0], bytes, sizeof bytes - 1);
    assert_true(count > 0);
    bytes[count] = '\0';
    assert_non_null(strstr(bytes, "event=output queue=q pid="));
    assert_non_null(strstr(bytes, "text=\"on stdout\"\n"));
    assert_non_null(strstr(bytes, "text=\"on stderr\"\n"));
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_no_core),
        cmocka_unit_test(has_no_rights),
        cmocka_unit_test(runs_jobs_in_sequence),
        cmocka_unit_test(results_have_their_kinds),
        cmocka_unit_test(reports_progress_and_logs),
        cmocka_unit_test(large_texts_pass),
        cmocka_unit_test(limits_return_value),
        cmocka_unit_test(limits_log_volume),
        cmocka_unit_test(distinguishes_crashes),
        cmocka_unit_test(result_before_death_counts),
        cmocka_unit_test(malformed_frames_kill_child),
        cmocka_unit_test(a_timeout_kills_the_whole_group),
        cmocka_unit_test(what_a_job_leaves_is_killed),
        cmocka_unit_test(what_a_handler_keeps_is_left),
        cmocka_unit_test(kill_keeps_given_reason),
        cmocka_unit_test(reports_kill_from_outside),
        cmocka_unit_test(reports_failed_start),
        cmocka_unit_test(reports_missing_program),
        cmocka_unit_test(starting_child_can_be_stopped),
        cmocka_unit_test(inherits_no_descriptors),
        cmocka_unit_test_setup_teardown(its_output_is_logged, open_log, close_log),
    };
    struct tree_probe probe;
    in_namespace = false;
    int failed = cmocka_run_group_tests_name("subreaper", tests, NULL, NULL);
    tree_probe(&probe);
    in_namespace = probe.kind == TREE_NAMESPACE;
    if (in_namespace)
        failed += cmocka_run_group_tests_name("namespace", tests, NULL, NULL);
    return failed;
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    g_autofree char *path = g_canonicalize_filename(argv[0], NULL);
    self = path;
    /* Not nobody, as whom all show who are not mapped into a namespace. */
    return test_as_user(54321, run_all) + run_all();
}
