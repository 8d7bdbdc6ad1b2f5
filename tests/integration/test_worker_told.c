/*
 * test_worker_told.c - what ox-worker tells of itself: its slots when it is asked by a signal,
 * and its state and its health to systemd.
 */
#include "settings_bench.h"

#include <unistd.h>

static void every_slot_is_told(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\ntimeout = 1h\n"
          "[handler q/y]\nrun = tell\n");
    g_autofree char *one = gate("secret-data");
    run_and_expect("q", "y", "\"q 1 y 1 7\"");
    char *id = add("q", "x", one);
    await_begun("secret-data");
    g_autofree char *status = ask_status();
    if (!strstr(status, "event=slot queue=q handler=tell pid=") ||
        !strstr(status, " state=idle rss=") ||
        !strstr(status, "event=slot queue=q handler=until pid=") ||
        !strstr(status, " state=busy id=2 name=x attempt=1 ms=") ||
        !strstr(status, " left_ms=3") ||
        !strstr(status, "event=status state=working queues=1 slots=2 busy=1 resting=0 pid="))
        test_fatal("%s", status);
    open_gate("secret-data");
    await_state("q", id, OX_COMPLETED);
    ox_free(id);
    test_process_signal(bench.worker, SIGTSTP);
    await_line("event=held");
    g_autofree char *held = ask_status();
    assert_non_null(strstr(held, "event=status state=held queues=1 slots=2 busy=0"));
    stop();
    /* And nothing of the data, at any time. */
    g_autofree char *err = test_process_err(bench.worker);
    assert_null(strstr(err, "secret-data"));
}

/* Reads what is told until something begins like this. */
static void await_told(int fd, const char *state)
{
    char text[256] = "";
    g_autoptr(GString) all = g_string_new(NULL);
    while (!g_str_has_prefix(text, state)) {
        ssize_t got = read(fd, text, sizeof text - 1);
        if (got <= 0)
            test_fatal("'%s' was not told, but: %s", state, all->str);
        text[got] = '\0';
        g_string_append_printf(all, "%s; ", text);
    }
}

static void systemd_is_told_of_everything(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(bench.folder, "notify", NULL);
    int fd = test_notify_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("WATCHDOG_USEC", "400000", TRUE);
    start("[queue q]\nconcurrency = 3\n[handler q/*]\nrun = until\n[queue r]\nconcurrency = 2\n"
          "[handler r/*]\nrun = inherit\n");
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    await_told(fd, "STATUS=connecting to Redis");
    await_told(fd, "READY=1");
    await_told(fd, "STATUS=2 queues, 0 of 5 slots busy");
    g_autofree char *one = gate("1");
    char *id = add("q", "x", one);
    await_told(fd, "STATUS=2 queues, 1 of 5 slots busy");
    await_told(fd, "WATCHDOG=1");
    await_told(fd, "WATCHDOG=1");
    reload("[queue q]\nconcurrency = 4\n[handler q/*]\nrun = until\n");
    await_told(fd, "RELOADING=1\nMONOTONIC_USEC=");
    await_told(fd, "READY=1");
    await_told(fd, "STATUS=1 queue, 1 of 4 slots busy");
    test_process_signal(bench.worker, SIGTERM);
    await_told(fd, "STOPPING=1");
    await_told(fd, "STATUS=draining: 1 queue, 1 of 4 slots busy");
    await_told(fd, "WATCHDOG=1");
    open_gate("1");
    test_worker_ends(bench.worker, 0);
    await_state("q", id, OX_COMPLETED);
    ox_free(id);
    close(fd);
}

/* A loop that stands still must not look alive. */
static void the_watchdog_is_of_another_process(void **state)
{
    (void)state;
    g_autofree char *path = g_build_filename(bench.folder, "notify", NULL);
    int fd = test_notify_socket(path);
    g_setenv("NOTIFY_SOCKET", path, TRUE);
    g_setenv("WATCHDOG_USEC", "100000", TRUE);
    g_setenv("WATCHDOG_PID", "1", TRUE);
    start("[handler q/*]\nrun = tell\n");
    g_unsetenv("NOTIFY_SOCKET");
    g_unsetenv("WATCHDOG_USEC");
    g_unsetenv("WATCHDOG_PID");
    await_told(fd, "READY=1");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    test_process_signal(bench.worker, SIGTERM);
    char text[256];
    for (bool stopping = false; !stopping;) {
        ssize_t got = read(fd, text, sizeof text - 1);
        assert_true(got > 0);
        text[got] = '\0';
        assert_false(g_str_has_prefix(text, "WATCHDOG"));
        stopping = g_str_has_prefix(text, "STOPPING");
    }
    test_worker_ends(bench.worker, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    const struct CMUnitTest tests[] = {
        WITH_SETTINGS(every_slot_is_told),
        WITH_SETTINGS(systemd_is_told_of_everything),
        WITH_SETTINGS(the_watchdog_is_of_another_process),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
