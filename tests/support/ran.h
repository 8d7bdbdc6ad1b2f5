/*
 * ran.h - one call of ox after the other, and what became of the last one.
 *
 * `ox("counts", "q")` runs the real program; then `ran` holds what it left, and the expect
 * functions fail the test with all of it when it is not as it should be.
 */
#ifndef OX_TESTS_RAN_H
#define OX_TESTS_RAN_H

#include "server.h"

/** Of the test program: an empty folder. */
extern char *dir;

/** Group set-up and tear-down: the folder, and the server, which OX_REDIS_URL names. */
int ran_begin(void **state);
int ran_end(void **state);

/** A test that begins with an empty server. */
#define EMPTY(test) cmocka_unit_test_setup(test, ran_empty)
int ran_empty(void **state);

/** The last call. The texts are never NULL after the first one; owned here. */
extern struct ran {
    int status; /* exit status, 128 + signal */
    char *out, *err;
} ran;

/** Runs ox with words that end with NULL; `input`, may be NULL, is its stdin. */
int ox_with(const char *input, const char *const *words);
/** Runs any program likewise. */
int run_with(const char *input, const char *const *argv);

#define WORDS(...)                                                                             \
    (const char *const[])                                                                      \
    {                                                                                          \
        __VA_ARGS__, NULL                                                                      \
    }
#define ox(...) ox_with(NULL, WORDS(__VA_ARGS__))

/** Takes the place of the last call, for programs that were run in another way. */
void ran_set(int status, char *out, char *err);
/** Fails the test with all that the last call left. */
void told(void) __attribute__((noreturn));
/** It ended well and said nothing but its result. */
void expect_done(const char *result);
/** It ended well, said nothing but its result, and this regular expression is found in that. */
void expect_form(const char *form);
/** It failed with this status, told why in one line, and printed no result. */
void expect_refusal(int status, const char *why);

#endif /* OX_TESTS_RAN_H */
