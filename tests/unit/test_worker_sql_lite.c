/*
 * test_worker_sql_lite.c - the sql handler on SQLite: what it takes for a statement, what
 * reaches it of a job, what comes back, and what becomes of jobs that fail.
 */
#include "sql_job.h"

#include <sqlite3.h>
#include <unistd.h>

#include "files.h"
#include "worker/frame.h"

static char *folder, *file, *db; /* of the test that runs */
static sqlite3 *own;             /* another connection to the file */

static void run_sql(const char *sql)
{
    char *problem = NULL;
    if (sqlite3_exec(own, sql, NULL, NULL, &problem) != SQLITE_OK)
        test_fatal("%s: %s", sql, problem);
}

static void open_own(void)
{
    assert_int_equal(sqlite3_open(file, &own), SQLITE_OK);
}

static int make_file(void **state)
{
    (void)state;
    folder = test_dir_new();
    file = g_build_filename(folder, "data.db", NULL);
    db = g_strdup_printf("sqlite:%s", file);
    open_own();
    run_sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER CHECK (n < 100))");
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    g_autofree char *problem = try_statement("sqlite:", "x"); /* lets go of the file */
    sqlite3_close(own);
    test_remove(folder);
    g_free(folder);
    g_free(file);
    g_free(db);
    return 0;
}

/* The first column of the first row as our own connection sees it. */
static void expect_stored(const char *sql, const char *text)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(own, sql, -1, &statement, NULL), SQLITE_OK);
    const char *found = sqlite3_step(statement) == SQLITE_ROW
                            ? (const char *)sqlite3_column_text(statement, 0)
                            : "no row";
    if (g_strcmp0(found, text) != 0)
        test_fatal("%s: %s, not %s", sql, found ? found : "(null)", text);
    sqlite3_finalize(statement);
}

/* ---- start ------------------------------------------------------------------------------- */

static void wrong_statements_are_refused_at_the_start(void **state)
{
    (void)state;
    expect_refused(db, "SELEC 1", "the statement: near \"SELEC\": syntax error");
    expect_refused(db, "SELECT * FROM nosuch", "the statement: no such table: nosuch");
    expect_refused(db, "SELECT x FROM t", "the statement: no such column: x");
    expect_refused(
        db, "SELECT 1; DROP TABLE t", "the statement is more than one; a job runs one");
    expect_refused(db, "SELECT 1; nonsense", "the statement is more than one; a job runs one");
    expect_refused(db, "SELECT $6", "the statement has a parameter $6; there are $1 to $5");
    expect_refused(db, "SELECT :x", "the statement has a parameter :x; there are $1 to $5");
    expect_refused(db, "SELECT $12", "the statement has a parameter $12; there are $1 to $5");
    expect_refused(db, "SELECT id, a AS id FROM t",
        "two columns are called \"id\"; name one otherwise, with AS");
    expect_refused(db, "-- a comment\n/* another */ commit;",
        "the statement is COMMIT, but each job is a transaction already, and ends by itself");
    expect_refused(db, "BEGIN IMMEDIATE",
        "the statement is BEGIN, but each job is a transaction already, and ends by itself");
    use(db, "/* COMMIT */ SELECT 1");
    expect_refused(db, "-- nothing", "the statement is empty");
    expect_refused(db, " ;\n", "sql needs a statement: QUEUE=sql:FILE, or --statement SQL");
    expect_refused(db, "SELECT '\xff'", "the statement is not UTF-8");
    use(db, "SELECT 1; -- and a comment\n /* another */ ;");
}

static void wrong_databases_are_refused_at_the_start(void **state)
{
    (void)state;
    g_autofree char *missing = g_strdup_printf("%s/none.db", folder);
    g_autofree char *missing_db = g_strdup_printf("sqlite:%s", missing);
    g_autofree char *missing_says =
        g_strdup_printf("%s: unable to open database file", missing);
    g_autofree char *text = g_build_filename(folder, "text", NULL);
    g_autofree char *text_db = g_strdup_printf("sqlite:%s", text);
    const char *neither = "--db is neither postgresql://[USER@]HOST/DATABASE nor sqlite:PATH";
    test_write(text, "this is not a database, and long enough to have the header of one", -1);
    expect_refused(missing_db, "SELECT 1", missing_says);
    assert_int_equal(access(missing, F_OK), -1);
    expect_refused(text_db, "SELECT * FROM t", "the statement: file is not a database");
    expect_refused("sqlite:", "SELECT 1", neither);
    expect_refused("mysql://x/y", "SELECT 1", neither);
    expect_refused("postgresql://ann@db/x?password=secret", "SELECT 1",
        "--db shows a password behind its '?'; write it as USER:PASSWORD@HOST, or the whole "
        "into "
        "a file: --db @FILE");
    const char *const nothing[] = { "--statement=SELECT 1", NULL };
    g_autofree char *problem = try_words(NULL, false, nothing);
    assert_true(g_str_has_prefix(problem, "sql needs a database: "));
}

