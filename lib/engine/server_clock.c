/* server_clock.c - estimates the server's clock; see server_clock.h. */
#include "engine/server_clock.h"

#include "base/clock.h"

/* Two clocks drift apart by no more than 1 part in so many. */
#define DRIFT 2000
/* What is off by more is not given to jobs. */
#define SURE_US 10000

void ox__server_clock_init(struct ox__server_clock *clock)
{
    *clock = (struct ox__server_clock){ .boot_us = ox__boot_us, .wall_us = ox__now_us };
}

int64_t ox__clock_boot_ms(const struct ox__server_clock *clock)
{
    return clock->boot_us() / 1000;
}

static int64_t error_at(const struct ox__server_clock *clock, int64_t boot_us)
{
    int64_t age_us = boot_us - clock->sampled_us;
    return clock->error_us + (age_us > 0 ? age_us / DRIFT : 0);
}

void ox__server_clock_sample(
    struct ox__server_clock *clock, int64_t sent_us, int64_t received_us, int64_t server_us)
{
    int64_t error_us = (received_us - sent_us) / 2 + 1;
    int64_t ahead_us = server_us - sent_us - (received_us - sent_us) / 2;
    int64_t old_error_us = error_at(clock, received_us);
    int64_t apart_us = ahead_us - clock->ahead_us;
    apart_us = apart_us < 0 ? -apart_us : apart_us;
    clock->doubt = false;
    if (clock->known && error_us > old_error_us && apart_us <= error_us + old_error_us) {
        ox__server_clock_told(clock, server_us);
        return;
    }
    if (!clock->known || apart_us > error_us + old_error_us) {
        clock->told_us = 0; /* it was set */
    }
    ox__server_clock_told(clock, server_us);
    clock->known = true;
    clock->ahead_us = ahead_us;
    clock->error_us = error_us;
    clock->sampled_us = received_us;
}

void ox__server_clock_told(struct ox__server_clock *clock, int64_t server_us)
{
    clock->told_us = clock->told_us > server_us ? clock->told_us : server_us;
}

void ox__server_clock_doubt(struct ox__server_clock *clock)
{
    clock->doubt = true;
}

int64_t ox__server_clock_give_ms(struct ox__server_clock *clock, int *error_ms)
{
    int64_t now_us = ox__server_now_us(clock), error_us = error_at(clock, clock->boot_us());
    bool sure = clock->known && !clock->doubt && error_us <= SURE_US;
    *error_ms = sure ? (int)(2 * error_us / 1000) + 1 : -1;
    if (sure) { /* the earliest that it can be: the server itself is never behind it */
        ox__server_clock_told(clock, now_us - error_us);
        now_us = clock->told_us;
    }
    return now_us / 1000;
}

int64_t ox__server_now_us(const struct ox__server_clock *clock)
{
    return clock->known ? clock->boot_us() + clock->ahead_us : clock->wall_us();
}

int64_t ox__server_now_ms(const struct ox__server_clock *clock)
{
    return ox__server_now_us(clock) / 1000;
}

int64_t ox__server_clock_boot_ms(const struct ox__server_clock *clock, int64_t server_us)
{
    if (!clock->known) {
        return 0;
    }
    return (server_us - clock->ahead_us - error_at(clock, clock->boot_us())) / 1000;
}
