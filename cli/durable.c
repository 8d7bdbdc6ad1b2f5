/*
 * durable.c - see durable.h.
 */
#include "durable.h"
#include "base/units.h"

#define TIMEOUT_MS 10000

bool parse_durable(char *text, void *out, char **why)
{
    struct durability *durable = out;
    durable->given = true;
    return text == NULL || ox__parse_count(text, 0, 1000, &durable->replicas, why);
}

int durable_wait(struct run *run, const struct durability *wanted, const char *what,
    struct durable_copies *copies)
{
    ox_error err = { 0 };
    *copies = (struct durable_copies){ 0 };
    if (!wanted->given) {
        return STATUS_DONE;
    }
    int code = ox_client_wait_durable(run->client, (uint32_t)wanted->replicas, TIMEOUT_MS,
        &copies->disk, &copies->replicas, &err);
    bool replicated = copies->replicas >= (int)wanted->replicas;
    if (code == OX_ESERVER && wanted->replicas > 0 && replicated) {
        return STATUS_DONE;
    }
    if (code >= 0 && copies->disk > 0 && replicated) {
        return STATUS_DONE;
    }
    if (code == OX_ESERVER) {
        complain(run,
            "%s; replicas: %d; this server cannot confirm that it is on disk (Redis 7.2 or "
            "newer with an append-only file can)",
            what, copies->replicas);
    } else if (code < 0) {
        complain(run, "%s; whether it is on disk is unknown: %s", what, err.text);
    } else {
        complain(run, "%s; disk: %s, replicas: %d", what, copies->disk > 0 ? "yes" : "not yet",
            copies->replicas);
    }
    return STATUS_FAILED;
}

void durable_put(
    struct obj *obj, const struct durability *wanted, const struct durable_copies *copies)
{
    if (wanted->given) {
        obj_bool(obj, "disk", copies->disk > 0);
        obj_int(obj, "replicas", copies->replicas);
    }
}
