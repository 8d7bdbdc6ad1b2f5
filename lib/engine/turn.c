/* turn.c - end of a turn of the loop, and its timers; see turn.h. */
#include "engine/turn.h"

#include "wire/conn.h"

#include <sys/timerfd.h>
#include <unistd.h>

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* is there so that the loop does not sleep before the check */
}

static void on_check(uv_check_t *check)
{
    struct ox__turn *turn = check->data;
    uv_idle_stop(&turn->idle);
    uv_check_stop(&turn->check);
    turn->soon = false;
    turn->ended(turn->arg);
}

void ox__turn_soon(struct ox__turn *turn)
{
    if (!turn->soon) {
        turn->soon = true;
        uv_idle_start(&turn->idle, on_idle);
        uv_check_start(&turn->check, on_check);
    }
}

static void on_alarm(uv_timer_t *timer)
{
    struct ox__turn *turn = timer->data;
    turn->alarm_ms = OX__NEVER;
    turn->due(turn->arg);
}

void ox__turn_alarm(struct ox__turn *turn, int64_t at_ms)
{
    if (at_ms == turn->alarm_ms) {
        return;
    }
    turn->alarm_ms = at_ms;
    if (at_ms == OX__NEVER) {
        uv_timer_stop(&turn->alarm);
        return;
    }
    int64_t wait_ms = at_ms - ox__clock_boot_ms(turn->clock);
    uv_update_time(turn->loop);
    /* A timer that is being closed does not start. */
    uv_timer_start(&turn->alarm, on_alarm, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void on_fine_alarm(uv_poll_t *fine, int status, int events)
{
    struct ox__turn *turn = fine->data;
    uint64_t times;
    (void)events;
    bool rang = status == 0 && read(turn->fine_fd, &times, sizeof(times)) == sizeof(times);
    if (rang && turn->fine_us != OX__NEVER) {
        turn->fine_us = OX__NEVER;
        turn->due(turn->arg);
    }
}

/* Without descriptors, or memory, there is none from here on. */
static bool has_fine(struct ox__turn *turn)
{
    if (turn->fine_fd != 0) {
        return turn->fine_fd > 0;
    }
    int fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    turn->fine_fd = -1;
    if (fd <= 0 || uv_poll_init(turn->loop, &turn->fine, fd) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    turn->fine_fd = fd;
    turn->fine.data = turn;
    uv_poll_start(&turn->fine, UV_READABLE, on_fine_alarm);
    return true;
}

bool ox__turn_fine_alarm(struct ox__turn *turn, int64_t at_us)
{
    if (at_us == turn->fine_us) {
        return true;
    }
    turn->fine_us = at_us; /* one that is not needed any more goes off for nothing */
    if (at_us == OX__NEVER) {
        return true;
    }
    const struct itimerspec at = { .it_value = { .tv_sec = (time_t)(at_us / 1000000),
                                       .tv_nsec = (long)(at_us % 1000000) * 1000 } };
    bool set =
        has_fine(turn) && timerfd_settime(turn->fine_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0;
    if (!set) {
        turn->fine_us = OX__NEVER;
    }
    return set;
}

void ox__turn_start(struct ox__turn *turn)
{
    uv_idle_init(turn->loop, &turn->idle);
    uv_check_init(turn->loop, &turn->check);
    uv_timer_init(turn->loop, &turn->alarm);
    turn->idle.data = turn->check.data = turn->alarm.data = turn;
    turn->alarm_ms = turn->fine_us = OX__NEVER;
}

static void on_closed(uv_handle_t *handle)
{
    struct ox__turn *turn = handle->data;
    turn->closed(turn->arg);
}

static void on_fine_closed(uv_handle_t *handle)
{
    struct ox__turn *turn = handle->data;
    uv_close((uv_handle_t *)&turn->idle, on_closed);
}

void ox__turn_close(struct ox__turn *turn)
{
    uv_idle_stop(&turn->idle);
    if (turn->fine_fd > 0) {
        uv_close((uv_handle_t *)&turn->fine, on_fine_closed);
        close(turn->fine_fd);
        turn->fine_fd = -1;
    } else {
        uv_close((uv_handle_t *)&turn->idle, on_closed);
    }
    uv_close((uv_handle_t *)&turn->check, on_closed);
    uv_close((uv_handle_t *)&turn->alarm, on_closed);
}
