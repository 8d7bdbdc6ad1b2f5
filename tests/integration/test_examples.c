/*
 * test_examples.c - the examples of docs/examples, as a reader of docs/libox.md would take
 * them: compiled against the installed library by what pkg-config says, and run together on a
 * private Redis. Runs from the top folder of the source.
 */
#include "../support/check.h"

#include <glib.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/install.h"
#include "../support/process.h"
#include "../support/redis.h"

#define DEADLINE_MS 30000
#define EXAMPLES "docs/examples/"

static struct test_redis *redis;
static char *producer, *worker, *operator, * watcher, *probe, *market, *clicks, *warehouse;

/* ---- the programs ------------------------------------------------------------------------ */

static int compile_all(void **state)
{
    (void)state;
    g_autofree char *dir = test_install();
    producer = test_compile(dir, EXAMPLES "producer.c", "ox");
    worker = test_compile(dir, EXAMPLES "worker.c", "ox libuv");
    operator= test_compile(dir, EXAMPLES "operator.c", "ox");
    watcher = test_compile(dir, EXAMPLES "watcher.c", "ox");
    probe = test_compile(dir, EXAMPLES "probe.c", "ox libuv");
    market = test_compile(dir, EXAMPLES "market.c", "ox");
    clicks = test_compile(dir, EXAMPLES "clicks.c", "ox libuv");
    warehouse = test_compile(dir, EXAMPLES "warehouse.c", "ox libuv");
    redis = test_redis_start(NULL);
    test_use_installed(dir);
    g_setenv("REDIS_URL", test_redis_url(redis), TRUE);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    test_redis_stop(redis);
    g_free(producer);
    g_free(worker);
    g_free(operator);
    g_free(watcher);
    g_free(probe);
    g_free(market);
    g_free(clicks);
    g_free(warehouse);
    return 0;
}

static void expect_line(const char *output, const char *line)
{
    g_autofree char *whole = g_strdup_printf("\n%s\n", line);
    g_autofree char *text = g_strconcat("\n", output, NULL);
    if (!strstr(text, whole))
        test_fatal("no line \"%s\" in:\n%s", line, output);
}

/* Runs a program to its end; what it says is the caller's (g_free). */
static char *run(const char *program, const char *argument)
{
    char *out = NULL;
    g_autofree char *err = NULL;
    int status = test_run_words(&out, &err, program, argument, NULL);
    if (status || *err)
        test_fatal("%s: exit %d: %s", program, status, err);
    return out;
}

static bool has_completed(void *arg)
{
    return test_redis_int(redis, "ZCARD bull:mail:completed") == GPOINTER_TO_INT(arg);
}

static bool has_failed(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "ZCARD bull:mail:failed") == 1;
}

/* ---- tests ------------------------------------------------------------------------------- */

static void examples_work_together(void **state)
{
    (void)state;
    const char *const work[] = { worker, NULL }, *const watch[] = { watcher, "103", NULL };
    struct test_process *working = test_start(work, NULL);
    struct test_process *watching = test_start(watch, NULL);

    g_autofree char *produced = run(producer, "100");
    expect_line(produced, "reminder is job 2");
    expect_line(produced, "no address in job 3");
    expect_line(produced, "added 100 letters");
    expect_line(produced, "welcome: {\"delivered\": true}");
    assert_true(test_wait_for(DEADLINE_MS, has_completed, GINT_TO_POINTER(101)));
    assert_true(test_wait_for(DEADLINE_MS, has_failed, NULL));

    g_autofree char *seen = run(operator, NULL);
    expect_line(seen, "completed        101");
    expect_line(seen, "failed           1");
    expect_line(seen, "delayed          1");
    expect_line(seen, "job 3 failed after 2 attempts: there is no such address");
    g_autofree char *log = test_redis_text(redis, "LINDEX bull:mail:3:logs 0");
    assert_string_equal(log, "the address has no @");

    g_autofree char *mended = run(operator, "bob@example.com");
    expect_line(mended, "promoted 1");
    assert_true(test_wait_for(DEADLINE_MS, has_completed, GINT_TO_POINTER(103)));
    g_autofree char *value = test_redis_text(redis, "HGET bull:mail:3 returnvalue");
    assert_string_equal(value, "{\"delivered\": true}");

    assert_int_equal(test_process_wait(watching, DEADLINE_MS), 0);
    g_autofree char *events = test_process_out(watching);
    assert_non_null(strstr(events, " added welcome-ann name=welcome\n"));
    assert_non_null(strstr(events, " failed 3 failedReason=there is no such address prev=act"));
    assert_non_null(
        strstr(events, " completed 2 returnvalue={\"delivered\": true} prev=active\n"));

    test_process_signal(working, SIGTERM);
    assert_int_equal(test_process_wait(working, DEADLINE_MS), 0);
    g_autofree char *worked = test_process_out(working);
    expect_line(worked, "welcome welcome-ann, attempt 1");
    expect_line(worked, "welcome 3, attempt 2");
    expect_line(worked, "closed");
    assert_int_equal(test_redis_int(redis, "LLEN bull:mail:active"), 0);
    test_process_free(working);
    test_process_free(watching);
}

