/*
 * consumer.c - the public consumer: its options, its name, its life. What it does is in
 * serve.c.
 */
#include "base/clock.h"
#include "base/error.h"
#include "events/serve.h"
#include "events/stream.h"
#include "wire/client.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAME 64
#define MAX_EVENTS 100000
#define MAX_CLAIM_MS (12 * 3600 * 1000) /* see what is given back, in end_events.lua */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int check_backoff(const ox_backoff *backoff, ox_error *err)
{
    int rc = OX__RESERVED(ox_backoff, backoff, err);
    bool known = backoff->type == NULL || strcmp(backoff->type, "fixed") == 0 ||
                 strcmp(backoff->type, "exponential") == 0;
    if (rc == 0 && !known) {
        rc = ox__fail(err, OX_EINVAL, "backoff type \"%.40s\" must be fixed or exponential",
            backoff->type);
    }
    if (rc == 0 && (backoff->delay_ms < 0 || backoff->delay_ms > OX__MAX_MS ||
                       !(backoff->jitter >= 0 && backoff->jitter <= 1))) {
        rc = ox__fail(err, OX_EINVAL, "backoff delay must be 0..%lld ms, jitter 0..1",
            (long long)OX__MAX_MS);
    }
    return rc;
}

static int check_options(const ox_consumer_options *o, ox_error *err)
{
    int rc = check_backoff(&o->backoff, err);
    if (rc < 0) {
        return rc;
    }
    if (o->renew_ms >= o->claim_ms) {
        return ox__fail(err, OX_EINVAL, "renew_ms (%u) must be less than claim_ms (%u)",
            o->renew_ms, o->claim_ms);
    }
    if (o->claim_ms > MAX_CLAIM_MS) {
        return ox__fail(err, OX_EINVAL, "claim_ms must be up to %d", MAX_CLAIM_MS);
    }
    if (o->batch_events > MAX_EVENTS) {
        return ox__fail(err, OX_EINVAL, "batch_events must be 0..%d", MAX_EVENTS);
    }
    return 0;
}

static int set_options(ox_consumer *consumer, const ox_consumer_options *given, ox_error *err)
{
    ox_consumer_options *o = &consumer->options;
    int rc = OX__RESERVED(ox_consumer_options, given, err);
    if (rc < 0) {
        return rc;
    }
    if (given != NULL) {
        *o = *given;
    }
    o->name = o->from = NULL; /* the member has them */
    o->concurrency = o->ordered ? 1 : or_default(o->concurrency, 1);
    o->batch_events = or_default(o->batch_events, 100);
    o->batch_bytes = or_default(o->batch_bytes, 1u << 20);
    o->claim_ms = or_default(o->claim_ms, 10000);
    o->renew_ms = or_default(o->renew_ms, (uint32_t)((uint64_t)o->claim_ms * 3 / 10 + 1));
    o->sweep_ms =
        or_default(o->sweep_ms, o->claim_ms / 4 < 10000 ? o->claim_ms / 4 + 1 : 10000);
    o->attempts = or_default(o->attempts, 5);
    o->max_deliveries = or_default(o->max_deliveries, 5);
    if (o->backoff.type == NULL) {
        o->backoff.type = "exponential";
        o->backoff.delay_ms = o->backoff.delay_ms > 0 ? o->backoff.delay_ms : 1000;
    }
    rc = check_options(o, err);
    /* The type is the caller's text: keep ours. */
    o->backoff.type = strcmp(o->backoff.type, "fixed") == 0 ? "fixed" : "exponential";
    return rc;
}

/* "name@host:pid:random", unique to this consumer. */
static char *member_name(const char *name)
{
    char host[128] = "", text[320];
    unsigned char random[4];
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' ||
        RAND_bytes(random, sizeof(random)) != 1) {
        snprintf(host, sizeof(host), "localhost");
    }
    snprintf(text, sizeof(text), "%s@%s:%ld:%02x%02x%02x%02x", name, host, (long)getpid(),
        random[0], random[1], random[2], random[3]);
    return strdup(text);
}

static int check_name(const char *name, ox_error *err)
{
    size_t len = 0;
    while (name[len] > ' ' && name[len] <= '~' && name[len] != '@') {
        len++;
    }
    return len > 0 && len <= MAX_NAME && name[len] == '\0'
               ? 0
               : ox__fail(err, OX_EINVAL,
                     "consumer name must be 1..%d of visible ASCII without '@'", MAX_NAME);
}