static void statement_and_database_may_be_in_files(void **state)
{
    (void)state;
    g_autofree char *db_file = g_build_filename(folder, "url", NULL);
    g_autofree char *sql_file = g_build_filename(folder, "a.sql", NULL);
    g_autofree char *db_word = g_strdup_printf("--db=@%s", db_file);
    g_autofree char *word = g_strdup_printf("--statement=@%s", sql_file);
    g_autofree char *line = g_strdup_printf("%s\n", db);
    const char *const both[] = { db_word, word, NULL };
    const char *const other[] = { db_word, "--statement=SELECT 2 AS x", NULL };
    const char *const neither[] = { db_word, NULL };
    test_write(db_file, line, -1);
    test_write(sql_file, "-- one\nSELECT 1 AS x;\n", -1);
    assert_null(try_words(NULL, false, both));
    run_data("{}");
    expect_end(HANDLER_DONE, "[{\"x\":1}]");
    assert_null(try_words(sql_file, false, other)); /* what follows sql: counts first */
    run_data("{}");
    expect_end(HANDLER_DONE, "[{\"x\":1}]");
    g_autofree char *none = try_words(NULL, false, neither);
    assert_string_equal(none, "sql needs a statement: QUEUE=sql:FILE, or --statement SQL");
    g_autofree char *lost = try_words("/nosuch/a.sql", false, neither);
    assert_true(g_str_has_prefix(lost, "the statement cannot be read: "));
    test_write(sql_file, "SELECT 1\0;", 10);
    g_autofree char *bad = try_words(sql_file, false, neither);
    assert_non_null(strstr(bad, "a.sql is not a statement: it has a NUL"));
    g_setenv("DATABASE_URL", db, TRUE);
    const char *const variable[] = { "--statement=SELECT 3 AS x", NULL };
    assert_null(try_words(NULL, false, variable));
    g_unsetenv("DATABASE_URL");
    run_data("{}");
    expect_end(HANDLER_DONE, "[{\"x\":3}]");
}

/* ---- values ------------------------------------------------------------------------------ */

static void all_of_a_job_is_bound(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, typeof($5) AS f",
        "SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d, ?5 AS e, typeof(?5) AS f",
        "SELECT $1::json AS a, $2::text AS b, $3::varchar(9) AS c, $4 AS d, $5::int AS e, "
        "typeof($5) AS f",
        "SELECT ? AS a, ? AS b, ? AS c, ? AS d, ? AS e, typeof($5) AS f",
    };
    const struct handler_job job = {
        .data = "{\"x\": [1]}", .id = "my-id", .name = "n", .queue = "listings", .attempt = 3
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        use(db, texts[i]);
        run_job(job);
        expect_end(HANDLER_DONE, "[{\"a\":\"{\\\"x\\\": [1]}\",\"b\":\"my-id\",\"c\":\"n\","
                                 "\"d\":\"listings\",\"e\":3,\"f\":\"integer\"}]");
    }
}

static void data_is_never_sql(void **state)
{
    (void)state;
    static const char *const texts[] = { "'); DROP TABLE t; --", "$1", "?1", "\\", "''\"\"",
        "1; ATTACH 'x' AS y", "\xe2\x80\x99 OR 1=1" };
    use(db, "INSERT INTO t (a) VALUES ($1::json->>'a')");
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GString) data = g_string_new("{\"a\":\"");
        for (const char *at = texts[i]; *at; at++)
            g_string_append_printf(data, strchr("\"\\", *at) ? "\\%c" : "%c", *at);
        g_string_append(data, "\"}");
        run_data(data->str);
        expect_end(HANDLER_DONE, "{\"rows\":1}");
        g_autofree char *stored = g_strdup_printf("SELECT a FROM t WHERE id = %zu", i + 1);
        expect_stored(stored, texts[i]);
    }
    expect_stored("SELECT count(*) FROM t", "7");
}

