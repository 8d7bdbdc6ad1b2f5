/*
 * fuzz_cli_parse.c - what people type: durations, times and the small languages of options.
 *
 * Input: a letter that says which reader (see `readers`), then the text. A reader either gives
 * a value in its range, or says why not.
 */
#include "fuzz.h"

#include <glib.h>
#include <ox.h>

#include "base/units.h"
#include "cli/parse.h"

union value {
    int64_t number;
    int choice;
    ox_backoff backoff;
    ox_dedup dedup;
    ox_keep keep;
    struct ox__rate rate;
    struct patience patience;
};

static bool read_count(char *text, void *out, char **why)
{
    return ox__parse_count(text, -5, INT64_C(1) << 40, out, why);
}

static bool count_fits(const union value *v)
{
    return v->number >= -5 && v->number <= INT64_C(1) << 40;
}

static bool read_duration(char *text, void *out, char **why)
{
    return ox__parse_duration(text, 1, 0, out, why);
}

static bool duration_fits(const union value *v)
{
    return v->number >= 1 && v->number <= OX__MAX_DURATION_MS;
}

/* A year from 1 to 9999. */
static bool time_fits(const union value *v)
{
    return v->number >= INT64_C(-62135596800000) && v->number <= INT64_C(1) << 53;
}

static bool backoff_fits(const union value *v)
{
    const ox_backoff *b = &v->backoff;
    return *b->type != '\0' && b->delay_ms >= 0 && b->delay_ms <= OX__MAX_DURATION_MS &&
           b->jitter >= 0 && b->jitter <= 1;
}

static bool dedup_fits(const union value *v)
{
    return *v->dedup.id != '\0' && v->dedup.ttl_ms >= 0 &&
           v->dedup.ttl_ms <= OX__MAX_DURATION_MS;
}

static bool keep_fits(const union value *v)
{
    const ox_keep *k = &v->keep;
    bool some = k->count > 0 || k->age_s > 0;
    return k->count >= 0 && k->age_s >= 0 && k->limit >= 0 &&
           (k->mode == OX_KEEP_SOME ? some : k->mode == OX_KEEP_ALL || k->mode == OX_KEEP_NONE);
}

static bool choice_fits(const union value *v)
{
    return v->choice >= OX_CHILD_WAIT && v->choice <= OX_CHILD_REMOVE;
}

static bool rate_fits(const union value *v)
{
    return v->rate.max >= 1 && v->rate.max <= UINT32_MAX && v->rate.duration_ms >= 1;
}

static bool patience_fits(const union value *v)
{
    return v->patience.given && v->patience.timeout_ms >= 1 &&
           v->patience.timeout_ms <= UINT32_MAX;
}

static const struct {
    char letter;
    bool (*read)(char *text, void *out, char **why);
    bool (*fits)(const union value *value);
} readers[] = {
    { 'n', read_count, count_fits },
    { 'd', read_duration, duration_fits },
    { 't', ox__parse_instant, time_fits },
    { 'b', ox__parse_backoff, backoff_fits },
    { 'u', parse_dedup, dedup_fits },
    { 'k', ox__parse_keep, keep_fits },
    { 'f', parse_child_failure, choice_fits },
    { 'r', ox__parse_rate, rate_fits },
    { 'p', parse_patience, patience_fits },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; size > 0 && i < G_N_ELEMENTS(readers); i++) {
        if (readers[i].letter != data[0]) {
            continue;
        }
        char *text = fuzz_text(data + 1, size - 1);
        union value value = { 0 };
        char *why = NULL;
        if (readers[i].read(text, &value, &why)) {
            expect(why == NULL && readers[i].fits(&value));
        } else {
            expect(why != NULL && *why != '\0');
        }
        g_free(why);
        free(text);
    }
    return 0;
}
