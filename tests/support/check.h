/*
 * check.h - cmocka with all that it needs, time, and waiting for a state.
 *
 * A test includes this first instead of cmocka.h. Tests wait for states with deadlines; they
 * never sleep for a time and hope.
 */
#ifndef OX_TESTS_CHECK_H
#define OX_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/** Fails the running test (or its setup) with a sentence. Does not return. */
void test_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Monotonic milliseconds. */
int64_t test_now_ms(void);

/** The wall clock, Unix milliseconds. */
int64_t test_unix_ms(void);

/** Asks `is_so` again and again until it is true or `deadline_ms` from now is over.
 *  Returns its last answer. */
bool test_wait_for(int64_t deadline_ms, bool (*is_so)(void *arg), void *arg);

#endif /* OX_TESTS_CHECK_H */