static void what_is_not_text_becomes_text(void **state)
{
    (void)state;
    use(db, "SELECT $1 AS a, $2 AS b, $3 AS c");
    run_job((struct handler_job){
        .data = "\"x\xff\"", .id = "i\xc3", .name = "a\0b", .name_len = 3 });
    expect_end(HANDLER_DONE, "[{\"a\":\"\\\"x\xef\xbf\xbd\\\"\",\"b\":\"i\xef\xbf\xbd\",\"c\":"
                             "\"a\xef\xbf\xbd"
                             "b\"}]");
    run_data("\"\\ud800\\u0000\"");
    expect_end(HANDLER_DONE, "[{\"a\":\"\\\"\\\\ud800\\\\u0000\\\"\",\"b\":\"7\",\"c\":\"\"}]");
    run_job((struct handler_job){ .data = "1\0 ", .data_len = 3 });
    expect_end(HANDLER_FATAL, "sql: the job's data is not JSON");
    run_data("{\"a\":}");
    expect_end(HANDLER_FATAL, "sql: the job's data is not JSON");
}

static void an_array_is_a_batch(void **state)
{
    (void)state;
    use(db, "INSERT INTO t (a, n) SELECT value->>'a', value->>'n' FROM json_each($1)");
    run_data("[{\"a\":\"x\",\"n\":1},{\"a\":\"y\",\"n\":2}]");
    expect_end(HANDLER_DONE, "{\"rows\":2}");
    run_data("[]");
    expect_end(HANDLER_DONE, "{\"rows\":0}");
    run_data("[{\"a\":\"z\",\"n\":3},{\"a\":\"x\",\"n\":4}]");
    expect_end(HANDLER_FATAL, "sql: UNIQUE constraint failed: t.a");
    expect_stored("SELECT group_concat(a) FROM t", "x,y");
}

static void large_data(void **state)
{
    (void)state;
    g_autofree char *data = g_strnfill((gsize)1 << 20, 'x');
    data[0] = data[((gsize)1 << 20) - 1] = '"';
    expect_rows(db, "SELECT length($1) AS bytes", data, "[{\"bytes\":1048576}]");
    g_autofree char *wanted =
        g_strdup_printf("[{\"a\":\"\\\"%.*s\\\"\"}]", (1 << 20) - 2, data + 1);
    expect_rows(db, "SELECT $1 AS a", data, wanted);
}

/* ---- rows -------------------------------------------------------------------------------- */

static void values_keep_their_types(void **state)
{
    (void)state;
    run_sql(
        "CREATE TABLE v (yes BOOLEAN, no bool, many BOOLEAN, good JSON, bad json, half REAL, "
        "bytes BLOB, words TEXT, empty TEXT)");
    run_sql("INSERT INTO v VALUES (1, 0, 2, '{\"a\": [1, null]}', '{a}', 0.5, x'00ff10', "
            "'a\"b' || char(0, 10, 228), NULL)");
    expect_rows(db, "SELECT * FROM v", "{}",
        "[{\"yes\":true,\"no\":false,\"many\":2,\"good\":{\"a\": [1, null]},\"bad\":\"{a}\","
        "\"half\":0.5,\"bytes\":\"\\\\x00ff10\",\"words\":\"a\\\"b\\u0000\\n\xc3\xa4\","
        "\"empty\":null}]");
    expect_rows(db,
        "SELECT 9223372036854775807 AS a, -9223372036854775808 AS b, 0.1 AS c, "
        "1e300 AS d, 9e999 AS e, -9e999 AS f, 1.0 / 3 AS g, x'' AS h, '' AS i",
        "{}",
        "[{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":0.1,\"d\":1e+300,"
        "\"e\":\"Infinity\",\"f\":\"-Infinity\",\"g\":0.3333333333333333,\"h\":\"\\\\x\","
        "\"i\":\"\"}]");
    expect_rows(db, "SELECT json_object('k', $1::json -> 'k') AS o, '{}' AS text",
        "{\"k\":[1]}", "[{\"o\":{\"k\":[1]},\"text\":\"{}\"}]");
    expect_rows(db, "UPDATE v SET yes = 0 RETURNING yes, good", "{}",
        "[{\"yes\":false,\"good\":{\"a\": [1, null]}}]");
    expect_rows(db, "SELECT 1 AS \"a\"\"b\" UNION ALL SELECT 2", "{}",
        "[{\"a\\\"b\":1},{\"a\\\"b\":2}]");
    expect_rows(db, "SELECT 1 AS x WHERE 0", "{}", "[]");
    expect_rows(db, "SELECT CAST(x'ff41' AS TEXT) AS x", "{}",
        "[{\"x\":\"\xef\xbf\xbd"
        "A\"}]");
}

