/*
 * suggest.h - finds the word that a mistyped one probably means.
 *
 * Start with a suggestion that has only its word, offer every existing word, then read
 * `nearest`: NULL when none is near enough.
 */
#ifndef OX_LIB_BASE_SUGGEST_H
#define OX_LIB_BASE_SUGGEST_H

#include <stddef.h>

struct ox__suggestion {
    const char *word;    /* what was typed */
    const char *nearest; /* borrowed from the offers */
    size_t distance;     /* of nearest; undefined without one */
};

void ox__suggest(struct ox__suggestion *suggestion, const char *candidate);

#endif /* OX_LIB_BASE_SUGGEST_H */
