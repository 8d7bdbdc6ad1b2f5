/* stalled.c - stalled checks, and restoring jobs in no state; see stalled.h. */
#include "engine/stalled.h"

#include "base/error.h"
#include "engine/locks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* At most so many are remembered as reported; beyond that none is reported. */
#define TOLD_MAX 1000
/* The steps of a check are not further apart, else it ends. */
#define CHECK_LEAST_MS 50

/* ---- what is in no state ----------------------------------------------------------------- */

static bool restore_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__stalled *stalled = request->arg;
    return stalled->setup->backend->restore_fits(stalled->setup->self, reply);
}

/* True the first time; without memory to remember it, each time. */
static bool is_news(struct ox__stalled *stalled, const char *id)
{
    size_t count = stalled->told_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(stalled->told[i], id) == 0) {
            return false;
        }
    }
    if (count == TOLD_MAX) {
        return false;
    }
    if (stalled->told == NULL) {
        stalled->told = calloc(TOLD_MAX + 1, sizeof(*stalled->told));
    }
    char *copy = stalled->told != NULL ? strdup(id) : NULL;
    if (copy != NULL) {
        stalled->told[stalled->told_count++] = copy;
    }
    return true;
}

/* False when the owner has stopped. */
static bool tell(struct ox__stalled *stalled, const struct ox__found *found)
{
    const struct ox__setup *setup = stalled->setup;
    ox_error err;
    if (found->why != NULL) {
        if (is_news(stalled, found->id)) {
            ox__fail(&err, OX_ESERVER, "%s %s, %s %s is in no state and cannot be restored: %s",
                setup->backend->words.source, setup->name, setup->backend->words.item,
                found->id, found->why);
            return ox__report(setup, found->id, &err);
        }
        return true;
    }
    if (found->notice != OX_NOTICE_NO_STATE) {
        setup->report.work_waits(setup->report.arg);
    } else if (!is_news(stalled, found->id)) {
        return true;
    }
    return setup->report.notice(setup->report.arg, found->notice, found->id);
}

/* Tells of all that a reply has found. False when the owner has stopped. */
static bool tell_all(struct ox__stalled *stalled, const redisReply *reply)
{
    const struct ox__setup *setup = stalled->setup;
    struct ox__found found;
    size_t i = 0;
    while (setup->backend->found(setup->self, reply, &i, &found)) {
        if ((found.notice != 0 || found.why != NULL) && !tell(stalled, &found)) {
            return false;
        }
    }
    return true;
}

static void on_restored(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__stalled *stalled = request->arg;
    const struct ox__backend *backend = stalled->setup->backend;
    stalled->restoring = false;
    if (err != NULL && !ox__is_loss(err)) {
        if (is_news(stalled, "")) {
            ox__report(stalled->setup, NULL, err);
        }
        memcpy(stalled->cursor, "0", 2);
    }
    if (reply == NULL || !restore_fits(request, reply)) {
        return;
    }
    snprintf(stalled->cursor, sizeof(stalled->cursor), "%s",
        backend->restore_next(stalled->setup->self, reply));
    tell_all(stalled, reply);
}

static void restore_page(struct ox__stalled *stalled)
{
    const struct ox__setup *setup = stalled->setup;
    struct ox__op *op = &stalled->restore.op;
    if (stalled->restoring || stalled->stopped || !ox__link_is_up(setup->link)) {
        return;
    }
    setup->backend->restore(setup->self, op, ox__server_now_ms(setup->clock), stalled->cursor);
    if (ox__op_seal(op, NULL) == 0) {
        stalled->restoring = true;
        ox__link_send(setup->link, &stalled->restore);
    }
}

/* ---- stalled runs ------------------------------------------------------------------------ */

/* A little less than the time between two: else a check would often come a moment less than one
 * interval after this worker's last one, and be skipped. */
static int64_t every_ms(const struct ox__setup *setup)
{
    int64_t ms = (int64_t)setup->stalled_interval_ms * 9 / 10 + 1;
    return ms > CHECK_LEAST_MS ? ms : CHECK_LEAST_MS;
}

/* A step of a check. The first begins one only when it is time. While the server is stopped all
 * locks may run out; so no step is made that was long on its way. */
static void send_check(struct ox__stalled *stalled, bool begin, int64_t skip)
{
    const struct ox__setup *setup = stalled->setup;
    struct ox__op *op = &stalled->check.op;
    if (stalled->checking || stalled->stopped || !ox__link_is_up(setup->link)) {
        return;
    }
    const struct ox__check check = { .now_ms = ox__server_now_ms(setup->clock),
        .every_ms = every_ms(setup),
        .late_ms = ox__locks_young_ms(setup),
        .begin = begin,
        .skip = skip };
    setup->backend->check(setup->self, op, &check);
    if (ox__op_seal(op, NULL) == 0) {
        stalled->checking = true;
        stalled->sent_ms = ox__clock_boot_ms(setup->clock);
        ox__link_send(setup->link, &stalled->check);
    }
}

