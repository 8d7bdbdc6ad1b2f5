/* requests.c - what a consumer asks of the server, and what follows from the answers; see
 * requests.h. */
#include "events/requests.h"

#include "base/clock.h"
#include "base/error.h"
#include "codes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDS_MAX 500         /* entries in one call that ends */
#define END_BYTES (1u << 20) /* and bytes */
#define READ_MAX 1000        /* entries that are read at once */
#define READ_FIRST 10        /* the same, when it is not known how large they are */
#define SLEEP_MS 5000        /* the longest wait, so that a dead server is noticed */
#define RETRY_MS 1000        /* after a refusal */

static int64_t now_of(const ox_consumer *consumer)
{
    return ox__clock_boot_ms(&consumer->clock);
}

static bool is_closed(const ox_consumer *consumer)
{
    return consumer->state == OX__SERVE_CLOSED;
}

static bool is_loss(const ox_error *err)
{
    return err->code == OX_ELOST || err->code == OX_ETIMEOUT || err->code == OX_ECLOSED;
}

/* ---- requests ---------------------------------------------------------------------------- */

static bool send_ask(ox_consumer *consumer, struct ox__ask *ask, struct ox__link *link)
{
    ox_error err;
    if (ox__op_seal(&ask->request.op, &err) < 0) {
        ox__consumer_report(consumer, &err);
        consumer->retry_ms = now_of(consumer) + RETRY_MS;
        return false;
    }
    ask->busy = true;
    ox__link_send(link, &ask->request);
    return true;
}

/* Behind an answer: true when nothing more is to be done with it. A refusal is asked again
 * after a while, a lost connection when it is back. */
static bool is_failed(ox_consumer *consumer, struct ox__ask *ask, const ox_error *err)
{
    ask->busy = false;
    if (is_closed(consumer)) {
        return true;
    }
    ox__consumer_soon(consumer);
    if (err != NULL && !is_loss(err)) {
        consumer->retry_ms = now_of(consumer) + RETRY_MS;
        ox__consumer_report(consumer, err);
    }
    return err != NULL || is_closed(consumer);
}

/* ---- take -------------------------------------------------------------------------------- */

static void set_owner(ox_consumer *consumer, bool owner)
{
    if (consumer->options.ordered && owner != consumer->owner) {
        consumer->owner = owner;
        ox__consumer_notice(consumer, OX_STREAM_OWNER, NULL, NULL, owner);
    }
}

/* What an entry has, about, by those that were taken last. */
static void size_up(ox_consumer *consumer, size_t entries, size_t events, size_t bytes)
{
    struct ox__member *member = &consumer->member;
    member->per = (double)events / (double)entries;
    member->size = (double)bytes / (double)entries;
}

static void take_over(ox_consumer *consumer, const struct ox__take_answer *answer)
{
    size_t entries = answer->entries != NULL ? answer->entries->elements : 0;
    consumer->more = answer->more;
    consumer->whole = answer->more_old;
    /* What others left was not all taken, or may not have been: an owner looks for it in any
     * case. */
    consumer->sweep = consumer->sweep || (answer->more_old && !consumer->options.ordered);
    consumer->in_vain = entries == 0;
    if (answer->lost != 0) {
        ox__consumer_notice(
            consumer, OX_STREAM_LOST, consumer->member.seen, NULL, answer->lost);
    }
    if (!is_closed(consumer) && entries > 0) {
        size_t events = consumer->ready_events, bytes = consumer->ready_bytes;
        ox__entries_admit(consumer, answer); /* the reply is ours from here on */
        size_up(
            consumer, entries, consumer->ready_events - events, consumer->ready_bytes - bytes);
    }
    if (!is_closed(consumer) && consumer->state != OX__SERVE_RUNNING) {
        ox__consumer_give_back(consumer);
    }
}

