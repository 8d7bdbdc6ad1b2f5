/*
 * test_worker_secrets.c - one worker has a webhook, a database and a program. The program finds
 * the secrets of the two others neither in its environment nor in those of other processes, on
 * no command line, and cannot look into them.
 *
 * Without PID namespaces, so that it sees them. As root, to whom nothing is closed, only what
 * children were started with is looked at; as another user, all that the program can try.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <glib.h>
#include <ox.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/jobs.h"
#include "../support/process.h"
#include "../support/user.h"
#include "../support/worker.h"
#include "worker/proc.h"

#define DEADLINE_MS 20000
#define SECRET "hiddenword"
#define THREE SECRET SECRET SECRET /* 24 bytes as base64, with two letters more */

static char *self, *folder;
static struct test_process *worker;

/* ---- The program: this one, as `self --spy PID` ------------------------------------------ */

static bool is_other_handler(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
    g_autofree char *name = test_read(path, NULL);
    return name &&
           (g_str_has_prefix(name, "ox-handler-web") ||
               g_str_has_prefix(name, "ox-handler-sql") || g_str_has_prefix(name, "ox-keeper"));
}

static int can_look_into(pid_t pid)
{
    static const char *const names[] = { "mem", "environ", "fd/3" };
    int count = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, names[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        count += fd >= 0;
    }
    return count;
}

/* Prints how many processes of the others it saw, and how often one let it in. */
static int spy(pid_t worker_pid)
{
    g_autoptr(GArray) tree = proc_tree(worker_pid);
    int seen = 0, opened = can_look_into(worker_pid);
    for (guint i = 0; i < tree->len; i++) {
        pid_t pid = g_array_index(tree, pid_t, i);
        if (is_other_handler(pid)) {
            seen++;
            opened += can_look_into(pid);
        }
    }
    printf("seen=%s opened=%d\n", seen >= 4 ? "all" : "too few", opened);
    return 0;
}

/* ---- Worker and jobs --------------------------------------------------------------------- */

/* Also what every process of the machine was started with, as far as it can be read. */
static const char program[] =
    "#!/bin/sh\n"
    "for name in WEBHOOK_SECRET DATABASE_URL PGPASSWORD; do\n"
    "  eval [ -z \\\"\\$$name\\\" ] || echo $name\n"
    "done\n"
    "[ $(id -u) != 0 ] || exit 0\n"
    "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' |\n"
    "  grep 'hidden[w]ord'\n" /* which does not find itself */
    "exec '%s' --spy $(cat '%s/pid')\n";

static void start(const char *routes)
{
    g_autofree char *path = g_build_filename(folder, "program", NULL);
    g_autofree char *pid_path = g_build_filename(folder, "pid", NULL);
    g_autofree char *text = g_strdup_printf(program, self, folder);
    g_autofree char *path_of_worker = test_program("ox-worker");
    g_autofree char *line = g_strdup_printf(
        "export WEBHOOK_SECRET=whsec_%sxx DATABASE_URL=sqlite:%s/%s.db PGPASSWORD=%s\n"
        ": >'%s/%s.db'; unset OX_DB OX_SECRET\n"
        "exec '%s' --redis '%s' --sandbox off --concurrency 1 --allow 127.0.0.1 "
        "--statement 'select 1 as one' %s",
        THREE, folder, SECRET, SECRET, folder, SECRET, path_of_worker, redis->url, routes);
    test_write(path, text, -1);
    assert_int_equal(chmod(path, 0755), 0);
    const char *const argv[] = { "sh", "-c", line, NULL };
    worker = test_start(argv, NULL);
    g_autofree char *pid = g_strdup_printf("%d", (int)worker->pid);
    test_write(pid_path, pid, -1);
    test_worker_connects(worker);
}

/* Runs a job of that queue: "returnvalue|failedReason". */
static char *run_job(struct test_queue *q, const char *name)
{
    ox_queue *queue = NULL;
    ox_error err = { 0 };
    char *id = NULL;
    test_ok(ox_queue_new(&queue, q->client, name, NULL, &err), &err);
    test_ok(ox_queue_add(queue, "do", "{}", NULL, &id, &err), &err);
    test_job_ends(queue, id, worker);
    g_autofree char *value = test_redis_text(redis, "HGET bull:%s:%s returnvalue", name, id);
    g_autofree char *reason = test_redis_text(redis, "HGET bull:%s:%s failedReason", name, id);
    ox_free(id);
    ox_queue_free(queue);
    return g_strdup_printf("%s|%s", value ? value : "", reason ? reason : "");
}

/* To root's eyes: no process below the worker was started with a secret. */
static void expect_clean_children(void)
{
    static const char *const names[] = { "environ", "cmdline" };
    g_autoptr(GArray) tree = proc_tree(worker->pid);
    assert_true(tree->len > 4);
    for (guint i = 1; i < tree->len; i++) {
        for (size_t n = 0; n < G_N_ELEMENTS(names); n++) {
            g_autofree char *path =
                g_strdup_printf("/proc/%d/%s", (int)g_array_index(tree, pid_t, i), names[n]);
            gsize length = 0;
            g_autofree char *text = test_read(path, &length);
            if (text && g_strstr_len(text, (gssize)length, SECRET))
                test_fatal("%s shows a secret", path);
        }
    }
}

