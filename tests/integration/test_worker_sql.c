/*
 * test_worker_sql.c - the sql handler as an operator has it: ox-worker runs statements for jobs
 * of a real Redis, on a real PostgreSQL and in files of SQLite. The examples of
 * docs/examples/sql are among them. Runs from the top folder of the source.
 *
 * What a statement may be and what comes back, case by case, is tested without a worker in
 * test_worker_sql_pg and tests/unit/test_worker_sql_lite.
 */
#include "../support/check.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <ox.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/postgres.h"
#include "../support/process.h"
#include "../support/redis.h"
#include "../support/worker.h"

#define DEADLINE_MS 60000
#define EXAMPLES "docs/examples/sql/"

static struct test_redis *redis;
static struct test_postgres *postgres;
static ox_client *client;
static ox_queue *queue; /* "q", of the test that runs */
static char *folder, *lite_url;
static struct test_process *worker;

/* ---- worker ------------------------------------------------------------------------------ */

static int start_servers(void **state)
{
    (void)state;
    redis = test_redis_start(NULL);
    postgres = test_postgres_start();
    return 0;
}

static int stop_servers(void **state)
{
    (void)state;
    test_postgres_stop(postgres);
    test_redis_stop(redis);
    return 0;
}

static void run_lite(const char *sql)
{
    sqlite3 *db;
    char *problem = NULL;
    if (sqlite3_open(lite_url + strlen("sqlite:"), &db) != SQLITE_OK ||
        sqlite3_busy_timeout(db, DEADLINE_MS) != SQLITE_OK ||
        sqlite3_exec(db, sql, NULL, NULL, &problem) != SQLITE_OK)
        test_fatal("%s: %s", sql, problem ? problem : "cannot open");
    sqlite3_close(db);
}

static void make_tables(void)
{
    g_autofree char *lite = test_read(EXAMPLES "schema-sqlite.sql", NULL);
    g_autofree char *pg = test_read(EXAMPLES "schema-postgresql.sql", NULL);
    assert_non_null(lite);
    assert_non_null(pg);
    run_lite(lite);
    test_postgres_do(postgres, "SET client_min_messages = warning; DROP SCHEMA public CASCADE; "
                               "CREATE SCHEMA public; RESET client_min_messages");
    test_postgres_do(postgres, pg);
}

static int open_queue(void **state)
{
    (void)state;
    const ox_client_options options = { .url = test_redis_url(redis) };
    ox_error err = { 0 };
    test_redis_do(redis, "FLUSHALL");
    if (ox_client_new(&client, &options, &err) < 0 ||
        ox_queue_new(&queue, client, "q", NULL, &err) < 0)
        test_fatal("%s", err.text);
    folder = test_dir_new();
    lite_url = g_strdup_printf("sqlite:%s/data.db", folder);
    make_tables();
    worker = NULL;
    return 0;
}

static int close_queue(void **state)
{
    (void)state;
    test_process_free(worker);
    ox_queue_free(queue);
    ox_client_free(client);
    test_remove(folder);
    g_free(folder);
    g_free(lite_url);
    return 0;
}

/* Starts ox-worker on the queue "q" with these words. */
static void start_words(const char *const *words)
{
    worker = test_worker_start(test_redis_url(redis), "", words);
    test_worker_connects(worker);
}
#define start(...) start_words(TEST_WORDS(__VA_ARGS__))

static void stop(void)
{
    test_worker_stop(worker);
    test_process_free(worker);
    worker = NULL;
}

/* ---- jobs -------------------------------------------------------------------------------- */

static char *add_with(const char *data, const ox_job_options *options)
{
    ox_error err = { 0 };
    char *id = NULL;
    if (ox_queue_add(queue, "sold", data, options, &id, &err) < 0)
        test_fatal("%s", err.text);
    return id;
}

static void await(char *id)
{
    test_job_ends(queue, id, worker);
}

