/*
 * The settings file of ox-worker: how it is read, which value counts, and what is said about
 * one that is wrong. The program of handlers is this one; the handlers are those of rogue.c.
 */
#include "../support/check.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "../support/rogue.h"
#include "worker/log.h"
#include "worker/serve.h"
#include "worker/settings.h"

static const char *self;
static char *folder;
static char *path; /* of the file */

/* Reads the file, with more words for the command line. What is wrong is left in *said, a line
 * each, without the file's name. */
static enum settings_outcome read_again(struct settings **out, const char *words, char **said)
{
    g_autofree char *line = g_strdup_printf(
        "ox-worker|--handler-program|%s|--config|%s%s%s", self, path, *words ? "|" : "", words);
    g_auto(GStrv) argv = g_strsplit(line, "|", -1);
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *begin = g_strconcat(path, ":", NULL);
    enum settings_outcome outcome = settings_parse(out, argv, faults);
    GString *lines = g_string_new(NULL);
    for (guint i = 0; i < faults->len; i++) {
        const char *fault = faults->pdata[i];
        bool ours = g_str_has_prefix(fault, begin);
        g_string_append_printf(
            lines, "%s%s", i > 0 ? "\n" : "", ours ? fault + strlen(begin) : fault);
    }
    *said = g_string_free(lines, FALSE);
    return outcome;
}

/* The same of a file of that text. */
static enum settings_outcome read_file(
    struct settings **out, const char *text, const char *words, char **said)
{
    test_write(path, text, -1);
    return read_again(out, words, said);
}

static struct settings *read_good(const char *text, const char *words)
{
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    if (read_file(&settings, text, words, &said) != SETTINGS_RUN)
        test_fatal("%s: %s", text, said);
    return settings;
}

static void expect_faults(const char *text, const char *faults)
{
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    enum settings_outcome outcome = read_file(&settings, text, "", &said);
    if (outcome != SETTINGS_WRONG || strcmp(said, faults) != 0)
        test_fatal("%s\ngave\n%s\ninstead of\n%s", text, said, faults);
    settings_unref(settings);
}

static const struct route_settings *route_of(
    const struct settings *settings, const char *queue, const char *job)
{
    const struct queue_settings *found = settings_queue(settings, queue, NULL);
    assert_non_null(found);
    const struct route_settings *route = settings_route(found, job);
    assert_non_null(route);
    return route;
}

/* ---- what is right -------------------------------------------------------------------------
 */

static void sections_say_what_runs(void **state)
{
    (void)state;
    struct settings *settings = read_good("[worker]\n"
                                          "redis = redis://10.0.0.1:6379\n"
                                          "log-level = debug\n"
                                          "legacy-pause = true\n"
                                          "timeout = 5m\n"
                                          "[queue images]\n"
                                          "concurrency = 2\n"
                                          "limiter = 100/1s\n"
                                          "[handler images/compress]     ; queue/job-name\n"
                                          "run = tell\n"
                                          "timeout = 61s\n"
                                          "recycle = 7\n"
                                          "[handler images/*]\n"
                                          "run = copy:some arg:ument\n"
                                          "[handler mail/*]\n"
                                          "run = tell\n",
        "");
    assert_string_equal(settings->redis, "redis://10.0.0.1:6379");
    assert_string_equal(settings->file, path);
    assert_int_equal(settings->log_level, LOG_DEBUG);
    assert_true(settings->legacy_pause);
    assert_int_equal(settings->queue_count, 2);
    const struct queue_settings *images = settings_queue(settings, "images", NULL);
    assert_int_equal(images->concurrency, 2);
    assert_int_equal(images->limit.max, 100);
    assert_int_equal(images->route_count, 2);
    assert_int_equal(
        settings_queue(settings, "mail", NULL)->concurrency, g_get_num_processors());
    assert_null(settings_queue(settings, "other", NULL));
    const struct route_settings *compress = route_of(settings, "images", "compress");
    assert_string_equal(compress->handler, "tell");
    assert_int_equal(compress->timeout_ms, 61000);
    assert_int_equal(compress->recycle, 7);
    const struct route_settings *rest = route_of(settings, "images", "resize");
    assert_string_equal(rest->handler, "copy");
    assert_string_equal(rest->arg, "some arg:ument");
    assert_int_equal(rest->timeout_ms, 300000);
    assert_int_equal(rest->recycle, 0);
    settings_unref(settings);
}

