/*
 * server_clock.h - what the server's clock says, as well as can be known here.
 *
 * Jobs carry times of the wall, and machines disagree about that; so what is due, and when
 * something happened, is decided by the one clock that all workers share, the server's. Each
 * answer that tells it is a sample: the server looked at its clock some time between the
 * sending and the answer, so half of that round trip bounds the error. The best sample is kept
 * until drift has made it worse than a new one, or a new one contradicts it (the server's clock
 * was set, or it is another server now).
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
    int64_t ahead_us;   /* Unix time at the server minus our boot clock */
    int64_t error_us;   /* of that, when it was sampled */
    int64_t sampled_us; /* boot clock */
};

/* Knows nothing yet; the time is this machine's. */
void ox__server_clock_init(struct ox__server_clock *clock);
/* Our boot clock. */
int64_t ox__clock_boot_ms(const struct ox__server_clock *clock);
/* All but the server's time are of our boot clock. */
void ox__server_clock_sample(
    struct ox__server_clock *clock, int64_t sent_us, int64_t received_us, int64_t server_us);
/* Unix time at the server; by our own wall clock as long as nothing else is known. */
int64_t ox__server_now_us(const struct ox__server_clock *clock);
int64_t ox__server_now_ms(const struct ox__server_clock *clock);
/* When, by our boot clock, the server's clock said this; 0 if nothing is known. Not later than
 * it can have been. */
int64_t ox__server_clock_boot_ms(const struct ox__server_clock *clock, int64_t server_us);

#endif /* OX_LIB_SERVER_CLOCK_H */