static void expect_field(const char *id, const char *name, const char *wanted)
{
    g_autofree char *text = test_redis_text(redis, "HGET bull:q:%s %s", id, name);
    g_autofree char *reason = test_redis_text(redis, "HGET bull:q:%s failedReason", id);
    if (g_strcmp0(text, wanted) != 0)
        test_fatal("job %s: %s is %s, not %s; %s", id, name, text ? text : "(nil)", wanted,
            reason ? reason : "");
}

static void expect_return(const char *data, const char *value)
{
    char *id = add_with(data, NULL);
    await(id);
    expect_field(id, "returnvalue", value);
    ox_free(id);
}

/* It fails so, after so many attempts of three. */
static void expect_failure(const char *data, const char *reason, const char *attempts)
{
    const ox_job_options options = { .attempts = 3 };
    char *id = add_with(data, &options);
    await(id);
    expect_field(id, "failedReason", reason);
    expect_field(id, "atm", attempts);
    ox_free(id);
}

static void expect_pg(const char *sql, const char *text)
{
    g_autofree char *found = test_postgres_text(postgres, sql);
    assert_string_equal(found, text);
}

/* ---- the examples ------------------------------------------------------------------------ */

/* The same statements in both. */
static void a_listing_is_updated(void **state)
{
    (void)state;
    const char *urls[] = { postgres->url, lite_url };
    const char *insert = "INSERT INTO listings VALUES (42, 10000, '[\"a.jpg\"]')";
    run_lite(insert);
    test_postgres_do(postgres, insert);
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        bool lite = i == 1;
        start("--db", urls[i], "q=sql:" EXAMPLES "update-listing.sql");
        expect_return("{\"listing\": 42, \"price\": 9900}",
            "[{\"id\":42,\"price\":9900,\"photos\":[\"a.jpg\"]}]");
        expect_return("{\"listing\": 43, \"price\": 9900}", "[]");
        expect_failure("{\"listing\": 42, \"price\": 0}",
            lite ? "sql: CHECK constraint failed: price > 0"
                 : "sql: new row for relation \"listings\" violates check constraint "
                   "\"listings_price_check\" (SQLSTATE 23514)",
            "1");
        stop();
    }
    expect_pg("SELECT price FROM listings", "9900");
}

static void an_activity_log_is_written(void **state)
{
    (void)state;
    const char *urls[] = { postgres->url, lite_url };
    const ox_job_options own_id = { .id = "sale" };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        start("--db", urls[i], "q=sql:" EXAMPLES "log-activity.sql");
        for (int run = 0; run < 2; run++) {
            test_redis_do(redis, "FLUSHALL");
            char *id = add_with("{\"listing\": 42}", &own_id);
            await(id);
            expect_field(id, "returnvalue", run ? "{\"rows\":0}" : "{\"rows\":1}");
            ox_free(id);
        }
        stop();
        test_redis_do(redis, "FLUSHALL");
        start("--db", urls[i], "--statement", "SELECT queue, job, kind, data FROM activity",
            "q=sql");
        expect_return("{}", "[{\"queue\":\"q\",\"job\":\"sale\",\"kind\":\"sold\","
                            "\"data\":{\"listing\": 42}}]");
        stop();
    }
}

static void a_batch_is_logged(void **state)
{
    (void)state;
    const char *urls[] = { postgres->url, lite_url };
    const char *words[] = { "q=sql:" EXAMPLES "log-batch-postgresql.sql",
        "q=sql:" EXAMPLES "log-batch-sqlite.sql" };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        test_redis_do(redis, "FLUSHALL");
        start("--db", urls[i], words[i]);
        expect_return("[{\"listing\": 1}, 2, \"three\"]", "{\"rows\":3}");
        stop();
        start("--db", urls[i], "--statement", "SELECT job FROM activity ORDER BY job", "q=sql",
            NULL);
        expect_return("{}", "[{\"job\":\"1:1\"},{\"job\":\"1:2\"},{\"job\":\"1:3\"}]");
        stop();
    }
}