static void streams_are_set_up_like_queues(void **state)
{
    (void)state;
    struct settings *settings = read_good("[worker]\n"
                                          "timeout = 5m\n"
                                          "[stream clicks]\n"
                                          "group = warehouse\n"
                                          "run = copy:x\n"
                                          "batch = 2000\n"
                                          "batch-bytes = 2M\n"
                                          "wait = 500ms\n"
                                          "attempts = 3\n"
                                          "backoff = fixed:2s\n"
                                          "max-started = 4\n"
                                          "from = start\n"
                                          "concurrency = 3\n"
                                          "timeout = 7s\n"
                                          "[stream clicks@audit]\n"
                                          "run = tell\n"
                                          "ordered = yes\n"
                                          "concurrency = 3\n",
        "clicks=tell|sales@audit=tell|a@b/*=tell");
    assert_int_equal(settings->queue_count, 5);
    const struct queue_settings *one = settings_queue(settings, "clicks", "warehouse");
    assert_int_equal(one->stream.batch, 2000);
    assert_int_equal(one->stream.batch_bytes, 2 << 20);
    assert_int_equal(one->stream.wait_ms, 500);
    assert_int_equal(one->stream.attempts, 3);
    assert_string_equal(one->stream.backoff.type, "fixed");
    assert_int_equal(one->stream.backoff.delay_ms, 2000);
    assert_int_equal(one->stream.max_started, 4);
    assert_string_equal(one->stream.from, "start");
    assert_false(one->stream.ordered);
    assert_int_equal(one->concurrency, 3);
    assert_int_equal(one->routes[0].timeout_ms, 7000);
    assert_string_equal(one->routes[0].arg, "x");
    const struct queue_settings *two = settings_queue(settings, "clicks", "audit");
    assert_true(two->stream.ordered);
    assert_int_equal(two->concurrency, 1);
    assert_int_equal(two->routes[0].timeout_ms, 300000);
    const struct queue_settings *three = settings_queue(settings, "sales", "audit");
    assert_int_equal(three->stream.batch, 1000);
    assert_int_equal(three->stream.batch_bytes, 1 << 20);
    assert_int_equal(three->stream.wait_ms, 0);
    assert_int_equal(three->stream.attempts, 5);
    assert_string_equal(three->stream.backoff.type, "exponential");
    assert_string_equal(three->stream.from, "end");
    assert_int_equal(three->concurrency, 1);
    assert_non_null(settings_queue(settings, "clicks", NULL));
    assert_non_null(settings_queue(settings, "a@b", NULL));
    settings_unref(settings);
}

static void a_queue_may_lack_a_handler_for_the_rest(void **state)
{
    (void)state;
    struct settings *settings =
        read_good("[handler a/b/one]\nrun = tell\n", "a/b/two=copy|c/three=tell");
    assert_null(settings_route(settings_queue(settings, "a/b", NULL), "three"));
    assert_string_equal(route_of(settings, "a/b", "one")->handler, "tell");
    assert_string_equal(route_of(settings, "a/b", "two")->handler, "copy");
    assert_null(settings_route(settings_queue(settings, "c", NULL), ""));
    settings_unref(settings);
}

static void comments_and_blanks_are_passed_over(void **state)
{
    (void)state;
    struct settings *settings = read_good("# first\r\n"
                                          "\t; second\n"
                                          "\n"
                                          "[ worker ]   # third\r\n"
                                          "  prefix=a;b#c   ; fourth\r\n"
                                          "name   =   n  # fifth\n"
                                          "[handler\f \t q/*]\n"
                                          "run=copy:x 'a ; b' \"c # d\" ; sixth",
        "");
    assert_string_equal(settings->prefix, "a;b#c");
    assert_string_equal(settings->name, "n");
    assert_string_equal(route_of(settings, "q", "x")->arg, "x 'a ; b' \"c # d\"");
    settings_unref(settings);
}