/* Whether the group was rung for while this member was not waiting for that. */
static void look_if_rung(ox_consumer *consumer, const char *before)
{
    if (strcmp(before, consumer->member.rung) != 0) {
        consumer->more = consumer->sweep = true;
    }
}

static void on_taken(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    struct ox__take_answer answer;
    ox_error why = { 0 };
    char rung[OX_POSITION_SIZE];
    memcpy(rung, consumer->member.rung, sizeof(rung));
    if (is_failed(consumer, &consumer->take, err)) {
        consumer->recover = true;
        return;
    }
    if (ox__member_taken(&consumer->member, reply, &answer, &why) < 0) {
        is_failed(consumer, &consumer->take, &why);
        return;
    }
    consumer->told.code = answer.errors->elements > 0 ? consumer->told.code : 0;
    if (answer.look_ms > 0) {
        consumer->retry_ms = now_of(consumer) + answer.look_ms + 1;
        answer.more = true;
    }
    set_owner(consumer, answer.owner);
    for (size_t i = 0; i < answer.errors->elements && !is_closed(consumer); i++) {
        const redisReply *text = answer.errors->element[i];
        ox__fail(&why, OX_ESERVER, "%s", text->str != NULL ? text->str : "");
        consumer->retry_ms = now_of(consumer) + RETRY_MS;
        ox__consumer_report(consumer, &why);
    }
    if (!is_closed(consumer)) {
        take_over(consumer, &answer);
        look_if_rung(consumer, rung);
    }
}

/* The server did not do the transaction: out of memory it does none, and a user may lack the
 * right. A take may do what a read cannot; the latter is tried again after a while. What it may
 * have read all the same is given back. */
static void do_without_reads(ox_consumer *consumer, const ox_error *err)
{
    consumer->reads_ms = now_of(consumer) + RETRY_MS;
    if (err->code == OX_EAUTH) {
        consumer->reads_ms = INT64_MAX;
        ox__consumer_report(consumer, err);
    }
}

static void on_read(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    struct ox__take_answer answer;
    char rung[OX_POSITION_SIZE];
    memcpy(rung, consumer->member.rung, sizeof(rung));
    consumer->take.busy = false;
    if (is_closed(consumer)) {
        return;
    }
    ox__consumer_soon(consumer);
    if (err != NULL && !is_loss(err)) {
        do_without_reads(consumer, err);
    } else if (err == NULL &&
               ox__member_was_read(&consumer->member, reply, consumer->count, &answer)) {
        consumer->told.code = 0;
        take_over(consumer, &answer);
        look_if_rung(consumer, rung);
        return;
    }
    consumer->more = consumer->whole = true;
    if (err != NULL || ox__member_has_read(reply)) {
        consumer->recover = true;
        consumer->renew_ms = 0;
    }
}

/* How many entries have the events and bytes that are wanted, about. */
static int64_t entries_of(const struct ox__member *member, const struct ox__take_wish *wish)
{
    double events = (double)wish->events / (member->per > 1 ? member->per : 1);
    double bytes = (double)wish->bytes / (member->size > 1 ? member->size : 1);
    double want = events < bytes ? events : bytes;
    int64_t most = member->size > 0 ? READ_MAX : READ_FIRST;
    int64_t count = want < (double)most ? (int64_t)want : most;
    return (double)count < want && count < most ? count + 1 : count;
}

/* New entries are read by a plain command where nothing else is to be looked for. */
static bool is_read(const ox_consumer *consumer)
{
    return !consumer->options.ordered && !consumer->sweep && !consumer->whole &&
           consumer->member.seen[0] != '\0' && now_of(consumer) >= consumer->reads_ms;
}

