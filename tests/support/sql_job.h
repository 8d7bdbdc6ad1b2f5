/*
 * sql_job.h - runs jobs in the sql handler, in the test's own process.
 */
#ifndef OX_TESTS_SQL_JOB_H
#define OX_TESTS_SQL_JOB_H

#include "check.h"

#include <glib.h>
#include <string.h>

#include "base/options.h"
#include "worker/handlers/sql.h"

/* What became of the last job. */
static struct {
    enum handler_result result;
    GString *out;  /* the return value or the reason */
    GString *rows; /* of its log, a ';' behind each */
} ran;

static struct handler_config config;

static inline void note_row(void *arg, const char *row)
{
    (void)arg;
    g_string_append_printf(ran.rows, "%s;", row);
}

/* Starts the handler with these words, "--db=..", ended by NULL; what was wrong (g_free), or
 * NULL. `file` is what would follow "sql:". */
static inline char *try_words(const char *file, bool check_only, const char *const *given)
{
    static GStringChunk *strings;
    char *problem = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    if (!strings)
        strings = g_string_chunk_new(256);
    g_ptr_array_add(list, (char *)(uintptr_t) "sql");
    for (; *given; given++)
        g_ptr_array_add(list, (char *)(uintptr_t)*given);
    g_ptr_array_add(list, NULL);
    char **words = g_strdupv((char **)list->pdata);
    g_free((void *)(uintptr_t)config.options);
    void *options = g_malloc0(sql_handler.options_size);
    const struct opt_target target = { sql_handler.opts, options };
    config = (struct handler_config){ .options = options, .arg = file };
    if (!ox__options_init(&target, 1, strings, &problem) ||
        !ox__options_parse(&words, &target, 1, false, strings, &problem))
        test_fatal("%s", problem);
    g_strfreev(words);
    if (sql_handler.init(&config, check_only, &problem))
        return NULL;
    assert_non_null(problem);
    return problem;
}

static inline char *try_statement(const char *db, const char *statement)
{
    g_autofree char *db_word = g_strdup_printf("--db=%s", db);
    g_autofree char *word = g_strdup_printf("--statement=%s", statement);
    const char *const words[] = { db_word, word, "--max-rows=100", NULL };
    return try_words(NULL, false, words);
}

/* The same for a statement that is right; it has taken the place of the last one. */
static inline void use(const char *db, const char *statement)
{
    g_autofree char *problem = try_statement(db, statement);
    if (problem)
        test_fatal("%s: %s", statement, problem);
}

static inline void expect_refused(const char *db, const char *statement, const char *says)
{
    g_autofree char *problem = try_statement(db, statement);
    if (!problem)
        test_fatal("%s was taken", statement);
    if (strcmp(problem, says) != 0)
        test_fatal("%s: %s; not %s", statement, problem, says);
}

/* Runs a job; what is not given gets some value. */
static inline enum handler_result run_job(struct handler_job job)
{
    const struct handler_io io = { .log = note_row };
    job.queue = job.queue ? job.queue : "q";
    job.id = job.id ? job.id : "7";
    job.name_len = job.name_len || !job.name ? job.name_len : strlen(job.name);
    job.name = job.name ? job.name : "";
    job.data = job.data ? job.data : "{}";
    job.data_len = job.data_len ? job.data_len : strlen(job.data);
    job.attempt = job.attempt ? job.attempt : 1;
    if (!ran.out) {
        ran.out = g_string_new(NULL);
        ran.rows = g_string_new(NULL);
    }
    g_string_truncate(ran.out, 0);
    g_string_truncate(ran.rows, 0);
    return ran.result = sql_handler.run(&job, &config, &io, ran.out);
}

static inline enum handler_result run_data(const char *data)
{
    return run_job((struct handler_job){ .data = data });
}

/* Runs a batch of two events. */
static inline void run_batch(void)
{
    run_job((struct handler_job){
        .queue = "clicks",
        .name = "warehouse",
        .id = "9-1",
        .data = "[{\"id\":\"a\",\"data\":{\"n\":7},\"position\":\"9-1\"},\n"
                "{\"id\":\"b\",\"data\":{\"n\":700},\"position\":\"9-2\"}]",
        .events = 2,
    });
}

/* Fail the test unless the last job ended so. */
static inline void expect_end(enum handler_result result, const char *out)
{
    static const char *const names[] = { "done", "retry", "fatal" };
    if (ran.result != result || strcmp(ran.out->str, out) != 0)
        test_fatal(
            "%s: %.300s; not %s: %.300s", names[ran.result], ran.out->str, names[result], out);
}

/* The statement on this data gives that. */
static inline void expect_rows(
    const char *db, const char *statement, const char *data, const char *value)
{
    use(db, statement);
    run_data(data);
    expect_end(HANDLER_DONE, value);
}

#endif /* OX_TESTS_SQL_JOB_H */
