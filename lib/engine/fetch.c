/* fetch.c - reads what is large of a run by itself; see fetch.h. */
#include "engine/fetch.h"

#include "base/error.h"

#include <stdlib.h>

struct fetch {
    struct ox__request request;
    struct ox__fetches *fetches;
    struct ox__run *run;
};

static bool fits(const struct ox__request *request, const redisReply *reply)
{
    const struct fetch *fetch = request->arg;
    const struct ox__setup *setup = fetch->fetches->setup;
    return setup->backend->fetch_fits(setup->self, fetch->run, reply);
}

/* Hands the reply to the run. Returns as `fetched` of the backend does. */
static int complete(struct fetch *fetch, const redisReply *reply, ox_error *err)
{
    const struct ox__setup *setup = fetch->fetches->setup;
    if (!fits(&fetch->request, reply)) {
        ox__misfit(setup, &fetch->request.op, err);
        return err->code;
    }
    OX__AUTO(ox__free_reply) redisReply *kept = ox__link_keep_reply(setup->link);
    int rc = kept != NULL ? setup->backend->fetched(setup->self, fetch->run, &kept) : OX_ENOMEM;
    return rc < 0 ? ox__fail_memory(err) : rc;
}

static void on_answered(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    struct fetch *fetch = request->arg;
    struct ox__fetches *fetches = fetch->fetches;
    struct ox__run *run = fetch->run;
    ox_error problem = err != NULL ? *err : (ox_error){ 0 };
    int rc = reply != NULL ? complete(fetch, reply, &problem) : problem.code;
    run->apart = false;
    ox__op_done(&request->op);
    free(fetch);
    fetches->fetched(fetches->arg, run, rc > 0, rc < 0 ? &problem : NULL);
}

void ox__fetches_send(struct ox__fetches *fetches, struct ox__run *run)
{
    const struct ox__setup *setup = fetches->setup;
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    ox_error err;
    if (fetch == NULL) {
        run->apart = false;
        ox__fail_memory(&err);
        fetches->fetched(fetches->arg, run, false, &err);
        return;
    }
    fetch->fetches = fetches;
    fetch->run = run;
    fetch->request.done = on_answered;
    fetch->request.fits = fits;
    fetch->request.arg = fetch;
    fetch->request.keep = true;
    setup->backend->fetch(setup->self, &fetch->request.op, run);
    if (ox__op_seal(&fetch->request.op, &err) < 0) {
        on_answered(&fetch->request, NULL, &err);
        return;
    }
    ox__link_send(setup->link, &fetch->request);
}
