/*
 * The command line of ox-worker: values, defaults, what is refused and with which words. The
 * program of handlers is this one.
 */
#include "../support/check.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "../support/files.h"
#include "../support/rogue.h"
#include "worker/log.h"
#include "worker/serve.h"
#include "worker/settings.h"

static const char *self;

/* Parses words, a space apart, with this program for the handlers. What is wrong is left in
 * *said, a line each (g_free). */
static enum settings_outcome parse(struct settings **out, const char *line, char **said)
{
    g_autofree char *whole = g_strdup_printf("ox-worker --handler-program %s %s", self, line);
    g_auto(GStrv) words = g_strsplit(whole, " ", -1);
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    enum settings_outcome outcome = settings_parse(out, words, faults);
    g_ptr_array_add(faults, NULL);
    *said = g_strjoinv("\n", (char **)faults->pdata);
    return outcome;
}

/* The settings of a line that is right; settings_unref() */
static struct settings *parse_good(const char *line)
{
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    if (parse(&settings, line, &said) != SETTINGS_RUN)
        test_fatal("%s: %s", line, said);
    return settings;
}

static void assert_wrong(const char *line, const char *problem)
{
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    assert_int_equal(parse(&settings, line, &said), SETTINGS_WRONG);
    assert_string_equal(said, problem);
    settings_unref(settings);
}

static void defaults(void **state)
{
    (void)state;
    struct settings *settings = parse_good("q=tell");
    assert_string_equal(settings->redis, "redis://127.0.0.1:6379");
    assert_string_equal(settings->prefix, "bull");
    assert_false(settings->legacy_pause);
    assert_null(settings->name);
    assert_int_equal(settings->grace_ms, 30000);
    assert_int_equal(settings->lock_ms, 10000);
    assert_int_equal(settings->log_format, LOG_LOGFMT);
    assert_int_equal(settings->log_level, LOG_INFO);
    assert_int_equal(settings->queue_count, 1);
    const struct queue_settings *queue = &settings->queues[0];
    const struct route_settings *route = &queue->routes[0];
    assert_string_equal(queue->queue, "q");
    assert_int_equal(queue->route_count, 1);
    assert_string_equal(route->queue, "q");
    assert_string_equal(route->job, ANY_JOB);
    assert_string_equal(route->handler, "tell");
    assert_null(route->arg);
    assert_true(route->options != NULL && route->options[0] == NULL);
    assert_int_equal(queue->concurrency, g_get_num_processors());
    assert_int_equal(route->timeout_ms, 60000);
    assert_int_equal(route->recycle, 0);
    assert_int_equal(queue->limit.max, 0);
    settings_unref(settings);
}

static void all_options(void **state)
{
    (void)state;
    struct settings *settings =
        parse_good("--redis unix:///x --prefix p:q --legacy-pause --name n --concurrency=3 "
                   "--timeout 5m --grace 0 --lock 500ms --limiter 100/1s --recycle 9 "
                   "--lock-after 0 --ahead 0 "
                   "--metrics 30 --stalled-interval 7s --batch 9 --calls 2 --events off "
                   "--remove-on-complete 1d --remove-on-fail count=17,age=1h --log-format json "
                   "--log-level debug --max-stalled any --max-started 20 --on-disconnect kill "
                   "a=tell b=copy:x:y=z");
    assert_string_equal(settings->redis, "unix:///x");
    assert_string_equal(settings->prefix, "p:q");
    assert_true(settings->legacy_pause);
    assert_string_equal(settings->name, "n");
    assert_int_equal(settings->grace_ms, 0);
    assert_int_equal(settings->lock_ms, 500);
    assert_int_equal(settings->metrics, 30);
    assert_int_equal(settings->stalled_interval_ms, 7000);
    assert_int_equal(settings->batch, 9);
    assert_int_equal(settings->calls, 2);
    assert_int_equal(settings->events, 1);
    assert_int_equal(settings->remove_on_complete.age_s, 86400);
    assert_int_equal(settings->remove_on_fail.count, 17);
    assert_int_equal(settings->remove_on_fail.age_s, 3600);
    assert_int_equal(settings->log_format, LOG_JSON);
    assert_int_equal(settings->log_level, LOG_DEBUG);
    assert_int_equal(settings->max_stalled, -1);
    assert_int_equal(settings->max_started, 20);
    assert_int_equal(settings->on_disconnect, OX_DISCONNECT_KILL);
    assert_int_equal(settings->queue_count, 2);
    const struct queue_settings *queue = &settings->queues[1];
    assert_string_equal(queue->queue, "b");
    assert_string_equal(queue->routes[0].handler, "copy");
    assert_string_equal(queue->routes[0].arg, "x:y=z");
    assert_int_equal(queue->concurrency, 3);
    assert_int_equal(queue->routes[0].timeout_ms, 300000);
    assert_int_equal(queue->routes[0].recycle, 9);
    assert_int_equal(queue->limit.max, 100);
    assert_int_equal(queue->limit.duration_ms, 1000);
    settings_unref(settings);
}