void ox__ask_take(ox_consumer *consumer, int64_t events)
{
    struct ox__request *request = &consumer->take.request;
    struct ox__take_wish wish = { .events = events,
        .bytes = (int64_t)consumer->options.batch_bytes *
                     (consumer->options.concurrency - (int64_t)consumer->batches.slots) -
                 (int64_t)consumer->ready_bytes,
        .idle_ms = -1 };
    bool read = is_read(consumer);
    request->done = read ? on_read : on_taken;
    request->fits = read ? ox__member_read_fits : ox__member_take_fits;
    if (consumer->options.ordered) {
        wish.idle_ms = consumer->held_count == 0 ? 0 : -1;
    } else if (consumer->sweep) {
        wish.idle_ms = consumer->options.claim_ms;
    }
    if (read) {
        consumer->count = entries_of(&consumer->member, &wish);
        ox__member_read(&consumer->member, &request->op, consumer->count);
    } else {
        ox__member_take(&consumer->member, &request->op, &wish);
    }
    if (send_ask(consumer, &consumer->take, consumer->link) && wish.idle_ms >= 0) {
        consumer->sweep = false;
        consumer->sweep_ms = now_of(consumer) + consumer->options.sweep_ms;
    }
}

/* ---- end --------------------------------------------------------------------------------- */

static void tell_dead(ox_consumer *consumer, const struct ox__held *held)
{
    for (size_t i = 0; i < held->count && !is_closed(consumer); i++) {
        const struct ox__event_held *event = &held->events[i];
        char position[OX_POSITION_SIZE];
        if (event->outcome == OX__EVENT_DEAD) {
            ox__held_position(event, position);
            ox__consumer_notice(consumer, OX_STREAM_DEAD, position,
                event->reason != NULL ? event->reason : "", 1);
        }
    }
}

static void stored(ox_consumer *consumer, struct ox__held *held, const ox_error *err)
{
    if (err == NULL && !held->lost) {
        tell_dead(consumer, held);
    }
    if (!is_closed(consumer)) {
        ox__held_stored(held, err);
        ox__entry_let_go(consumer, held);
    }
}

static void claim_lost(const struct ox__held *held, ox_error *err)
{
    ox__fail(err, OX_ELOCK, "entry %s: the claim was lost; it may run elsewhere", held->id);
}

/* All ends of a call are refused together: they are tried one by one. */
static void split_call(ox_consumer *consumer, const ox_error *err)
{
    struct ox__held_queue *sent = &consumer->sent, *ends = &consumer->batches.ends;
    struct ox__held *held;
    if (sent->count == 1) {
        /* Not before its claim would be over, since what is wrong may be wrong still. */
        int64_t at_ms = now_of(consumer) + consumer->options.claim_ms;
        consumer->strays_ms = at_ms < consumer->strays_ms ? at_ms : consumer->strays_ms;
        stored(consumer, ox__held_queue_pop(sent), err);
        return;
    }
    struct ox__held_queue rest = *ends;
    if (ends->head == NULL) {
        rest.tail = &rest.head;
    }
    ox__held_queue_init(ends);
    while ((held = ox__held_queue_pop(sent)) != NULL) {
        ox__held_queue_push(ends, held);
    }
    while (rest.count > 0 && (held = ox__held_queue_pop(&rest)) != NULL) {
        ox__held_queue_push(ends, held);
    }
    consumer->most = 1;
}

static void on_ended(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    struct ox__held *held;
    size_t at = 0;
    consumer->end.busy = false;
    if (is_closed(consumer)) {
        return;
    }
    ox__consumer_soon(consumer);
    if (err != NULL) {
        split_call(consumer, err);
        ox__consumer_report(consumer, err);
        return;
    }
    for (long long i = 1;
         !is_closed(consumer) && (held = ox__held_queue_pop(&consumer->sent)) != NULL; i++) {
        ox_error lost;
        long long refusal = 0;
        if (at < reply->elements && reply->element[at]->integer == i) {
            refusal = reply->element[at + 1]->integer;
            at += 2;
        }
        /* What was sent twice may have been stored the first time. */
        held->lost = refusal == OX__NOT_HELD ||
                     (refusal == OX__NOT_PENDING && !request->resent && !held->gone);
        if (held->lost) {
            claim_lost(held, &lost);
        }
        stored(consumer, held, held->lost ? &lost : NULL);
    }
    consumer->most = consumer->most < ENDS_MAX ? consumer->most * 2 : ENDS_MAX;
}

