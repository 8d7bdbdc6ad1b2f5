/*
 * test_worker_exec.c - the exec handler, a program for each job: the command, what the program
 * gets, and what becomes of what it says and how it ends.
 */
#include "exec_job.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/files.h"
#include "worker/frame.h"

/* A shell script as the command, run once with that data. */
static enum handler_result sh(const char *script, const char *data)
{
    g_autofree char *quoted = g_shell_quote(script);
    g_autofree char *command = g_strconcat("sh -c ", quoted, NULL);
    use(command, "one-shot");
    return run_data(data);
}

/* ---- the command ------------------------------------------------------------------------- */

static void commands_are_split_as_by_a_shell(void **state)
{
    (void)state;
    static const struct {
        const char *command, *words;
    } rows[] = {
        { "printf %s. a b", "a.b." },
        { "  printf\t%s.  'a b'  \"c d\"", "a b.c d." },
        { "printf %s. a\\ b \"it's\" '\"'", "a b.it's.\"." },
        { "printf %s. $HOME `id` * ; a|b >c", "$HOME.`id`.*.;.a|b.>c." },
        { "printf %s. '' x=y", ".x=y." },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct exec_command command;
        g_autofree char *problem = NULL;
        g_autoptr(GString) words = g_string_new(NULL);
        assert_true(exec_command_read(&command, rows[i].command, &problem));
        assert_string_equal(command.name, "printf");
        assert_string_equal(command.words[1], "%s.");
        for (char **word = command.words + 2; *word; word++)
            g_string_append_printf(words, "%s.", *word);
        assert_string_equal(words->str, rows[i].words);
        exec_command_done(&command);
    }
}

static void expect_refused(const char *text, const char *problem)
{
    struct exec_command command;
    g_autofree char *said = NULL;
    if (exec_command_read(&command, text, &said))
        test_fatal("%s was taken", text);
    assert_string_equal(said, problem);
    exec_command_done(&command);
}

static void a_wrong_command_is_refused_at_the_start(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new();
    g_autofree char *plain = g_build_filename(dir, "plain", NULL);
    g_autofree char *script = g_build_filename(dir, "script", NULL);
    test_write(plain, "text", -1);
    test_write(script, "#! /usr/bin/nosuch -x\n", -1);
    chmod(script, 0755);
    g_autofree char *not_executable = g_strdup_printf("%s: not executable (chmod +x)", plain);
    g_autofree char *folder = g_strdup_printf("%s: a folder, not a program", dir);
    g_autofree char *no_interpreter = g_strdup_printf(
        "%s: its first line names \"/usr/bin/nosuch\", which is not found", script);
    const char *nothing =
        "exec needs a command: QUEUE='exec:PROGRAM ARG...', or --command COMMAND";
    expect_refused(NULL, nothing);
    expect_refused(" \t", nothing);
    expect_refused("cat 'x", "the command has a quote or a backslash too much: cat 'x");
    expect_refused("#cat", "the command is empty: #cat");
    expect_refused("no-such-program x", "no-such-program: not found in PATH");
    expect_refused("/no/such/program", "/no/such/program: not found");
    expect_refused(plain, not_executable);
    expect_refused(dir, folder);
    expect_refused(script, no_interpreter);
    g_setenv("PATH", dir, TRUE);
    expect_refused("plain", not_executable);
    g_setenv("PATH", "/usr/local/bin:/usr/bin:/bin", TRUE);
}

static void an_argument_stands_above_the_option(void **state)
{
    (void)state;
    g_autofree char *problem = try_command(NULL, "one-shot");
    assert_string_equal(
        problem, "exec needs a command: QUEUE='exec:PROGRAM ARG...', or --command COMMAND");
    use("echo 1", "one-shot");
    run_data("{}");
    expect_end(HANDLER_DONE, "1");
}

static void a_program_that_went_away_is_tried_again(void **state)
{
    (void)state;
    g_autofree char *dir = test_dir_new(), *script = g_build_filename(dir, "work", NULL);
    test_write(script, "#!/bin/sh\necho 1\n", -1);
    chmod(script, 0755);
    use(script, "one-shot");
    test_remove(script);
    run_data("{}");
    expect_end(HANDLER_RETRY, "exec: work: cannot start: No such file or directory");
    test_write(script, "echo 1\n", -1);
    chmod(script, 0755);
    run_data("{}");
    expect_end(HANDLER_RETRY, "exec: work: cannot start: not a program (a script begins with a "
                              "line such as #!/bin/sh)");
    test_write(script, "#!/bin/sh\necho 2\n", -1);
    chmod(script, 0755);
    run_data("{}");
    expect_end(HANDLER_DONE, "2");
}

