/* clock.h - the clocks: CLOCK_REALTIME for the times of jobs; CLOCK_MONOTONIC for deadlines;
 * and CLOCK_BOOTTIME, which counts the time that the machine sleeps, for locks and other times
 * agreed with the server.
 */
#ifndef OX_LIB_CLOCK_H
#define OX_LIB_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Longest wait and latest time: the largest exact integer of readers that use doubles. */
#define OX__MAX_MS INT64_C(9007199254740991)

/* Clamps a stored number to bounds that leave room to add, subtract and multiply by a thousand.
 */
static inline int64_t ox__bounded(int64_t value)
{
    return value > OX__MAX_MS ? OX__MAX_MS : value < -OX__MAX_MS ? -OX__MAX_MS : value;
}

static inline int64_t ox__clock_ms(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int64_t ox__clock_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Unix microseconds. */
static inline int64_t ox__now_us(void)
{
    return ox__clock_us(CLOCK_REALTIME);
}

/* Unix milliseconds. */
static inline int64_t ox__now_ms(void)
{
    return ox__clock_ms(CLOCK_REALTIME);
}

/* Milliseconds that never jump. */
static inline int64_t ox__steady_ms(void)
{
    return ox__clock_ms(CLOCK_MONOTONIC);
}

/* The same in microseconds. */
static inline int64_t ox__steady_us(void)
{
    return ox__clock_us(CLOCK_MONOTONIC);
}

/* Microseconds that never jump, sleep of the machine included. */
static inline int64_t ox__boot_us(void)
{
    return ox__clock_us(CLOCK_BOOTTIME);
}

/* The same in milliseconds. */
static inline int64_t ox__boot_ms(void)
{
    return ox__clock_ms(CLOCK_BOOTTIME);
}

#endif /* OX_LIB_CLOCK_H */