static void statements_without_rows_tell_how_many_they_changed(void **state)
{
    (void)state;
    expect_rows(db, "INSERT INTO t (a) VALUES ('x'), ('y')", "{}", "{\"rows\":2}");
    expect_rows(db, "UPDATE t SET n = 1", "{}", "{\"rows\":2}");
    expect_rows(db, "CREATE TABLE u (x)", "{}", "{\"rows\":0}");
    expect_rows(db, "DELETE FROM t WHERE a = 'z'", "{}", "{\"rows\":0}");
    expect_rows(
        db, "UPDATE t SET n = 2 WHERE a = 'x' RETURNING a, n", "{}", "[{\"a\":\"x\",\"n\":2}]");
}

/* Nothing of a statement stays that gave too much. */
static void too_many_rows_or_bytes_are_refused(void **state)
{
    (void)state;
    const char *insert =
        "INSERT INTO t (a) WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT "
        "i + 1 FROM s WHERE i < CAST($1 AS INTEGER)) SELECT i FROM s RETURNING id";
    use(db, insert);
    run_data("101");
    expect_end(HANDLER_FATAL, "sql: more than 100 rows (--max-rows)");
    expect_stored("SELECT count(*) FROM t", "0");
    run_data("100");
    assert_int_equal(ran.result, HANDLER_DONE);
    expect_stored("SELECT count(*) FROM t", "100");
    use(db, "SELECT hex(zeroblob($1)) AS x");
    run_data("8388590");
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(ran.out->len, 2 * 8388590 + strlen("[{\"x\":\"\"}]"));
    run_data("8388608");
    expect_end(HANDLER_FATAL, "sql: the rows are more than 16 MB as JSON");
    use(db, "SELECT zeroblob($1) AS x");
    run_data("100000000");
    expect_end(HANDLER_FATAL, "sql: the rows are more than 16 MB as JSON");
    use(db, "SELECT hex(zeroblob(1000000)) AS x FROM json_each($1)");
    run_data("[1,2,3,4,5,6,7,8,9]");
    expect_end(HANDLER_FATAL, "sql: the rows are more than 16 MB as JSON");
    run_data("[1]");
    assert_int_equal(ran.result, HANDLER_DONE);
}

/* ---- failures ---------------------------------------------------------------------------- */

static void constraints_fail_for_good(void **state)
{
    (void)state;
    run_sql("CREATE TABLE child (t INTEGER NOT NULL REFERENCES t(id))");
    run_sql("CREATE TRIGGER no13 BEFORE INSERT ON t WHEN new.n = 13 BEGIN "
            "SELECT RAISE(ABORT, 'not 13'); END");
    run_sql("INSERT INTO t (a) VALUES ('x')");
    use(db, "INSERT INTO t (a, n) VALUES ($1->>'a', $1->>'n')");
    run_data("{\"a\":\"x\"}");
    expect_end(HANDLER_FATAL, "sql: UNIQUE constraint failed: t.a");
    run_data("{\"a\":\"y\",\"n\":100}");
    expect_end(HANDLER_FATAL, "sql: CHECK constraint failed: n < 100");
    run_data("{\"a\":\"y\",\"n\":13}");
    expect_end(HANDLER_FATAL, "sql: not 13");
    run_data("{\"a\":\"y\",\"n\":14}");
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    use(db, "INSERT INTO child VALUES ($1->>'t')");
    run_data("{}");
    expect_end(HANDLER_FATAL, "sql: NOT NULL constraint failed: child.t");
    run_data("{\"t\":99}");
    expect_end(HANDLER_FATAL, "sql: FOREIGN KEY constraint failed");
    use(db, "INSERT INTO t (id) VALUES ($1->>'id')");
    run_data("{\"id\":\"x\"}");
    expect_end(HANDLER_FATAL, "sql: datatype mismatch");
    expect_stored("SELECT count(*) FROM t", "2");
}

static int64_t soon(int64_t ms)
{
    return test_unix_ms() + ms;
}

static void a_lock_of_others_is_waited_for(void **state)
{
    (void)state;
    use(db, "INSERT INTO t (a) VALUES ($2)");
    run_sql("BEGIN IMMEDIATE");
    int64_t start_ms = test_now_ms();
    run_job((struct handler_job){ .deadline_ms = soon(500) });
    expect_end(HANDLER_RETRY, "sql: database is locked");
    assert_in_range(test_now_ms() - start_ms, 300, 5000);
    run_sql("COMMIT");
    run_job((struct handler_job){ .deadline_ms = soon(10000) });
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    run_sql("BEGIN EXCLUSIVE");
    use(db, "SELECT 1 AS x"); /* reads no table, so no lock is in its way */
    run_sql("COMMIT");
}