/* What the page shows is in those files. */
static void the_page_shows_the_examples(void **state)
{
    (void)state;
    g_autofree char *page = test_read("docs/sql.md", NULL);
    g_autofree char *all = NULL;
    assert_int_equal(test_run_words(&all, NULL, "sh", "-c", "cat " EXAMPLES "*.sql", NULL), 0);
    g_auto(GStrv) parts = g_strsplit(page, "```sql\n", -1);
    assert_true(g_strv_length(parts) > 3);
    for (char **part = parts + 1; *part; part++) {
        *strstr(*part, "```") = '\0';
        if (!strstr(all, *part))
            test_fatal("no example has: %s", *part);
    }
}

/* ---- start ------------------------------------------------------------------------------- */

static void expect_refused(const char *db, const char *statement, const char *says)
{
    g_autofree char *err = NULL;
    int status = test_run_words(NULL, &err, "ox-worker", "--redis", test_redis_url(redis),
        "--db", db, "--statement", statement, "q=sql", NULL);
    if (status != 2 || !g_str_has_prefix(err, says))
        test_fatal("%s: exit %d: %s", statement, status, err);
}

static void what_is_wrong_is_said_at_the_start(void **state)
{
    (void)state;
    expect_refused(postgres->url, "UPDATE nosuch SET x = 1",
        "ox-worker: q=sql: the statement in line 1: relation \"nosuch\" does not exist "
        "(SQLSTATE 42P01)");
    expect_refused(lite_url, "UPDATE nosuch SET x = 1",
        "ox-worker: q=sql: the statement: no such table: nosuch");
    expect_refused(lite_url, "DELETE FROM listings; SELECT 1",
        "ox-worker: q=sql: the statement is more than one; a job runs one");
    expect_refused("mysql:x", "SELECT 1", "ox-worker: q=sql: --db is neither ");
}

/* A variable is enough: of the worker, and one that many programs have. */
static void the_database_may_be_a_variable(void **state)
{
    (void)state;
    static const char *const names[] = { "OX_DB", "DATABASE_URL" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_setenv(names[i], lite_url, TRUE);
        start("--statement", "SELECT 1 AS x", "q=sql");
        g_unsetenv(names[i]);
        expect_return("{}", "[{\"x\":1}]");
        stop();
    }
}

/* Nobody reads the password in a list of processes or in the log. */
static void a_password_is_not_shown(void **state)
{
    (void)state;
    g_autofree char *password = g_strdup_printf("sesame%d", getpid());
    g_autofree char *user = g_strdup_printf("secret:%s", password);
    g_autofree char *url = test_postgres_url(postgres, user, "");
    g_autofree char *create =
        g_strdup_printf("CREATE ROLE secret LOGIN PASSWORD '%s'", password);
    test_postgres_do(postgres, create);
    start("--db", url, "--concurrency=1", "--statement", "SELECT current_user::text AS me",
        "q=sql");
    expect_return("{}", "[{\"me\":\"secret\"}]");
    g_autofree char *err = test_process_err(worker), *seen = NULL;
    assert_null(strstr(err, password));
    assert_non_null(strstr(err, "secret:***@"));
    /* (The shell's own words are in that list as well, and are not what it looks for.) */
    g_autofree char *look =
        g_strdup_printf("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done "
                        "2>/dev/null | grep '[s]ecret:.*%s'",
            postgres->dir);
    assert_int_equal(test_run_words(&seen, NULL, "sh", "-c", look, NULL), 0);
    assert_null(strstr(seen, password));
    assert_non_null(strstr(seen, "secret:***@"));
    stop();
    test_postgres_do(postgres, "DROP ROLE secret");
}

static bool is_refused(void *arg)
{
    (void)arg;
    return test_process_says(worker, "connection to server on socket", 1000);
}

/* The jobs lose nothing by it, not even an attempt. */
static void a_database_that_is_away_is_waited_for(void **state)
{
    (void)state;
    test_postgres_crash(postgres);
    start("--db", postgres->url, "q=sql:" EXAMPLES "log-activity.sql");
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "; jobs wait until it is there\n"));
    char *id = add_with("{}", NULL);
    assert_true(test_wait_for(DEADLINE_MS, is_refused, NULL));
    test_postgres_revive(postgres);
    await(id);
    expect_field(id, "returnvalue", "{\"rows\":1}");
    expect_field(id, "atm", "1");
    ox_free(id);
    stop();
}

