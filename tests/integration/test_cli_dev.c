/*
 * test_cli_dev.c - ox dev: everything starts, is used, stops, and nothing stays or is lost,
 * whoever dies first.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"

#define DEADLINE_MS 30000

/* One `ox dev --json` and what it said about itself. */
struct dev {
    struct test_process *process;
    char *url;
    pid_t redis, worker; /* worker 0: none */
};

static char *dir;

static bool is_whole_line(void *arg)
{
    struct dev *dev = arg;
    g_autofree char *said = test_process_out(dev->process);
    return strchr(said, '\n') || test_process_wait(dev->process, 0) != TEST_STILL_RUNNING;
}

/* Reads the line that says where everything is. */
static void read_line(struct dev *dev)
{
    test_wait_for(DEADLINE_MS, is_whole_line, dev);
    g_autofree char *said = test_process_out(dev->process);
    json_t *line = json_loads(said, 0, NULL);
    if (!line) {
        g_autofree char *err = test_process_err(dev->process);
        test_fatal("ox dev did not start: %s%s", said, err);
    }
    dev->url = g_strdup(json_string_value(json_object_get(line, "url")));
    dev->redis = (pid_t)json_integer_value(json_object_get(line, "redis"));
    dev->worker = (pid_t)json_integer_value(json_object_get(line, "worker"));
    json_decref(line);
    g_setenv("OX_REDIS_URL", dev->url, TRUE);
}

/* Starts it on a folder; `words`, separated by spaces, follow. */
static struct dev start(const char *folder, const char *words)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_auto(GStrv) more = g_strsplit(words, " ", -1);
    const char *const first[] = { "ox", "dev", "--json", "--dir", folder };
    for (size_t i = 0; i < G_N_ELEMENTS(first); i++)
        g_ptr_array_add(argv, (gpointer)first[i]);
    for (char **word = more; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, NULL);
    struct dev dev = { .process = test_start((const char *const *)argv->pdata, NULL) };
    read_line(&dev);
    return dev;
}

/* Until the worker takes jobs. */
static void await_worker(struct dev *dev)
{
    assert_true(test_process_says(dev->process, "event=connected", DEADLINE_MS));
}

static bool is_gone(void *arg)
{
    return kill(*(pid_t *)arg, 0) < 0;
}

/* Waits for the end and checks that nothing of it is left. Frees `dev`. */
static char *expect_end(struct dev *dev, int status)
{
    int ended = test_process_wait(dev->process, DEADLINE_MS);
    char *err = test_process_err(dev->process);
    if (ended != status)
        test_fatal("ox dev ended with %d: %s", ended, err);
    if (!test_wait_for(DEADLINE_MS, is_gone, &dev->redis) ||
        (dev->worker && !test_wait_for(DEADLINE_MS, is_gone, &dev->worker)))
        test_fatal("something of ox dev still runs");
    test_process_free(dev->process);
    g_free(dev->url);
    return err;
}

static void stop(struct dev *dev)
{
    test_process_signal(dev->process, SIGTERM);
    g_free(expect_end(dev, 0));
}

static void expect_said(char *text, const char *part)
{
    g_autofree char *owned = text;
    if (!strstr(owned, part))
        test_fatal("\"%s\" is not in: %s", part, owned);
}

static void expect_ox(const char *result, const char *a, const char *b, const char *c,
    const char *d, const char *e)
{
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, "ox", a, b, c, d, e, NULL);
    if (status || strcmp(out, result))
        test_fatal("ox %s: %d %s%s", a, status, out, err);
}

/* ---- tests ---------------------------------------------------------------------------------
 */

static void jobs_survive_restart(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "new", "folder", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    assert_true(dev.redis > 0 && dev.worker > 0);
    expect_ox("{\"a\":1}\n", "add", "echo", "hello", "{\"a\":1}", "--wait=20s");
    expect_ox("2\n", "add", "echo", "later", "--delay", "1h");
    stop(&dev);
    dev = start(folder, "--no-worker");
    assert_int_equal(dev.worker, 0);
    g_autofree char *out = NULL;
    assert_int_equal(test_run_words(&out, NULL, "ox", "jobs", "echo", NULL), 0);
    if (!g_str_has_prefix(out, "2\tlater\tdelayed\t") || !strstr(out, "\n1\thello\tcompleted"))
        test_fatal("after the restart there is: %s", out);
    stop(&dev);
}

static bool all_are_done(void *arg)
{
    (void)arg;
    g_autofree char *out = NULL;
    return test_run_words(&out, NULL, "ox", "counts", "echo", NULL) == 0 &&
           strstr(out, "completed\t500\n");
}

