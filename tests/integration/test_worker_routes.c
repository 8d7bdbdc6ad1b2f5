/*
 * test_worker_routes.c - routes of a settings file: which handler has which job, how many run
 * at once, and what becomes of the jobs of a route that cannot start.
 */
#include "settings_bench.h"

/* ---- routes ------------------------------------------------------------------------------ */

static void jobs_are_routed_by_name(void **state)
{
    (void)state;
    start("[handler q/one]\nrun = tell\n[handler q/two]\nrun = copy\n");
    run_and_expect("q", "one", "\"q 1 one 1 7\"");
    run_and_expect("q", "two", "{\"a\":1}");
    char *id = add("q", "three", "{}");
    await_state("q", id, OX_FAILED);
    expect_field_of("q", id, "failedReason",
        "no handler for jobs named three; the queue q has one for one, two");
    expect_field_of("q", id, "atm", "1");
    await_line(
        "event=failed queue=q id=3 name=three attempt=1 type=no-handler reason=\"no handler "
        "for jobs named three; the queue q has one for one, two\"");
    ox_free(id);
    stop();
}

static void the_star_takes_the_rest(void **state)
{
    (void)state;
    start("[handler q/*]\nrun = copy\n[handler q/one]\nrun = tell\n");
    run_and_expect("q", "one", "\"q 1 one 1 7\"");
    run_and_expect("q", "other", "{\"a\":1}");
    stop();
}

/* How many jobs run at once is the queue's, whichever routes they take. */
static void concurrency_is_the_queues(void **state)
{
    (void)state;
    start(
        "[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\n[handler q/y]\nrun = until\n");
    g_autofree char *one = gate("1"), *two = gate("2"), *three = gate("3");
    ox_free(add("q", "x", one));
    ox_free(add("q", "y", two));
    char *last = add("q", "x", three);
    await_begun("1");
    await_begun("2");
    await_state("q", last, OX_WAITING);
    assert_false(has_begun("3"));
    open_gate("1");
    await_begun("3");
    open_gate("2");
    open_gate("3");
    await_state("q", last, OX_COMPLETED);
    ox_free(last);
    stop();
}

static bool has_few_children(void *arg)
{
    (void)arg;
    g_autofree char *status = ask_status();
    return count_of(status, "event=slot") <= 4;
}

/* Children that wait for jobs of other names do not add up: besides those for the jobs that run
 * at once, each further route keeps one at most. */
static void idle_children_are_few(void **state)
{
    (void)state;
    start("[queue q]\nconcurrency = 2\n[handler q/x]\nrun = until\n[handler q/y]\nrun = until\n"
          "[handler q/z]\nrun = until\n");
    for (const char *name = "x\0y\0z\0"; *name; name += 2) {
        g_autofree char *first = g_strconcat(name, "1", NULL), *one = gate(first);
        g_autofree char *second = g_strconcat(name, "2", NULL), *two = gate(second);
        char *ids[] = { add("q", name, one), add("q", name, two) };
        await_begun(first);
        await_begun(second);
        open_gate(first);
        open_gate(second);
        for (int i = 0; i < 2; i++) {
            await_state("q", ids[i], OX_COMPLETED);
            ox_free(ids[i]);
        }
    }
    assert_true(test_wait_for(DEADLINE_MS, has_few_children, NULL));
    stop();
}

/* ---- routes that rest -------------------------------------------------------------------- */

/* Each route has a file without which its children do not start. */
static void start_fickle(const char *more)
{
    g_autofree char *text = g_strdup_printf("[queue q]\nconcurrency = 2\n"
                                            "[handler q/x]\nrun = fickle:%s/x\n%s",
        bench.folder, more);
    start(text);
}

static bool was_taken_thrice(void *id)
{
    /* No field counts it: each start was given back. */
    static const char count[] = "local n = 0 for _, e in ipairs(redis.call('XRANGE', KEYS[1], "
                                "'-', '+')) do local f = table.concat(e[2], ' ') if "
                                "f:find('event active jobId ' .. ARGV[1] .. ' ', 1, true) then "
                                "n = n + 1 end end return n";
    return test_redis_int(redis, "EVAL %s 1 bull:q:events %s", count, (const char *)id) >= 3;
}