/* The event becomes a job once, which the worker of the examples would run. */
static void market_publishes_once(void **state)
{
    (void)state;
    int64_t before = test_redis_int(redis, "LLEN bull:mail:wait");
    g_autofree char *first = run(market, "18");
    expect_line(first, "published, 1 job");
    expect_line(first, "event 1: car.posted");
    expect_line(first, "a replay would make 1 jobs");
    g_autofree char *second = run(market, "18");
    expect_line(second, "published before, 0 jobs");
    assert_int_equal(test_redis_int(redis, "LLEN bull:mail:wait"), before + 1);
    assert_int_equal(test_redis_int(redis, "EXISTS bull:reports:id"), 0);
}

#define WAREHOUSE "bull::ox:{clicks}:warehouse:"

static bool has_given_up(void *arg)
{
    return test_redis_int(redis, "XLEN " WAREHOUSE "dead") == GPOINTER_TO_INT(arg);
}

/* Of 20,000 clicks every thousandth has no page: these alone are tried again, and given up. */
static void clicks_reach_the_warehouse(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "clicks.tsv", NULL);
    const char *const words[] = { warehouse, path, NULL };
    g_autofree char *published = run(clicks, "20000");
    expect_line(published, "published 20000, failed 0");

    struct test_process *storing = test_start(words, NULL);
    assert_true(test_wait_for(DEADLINE_MS, has_given_up, GINT_TO_POINTER(20)));
    test_process_signal(storing, SIGTERM);
    assert_int_equal(test_process_wait(storing, DEADLINE_MS), 0);
    g_autofree char *said = test_process_out(storing), *told = test_process_err(storing);
    expect_line(said, "attempt 1: 999 done, 1 run again, 0 dead");
    assert_non_null(strstr(told, " is dead: the click has no page\n"));
    test_process_free(storing);

    gsize size = 0;
    g_autofree char *stored = test_read(path, &size);
    g_auto(GStrv) lines = g_strsplit(stored, "\n", -1);
    assert_int_equal(g_strv_length(lines) - 1, 19980);
    assert_non_null(strstr(lines[0], "-1\t{"));
    assert_non_null(strstr(lines[0], "\"page\""));

    g_autofree char *again = run(warehouse, "-");
    assert_non_null(strstr(again, " after 3 attempts: the click has no page\n"));
    expect_line(again, "20 run again");
    assert_true(has_given_up(GINT_TO_POINTER(0)));
    assert_int_equal(test_redis_int(redis, "XLEN " WAREHOUSE "again"), 20);
    test_remove(dir);
}

/* Without a server each says so in one line, and soon. */
static void examples_report_errors(void **state)
{
    (void)state;
    const char *const programs[] = { producer, worker, operator, watcher, probe, market,
        clicks };
    g_setenv("REDIS_URL", "unix:///no/such/socket", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
        g_autofree char *out = NULL, *err = NULL;
        g_autofree char *name = g_path_get_basename(programs[i]);
        g_autofree char *says = g_strdup_printf("%s: cannot connect to Redis at", name);
        assert_int_equal(test_run_words(&out, &err, programs[i], NULL), 1);
        assert_string_equal(out, "");
        assert_true(g_str_has_prefix(err, says));
        assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
    }
    g_setenv("REDIS_URL", test_redis_url(redis), TRUE);
}

