/*
 * suggest.c - edit distance over short words.
 *
 * A missing, added, changed or swapped letter costs one. Words longer than MAX_WORD bytes get
 * no suggestion. A word that is the beginning of a candidate ("prio" of "priority") counts as
 * one step away.
 */
#include "base/suggest.h"
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define MAX_WORD 40

static size_t least(size_t a, size_t b, size_t c)
{
    return MIN(a, MIN(b, c));
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[MAX_WORD + 1][MAX_WORD + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    for (size_t i = 0; i <= a_len; i++) {
        rows[i][0] = i;
    }
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = a[i - 1] != b[j - 1];
            size_t best =
                least(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                best = MIN(best, rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    return rows[a_len][b_len];
}

void ox__suggest(struct ox__suggestion *suggestion, const char *candidate)
{
    const char *word = suggestion->word;
    size_t length = strlen(word);
    if (!length || length > MAX_WORD || strlen(candidate) > MAX_WORD) {
        return;
    }
    bool begins = length >= 2 && g_str_has_prefix(candidate, word);
    size_t distance = begins ? 1 : edit_distance(word, candidate);
    if (distance > MAX((size_t)1, length / 3) || distance >= strlen(candidate)) {
        return;
    }
    if (suggestion->nearest != NULL && suggestion->distance <= distance) {
        return;
    }
    suggestion->nearest = candidate;
    suggestion->distance = distance;
}
