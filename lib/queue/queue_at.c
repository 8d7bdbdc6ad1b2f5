/*
 * queue_at.c - the location of a queue: name and prefix, checked, and the beginning of its
 * keys.
 */
#include "queue/queue_at.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "codes.h"
#include "queue/job_id.h"

#include <stdlib.h>
#include <string.h>

static int check_name(const char *name, ox_error *err)
{
    if (name == NULL || *name == '\0') {
        return ox__fail(err, OX_EINVAL, "queue name is empty");
    }
    if (strchr(name, ':') != NULL) {
        return ox__fail(err, OX_EINVAL, "queue name %.80s must not contain ':'", name);
    }
    if (!ox__utf8_valid(name)) {
        return ox__fail(err, OX_EINVAL, "queue name %.80s is not valid UTF-8", name);
    }
    return 0;
}

int ox__queue_at_init(struct ox__queue_at *at, const char *prefix, const char *name,
    const ox_queue_options *options, ox_error *err)
{
    memset(at, 0, sizeof(*at));
    int rc = OX__RESERVED(ox_queue_options, options, err);
    rc = rc < 0 ? rc : check_name(name, err);
    if (rc < 0) {
        return rc;
    }
    prefix = prefix != NULL ? prefix : "bull";
    if (*prefix == '\0') {
        return ox__fail(err, OX_EINVAL, "the prefix is empty");
    }
    struct ox__buf base = { 0 };
    ox__buf_text(&base, prefix);
    ox__buf_char(&base, ':');
    ox__buf_text(&base, name);
    ox__buf_char(&base, ':');
    at->base = ox__buf_steal(&base);
    at->prefix = strdup(prefix);
    at->name = strdup(name);
    if (at->base == NULL || at->prefix == NULL || at->name == NULL) {
        ox__queue_at_done(at);
        return ox__fail_memory(err);
    }
    size_t n = 0;
    if (options == NULL || !options->no_events) {
        at->flags[n++] = OX__FLAG_EVENTS;
    }
    if (options != NULL && options->legacy_pause) {
        at->flags[n++] = OX__FLAG_LEGACY_PAUSE;
    }
    at->max_events = options != NULL && options->max_events > 0 ? options->max_events : 10000;
    return 0;
}

int ox__queue_at_copy(struct ox__queue_at *to, const struct ox__queue_at *from, ox_error *err)
{
    int rc = ox__queue_at_init(to, from->prefix, from->name, NULL, err);
    if (rc < 0) {
        return rc;
    }
    memcpy(to->flags, from->flags, sizeof(to->flags));
    to->max_events = from->max_events;
    free(to->base); /* that of a stream is another */
    to->base = strdup(from->base);
    return to->base != NULL ? 0 : ox__fail_memory(err);
}

void ox__queue_at_done(struct ox__queue_at *at)
{
    free(at->prefix);
    free(at->name);
    free(at->base);
    memset(at, 0, sizeof(*at));
}

int ox__queue_id_check(const struct ox__queue_at *at, const char *id, ox_error *err)
{
    if (id == NULL) {
        return ox__fail(err, OX_EINVAL, "queue %s: job id is missing", at->name);
    }
    return ox__job_id_possible(id) ? 0
                                   : ox__fail(err, OX_ENOTFOUND,
                                         "queue %s: job %.80s does not exist", at->name, id);
}