/* ---- what it gets ------------------------------------------------------------------------ */

static void it_gets_the_job(void **state)
{
    (void)state;
    g_setenv("OX_DEADLINE", "of an outer job", TRUE);
    use("sh -c 'echo $OX_QUEUE/$OX_JOB_ID/$OX_JOB_NAME/$OX_ATTEMPT/${OX_DEADLINE-none}; cat'",
        "one-shot");
    g_unsetenv("OX_DEADLINE");
    run_job((struct handler_job){
        .queue = "m:x",
        .id = "a=b",
        .name = "w\xc3\xa4 $(id)",
        .data = "{\"a\": [1]}",
        .attempt = 3,
        .deadline_ms = 1764374400123,
    });
    expect_end(HANDLER_DONE, "\"m:x/a=b/w\xc3\xa4 $(id)/3/1764374400123\\n{\\\"a\\\": [1]}\"");
    run_job((struct handler_job){ .data = "1" });
    expect_end(HANDLER_DONE, "\"q/7//1/none\\n1\"");
}

/* An environment cannot hold a NUL, and 128 KB is the most for one variable. */
static void names_that_no_variable_can_hold(void **state)
{
    (void)state;
    use("printenv OX_JOB_NAME", "one-shot");
    run_job((struct handler_job){ .name = "a\0b\xff", .name_len = 4 });
    expect_end(HANDLER_DONE, "\"a\xef\xbf\xbd"
                             "b\xef\xbf\xbd\"");
    g_autofree char *name = g_strnfill(65536, 'n'), *longer = g_strnfill(65537, 'n');
    run_job((struct handler_job){ .name = name });
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(ran.out->len, 65538);
    run_job((struct handler_job){ .name = longer });
    expect_end(HANDLER_FATAL, "exec: OX_JOB_NAME would have 65537 bytes; the limit is 64 KB");
}

/* As a shell would start it: three descriptors, no signal blocked or ignored. */
static void it_begins_clean(void **state)
{
    (void)state;
    sh("ls /proc/self/fd | tr '\\n' ' '", "1");
    expect_end(HANDLER_DONE, "\"0 1 2 3 \""); /* 3 is ls, which reads the folder */
    /* But for two signals of glibc's own, which its posix_spawn() leaves ignored. */
    sh("grep -E '^Sig(Blk|Ign)' /proc/self/status | cut -f2 | sed s/00018/00000/ | uniq", "1");
    expect_end(HANDLER_DONE, "\"0000000000000000\"");
}

static char *json_string(size_t bytes)
{
    char *text = g_strnfill(bytes, 'x');
    text[0] = text[bytes - 1] = '"';
    return text;
}

static void payloads_of_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = { 2, 65536, 65537, (size_t)1 << 20, (size_t)64 << 20 };
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *data = json_string(sizes[i]);
        g_autofree char *wanted = g_strdup_printf("%zu", sizes[i]);
        sh("wc -c", data);
        expect_end(HANDLER_DONE, wanted);
    }
}

/* It reads and writes at once, more than any pipe holds. */
static void what_comes_back_may_be_large_as_well(void **state)
{
    (void)state;
    g_autofree char *data = json_string((size_t)15 << 20);
    sh("tee /dev/stderr", data);
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(ran.out->len, 15 << 20);
    assert_memory_equal(ran.out->str, data, ran.out->len);
    assert_true(ran.said->len > 15 << 20);
}

static void stdin_need_not_be_read(void **state)
{
    (void)state;
    g_autofree char *data = json_string((size_t)1 << 20);
    for (int i = 0; i < 50; i++) {
        sh("exec <&-; echo 1", data);
        expect_end(HANDLER_DONE, "1");
        sh("head -c 10 >/dev/null; echo 2", data);
        expect_end(HANDLER_DONE, "2");
    }
}

/* ---- how it ends ------------------------------------------------------------------------- */

