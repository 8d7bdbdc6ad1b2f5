/*
 * script.h - a Lua script as C knows it: its text, its SHA-1 and its inputs by name.
 *
 * The rows are made by lua/embed.sh from the scripts themselves, so a key or an argument has
 * one name and one place on both sides.
 */
#ifndef OX_LIB_SCRIPT_H
#define OX_LIB_SCRIPT_H

#include <ox.h>

#include <hiredis/hiredis.h>
#include <stddef.h>

struct ox__script {
    const char *name;
    const char *source;
    size_t len;
    char sha[41];
    const char *const *keys; /* suffixes below the queue's base */
    const char *const *args; /* the fixed ones; scripts with --@rest take more */
    size_t key_count, arg_count;
};

/* Fills `err` for a refusal: a script's small negative number (section 3.9 of the layout).
 * `queue` and `id` (either may be NULL) are named in the text. Returns the OX_E... code. */
int ox__script_refusal(long long number, const char *queue, const char *id, ox_error *err);
/* The same for one element of an answer: such a number, or the error that one job met. */
int ox__script_refused(
    const redisReply *refusal, const char *queue, const char *id, ox_error *err);

#endif /* OX_LIB_SCRIPT_H */
