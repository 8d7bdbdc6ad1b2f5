/* lost.c - takes whose reply was lost; see lost.h. */
#include "engine/lost.h"

#include <stdio.h>
#include <string.h>

/* So long after its loss a take may still be run: the longest sleep, and as much again. */
#define LATEST_MS 20000

/* ---- tokens ------------------------------------------------------------------------------ */

void ox__lost_add(struct ox__lost *lost, const char *token)
{
    uint32_t n = lost->count;
    if (n == OX__LOST_TAKES_MAX) {
        n--;
        memmove(lost->takes, lost->takes + 1, n * sizeof(lost->takes[0]));
    }
    snprintf(lost->takes[n].token, sizeof(lost->takes[n].token), "%s", token);
    lost->takes[n].until_ms =
        ox__clock_boot_ms(lost->setup->clock) + LATEST_MS + lost->setup->lock_ms;
    lost->count = n + 1;
}

static void forget_old(struct ox__lost *lost, int64_t now_ms)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < lost->count; i++) {
        if (lost->takes[i].until_ms > now_ms) {
            lost->takes[kept++] = lost->takes[i];
        }
    }
    lost->count = kept;
}

static bool is_lost(const struct ox__lost *lost, const char *token)
{
    for (uint32_t i = 0; i < lost->count; i++) {
        if (strcmp(token, lost->takes[i].token) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- looking ----------------------------------------------------------------------------- */

void ox__lost_pass_over(struct ox__lost *lost, const struct ox__run_list *list)
{
    for (const struct ox__run *run = list->head; run != NULL; run = run->next) {
        if (is_lost(lost, run->token)) {
            lost->setup->backend->return_not(lost->setup->self, &lost->request.op, run);
        }
    }
}

static void look(struct ox__lost *lost, int64_t skip)
{
    const struct ox__setup *setup = lost->setup;
    struct ox__op *op = &lost->request.op;
    setup->backend->return_lost(setup->self, op, skip, lost->count);
    for (uint32_t i = 0; i < lost->count; i++) {
        setup->backend->return_token(setup->self, op, lost->takes[i].token);
    }
    lost->pass_over(lost->arg, lost);
    if (ox__op_seal(op, NULL) == 0) {
        lost->looking = true;
        ox__link_send(setup->link, &lost->request);
    }
}

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__lost *lost = request->arg;
    return lost->setup->backend->return_fits(lost->setup->self, reply);
}

static void on_looked(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__lost *lost = request->arg;
    const struct ox__setup *setup = lost->setup;
    lost->looking = false;
    if (err != NULL && !ox__is_loss(err)) {
        ox__report(setup, NULL, err);
    }
    if (reply == NULL || !fits(request, reply)) {
        return;
    }
    int64_t skip;
    bool more = setup->backend->return_next(setup->self, reply, &skip);
    struct ox__found found;
    size_t i = 0;
    while (setup->backend->returned(setup->self, reply, &i, &found)) {
        if (!setup->report.notice(setup->report.arg, found.notice, found.id)) {
            return;
        }
    }
    if (i > 0) {
        setup->report.work_waits(setup->report.arg);
    }
    if (more && ox__link_is_up(setup->link)) {
        look(lost, skip);
    }
}

void ox__lost_look(struct ox__lost *lost)
{
    if (lost->setup->backend->return_lost == NULL || lost->count == 0 || lost->looking ||
        !ox__link_is_up(lost->setup->link)) {
        return;
    }
    forget_old(lost, ox__clock_boot_ms(lost->setup->clock));
    if (lost->count > 0) {
        look(lost, 0);
    }
}

void ox__lost_init(struct ox__lost *lost, const struct ox__setup *setup,
    void (*pass_over)(void *arg, struct ox__lost *lost), void *arg)
{
    lost->setup = setup;
    lost->pass_over = pass_over;
    lost->arg = arg;
    lost->request.done = on_looked;
    lost->request.arg = lost;
    lost->request.fits = fits;
}

void ox__lost_done(struct ox__lost *lost)
{
    ox__op_done(&lost->request.op);
}
