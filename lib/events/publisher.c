/*
 * publisher.c - publishes events from a loop.
 *
 * Events gather in a call, the open one, which is closed when it is full, when it has waited
 * long enough, or, while nothing is in flight, when the loop turns: so the first event does not
 * wait for others, and under load calls become large by themselves. Closed calls are sent in
 * their order, several in flight.
 *
 * A call has an id. When the connection is lost before the answer, the link sends the call
 * again under this id, and the script answers as it did, or publishes what it had not. A call
 * that the script did not take (it lacked something, or an event was too large) goes again
 * behind those in flight; until it is answered no new one is sent, so that none overtakes it.
 *
 * Nothing is called back inside a call of the program: answers come from the link, and what
 * fails at once is told when the loop turns. All calls, from the oldest to the open one, are in
 * one list, in the order in which they are told.
 */
#include "base/clock.h"
#include "base/error.h"
#include "codes.h"
#include "events/call.h"
#include "events/stream.h"
#include "queue/send.h"
#include "wire/link.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CALLS 16
#define MAX_PACK_EVENTS 1000

enum state {
    OPEN,   /* it gathers */
    CLOSED, /* it waits to be sent */
    SENT,
    ENDED /* its events are told, once those before it were */
};

struct call {
    struct call *next;
    ox_publisher *publisher;
    enum state state;
    struct ox__sending sending;
    struct ox__publish_call call;
    struct ox__lines lines;
    void **datas;      /* one for each event */
    ox_published *out; /* likewise */
    size_t room;       /* of both */
    char id[37];
    int64_t limit; /* larger events are left out */
    ox_error err;  /* of an ended call; code 0: none */
};