static void exit_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum handler_result result;
        const char *out;
    } rows[] = {
        { "exit 0", HANDLER_DONE, "" },
        { "echo late >&2; exit 0", HANDLER_DONE, "" },
        { "exit 75", HANDLER_RETRY, "exec: sh: exited with status 75" },
        { "echo busy >&2; exit 75", HANDLER_RETRY, "exec: sh: busy" },
        { "exit 65", HANDLER_FATAL, "exec: sh: exited with status 65" },
        { "echo no such address >&2; exit 65", HANDLER_FATAL, "exec: sh: no such address" },
        { "exit 3", HANDLER_RETRY, "exec: sh: exited with status 3" },
        { "echo '{\"a\":1}'; exit 1", HANDLER_RETRY, "exec: sh: exited with status 1" },
        { "printf 'one\\ntwo\\n \\n\\n' >&2; exit 1", HANDLER_RETRY, "exec: sh: two" },
        { "printf 'no end' >&2; exit 1", HANDLER_RETRY, "exec: sh: no end" },
        { "echo why >&2; echo ox:progress 9 >&2; exit 1", HANDLER_RETRY, "exec: sh: why" },
        { "kill -SEGV $$", HANDLER_RETRY, "exec: sh: killed by SIGSEGV" },
        { "echo oops >&2; kill -KILL $$", HANDLER_RETRY, "exec: sh: killed by SIGKILL: oops" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        sh(rows[i].script, "{}");
        expect_end(rows[i].result, rows[i].out);
    }
}

/* Who was left behind holds the pipes open, and may even write to them. */
static void its_end_is_the_end(void **state)
{
    (void)state;
    sh("sleep 600 & echo $!; echo gone >&2", "{}");
    assert_int_equal(ran.result, HANDLER_DONE);
    expect_said("log:gone;");
    assert_int_equal(kill((pid_t)strtol(ran.out->str, NULL, 10), SIGKILL), 0);
    sh("yes >&2 & sleep 0.01; echo $!", "{}");
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(kill((pid_t)strtol(ran.out->str, NULL, 10), SIGKILL), 0);
}

/* ---- what it says ------------------------------------------------------------------------ */

/* As many scripts do to take along what they have started: that is not the handler. */
static void a_program_may_signal_its_group(void **state)
{
    (void)state;
    assert_int_equal(sh("trap '' TERM; kill 0; echo 1", "0"), HANDLER_DONE);
    assert_string_equal(ran.out->str, "1");
    assert_int_equal(sh("sleep 60 & kill 0; echo 1", "0"), HANDLER_RETRY);
    assert_string_equal(ran.out->str, "exec: sh: killed by SIGTERM");
}

