/*
 * test_worker_exec_stream.c - the exec handler with one program for many jobs.
 *
 * The program is a puppet: a job's data is a string of Python that it runs. It has
 * done(value) and fail(error=...) for answers, say(log=...) for other lines, raw("text") for
 * bytes on stdout and err("text") for stderr.
 */
#include "exec_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../support/files.h"
#include "../support/process.h"

static const char puppet_code[] = "#!/usr/bin/env python3\n"
                                  "import json, os, sys, time\n"
                                  "def raw(text):\n"
                                  "    sys.stdout.write(text)\n"
                                  "    sys.stdout.flush()\n"
                                  "def say(**members):\n"
                                  "    raw(json.dumps(members) + '\\n')\n"
                                  "def done(value):\n"
                                  "    say(id=job['id'], result=value)\n"
                                  "def fail(**members):\n"
                                  "    say(id=job['id'], **members)\n"
                                  "def err(text):\n"
                                  "    sys.stderr.write(text)\n"
                                  "    sys.stderr.flush()\n"
                                  "def end(status):\n"
                                  "    os._exit(status)\n"
                                  "jobs = 0\n"
                                  "while True:\n"
                                  "    line = sys.stdin.readline()\n"
                                  "    if not line:\n"
                                  "        break\n"
                                  "    job = json.loads(line)\n"
                                  "    jobs += 1\n"
                                  "    exec(job.get('data') or job['events'][0]['data'])\n"
                                  "open(sys.argv[1], 'w').write('left')\n";

static char *puppet, *folder, *script, *left;

static int make_puppet(void **state)
{
    (void)state;
    g_autofree char *python = NULL;
    /* Where it is itself, because a wrapper that looks for it may take long. */
    test_run_words(&python, NULL, "python3", "-c", "import sys; print(sys.executable)", NULL);
    puppet = g_strdup_printf("#!%s -IS\n%s", g_strstrip(python), puppet_code);
    folder = test_dir_new();
    script = g_build_filename(folder, "puppet", NULL);
    left = g_build_filename(folder, "left", NULL);
    test_write(script, puppet, -1);
    return chmod(script, 0755);
}

static int end_puppet(void **state)
{
    (void)state;
    exec_handler.done();
    g_free(puppet);
    g_free(folder);
    g_free(script);
    g_free(left);
    return 0;
}

/* A new puppet for each test. */
static int new_puppet(void **state)
{
    (void)state;
    g_autofree char *command = g_strdup_printf("%s %s", script, left);
    test_remove(left);
    use(command, "stream");
    return 0;
}

/* Runs Python, in which ' stands for all quotes. */
static enum handler_result py(const char *code)
{
    g_autofree char *escaped = g_strescape(code, "");
    g_autofree char *data = g_strdup_printf("\"%s\"", escaped);
    return run_data(data);
}

static void expect_py(const char *code, enum handler_result result, const char *out)
{
    py(code);
    expect_end(result, out);
}

/* ---- jobs -------------------------------------------------------------------------------- */

static void one_program_runs_all_jobs(void **state)
{
    (void)state;
    for (int i = 1; i <= 100; i++) {
        g_autofree char *wanted = g_strdup_printf("%d", i);
        expect_py("done(jobs)", HANDLER_DONE, wanted);
    }
    assert_true(exec_handler.keeps() > 0);
}

static void it_gets_the_whole_job(void **state)
{
    (void)state;
    const char *code = "\"del job['data']; done(job)\"";
    run_job((struct handler_job){
        .queue = "m:x",
        .id = "a\"b",
        .name = "w\xc3\xa4\0.",
        .name_len = 5,
        .data = code,
        .attempt = 3,
        .deadline_ms = 1764374400123,
    });
    expect_end(HANDLER_DONE,
        "{\"id\": \"a\\\"b\", \"name\": \"w\\u00e4\\u0000.\", \"queue\": \"m:x\", "
        "\"attempt\": 3, \"deadline\": 1764374400123}");
    run_job((struct handler_job){ .data = code });
    expect_end(HANDLER_DONE,
        "{\"id\": \"7\", \"name\": \"\", \"queue\": \"q\", \"attempt\": 1, "
        "\"deadline\": null}");
    expect_py("done(os.environ['OX_QUEUE'] + str(os.environ.get('OX_JOB_ID')))", HANDLER_DONE,
        "\"m:xNone\"");
}

