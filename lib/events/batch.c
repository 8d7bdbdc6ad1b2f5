/* batch.c - batches of events: see batch.h. */
#include "events/batch.h"

#include "base/error.h"
#include "base/stored.h"
#include "base/text.h"
#include "queue/retry.h"

#include <stdlib.h>
#include <string.h>

#define REASON_MAX ((size_t)4096)

/* ---- lists ------------------------------------------------------------------------------- */

static void list_remove(struct ox__batch_list *list, struct ox_batch *batch)
{
    *(batch->prev != NULL ? &batch->prev->next : &list->head) = batch->next;
    *(batch->next != NULL ? &batch->next->prev : &list->tail) = batch->prev;
    batch->prev = batch->next = NULL;
    list->count--;
}

static void list_push(struct ox__batch_list *list, struct ox_batch *batch)
{
    batch->prev = list->tail;
    batch->next = NULL;
    *(list->tail != NULL ? &list->tail->next : &list->head) = batch;
    list->tail = batch;
    list->count++;
}

static void move(struct ox_batch *batch, enum ox__batch_state state)
{
    list_remove(&batch->all->list[batch->state], batch);
    batch->state = state;
    list_push(&batch->all->list[state], batch);
}

void ox__batches_init(struct ox__batches *all)
{
    ox__held_queue_init(&all->ends);
}

static void free_texts(struct ox_batch *batch)
{
    for (size_t i = 0; i < 4; i++) {
        free(batch->texts[i]);
        batch->texts[i] = NULL;
    }
}

/* One that is on no list. */
static void destroy(struct ox_batch *batch)
{
    free_texts(batch);
    free(batch->events);
    free(batch->reason);
    free(batch);
}

void ox__batch_free(struct ox_batch *batch)
{
    list_remove(&batch->all->list[batch->state], batch);
    destroy(batch);
}

void ox__batches_done(struct ox__batches *all)
{
    for (size_t i = 0; i < OX__BATCH_STATES; i++) {
        while (all->list[i].head != NULL) {
            struct ox_batch *batch = all->list[i].head;
            while (batch->then != NULL) {
                struct ox_batch *then = batch->then;
                batch->then = then->then;
                destroy(then);
            }
            ox__batch_free(batch);
        }
    }
}

/* ---- begin, start ------------------------------------------------------------------------ */

/* One that is on no list; the array is copied. */
static struct ox_batch *make(struct ox__batches *all, struct ox__event_held *const *events,
    size_t count, uint32_t attempt)
{
    struct ox_batch *batch = calloc(1, sizeof(*batch));
    struct ox__event_held **copy = malloc(count * sizeof(struct ox__event_held *));
    if (batch == NULL || copy == NULL) {
        free(batch);
        free(copy);
        return NULL;
    }
    memcpy(copy, events, count * sizeof(struct ox__event_held *));
    *batch =
        (struct ox_batch){ .all = all, .events = copy, .count = count, .attempt = attempt };
    return batch;
}

static void wait_until(struct ox_batch *batch, int64_t due_ms)
{
    batch->state = OX__BATCH_WAITING;
    batch->due_ms = due_ms;
    list_push(&batch->all->list[OX__BATCH_WAITING], batch);
    batch->all->soon(batch->all->arg);
}

struct ox_batch *ox__batch_begin(
    struct ox__batches *all, struct ox__event_held *const *events, size_t count)
{
    struct ox_batch *batch = make(all, events, count, 1);
    if (batch != NULL) {
        all->slots++;
        wait_until(batch, all->now_ms(all->arg));
    }
    return batch;
}

/* The slot of a batch that is over goes to what follows in it, or is free. */
static void pass_slot(struct ox_batch *batch)
{
    struct ox__batches *all = batch->all;
    struct ox_batch *then = batch->then;
    batch->then = NULL;
    if (then != NULL) {
        wait_until(then, then->due_ms);
    } else {
        all->slots--;
        all->soon(all->arg);
    }
}

int64_t ox__batches_due_ms(const struct ox__batches *all)
{
    int64_t due_ms = INT64_MAX;
    const struct ox_batch *batch = all->list[OX__BATCH_WAITING].head;
    for (; batch != NULL; batch = batch->next) {
        due_ms = batch->due_ms < due_ms ? batch->due_ms : due_ms;
    }
    return due_ms;
}

