/* ahead.c - when a consumer takes jobs ahead of its children; see ahead.h. */
#include "ahead.h"

#include <glib.h>

#define REST_MIN_MS 1000
#define REST_MAX_MS 60000
#define FORGIVEN 10 /* times its last rest */

struct ahead {
    uv_timer_t timer; /* runs while it rests */
    void (*change)(void *owner, bool on);
    void *owner;
    bool on;
    uint64_t since_ms; /* by the loop's clock, when `on` */
    uint64_t rest_ms;  /* the last one */
};

static void on_rested(uv_timer_t *timer)
{
    struct ahead *ahead = timer->data;
    ahead->on = true;
    ahead->since_ms = uv_now(timer->loop);
    ahead->change(ahead->owner, true);
}

static void rest(struct ahead *ahead, uint64_t ms)
{
    ahead->rest_ms = ms;
    uv_timer_start(&ahead->timer, on_rested, ms, 0);
}

struct ahead *ahead_new(uv_loop_t *loop, void (*change)(void *owner, bool on), void *owner)
{
    struct ahead *ahead = g_new0(struct ahead, 1);
    ahead->change = change;
    ahead->owner = owner;
    uv_timer_init(loop, &ahead->timer);
    ahead->timer.data = ahead;
    rest(ahead, REST_MIN_MS);
    return ahead;
}

void ahead_rest(struct ahead *ahead)
{
    if (!ahead->on) {
        return;
    }
    uint64_t lasted_ms = uv_now(ahead->timer.loop) - ahead->since_ms;
    ahead->on = false;
    ahead->change(ahead->owner, false);
    rest(ahead, lasted_ms >= FORGIVEN * ahead->rest_ms ? REST_MIN_MS
                                                       : MIN(2 * ahead->rest_ms, REST_MAX_MS));
}

static void on_closed(uv_handle_t *handle)
{
    g_free(handle->data);
}

void ahead_free(struct ahead *ahead)
{
    if (ahead != NULL) {
        uv_close((uv_handle_t *)&ahead->timer, on_closed);
    }
}