/* The start waits for its check of the database, but not as long as a job's child does. */
static void a_silent_database_does_not_hold_the_start(void **state)
{
    (void)state;
    struct sockaddr_in address = { .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* nobody accepts */
    assert_int_equal(bind(silent, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(silent, 16), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &size), 0);
    g_autofree char *url =
        g_strdup_printf("postgresql://u@127.0.0.1:%d/x", ntohs(address.sin_port));
    int64_t began = g_get_monotonic_time();
    start("--db", url, "q=sql:" EXAMPLES "log-activity.sql");
    assert_true(g_get_monotonic_time() - began < 15 * G_TIME_SPAN_SECOND);
    g_autofree char *err = test_process_err(worker);
    assert_non_null(strstr(err, "; jobs wait until it is there\n"));
    stop();
    close(silent);
}

/* ---- trouble ----------------------------------------------------------------------------- */

static bool all_completed(void *count)
{
    return test_redis_int(redis, "ZCARD bull:q:completed") == *(const int *)count;
}

static void add_many(int count)
{
    const ox_job_options options = { .attempts = 5 };
    for (int i = 0; i < count; i++)
        ox_free(add_with("{}", &options));
}

static void a_restart_of_the_server_loses_no_job(void **state)
{
    (void)state;
    int count = 300;
    start("--db", postgres->url, "--concurrency=3", "q=sql:" EXAMPLES "log-activity.sql");
    add_many(count);
    test_postgres_crash(postgres);
    test_postgres_revive(postgres);
    if (!test_wait_for(DEADLINE_MS, all_completed, &count)) {
        g_autofree char *err = test_process_err(worker);
        test_fatal(
            "%lld of %d: %s", test_redis_int(redis, "ZCARD bull:q:completed"), count, err);
    }
    expect_pg("SELECT count(*) FROM activity", "300");
    stop();
}

/* Two children and this program write into one file. */
static void many_write_into_one_file(void **state)
{
    (void)state;
    static const char *const modes[] = { "WAL", "DELETE" };
    int count = 200;
    run_lite("CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0)");
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_autofree char *mode = g_strdup_printf("PRAGMA journal_mode = %s", modes[i]);
        test_redis_do(redis, "FLUSHALL");
        run_lite(mode);
        start("--db", lite_url, "--concurrency=2", "--statement",
            "UPDATE counter SET n = (SELECT n FROM counter) + 1", "q=sql");
        for (int add = 0; add < count; add++) {
            ox_free(add_with("{}", NULL));
            if (add % 10 == 0)
                run_lite("UPDATE counter SET n = n + 0");
        }
        if (!test_wait_for(DEADLINE_MS, all_completed, &count))
            test_fatal("%s: %lld of %d", modes[i],
                test_redis_int(redis, "ZCARD bull:q:completed"), count);
        stop();
    }
    start("--db", lite_url, "--statement", "SELECT n FROM counter", "q=sql");
    expect_return("{}", "[{\"n\":400}]");
    stop();
}

/* ---- sandbox ----------------------------------------------------------------------------- */

static bool is_confined(void)
{
    g_autofree char *err = test_process_err(worker);
    return !strstr(err, "landlock=no");
}

/* Files beside the database may be opened, and no others. */
static void other_folders_are_closed_to_sqlite(void **state)
{
    (void)state;
    g_autofree char *elsewhere = test_dir_new();
    g_autofree char *outside = g_build_filename(elsewhere, "other.db", NULL);
    g_autofree char *attach = g_strdup_printf("ATTACH DATABASE '%s' AS other", outside);
    g_autofree char *reason = g_strdup_printf(
        "sql: unable to open database: %s (permission denied; the sandbox opens files in the "
        "folder of --db only)",
        outside);
    test_write(outside, "", 0);
    start("--db", lite_url, "--statement", attach, "q=sql");
    if (is_confined())
        expect_failure("{}", reason, "3");
    stop();
    test_redis_do(redis, "FLUSHALL");
    g_autofree char *more = g_build_filename(folder, "more.db", NULL);
    g_autofree char *beside = g_strdup_printf("ATTACH DATABASE '%s' AS more", more);
    test_write(more, "", 0);
    start("--db", lite_url, "--statement", beside, "q=sql");
    expect_return("{}", "{\"rows\":0}");
    stop();
    test_remove(elsewhere);
}

