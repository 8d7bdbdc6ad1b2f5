/*
 * fuzz_options.c - job options, as a producer gives them and as another program stored them.
 *
 * Input: the text of the options. Whatever is written of them is JSON, and what is written is
 * read as the same: so no option can be lost between a producer and a worker of ours.
 */
#include "fuzz.h"

#include "lib/base/json.h"
#include "lib/queue/job_id.h"
#include "lib/queue/options.h"

static void expect_same(const struct ox__buf *a, const struct ox__buf *b)
{
    expect(!a->failed && !b->failed);
    expect(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
}

/* Writes what the library knows: numbers in options of others may be spelt otherwise. */
static void write_known(struct ox__buf *out, const struct ox__options *options)
{
    const struct ox__options known = { .set = options->set };
    ox__options_write(out, &known);
}

/* Reads what was written, and compares. */
static void check_written(const struct ox__options *options)
{
    struct ox__options again;
    struct ox__buf written = { 0 }, known = { 0 }, known_again = { 0 };
    ox__options_write(&written, options);
    expect(!written.failed && ox__json_valid(written.data, written.len));
    expect(ox__options_stored(&again, written.data, written.len, NULL) == 0);
    write_known(&known, options);
    write_known(&known_again, &again);
    expect_same(&known, &known_again);
    ox__buf_done(&written);
    ox__buf_done(&known);
    ox__buf_done(&known_again);
    ox__options_done(&again);
}

static void check_stored(const char *text, size_t len)
{
    struct ox__options options;
    ox_error err = { 0 };
    int rc = ox__options_stored(&options, text, len, &err);
    if (rc < 0) {
        fuzz_failure(&err, OX_EDATA);
        return;
    }
    check_written(&options);
    ox__options_done(&options);
}

static void check_given(const char *text)
{
    struct ox__options options;
    ox_error err = { 0 };
    const ox_job_options given = { .json = text };
    int rc = ox__options_merge(&options, &given, &err);
    if (rc < 0) {
        fuzz_failure(&err, OX_EINVAL);
        return;
    }
    const ox_job_options *set = &options.set;
    expect(set->id == NULL || ox__job_id_possible(set->id));
    expect(set->priority <= OX__PRIORITY_MAX && set->delay_ms >= 0 && set->timestamp_ms >= 0);
    expect(set->backoff.delay_ms >= 0 && set->backoff.jitter >= 0 && set->backoff.jitter <= 1);
    check_written(&options);
    ox__options_done(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    check_stored(text, size);
    check_given(text);
    free(text);
    return 0;
}
