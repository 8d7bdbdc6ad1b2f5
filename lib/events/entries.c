/* entries.c - the entries that a consumer has; see entries.h. */
#include "events/entries.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- all of them ------------------------------------------------------------------------- */

void ox__entry_hold(ox_consumer *consumer, struct ox__held *held)
{
    held->next = consumer->held;
    if (consumer->held != NULL) {
        consumer->held->prev = held;
    }
    consumer->held = held;
    consumer->held_count++;
}

void ox__entry_let_go(ox_consumer *consumer, struct ox__held *held)
{
    *(held->prev != NULL ? &held->prev->next : &consumer->held) = held->next;
    if (held->next != NULL) {
        held->next->prev = held->prev;
    }
    consumer->held_count--;
    ox__held_free(held);
}

const struct ox__held *ox__entry_find(const ox_consumer *consumer, bool again, const char *id)
{
    const struct ox__held *held = consumer->held;
    while (held != NULL && (held->again != again || strcmp(held->id, id) != 0)) {
        held = held->next;
    }
    return held;
}

static void set_ready(ox_consumer *consumer, struct ox__held *held)
{
    if (consumer->ready_events == 0) {
        consumer->full_ms = ox__clock_boot_ms(&consumer->clock) + consumer->options.wait_ms;
    }
    ox__held_queue_push(&consumer->ready, held);
    for (size_t i = 0; i < held->count; i++) {
        consumer->ready_bytes += held->events[i].length;
    }
    consumer->ready_events += held->count;
}

static void end_rest(ox_consumer *consumer, struct ox__held *held, enum ox__outcome outcome)
{
    while (held->begun < held->count) {
        ox__event_ends(&consumer->batches, NULL, &held->events[held->begun++], outcome);
    }
}

void ox__consumer_give_back(ox_consumer *consumer)
{
    struct ox__held *held;
    ox__batches_give_back(&consumer->batches);
    while ((held = ox__held_queue_pop(&consumer->ready)) != NULL) {
        end_rest(consumer, held, OX__EVENT_BACK);
    }
    consumer->ready_events = consumer->ready_bytes = 0;
}

/* An entry that was delivered too often without an end. Returns false if it is to run after
 * all. */
static bool is_too_often(ox_consumer *consumer, struct ox__held *held)
{
    uint32_t most = consumer->options.max_deliveries;
    if (held->deliveries <= most) {
        return false;
    }
    if (held->count > 1) {
        end_rest(consumer, held, OX__EVENT_ALONE);
        ox__consumer_notice(consumer, OX_STREAM_ALONE, held->id, NULL, held->deliveries);
        return true;
    }
    if (!held->alone && held->deliveries <= 2 * (uint64_t)most) {
        held->alone = true;
        return false;
    }
    char reason[96];
    snprintf(reason, sizeof(reason), "delivered %u times without an end", held->deliveries);
    held->events[0].reason = strdup(reason);
    end_rest(consumer, held, OX__EVENT_DEAD);
    return true;
}

/* ---- what a take has brought ------------------------------------------------------------- */

static void admit(ox_consumer *consumer, struct ox__held *held, const ox_error *why)
{
    ox__entry_hold(consumer, held);
    if (held->skipped) {
        ox__held_queue_push(&consumer->batches.ends, held);
        ox__consumer_notice(consumer, OX_STREAM_SKIPPED, held->id, why->text, 1);
    } else if (!is_too_often(consumer, held)) {
        set_ready(consumer, held);
    }
}

/* What is missing before an entry of a read. Before the first one with events the server has
 * counted it; between two of them nobody but who reads them sees it, and it is counted with the
 * end of the second. `number`: of the last event so far, or -1. */
static void find_missing(ox_consumer *consumer, struct ox__held *held, const redisReply *entry,
    const struct ox__take_answer *answer, int64_t *number)
{
    int64_t before, last;
    if (!ox__pack_span(entry, &before, &last)) {
        return;
    }
    if (*number < 0) {
        held->lost_before = answer->lost;
    } else if (before > *number) {
        held->lost_before = held->untold = before - *number;
        ox__consumer_notice(consumer, OX_STREAM_LOST, held->id, NULL, held->untold);
    }
    *number = last;
}

static void admit_read(
    ox_consumer *consumer, struct ox__load *load, const struct ox__take_answer *answer)
{
    const redisReply *entries = answer->entries;
    int64_t number = -1;
    for (size_t i = 0; i < entries->elements && consumer->state != OX__SERVE_CLOSED; i++) {
        ox_error why = { 0 }, err;
        struct ox__held *held = ox__held_new_read(load, entries->element[i], &why, &err);
        if (held == NULL) {
            consumer->recover = true;
            ox__consumer_report(consumer, &err);
            continue;
        }
        find_missing(consumer, held, entries->element[i], answer, &number);
        admit(consumer, held, &why);
    }
}

static void admit_taken(
    ox_consumer *consumer, struct ox__load *load, const struct ox__take_answer *answer)
{
    const redisReply *entries = answer->entries;
    const char *first = NULL;
    int64_t over = 0, lost = answer->lost;
    for (size_t i = 0; i < entries->elements && consumer->state != OX__SERVE_CLOSED; i++) {
        ox_error why = { 0 }, err;
        struct ox__held *held = ox__held_new(load, entries->element[i], &why, &err);
        if (held == NULL) {
            consumer->recover = true;
            ox__consumer_report(consumer, &err);
            continue;
        }
        bool taken_over = held->deliveries > 1;
        first = taken_over && over++ == 0 ? entries->element[i]->element[1]->str : first;
        if (lost > 0 && !taken_over && !held->again) {
            held->lost_before = lost;
            lost = 0;
        }
        admit(consumer, held, &why);
    }
    if (over > 0) {
        ox__consumer_notice(consumer, OX_STREAM_TAKEN_OVER, first, NULL, over);
    }
}

void ox__entries_admit(ox_consumer *consumer, const struct ox__take_answer *answer)
{
    struct ox__load *load = calloc(1, sizeof(*load));
    redisReply *kept = load != NULL ? ox__link_keep_reply(consumer->link) : NULL;
    if (kept == NULL) {
        ox_error err;
        free(load);
        ox__fail_memory(&err);
        consumer->recover = true; /* they are given back, since they are not known */
        ox__consumer_report(consumer, &err);
        return;
    }
    *load = (struct ox__load){ .reply = kept, .refs = 1 };
    if (answer->read) {
        admit_read(consumer, load, answer);
    } else {
        admit_taken(consumer, load, answer);
    }
    ox__load_release(load);
}
