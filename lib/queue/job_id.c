/* job_id.c - which ids a job may have; see job_id.h. */
#include "queue/job_id.h"

#include "base/error.h"
#include "base/json.h"

#include <string.h>

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
        return ox__fail(err, OX_EINVAL, "job id is empty");
    }
    if (id[digits] == '\0' && (id[0] != '0' || digits == 1)) {
        return ox__fail(err, OX_EINVAL,
            "job id %.60s must not be a plain number, as ids that the queue assigns are", id);
    }
    if (strchr(id, ':') != NULL) {
        return ox__fail(err, OX_EINVAL, "job id %.60s must not contain ':'", id);
    }
    if (!ox__utf8_valid(id)) {
        return ox__fail(err, OX_EINVAL, "job id %.60s is not valid UTF-8", id);
    }
    if (is_suffix(id)) {
        return ox__fail(err, OX_EINVAL, "job id %.60s is the name of a key of the queue", id);
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