/* Takes lost events out of a batch that waits. */
static void drop_lost(struct ox_batch *batch)
{
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct ox__event_held *event = batch->events[i];
        if (event->entry->lost) {
            ox__event_ends(batch->all, NULL, event, OX__EVENT_BACK);
        } else {
            batch->events[kept++] = event;
        }
    }
    batch->count = kept;
}

struct ox_batch *ox__batch_start(struct ox__batches *all, int64_t now_ms)
{
    struct ox_batch *batch = all->list[OX__BATCH_WAITING].head, *next;
    for (; batch != NULL; batch = next) {
        next = batch->next;
        if (batch->due_ms > now_ms) {
            continue;
        }
        drop_lost(batch);
        if (batch->count > 0) {
            move(batch, OX__BATCH_RUNNING);
            return batch;
        }
        pass_slot(batch);
        ox__batch_free(batch);
        next = all->list[OX__BATCH_WAITING].head;
    }
    return NULL;
}

/* ---- the end of events ------------------------------------------------------------------- */

void ox__event_ends(struct ox__batches *all, struct ox_batch *batch,
    struct ox__event_held *event, enum ox__outcome outcome)
{
    struct ox__held *entry = event->entry;
    event->outcome = (uint8_t)outcome;
    if (--entry->open > 0) {
        return;
    }
    if (batch != NULL && !entry->lost) {
        entry->ended_by = batch;
        batch->storing++;
    }
    ox__held_queue_push(&all->ends, entry);
    all->soon(all->arg);
}

void ox__held_stored(struct ox__held *held, const ox_error *err)
{
    struct ox_batch *batch = held->ended_by;
    held->ended_by = NULL;
    if (batch == NULL) {
        return;
    }
    if (err != NULL && batch->err.code == 0) {
        batch->err = *err;
    }
    if (--batch->storing == 0) {
        move(batch, OX__BATCH_OVER);
        batch->all->soon(batch->all->arg);
    }
}

/* ---- the end of a run -------------------------------------------------------------------- */

static char *copy_reason(const ox_failure *failure)
{
    const char *reason =
        failure != NULL && failure->reason != NULL ? failure->reason : "failed";
    return strndup(reason, ox__utf8_truncate(reason, REASON_MAX));
}

static void begin_end(struct ox_batch *batch, const ox_failure *failure, bool failed)
{
    batch->end = (ox_batch_end){ .events = batch->count, .attempt = batch->attempt };
    ox__held_position(batch->events[0], batch->first);
    batch->reason = failed ? copy_reason(failure) : NULL;
}

/* Behind the outcome of its events, and what is to follow in its slot. */
static void finish_end(struct ox_batch *batch)
{
    pass_slot(batch);
    move(batch, batch->storing > 0 ? OX__BATCH_ENDING : OX__BATCH_OVER);
    batch->all->soon(batch->all->arg);
}

static void end_event(
    struct ox_batch *batch, struct ox__event_held *event, enum ox__outcome outcome)
{
    ox_batch_end *end = &batch->end;
    *(event->entry->lost            ? &end->lost
        : outcome == OX__EVENT_DONE ? &end->done
        : outcome == OX__EVENT_DEAD ? &end->dead
                                    : &end->released) += 1;
    if (outcome == OX__EVENT_DEAD) {
        event->reason = batch->reason != NULL ? strdup(batch->reason) : NULL;
        event->attempts = batch->attempt;
    }
    ox__event_ends(batch->all, batch, event, outcome);
}

static void end_all(struct ox_batch *batch, enum ox__outcome outcome)
{
    begin_end(batch, NULL, false);
    for (size_t i = 0; i < batch->count; i++) {
        end_event(batch, batch->events[i], outcome);
    }
    finish_end(batch);
}

/* The events `some` of a batch run once more, before what follows in its slot. Without memory,
 * or where nothing runs again, they are given back. */
