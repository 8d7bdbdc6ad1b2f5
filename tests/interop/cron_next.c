/*
 * cron_next.c - next times of cron patterns, for cron_parity.mjs to compare.
 *
 * Reads lines of four fields with tabs between: pattern, time zone ("-" for the machine's),
 * start in Unix ms, how many. Each time is the start of the next, as a scheduler asks. Answers
 * each line by one: the times with a space between, and at the end an error where it came to
 * one, as "EINVAL text" or "ENOTFOUND text".
 *
 * With --offsets a line is: time zone, start in Unix ms, step in ms, how many; the answer is
 * the zone's offsets from UTC at those instants, in seconds.
 */
#include "lib/cron/zone.h"

#include <ox.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(const char *pattern, const char *tz, int64_t at_ms, int count)
{
    ox_error err;
    for (int i = 0; i < count; i++) {
        int rc = ox_cron_next(pattern, strcmp(tz, "-") == 0 ? NULL : tz, at_ms, &at_ms, &err);
        if (rc < 0) {
            const char *name = rc == OX_EINVAL      ? "EINVAL"
                               : rc == OX_ENOTFOUND ? "ENOTFOUND"
                                                    : "?";
            printf("%s%s %s", i > 0 ? " " : "", name, err.text);
            break;
        }
        printf("%s%" PRId64, i > 0 ? " " : "", at_ms);
    }
    putchar('\n');
}

/* Offsets of a zone in seconds: every `step_ms` from a start, `count` of them. */
static void answer_offsets(const char *tz, int64_t at_ms, int64_t step_ms, int count)
{
    struct ox__zone zone;
    ox_error err;
    if (ox__zone_init(&zone, tz, &err) < 0) {
        printf("EINVAL %s\n", err.text);
        return;
    }
    for (int i = 0; i < count; i++, at_ms += step_ms) {
        printf("%s%" PRId32, i > 0 ? " " : "", ox__zone_offset_s(&zone, at_ms / 1000));
    }
    putchar('\n');
    ox__zone_done(&zone);
}

int main(int argc, char **argv)
{
    bool offsets = argc > 1 && strcmp(argv[1], "--offsets") == 0;
    char line[8192];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *field[4] = { line };
        for (int i = 1; i < 4 && field[i - 1] != NULL; i++) {
            field[i] = strchr(field[i - 1], '\t');
            if (field[i] != NULL) {
                *field[i]++ = '\0';
            }
        }
        if (field[1] == NULL || field[2] == NULL || field[3] == NULL) {
            fprintf(stderr, "cron_next: a line has fewer than four fields\n");
            return 2;
        }
        int count = (int)strtol(field[3], NULL, 10);
        if (offsets) {
            answer_offsets(
                field[0], strtoll(field[1], NULL, 10), strtoll(field[2], NULL, 10), count);
        } else {
            answer(field[0], field[1], strtoll(field[2], NULL, 10), count);
        }
    }
    return 0;
}
