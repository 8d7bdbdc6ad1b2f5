/*
 * test_cli_usage.c - ox before any job: wrong usage, help, which server, and what it looks like
 * in pipes and on terminals.
 */
#include "../support/check.h"

#include <glib.h>
#include <pty.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/files.h"
#include "../support/process.h"
#include "../support/ran.h"
#include "../support/redis.h"

static long long length(const char *queue, const char *list)
{
    bool is_list = !strcmp(list, "wait") || !strcmp(list, "active");
    return test_redis_int(redis, is_list ? "LLEN bull:%s:%s" : "ZCARD bull:%s:%s", queue, list);
}

/* ---- wrong usage ---------------------------------------------------------------------------
 */

/* None of these may reach a server, so there is none. */
static void reports_wrong_usage_without_a_server(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } cases[] = {
        { "cuonts q", "did you mean counts?" },
        { "schedule st q", "did you mean set?" },
        { "--jsn queues", "unknown option --jsn; did you mean --json?" },
        { "add", "QUEUE is missing" },
        { "add q", "NAME is missing" },
        { "add q n 1 2", "unexpected argument \"2\"" },
        { "add q n hello", "a string keeps its own quotes ('\"hello\"'), a file is @FILE" },
        { "add q n {\"a\":", "data is not JSON: {\"a\":" },
        { "add q:r n", "queue name must not contain a colon" },
        { "add q n --delay 5", "--delay: \"5\" is not a duration" },
        { "add q n --priority 2097152", "not a whole number from 0 to 2097151" },
        { "add q n --prio 3", "did you mean --priority?" },
        { "add q n --backoff fixed", "has no delay" },
        { "add q n --opts [1]", "--opts: not a JSON object" },
        { "add q n --parent 5", "--parent: \"5\" is not QUEUE:ID" },
        { "add q n --on-failure fail", "--on-failure needs --parent" },
        { "add q n --wait=soon", "--wait: \"soon\" is not a duration" },
        { "jobs q --state lost", "--state: \"lost\" is not one of" },
        { "retry q", "job ids are missing" },
        { "retry q 1 --all", "exclude each other" },
        { "retry q 1 --state delayed", "is not one of completed, failed" },
        { "promote q", "job ids are missing" },
        { "rm q", "job ids are missing" },
        { "rm q 1 2", "this would remove 2 jobs from queue q; --yes does it" },
        { "rm q -", "--yes does it without asking" },
        { "clean q", "--yes does it without asking" },
        { "obliterate q", "--yes does it without asking" },
        { "update q 1", "nothing to change" },
        { "limit q --rate 5", "\"5\" is not MAX/DURATION" },
        { "limit q --clear --concurrency 2", "--clear excludes" },
        { "schedule set q s", "either --every or --cron is required" },
        { "dev --redis redis://h", "ox dev runs its own server" },
        { "completion powershell", "expected bash, zsh, fish or man" },
        { "counts q --redis nonsense", "bad Redis URL" },
        { "counts q --redis http://h", "bad Redis URL" },
    };
    g_setenv("OX_REDIS_URL", "unix:///nowhere/at/all", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) words = g_strsplit(cases[i].line, " ", -1);
        ox_with(NULL, (const char *const *)words);
        const char *end = strchr(ran.err, '\n');
        if (ran.status != 2 || *ran.out || !strstr(ran.err, cases[i].why) || !end || end[1])
            test_fatal("ox %s: exit status %d\nstdout: %s\nstderr: %s", cases[i].line,
                ran.status, ran.out, ran.err);
    }
}

static void help_exits_0(void **state)
{
    (void)state;
    ox("--help");
    if (ran.status || *ran.err || !strstr(ran.out, "obliterate"))
        told();
    ox("help", "add");
    if (ran.status || *ran.err || !strstr(ran.out, "--backoff"))
        told();
    ox("schedule", "--help");
    if (ran.status || *ran.err || !strstr(ran.out, "schedule set"))
        told();
    assert_int_equal(ox("--version"), 0);
    assert_true(g_str_has_prefix(ran.out, "ox "));
    ox_with(NULL, (const char *const[]){ NULL });
    if (ran.status != 2 || *ran.out || !strstr(ran.err, "Usage: ox"))
        told();
}

