/*
 * Log lines: their two forms, what is escaped, and that a reader who does not read stops
 * nothing.
 */
#include "../support/check.h"

#include <fcntl.h>
#include <glib.h>
#include <jansson.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "worker/log.h"

static int ends[2];

static int open_pipe(void **state)
{
    (void)state;
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    log_close();
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was logged, without the time. */
static char *logged(void)
{
    static char bytes[65536];
    log_flush();
    ssize_t count = read(ends[0], bytes, sizeof bytes - 1);
    assert_true(count > 0);
    bytes[count] = '\0';
    return bytes;
}

static void a_line(void)
{
    log_begin(LOG_INFO, "completed");
    log_text("queue", "images");
    log_text("name", "two words \"and\" \\ more\n");
    log_text("left-out", NULL);
    log_text("empty", "");
    log_text("bad", "\xff");
    log_number("attempt", -1);
    log_elapsed("ms", 12345678);
    log_true("unrun");
    log_end();
}

static void logfmt_quotes_special_characters(void **state)
{
    (void)state;
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    a_line();
    char *line = logged();
    assert_memory_equal(line, "ts=2", 4);
    assert_string_equal(strchr(line, ' '),
        " level=info event=completed queue=images "
        "name=\"two words \\\"and\\\" \\\\ more\\n\" empty=\"\" bad=\xef\xbf\xbd "
        "attempt=-1 ms=12.3 unrun=true\n");
}

/* Whoever adds a job chooses its name, and the log may be shown on a terminal. */
static void escapes_terminal_control_characters(void **state)
{
    (void)state;
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    log_note(LOG_INFO, "csi",
        "\033[2Ja\xc2\x9b"
        "31m");
    log_note(LOG_INFO, "turned",
        "a\xe2\x80\xae"
        "b");
    log_note(LOG_INFO, "letters", "gr\xc3\xbc\xc3\x9f\xe6\x97\xa5");
    char *lines = logged();
    assert_non_null(strstr(lines, "text=\"\\u001b[2Ja\\u009b31m\"\n"));
    assert_non_null(strstr(lines, "text=\"a\\u202eb\"\n"));
    assert_non_null(strstr(lines, "text=gr\xc3\xbc\xc3\x9f\xe6\x97\xa5\n"));
}

static void json_lines_are_json(void **state)
{
    (void)state;
    log_open(ends[1], LOG_JSON, LOG_INFO);
    a_line();
    json_t *line = json_loads(logged(), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(line);
    const char *level = NULL, *name = NULL, *empty = NULL, *bad = NULL;
    json_int_t attempt = 0;
    double ms = 0;
    int unrun = 0;
    assert_int_equal(
        json_unpack(line, "{s:s, s:s, s:s, s:s, s:I, s:f, s:b}", "level", &level, "name", &name,
            "empty", &empty, "bad", &bad, "attempt", &attempt, "ms", &ms, "unrun", &unrun),
        0);
    assert_string_equal(level, "info");
    assert_string_equal(name, "two words \"and\" \\ more\n");
    assert_string_equal(empty, "");
    assert_string_equal(bad, "\xef\xbf\xbd");
    assert_true(attempt == -1 && ms > 12.29 && ms < 12.31 && unrun == 1);
    json_decref(line);
}

/* A job's name may have any length, and whoever reads the log has the other lines, too. */
static void long_values_are_cut(void **state)
{
    (void)state;
    g_autofree char *letters = g_strnfill(300000, 'x');
    g_autofree char *name = g_strconcat(letters + 300000 - 4095, "\xc3\xbc", letters, NULL);
    g_autofree char *wanted = g_strdup_printf(" name=\"%.4095s...\" attempt=1\n", letters);
    g_autofree char *whole = g_strdup_printf(" name=%.4096s attempt=1\n", letters);
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    log_begin(LOG_INFO, "completed");
    log_text("name", name);
    log_number("attempt", 1);
    log_end();
    assert_true(g_str_has_suffix(logged(), wanted));
    log_begin(LOG_INFO, "completed");
    log_text("name", letters + 300000 - 4096);
    log_number("attempt", 1);
    log_end();
    assert_true(g_str_has_suffix(logged(), whole));
}

static void lines_below_the_level_are_left_out(void **state)
{
    (void)state;
    log_open(ends[1], LOG_LOGFMT, LOG_WARN);
    log_note(LOG_INFO, "quiet", "x");
    log_note(LOG_WARN, "loud", "x");
    log_note(LOG_DEBUG, "quiet", "x");
    char *line = logged();
    assert_null(strstr(line, "quiet"));
    assert_non_null(strstr(line, "event=loud text=x\n"));
}

static void closed_log_does_not_block(void **state)
{
    (void)state;
    g_autofree char *text = g_strnfill(1000, 'x');
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    for (int i = 0; i < 5000; i++) {
        log_note(LOG_INFO, "many", text);
        log_flush();
    }
    /* The writer's end is not made non-blocking for others who have it. */
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    g_autoptr(GString) all = g_string_new(NULL);
    for (int turn = 0; turn < 5000 && !strstr(all->str, "log-dropped lines="); turn++) {
        g_string_assign(all, "");
        g_string_append(all, logged());
        log_note(LOG_INFO, "last", NULL);
    }
    assert_non_null(strstr(all->str, "log-dropped lines="));
}

/* Fills what the kernel holds and more; the test hangs if one of these calls waits. */
static void log_much(void)
{
    g_autofree char *text = g_strnfill(1000, 'x');
    for (int i = 0; i < 500; i++) {
        log_note(LOG_INFO, "many", text);
        log_flush();
    }
}

static void stopped_terminal_stops_nothing(void **state)
{
    (void)state;
    int terminal, keyboard;
    g_autoptr(GString) shown = g_string_new(NULL);
    assert_int_equal(openpty(&keyboard, &terminal, NULL, NULL, NULL), 0);
    assert_int_equal(tcflow(terminal, TCOOFF), 0);
    log_open(terminal, LOG_LOGFMT, LOG_INFO);
    log_much();
    log_note(LOG_INFO, "last", NULL);
    log_flush();
    /* Ctrl-Q, and all of it is shown. */
    assert_int_equal(tcflow(terminal, TCOON), 0);
    while (!strstr(shown->str, "event=last")) {
        char bytes[4096];
        ssize_t count = read(keyboard, bytes, sizeof bytes);
        assert_true(count > 0);
        g_string_append_len(shown, bytes, count);
    }
    assert_null(strstr(shown->str, "log-dropped"));
    log_close();
    close(keyboard);
    close(terminal);
}

/* As with a reader that hangs: a log that is closed waits for it a second, and no longer. */
static void stuck_reader_does_not_stop_the_close(void **state)
{
    (void)state;
    log_open(ends[1], LOG_LOGFMT, LOG_INFO);
    log_much();
    gint64 before = g_get_monotonic_time();
    log_close();
    assert_true(g_get_monotonic_time() - before < 20 * G_TIME_SPAN_SECOND);
    assert_true(read(ends[0], (char[64]){ 0 }, 64) == 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            logfmt_quotes_special_characters, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            escapes_terminal_control_characters, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(json_lines_are_json, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            lines_below_the_level_are_left_out, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_values_are_cut, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(closed_log_does_not_block, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(stopped_terminal_stops_nothing, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(
            stuck_reader_does_not_stop_the_close, open_pipe, close_pipe),
    };
    signal(SIGPIPE, SIG_IGN); /* a writer may still be at a pipe whose reader is closed */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
