/*
 * turn.h - when an engine checks what it has to do: at the end of a turn of the loop, and at a
 * set time.
 *
 * Timers of the loop do not count the time that the machine sleeps, the clock does; so a time
 * that has passed meanwhile is met when the timer, which had less to wait for, goes off.
 *
 * They count whole milliseconds, and a loop that sleeps for one may do so for two. What is to
 * happen within one has a timer of the kernel, made when it is first needed.
 */
#ifndef OX_LIB_TURN_H
#define OX_LIB_TURN_H

#include "engine/server_clock.h"

#include <uv.h>

#define OX__TURN_HANDLES 3

struct ox__turn {
    const struct ox__server_clock *clock;
    void (*ended)(void *arg);
    void (*due)(void *arg);
    void (*closed)(void *arg); /* once for each handle */
    void *arg;
    uv_loop_t *loop;
    uv_idle_t idle; /* together with the check it runs at the end of a turn */
    uv_check_t check;
    bool soon;
    uv_timer_t alarm;
    int64_t alarm_ms; /* when it goes off, by the boot clock; OX__NEVER */
    uv_poll_t fine;
    int fine_fd;     /* of its timer; 0: none was needed yet, -1: none could be made */
    int64_t fine_us; /* when it goes off, by the boot clock; OX__NEVER */
};

/* One with its clock, callbacks and loop is started. */
void ox__turn_start(struct ox__turn *turn);
/* Calls `ended`, once, at the end of this turn. */
void ox__turn_soon(struct ox__turn *turn);
/* Calls `due` at that time, by the boot clock, and at no other; OX__NEVER: not at all. */
void ox__turn_alarm(struct ox__turn *turn, int64_t at_ms);
/* The same, beside that, for a time within a millisecond. False: there can be no such timer. */
bool ox__turn_fine_alarm(struct ox__turn *turn, int64_t at_us);
void ox__turn_close(struct ox__turn *turn);

#endif /* OX_LIB_TURN_H */