/* A mark that Windows editors put first, and their line ends. */
static void a_mark_of_utf8_is_passed_over(void **state)
{
    (void)state;
    struct settings *settings =
        read_good("\xef\xbb\xbf[worker]\r\nprefix = x\r\n[handler q/*]\r\nrun = tell\r\n", "");
    assert_string_equal(settings->prefix, "x");
    settings_unref(settings);
}

/* ---- which value counts --------------------------------------------------------------------
 */

static void flags_count_before_variables_before_the_file(void **state)
{
    (void)state;
    static const char file[] = "[worker]\ngrace = 1s\nconcurrency = 3\ntimeout = 3s\n"
                               "[queue a]\nconcurrency = 4\n"
                               "[handler a/x]\nrun = tell\ntimeout = 4s\n"
                               "[handler a/*]\nrun = tell\n"
                               "[handler b/*]\nrun = tell\n";
    static const struct {
        const char *variable, *word;
        int64_t grace_s, a, b, x_s, rest_s;
    } rows[] = {
        { NULL, "", 1, 4, 3, 4, 3 },
        { "2", "", 2, 2, 2, 2, 2 },
        { NULL, "5", 5, 5, 5, 5, 5 },
        { "2", "5", 5, 5, 5, 5, 5 },
        { "", "", 1, 4, 3, 4, 3 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *n = rows[i].variable;
        g_autofree char *time = n && *n ? g_strconcat(n, "s", NULL) : g_strdup(n ? n : "");
        g_autofree char *words =
            *rows[i].word ? g_strdup_printf("--grace|%ss|--concurrency|%s|--timeout|%ss",
                                rows[i].word, rows[i].word, rows[i].word)
                          : g_strdup("");
        if (n) {
            g_setenv("OX_GRACE", time, TRUE);
            g_setenv("OX_CONCURRENCY", n, TRUE);
            g_setenv("OX_TIMEOUT", time, TRUE);
        }
        struct settings *settings = read_good(file, words);
        assert_int_equal(settings->grace_ms, rows[i].grace_s * 1000);
        assert_int_equal(settings_queue(settings, "a", NULL)->concurrency, rows[i].a);
        assert_int_equal(settings_queue(settings, "b", NULL)->concurrency, rows[i].b);
        assert_int_equal(route_of(settings, "a", "x")->timeout_ms, rows[i].x_s * 1000);
        assert_int_equal(route_of(settings, "a", "y")->timeout_ms, rows[i].rest_s * 1000);
        settings_unref(settings);
        g_unsetenv("OX_GRACE");
        g_unsetenv("OX_CONCURRENCY");
        g_unsetenv("OX_TIMEOUT");
    }
}

static char *options_of(const struct settings *settings, const char *queue)
{
    return g_strjoinv(" ", route_of(settings, queue, "")->options);
}

/* Each handler has its own, although they have the same options. */
static void options_of_handlers_come_from_everywhere(void **state)
{
    (void)state;
    static const char file[] = "[handler a/*]\nrun = take\nroot = /a\ndeep = true\n"
                               "[handler b/*]\nrun = take\ndepth = 4\ndeep = false\n";
    struct settings *settings = read_good(file, "");
    g_autofree char *a = options_of(settings, "a"), *b = options_of(settings, "b");
    assert_string_equal(a, "--root=/a --deep");
    assert_string_equal(b, "--depth=4");
    settings_unref(settings);

    g_setenv("OX_ROOT", "/env", TRUE);
    g_setenv("OX_DEEP", "1", TRUE);
    settings = read_good(file, "--depth|5");
    g_autofree char *c = options_of(settings, "a"), *d = options_of(settings, "b");
    assert_string_equal(c, "--root=/env --depth=5 --deep");
    assert_string_equal(d, "--root=/env --depth=5 --deep");
    settings_unref(settings);
    g_unsetenv("OX_ROOT");
    g_unsetenv("OX_DEEP");
}

static void the_file_may_be_named_by_a_variable(void **state)
{
    (void)state;
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *file =
        g_strdup_printf("[worker]\nhandler-program = %s\n[handler q/*]\nrun = tell\n", self);
    char *words[] = { (char[]){ "ox-worker" }, NULL };
    struct settings *settings = NULL;
    test_write(path, file, -1);
    g_setenv("OX_CONFIG", path, TRUE);
    g_setenv("OX_HANDLER_PROGRAM", "", TRUE); /* counts as none */
    assert_int_equal(settings_parse(&settings, words, faults), SETTINGS_RUN);
    assert_string_equal(route_of(settings, "q", "x")->handler, "tell");
    g_autofree char *wanted = g_canonicalize_filename(self, NULL);
    assert_string_equal(settings->handler_program, wanted);
    settings_unref(settings);
    g_unsetenv("OX_HANDLER_PROGRAM");
    g_unsetenv("OX_CONFIG");
}

static void other_settings_keep_what_cannot_change(void **state)
{
    (void)state;
    static const char file[] =
        "[worker]\nredis = redis://a\nprefix = p\ngrace = 1s\nlock = 5s\n"
        "remove-on-fail = 5\n[handler q/*]\nrun = tell\n";
    static const char other[] = "[worker]\nredis = redis://b\nname = n\ngrace = 2s\nlock = 6s\n"
                                "remove-on-fail = 6\nlog-level = warn\nprefix = p\n"
                                "legacy-pause = yes\n[handler q/*]\nrun = tell\n";
    struct settings *before = read_good(file, ""), *same = read_good(file, "");
    assert_null(settings_keep_fixed(same, before));
    struct settings *after = read_good(other, "");
    g_autofree char *names = settings_keep_fixed(after, before);
    assert_string_equal(names, "redis, legacy-pause, name, lock, remove-on-fail");
    settings_unref(before);
    assert_string_equal(after->redis, "redis://a");
    assert_string_equal(after->prefix, "p");
    assert_null(after->name);
    assert_false(after->legacy_pause);
    assert_int_equal(after->lock_ms, 5000);
    assert_int_equal(after->remove_on_fail.count, 5);
    assert_int_equal(after->grace_ms, 2000);
    assert_int_equal(after->log_level, LOG_WARN);
    settings_unref(after);
    settings_unref(same);
}

/* What a handler says of itself counts least. */
static void limits_are_the_handlers_unless_given(void **state)
{
    (void)state;
    static const char file[] =
        "[worker]\nsandbox = off\nprocesses = 7\n"
        "[handler a/*]\nrun = frugal\n"
        "[handler b/*]\nrun = frugal\nmemory = 0\nprocesses = 9\nrecycle-memory = 3M\n"
        "[handler c/*]\nrun = tell\nrlimit = cpu=4s,open-files=50\n";
    struct settings *settings = read_good(file, "");
    const struct route_settings *a = route_of(settings, "a", ""),
                                *b = route_of(settings, "b", ""),
                                *c = route_of(settings, "c", "");
    assert_int_equal(a->memory_bytes, 64 << 20);
    assert_int_equal(a->max_processes, 7);
    assert_int_equal(a->recycle_bytes, 0);
    assert_int_equal(b->memory_bytes, 0);
    assert_int_equal(b->max_processes, 9);
    assert_int_equal(b->recycle_bytes, 3 << 20);
    assert_int_equal(c->memory_bytes, 0);
    assert_string_equal(c->rlimit, "cpu=4s,open-files=50");
    assert_string_equal(a->layers[0], "--sandbox=off");
    assert_string_equal(b->layers[0], "--sandbox=off");
    assert_false(a->in_namespace);
    settings_unref(settings);
    g_setenv("OX_PROCESSES", "11", TRUE);
    settings = read_good("[handler a/*]\nrun = frugal\nprocesses = 9\n", "--memory|1M");
    assert_int_equal(route_of(settings, "a", "")->memory_bytes, 1 << 20);
    assert_int_equal(route_of(settings, "a", "")->max_processes, 11);
    settings_unref(settings);
    g_unsetenv("OX_PROCESSES");
    settings = read_good("[handler a/*]\nrun = frugal\n", "");
    assert_int_equal(route_of(settings, "a", "")->max_processes, 5);
    settings_unref(settings);
}

static void children_that_are_alike_are_found(void **state)
{
    (void)state;
    struct settings *settings =
        read_good("[handler a/*]\nrun = take:x\nroot = /a\n"
                  "[handler b/*]\nrun = take:x\nroot = /a\ntimeout = 1s\n"
                  "[handler c/*]\nrun = take:x\nroot = /c\n"
                  "[handler d/*]\nrun = take\nroot = /a\n"
                  "[handler e/*]\nrun = take:x\nroot = /a\ndeep = on\n",
            "");
    const struct route_settings *a = route_of(settings, "a", "");
    assert_true(settings_same_child(a, route_of(settings, "b", "")));
    assert_false(settings_same_child(a, route_of(settings, "c", "")));
    assert_false(settings_same_child(a, route_of(settings, "d", "")));
    assert_false(settings_same_child(a, route_of(settings, "e", "")));
    settings_unref(settings);
}

/* ---- what is wrong -------------------------------------------------------------------------
 */

#define GOOD "[handler q/*]\nrun = tell\n"
#define STREAM "[stream s]\ngroup = g\nrun = tell\n"
#define SECTIONS "[worker], [queue NAME], [handler QUEUE/NAME] and [stream STREAM]"

static void each_fault_has_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *faults;
    } rows[] = {
        { "junk\n" GOOD, "1: \"junk\" is neither [SECTION] nor KEY = VALUE nor a comment, "
                         "which begins with # "
                         "or ;" },
        { GOOD "= 5\n", "3: \"= 5\" is neither [SECTION] nor KEY = VALUE nor a comment, which "
                        "begins with # "
                        "or ;" },
        { "[worker\n" GOOD, "1: \"[worker\" begins with [ and does not end with ]" },
        { "grace = 1s\n" GOOD, "1: grace stands before the first section, such as [worker]" },
        { "concurrency: 5\n" GOOD,
            "1: \"concurrency: 5\" has a colon where = belongs; write concurrency = 5" },
        { "[handler q/*] run = tell\n" GOOD,
            "1: \"[handler q/*] run = tell\" goes on behind ]; a key has a line of its own" },
        { "[handler \"q/*\"]\n" GOOD, "1: names are not quoted; write [handler q/*]" },
        { "[worker]\ngrace = \"5s\"\n" GOOD,
            "2: grace: values are not quoted; write grace = 5s" },
        { "[worker]\nprefix = 'bull'\n" GOOD,
            "2: prefix: values are not quoted; write prefix = bull" },
        { "[handler q/*]\nrun = \"tell\"\n",
            "2: run: values are not quoted; write run = tell" },
        { "[handler q/*]\nrun = take\nroot = \"/a b\"\n",
            "3: root: values are not quoted; write root = /a b" },
        { "\xff\xfe[\n" GOOD, "1: the file is UTF-16; save it as UTF-8" },
        { "[worker]\nlog_level = warn\n" GOOD,
            "2: unknown key log_level in [worker]; did you mean log-level?" },
        { "[worker]\nOX_LOG_LEVEL = warn\n" GOOD,
            "2: unknown key OX_LOG_LEVEL in [worker]; did you mean log-level?" },
        { "[worker]\nGrace = 5s\n" GOOD,
            "2: unknown key Grace in [worker]; did you mean grace?" },
        { GOOD "[handler]\n",
            "3: [handler] is not [handler QUEUE/NAME]; NAME is a job's name, or * for all "
            "that have no handler of their own" },
        { GOOD "\xff = 1\n", "3: the line is not valid UTF-8" },
        { GOOD GOOD,
            "3: the section [handler q/*] is there twice; the first one is in line 1" },
        { "[worker]\ngrace = 1s\ngrace = 2s\n" GOOD,
            "3: grace is there twice; the first one is in line 2" },
        { "[worker]\nhandler-program =\n" GOOD, "2: handler-program: is empty" },
        { "[worker]\ngrace = 5\n" GOOD,
            "2: grace: \"5\" is not a duration such as 500ms, 10s, 5m, 2h or 1d" },
        { "[worker]\nlog-level = all\n" GOOD,
            "2: log-level: \"all\" is not one of error, warn, info, debug" },
        { "[worker]\nlegacy-pause = maybe\n" GOOD,
            "2: legacy-pause: \"maybe\" is neither true nor false" },
        { "[worker]\ngarce = 5s\n" GOOD,
            "2: unknown key garce in [worker]; did you mean grace?" },
        { GOOD "[queue q]\nsize = 5\n",
            "4: unknown key size in [queue q]; allowed: concurrency, ahead, limiter, "
            "lock-after, late-start" },
        { GOOD "timeuot = 5s\n",
            "3: unknown key timeuot in [handler q/*]; did you mean timeout?" },
        { GOOD "rlimit = cpu=4s,nice=1\n",
            "3: rlimit: \"nice=1\" is not one of cpu=TIME, file-size=SIZE, open-files=N" },
        { GOOD "[queue q]\ntimeout = 5s\n",
            "4: timeout belongs into [handler QUEUE/NAME] or [stream STREAM]" },
        { GOOD "redis = redis://a\n", "3: redis belongs into [worker]" },
        { GOOD "concurrency = 2\n", "3: concurrency belongs into [queue NAME] or [worker]" },
        { "[worker]\nrun = tell\n" GOOD,
            "2: run belongs into [handler QUEUE/NAME] or [stream STREAM]" },
        { "[worker]\nconfig = x\n" GOOD, "2: config is for the command line only" },
        { "[worker]\ndepth = 3\n" GOOD,
            "2: depth is an option of the handler take or wrong, and belongs into a [handler "
            "QUEUE/NAME] that runs it" },
        { GOOD "[handlr q/x]\n", "3: unknown section [handlr q/x]; did you mean handler? "
                                 "there are " SECTIONS },
        { GOOD "[worker one]\n", "3: unknown section [worker one]; there are " SECTIONS },
        { GOOD "[queue]\n", "3: unknown section [queue]; there are " SECTIONS },
        { GOOD "[stream]\n", "3: unknown section [stream]; there are " SECTIONS },
        { GOOD "[handler q]\nrun = tell\n",
            "3: [handler q] is not [handler QUEUE/NAME]; NAME is a job's name, or * for all "
            "that have no handler of their own" },
        { "[handler q/*]\n", "1: [handler q/*] needs run = HANDLER[:ARG]" },
        { "[handler q/*]\nrun =\n", "2: [handler q/*] needs run = HANDLER[:ARG]" },
        { GOOD "[queue other]\n", "3: the queue other has no handler: add [handler other/*]" },
        { "[handler mail/*]\nrun = tell\n[queue mial]\n",
            "3: the queue mial has no handler; did you mean [queue mail]?" },
        { "[handler a:b/*]\nrun = tell\n", "2: the queue name 'a:b' has a colon" },
        { "[handler q/*]\nrun = take\ndepth = x\n",
            "3: depth: \"x\" is not a whole number from 0 to 9" },
        { "[handler q/*]\n\nrun = wrong\n", "3: the root is missing, with 3" },
        { "[stream s]\ngroup = g\n", "1: [stream s] needs run = HANDLER[:ARG]" },
        { "[stream s]\nrun = tell\n", "2: [stream s] needs group = NAME" },
        { "[stream s@g]\nrun = tell\ngroup = g\n",
            "3: [stream s@g] has its group in its name already" },
        { "[stream S]\nrun = tell\ngroup = a b\n",
            "2: 'S' is not the name of a stream, which has 1 to 64 of a-z, 0-9, '_' and '-'\n"
            "2: 'a b' is not the name of a group, which has 1 to 64 of a-z, 0-9, '_' and '-'" },
        { "[stream s]\nrun = take\ngroup = g\n", "2: take runs jobs, not batches of events; "
                                                 "bind a queue to the events (ox bind) and "
                                                 "run that" },
        { GOOD "[stream s]\nrun = pack\ngroup = g\n[handler r/*]\nrun = pack\n",
            "7: pack runs batches of events, not jobs; STREAM@GROUP=pack is a group of a "
            "stream" },
        { STREAM "batch_bytes = 1M\n",
            "4: unknown key batch_bytes in [stream s]; did you mean batch-bytes?" },
        { STREAM "atempts = 1\n",
            "4: unknown key atempts in [stream s]; did you mean attempts?" },
        { STREAM "batch = 0\n", "4: batch: \"0\" is not a whole number from 1 to 100000" },
        { STREAM "wait = 5\n",
            "4: wait: \"5\" is not a duration such as 500ms, 10s, 5m, 2h or 1d" },
        { STREAM "backoff = often:1s\n",
            "4: backoff: \"often:1s\" is neither fixed:TIME nor exponential:TIME" },
        { STREAM "backoff = fixed\n", "4: backoff: \"fixed\" has no delay; write fixed:1s or "
                                      "exponential:1s[:jitter=0.5]" },
        { STREAM "from = 1h\n", "4: from: \"1h\" is neither start, end, a position such as "
                                "1700000000000-42, nor Unix time in milliseconds" },
        { STREAM "colour = red\n",
            "4: unknown key colour in [stream s]; allowed: run, group, batch, batch-bytes, "
            "wait, "
            "attempts, backoff, max-started, ordered, from, concurrency, timeout, recycle, "
            "recycle-memory, memory, processes, rlimit, pass-env" },
        { STREAM "ordered = maybe\n", "4: ordered: \"maybe\" is neither true nor false" },
        { STREAM "limiter = 5/1s\n",
            "4: limiter is for queues; of a stream, concurrency says how many batches run at "
            "once" },
        { GOOD "ordered = yes\n", "3: ordered belongs into [stream STREAM]" },
        { "",
            "which queue or stream? There is neither [handler QUEUE/NAME] nor [stream STREAM] "
            "in the file, nor QUEUE=HANDLER" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        expect_faults(rows[i].text, rows[i].faults);
}

/* Of several things that are wrong each is told, in the order of the file. */
static void all_faults_are_told_at_once(void **state)
{
    (void)state;
    g_setenv("OX_BATCH", "many", TRUE);
    expect_faults("[worker]\n"
                  "log-format = xml\n"
                  "[queue none]\n"
                  "concurrency = 0\n"
                  "[handler q/*]\n"
                  "run = wrong\n"
                  "[handler r/*]\n"
                  "run = wrong\n"
                  "depth = 12\n"
                  "colour = red\n",
        "2: log-format: \"xml\" is not one of logfmt, json\n"
        "3: the queue none has no handler: add [handler none/*]\n"
        "6: the root is missing, with 3\n"
        "9: depth: \"12\" is not a whole number from 0 to 9\n"
        "10: unknown key colour in [handler r/*]; allowed: run, timeout, recycle, "
        "recycle-memory, memory, processes, rlimit, pass-env, root, depth, deep\n"
        "OX_BATCH: \"many\" is not a whole number from 1 to 500");
    g_unsetenv("OX_BATCH");
}

static void unknown_handlers_are_suggested(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    assert_int_equal(
        read_file(&settings, "[handler q/*]\nrun = tel\n", "", &said), SETTINGS_WRONG);
    assert_true(g_str_has_prefix(
        said, "2: no handler is called tel; did you mean tell? there are: tell, copy, "));
    settings_unref(settings);
}

static void one_kind_of_job_has_one_handler(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    g_autofree char *said = NULL;
    g_autofree char *wanted =
        g_strdup_printf("q=copy: the jobs q/* have a handler already (%s:2)", path);
    assert_int_equal(read_file(&settings, GOOD, "q=copy", &said), SETTINGS_WRONG);
    assert_string_equal(said, wanted);
    settings_unref(settings);
}

static void files_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    struct settings *settings = NULL;
    g_autofree char *said = NULL, *second = NULL;
    assert_int_equal(
        read_file(&settings, "", "--config=/nowhere/x|q=tell", &said), SETTINGS_WRONG);
    assert_string_equal(said, "cannot read /nowhere/x: No such file or directory");
    settings_unref(settings);
    assert_int_equal(read_file(&settings, "", "--config=/|q=tell", &second), SETTINGS_WRONG);
    assert_string_equal(second, "cannot read /: Is a directory");
    settings_unref(settings);
}

