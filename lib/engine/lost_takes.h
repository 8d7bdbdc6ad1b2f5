/*
 * lost_takes.h - the tokens of takes whose reply was lost, for as long as the server may still
 * run them or hold their locks. The newest few: who loses more has lost the server.
 */
#ifndef OX_LIB_LOST_TAKES_H
#define OX_LIB_LOST_TAKES_H

#include <stdbool.h>
#include <stdint.h>

#define OX__TOKEN_MAX 64
#define OX__LOST_TAKES_MAX 16

struct ox__lost_takes {
    uint32_t count;
    struct {
        char token[OX__TOKEN_MAX];
        int64_t until_ms; /* boot clock */
    } takes[OX__LOST_TAKES_MAX];
};

void ox__lost_takes_add(struct ox__lost_takes *lost, const char *token, int64_t until_ms);
void ox__lost_takes_forget_old(struct ox__lost_takes *lost, int64_t now_ms);
bool ox__lost_takes_have(const struct ox__lost_takes *lost, const char *token);

#endif /* OX_LIB_LOST_TAKES_H */
