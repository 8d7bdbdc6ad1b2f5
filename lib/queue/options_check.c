/*
 * options_check.c - what a producer may not ask for: ids that would name other keys, numbers
 * beyond what readers can hold, options that exclude each other.
 *
 * BullMQ's scripts check none of this, and a script of ours that met it half way could not take
 * back what it wrote: so it is refused here, before anything is sent.
 */
#include "queue/options.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"

#include <string.h>

/* ---- ids --------------------------------------------------------------------------------- */

static bool is_suffix(const char *id)
{
    static const char *const suffixes[] = { "id", "meta", "wait", "paused", "active",
        "prioritized", "pc", "delayed", "waiting-children", "completed", "failed", "marker",
        "events", "stalled", "stalled-check", "limiter", "repeat", "priority", "delay" };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        if (strcmp(suffixes[i], id) == 0) {
            return true;
        }
    }
    return false;
}

int ox__job_id_check(const char *id, ox_error *err)
{
    size_t digits = strspn(id, "0123456789");
    if (*id == '\0') {
        return ox__fail(err, OX_EINVAL, "a job id cannot be empty");
    }
    if (id[digits] == '\0' && (id[0] != '0' || digits == 1)) {
        return ox__fail(err, OX_EINVAL,
            "job id %.60s: a plain number is kept for jobs without an id of their own", id);
    }
    if (strchr(id, ':') != NULL) {
        return ox__fail(err, OX_EINVAL, "job id %.60s: an id cannot have a ':'", id);
    }
    if (!ox__utf8_valid(id)) {
        return ox__fail(err, OX_EINVAL, "job id %.60s: an id is UTF-8", id);
    }
    if (is_suffix(id)) {
        return ox__fail(err, OX_EINVAL, "job id %.60s: the queue itself uses that name", id);
    }
    return 0;
}

/* Ids with colons are those of scheduler jobs, "repeat:<scheduler>:<ms>", and BullMQ lets a
 * producer choose one with two colons. */
bool ox__job_id_possible(const char *id)
{
    static const char *const others[] = { "de:", "dn:", "metrics:", "0:" };
    size_t colons = 0;
    for (const char *p = id; *p != '\0'; p++) {
        colons += *p == ':' ? 1 : 0;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strncmp(id, others[i], strlen(others[i])) == 0) {
            return false;
        }
    }
    return *id != '\0' && !is_suffix(id) &&
           (colons == 0 || colons == 2 || (colons > 2 && strncmp(id, "repeat:", 7) == 0));
}

/* ---- options ----------------------------------------------------------------------------- */

/* Neither negative nor beyond what readers count in ones. */
static bool in_bounds(int64_t value)
{
    return value >= 0 && value <= OX__MAX_MS;
}

static int check_backoff(const ox_backoff *backoff, ox_error *err)
{
    if (backoff->type != NULL && *backoff->type == '\0') {
        return ox__fail(err, OX_EINVAL, "job option backoff: the type is empty");
    }
    if (!in_bounds(backoff->delay_ms) || !(backoff->jitter >= 0 && backoff->jitter <= 1)) {
        return ox__fail(err, OX_EINVAL,
            "job option backoff: the delay is not negative, nor huge; jitter is from 0 to 1");
    }
    return 0;
}

static int check_keep(const ox_keep *keep, const char *name, ox_error *err)
{
    if (keep->mode < OX_KEEP_DEFAULT || keep->mode > OX_KEEP_SOME || !in_bounds(keep->count) ||
        !in_bounds(keep->age_s) || !in_bounds(keep->limit)) {
        return ox__fail(err, OX_EINVAL,
            "job option %s: age, count and limit are not negative, nor huge", name);
    }
    return 0;
}

static int check_dedup(const ox_job_options *o, ox_error *err)
{
    const ox_dedup *dedup = &o->dedup;
    if (dedup->id == NULL) {
        return 0;
    }
    if (*dedup->id == '\0' || !ox__utf8_valid(dedup->id)) {
        return ox__fail(err, OX_EINVAL, "job option deduplication: the id is %s",
            *dedup->id == '\0' ? "empty" : "not UTF-8");
    }
    if (!in_bounds(dedup->ttl_ms)) {
        return ox__fail(
            err, OX_EINVAL, "job option deduplication: the ttl is not negative, nor huge");
    }
    if (o->parent.id != NULL) {
        return ox__fail(err, OX_EINVAL, "a job with a parent cannot be deduplicated");
    }
    return 0;
}

static int check_parent(const ox_job_options *o, ox_error *err)
{
    const ox_parent *parent = &o->parent;
    if (o->on_failure < OX_CHILD_WAIT || o->on_failure > OX_CHILD_REMOVE) {
        return ox__fail(err, OX_EINVAL, "job option on_failure: there is no %d", o->on_failure);
    }
    if (parent->id == NULL) {
        return 0;
    }
    if (parent->queue == NULL || strchr(parent->queue, ':') == NULL) {
        return ox__fail(err, OX_EINVAL, "job option parent: the queue is \"prefix:name\"");
    }
    if (!ox__utf8_valid(parent->id) || !ox__utf8_valid(parent->queue)) {
        return ox__fail(err, OX_EINVAL, "job option parent: id and queue are UTF-8");
    }
    return 0;
}

int ox__options_check(const ox_job_options *o, ox_error *err)
{
    int rc = o->id != NULL ? ox__job_id_check(o->id, err) : 0;
    rc = rc < 0 ? rc : check_backoff(&o->backoff, err);
    rc = rc < 0 ? rc : check_keep(&o->remove_on_complete, "removeOnComplete", err);
    rc = rc < 0 ? rc : check_keep(&o->remove_on_fail, "removeOnFail", err);
    rc = rc < 0 ? rc : check_parent(o, err);
    rc = rc < 0 ? rc : check_dedup(o, err);
    if (rc < 0) {
        return rc;
    }
    if (o->priority > OX__PRIORITY_MAX) {
        return ox__fail(err, OX_EINVAL, "job option priority: %u is over the highest, %u",
            o->priority, OX__PRIORITY_MAX);
    }
    if (!in_bounds(o->delay_ms) || !in_bounds(o->timestamp_ms)) {
        return ox__fail(
            err, OX_EINVAL, "job options delay and timestamp are not negative, nor huge");
    }
    return 0;
}