#define HOOK "'h=webhook:http://user:" SECRET "@127.0.0.1:1/" SECRET "'"

static void expect_program(struct test_queue *q, const char *variables)
{
    g_autofree char *got = run_job(q, "q");
    g_autofree char *wanted = geteuid() == 0 ? g_strdup_printf("\"%s\"|", variables)
                                             : g_strdup_printf("\"%s%sseen=all opened=0\"|",
                                                   variables, *variables ? "\\n" : "");
    if (strcmp(got, geteuid() == 0 && !*variables ? "null|" : wanted) != 0)
        test_fatal("the program said %s instead of %s", got, wanted);
}

static void secrets_are_for_their_handlers(void **state)
{
    struct test_queue *q = *state;
    /* (The URL of the webhook is on the worker's own command line, but for its password.) */
    g_autofree char *url = g_build_filename(folder, "url", NULL);
    test_write(url, "http://user:" SECRET "@127.0.0.1:1/" SECRET "\n", -1);
    g_autofree char *routes =
        g_strdup_printf("h=webhook:@%s s=sql q=exec:%s/program", url, folder);
    start(routes);
    g_autofree char *rows = run_job(q, "s"), *hook = run_job(q, "h");
    assert_string_equal(rows, "[{\"one\":1}]|");
    assert_non_null(strstr(hook, "|webhook: "));
    if (geteuid() == 0)
        expect_clean_children();
    expect_program(q, "");
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "env_without=WEBHOOK_SECRET,DATABASE_URL,PGPASSWORD"));
}

static void a_password_on_our_command_line_is_on_no_other(void **state)
{
    struct test_queue *q = *state;
    if (geteuid() != 0)
        skip();
    g_autofree char *routes = g_strdup_printf("%s s=sql q=exec:%s/program", HOOK, folder);
    start(routes);
    g_free(run_job(q, "h"));
    g_free(run_job(q, "s"));
    expect_clean_children();
}

static void a_program_gets_what_it_is_passed(void **state)
{
    struct test_queue *q = *state;
    if (geteuid() != 0)
        skip();
    g_autofree char *routes =
        g_strdup_printf("--pass-env DATABASE_URL h=webhook:http://127.0.0.1:1/ s=sql "
                        "q=exec:%s/program",
            folder);
    start(routes);
    expect_program(q, "DATABASE_URL");
}

/* Programs often need a database. */
static void what_no_handler_reads_stays(void **state)
{
    struct test_queue *q = *state;
    if (geteuid() != 0)
        skip();
    g_autofree char *routes = g_strdup_printf("q=exec:%s/program", folder);
    start(routes);
    expect_program(q, "WEBHOOK_SECRET\\nDATABASE_URL\\nPGPASSWORD");
}

static void only_secrets_are_passed(void **state)
{
    (void)state;
    g_autofree char *err = NULL;
    assert_int_equal(test_run_words(NULL, &err, "ox-worker", "--redis", redis->url,
                         "--pass-env=REDIS_URL", "q=noop", NULL),
        2);
    assert_non_null(
        strstr(err, "q=noop: --pass-env: \"REDIS_URL\" is not a secret of a handler, "
                    "as are: "));
    assert_non_null(strstr(err, "DATABASE_URL"));
}

/* In a file it is a key with a line, of the route or of the whole worker. */
static void a_wrong_key_is_told_with_its_line(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[handler q/*]\nrun = noop\n\npass-env = REDIS_URL\n",
        "[handler q/*]\nrun = noop\n[worker]\npass-env = REDIS_URL\n",
    };
    g_autofree char *path = g_build_filename(folder, "conf", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char
            *err = NULL,
            *wanted = g_strconcat(path,
                ":4: pass-env: \"REDIS_URL\" is not a secret of a handler, as are: ", NULL);
        test_write(path, texts[i], -1);
        assert_int_equal(
            test_run_words(NULL, &err, "ox-worker", "--check-config", "--config", path, NULL),
            2);
        if (!strstr(err, wanted))
            test_fatal("stderr: %s", err);
    }
}

/* ---- */

static int set_up(void **state)
{
    folder = test_dir_new();
    return test_queue_up(state);
}

static int tear_down(void **state)
{
    if (worker) {
        test_process_signal(worker, SIGTERM);
        test_process_wait(worker, DEADLINE_MS);
    }
    test_process_free(worker);
    worker = NULL;
    g_free(folder);
    return test_queue_down(state);
}

static int run_all(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(secrets_are_for_their_handlers),
        TEST(a_password_on_our_command_line_is_on_no_other),
        TEST(a_program_gets_what_it_is_passed),
        TEST(what_no_handler_reads_stays),
        TEST(only_secrets_are_passed),
        TEST(a_wrong_key_is_told_with_its_line),
    };
    return cmocka_run_group_tests_name(
        geteuid() == 0 ? "root" : "another user", tests, test_server_up, test_server_down);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--spy") == 0)
        return spy((pid_t)strtol(argv[2], NULL, 10));
    self = g_canonicalize_filename(argv[0], NULL);
    int failed = test_as_plain_user(run_all) + run_all();
    g_free(self);
    return failed;
}