/* ---- the server ----------------------------------------------------------------------------
 */

static void reports_unreachable_server(void **state)
{
    (void)state;
    g_autofree char *nowhere = g_strdup_printf("unix://%s/none", dir);
    ox("counts", "q", "--redis", nowhere);
    expect_refusal(1, "cannot connect");
    ox("add", "q", "n", "--redis", "redis://127.0.0.1:1");
    expect_refusal(1, "cannot connect");
}

static void reports_wrong_password(void **state)
{
    (void)state;
    const char *const args[] = { "--requirepass", "sesame", NULL };
    struct test_redis *locked = test_redis_start(args);
    g_autofree char *wrong = g_strdup_printf("unix://:guess@%s", locked->socket);
    g_autofree char *right = g_strdup_printf("unix://:sesame@%s", locked->socket);
    ox("counts", "q", "--redis", wrong);
    expect_refusal(1, "");
    assert_null(strstr(ran.err, "guess"));
    ox("counts", "q", "--redis", test_redis_url(locked));
    expect_refusal(1, "");
    ox("add", "q", "n", "--redis", right);
    expect_done("1\n");
    test_redis_stop(locked);
}

static void the_server_is_chosen_in_order(void **state)
{
    (void)state;
    const char *here = test_redis_url(redis);
    g_setenv("REDIS_URL", "unix:///nowhere/at/all", TRUE);
    ox("add", "order", "n");
    expect_done("1\n");
    g_setenv("OX_REDIS_URL", "", TRUE);
    ox("add", "order", "n");
    expect_refusal(1, "cannot connect");
    g_setenv("REDIS_URL", here, TRUE);
    ox("add", "order", "n");
    expect_done("2\n");
    g_setenv("OX_REDIS_URL", "unix:///nowhere/at/all", TRUE);
    ox("--redis", here, "add", "order", "n");
    expect_done("3\n");
}

static void uses_custom_prefix(void **state)
{
    (void)state;
    ox("--prefix", "{mine}", "add", "q", "n");
    expect_done("1\n");
    assert_int_equal(test_redis_int(redis, "EXISTS {mine}:q:1"), 1);
    ox("queues", "--prefix", "{mine}");
    expect_done("q\t1\t0\t0\t0\t0\t0\t0\t\n");
}

/* ---- pipes and terminals -------------------------------------------------------------------
 */

static void handles_closed_pipe(void **state)
{
    (void)state;
    ox("add", "epipe", "n");
    GString *lines = g_string_new(NULL);
    for (int i = 0; i < 3000; i++)
        g_string_append_printf(lines, "\"%064d\"\n", i);
    ox_with(lines->str, WORDS("import", "epipe", "--name", "n"));
    g_string_free(lines, TRUE);
    g_autofree char *program = test_program("ox");
    g_autofree char *line =
        g_strdup_printf("{ '%s' jobs epipe; echo \"status $?\" >&2; } | head -n 1", program);
    run_with(NULL, WORDS("sh", "-c", line));
    if (ran.status || strcmp(ran.err, "status 0\n") ||
        !g_str_has_prefix(ran.out, "1\tn\twaiting"))
        told();
    g_autofree char *full = g_strdup_printf("'%s' counts epipe >/dev/full", program);
    run_with(NULL, WORDS("sh", "-c", full));
    expect_refusal(1, "cannot write the output");
}

/* Runs ox on a terminal of its own and types `typed`. What the terminal showed is in
 * `ran.out`. */