static void stdout_is_the_return_value(void **state)
{
    (void)state;
    static const struct {
        const char *script, *value;
    } rows[] = {
        { "echo '{\"b\": 1.00, \"a\": 12345678901234567890}'",
            "{\"b\": 1.00, \"a\": 12345678901234567890}" },
        { "printf '[1,\\n 2]\\r\\n\\n'", "[1,\n 2]" },
        { "echo 42", "42" },
        { "echo true", "true" },
        { "echo '\"text\"'", "\"text\"" },
        { "echo hello world", "\"hello world\"" },
        { "printf 'one\\ntwo\\n'", "\"one\\ntwo\"" },
        { "printf 'say \"\\\\\\tx\"'", "\"say \\\"\\\\\\tx\\\"\"" },
        { "echo '{not json'", "\"{not json\"" },
        { "printf 'a\\0b'", "\"a\\u0000b\"" },
        { "printf '\\0'", "\"\\u0000\"" },
        { "printf '\\n\\n'", "" },
        { "printf '  '", "\"  \"" },
        { "true", "" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        sh(rows[i].script, "{}");
        expect_end(HANDLER_DONE, rows[i].value);
    }
}

static void output_that_cannot_be_stored(void **state)
{
    (void)state;
    sh("printf 'abc\\0\\377d'", "{}");
    expect_end(HANDLER_FATAL, "bad output: stdout is not UTF-8, from byte 4 on");
    expect_kind(FAILURE_BAD_OUTPUT);
    sh("printf '\"\\303\"'", "{}");
    expect_end(HANDLER_FATAL, "bad output: stdout is not UTF-8, from byte 1 on");
    sh("head -c 9000000 /dev/zero", "{}"); /* six bytes each */
    expect_end(HANDLER_FATAL, "bad output: stdout is more than 16 MB as JSON");
}

static void stdout_has_a_limit(void **state)
{
    (void)state;
    g_autofree char *fits = json_string(FRAME_RESULT_MAX - 1);
    g_autofree char *more = json_string(FRAME_RESULT_MAX);
    sh("cat", fits);
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(ran.out->len, FRAME_RESULT_MAX - 1);
    sh("cat", more);
    expect_end(HANDLER_FATAL, "bad output: stdout is more than 16 MB as JSON");
    int64_t start_ms = test_now_ms();
    sh("yes", "{}"); /* never ends by itself */
    expect_end(HANDLER_FATAL, "bad output: more than 16 MB on stdout");
    assert_true(test_now_ms() - start_ms < 20000);
}

static void stderr_is_rows_and_progress(void **state)
{
    (void)state;
    static const struct {
        const char *script, *said;
    } rows[] = {
        { "echo one >&2; echo >&2; printf two >&2", "log:one;log:;log:two;" },
        { "echo ox:progress 40 >&2", "progress:40;" },
        { "echo 'ox:progress {\"step\":2}' >&2", "progress:{\"step\":2};" },
        { "echo ox:progress half >&2", "log:ox:progress half;" },
        { "echo ox:progress >&2", "log:ox:progress;" },
        { "echo ' ox:progress 40' >&2", "log: ox:progress 40;" },
        { "echo ox:result 40 >&2", "log:ox:result 40;" },
        { "printf 'a\\0b\\377\\n' >&2", "log:a b\xff;" }, /* the parent mends it */
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        sh(rows[i].script, "{}");
        expect_end(HANDLER_DONE, "");
        expect_said(rows[i].said);
    }
}

static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    sh("head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", "{}");
    assert_int_equal(ran.result, HANDLER_RETRY);
    assert_true(ran.out->len < 2100);
    assert_int_equal(ran.said->len, 1000000 + 489 * strlen("log:;"));
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void nothing_is_left_of_many_runs(void **state)
{
    (void)state;
    use("sh -c 'cat; exit $OX_ATTEMPT'", "one-shot");
    size_t before = open_descriptors();
    for (uint32_t i = 1; i <= 200; i++)
        run_job((struct handler_job){ .attempt = i });
    assert_int_equal(open_descriptors(), before);
}

static void a_batch_is_lines(void **state)
{
    (void)state;
    const struct handler_job batch = {
        .queue = "clicks",
        .name = "warehouse",
        .id = "9-1",
        .data = "[{\"id\":\"a\",\"position\":\"9-1\"},\n{\"id\":\"b\",\"position\":\"9-2\"}]",
        .events = 2,
    };
    use("sh -c 'cat; echo $OX_STREAM $OX_GROUP $OX_EVENTS $OX_ATTEMPT ${OX_QUEUE-none} '"
        "'${OX_JOB_ID-none}'",
        "one-shot");
    run_job(batch);
    expect_end(HANDLER_DONE, "\"{\\\"id\\\":\\\"a\\\",\\\"position\\\":\\\"9-1\\\"}\\n"
                             "{\\\"id\\\":\\\"b\\\",\\\"position\\\":\\\"9-2\\\"}\\n"
                             "clicks warehouse 2 1 none none\"");
    use("sh -c 'echo no car >&2; exit 65'", "one-shot");
    run_job(batch);
    expect_end(HANDLER_FATAL, "exec: sh: no car");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_split_as_by_a_shell),
        cmocka_unit_test(a_wrong_command_is_refused_at_the_start),
        cmocka_unit_test(an_argument_stands_above_the_option),
        cmocka_unit_test(a_program_that_went_away_is_tried_again),
        cmocka_unit_test(it_gets_the_job),
        cmocka_unit_test(names_that_no_variable_can_hold),
        cmocka_unit_test(it_begins_clean),
        cmocka_unit_test(payloads_of_every_size),
        cmocka_unit_test(what_comes_back_may_be_large_as_well),
        cmocka_unit_test(stdin_need_not_be_read),
        cmocka_unit_test(exit_statuses),
        cmocka_unit_test(its_end_is_the_end),
        cmocka_unit_test(stdout_is_the_return_value),
        cmocka_unit_test(output_that_cannot_be_stored),
        cmocka_unit_test(a_program_may_signal_its_group),
        cmocka_unit_test(stdout_has_a_limit),
        cmocka_unit_test(stderr_is_rows_and_progress),
        cmocka_unit_test(a_long_line_comes_in_pieces),
        cmocka_unit_test(nothing_is_left_of_many_runs),
        cmocka_unit_test(a_batch_is_lines),
    };
    return cmocka_run_group_tests_name("exec", tests, NULL, NULL);
}