struct ox_publisher {
    struct ox__queue_at at;
    char *source;
    ox_publisher_options options; /* without zeros */
    ox_published_fn *published;
    void *arg;
    struct ox__call_form form;
    struct ox__event_maker maker;
    struct ox__link *link;
    uv_timer_t timer; /* of the open call */
    uv_prepare_t
        prepare; /* runs before the loop waits; started while something is to be done */
    struct call *first, *last, *spare;
    uint32_t held;   /* events that are taken and not told */
    uint32_t flight; /* calls */
    bool due;        /* the open call has waited long enough */
    bool was_full, closing, stopped, telling;
    int open_handles; /* after the link was closed */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- calls ------------------------------------------------------------------------------- */

static void free_call(struct call *call)
{
    if (call != NULL) {
        ox__sending_done(&call->sending);
        ox__lines_done(&call->lines);
        free(call->datas);
        free(call->out);
        free(call);
    }
}

static void free_calls(struct call *call)
{
    while (call != NULL) {
        struct call *next = call->next;
        free_call(call);
        call = next;
    }
}

/* The call that gathers; a new one where there is none. */
static struct call *open_call(ox_publisher *publisher)
{
    struct call *call = publisher->last;
    if (call != NULL && call->state == OPEN) {
        return call;
    }
    call = publisher->spare;
    if (call != NULL) {
        publisher->spare = call->next;
    } else {
        call = calloc(1, sizeof(*call));
        if (call == NULL) {
            return NULL;
        }
    }
    call->next = NULL;
    call->publisher = publisher;
    call->state = OPEN;
    call->err.code = 0;
    ox__lines_reset(&call->lines);
    *(publisher->last != NULL ? &publisher->last->next : &publisher->first) = call;
    publisher->last = call;
    return call;
}

static bool make_room(struct call *call)
{
    if (call->lines.count < call->room) {
        return true;
    }
    size_t room = call->room > 0 ? call->room * 2 : 64;
    void *datas = realloc(call->datas, room * sizeof(*call->datas));
    if (datas == NULL) {
        return false;
    }
    call->datas = datas;
    void *out = realloc(call->out, room * sizeof(*call->out));
    if (out == NULL) {
        return false;
    }
    call->out = out;
    call->room = room;
    return true;
}

static bool is_full(const struct call *call)
{
    return call->lines.count >= call->publisher->options.pack_events ||
           call->lines.text.len >= call->publisher->options.pack_bytes;
}

static void close_call(struct call *call)
{
    call->state = CLOSED;
    call->publisher->due = false;
    uv_timer_stop(&call->publisher->timer);
}

/* ---- telling ----------------------------------------------------------------------------- */

static void tell_call(struct call *call)
{
    ox_publisher *publisher = call->publisher;
    ox_error large;
    ox__fail(&large, OX_EINVAL,
        "stream %s: the event is larger than %lld bytes, the stream's max_event",
        publisher->at.name, (long long)call->limit);
    for (size_t i = 0; i < call->lines.count; i++) {
        const ox_error *err = call->lines.rows[i].left_out ? &large
                              : call->err.code != 0        ? &call->err
                                                           : NULL;
        publisher->held--;
        publisher->published(
            publisher->arg, call->datas[i], err == NULL ? &call->out[i] : NULL, err);
    }
}

static void finish(ox_publisher *publisher);

/* Tells the oldest calls that have ended. The callbacks may put, close and abort. */
static void tell(ox_publisher *publisher)
{
    if (publisher->telling) {
        return;
    }
    publisher->telling = true;
    while (publisher->first != NULL && publisher->first->state == ENDED) {
        struct call *call = publisher->first;
        tell_call(call);
        publisher->first = call->next;
        publisher->last = call->next != NULL ? publisher->last : NULL;
        call->next = publisher->spare;
        publisher->spare = call;
    }
    publisher->telling = false;
    if (publisher->was_full && publisher->held <= publisher->options.most / 2 &&
        !publisher->closing) {
        publisher->was_full = false;
        if (publisher->options.drained != NULL) {
            publisher->options.drained(publisher, publisher->arg);
        }
    }
    if (publisher->closing && publisher->held == 0) {
        finish(publisher);
    }
}

/* ---- sending ----------------------------------------------------------------------------- */

static void fail_call(struct call *call, const ox_error *why)
{
    call->state = ENDED;
    ox__stream_failed(&call->publisher->at, why, &call->err);
}

static void on_sent(struct ox__sending *sending, int rc, const ox_error *err);

static void send_call(struct call *call)
{
    ox_error why = { 0 };
    call->sending.done = on_sent;
    call->sending.arg = call;
    call->sending.keep = true;
    int rc = ox__publish_query(&call->sending.query, &call->publisher->at, &call->call, &why);
    rc = rc < 0 ? rc : ox__send(call->publisher->link, &call->sending, &why);
    if (rc < 0) {
        fail_call(call, &why);
        return;
    }
    call->state = SENT;
    call->publisher->flight++;
}

/* Leaves out the events that the stream does not take. Returns how many others there are. */
static size_t leave_out(struct call *call)
{
    size_t others = 0;
    call->limit = call->call.max_event;
    for (size_t i = 0; i < call->lines.count; i++) {
        struct ox__event_row *row = &call->lines.rows[i];
        row->left_out = row->left_out || row->len > call->limit;
        others += !row->left_out;
    }
    return others;
}

static void pump(ox_publisher *publisher);

static void on_sent(struct ox__sending *sending, int rc, const ox_error *err)
{
    struct call *call = sending->arg;
    ox_publisher *publisher = call->publisher;
    publisher->flight--;
    if (rc < 0 && call->call.max_event > 0 && !publisher->stopped) {
        if (leave_out(call) > 0) {
            send_call(call);
            call->call.tries++; /* it has been sent before */
        } else {
            call->state = ENDED;
        }
    } else if (rc < 0) {
        fail_call(call, err);
    } else {
        call->state = ENDED;
    }
    if (!publisher->stopped) { /* else all is told when the link is closed */
        pump(publisher);
    }
}

/* Whether a call has been sent again, because it lacked something or the server its script, and
 * is in flight: a new one might overtake others that go again. */
static bool is_holding(const ox_publisher *publisher)
{
    const struct call *call = publisher->first;
    while (call != NULL && !(call->state == SENT &&
                               (call->call.tries > 1 || ox__sending_again(&call->sending)))) {
        call = call->next;
    }
    return call != NULL;
}

/* The call that is to be sent next: the oldest that was not, when it is full or has waited long
 * enough, or nothing is in flight. So one that cannot be sent yet goes on gathering. */
static struct call *next_call(ox_publisher *publisher)
{
    struct call *call = publisher->first;
    while (call != NULL && (call->state == SENT || call->state == ENDED)) {
        call = call->next;
    }
    if (call != NULL && call->state == OPEN) {
        bool ready = publisher->due || publisher->flight == 0 || publisher->closing;
        if (call->lines.count == 0 || !ready) {
            return NULL;
        }
        close_call(call);
    }
    return call;
}

/* Sends what can be sent, then tells what has ended. */
static void pump(ox_publisher *publisher)
{
    struct call *call;
    while (publisher->flight < publisher->options.calls && !is_holding(publisher) &&
           (call = next_call(publisher)) != NULL) {
        ox__uuid7(&publisher->maker, call->id, ox__now_ms());
        call->call = (struct ox__publish_call){ .lines = &call->lines,
            .form = &publisher->form,
            .count = call->lines.count,
            .out = call->out,
            .id = call->id };
        send_call(call);
    }
    tell(publisher);
}

static void on_prepare(uv_prepare_t *prepare)
{
    ox_publisher *publisher = prepare->data;
    uv_prepare_stop(prepare);
    pump(publisher);
}

static void on_timer(uv_timer_t *timer)
{
    ox_publisher *publisher = timer->data;
    publisher->due = true;
    pump(publisher);
}

/* ---- what the program calls -------------------------------------------------------------- */

int ox_publisher_put(
    ox_publisher *publisher, const ox_new_event *event, void *data, ox_error *err)
{
    OX__NEED(publisher, err);
    OX__NEED(event, err);
    if (publisher->closing) {
        return ox__fail(err, OX_ECLOSED, "the publisher is closed");
    }
    if (publisher->held >= publisher->options.most) {
        publisher->was_full = true;
        return ox__fail(err, OX_ESTATE, "stream %s: %u events wait to be published",
            publisher->at.name, publisher->held);
    }
    struct call *call = open_call(publisher);
    if (call == NULL || !make_room(call)) {
        return ox__fail_memory(err);
    }
    int rc = ox__lines_add(&call->lines, &publisher->maker, event, err);
    if (rc < 0) {
        return rc;
    }
    call->datas[call->lines.count - 1] = data;
    publisher->held++;
    if (is_full(call)) {
        close_call(call);
    } else if (call->lines.count == 1) {
        uv_timer_start(&publisher->timer, on_timer, publisher->options.pack_ms, 0);
    }
    if (publisher->flight == 0 || call->state == CLOSED) {
        uv_prepare_start(&publisher->prepare, on_prepare);
    }
    return 0;
}

uint32_t ox_publisher_held(const ox_publisher *publisher)
{
    return publisher != NULL ? publisher->held : 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static void on_down(void *arg, const ox_error *err)
{
    ox_publisher *publisher = arg;
    ox_error why;
    if (publisher->options.error != NULL && !publisher->closing) {
        ox__stream_failed(&publisher->at, err, &why);
        publisher->options.error(publisher, &why, publisher->arg);
    }
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int set_options(
    ox_publisher *publisher, const ox_publisher_options *options, ox_error *err)
{
    static const ox_publisher_options none;
    int rc = OX__RESERVED(ox_publisher_options, options, err);
    ox_publisher_options *own = &publisher->options;
    *own = options != NULL ? *options : none;
    own->pack_events = or_default(own->pack_events, 500);
    own->pack_bytes = or_default(own->pack_bytes, 65536);
    own->pack_ms = or_default(own->pack_ms, 5);
    own->calls = or_default(own->calls, 4);
    own->most = or_default(own->most, 100000);
    if (rc == 0 && (own->pack_events > MAX_PACK_EVENTS || own->pack_bytes > OX__CALL_BYTES ||
                       own->calls > MAX_CALLS)) {
        rc =
            ox__fail(err, OX_EINVAL, "pack_events must be 0..%d, pack_bytes 0..%d, calls 0..%d",
                MAX_PACK_EVENTS, OX__CALL_BYTES, MAX_CALLS);
    }
    return rc;
}

static void free_publisher(ox_publisher *publisher)
{
    free_calls(publisher->first);
    free_calls(publisher->spare);
    ox__deflater_done(&publisher->form.deflater);
    ox__queue_at_done(&publisher->at);
    free(publisher->source);
    free(publisher);
}

int ox_publisher_new(ox_publisher **out, struct uv_loop_s *loop, const ox_stream *stream,
    const ox_publisher_options *options, ox_published_fn *published, void *arg, ox_error *err)
{
    OX__NEED(out, err);
    OX__NEED(loop, err);
    OX__NEED(stream, err);
    OX__NEED(published, err);
    ox_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL) {
        return ox__fail_memory(err);
    }
    const ox_client *client = stream->client;
    const struct ox__link_options link = { .url = &client->conn.url,
        .connect_timeout_ms = client->connect_timeout_ms,
        .command_timeout_ms = client->command_timeout_ms,
        .base = stream->at.base,
        .down = on_down,
        .arg = publisher };
    publisher->published = published;
    publisher->arg = arg;
    publisher->form.needs = OX__NEEDS_KEYS; /* until it is known */
    publisher->source = strdup(stream->source);
    publisher->maker.source = publisher->source;
    int rc = publisher->source == NULL ? ox__fail_memory(err) : 0;
    rc = rc < 0 ? rc : set_options(publisher, options, err);
    rc = rc < 0 ? rc : ox__queue_at_copy(&publisher->at, &stream->at, err);
    rc = rc < 0 ? rc : ox__link_new(&publisher->link, loop, &link, err);
    if (rc < 0) {
        free_publisher(publisher);
        return rc;
    }
    uv_timer_init(loop, &publisher->timer);
    uv_prepare_init(loop, &publisher->prepare);
    publisher->timer.data = publisher->prepare.data = publisher;
    ox__link_start(publisher->link);
    *out = publisher;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    ox_publisher *publisher = handle->data;
    if (--publisher->open_handles == 0) {
        void (*closed)(void *arg) = publisher->closed;
        void *arg = publisher->closed_arg;
        free_publisher(publisher);
        if (closed != NULL) {
            closed(arg);
        }
    }
}

/* What is not answered ends, in order. */
static void on_link_closed(void *arg)
{
    ox_publisher *publisher = arg;
    ox_error why;
    ox__fail(&why, OX_ECLOSED, "the publisher was closed before the answer came");
    for (struct call *call = publisher->first; call != NULL; call = call->next) {
        if (call->state != ENDED) {
            fail_call(call, &why);
        }
    }
    tell(publisher);
    publisher->open_handles = 2;
    uv_close((uv_handle_t *)&publisher->timer, on_handle_closed);
    uv_close((uv_handle_t *)&publisher->prepare, on_handle_closed);
}

/* Closes the link, once. */
static void finish(ox_publisher *publisher)
{
    if (!publisher->stopped) {
        publisher->stopped = true;
        uv_timer_stop(&publisher->timer);
        uv_prepare_stop(&publisher->prepare);
        ox__link_close(publisher->link, on_link_closed, publisher);
    }
}

void ox_publisher_close(ox_publisher *publisher, void (*closed)(void *arg), void *arg)
{
    if (publisher != NULL && !publisher->closing) {
        publisher->closing = true;
        publisher->closed = closed;
        publisher->closed_arg = arg;
        uv_prepare_start(&publisher->prepare, on_prepare);
    }
}

void ox_publisher_abort(ox_publisher *publisher, void (*closed)(void *arg), void *arg)
{
    if (publisher != NULL) {
        publisher->closing = true;
        publisher->closed = closed;
        publisher->closed_arg = arg;
        finish(publisher);
    }
}
