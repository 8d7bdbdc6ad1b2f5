/*
 * fuzz_cron.c - cron patterns and time zone names as anybody may have stored them.
 *
 * Input, as in corpus/cron: a line with a start in ms, a line with a zone's name ("-" for
 * none), and the rest is a pattern. Whatever it is, the library answers soon: with a time
 * after the start, on a whole second, or with an error whose text is set.
 */
#include "fuzz.h"

#include <ox.h>

enum { max_bytes = 4096 };

/* Ends the line at `text` and returns what comes after it. */
static char *end_line(char *text)
{
    char *end = strchr(text, '\n');
    if (end == NULL) {
        return text + strlen(text);
    }
    *end = '\0';
    return end + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[max_bytes + 1];
    ox_error err = { 0 };
    int64_t next_ms = INT64_MIN;

    if (size > max_bytes) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    char *tz = end_line(text);
    char *pattern = end_line(tz);
    int64_t after_ms = strtoll(text, NULL, 10);

    int rc = ox_cron_next(pattern, strcmp(tz, "-") == 0 ? NULL : tz, after_ms, &next_ms, &err);
    if (rc == 0) {
        expect(next_ms > after_ms && next_ms % 1000 == 0);
    } else {
        expect(rc == OX_EINVAL || rc == OX_ENOTFOUND);
        expect(err.code == rc && err.text[0] != '\0' && next_ms == INT64_MIN);
    }
    return 0;
}