static void runs_without_a_lock(void **state)
{
    (void)state;
    struct settings *settings =
        parse_good("--lock-after 30ms --late-start --stalled-interval 100ms a=tell");
    assert_int_equal(settings->queues[0].lock_after_ms, 30);
    assert_true(settings->queues[0].late_start);
    settings_unref(settings);
    assert_wrong("--lock-after 51ms --stalled-interval 100ms a=tell",
        "lock-after (51ms) of the queue a must be at most half of the stalled interval "
        "(100ms)");
    assert_wrong("--lock-after 3s a=tell",
        "lock-after (3s) of the queue a must be at most half of the stalled interval (5s)");
    assert_wrong("--lock-after 20ms --on-disconnect kill a=tell",
        "lock-after requires on-disconnect = continue");
    assert_wrong("--late-start a=tell", "late-start requires lock-after");
    assert_wrong("--ahead 1 a/x=tell a/y=tell",
        "ahead requires one handler for all jobs of a queue; the queue a has 2, and "
        "needs ahead = 0");
}

static void the_server_comes_from_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *ox, *plain, *line, *wanted;
    } rows[] = {
        { NULL, NULL, "q=tell", "redis://127.0.0.1:6379" },
        { NULL, "redis://b", "q=tell", "redis://b" },
        { "", "redis://b", "q=tell", "redis://b" },
        { "redis://a", "redis://b", "q=tell", "redis://a" },
        { "redis://a", "redis://b", "--redis redis://c q=tell", "redis://c" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_unsetenv("OX_REDIS_URL");
        g_unsetenv("REDIS_URL");
        if (rows[i].ox)
            g_setenv("OX_REDIS_URL", rows[i].ox, TRUE);
        if (rows[i].plain)
            g_setenv("REDIS_URL", rows[i].plain, TRUE);
        struct settings *settings = parse_good(rows[i].line);
        assert_string_equal(settings->redis, rows[i].wanted);
        settings_unref(settings);
    }
    g_unsetenv("OX_REDIS_URL");
    g_unsetenv("REDIS_URL");
}

static void reports_wrong_usage(void **state)
{
    (void)state;
    assert_wrong("", "'' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong(
        "q", "'q' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("=tell",
        "'=tell' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("-- --config=",
        "'--config=' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("-- --config /none",
        "'--config' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]\n"
        "'/none' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong(
        "q=", "'q=' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong(
        "q=:x", "'q=:x' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("/x=tell",
        "'/x=tell' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("x/=tell",
        "'x/=tell' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]");
    assert_wrong("a:b=tell", "a:b=tell: the queue name 'a:b' has a colon");
    assert_wrong("q=tell q=copy", "q=copy: the jobs q/* have a handler already (q=tell)");
    assert_wrong("--timeout 5 q=tell",
        "--timeout: \"5\" is not a duration such as 500ms, 10s, 5m, 2h or 1d");
    assert_wrong(
        "--concurrency 0 q=tell", "--concurrency: \"0\" is not a whole number from 1 to 1024");
    assert_wrong("--lock 0 q=tell", "--lock: \"0\" is less than 100ms");
    assert_wrong(
        "--limiter 100 q=tell", "--limiter: \"100\" is not MAX/DURATION, such as 100/1s");
    assert_wrong("--on-disconnect stop q=tell",
        "--on-disconnect: \"stop\" is not one of continue, kill");
    assert_wrong("--log-format xml q=tell", "--log-format: \"xml\" is not one of logfmt, json");
    assert_wrong("--log-level all q=tell",
        "--log-level: \"all\" is not one of error, warn, info, debug");
    assert_wrong("--max-stalled 0 q=tell",
        "--max-stalled: \"0\" is not a whole number from 1 on, or any");
    assert_wrong("--max-started 0 q=tell",
        "--max-started: \"0\" is not a whole number from 1 on, or any");
    assert_wrong("--remove-on-fail some q=tell",
        "--remove-on-fail: \"some\" is not true, false, a number of jobs, an age such as 1d "
        "(at least 1s), or count=N,age=TIME,limit=N");
    assert_wrong("--name  q=tell", "--name: \"\" is not a name of visible ASCII characters");
    assert_wrong("--bogus q=tell", "unknown option --bogus");
    assert_wrong("--timeuot 5s q=tell", "unknown option --timeuot; did you mean --timeout?");
    assert_wrong("--rot / q=tell", "unknown option --rot; did you mean --root?");
    assert_wrong("--legacy-pause=no q=tell", "--legacy-pause takes no value");
}