static void zero_bytes_are_told(void **state)
{
    (void)state;
    static const char text[] = GOOD "a\0b";
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    char *words[] = { (char[]){ "ox-worker" }, (char[]){ "--config" }, path,
        (char[]){ "--handler-program" }, (char *)(uintptr_t)self, NULL };
    struct settings *settings = NULL;
    test_write(path, text, sizeof text - 1);
    assert_int_equal(settings_parse(&settings, words, faults), SETTINGS_WRONG);
    assert_non_null(strstr(faults->pdata[0], "zero bytes"));
    settings_unref(settings);
}

/* ---- passwords -----------------------------------------------------------------------------
 */

static void readable_passwords_are_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        bool exposed;
    } rows[] = {
        { "[worker]\nredis = redis://:secret@host\n" GOOD, 0644, true },
        { "[worker]\nredis = redis://:secret@host\n" GOOD, 0640, false },
        { "[worker]\nredis = redis://user@host\n" GOOD, 0644, false },
        { "[handler q/*]\nrun = take\nroot = postgresql://me:secret@host/db\n", 0644, true },
        { "[handler q/*]\nrun = copy:whsec_MfKQ9r8GKYqrTwjU\n", 0604, true },
        { GOOD, 0644, false },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct settings *settings = NULL;
        g_autofree char *said = NULL;
        test_write(path, rows[i].text, -1);
        assert_int_equal(chmod(path, rows[i].mode), 0);
        assert_int_equal(read_again(&settings, "", &said), SETTINGS_RUN);
        if (settings->file_exposed != rows[i].exposed)
            test_fatal("%s, mode %o: %d", rows[i].text, rows[i].mode, settings->file_exposed);
        settings_unref(settings);
    }
}