/* More than SQLite sorts in memory. */
static void large_sorts_find_room(void **state)
{
    (void)state;
    start("--db", lite_url, "--statement",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000), "
        "sorted (i, t) AS (SELECT i, hex(randomblob(400)) FROM n ORDER BY 2 LIMIT -1 OFFSET 1) "
        "SELECT count(*) AS rows FROM sorted",
        "q=sql");
    expect_return("{}", "[{\"rows\":59999}]");
    stop();
}

static void the_log_says_that_both_are_confined(void **state)
{
    (void)state;
    const char *const urls[] = { lite_url, postgres->url };
    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        start("--db", urls[i], "--statement", "SELECT 1 AS x", "q=sql");
        g_autofree char *err = test_process_err(worker);
        const char *line = strstr(err, "event=sandbox queue=q jobs=* handler=sql sandbox=on");
        assert_non_null(line);
        assert_null(strstr(line, "unused"));
        expect_return("{}", "[{\"x\":1}]");
        stop();
    }
}

/* Landlock allows files, and a file of the same name is another one: the child that may not
 * read it leaves the job to a new one, which costs no attempt. */
static void a_replaced_password_file_is_read(void **state)
{
    (void)state;
    g_autofree char *pass = g_build_filename(folder, "pass", NULL);
    g_autofree char *next = g_build_filename(folder, "next", NULL);
    g_autofree char *more = g_strdup_printf("&passfile=%s", pass);
    g_autofree char *url = test_postgres_url(postgres, "secret", more);
    const char *const words[] = { "one", "two" };
    test_postgres_do(postgres, "CREATE ROLE secret LOGIN PASSWORD 'one'");
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *line = g_strdup_printf("*:*:*:secret:%s\n", words[i]);
        g_autofree char *sql = g_strdup_printf("ALTER ROLE secret PASSWORD '%s'", words[i]);
        test_write(next, line, -1);
        assert_int_equal(chmod(next, 0600), 0);
        assert_int_equal(rename(next, pass), 0);
        test_postgres_do(postgres, sql);
        if (i == 0)
            start("--db", url, "--concurrency=1", "--statement",
                "SELECT current_user::text AS me", "q=sql");
        test_postgres_do(postgres, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   "WHERE usename = 'secret'");
        expect_return("{}", "[{\"me\":\"secret\"}]");
    }
    stop();
    test_postgres_do(postgres, "DROP ROLE secret");
}

#define WITH_QUEUE(test) cmocka_unit_test_setup_teardown(test, open_queue, close_queue)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_QUEUE(a_listing_is_updated),
        WITH_QUEUE(an_activity_log_is_written),
        WITH_QUEUE(a_batch_is_logged),
        WITH_QUEUE(the_page_shows_the_examples),
        WITH_QUEUE(what_is_wrong_is_said_at_the_start),
        WITH_QUEUE(the_database_may_be_a_variable),
        WITH_QUEUE(a_password_is_not_shown),
        WITH_QUEUE(a_database_that_is_away_is_waited_for),
        WITH_QUEUE(a_silent_database_does_not_hold_the_start),
        WITH_QUEUE(a_restart_of_the_server_loses_no_job),
        WITH_QUEUE(many_write_into_one_file),
        WITH_QUEUE(other_folders_are_closed_to_sqlite),
        WITH_QUEUE(large_sorts_find_room),
        WITH_QUEUE(the_log_says_that_both_are_confined),
        WITH_QUEUE(a_replaced_password_file_is_read),
    };
    return cmocka_run_group_tests_name("sql", tests, start_servers, stop_servers);
}
