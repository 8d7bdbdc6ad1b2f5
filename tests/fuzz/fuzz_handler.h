/*
 * fuzz_handler.h - jobs of one handler, run in the target: what it says and how they end.
 *
 * The child sends each text up to its NUL, so no text may hold one. A return value and progress
 * must be JSON; the first may be nested to any depth.
 */
#ifndef OX_TESTS_FUZZ_HANDLER_H
#define OX_TESTS_FUZZ_HANDLER_H

#include "fuzz.h"

#include "base/json.h"
#include "base/options.h"
#include "worker/handler.h"

/* The longest wait that a handler asked for in the last run; -1: it asked for none. */
static int64_t fuzz_retry_after_ms;

static inline void fuzz_progress(void *arg, const char *json)
{
    (void)arg;
    expect(ox__json_valid(json, strlen(json)));
}

static inline void fuzz_row(void *arg, const char *row)
{
    (void)arg;
    expect(row != NULL && strlen(row) < SIZE_MAX);
}

static inline void fuzz_retry_after(void *arg, int64_t ms)
{
    (void)arg;
    expect(ms >= 0);
    fuzz_retry_after_ms = MAX(ms, fuzz_retry_after_ms);
}

static inline void fuzz_kind(void *arg, enum failure kind)
{
    enum failure said;
    (void)arg;
    expect(failure_said(failure_word(kind), &said) && said == kind);
}

static const struct handler_io fuzz_io = { fuzz_progress, fuzz_row, fuzz_retry_after, fuzz_kind,
    NULL };

/* Starts the handler with these words, "--mode=stream", ended by NULL; they are right. Once for
 * the life of the process. */
static inline struct handler_config fuzz_start(
    const struct handler *handler, const char *arg, char **words)
{
    static GStringChunk *strings;
    void *options = g_malloc0(handler->options_size);
    const struct opt_target target = { handler->opts, options };
    const struct handler_config config = { .arg = arg, .options = options };
    char **given = g_strdupv(words);
    char *problem = NULL;
    strings = strings != NULL ? strings : g_string_chunk_new(256);
    bool good = ox__options_init(&target, 1, strings, &problem) &&
                ox__options_parse(&given, &target, 1, false, strings, &problem) &&
                handler->init(&config, false, &problem);
    if (!good) {
        fprintf(stderr, "%s\n", problem);
    }
    expect(good);
    g_strfreev(given);
    return config;
}

static inline enum handler_result fuzz_run(const struct handler *handler,
    const struct handler_config *config, const struct handler_job *job)
{
    g_autoptr(GString) out = g_string_new(NULL);
    fuzz_retry_after_ms = -1;
    enum handler_result result = handler->run(job, config, &fuzz_io, out);
    expect(strlen(out->str) == out->len);
    expect(result != HANDLER_DONE || out->len == 0 ||
           ox__json_scan(out->str, out->len, OX__JSON_DEEP) == 1);
    return result;
}

#endif /* OX_TESTS_FUZZ_HANDLER_H */
