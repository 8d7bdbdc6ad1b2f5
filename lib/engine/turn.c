/* turn.c - end of a turn of the loop, and one timer; see turn.h. */
#include "engine/turn.h"

#include "wire/conn.h"

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

void ox__turn_start(struct ox__turn *turn)
{
    uv_idle_init(turn->loop, &turn->idle);
    uv_check_init(turn->loop, &turn->check);
    uv_timer_init(turn->loop, &turn->alarm);
    turn->idle.data = turn->check.data = turn->alarm.data = turn;
    turn->alarm_ms = OX__NEVER;
}

static void on_closed(uv_handle_t *handle)
{
    struct ox__turn *turn = handle->data;
    turn->closed(turn->arg);
}

void ox__turn_close(struct ox__turn *turn)
{
    uv_close((uv_handle_t *)&turn->idle, on_closed);
    uv_close((uv_handle_t *)&turn->check, on_closed);
    uv_close((uv_handle_t *)&turn->alarm, on_closed);
}