static void the_deadline_ends_a_statement(void **state)
{
    (void)state;
    use(db, "INSERT INTO t (n) WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s) "
            "SELECT i % 10 FROM s");
    run_job((struct handler_job){ .deadline_ms = soon(500) });
    expect_end(HANDLER_RETRY, "sql: the job's time was over before the statement had ended");
    expect_stored("SELECT count(*) FROM t", "0");
    expect_rows(db, "SELECT count(*) AS n FROM t", "{}", "[{\"n\":0}]");
}

static void other_errors_are_tried_again(void **state)
{
    (void)state;
    use(db, "INSERT INTO t (a) VALUES ($2)");
    run_sql("ALTER TABLE t RENAME TO away");
    run_data("{}");
    expect_end(HANDLER_RETRY, "sql: no such table: t");
    run_sql("ALTER TABLE away RENAME TO t");
    run_data("{}");
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    use(db, "SELECT abs($1->>'n') AS n");
    run_data("{\"n\":-9223372036854775808}");
    expect_end(HANDLER_RETRY, "sql: integer overflow");
}

static void a_statement_may_not_end_its_transaction(void **state)
{
    (void)state;
    use(db,
        "/* /* */ COMMIT"); /* comments that nest are PostgreSQL's, so the start lets it be */
    run_data("{}");
    expect_end(HANDLER_FATAL, "sql: the statement ended its transaction, which it must not");
    expect_rows(db, "INSERT INTO t (a) VALUES ('x')", "{}", "{\"rows\":1}");
}

/* Else its changes would go into a file that nobody sees. */
static void a_replaced_file_is_opened_again(void **state)
{
    (void)state;
    use(db, "INSERT INTO t (a) VALUES ($2)");
    run_data("{}");
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    sqlite3_close(own);
    assert_int_equal(unlink(file), 0);
    g_autofree char *gone = g_strdup_printf("sql: %s: unable to open database file", file);
    run_data("{}");
    expect_end(HANDLER_RETRY, gone);
    open_own();
    run_sql("CREATE TABLE t (a)");
    run_data("{}");
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    expect_stored("SELECT count(*) FROM t", "1");
}

static void rows_may_name_events_of_a_batch(void **state)
{
    (void)state;
    use(db, "SELECT value->>'position' AS itemIdentifier FROM json_each($1) "
            "WHERE value->>'$.data.n' >= 100");
    run_batch();
    expect_end(HANDLER_DONE, "{\"batchItemFailures\":[{\"itemIdentifier\":\"9-2\"}]}");
    use(db, "SELECT CASE WHEN value->>'$.data.n' >= 100 THEN value->>'position' END "
            "AS itemidentifier FROM json_each($1)");
    run_batch();
    expect_end(HANDLER_DONE, "{\"batchItemFailures\":[{\"itemIdentifier\":\"9-2\"}]}");
    use(db, "SELECT value->>'position' AS itemIdentifier FROM json_each($1) WHERE 0");
    run_batch();
    expect_end(HANDLER_DONE, "[]");
    use(db, "INSERT INTO t (a, n) SELECT $4 || $3 || $2 || key, value->>'$.data.n' "
            "FROM json_each($1)");
    run_batch();
    expect_end(HANDLER_FATAL, "sql: CHECK constraint failed: n < 100");
    use(db, "INSERT INTO t (a, n) SELECT $4 || $3 || $2 || key, value->>'$.data.n' "
            "FROM json_each($1) WHERE key = 0");
    run_batch();
    expect_end(HANDLER_DONE, "{\"rows\":1}");
    expect_stored("SELECT a || n FROM t", "clickswarehouse9-107");
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(wrong_statements_are_refused_at_the_start),
        WITH_FILE(wrong_databases_are_refused_at_the_start),
        WITH_FILE(statement_and_database_may_be_in_files),
        WITH_FILE(all_of_a_job_is_bound),
        WITH_FILE(data_is_never_sql),
        WITH_FILE(what_is_not_text_becomes_text),
        WITH_FILE(an_array_is_a_batch),
        WITH_FILE(large_data),
        WITH_FILE(values_keep_their_types),
        WITH_FILE(statements_without_rows_tell_how_many_they_changed),
        WITH_FILE(too_many_rows_or_bytes_are_refused),
        WITH_FILE(constraints_fail_for_good),
        WITH_FILE(a_lock_of_others_is_waited_for),
        WITH_FILE(the_deadline_ends_a_statement),
        WITH_FILE(other_errors_are_tried_again),
        WITH_FILE(a_statement_may_not_end_its_transaction),
        WITH_FILE(a_replaced_file_is_opened_again),
        WITH_FILE(rows_may_name_events_of_a_batch),
    };
    return cmocka_run_group_tests_name("sql_lite", tests, NULL, NULL);
}
