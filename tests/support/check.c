/*
 * check.c - time, waiting for a state, and the one way in which helpers fail a test.
 */
#include "check.h"

#include <glib.h>
#include <stdlib.h>
#include <time.h>

/* How often a state is looked at. Short, so that waiting costs a test almost nothing. */
#define POLL_MS 2

void test_fatal(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    g_vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fail_msg("%s", text);
    abort(); /* fail_msg leaves the test; outside of one there is nowhere to go */
}

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t test_now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t test_unix_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

bool test_wait_for(int64_t deadline_ms, bool (*is_so)(void *arg), void *arg)
{
    const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
    int64_t end = test_now_ms() + deadline_ms;
    for (;;) {
        bool late = test_now_ms() >= end;
        if (is_so(arg))
            return true;
        if (late)
            return false;
        nanosleep(&pause, NULL);
    }
}
