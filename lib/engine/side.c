/* side.c - requests beside the calls; see side.h. */
#include "engine/side.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

void ox__sides_init(struct ox__sides *sides, const struct ox__setup *setup)
{
    sides->setup = setup;
}

void ox__side_free(struct ox__side *side)
{
    if (side != NULL) {
        ox__op_done(&side->request.op);
        free(side->id);
        free(side);
    }
}

static void report(const struct ox__side *side, const redisReply *reply, const ox_error *err)
{
    const struct ox__setup *setup = side->sides->setup;
    if (err != NULL && err->code != OX_ECLOSED) {
        ox__report(setup, side->id, err);
    } else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer < 0) {
        ox_error refusal;
        setup->backend->explain(setup->self, side->id, reply->integer, NULL, &refusal);
        ox__report(setup, side->id, &refusal);
    }
}

static void side_done(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__side *side = request->arg;
    struct ox__sides *sides = side->sides;
    if (side->answered != NULL) {
        side->answered(side, reply, err);
    } else {
        report(side, reply, err);
    }
    if (side->over != NULL) {
        side->over(side);
    }
    ox__side_free(side);
    sides->out--;
    sides->setup->report.soon(sides->setup->report.arg);
}

static bool is_number(const struct ox__request *request, const redisReply *reply)
{
    (void)request;
    return reply->type == REDIS_REPLY_INTEGER;
}

struct ox__side *ox__side_new(struct ox__sides *sides, const char *id)
{
    struct ox__side *side = calloc(1, sizeof(*side));
    char *copy = id != NULL ? strdup(id) : NULL;
    if (side == NULL || (id != NULL && copy == NULL)) {
        ox_error err;
        free(side);
        free(copy);
        ox__fail_memory(&err);
        ox__report(sides->setup, id, &err);
        return NULL;
    }
    side->sides = sides;
    side->id = copy;
    side->request.done = side_done;
    side->request.arg = side;
    side->request.fits = is_number;
    side->request.keep = true;
    return side;
}

void ox__side_send(struct ox__side *side)
{
    ox_error err;
    side->sides->out++;
    if (ox__op_seal(&side->request.op, &err) < 0) {
        side_done(&side->request, NULL, &err);
        return;
    }
    ox__link_send(side->sides->setup->link, &side->request);
}