/* Data that is laid out over lines is one line. */
static void a_job_is_one_line(void **state)
{
    (void)state;
    run_data("\r\n  \"done(line.count(chr(10)))\"\n");
    expect_end(HANDLER_DONE, "1");
}

static void answers(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum handler_result result;
        const char *out;
    } rows[] = {
        { "done(None)", HANDLER_DONE, "null" },
        { "raw('{\"id\":\"7\",\"result\":{\"b\": 1.00, \"a\":12345678901234567890}}\\n')",
            HANDLER_DONE, "{\"b\": 1.00, \"a\":12345678901234567890}" },
        { "raw(' {\"id\":\"\\\\u0037\",\"re\\\\u0073ult\" : \"\\\\ud83d\\\\ude00\" } \\r\\n')",
            HANDLER_DONE, "\"\\ud83d\\ude00\"" },
        { "fail(error='no such address')", HANDLER_RETRY, "no such address" },
        { "fail(error='busy', retry=True)", HANDLER_RETRY, "busy" },
        { "fail(error='never', retry=False)", HANDLER_FATAL, "never" },
        { "fail(error={'code':3})", HANDLER_RETRY, "{\"code\": 3}" },
        { "fail(error='')", HANDLER_RETRY, "" },
        { "say(id='7', retry=False, ms=3, result=1)", HANDLER_DONE, "1" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        expect_py(rows[i].code, rows[i].result, rows[i].out);
    expect_py("done(jobs)", HANDLER_DONE, "10");
}

static void reports_progress_and_logs(void **state)
{
    (void)state;
    py("say(log='one'); say(progress=40); say(progress={'step':2}); raw(chr(10)); "
       "say(log={'a':1}); done(1)");
    expect_end(HANDLER_DONE, "1");
    expect_said("log:one;progress:40;progress:{\"step\": 2};log:{\"a\": 1};");
    py("err('row\\nox:progress 50\\n'); done(1)");
    expect_said("log:row;progress:50;");
    for (int i = 0; i < 50;
         i++) { /* a row that was written before the answer comes before it */
        py("err('before\\n'); done(1)");
        expect_said("log:before;");
    }
}

static void lines_may_come_in_pieces_and_be_large(void **state)
{
    (void)state;
    expect_py("raw('{\"id\":\"7\",\"res'); time.sleep(0.02); raw('ult\":'); time.sleep(0.02); "
              "raw('5}\\n')",
        HANDLER_DONE, "5");
    expect_py("say(log='1'); raw('{\"log\":\"2\"}\\n{\"id\":\"7\",\"result\":3}\\n')",
        HANDLER_DONE, "3");
    py("done('x'*16000000)");
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(ran.out->len, 16000002);
    g_autofree char *filler = g_strnfill((gsize)20 << 20, 'x');
    g_autofree char *data = g_strdup_printf("\"done(len(line)) # %s\"", filler);
    run_data(data);
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_true(strtol(ran.out->str, NULL, 10) > 20 << 20);
    expect_py("done(jobs)", HANDLER_DONE, "5");
}

/* ---- rules broken ------------------------------------------------------------------------ */

static void bad_lines_end_the_program(void **state)
{
    (void)state;
    static const struct {
        const char *code, *out;
    } rows[] = {
        { "print('debug', flush=True)", "bad output: not a JSON object: debug" },
        { "raw('[1]\\n')", "bad output: not a JSON object: [1]" },
        { "raw('{\"result\":1')\nend(0)", "bad output: not a JSON object: {\"result\":1" },
        { "raw('{\"result\":1} {\"result\":2}\\n')",
            "bad output: not a JSON object: {\"result\":1} {\"result\":2}" },
        { "say(resutl=1)",
            "bad output: not one of progress, log, result and error: {\"resutl\": 1}" },
        { "say(result=1, error='x')", "bad output: not one of progress, log, result and error: "
                                      "{\"result\": 1, \"error\": \"x\"}" },
        { "say(result=1, id='6')", "bad output: not with the id of the job that runs: "
                                   "{\"result\": 1, \"id\": \"6\"}" },
        { "say(result=1)",
            "bad output: not with the id of the job that runs: {\"result\": 1}" },
        { "say(log='x', id='8')", "bad output: not with the id of the job that runs: {\"log\": "
                                  "\"x\", \"id\": \"8\"}" },
        { "say(result=1, id=7)",
            "bad output: not with the id of the job that runs: {\"result\": 1, \"id\": 7}" },
        { "fail(error='x', retry=0)",
            "bad output: retry is not true or false: {\"id\": \"7\", \"error\": \"x\", "
            "\"retry\": 0}" },
        { "sys.stdout.buffer.write(b'{\"result\":\"\\xff\"}\\n'); sys.stdout.flush()",
            "bad output: not a JSON object: {\"result\":\"\xef\xbf\xbd\"}" },
        { "os.close(1); time.sleep(600)", "bad output: stdout was closed before the answer" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        expect_py(rows[i].code, HANDLER_RETRY, rows[i].out);
        expect_kind(FAILURE_BAD_OUTPUT);
        assert_int_equal(exec_handler.keeps(), 0);
        expect_py("done(jobs)", HANDLER_DONE, "1");
    }
}

/* What is shown of it is harmless, and not all. */
static void a_bad_line_is_shown_in_part(void **state)
{
    (void)state;
    g_autofree char *shown = g_strnfill(92, 'x');
    g_autofree char *wanted =
        g_strconcat("bad output: not a JSON object: \xe2\x90\x9b[31mred", shown, NULL);
    expect_py("raw(chr(27) + '[31mred' + 'x' * 200 + chr(10))", HANDLER_RETRY, wanted);
}

static void a_line_without_end_is_cut_off(void **state)
{
    (void)state;
    py("while True: raw('x' * 100000)");
    assert_int_equal(ran.result, HANDLER_RETRY);
    assert_true(g_str_has_prefix(ran.out->str, "bad output: a line of more than 16 MB: xxx"));
    expect_py("done(jobs)", HANDLER_DONE, "1");
}

/* The answer stands; the program does not get another job. */
static void more_after_the_answer_ends_the_program(void **state)
{
    (void)state;
    expect_py("raw('{\"id\":\"7\",\"result\":1}\\n{\"id\":\"7\",\"result\":2}\\n')",
        HANDLER_DONE, "1");
    expect_py("done(jobs)", HANDLER_DONE, "1");
    expect_py("raw('{\"id\":\"7\",\"result\":2}\\nx')", HANDLER_DONE, "2");
    expect_py("done(jobs)", HANDLER_DONE, "1");
}

static void a_program_that_answers_unread_is_replaced(void **state)
{
    (void)state;
    g_autofree char *filler = g_strnfill((gsize)1 << 20, 'x');
    g_autofree char *data = g_strdup_printf("\"%s\"", filler);
    use("sh -c 'echo \"{\\\"id\\\":\\\"7\\\",\\\"result\\\":$$}\"; exec sleep 600'", "stream");
    run_data(data);
    assert_int_equal(ran.result, HANDLER_DONE);
    assert_int_equal(exec_handler.keeps(), 0);
    assert_int_equal(kill((pid_t)strtol(ran.out->str, NULL, 10), 0), -1);
}

/* ---- deaths ------------------------------------------------------------------------------ */

static void a_death_fails_the_job(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum handler_result result;
        const char *out;
    } rows[] = {
        { "end(3)", HANDLER_RETRY, "exec: puppet: exited with status 3" },
        { "end(75)", HANDLER_RETRY, "exec: puppet: exited with status 75" },
        { "end(65)", HANDLER_FATAL, "exec: puppet: exited with status 65" },
        { "end(0)", HANDLER_RETRY, "exec: puppet: exited with status 0 before it answered" },
        { "err('bye\\n'); end(0)", HANDLER_RETRY, "exec: puppet: bye" },
        { "say(log='x'); os.kill(os.getpid(), 11)", HANDLER_RETRY,
            "exec: puppet: killed by SIGSEGV" },
        { "raise ValueError('no such thing')", HANDLER_RETRY,
            "exec: puppet: ValueError: no such thing" },
        { "raw('{\"id\":\"7\",\"result\":1}'); end(3)", HANDLER_DONE, "1" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        expect_py(rows[i].code, rows[i].result, rows[i].out);
        expect_py("done(jobs)", HANDLER_DONE, "1");
    }
}

/* The last line of one job is no reason of the next. */
static void reasons_are_of_their_job(void **state)
{
    (void)state;
    expect_py("err('of the first\\n'); done(1)", HANDLER_DONE, "1");
    expect_py("end(3)", HANDLER_RETRY, "exec: puppet: exited with status 3");
}

/* A program may recycle itself; the job that meets its end goes to a new one. */
static void an_end_between_jobs_is_no_failure(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        expect_py("done(jobs); end(1)", HANDLER_DONE, "1");
    for (int i = 0; i < 5; i++)
        expect_py("done(jobs); time.sleep(0.003); end(1)", HANDLER_DONE, "1");
}

static void it_may_leave_when_no_job_follows(void **state)
{
    (void)state;
    expect_py("done(1)", HANDLER_DONE, "1");
    exec_handler.done();
    g_autofree char *said = test_read(left, NULL);
    assert_string_equal(said, "left");
    assert_int_equal(exec_handler.keeps(), 0);
    py("done(os.getpid()); time.sleep(600)");
    int64_t start_ms = test_now_ms();
    exec_handler.done();
    assert_true(test_now_ms() - start_ms < 5000);
    assert_int_equal(kill((pid_t)strtol(ran.out->str, NULL, 10), 0), -1);
}

static void one_that_cannot_start(void **state)
{
    (void)state;
    g_autofree char *gone = g_build_filename(folder, "gone", NULL);
    test_write(gone, puppet, -1);
    chmod(gone, 0755);
    g_autofree char *command = g_strdup_printf("%s %s", gone, left);
    use(command, "stream");
    test_remove(gone);
    expect_py("1", HANDLER_RETRY, "exec: gone: cannot start: No such file or directory");
    test_write(gone, puppet, -1);
    chmod(gone, 0755);
    expect_py("done(jobs)", HANDLER_DONE, "1");
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void nothing_is_left_of_many_programs(void **state)
{
    (void)state;
    size_t before = open_descriptors();
    for (int i = 0; i < 5; i++) {
        expect_py("end(3)", HANDLER_RETRY, "exec: puppet: exited with status 3");
        py("raw('x\\n')");
    }
    assert_int_equal(open_descriptors(), before);
}

static void a_batch_is_one_line_as_well(void **state)
{
    (void)state;
    run_job((struct handler_job){
        .queue = "clicks",
        .name = "warehouse",
        .id = "9-1",
        .data =
            "[{\"data\":\"done([job[k] for k in ('stream','group','id','attempt')] + "
            "[len(job['events']), 'data' in job, 'queue' in job])\",\"position\":\"9-1\"},\n"
            "{\"id\":\"b\",\"position\":\"9-2\"}]",
        .events = 2,
    });
    expect_end(HANDLER_DONE, "[\"clicks\", \"warehouse\", \"9-1\", 1, 2, false, false]");
}

#define WITH_PUPPET(test) cmocka_unit_test_setup(test, new_puppet)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PUPPET(one_program_runs_all_jobs),
        WITH_PUPPET(it_gets_the_whole_job),
        WITH_PUPPET(a_job_is_one_line),
        WITH_PUPPET(answers),
        WITH_PUPPET(reports_progress_and_logs),
        WITH_PUPPET(lines_may_come_in_pieces_and_be_large),
        WITH_PUPPET(bad_lines_end_the_program),
        WITH_PUPPET(a_bad_line_is_shown_in_part),
        WITH_PUPPET(a_line_without_end_is_cut_off),
        WITH_PUPPET(more_after_the_answer_ends_the_program),
        WITH_PUPPET(a_program_that_answers_unread_is_replaced),
        WITH_PUPPET(a_death_fails_the_job),
        WITH_PUPPET(reasons_are_of_their_job),
        WITH_PUPPET(an_end_between_jobs_is_no_failure),
        WITH_PUPPET(it_may_leave_when_no_job_follows),
        WITH_PUPPET(one_that_cannot_start),
        WITH_PUPPET(nothing_is_left_of_many_programs),
        WITH_PUPPET(a_batch_is_one_line_as_well),
    };
    return cmocka_run_group_tests_name("exec, stream", tests, make_puppet, end_puppet);
}