static void handlers_are_asked(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    assert_int_equal(parse(&settings, "q=nothing", &said), SETTINGS_WRONG);
    assert_true(g_str_has_prefix(
        said, "q=nothing: no handler is called nothing; there are: tell, copy, "));
    settings_unref(settings);
    assert_wrong("q=wrong", "q=wrong: the root is missing, with 3");
    assert_wrong(
        "--handler-program /nowhere q=tell", "--handler-program: /nowhere is not a program");
}

/* Options of handlers are rows that the program of handlers lists; the child reads them. */
static void handlers_have_options(void **state)
{
    (void)state;
    assert_wrong("--root / q=wrong", "q=wrong: the root is /, with 3");
    assert_wrong("--root=/ --depth 7 q=wrong", "q=wrong: the root is /, with 7");
    assert_wrong(
        "--depth x q=wrong", "q=wrong: --depth: \"x\" is not a whole number from 0 to 9");
    assert_wrong("--deep=1 q=wrong", "--deep takes no value");
    assert_wrong("q=wrong --depth", "--depth needs a value");
    /* A handler gets its own options only. */
    struct settings *settings = parse_good("--root / --deep q=tell");
    assert_null(settings->queues[0].routes[0].options[0]);
    settings_unref(settings);
}

/* A check is a process: 200 queues with one handler need one. */
static void same_handler_is_checked_once(void **state)
{
    (void)state;
    g_autofree char *folder = test_dir_new();
    g_autofree char *path = g_build_filename(folder, "checks", NULL);
    g_autofree char *line =
        g_strdup_printf("a=count:%s b=count:%s c=count:%s d=tell", path, path, path);
    settings_unref(parse_good(line));
    g_autofree char *checks = test_read(path, NULL);
    assert_string_equal(checks, "x");
    /* But all of them are checked. */
    assert_wrong("a=tell b=wrong", "b=wrong: the root is missing, with 3");
    test_remove(folder);
}

static void passwords_are_not_shown(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "redis://127.0.0.1:6379", "redis://127.0.0.1:6379" },
        { "redis://user:secret@host/1", "redis://user:***@host/1" },
        { "redis://:secret@host", "redis://:***@host" },
        { "redis://user@host:6379", "redis://user@host:6379" },
        { "redis://u:se/cr@et@host", "redis://u:***@host" },
        { "unix://u:secret@/tmp/x.sock?db=1", "unix://u:***@/tmp/x.sock?db=1" },
        { "u:secret@host", "u:***@host" },
        { "a@b://host:1", "a@b://host:1" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = settings_redact(rows[i][0]);
        assert_string_equal(shown, rows[i][1]);
    }
}

static void children_get_the_settings_and_no_secrets(void **state)
{
    (void)state;
    char *options[] = { (char[]){ "--max-pixels=5" }, (char[]){ "--deep" }, NULL };
    char *secrets[] = { (char[]){ "OWN_SECRET" }, NULL };
    char *hidden[] = { (char[]){ "OTHER_SECRET" }, NULL };
    const struct route_settings route = {
        .queue = "q",
        .job = ANY_JOB,
        .handler = "h",
        .arg = "a b",
        .options = options,
        .secrets = secrets,
        .hidden = hidden,
        .memory_bytes = 4096,
    };
    g_auto(GStrv) argv = settings_child_argv(&route, 77);
    g_autofree char *line = g_strjoinv("|", argv);
    assert_string_equal(line, "ox-handler|--queue=q|--handler=h|--private-words|--sandbox=on|--"
                              "memory=4096|--tree=subreaper|--parent=77");
    g_setenv("OX_REDIS_URL", "redis://:secret@host", TRUE);
    g_setenv("OWN_SECRET", "own", TRUE);
    g_setenv("OTHER_SECRET", "other", TRUE);
    g_auto(GStrv) words = settings_private_words(&route);
    g_autofree char *told = g_strjoinv("|", words);
    assert_string_equal(told, "--arg=a b|--max-pixels=5|--deep|OWN_SECRET=own");
    g_auto(GStrv) env = settings_child_env(&route);
    g_unsetenv("OWN_SECRET");
    g_unsetenv("OTHER_SECRET");
    assert_null(g_environ_getenv(env, "OWN_SECRET"));
    assert_null(g_environ_getenv(env, "OTHER_SECRET"));
    assert_null(g_environ_getenv(env, "OX_REDIS_URL"));
    assert_non_null(g_environ_getenv(env, "PATH"));
    g_unsetenv("OX_REDIS_URL");
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(all_options),
        cmocka_unit_test(runs_without_a_lock),
        cmocka_unit_test(the_server_comes_from_the_environment),
        cmocka_unit_test(reports_wrong_usage),
        cmocka_unit_test(handlers_are_asked),
        cmocka_unit_test(handlers_have_options),
        cmocka_unit_test(same_handler_is_checked_once),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(children_get_the_settings_and_no_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