/* Entries that are lost end without a word to the server. */
void ox__drop_lost(ox_consumer *consumer)
{
    struct ox__held_queue *ends = &consumer->batches.ends, kept;
    struct ox__held *held;
    ox__held_queue_init(&kept);
    while ((held = ox__held_queue_pop(ends)) != NULL) {
        if (held->lost) {
            ox_error lost;
            claim_lost(held, &lost);
            stored(consumer, held, &lost);
        } else {
            ox__held_queue_push(&kept, held);
        }
    }
    while (kept.count > 0 && (held = ox__held_queue_pop(&kept)) != NULL) {
        ox__held_queue_push(ends, held);
    }
}

void ox__ask_end(ox_consumer *consumer)
{
    struct ox__held_queue *ends = &consumer->batches.ends;
    struct ox__op *op = &consumer->end.request.op;
    size_t acks =
        ox__member_ack(&consumer->member, op, consumer->held_count, ends, consumer->most);
    if (acks == 0) {
        ox__member_end(&consumer->member, op, consumer->held_count);
    }
    while (ends->head != NULL && consumer->sent.count < (acks > 0 ? acks : consumer->most) &&
           (acks > 0 || op->bytes.len < END_BYTES)) {
        struct ox__held *held = ox__held_queue_pop(ends);
        if (acks == 0) {
            ox__member_end_entry(op, held);
        }
        ox__held_queue_push(&consumer->sent, held);
    }
    if (!send_ask(consumer, &consumer->end, consumer->link)) {
        ox_error err;
        ox__fail_memory(&err);
        split_call(consumer, &err);
    }
}

/* ---- renew ------------------------------------------------------------------------------- */

static struct ox__held *held_at(ox_consumer *consumer, long long place)
{
    struct ox__held *held = consumer->held;
    while (held != NULL && held->place != place) {
        held = held->next;
    }
    return held;
}

static void tell_lost(ox_consumer *consumer)
{
    struct ox_batch *batch = consumer->batches.list[OX__BATCH_RUNNING].head, *next;
    for (; batch != NULL && !is_closed(consumer); batch = next) {
        next = batch->next;
        size_t lost = ox_batch_lost(batch);
        if (lost > batch->lost_told && consumer->options.claim_lost != NULL) {
            batch->lost_told = lost;
            consumer->options.claim_lost(batch, consumer->arg);
            next = consumer->batches.list[OX__BATCH_RUNNING].head; /* it may be ended */
        }
    }
}

/* Entries that this member has and does not know: the reply to a take was lost. */
static void return_unknown(ox_consumer *consumer, const redisReply *unknown)
{
    for (size_t i = 0; i < unknown->elements; i += 2) {
        bool again = unknown->element[i]->str[0] == 'a';
        const char *id = unknown->element[i + 1]->str;
        struct ox__held *held =
            ox__entry_find(consumer, again, id) == NULL ? ox__held_stub(id, again) : NULL;
        if (held != NULL) {
            ox__entry_hold(consumer, held);
            ox__held_queue_push(&consumer->batches.ends, held);
        }
    }
}

static void on_renewed(
    struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    if (is_failed(consumer, &consumer->renew, err)) {
        consumer->renew_ms = err != NULL && is_loss(err) ? 0 : consumer->retry_ms;
        return;
    }
    consumer->recover = false;
    if (consumer->owner) {
        set_owner(consumer, reply->element[0]->integer != 0);
    }
    bool any = false;
    for (size_t list = 1; list <= 2; list++) {
        for (size_t i = 0; i < reply->element[list]->elements; i++) {
            struct ox__held *held =
                held_at(consumer, reply->element[list]->element[i]->integer);
            if (held != NULL && list == 2) {
                held->gone = true;
            } else if (held != NULL && held->open > 0 && !held->gone) {
                held->lost = any = true;
            }
        }
    }
    if (!is_closed(consumer)) {
        return_unknown(consumer, reply->element[3]);
    }
    if (any) {
        tell_lost(consumer);
    }
}

