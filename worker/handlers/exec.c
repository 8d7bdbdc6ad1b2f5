/*
 * exec.c - the exec handler: its options, and jobs of which each has the program run once.
 * docs/handlers.md says what a program may do; exec_stream.c keeps one for many jobs.
 */
#include "exec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "batch.h"
#include "frame.h"
#include "sandbox.h"

/* Linux takes no variable of more than 128 KB. */
#define VARIABLE_MAX_BYTES ((size_t)64 << 10)

enum mode { ONE_SHOT, STREAM };

struct exec_options {
    const char *command;
    int64_t mode;     /* enum mode */
    const char *root; /* NULL: the program is not confined */
    bool network;
};

/* One child runs one command, and one program at a time. */
static struct exec_command command;
static struct exec_program program = { .command = &command };
static char **environment; /* the worker's, without what a job sets */

static bool is_stream(const struct handler_config *config)
{
    return ((const struct exec_options *)config->options)->mode == STREAM;
}

/* ---- Environment ------------------------------------------------------------------------- */

static const char *const variables[] = { "OX_JOB_ID", "OX_JOB_NAME", "OX_QUEUE", "OX_STREAM",
    "OX_GROUP", "OX_EVENTS", "OX_ATTEMPT", "OX_DEADLINE" };

/* A worker may itself be started by a job of another. */
static void read_environment(void)
{
    g_strfreev(environment);
    environment = g_get_environ();
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        environment = g_environ_unsetenv(environment, variables[i]);
    }
}

/* A variable cannot hold a NUL, and what it holds should be text: such bytes become U+FFFD.
 * False, and the reason in `why`, when it is too long. */
static bool set_variable(
    char ***list, const char *name, const char *value, size_t length, GString *why)
{
    g_autofree char *valid = g_utf8_make_valid(value, (gssize)length);
    if (strlen(valid) > VARIABLE_MAX_BYTES) {
        g_string_printf(why, "exec: %s would have %zu bytes; the limit is 64 KB", name, length);
        return false;
    }
    *list = g_environ_setenv(*list, name, valid, TRUE);
    return true;
}

static void set_number(char ***list, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    *list = g_environ_setenv(*list, name, text, TRUE);
}

static bool job_environment(char ***list, const struct handler_job *job, GString *why)
{
    *list = g_strdupv(environment);
    set_number(list, "OX_ATTEMPT", job->attempt);
    if (job->deadline_ms > 0) {
        set_number(list, "OX_DEADLINE", job->deadline_ms);
    }
    if (job->events > 0) {
        set_number(list, "OX_EVENTS", (int64_t)job->events);
        return set_variable(list, "OX_STREAM", job->queue, strlen(job->queue), why) &&
               set_variable(list, "OX_GROUP", job->name, job->name_len, why);
    }
    return set_variable(list, "OX_QUEUE", job->queue, strlen(job->queue), why) &&
           set_variable(list, "OX_JOB_ID", job->id, strlen(job->id), why) &&
           set_variable(list, "OX_JOB_NAME", job->name, job->name_len, why);
}

/* ---- One program for one job ------------------------------------------------------------- */

/* Its work is done, so that running it again would do it twice. */
static enum handler_result bad_output(
    const struct handler_io *io, GString *out, const char *what)
{
    io->failure(io->arg, FAILURE_BAD_OUTPUT);
    g_string_printf(out, "bad output: %s", what);
    return HANDLER_FATAL;
}

/* Where the text stops being UTF-8, or `length`. */
static size_t valid_length(const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    while (!g_utf8_validate(at, end - at, &at) && *at == '\0') {
        at++; /* a NUL is a character like others */
    }
    return (size_t)(at - text);
}

static bool put_string(GString *out, const GString *said)
{
    struct ox__buf text = { 0 };
    ox__json_string(&text, said->str, said->len);
    bool fits = !text.failed && text.len < FRAME_RESULT_MAX;
    if (fits) {
        g_string_append_len(out, text.data, (gssize)text.len);
    }
    ox__buf_done(&text);
    return fits;
}

/* The return value is what it printed: JSON, or else a text, without the ends of lines at its
 * end; null when there is none. */
static enum handler_result take_output(const struct handler_io *io, GString *said, GString *out)
{
    while (said->len > 0 && strchr("\r\n", said->str[said->len - 1]) != NULL &&
           said->str[said->len - 1] != '\0') {
        g_string_truncate(said, said->len - 1);
    }
    size_t valid = valid_length(said->str, said->len);
    if (valid < said->len) {
        g_autofree char *what = g_strdup_printf("stdout is not UTF-8, from byte %zu on", valid);
        return bad_output(io, out, what);
    }
    if (said->len == 0) {
        return HANDLER_DONE;
    }
    if (ox__json_valid(said->str, said->len) && said->len < FRAME_RESULT_MAX) {
        g_string_append_len(out, said->str, (gssize)said->len);
        return HANDLER_DONE;
    }
    return put_string(out, said) ? HANDLER_DONE
                                 : bad_output(io, out, "stdout is more than 16 MB as JSON");
}

