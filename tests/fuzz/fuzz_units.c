/*
 * fuzz_units.c - numbers with a unit, as people write them.
 *
 * Input: the text. A duration or a size that is taken can be written, and read again as the
 * same.
 */
#include "fuzz.h"

#include <glib.h>

#include "base/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), shown[24];
    char *why = NULL;
    struct ox__rate rate;
    int64_t number = 0, again = -1;
    if (ox__parse_duration(text, 0, 0, &number, &why)) {
        expect(number >= 0 && number <= OX__MAX_DURATION_MS);
        ox__duration_text(number, shown);
        expect(ox__parse_duration(shown, 0, 0, &again, &why) && again == number);
    }
    g_clear_pointer(&why, g_free);
    if (ox__parse_bytes(text, 0, 0, &number, &why)) {
        ox__bytes_text(number, shown);
        expect(ox__parse_bytes(shown, 0, 0, &again, &why) && again == number);
    }
    g_clear_pointer(&why, g_free);
    if (ox__parse_count(text, 3, 70000, &number, &why)) {
        expect(number >= 3 && number <= 70000);
    }
    g_clear_pointer(&why, g_free);
    if (ox__parse_rate(text, &rate, &why)) {
        expect(rate.max > 0 && rate.duration_ms > 0);
    }
    g_free(why);
    free(text);
    return 0;
}