void ox__ask_renew(ox_consumer *consumer)
{
    struct ox__op *op = &consumer->renew.request.op;
    long long place = 0;
    ox__member_renew(&consumer->member, op);
    for (struct ox__held *held = consumer->held; held != NULL; held = held->next) {
        held->place = 0;
        if (!held->lost && !held->gone) {
            held->place = ++place;
            ox__member_renew_entry(op, held);
        }
    }
    consumer->renew_ms = now_of(consumer) + consumer->options.renew_ms;
    send_ask(consumer, &consumer->renew, consumer->link);
}

/* ---- sleep, leave ------------------------------------------------------------------------ */

static void on_slept(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    int64_t retry_ms = consumer->retry_ms;
    if (is_failed(consumer, &consumer->sleep, err)) {
        /* Who cannot wait for more looks for it, now and after a while. */
        consumer->retry_ms = retry_ms;
        consumer->sleep_ms = is_loss(err) ? 0 : now_of(consumer) + RETRY_MS;
        consumer->more = true;
        return;
    }
    if (reply->type != REDIS_REPLY_NIL) {
        consumer->more = true;
        consumer->sweep = consumer->sweep || ox__member_was_rung(reply);
        consumer->retry_ms = consumer->options.ordered ? 0 : consumer->retry_ms;
    }
}

void ox__ask_sleep(ox_consumer *consumer)
{
    bool stands_by = consumer->options.ordered && !consumer->owner;
    ox__member_sleep(&consumer->member, &consumer->sleep.request.op, SLEEP_MS, stands_by);
    send_ask(consumer, &consumer->sleep, consumer->sleeper);
}

static void on_left(struct ox__request *request, const redisReply *reply, const ox_error *err)
{
    ox_consumer *consumer = request->arg;
    consumer->leave.busy = false;
    if (!is_closed(consumer)) {
        consumer->left = err != NULL || reply->integer == 0;
        ox__consumer_soon(consumer);
    }
}

void ox__ask_leave(ox_consumer *consumer)
{
    ox__member_leave(&consumer->member, &consumer->leave.request.op);
    consumer->left = !send_ask(consumer, &consumer->leave, consumer->link);
}

/* ---- all of them ------------------------------------------------------------------------- */

static void set_ask(ox_consumer *consumer, struct ox__ask *ask, ox__done_fn *done,
    bool (*fits)(const struct ox__request *request, const redisReply *reply))
{
    ask->request.done = done;
    ask->request.fits = fits;
    ask->request.arg = consumer;
}

void ox__asks_init(ox_consumer *consumer)
{
    ox__held_queue_init(&consumer->ready);
    ox__held_queue_init(&consumer->sent);
    consumer->most = ENDS_MAX;
    set_ask(consumer, &consumer->take, on_taken, ox__member_take_fits); /* or on_read */
    set_ask(consumer, &consumer->end, on_ended, ox__member_end_fits);
    set_ask(consumer, &consumer->renew, on_renewed, ox__member_renew_fits);
    set_ask(consumer, &consumer->sleep, on_slept, ox__member_sleep_fits);
    set_ask(consumer, &consumer->leave, on_left, ox__member_leave_fits);
    consumer->end.request.keep = true;
    consumer->sleep.request.timeout_ms = SLEEP_MS + consumer->command_timeout_ms;
}

void ox__asks_done(ox_consumer *consumer)
{
    struct ox__ask *const asks[] = { &consumer->take, &consumer->end, &consumer->renew,
        &consumer->sleep, &consumer->leave };
    while (consumer->held != NULL) {
        ox__entry_let_go(consumer, consumer->held);
    }
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        ox__op_done(&asks[i]->request.op);
    }
}
