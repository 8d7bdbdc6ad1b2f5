/*
 * clock.c - a clock that a test moves, for a redis-server of its own.
 *
 * A shared object that redis-server is started with (LD_PRELOAD). It answers gettimeofday(),
 * time() and clock_gettime(CLOCK_REALTIME), which is where Redis has the time of day from: for
 * TIME, for keys that expire, for the ages of claims. To each it adds what stands in the file
 * that OX_TEST_CLOCK names: ms, as one 64 bit number, which the test writes at any time
 * (support/redis.c, interop/support/redis.mjs). Monotonic clocks are left alone, as they are
 * when somebody sets a real one; so timers and timeouts go on as ever.
 *
 * It is linked with nothing but libc and built without sanitizers, also in a build that has
 * them, since redis-server has none.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static const volatile int64_t *offset_ms; /* in the file, mapped; NULL before it is */

/* Calls that come before this one see the true time. */
__attribute__((constructor)) static void map_offset(void)
{
    const char *path = getenv("OX_TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(*offset_ms), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        offset_ms = at;
}

/* Past the functions below, and without those that look them up, which may allocate: the
 * allocator of redis-server asks for the time while it starts. */
static int true_time(clockid_t clock, struct timespec *at)
{
    return (int)syscall(SYS_clock_gettime, clock, at);
}

EXPORTED int clock_gettime(clockid_t clock, struct timespec *at)
{
    int rc = true_time(clock, at);
    if (rc != 0 || !offset_ms || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return rc;
    int64_t ms = *offset_ms, ns = at->tv_nsec + ms % 1000 * 1000000;
    at->tv_sec += ms / 1000 + (ns >= 1000000000) - (ns < 0);
    at->tv_nsec = ns + (ns < 0 ? 1000000000 : 0) - (ns >= 1000000000 ? 1000000000 : 0);
    return 0;
}

EXPORTED int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    *at = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
    return 0;
}

EXPORTED time_t time(time_t *at)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