static void run_again(struct ox_batch *batch, struct ox__event_held *const *some, size_t count,
    uint32_t attempt, bool last, int64_t wait_ms)
{
    struct ox__batches *all = batch->all;
    struct ox_batch *again = all->draining ? NULL : make(all, some, count, attempt);
    for (size_t i = 0; again == NULL && i < count; i++) {
        end_event(batch, some[i], OX__EVENT_BACK);
    }
    if (again != NULL) {
        again->last = last;
        again->due_ms = all->now_ms(all->arg) + wait_ms;
        again->then = batch->then;
        batch->then = again;
        batch->end.again += count;
        batch->end.retry_ms = wait_ms;
    }
}

static int64_t wait_ms(const struct ox_batch *batch, const ox_failure *failure, bool spent)
{
    const struct ox__batches *all = batch->all;
    int64_t wait =
        spent ? 0
              : ox__backoff_ms(&all->backoff, batch->attempt, (uint64_t)all->now_ms(all->arg));
    int64_t least = failure != NULL ? failure->min_delay_ms : 0;
    return wait > least ? wait : least > 0 ? least : 0;
}

static bool is_last(const struct ox_batch *batch)
{
    return batch->last || batch->attempt >= batch->all->attempts;
}

static bool is_spent(const struct ox_batch *batch, const ox_failure *failure)
{
    return is_last(batch) || (failure != NULL && failure->unrecoverable);
}

/* Moves the events that are not lost to the front; ends the others. Returns how many those are.
 */
static size_t part_lost(struct ox_batch *batch, struct ox__event_held **events, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct ox__event_held *event = events[i];
        if (event->entry->lost) {
            end_event(batch, event, OX__EVENT_BACK);
        } else {
            events[kept++] = event;
        }
    }
    return kept;
}

static void fail(struct ox_batch *batch, const ox_failure *failure)
{
    begin_end(batch, failure, true);
    size_t count = part_lost(batch, batch->events, batch->count);
    bool spent = is_spent(batch, failure);
    int64_t wait = wait_ms(batch, failure, spent);
    struct ox__event_held **events = batch->events;
    if (!spent && count > 0) {
        run_again(batch, events, count, batch->attempt + 1, false, wait);
    } else if (count > 1) {
        /* An unrecoverable failure says that one event is wrong; others keep their attempts. */
        bool last = is_last(batch);
        size_t half = count / 2; /* the second first, because each goes before what follows */
        run_again(batch, events + half, count - half, batch->attempt, last, wait);
        run_again(batch, events, half, batch->attempt, last, wait);
    } else if (count == 1) {
        end_event(batch, events[0], OX__EVENT_DEAD);
    }
    finish_end(batch);
}

/* `failed`: a mark for each event. */
static void fail_some(struct ox_batch *batch, const bool *failed, const ox_failure *failure)
{
    size_t count = 0;
    begin_end(batch, failure, true);
    for (size_t i = 0; i < batch->count; i++) {
        struct ox__event_held *event = batch->events[i];
        if (failed[i]) {
            batch->events[count++] = event;
        } else {
            end_event(batch, event, OX__EVENT_DONE);
        }
    }
    count = part_lost(batch, batch->events, count);
    bool spent = is_spent(batch, failure);
    if (!spent && count > 0) {
        run_again(batch, batch->events, count, batch->attempt + 1, false,
            wait_ms(batch, failure, spent));
    }
    for (size_t i = 0; spent && i < count; i++) {
        end_event(batch, batch->events[i], OX__EVENT_DEAD);
    }
    finish_end(batch);
}

void ox__batches_give_back(struct ox__batches *all)
{
    struct ox__batch_list *waiting = &all->list[OX__BATCH_WAITING];
    while (waiting->head != NULL) {
        struct ox_batch *batch = waiting->head;
        for (size_t i = 0; i < batch->count; i++) {
            ox__event_ends(all, NULL, batch->events[i], OX__EVENT_BACK);
        }
        pass_slot(batch);
        ox__batch_free(batch);
    }
}

/* ---- the public batch -------------------------------------------------------------------- */

static bool runs(const ox_batch *batch)
{
    return batch != NULL && batch->state == OX__BATCH_RUNNING;
}

void ox_batch_done(ox_batch *batch)
{
    if (runs(batch)) {
        end_all(batch, OX__EVENT_DONE);
    }
}

void ox_batch_release(ox_batch *batch)
{
    if (runs(batch)) {
        end_all(batch, OX__EVENT_BACK);
    }
}