static int set_member(ox_consumer *consumer, const ox_stream *stream, const char *group,
    const ox_consumer_options *given, ox_error *err)
{
    struct ox__member *member = &consumer->member;
    const char *name = given != NULL && given->name != NULL ? given->name : "ox";
    const char *from = given != NULL && given->from != NULL ? given->from : "end";
    int rc = ox__stream_name_check("group", group, err);
    rc = rc < 0 ? rc : check_name(name, err);
    rc = rc < 0 ? rc : ox__queue_at_copy(&member->at, &stream->at, err);
    if (rc < 0) {
        return rc;
    }
    free(member->at.base); /* that of a queue of the name */
    member->at.base = strdup(stream->at.base);
    member->group = strdup(group);
    member->name = member_name(name);
    member->from = strdup(from);
    member->ordered = consumer->options.ordered;
    member->claim_ms = consumer->options.claim_ms;
    member->max_deliveries = consumer->options.max_deliveries;
    member->per = 1;
    if (member->at.base == NULL || member->group == NULL || member->name == NULL ||
        member->from == NULL) {
        return ox__fail_memory(err);
    }
    return ox__place_read(&member->place, member->from, err);
}

int ox_consumer_new(ox_consumer **out, struct uv_loop_s *loop, const ox_stream *stream,
    const char *group, const ox_consumer_options *options, ox_batch_fn *process, void *arg,
    ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(loop, err);
    OX__NEED(stream, err);
    OX__NEED(group, err);
    OX__NEED(process, err);
    ox_consumer *consumer = calloc(1, sizeof(*consumer));
    if (consumer == NULL) {
        return ox__fail_memory(err);
    }
    consumer->process = process;
    consumer->arg = arg;
    int rc = set_options(consumer, options, err);
    rc = rc < 0 ? rc : set_member(consumer, stream, group, options, err);
    if (rc == 0) {
        const struct ox__link_options link = { .url = &stream->client->conn.url,
            .connect_timeout_ms = stream->client->connect_timeout_ms,
            .command_timeout_ms = stream->client->command_timeout_ms,
            .client_name = consumer->member.name,
            .base = consumer->member.at.base };
        rc = ox__serve_start(consumer, loop, &link, err);
    }
    if (rc < 0) {
        ox__member_done(&consumer->member);
        free(consumer);
        return rc;
    }
    *out = consumer;
    return 0;
}

void ox_consumer_pause(ox_consumer *consumer)
{
    if (consumer != NULL) {
        ox__serve_pause(consumer);
    }
}

void ox_consumer_resume(ox_consumer *consumer)
{
    if (consumer != NULL) {
        ox__serve_resume(consumer);
    }
}

void ox_consumer_set_concurrency(ox_consumer *consumer, uint32_t concurrency)
{
    if (consumer != NULL && !consumer->options.ordered) {
        consumer->options.concurrency = or_default(concurrency, 1);
        consumer->more = true;
        ox__consumer_soon(consumer);
    }
}

uint32_t ox_consumer_running(const ox_consumer *consumer)
{
    return consumer != NULL ? (uint32_t)consumer->batches.slots : 0;
}

uint32_t ox_consumer_unstored(const ox_consumer *consumer)
{
    return consumer != NULL ? (uint32_t)(consumer->batches.ends.count + consumer->sent.count)
                            : 0;
}

const char *ox_consumer_name(const ox_consumer *consumer)
{
    return consumer != NULL ? consumer->member.name : NULL;
}

const char *ox_consumer_stream_name(const ox_consumer *consumer)
{
    return consumer != NULL ? consumer->member.at.name : NULL;
}

const char *ox_consumer_group(const ox_consumer *consumer)
{
    return consumer != NULL ? consumer->member.group : NULL;
}

static void note_closed(ox_consumer *consumer, void (*closed)(void *arg), void *arg)
{
    consumer->closed = closed;
    consumer->closed_arg = arg;
}

void ox_consumer_close(ox_consumer *consumer, void (*closed)(void *arg), void *arg)
{
    if (consumer != NULL && consumer->state < OX__SERVE_DRAINING) {
        note_closed(consumer, closed, arg);
        ox__serve_close(consumer);
    }
}

void ox_consumer_abort(ox_consumer *consumer, void (*closed)(void *arg), void *arg)
{
    if (consumer != NULL && consumer->state != OX__SERVE_CLOSED) {
        note_closed(consumer, closed, arg);
        ox__serve_abort(consumer);
    }
}