static void ox_on_terminal_of(int columns, const char *typed, const char *const *words)
{
    g_autofree char *program = test_program("ox");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, program);
    for (const char *const *word = words; *word; word++)
        g_ptr_array_add(argv, (gpointer)*word);
    g_ptr_array_add(argv, NULL);
    struct winsize size = { .ws_row = 24, .ws_col = (unsigned short)columns };
    int terminal;
    pid_t pid = forkpty(&terminal, NULL, NULL, &size);
    if (pid == 0) {
        execv(program, (char **)argv->pdata);
        _exit(127);
    }
    assert_true(pid > 0);
    if (write(terminal, typed, strlen(typed)) < 0)
        test_fatal("the terminal takes nothing");
    GString *shown = g_string_new(NULL);
    char buffer[4096];
    ssize_t got;
    while ((got = read(terminal, buffer, sizeof buffer)) > 0)
        g_string_append_len(shown, buffer, got);
    int wait_status;
    waitpid(pid, &wait_status, 0);
    close(terminal);
    ran_set(WEXITSTATUS(wait_status), g_string_free(shown, FALSE), g_strdup(""));
}

static void ox_on_terminal(const char *typed, const char *const *words)
{
    ox_on_terminal_of(60, typed, words);
}

static void a_long_id_leaves_room_for_the_reason(void **state)
{
    (void)state;
    static const int widths[] = { 60, 80, 200 };
    GString *lines = g_string_new("{\"name\":\"n\",\"data\":{\"input\":\"none.jpg\"}}\n");
    g_autofree char *id = g_strnfill(200, 'x');
    g_string_append_printf(lines, "{\"name\":\"n\",\"opts\":{\"jobId\":\"%s\"}}\n", id);
    ox_with(lines->str, WORDS("import", "long"));
    g_string_free(lines, TRUE);
    test_redis_do(redis, "HSET bull:long:1 failedReason %s", "input is not a photo");
    g_setenv("NO_COLOR", "1", TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        ox_on_terminal_of(widths[i], "", WORDS("jobs", "long"));
        if (ran.status || !strstr(ran.out, "input is not a photo") ||
            !strstr(ran.out, "xxxxxxx"))
            told();
        g_auto(GStrv) rows = g_strsplit(ran.out, "\r\n", -1);
        for (char **row = rows; *row; row++)
            assert_true(g_utf8_strlen(*row, -1) <= widths[i]);
        if (widths[i] >= 80 && !strstr(ran.out, "DATA"))
            told();
        ox_on_terminal_of(widths[i], "", WORDS("events", "long", "--no-follow"));
        g_auto(GStrv) events = g_strsplit(ran.out, "\r\n", -1);
        for (char **row = events; *row; row++)
            assert_true(g_utf8_strlen(*row, -1) <= widths[i]);
    }
}

static void a_group_is_shown_with_its_members(void **state)
{
    (void)state;
    static const char name[] = "warehouse@a-machine-with-a-long-name.shop.example.com:12345:"
                               "0123456789abcdef";
    ox("publish", "click", "--stream", "members");
    ox("group", "seek", "g", "start", "--stream", "members", "--create");
    test_redis_do(redis, "XREADGROUP GROUP g %s STREAMS bull::ox:{members}:log >", name);
    g_setenv("NO_COLOR", "1", TRUE);
    ox_on_terminal_of(80, "", WORDS("group", "show", "g", "--stream", "members"));
    if (ran.status || !strstr(ran.out, "MEMBER ") || !strstr(ran.out, "PENDING  IDLE") ||
        !strstr(ran.out, "warehouse@a-machine"))
        told();
    g_auto(GStrv) rows = g_strsplit(ran.out, "\r\n", -1);
    for (char **row = rows; *row; row++)
        assert_true(g_utf8_strlen(*row, -1) <= 80);
}