/* Stopped in the middle of work: what was not done then is done after the next start. */
static void stop_loses_no_job(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "busy", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    GString *lines = g_string_new(NULL);
    for (int i = 0; i < 500; i++)
        g_string_append_printf(lines, "%d\n", i);
    const char *const import[] = { "ox", "import", "echo", "--name", "n", NULL };
    await_worker(&dev);
    assert_int_equal(test_run(import, lines->str, NULL, NULL), 0);
    g_string_free(lines, TRUE);
    stop(&dev);
    dev = start(folder, "-- echo=echo");
    assert_true(test_wait_for(DEADLINE_MS, all_are_done, NULL));
    stop(&dev);
}

static void the_folder_is_private_and_there_is_no_port(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "private", NULL);
    struct dev dev = start(folder, "--no-worker");
    struct stat info;
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 077, 0);
    g_autofree char *command = g_strdup_printf("/proc/%d/net/tcp", (int)dev.redis);
    g_autofree char *fds = g_strdup_printf("/proc/%d/fd", (int)dev.redis);
    g_autofree char *tcp = test_read(command, NULL);
    assert_non_null(tcp);
    /* A listening socket of the server would show its inode in both places. */
    g_autoptr(GDir) open_fds = g_dir_open(fds, 0, NULL);
    const char *name;
    assert_non_null(open_fds);
    while ((name = g_dir_read_name(open_fds))) {
        g_autofree char *path = g_build_filename(fds, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);
        if (!target || !g_str_has_prefix(target, "socket:["))
            continue;
        g_autofree char *inode = g_strndup(target + 8, strlen(target) - 9);
        g_autofree char *cell = g_strdup_printf(" %s ", inode);
        if (strstr(tcp, cell))
            test_fatal("the server has a TCP socket");
    }
    stop(&dev);
}

/* Nothing in the folder may be used by others. */
static void expect_closed(const char *folder)
{
    g_autoptr(GDir) entries = g_dir_open(folder, 0, NULL);
    const char *name;
    int seen = 0;
    for (; (name = g_dir_read_name(entries)); seen++) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct stat info;
        assert_int_equal(lstat(path, &info), 0);
        if (info.st_mode & 077)
            test_fatal("others may use %s: %o", path, (unsigned)info.st_mode);
    }
    assert_true(seen >= 4);
}

/* New files, and those that lay there under the modes of a usual umask. */
static void data_is_private_in_shared_folder(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "open", NULL);
    g_autofree char *log = g_build_filename(folder, "redis.log", NULL);
    g_autofree char *data = g_build_filename(folder, "appendonlydir", NULL);
    assert_int_equal(g_mkdir_with_parents(folder, 0755), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    struct dev dev = start(folder, "--no-worker");
    expect_ox("1\n", "add", "q", "secret", "1", NULL);
    expect_closed(folder);
    stop(&dev);
    assert_true(chmod(log, 0644) == 0 && chmod(data, 0755) == 0);
    dev = start(folder, "--no-worker");
    expect_closed(folder);
    struct stat info;
    assert_int_equal(stat(folder, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0755); /* it may hold other things as well */
    stop(&dev);
}

/* The default folder holds nothing else, so it is closed as a whole. */
static void default_folder_is_closed_to_others(void **state)
{
    (void)state;
    g_autofree char *line = g_strdup_printf(
        "cd '%s' && mkdir -m 755 .ox && { timeout -s TERM 20 '%s/ox' dev --no-worker & p=$!; "
        "until [ -S .ox/redis.sock ]; do sleep 0.02; done; stat -c %%a .ox; kill $p; wait $p; "
        "}",
        dir, test_build_dir());
    g_autofree char *out = NULL;
    assert_int_equal(test_run_words(&out, NULL, "sh", "-c", line, NULL), 0);
    assert_true(g_str_has_suffix(out, "700\n") || strstr(out, "700\nunix:"));
}

static void reports_missing_signalfd(void **state)
{
    (void)state;
    g_autofree char *line = g_strdup_printf(
        "cd '%s' && ulimit -n 4 && exec '%s/ox' dev --no-worker", dir, test_build_dir());
    g_autofree char *err = NULL;
    assert_int_equal(test_run_words(NULL, &err, "sh", "-c", line, NULL), 1);
    if (!strstr(err, "cannot listen for signals: Too many open files"))
        test_fatal("%s", err);
}

static void rejects_second_instance(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "twice", NULL);
    struct dev dev = start(folder, "--no-worker");
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, "ox", "dev", "--no-worker", "--dir", folder, NULL);
    if (status != 1 || *out || !strstr(err, "already running in") || !strstr(err, dev.url))
        test_fatal("%d %s%s", status, out, err);
    expect_ox("1\n", "add", "q", "still", "1", NULL);
    stop(&dev);
}

static void exits_when_server_dies(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "server", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    kill(dev.redis, SIGKILL);
    expect_said(expect_end(&dev, 1), "Redis was ended by signal 9");
}

static void exits_when_worker_dies(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "worker", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    kill(dev.worker, SIGKILL);
    expect_said(expect_end(&dev, 1), "the worker was ended by signal 9");
}