/* How long an answer may take by the network alone, and how late a check may come by itself.
 * When the server, or this process, was away for so long that locks ran out, the first step
 * that waited was sent, or was due, within `stalled_interval_ms`. */
static int64_t patience_ms(const struct ox__setup *setup)
{
    int64_t spare_ms = (int64_t)setup->lock_ms - setup->renew_ms;
    int64_t patience = spare_ms - setup->stalled_interval_ms, least = setup->lock_ms / 20 + 1;
    return patience > spare_ms / 2 ? spare_ms / 2 : patience > least ? patience : least;
}

static bool check_fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__stalled *stalled = request->arg;
    return stalled->setup->backend->check_fits(stalled->setup->self, reply);
}

/* Checks from time to time, after a rest: when others were cut off as well, they have one lock
 * time to take their locks again, before their jobs are taken for stalled. */
static void start_checks(struct ox__stalled *stalled, uint32_t rest_ms)
{
    const struct ox__setup *setup = stalled->setup;
    if (!stalled->stopped) {
        stalled->check_at_ms = ox__clock_boot_ms(setup->clock) + rest_ms;
        setup->report.soon(setup->report.arg);
    }
}

/* A late reply means that the server was away: all workers must first renew their locks, and
 * take again those that ran out. */
static void on_checked(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__stalled *stalled = request->arg;
    const struct ox__setup *setup = stalled->setup;
    stalled->checking = false;
    if (err != NULL && !ox__is_loss(err)) {
        ox__report(setup, NULL, err);
    }
    if (reply == NULL || !check_fits(request, reply)) {
        return;
    }
    int64_t skip;
    enum ox__next next = setup->backend->check_next(setup->self, reply, &skip);
    if (!tell_all(stalled, reply)) {
        return;
    }
    if (ox__clock_boot_ms(setup->clock) - stalled->sent_ms > patience_ms(setup)) {
        start_checks(stalled, setup->lock_ms);
    } else if (next == OX__NEXT_STEP) {
        send_check(stalled, false, skip);
    } else if (next == OX__NEXT_OVER) {
        restore_page(stalled); /* the cost for a queue does not grow with its workers */
    }
}

/* ---- times ------------------------------------------------------------------------------- */

void ox__stalled_init(struct ox__stalled *stalled, const struct ox__setup *setup)
{
    stalled->setup = setup;
    stalled->check_at_ms = OX__NEVER;
    stalled->stopped = setup->backend->check == NULL;
    stalled->check.done = on_checked;
    stalled->check.fits = check_fits;
    stalled->check.arg = stalled;
    stalled->restore.done = on_restored;
    stalled->restore.fits = restore_fits;
    stalled->restore.arg = stalled;
    memcpy(stalled->cursor, "0", 2);
}

void ox__stalled_done(struct ox__stalled *stalled)
{
    ox__op_done(&stalled->check.op);
    ox__op_done(&stalled->restore.op);
    ox_list_free(stalled->told);
}

void ox__stalled_start(struct ox__stalled *stalled)
{
    /* A worker that starts and connects at once also checks at once, so that a restarted worker
     * finds its jobs soon: it cannot know whether the server was away just before. */
    uint32_t rest_ms = stalled->was_cut_off ? stalled->setup->lock_ms : 0;
    stalled->was_cut_off = false;
    start_checks(stalled, rest_ms);
}

void ox__stalled_cut_off(struct ox__stalled *stalled)
{
    stalled->was_cut_off = true;
}

void ox__stalled_stop(struct ox__stalled *stalled)
{
    stalled->stopped = true;
    stalled->check_at_ms = OX__NEVER;
}

int64_t ox__stalled_wake_ms(const struct ox__stalled *stalled)
{
    return stalled->check_at_ms;
}

/* A late tick means that the process was stopped, or the machine slept: then its own locks may
 * have run out, and those of others that were away with it. */
void ox__stalled_tick(struct ox__stalled *stalled, int64_t now_ms)
{
    const struct ox__setup *setup = stalled->setup;
    if (stalled->check_at_ms > now_ms) {
        return;
    }
    bool late = now_ms - stalled->check_at_ms > patience_ms(setup);
    stalled->check_at_ms = now_ms + (late ? setup->lock_ms : setup->stalled_interval_ms);
    if (!late) {
        send_check(stalled, true, 0);
    }
}