/* Jobs of a route that cannot start come and go, at no cost; those of the other one run. */
static void a_route_rests_alone(void **state)
{
    (void)state;
    start_fickle("[handler q/y]\nrun = tell\n");
    char *ids[3];
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
        ids[i] = add("q", "x", "{}");
    await_line("event=start-failed queue=q route=x handler=fickle "
               "reason=\"the file is not there\" retry_ms=1000");
    run_and_expect("q", "y", "\"q 4 y 1 7\"");
    await_state("q", ids[0], OX_DELAYED);
    g_autofree char *status = ask_status();
    if (!strstr(status, "event=resting queue=q route=x handler=fickle "
                        "reason=\"the file is not there\" retry_ms=") ||
        !strstr(status, " busy=0 resting=1 "))
        test_fatal("%s", status);
    assert_true(test_wait_for(DEADLINE_MS, was_taken_thrice, ids[2]));
    run_and_expect("q", "y", "\"q 5 y 1 7\"");
    open_gate("x");
    await_line("event=started-again queue=q route=x handler=fickle");
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *returns = g_strdup_printf("\"q %s x 1 2\"", ids[i]);
        await_state("q", ids[i], OX_COMPLETED);
        expect_field_of("q", ids[i], "returnvalue", returns);
        expect_field_of("q", ids[i], "atm", "1");
        expect_field_of("q", ids[i], "ats", "1");
        ox_free(ids[i]);
    }
    g_autofree char *after = ask_status();
    assert_null(strstr(after, "event=resting"));
    stop();
    g_autofree char *err = test_process_err(bench.worker);
    assert_int_equal(count_of(err, "event=start-failed"), 1);
    assert_int_equal(count_of(err, "event=started-again"), 1);
    assert_int_equal(count_of(err, "event=released"), 0);
    assert_int_equal(count_of(err, "event=delayed"), 0);
}

/* Nothing is taken then, so that other workers have the jobs; one route that is back is enough.
 */
static void all_routes_rest_as_one(void **state)
{
    (void)state;
    g_autofree char *other =
        g_strdup_printf("[handler q/y]\nrun = fickle:%s/y\n", bench.folder);
    start_fickle(other);
    char *x = add("q", "x", "{}");
    await_line("event=start-failed queue=q route=x");
    char *y = add("q", "y", "{}");
    await_line("event=start-failed queue=q route=y");
    await_state("q", y, OX_WAITING);
    g_autofree char *status = ask_status();
    assert_non_null(strstr(status, " resting=2 "));
    char *later = add("q", "x", "{}");
    open_gate("y");
    await_state("q", y, OX_COMPLETED);
    await_state("q", later, OX_DELAYED);
    open_gate("x");
    await_state("q", x, OX_COMPLETED);
    await_state("q", later, OX_COMPLETED);
    ox_free(x);
    ox_free(y);
    ox_free(later);
    stop();
}

#define MANY 300

static bool all_are_delayed(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "ZCARD bull:q:delayed") == MANY;
}

/* When the job is due that stands there among the delayed ones, in ms; -1: the last. */
static double due_at(int rank)
{
    redisReply *reply =
        test_redis_command(redis, "ZRANGE bull:q:delayed %d %d WITHSCORES", rank, rank);
    double due = g_ascii_strtod(reply->element[1]->str, NULL) / 4096;
    freeReplyObject(reply);
    return due;
}

/* They do not come back in one crowd: 5 ms lie between two. */
static void many_jobs_come_back_one_by_one(void **state)
{
    (void)state;
    start_fickle("[handler q/y]\nrun = tell\n");
    for (int i = 0; i < MANY; i++)
        ox_free(add("q", "x", "{}"));
    char *behind = add("q", "y", "{}");
    await_state("q", behind, OX_COMPLETED);
    assert_true(test_wait_for(DEADLINE_MS, all_are_delayed, NULL));
    double took_ms = due_at(-1) - due_at(0);
    if (took_ms < MANY * 5 * 0.8)
        test_fatal("all %d are back within %.0f ms", MANY, took_ms);
    ox_free(behind);
    stop();
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    const struct CMUnitTest tests[] = {
        WITH_SETTINGS(jobs_are_routed_by_name),
        WITH_SETTINGS(the_star_takes_the_rest),
        WITH_SETTINGS(concurrency_is_the_queues),
        WITH_SETTINGS(idle_children_are_few),
        WITH_SETTINGS(a_route_rests_alone),
        WITH_SETTINGS(all_routes_rest_as_one),
        WITH_SETTINGS(many_jobs_come_back_one_by_one),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
