/* claim.c - runs in doubt; see claim.h. */
#include "engine/claim.h"

#include <stdlib.h>

#define CLAIM_BATCH 200
/* A lock that is gone each time is too short for the round trip. */
#define CLAIMS_MAX 3

struct claim {
    struct ox__request request;
    struct ox__claims *claims;
    int64_t sent_ms; /* boot clock */
    size_t count;
    struct {
        struct ox__run_ref ref;
        bool ended;
    } runs[CLAIM_BATCH];
};

/* ---- answers ----------------------------------------------------------------------------- */

/* False when the owner has stopped. */
static bool judge(struct claim *claim, size_t i, const redisReply *reply)
{
    struct ox__claims *claims = claim->claims;
    bool ended = claim->runs[i].ended;
    struct ox__run *run =
        ox__run_find(ended ? &claims->ended : claims->running, &claim->runs[i].ref);
    if (run == NULL || !run->lock.claiming) {
        return true; /* ended meanwhile; that end will be refused, and be in doubt itself */
    }
    run->lock.claiming = false;
    if (reply == NULL) {
        return true;
    }
    run->lock.doubt = false;
    int64_t verdict = claims->setup->backend->claim_verdict(claims->setup->self, reply, i);
    if (!ended) {
        return claims->on->running(claims->arg, run, verdict, claim->sent_ms);
    }
    ox__run_list_remove(&claims->ended, run);
    return claims->on->ended(claims->arg, run, verdict);
}

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const struct claim *claim = request->arg;
    return claim->claims->setup->backend->claim_fits(
        claim->claims->setup->self, reply, claim->count);
}

static void on_claimed(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct claim *claim = request->arg;
    struct ox__claims *claims = claim->claims;
    if (err != NULL && !ox__is_loss(err)) {
        ox__report(claims->setup, NULL, err);
    }
    for (size_t i = 0; i < claim->count && judge(claim, i, reply); i++) {
    }
    ox__op_done(&request->op);
    free(claim);
    claims->out--;
    claims->setup->report.soon(claims->setup->report.arg);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* Adds runs in doubt to a claim, as many as it takes: not those whose names are not known. */
static void gather(struct claim *claim, const struct ox__run_list *list, bool ended)
{
    const struct ox__setup *setup = claim->claims->setup;
    for (struct ox__run *run = list->head; run != NULL && claim->count < CLAIM_BATCH;
         run = run->next) {
        if (run->lock.doubt && !run->lock.claiming && !run->apart) {
            setup->backend->claim_run(setup->self, &claim->request.op, run, ended);
            claim->runs[claim->count].ref = ox__run_refer(run);
            claim->runs[claim->count].ended = ended;
            claim->count++;
            run->lock.claiming = true;
        }
    }
}

/* Returns whether there may be more to ask. */
static bool ask(struct ox__claims *claims)
{
    const struct ox__setup *setup = claims->setup;
    struct claim *claim = calloc(1, sizeof(*claim));
    if (claim == NULL) {
        return false; /* at the next renewal */
    }
    claim->claims = claims;
    claim->request.done = on_claimed;
    claim->request.arg = claim;
    claim->request.fits = fits;
    claim->sent_ms = ox__clock_boot_ms(setup->clock);
    setup->backend->claim(setup->self, &claim->request.op, setup->lock_ms);
    gather(claim, claims->running, false);
    gather(claim, &claims->ended, true);
    if (claim->count == 0) {
        ox__op_done(&claim->request.op);
        free(claim);
        return false;
    }
    bool full = claim->count == CLAIM_BATCH;
    ox_error err;
    claims->out++;
    if (ox__op_seal(&claim->request.op, &err) < 0) {
        on_claimed(&claim->request, NULL, &err);
        return false;
    }
    ox__link_send(setup->link, &claim->request);
    return full;
}

static bool is_in_doubt(const struct ox__run_list *list)
{
    const struct ox__run *run = list->head;
    while (run != NULL && (!run->lock.doubt || run->lock.claiming)) {
        run = run->next;
    }
    return run != NULL;
}

void ox__claims_ask(struct ox__claims *claims)
{
    claims->ask_soon = false;
    while (ox__link_is_up(claims->setup->link) &&
           (is_in_doubt(claims->running) || is_in_doubt(&claims->ended)) && ask(claims)) {
    }
}

bool ox__claims_add_ended(struct ox__claims *claims, struct ox__run *run, bool resent)
{
    if (run->lock.claims == CLAIMS_MAX || run->end.kept.data == NULL) {
        return false;
    }
    run->lock.claims++;
    run->lock.doubt = true;
    run->end.resent = resent;
    run->end.refusal = 0;
    ox__run_list_push(&claims->ended, run);
    claims->ask_soon = true;
    return true;
}

void ox__claims_init(struct ox__claims *claims, const struct ox__setup *setup,
    const struct ox__run_list *running, const struct ox__claims_events *on, void *arg)
{
    claims->setup = setup;
    claims->running = running;
    claims->on = on;
    claims->arg = arg;
}
