/* retry.c - applies a job's options to the end of a run; see retry.h. */
#include "queue/retry.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/stored.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* All stack traces of a job, which may try for ever: the newest that fit. */
#define TRACES_MAX ((size_t)1 << 20)

void ox__keep_spec(const ox_keep *job, const ox_keep *worker, char *out, size_t size)
{
    const ox_keep *keep = job->mode != OX_KEEP_DEFAULT ? job : worker;
    char count[24] = "", age[24] = "", limit[24] = "";
    if (keep->mode == OX_KEEP_NONE ||
        (keep->mode == OX_KEEP_SOME && keep->count == 0 && keep->age_s == 0)) {
        snprintf(out, size, "0");
        return;
    }
    if (keep->mode != OX_KEEP_SOME) {
        *out = '\0';
        return;
    }
    if (keep->count > 0) {
        snprintf(count, sizeof(count), "%lld", (long long)keep->count);
    }
    if (keep->age_s > 0) {
        snprintf(age, sizeof(age), "%lld", (long long)keep->age_s);
    }
    if (keep->limit > 0) {
        snprintf(limit, sizeof(limit), "%lld", (long long)keep->limit);
    }
    snprintf(out, size, "%s:%s:%s", count, age, limit);
}

/* ---- stack traces ------------------------------------------------------------------------ */

/* Where the newest traces begin that the job's options and TRACES_MAX leave room for, beside
 * the new one; `list` is not an array when there are none. */
static const char *first_kept(struct ox__slice list, int32_t limit, size_t new_bytes)
{
    struct ox__slice trace, oldest;
    size_t count = 1, bytes = new_bytes;
    const char *p = NULL, *first = NULL;
    if (list.at == NULL || *list.at != '[') {
        return NULL;
    }
    while (ox__slice_element(list, &p, &trace)) {
        count++;
        bytes += (size_t)(trace.end - trace.at);
    }
    while (ox__slice_element(list, &first, &oldest)) {
        if ((limit <= 0 || count <= (size_t)limit) && bytes <= TRACES_MAX) {
            return oldest.at;
        }
        count--;
        bytes -= (size_t)(oldest.end - oldest.at);
    }
    return NULL;
}

char *ox__stack_traces(const struct ox__field *old, int32_t limit, const char *stack)
{
    struct ox__slice list = { NULL, NULL };
    struct ox__buf out = { 0 };
    if (old->text != NULL && ox__stored_value(&list, old->text, old->len) < 0) {
        return NULL;
    }
    ox__buf_char(&out, '[');
    if (limit >= 0) {
        size_t len = ox__utf8_truncate(stack, OX__TEXT_MAX);
        const char *first = first_kept(list, limit, len);
        if (first != NULL) {
            ox__json_copy(&out, first, (size_t)(list.end - 1 - first));
            ox__buf_char(&out, ',');
        }
        ox__json_string(&out, stack, len);
    }
    ox__buf_char(&out, ']');
    return ox__buf_steal(&out);
}

/* ---- backoff ----------------------------------------------------------------------------- */

static int64_t chance(const ox_backoff *backoff, int64_t wait_ms, uint64_t random)
{
    double part = (double)((random * 2654435761u) % 1000000) / 1e6;
    double d = (double)wait_ms, j = backoff->jitter;
    return (int64_t)floor(part * d * j + d * (1 - j));
}

/* Fixed: delay. Exponential: 2^(made-1) * delay. */
int64_t ox__backoff_ms(const ox_backoff *backoff, uint32_t made, uint64_t random)
{
    int64_t wait_ms = backoff->delay_ms;
    if (backoff->type == NULL) {
        return 0;
    }
    if (strcmp(backoff->type, "exponential") == 0) {
        double grown = floor(ldexp((double)wait_ms, (int)(made > 60 ? 60 : made) - 1) + 0.5);
        wait_ms = grown < 9e15 ? (int64_t)grown : (int64_t)9e15;
    } else if (strcmp(backoff->type, "fixed") != 0) {
        return OX__BACKOFF_UNKNOWN;
    }
    return backoff->jitter > 0 ? chance(backoff, wait_ms, random) : wait_ms;
}