/* A line that wraps is not wiped away by the next one. */
static void progress_fits_the_terminal(void **state)
{
    (void)state;
    static const int widths[] = { 12, 40 };
    g_autofree char *path = g_build_filename(dir, "lines", NULL);
    GString *lines = g_string_new(NULL);
    for (int i = 0; i < 40000; i++)
        g_string_append(lines, "1\n");
    test_write(path, lines->str, -1);
    g_string_free(lines, TRUE);
    size_t drawn = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        ox_on_terminal_of(widths[i], "", WORDS("import", "bar", path, "--name", "n"));
        g_auto(GStrv) draws = g_strsplit(ran.out, "\r\033[K", -1);
        for (char **draw = draws; draws[0] && draw[1]; draw++, drawn++)
            if (g_utf8_strlen(*draw, -1) >= widths[i])
                told();
    }
    assert_true(drawn > 0);
}

static void tables_on_a_terminal(void **state)
{
    (void)state;
    ox("add", "tty", "evil\033[2J", "{\"long\":\"0123456789012345678901234567890123456789\"}");
    ox_on_terminal("", WORDS("jobs", "tty"));
    if (ran.status || !strstr(ran.out, "\033[1mID\033[0m") || strstr(ran.out, "\033[2J") ||
        !strstr(ran.out, "evil␛[2J") || !strstr(ran.out, "…"))
        told();
    g_setenv("NO_COLOR", "1", TRUE);
    ox_on_terminal("", WORDS("jobs", "tty"));
    if (ran.status || strchr(ran.out, '\033') || !strstr(ran.out, "ID  NAME"))
        told();
    g_auto(GStrv) lines = g_strsplit(ran.out, "\r\n", -1);
    for (char **line = lines; *line; line++)
        assert_true(g_utf8_strlen(*line, -1) <= 60);
    ox_on_terminal("", WORDS("job", "tty", "1"));
    if (ran.status || !strstr(ran.out, "Job 1  evil␛[2J  waiting") ||
        !strstr(ran.out, "\"long\""))
        told();
    GString *jobs = g_string_new(NULL);
    for (int i = 0; i < 21; i++)
        g_string_append(jobs, "1\n");
    ox_with(jobs->str, WORDS("import", "many", "--name", "n"));
    g_string_free(jobs, TRUE);
    ox_on_terminal("", WORDS("jobs", "many"));
    if (ran.status || !strstr(ran.out, "the first 20; --limit 0 lists all"))
        told();
}

static void questions_on_a_terminal(void **state)
{
    (void)state;
    ox_with("1\n2\n", WORDS("import", "ask", "--name", "n"));
    ox_on_terminal("n\n", WORDS("rm", "ask", "1", "2"));
    if (ran.status != 1 ||
        !strstr(ran.out, "This will remove 2 jobs from queue ask. Go on? [y/N]") ||
        !strstr(ran.out, "nothing was done"))
        told();
    assert_int_equal(length("ask", "wait"), 2);
    ox_on_terminal("y\n", WORDS("rm", "ask", "1", "2"));
    if (ran.status || !strstr(ran.out, "removed 1\r\nremoved 2\r\n"))
        told();
    assert_int_equal(length("ask", "wait"), 0);
}

/* ---- setup ---------------------------------------------------------------------------------
 */

/* Before each test, so that one that fails half-way spoils no other. */
static int clean_environment(void **state)
{
    (void)state;
    g_unsetenv("REDIS_URL");
    g_unsetenv("NO_COLOR");
    g_setenv("TERM", "xterm", TRUE);
    g_setenv("OX_REDIS_URL", test_redis_url(redis), TRUE);
    return 0;
}

#define cli_test(f) cmocka_unit_test_setup(f, clean_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cli_test(reports_wrong_usage_without_a_server),
        cli_test(help_exits_0),
        cli_test(reports_unreachable_server),
        cli_test(reports_wrong_password),
        cli_test(the_server_is_chosen_in_order),
        cli_test(uses_custom_prefix),
        cli_test(handles_closed_pipe),
        cli_test(tables_on_a_terminal),
        cli_test(a_long_id_leaves_room_for_the_reason),
        cli_test(a_group_is_shown_with_its_members),
        cli_test(progress_fits_the_terminal),
        cli_test(questions_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, ran_begin, ran_end);
}
