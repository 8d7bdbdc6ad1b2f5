/*
 * test_worker_reload.c - settings that are read again while jobs run: what changes at once,
 * what with the next job, and what only a restart changes.
 */
#include "settings_bench.h"

static void concurrency_and_limiter_change(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 1\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2"), *three = gate("3");
    ox_free(add("q", "x", one));
    ox_free(add("q", "x", two));
    await_begun("1");
    assert_false(has_begun("2"));
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    await_begun("2"); /* while the first one runs on, in its old child */
    await_line("event=reloaded");
    reload("[queue q]\nconcurrency = 2\nlimiter = 1/1h\n[handler q/*]\nrun = until\n");
    await_line("event=reloaded");
    open_gate("1");
    open_gate("2");
    await_state("q", "1", OX_COMPLETED);
    await_state("q", "2", OX_COMPLETED);
    open_gate("3");
    char *third = add("q", "x", three), *fourth = add("q", "x", three);
    await_state("q", third, OX_COMPLETED); /* the one of this hour */
    assert_int_equal(test_redis_int(redis, "LLEN bull:q:wait"), 1);
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    await_state("q", fourth, OX_COMPLETED);
    ox_free(third);
    ox_free(fourth);
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=dropped"), 0);
}

/* A job ends in the child in which it began, and the next one meets the new handler. */
static void routes_change_beside_running_jobs(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1");
    char *running = add("q", "x", one);
    await_begun("1");
    reload(
        "[queue q]\nconcurrency = 2\n[handler q/*]\nrun = copy\n[handler q/t]\nrun = tell\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "{\"a\":1}");
    run_and_expect("q", "t", "\"q 3 t 1 7\"");
    await_state("q", running, OX_ACTIVE);
    open_gate("1");
    await_state("q", running, OX_COMPLETED);
    reload("[queue q]\nconcurrency = 2\n[handler q/t]\nrun = tell\n");
    await_line("event=reloaded");
    char *refused = add("q", "x", "{}");
    await_state("q", refused, OX_FAILED);
    ox_free(running);
    ox_free(refused);
    stop();
}

/* Who ran the first slot's job, or would run its next one; 0: no child. */
static int first_pid(void)
{
    g_autofree char *status = ask_status();
    const char *slot = strstr(status, "event=slot"), *pid = slot ? strstr(slot, "pid=") : NULL;
    return pid ? (int)g_ascii_strtoll(pid + strlen("pid="), NULL, 10) : 0;
}

/* Secrets, statements and programs are files that a child has read: it goes, too, when nothing
 * in the settings has changed. */
static void children_are_replaced(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    int before = first_pid();
    assert_int_not_equal(before, 0);
    reload("[handler q/*]\nrun = tell\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "\"q 2 x 1 7\"");
    assert_int_not_equal(first_pid(), before);
    stop();
}

static bool has_one_child(void *arg)
{
    (void)arg;
    g_autofree char *status = ask_status();
    return count_of(status, "event=slot") == 1;
}

/* A job that runs on keeps its own child, and no other, of the settings before. */
static void old_children_go_with_their_jobs(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2");
    char *ended = add("q", "x", one), *stuck = add("q", "x", two);
    await_begun("1");
    await_begun("2");
    reload("[queue q]\nconcurrency = 2\n[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    open_gate("1");
    await_state("q", ended, OX_COMPLETED);
    assert_true(test_wait_for(DEADLINE_MS, has_one_child, NULL));
    await_state("q", stuck, OX_ACTIVE);
    open_gate("2");
    await_state("q", stuck, OX_COMPLETED);
    ox_free(ended);
    ox_free(stuck);
    stop();
}

static void the_timeout_changes(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = until\ntimeout = 1h\n");
    g_autofree char *one = gate("1"), *two = gate("2");
    ox_free(add("q", "x", one));
    await_begun("1");
    open_gate("1");
    await_state("q", "1", OX_COMPLETED);
    reload("[handler q/*]\nrun = until\ntimeout = 200ms\n");
    await_line("event=reloaded");
    char *id = add("q", "x", two);
    await_state("q", id, OX_FAILED);
    expect_field_of("q", id, "failedReason", "handler killed: timeout after 200ms");
    ox_free(id);
    stop();
}

static void queues_come_and_go(void **state)
{
    (void)state;
    start("[handler a/*]\nrun = until\n[handler b/*]\nrun = tell\n");
    g_autofree char *one = gate("1");
    char *running = add("a", "x", one), *waiting = NULL;
    await_begun("1");
    reload("[handler b/*]\nrun = tell\n[handler c/*]\nrun = tell\n");
    await_line("event=queue-removed queue=a running=1");
    await_line("event=start ");
    await_line("event=reloaded");
    run_and_expect("c", "x", "\"c 1 x 1 7\"");
    waiting = add("a", "x", one);
    open_gate("1");
    await_state("a", running, OX_COMPLETED);
    await_state("a", waiting, OX_WAITING);
    reload("[handler a/*]\nrun = until\n[handler b/*]\nrun = tell\n");
    await_state("a", waiting, OX_COMPLETED);
    run_and_expect("b", "x", "\"b 1 x 1 7\"");
    ox_free(running);
    ox_free(waiting);
    stop();
}

static void bad_settings_change_nothing(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    reload("[handler q/*]\nrun = copy\ntimeout = soon\n[queue none]\n");
    g_autofree char *first = g_strdup_printf("event=bad-settings reason=\"%s:6: timeout: "
                                             "\\\"soon\\\" is not a duration",
        bench.conf);
    g_autofree char *second = g_strdup_printf(
        "event=bad-settings reason=\"%s:7: the queue none has no handler", bench.conf);
    await_line(first);
    await_line(second);
    await_line("event=not-reloaded");
    run_and_expect("q", "x", "\"q 1 x 1 7\"");
    reload("[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    run_and_expect("q", "x", "{\"a\":1}");
    stop();
}

static void what_needs_a_restart_is_told(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    write_conf("prefix = other\nlock = 7s\nlog-level = warn\n", "[handler q/*]\nrun = copy\n");
    test_process_signal(bench.worker, SIGHUP);
    await_line("event=needs-restart settings=\"prefix, lock\"");
    run_and_expect("q", "x", "{\"a\":1}"); /* on the queue of the old prefix */
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=completed"), 0); /* since the level is another one */
}

/* Whether a job has the new handler. */
static bool is_copied(void *arg)
{
    (void)arg;
    char *id = add("q", "x", "{\"a\":1}");
    await_state("q", id, OX_COMPLETED);
    g_autofree char *value = test_redis_text(redis, "HGET bull:q:%s returnvalue", id);
    ox_free(id);
    return !strcmp(value, "{\"a\":1}");
}

/* The second one waits for the first to be read. */
static void settings_are_read_as_often_as_asked(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = tell\n");
    for (int i = 0; i < 5; i++)
        test_process_signal(bench.worker, SIGHUP);
    reload("[handler q/*]\nrun = copy\n");
    await_line("event=reloaded");
    /* They are read once or twice, as the signals came. */
    assert_true(test_wait_for(DEADLINE_MS, is_copied, NULL));
    run_and_expect("q", "x", "{\"a\":1}");
    test_process_signal(bench.worker, SIGHUP);
    stop(); /* while they are read */
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    const struct CMUnitTest tests[] = {
        WITH_SETTINGS(concurrency_and_limiter_change),
        WITH_SETTINGS(routes_change_beside_running_jobs),
        WITH_SETTINGS(children_are_replaced),
        WITH_SETTINGS(old_children_go_with_their_jobs),
        WITH_SETTINGS(the_timeout_changes),
        WITH_SETTINGS(queues_come_and_go),
        WITH_SETTINGS(bad_settings_change_nothing),
        WITH_SETTINGS(what_needs_a_restart_is_told),
        WITH_SETTINGS(settings_are_read_as_often_as_asked),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