void ox_batch_fail(ox_batch *batch, const ox_failure *failure)
{
    if (runs(batch)) {
        fail(batch, failure);
    }
}

void ox_batch_delay(ox_batch *batch, int64_t delay_ms)
{
    if (runs(batch)) {
        begin_end(batch, NULL, false);
        size_t count = part_lost(batch, batch->events, batch->count);
        if (count > 0) {
            run_again(batch, batch->events, count, batch->attempt, batch->last,
                delay_ms > 0 ? delay_ms : 0);
        }
        finish_end(batch);
    }
}

int ox_batch_fail_some(ox_batch *batch, const size_t *indices, size_t count,
    const ox_failure *failure, ox_error *err)
{
    OX__NEED(batch, err);
    if (count > 0) {
        OX__NEED(indices, err);
    }
    if (!runs(batch)) {
        return ox__fail(err, OX_EINVAL, "the batch was ended before");
    }
    bool *failed = calloc(batch->count, sizeof(*failed));
    if (failed == NULL) {
        return ox__fail_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (indices[i] >= batch->count) {
            free(failed);
            return ox__fail(err, OX_EINVAL, "index %zu: the batch has %zu events", indices[i],
                batch->count);
        }
        failed[indices[i]] = true;
    }
    fail_some(batch, failed, failure);
    free(failed);
    return 0;
}

size_t ox_batch_count(const ox_batch *batch)
{
    return batch != NULL ? batch->count : 0;
}

const char *ox_batch_json(const ox_batch *batch, size_t i, size_t *length)
{
    if (batch == NULL || i >= batch->count) {
        return NULL;
    }
    if (length != NULL) {
        *length = batch->events[i]->length;
    }
    return batch->events[i]->json;
}

void ox_batch_position(const ox_batch *batch, size_t i, char *position)
{
    if (position == NULL) {
        return;
    }
    position[0] = '\0';
    if (batch != NULL && i < batch->count) {
        ox__held_position(batch->events[i], position);
    }
}

const ox_stream_event *ox_batch_event(ox_batch *batch, size_t i)
{
    static const char *const names[4] = { "type", "id", "source", "subject" };
    struct ox__slice all = { NULL, NULL };
    if (batch == NULL || i >= batch->count) {
        return NULL;
    }
    const struct ox__event_held *event = batch->events[i];
    free_texts(batch);
    if (ox__stored_value(&all, event->json, event->length) == 0 && all.at != NULL &&
        *all.at == '{') {
        for (size_t j = 0; j < 4; j++) {
            batch->texts[j] = ox__slice_text(ox__slice_get(all, names[j]));
        }
    }
    ox__held_position(event, batch->shown_position);
    batch->shown = (ox_stream_event){ .position = batch->shown_position,
        .json = event->json,
        .length = event->length,
        .type = batch->texts[0],
        .id = batch->texts[1],
        .source = batch->texts[2],
        .subject = batch->texts[3],
        .number = event->number,
        .lost = event == event->entry->events ? event->entry->lost_before : 0,
        .deliveries = event->entry->deliveries };
    return &batch->shown;
}

int64_t ox_batch_find(const ox_batch *batch, const char *position)
{
    int64_t ms, number;
    if (batch == NULL || position == NULL || !ox__position_read(position, &ms, &number)) {
        return -1;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i]->number == number && batch->events[i]->entry->ms == ms) {
            return (int64_t)i;
        }
    }
    return -1;
}

uint32_t ox_batch_attempt(const ox_batch *batch)
{
    return batch != NULL ? batch->attempt : 0;
}

size_t ox_batch_lost(const ox_batch *batch)
{
    size_t lost = 0;
    for (size_t i = 0; batch != NULL && i < batch->count; i++) {
        lost += batch->events[i]->entry->lost;
    }
    return lost;
}

ox_consumer *ox_batch_consumer(const ox_batch *batch)
{
    return batch != NULL ? batch->all->consumer : NULL;
}

void ox_batch_set_data(ox_batch *batch, void *data)
{
    if (batch != NULL) {
        batch->data = data;
    }
}

void *ox_batch_data(const ox_batch *batch)
{
    return batch != NULL ? batch->data : NULL;
}
