/*
 * server_clock.h - an estimate of the server's clock.
 *
 * Jobs have wall clock times, and the clocks of machines differ; so due times and timestamps
 * are decided by the one clock that all workers share, the server's. Each answer that tells it
 * is a sample: the server looked at its clock some time between the sending and the answer, so
 * half of that round trip bounds the error. The best sample is kept until drift has made it
 * worse than a new one, or a new one contradicts it (the server's clock was set, or it is
 * another server now).
 *
 * To ask the server for the time is a good part of what a job costs it. So a busy worker gives
 * its jobs the time that it knows, as long as that is off by 10 ms at most: drift alone may be
 * as much 20 s after a sample. What is nearly due is left to the server's own look.
 *
 * Our side of it is CLOCK_BOOTTIME alone, which nobody sets and which counts sleep; an engine
 * has no other clock. Where the time comes from is a part of the struct, so that a test can be
 * the clock.
 */
#ifndef OX_LIB_SERVER_CLOCK_H
#define OX_LIB_SERVER_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct ox__server_clock {
    int64_t (*boot_us)(void); /* ours: microseconds that never jump */
    int64_t (*wall_us)(void); /* ours: Unix time */
    bool known;
    bool doubt;       /* was cut off since the last sample: the server may be another one now */
    int64_t ahead_us; /* Unix time at the server minus our boot clock */
    int64_t error_us; /* of that, when it was sampled */
    int64_t sampled_us; /* boot clock */
    int64_t told_us;    /* Unix time at the server: the latest that runs were given */
};

/* Knows nothing yet; the time is this machine's. */
void ox__server_clock_init(struct ox__server_clock *clock);
/* Our boot clock. */
int64_t ox__clock_boot_ms(const struct ox__server_clock *clock);
/* All but the server's time are of our boot clock. */
void ox__server_clock_sample(
    struct ox__server_clock *clock, int64_t sent_us, int64_t received_us, int64_t server_us);
/* The server gave this time to runs: none is given an earlier one, unless a sample shows that
 * its clock was set back. */
void ox__server_clock_told(struct ox__server_clock *clock, int64_t server_us);
/* Cut off: the next server may be another one, so runs are given no time before a sample. */
void ox__server_clock_doubt(struct ox__server_clock *clock);
/* A time in ms for what is done next at the server: not later than its own clock says, so that
 * what it stamps itself is not before what was stamped so. `error_ms`: how much later it may be
 * there, -1 if that is too much, or not known. Then the server has to look at its own clock. */
int64_t ox__server_clock_give_ms(struct ox__server_clock *clock, int *error_ms);
/* Unix time at the server; by our own wall clock as long as nothing else is known. */
int64_t ox__server_now_us(const struct ox__server_clock *clock);
int64_t ox__server_now_ms(const struct ox__server_clock *clock);
/* When, by our boot clock, the server's clock said this; 0 if nothing is known. Not later than
 * it can have been. */
int64_t ox__server_clock_boot_ms(const struct ox__server_clock *clock, int64_t server_us);

#endif /* OX_LIB_SERVER_CLOCK_H */