/* A worker that does not stop holds everything up until somebody insists. */
static void a_worker_that_hangs_is_killed_at_the_third_signal(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "hangs", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    await_worker(&dev);
    kill(dev.worker, SIGSTOP);
    test_process_signal(dev.process, SIGTERM);
    assert_true(test_process_says(dev.process, "Ctrl-C again", DEADLINE_MS));
    test_process_signal(dev.process, SIGINT);
    assert_int_equal(test_process_wait(dev.process, 300), TEST_STILL_RUNNING);
    assert_int_equal(kill(dev.redis, 0), 0);
    test_process_signal(dev.process, SIGINT);
    expect_said(expect_end(&dev, 1), "the worker was ended by signal 9");
}

static void exits_on_bad_worker_arguments(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "words", NULL);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status =
        test_run_words(&out, &err, "ox", "dev", "--dir", folder, "--", "nonsense", NULL);
    if (status != 1 || !strstr(err, "the worker ended with exit status 2"))
        test_fatal("%d %s%s", status, out, err);
}

/* Not even SIGKILL leaves anything behind, and the folder can be used again. */
static void kill_leaves_no_children(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "killed", NULL);
    struct dev dev = start(folder, "-- echo=echo");
    expect_ox("1\n", "add", "q", "kept", "1", NULL);
    test_process_signal(dev.process, SIGKILL);
    g_free(expect_end(&dev, 128 + SIGKILL));
    dev = start(folder, "--no-worker");
    expect_ox("active\t0\nwaiting\t1\nprioritized\t0\ndelayed\t0\nwaiting-children\t0\n"
              "completed\t0\nfailed\t0\n",
        "counts", "q", NULL, NULL, NULL);
    stop(&dev);
}

/* A path that is too long for a socket still gives a server that can be reached. */
static void long_paths_work(void **state)
{
    (void)state;
    GString *folder = g_string_new(dir);
    for (int i = 0; i < 4; i++)
        g_string_append(folder, "/a folder with a name that is rather long");
    struct dev dev = start(folder->str, "--no-worker");
    assert_true(strlen(dev.url) < strlen(folder->str));
    expect_ox("1\n", "add", "q", "far", "1", NULL);
    g_autofree char *url = g_strdup(dev.url);
    stop(&dev);
    dev = start(folder->str, "--no-worker");
    assert_string_equal(dev.url, url);
    stop(&dev);
    assert_int_not_equal(access(url + strlen("unix://"), F_OK), 0);
    g_autofree char *log = g_build_filename(folder->str, "redis.log", NULL);
    assert_int_equal(access(log, F_OK), 0);
    g_string_free(folder, TRUE);
}

static void rejects_unusable_folder(void **state)
{
    (void)state;
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *below = g_build_filename(file, "folder", NULL);
    test_write(file, "", -1);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, "ox", "dev", "--dir", below, NULL);
    if (status != 1 || *out || !strstr(err, "cannot create the folder"))
        test_fatal("%d %s%s", status, out, err);
}

/* Data that Redis refuses: its own words are passed on. */
static void reports_server_that_does_not_start(void **state)
{
    (void)state;
    g_autofree char *folder = g_build_filename(dir, "broken", NULL);
    g_autofree char *data = g_build_filename(folder, "appendonlydir", NULL);
    g_autofree char *manifest = g_build_filename(data, "appendonly.aof.manifest", NULL);
    assert_int_equal(g_mkdir_with_parents(data, 0700), 0);
    test_write(manifest, "nonsense\n", -1);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, "ox", "dev", "--no-worker", "--dir", folder, NULL);
    if (status != 1 || *out || !strstr(err, "Redis ended with exit status 1") ||
        !strstr(err, "redis.log"))
        test_fatal("%d %s%s", status, out, err);
}

static int begin(void **state)
{
    (void)state;
    dir = test_dir_new();
    g_setenv("XDG_RUNTIME_DIR", dir, TRUE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_remove(dir);
    g_free(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_survive_restart),
        cmocka_unit_test(stop_loses_no_job),
        cmocka_unit_test(the_folder_is_private_and_there_is_no_port),
        cmocka_unit_test(data_is_private_in_shared_folder),
        cmocka_unit_test(default_folder_is_closed_to_others),
        cmocka_unit_test(reports_missing_signalfd),
        cmocka_unit_test(rejects_second_instance),
        cmocka_unit_test(exits_when_server_dies),
        cmocka_unit_test(exits_when_worker_dies),
        cmocka_unit_test(a_worker_that_hangs_is_killed_at_the_third_signal),
        cmocka_unit_test(exits_on_bad_worker_arguments),
        cmocka_unit_test(kill_leaves_no_children),
        cmocka_unit_test(long_paths_work),
        cmocka_unit_test(rejects_unusable_folder),
        cmocka_unit_test(reports_server_that_does_not_start),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