static void values_are_shown_without_secrets(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "root", "/srv/photos", "/srv/photos" },
        { "url", "postgresql://me:secret@host/db", "postgresql://me:***@host/db" },
        { "secret", "whsec_abc", "***" },
        { "secret-key", "abc", "***" },
        { "secret", "@/etc/ox/secret", "@/etc/ox/secret" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *shown = settings_shown(rows[i][0], rows[i][1]);
        assert_string_equal(shown, rows[i][2]);
    }
}

static int begin(void **state)
{
    (void)state;
    folder = test_dir_new();
    path = g_build_filename(folder, "ox.conf", NULL);
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_remove(folder);
    g_free(folder);
    g_free(path);
    return 0;
}

int main(int argc, char **argv)
{
    if (rogue_wanted(argc, argv))
        return serve_main(argc, argv, rogue_handlers);
    self = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_say_what_runs),
        cmocka_unit_test(streams_are_set_up_like_queues),
        cmocka_unit_test(a_queue_may_lack_a_handler_for_the_rest),
        cmocka_unit_test(comments_and_blanks_are_passed_over),
        cmocka_unit_test(a_mark_of_utf8_is_passed_over),
        cmocka_unit_test(flags_count_before_variables_before_the_file),
        cmocka_unit_test(options_of_handlers_come_from_everywhere),
        cmocka_unit_test(the_file_may_be_named_by_a_variable),
        cmocka_unit_test(other_settings_keep_what_cannot_change),
        cmocka_unit_test(limits_are_the_handlers_unless_given),
        cmocka_unit_test(children_that_are_alike_are_found),
        cmocka_unit_test(each_fault_has_its_line),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(unknown_handlers_are_suggested),
        cmocka_unit_test(one_kind_of_job_has_one_handler),
        cmocka_unit_test(files_that_cannot_be_read_are_told),
        cmocka_unit_test(zero_bytes_are_told),
        cmocka_unit_test(readable_passwords_are_noticed),
        cmocka_unit_test(values_are_shown_without_secrets),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