static enum handler_result run_once(
    const struct handler_job *job, const struct handler_io *io, GString *out)
{
    g_auto(GStrv) variables_set = NULL;
    size_t length = job->data_len;
    g_autofree char *lines = job->events > 0 ? batch_lines(job->data, &length) : NULL;
    if (!job_environment(&variables_set, job, out)) {
        return HANDLER_FATAL;
    }
    if (!exec_program_start(&program, variables_set, out)) {
        return HANDLER_RETRY;
    }
    program.io = io;
    exec_program_feed(&program, lines != NULL ? lines : job->data, length, true);
    while (exec_program_turn(&program, -1) && program.said->len <= FRAME_RESULT_MAX) {
    }
    enum handler_result result;
    if (program.said->len > FRAME_RESULT_MAX) {
        result = bad_output(io, out, "more than 16 MB on stdout");
    } else {
        result = exec_program_verdict(&program, out);
    }
    if (result == HANDLER_DONE) {
        result = take_output(io, program.said, out);
    }
    exec_program_end(&program);
    return result;
}

/* ---- Handler ----------------------------------------------------------------------------- */

static bool check_root(const struct exec_options *options, char **problem)
{
    if (options->root != NULL && !g_file_test(options->root, G_FILE_TEST_IS_DIR)) {
        *problem = g_strdup_printf("--root: %s is not a folder", options->root);
    } else if (options->root == NULL && options->network) {
        *problem = g_strdup("--network: only with --root; without it nothing is forbidden");
    } else {
        return true;
    }
    return false;
}

/* The root, the program, and the files that its command names. Other words of it are no paths,
 * which the sandbox passes over. */
static void needs(const struct handler_config *config, struct sandbox_needs *out)
{
    static struct exec_command named; /* lives as long as the process */
    const struct exec_options *options = config->options;
    g_autofree char *problem = NULL; /* init() tells it */
    *out = (struct sandbox_needs){ 0 };
    if (options->root == NULL) {
        return;
    }
    *out = (struct sandbox_needs){
        .confined = true, .programs = true, .network = options->network, .root = options->root
    };
    exec_command_done(&named);
    if (exec_command_read(
            &named, config->arg != NULL ? config->arg : options->command, &problem)) {
        g_free(named.words[0]);
        named.words[0] = g_strdup(named.path);
        out->reads = (const char *const *)named.words;
    }
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    const struct exec_options *options = config->options;
    exec_command_done(&command);
    if (!check_root(options, problem)) {
        return false;
    }
    if (!exec_command_read(
            &command, config->arg != NULL ? config->arg : options->command, problem)) {
        return false;
    }
    if (!check_only) {
        read_environment();
        exec_program_init();
    }
    return true;
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    if (!is_stream(config)) {
        return run_once(job, io, out);
    }
    environment = g_environ_setenv(
        environment, job->events > 0 ? "OX_STREAM" : "OX_QUEUE", job->queue, TRUE);
    if (job->events > 0) {
        environment = g_environ_setenv(environment, "OX_GROUP", job->name, TRUE);
    }
    return exec_stream_run(&program, environment, job, io, out);
}

static void done(void)
{
    exec_stream_done(&program);
}

static pid_t keeps(void)
{
    return program.pid;
}

static const struct opt rows[] = {
    { .name = "command",
        .kind = OPT_TEXT,
        .offset = offsetof(struct exec_options, command),
        .arg = "COMMAND",
        .help = "the program and its arguments, quoted as for a shell, which does not run; "
                "for queues that give none after exec:" },
    { .name = "mode",
        .kind = OPT_CHOICE,
        .offset = offsetof(struct exec_options, mode),
        .arg = "one-shot|stream",
        .standard = "one-shot",
        .help = "start the program for each job, or keep it and give it a line of JSON for "
                "each" },
    { .name = "root",
        .kind = OPT_TEXT,
        .offset = offsetof(struct exec_options, root),
        .arg = "DIR",
        .help = "the only folder whose files the program may write, or read besides what "
                "programs need; it has no network then" },
    { .name = "network",
        .kind = OPT_FLAG,
        .offset = offsetof(struct exec_options, network),
        .help = "with --root: it has" },
    { 0 },
};

const struct handler exec_handler = {
    .name = "exec",
    .runs = HANDLER_RUNS_BOTH,
    .summary = "run a program: job data on its stdin, its stdout is the return value",
    .argument = "COMMAND",
    .opts = rows,
    .options_size = sizeof(struct exec_options),
    .starts_programs = true,
    .max_processes = 1024,
    .needs = needs,
    .init = init,
    .run = run,
    .keeps = keeps,
    .done = done,
};
