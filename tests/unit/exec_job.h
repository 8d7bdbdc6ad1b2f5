/*
 * exec_job.h - runs jobs in the exec handler, in the test's own process.
 *
 * What a job says is noted in the order in which it came: "progress:40;log:a row;".
 */
#include "../support/check.h"

#include <glib.h>
#include <string.h>

#include "base/options.h"
#include "worker/handlers/exec.h"

/* What became of the last job. */
static struct {
    enum handler_result result;
    GString *out;  /* the return value or the reason */
    GString *said; /* progress and rows */
    enum failure kind;
} ran;

static struct handler_config config;

static inline void note_progress(void *arg, const char *json)
{
    (void)arg;
    g_string_append_printf(ran.said, "progress:%s;", json);
}

static inline void note_log(void *arg, const char *row)
{
    (void)arg;
    g_string_append_printf(ran.said, "log:%s;", row);
}

static inline void note_failure(void *arg, enum failure kind)
{
    (void)arg;
    ran.kind = kind;
}

/* Starts the handler with this command; what was wrong with it (g_free), or NULL. */
static inline char *try_command(const char *command, const char *mode)
{
    static GStringChunk *strings;
    g_autofree char *option = g_strdup_printf("--mode=%s", mode);
    char *given[] = { (char[]){ "exec" }, option, NULL };
    char **words = g_strdupv(given);
    char *problem = NULL;
    if (!strings)
        strings = g_string_chunk_new(256);
    g_free((void *)(uintptr_t)config.options);
    void *options = g_malloc0(exec_handler.options_size);
    const struct opt_target target = { exec_handler.opts, options };
    config = (struct handler_config){ .options = options };
    config.arg = command ? g_string_chunk_insert(strings, command) : NULL;
    if (!ox__options_init(&target, 1, strings, &problem) ||
        !ox__options_parse(&words, &target, 1, false, strings, &problem))
        test_fatal("%s", problem);
    g_strfreev(words);
    if (exec_handler.init(&config, false, &problem))
        return NULL;
    assert_non_null(problem);
    return problem;
}

/* The same for a command that is right; it has taken the place of the last one. */
static inline void use(const char *command, const char *mode)
{
    exec_handler.done();
    g_autofree char *problem = try_command(command, mode);
    if (problem)
        test_fatal("%s: %s", command, problem);
}

/* Runs a job; what is not given gets some value. */
static inline enum handler_result run_job(struct handler_job job)
{
    const struct handler_io io = {
        .progress = note_progress, .log = note_log, .failure = note_failure
    };
    job.queue = job.queue ? job.queue : "q";
    job.id = job.id ? job.id : "7";
    job.name_len = job.name_len || !job.name ? job.name_len : strlen(job.name);
    job.name = job.name ? job.name : "";
    job.data = job.data ? job.data : "{}";
    job.data_len = job.data_len ? job.data_len : strlen(job.data);
    job.attempt = job.attempt ? job.attempt : 1;
    if (!ran.out) {
        ran.out = g_string_new(NULL);
        ran.said = g_string_new(NULL);
    }
    ran.kind = FAILURE_NONE;
    g_string_truncate(ran.out, 0);
    g_string_truncate(ran.said, 0);
    return ran.result = exec_handler.run(&job, &config, &io, ran.out);
}

static inline enum handler_result run_data(const char *data)
{
    return run_job((struct handler_job){ .data = data });
}

/* Fail the test unless the last job ended so. */
static inline void expect_end(enum handler_result result, const char *out)
{
    static const char *const names[] = { "done", "retry", "fatal" };
    if (ran.result != result || strcmp(ran.out->str, out) != 0)
        test_fatal(
            "%s: %.300s; not %s: %.300s", names[ran.result], ran.out->str, names[result], out);
}

/* Bad output and crashes are of a kind of their own, and nothing else is. */
static inline void expect_kind(enum failure kind)
{
    if (ran.kind != kind)
        test_fatal("%.300s: it is of the kind %s, not %s", ran.out->str, failure_word(ran.kind),
            failure_word(kind));
}

static inline void expect_said(const char *said)
{
    if (strcmp(ran.said->str, said) != 0)
        test_fatal("it said %.300s; not %.300s", ran.said->str, said);
}
