/* fetch.c - reads runs that came without what they are about; see fetch.h. */
#include "engine/fetch.h"

#include "base/error.h"

#include <stdlib.h>

struct ox__fetch {
    struct ox__request request;
    struct ox__fetches *fetches;
    struct ox__run *run;
    struct ox__fetch *next; /* of those that are spare */
};

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const struct ox__fetch *fetch = request->arg;
    const struct ox__setup *setup = fetch->fetches->setup;
    return setup->backend->fetch_fits(setup->self, fetch->run, reply);
}

/* Hands the reply to the run. Returns as `fetched` of the backend does. */
static int complete(const struct ox__fetch *fetch, const redisReply *reply, ox_error *err)
{
    const struct ox__setup *setup = fetch->fetches->setup;
    struct ox__run *run = fetch->run;
    if (!fits(&fetch->request, reply)) {
        ox__misfit(setup, &fetch->request.op, err);
        return err->code;
    }
    return setup->backend->fetched(setup->self, run, reply, setup->link, err);
}

/* It may be used again before this returns. */
static void put_back(struct ox__fetch *fetch)
{
    struct ox__fetches *fetches = fetch->fetches;
    fetch->next = fetches->spare;
    fetches->spare = fetch;
}

static void ask(struct ox__fetch *fetch);

static void on_answered(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct ox__fetch *fetch = request->arg;
    struct ox__fetches *fetches = fetch->fetches;
    struct ox__run *run = fetch->run;
    ox_error problem = err != NULL ? *err : (ox_error){ 0 };
    int rc = reply != NULL ? complete(fetch, reply, &problem) : problem.code;
    if (rc == OX__FETCH_MORE) {
        ask(fetch);
        return;
    }
    run->apart = false;
    put_back(fetch);
    fetches->fetched(fetches->arg, run, rc > 0, rc < 0 ? &problem : NULL);
}

static void ask(struct ox__fetch *fetch)
{
    const struct ox__setup *setup = fetch->fetches->setup;
    ox_error err;
    setup->backend->fetch(setup->self, &fetch->request.op, fetch->run);
    if (ox__op_seal(&fetch->request.op, &err) < 0) {
        on_answered(&fetch->request, NULL, &err);
        return;
    }
    ox__link_send(setup->link, &fetch->request);
}

static struct ox__fetch *new_fetch(struct ox__fetches *fetches)
{
    struct ox__fetch *fetch = fetches->spare;
    if (fetch != NULL) {
        fetches->spare = fetch->next;
        return fetch;
    }
    fetch = calloc(1, sizeof(*fetch));
    if (fetch != NULL) {
        fetch->fetches = fetches;
        fetch->request.done = on_answered;
        fetch->request.fits = fits;
        fetch->request.arg = fetch;
        fetch->request.keep = fetch->request.takes_errors = true;
    }
    return fetch;
}

void ox__fetches_send(struct ox__fetches *fetches, struct ox__run *run)
{
    struct ox__fetch *fetch = new_fetch(fetches);
    ox_error err;
    if (fetch == NULL) {
        run->apart = false;
        ox__fail_memory(&err);
        fetches->fetched(fetches->arg, run, false, &err);
        return;
    }
    fetch->run = run;
    ask(fetch);
}

void ox__fetches_done(struct ox__fetches *fetches)
{
    while (fetches->spare != NULL) {
        struct ox__fetch *next = fetches->spare->next;
        ox__op_done(&fetches->spare->request.op);
        free(fetches->spare);
        fetches->spare = next;
    }
}