static void add(const char *queue, const char *data)
{
    g_autofree char *out = NULL, *err = NULL;
    if (test_run_words(&out, &err, "ox", "--redis", test_redis_url(redis), "add", queue, "job",
            data, NULL))
        test_fatal("%s", err);
}

static bool all_probed(void *arg)
{
    (void)arg;
    return test_redis_int(redis, "ZCARD bull:probes:completed") == 51 &&
           test_redis_int(redis, "ZCARD bull:probes:failed") == 1;
}

/* Many jobs at once on one loop: somebody answers, nobody does, and an address that is none. */
static void a_worker_without_threads(void **state)
{
    (void)state;
    const char *const words[] = { probe, NULL };
    struct sockaddr_in here = { .sin_family = AF_INET };
    socklen_t size = sizeof(here);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(listen(listener, 100), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&here, &size), 0);
    g_autofree char *open = g_strdup_printf("\"127.0.0.1:%d\"", ntohs(here.sin_port));
    g_autofree char *closed = g_strdup_printf("\"127.0.0.1:%d\"", test_free_port());
    for (int i = 0; i < 50; i++)
        add("probes", open);
    add("probes", closed);
    add("probes", "\"localhost\"");

    struct test_process *probing = test_start(words, NULL);
    assert_true(test_wait_for(DEADLINE_MS, all_probed, NULL));
    g_autofree char *first = test_redis_text(redis, "HGET bull:probes:1 returnvalue");
    g_autofree char *last = test_redis_text(redis, "HGET bull:probes:51 returnvalue");
    g_autofree char *reason = test_redis_text(redis, "HGET bull:probes:52 failedReason");
    assert_true(g_str_has_prefix(first, "{\"open\": true, \"ms\": "));
    assert_true(g_str_has_prefix(last, "{\"open\": false, \"ms\": "));
    assert_string_equal(reason, "not an address");
    test_process_signal(probing, SIGTERM);
    assert_int_equal(test_process_wait(probing, DEADLINE_MS), 0);
    g_autofree char *said = test_process_out(probing), *err = test_process_err(probing);
    assert_string_equal(said, "closed\n");
    assert_string_equal(err, "");
    test_process_free(probing);
    close(listener);
}

/* Adds the text of a file of the examples. */
static void append_file(GString *all, const char *folder, const char *file)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_autofree char *source = test_read(path, NULL);
    g_string_append(all, source ? source : "");
}

/* How many pieces of code in a language a page has; each stands in `all`, letter for letter. */
static int check_pieces(const char *page, const char *language, const char *all)
{
    g_autofree char *text = test_read(page, NULL);
    g_autofree char *fence = g_strdup_printf("\n```%s\n", language);
    int pieces = 0;
    for (const char *at = text; (at = strstr(at, fence)); pieces++) {
        at += strlen(fence);
        const char *end = strstr(at, "```\n");
        assert_non_null(end);
        g_autofree char *piece = g_strndup(at, (gsize)(end - at));
        if (!strstr(all, piece) && !strstr(piece, "ox-worker"))
            test_fatal("%s quotes what no example has:\n%s", page, piece);
    }
    return pieces;
}

static void the_pages_quote_them(void **state)
{
    (void)state;
    static const char *const folders[] = { "docs/examples", "docs/examples/handlers" };
    g_autoptr(GString) all = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GDir) dir = g_dir_open(folders[i], 0, NULL);
        for (const char *name; dir && (name = g_dir_read_name(dir));)
            append_file(all, folders[i], name);
    }
    assert_true(check_pieces("docs/libox.md", "c", all->str) > 3);
    assert_true(check_pieces("docs/handlers.md", "c", all->str) > 1);
    assert_true(check_pieces("docs/handlers.md", "sh", all->str) > 1);
    assert_true(check_pieces("docs/handlers.md", "python", all->str) > 1);
    assert_true(check_pieces("docs/handlers.md", "js", all->str) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_work_together),
        cmocka_unit_test(market_publishes_once),
        cmocka_unit_test(clicks_reach_the_warehouse),
        cmocka_unit_test(examples_report_errors),
        cmocka_unit_test(a_worker_without_threads),
        cmocka_unit_test(the_pages_quote_them),
    };
    return cmocka_run_group_tests_name("examples", tests, compile_all, end_all);
}
