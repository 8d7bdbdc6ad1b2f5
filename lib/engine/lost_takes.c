/* lost_takes.c - the tokens of takes whose reply was lost; see lost_takes.h. */
#include "engine/lost_takes.h"

#include <stdio.h>
#include <string.h>

void ox__lost_takes_add(struct ox__lost_takes *lost, const char *token, int64_t until_ms)
{
    uint32_t n = lost->count;
    if (n == OX__LOST_TAKES_MAX) {
        n--;
        memmove(lost->takes, lost->takes + 1, n * sizeof(lost->takes[0]));
    }
    snprintf(lost->takes[n].token, sizeof(lost->takes[n].token), "%s", token);
    lost->takes[n].until_ms = until_ms;
    lost->count = n + 1;
}

void ox__lost_takes_forget_old(struct ox__lost_takes *lost, int64_t now_ms)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < lost->count; i++) {
        if (lost->takes[i].until_ms > now_ms) {
            lost->takes[kept++] = lost->takes[i];
        }
    }
    lost->count = kept;
}

bool ox__lost_takes_have(const struct ox__lost_takes *lost, const char *token)
{
    for (uint32_t i = 0; i < lost->count; i++) {
        if (strcmp(token, lost->takes[i].token) == 0) {
            return true;
        }
    }
    return false;
}
