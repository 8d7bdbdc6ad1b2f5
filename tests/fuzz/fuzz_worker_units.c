/*
 * fuzz_worker_units.c - numbers with a unit, as an operator writes them for ox-worker.
 *
 * Input: the text. A duration that is taken can be written, and read again as the same.
 */
#include "fuzz.h"

#include "worker/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), shown[16];
    uint32_t ms = 0, again = 1, max = 0;
    uint64_t number = 0;
    if (parse_duration(text, &ms)) {
        expect(parse_duration(duration_text(ms, shown), &again) && again == ms);
    }
    if (parse_rate(text, &max, &ms)) {
        expect(max > 0 && ms > 0);
    }
    if (parse_bytes(text, &number)) {
        expect(number <= INT64_MAX);
    }
    if (parse_count(text, 3, 70000, &number)) {
        expect(number >= 3 && number <= 70000);
    }
    free(text);
    return 0;
}
