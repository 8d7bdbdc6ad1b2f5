/*
 * notify.h - tells systemd how the service is doing (sd_notify): that it is ready, reads its
 * settings again or stops, what it does, and, from the loop, that the loop turns.
 *
 * Nothing of it does anything where nobody asked for it, by NOTIFY_SOCKET and WATCHDOG_USEC.
 * All of these functions are called on the loop's thread.
 */
#ifndef OX_WORKER_NOTIFY_H
#define OX_WORKER_NOTIFY_H

#include <stdbool.h>
#include <uv.h>

/* From now on the watchdog is fed, as long as the loop turns. */
void notify_start(uv_loop_t *loop);
/* Closes what it has on the loop. */
void notify_stop(void);

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* A line for people, sent when it is another one than before, at most once a second. */
void notify_status(const char *text);
/* Whether a status would be sent to anybody. */
bool notify_wanted(void);

#endif /* OX_WORKER_NOTIFY_H */
