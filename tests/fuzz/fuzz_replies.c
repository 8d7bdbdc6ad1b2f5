/*
 * fuzz_replies.c - the blocking calls of the library, against a server that answers anything.
 *
 * Input: a letter that says which call (see `calls`), then the bytes that the server sends in
 * Redis' protocol. Whatever they are, the call comes back, with an error that has a text, or
 * with objects that can be read to their ends and freed. The program stands in for socket.c:
 * each connection is answered with these bytes, one by one as long as somebody waits for an
 * answer, and what is sent goes nowhere.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <ox.h>
#include <poll.h>
#include <unistd.h>

#include "lib/wire/socket.h"

#define CONNECTIONS 16 /* in one run: readers of events make their own */

static const uint8_t *answers;
static size_t answers_len, at;
static int connections;
static bool greeted;

static int open_one(struct ox__socket *s)
{
    if (connections == CONNECTIONS) {
        return -EMFILE;
    }
    connections++;
    at = 0;
    greeted = s->connected = false;
    s->fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* always ready */
    return 0;
}

int ox__socket_open(struct ox__socket *s, const struct sockaddr *address, socklen_t size)
{
    (void)address;
    (void)size;
    return open_one(s);
}

int ox__socket_open_unix(struct ox__socket *s, const char *path)
{
    (void)path;
    return open_one(s);
}

void ox__socket_close(struct ox__socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
}

void ox__socket_connected(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    s->connected = true;
    ox__conn_opened(conn, now_ms);
    ox__socket_write(s, conn, now_ms);
}

void ox__socket_write(struct ox__socket *s, struct ox__conn *conn, int64_t now_ms)
{
    struct iovec pieces[8];
    int count;
    (void)s;
    while ((count = ox__conn_out(conn, pieces, 8)) > 0) {
        for (int i = 0; i < count; i++) {
            ox__conn_written(conn, pieces[i].iov_len, now_ms);
        }
    }
}

short ox__socket_wants(const struct ox__socket *s, const struct ox__conn *conn)
{
    (void)conn;
    return s->connected ? POLLIN : POLLOUT;
}

int ox__socket_init(struct ox__socket *s, const struct ox__url *url, ox_error *err)
{
    (void)url;
    (void)err;
    s->fd = -1;
    return 0;
}

void ox__socket_done(struct ox__socket *s)
{
    ox__socket_close(s);
}

void ox__socket_read(struct ox__socket *s, struct ox__conn *conn, bool trouble, int64_t now_ms)
{
    const struct ox__request *waiting = conn->sent.head;
    (void)s;
    (void)trouble;
    if (!greeted) {
        greeted = true;
        ox__conn_in(conn, "+PONG\r\n", 7, now_ms);
        return;
    }
    while (waiting != NULL && conn->sent.head == waiting && !conn->broken) {
        if (at == answers_len) {
            ox__conn_break(conn, OX_ETIMEOUT, "timed out");
        } else {
            ox__conn_in(conn, (const char *)answers + at++, 1, now_ms);
        }
    }
}

/* ---- what is done with answers ----------------------------------------------------------- */

static size_t sum; /* of all that was read, so that nothing of it is left out */

static void read_text(const char *text)
{
    sum += text != NULL ? strlen(text) : 0;
}

static void read_job(const ox_job *job)
{
    read_text(ox_job_id(job));
    for (int field = 0; field < OX_FIELD_COUNT; field++) {
        const char *text = ox_job_text(job, field);
        expect(text != NULL || ox_job_length(job, field) == 0);
        expect(text == NULL || text[ox_job_length(job, field)] == '\0');
        read_text(text);
        sum += (size_t)ox_job_number(job, field, 0);
    }
    expect(ox_job_attempts(job) >= 1);
    expect(ox_job_due_ms(job) >= 0);
}

/* ---- calls ------------------------------------------------------------------------------- */

struct call {
    ox_client *client;
    ox_queue *queue;
    ox_stream *stream;
    ox_error err;
};

#define QUEUE call->queue
#define STREAM call->stream
#define ERR &call->err

/* Two plain jobs travel in one call, a third with options in another. */
static const ox_job_options some_options = { .id = "own",
    .delay_ms = 5,
    .dedup = { .id = "d", .ttl_ms = 9, .extend = true },
    .backoff = { .type = "fixed", .delay_ms = 10 } };
static const ox_new_job some_jobs[] = {
    { .name = "a" },
    { .name = "a", .json = "[1]" },
    { .name = "b", .options = &some_options },
};

static int add_plain(struct call *call)
{
    char *id = NULL;
    int rc = ox_queue_add(QUEUE, "a", NULL, NULL, &id, ERR);
    expect((rc == 0) == (id != NULL));
    ox_free(id);
    return rc;
}

static int add_mixed(struct call *call)
{
    char *id = NULL;
    int rc = ox_queue_add(QUEUE, "b", "1", &some_options, &id, ERR);
    expect((rc == 0) == (id != NULL));
    ox_free(id);
    return rc;
}

static int add_bulk(struct call *call)
{
    char *ids[3];
    int rc = ox_queue_add_bulk(QUEUE, some_jobs, 3, ids, ERR);
    for (size_t i = 0; i < 3; i++) {
        expect(rc < 0 || ids[i] != NULL);
        ox_free(ids[i]);
    }
    return rc;
}

static int add_flow(struct call *call)
{
    char *id = NULL;
    int rc = ox_flow_add(call->client, NULL, "q",
        "{\"name\":\"r\",\"children\":[{\"name\":\"a\",\"queueName\":\"p\"},{\"name\":\"b\","
        "\"opts\":{\"jobId\":\"own\"}}]}",
        &id, ERR);
    expect((rc == 0) == (id != NULL));
    ox_free(id);
    return rc;
}

static int get_job(struct call *call)
{
    ox_job *job = NULL;
    int state = -1;
    int rc = ox_queue_job(QUEUE, "1", &job, &state, ERR);
    if (rc == 0) {
        expect(state >= 0 && state <= OX_UNKNOWN);
        read_job(job);
    }
    ox_job_free(job);
    return rc;
}

static int get_state(struct call *call)
{
    int rc = ox_queue_job_state(QUEUE, "1", ERR);
    expect(rc <= OX_UNKNOWN);
    return rc;
}

static int get_jobs_of(struct call *call, int state, bool ascending)
{
    ox_job **jobs = NULL;
    size_t count = 0;
    int rc = ox_queue_jobs(QUEUE, state, 0, -1, ascending, &jobs, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        read_job(jobs[i]);
    }
    ox_list_free(jobs);
    return rc;
}

static int get_waiting(struct call *call)
{
    return get_jobs_of(call, OX_WAITING, true);
}

static int get_delayed(struct call *call)
{
    return get_jobs_of(call, OX_DELAYED, false);
}

static int get_counts(struct call *call)
{
    ox_counts counts;
    int rc = ox_queue_counts(QUEUE, &counts, ERR);
    for (int i = 0; rc == 0 && i < OX_STATE_COUNT; i++) {
        expect(counts.of[i] >= 0);
    }
    return rc;
}

static int get_priorities(struct call *call)
{
    const uint32_t priorities[] = { 0, 1, 2 };
    int64_t counts[3] = { 0 };
    return ox_queue_counts_by_priority(QUEUE, priorities, 3, counts, ERR);
}

static int get_logs(struct call *call)
{
    char **rows = NULL;
    size_t count = 0;
    int64_t total = 0;
    int rc = ox_queue_logs(QUEUE, "1", 0, -1, &rows, &count, &total, ERR);
    for (size_t i = 0; i < count; i++) {
        read_text(rows[i]);
    }
    ox_list_free(rows);
    return rc;
}

static int get_children(struct call *call)
{
    ox_child **children = NULL;
    size_t count = 0;
    int rc = ox_queue_children(QUEUE, "1", &children, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        const ox_child *child = children[i];
        expect(child->key != NULL);
        read_text(child->key);
        read_text(child->text);
    }
    ox_list_free(children);
    return rc;
}

static int get_place(struct call *call)
{
    ox_place place;
    int rc = ox_queue_place(QUEUE, "1", &place, ERR);
    expect(rc < 0 || (place.ahead >= -1 && place.lock_left_ms >= -1));
    return rc;
}

static int get_info(struct call *call)
{
    ox_queue_info info;
    int rc = ox_queue_info_get(QUEUE, &info, ERR);
    if (rc == 0) {
        expect(memchr(info.version, '\0', sizeof(info.version)) != NULL);
    }
    return rc;
}

static int get_metrics(struct call *call)
{
    ox_metrics *metrics = NULL;
    int rc = ox_queue_metrics(QUEUE, OX_FAILED, &metrics, ERR);
    if (rc == 0) {
        for (size_t i = 0; i < metrics->point_count; i++) {
            sum += (size_t)metrics->points[i];
        }
        ox_free(metrics);
    }
    return rc;
}

static int get_workers(struct call *call)
{
    ox_worker_info **workers = NULL;
    size_t count = 0;
    int rc = ox_queue_workers(QUEUE, &workers, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        read_text(workers[i]->name);
        read_text(workers[i]->address);
    }
    ox_list_free(workers);
    return rc;
}

static int get_schedulers(struct call *call)
{
    ox_scheduler **list = NULL;
    size_t count = 0;
    int rc = ox_queue_schedulers(QUEUE, 0, -1, &list, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        const ox_scheduler *s = list[i];
        expect(s->id != NULL);
        read_text(s->id);
        read_text(s->name);
        read_text(s->pattern);
        read_text(s->tz);
        read_text(s->data);
        read_text(s->opts);
    }
    ox_list_free(list);
    return rc;
}

static int get_queues(struct call *call)
{
    char **names = NULL;
    size_t count = 0;
    int rc = ox_client_queues(call->client, NULL, &names, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        expect(names[i][0] != '\0');
    }
    ox_list_free(names);
    return rc;
}

static int get_time(struct call *call)
{
    int64_t now_ms;
    return ox_client_time(call->client, &now_ms, ERR);
}

static int wait_durable(struct call *call)
{
    int local, replicas;
    return ox_client_wait_durable(call->client, 1, 1, &local, &replicas, ERR);
}

static int wait_for_job(struct call *call)
{
    char *json = NULL;
    int rc = ox_queue_wait(QUEUE, "1", 1, &json, ERR);
    expect((rc == 0) == (json != NULL));
    ox_free(json);
    return rc;
}

static int follow(struct call *call)
{
    ox_events *events = NULL;
    ox_event event;
    int rc = ox_events_new(&events, QUEUE, "0", ERR);
    while (rc >= 0 && (rc = ox_events_next(events, 1, &event, ERR)) > 0) {
        expect(event.stream_id != NULL && event.name != NULL && event.field_count % 2 == 0);
        read_text(event.job_id);
        for (size_t i = 0; i < event.field_count; i++) {
            read_text(event.fields[i]);
        }
    }
    ox_events_free(events);
    return rc;
}

static int follow_new(struct call *call)
{
    ox_events *events = NULL;
    ox_event event;
    int rc = ox_events_new(&events, QUEUE, NULL, ERR);
    if (rc == 0) {
        rc = ox_events_next(events, 1, &event, ERR);
    }
    ox_events_free(events);
    return rc;
}

static int set_scheduler(struct call *call)
{
    const ox_schedule schedule = { .every_ms = 1000 };
    char *id = NULL;
    int rc = ox_scheduler_set(QUEUE, "s", &schedule, NULL, &id, ERR);
    expect((rc == 0) == (id != NULL));
    ox_free(id);
    return rc;
}

static void read_event(const ox_stream_event *event)
{
    expect(event->position != NULL && event->number > 0 && event->lost >= -1);
    expect(strlen(event->json) == event->length);
    read_text(event->type);
    read_text(event->id);
    read_text(event->source);
    read_text(event->subject);
}

static int tail_from(struct call *call, const ox_tail_options *options)
{
    ox_tail *tail = NULL;
    ox_stream_event event;
    int rc = ox_tail_new(&tail, STREAM, options, ERR);
    for (int i = 0; i < 1000 && rc >= 0; i++) {
        rc = ox_tail_next(tail, 1, &event, ERR);
        if (rc > 0) {
            read_event(&event);
        }
        if (rc == 0) {
            break;
        }
        if (rc == OX_EDATA) {
            fuzz_failure(ERR, rc);
            rc = 0;
        }
    }
    if (tail != NULL) {
        read_text(ox_tail_position(tail));
    }
    ox_tail_free(tail);
    return rc;
}

static int tail_all(struct call *call)
{
    return tail_from(call, &(ox_tail_options){ .from = "start", .to = "5000-5000" });
}

static int tail_new(struct call *call)
{
    return tail_from(call, NULL);
}

static int replay(struct call *call)
{
    ox_replayed done;
    const ox_replay_options options = { .to = "5000-5000", .dry_run = true };
    int rc = ox_stream_replay(STREAM, &options, &done, ERR);
    expect(done.sent >= 0 && done.read <= done.of && done.unknown == 0);
    return rc;
}

static int publish(struct call *call)
{
    const ox_new_event events[] = { { .type = "a", .id = "1" }, { .type = "b" } };
    ox_published out[2];
    int rc = ox_stream_publish_many(STREAM, events, 2, out, ERR);
    for (size_t i = 0; i < 2; i++) {
        expect(memchr(out[i].position, '\0', sizeof(out[i].position)) != NULL);
        expect(rc < 0 || out[i].position[0] != '\0');
    }
    return rc;
}

static int get_bindings(struct call *call)
{
    ox_binding **list = NULL;
    size_t count = 0;
    int rc = ox_stream_bindings(STREAM, &list, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        expect(list[i]->pattern != NULL && list[i]->queue != NULL);
        read_text(list[i]->job_name);
        read_text(list[i]->options);
    }
    ox_list_free(list);
    return rc;
}

static int get_streams(struct call *call)
{
    char **names = NULL;
    size_t count = 0;
    int rc = ox_client_streams(call->client, NULL, &names, &count, ERR);
    for (size_t i = 0; i < count; i++) {
        expect(names[i][0] != '\0');
    }
    ox_list_free(names);
    return rc;
}

static int get_stream(struct call *call)
{
    ox_stream_info info;
    int rc = ox_stream_info_get(STREAM, &info, ERR);
    if (rc == 0) {
        expect(memchr(info.first, '\0', sizeof(info.first)) != NULL);
        expect(memchr(info.last, '\0', sizeof(info.last)) != NULL);
    }
    return rc;
}

static int get_settings(struct call *call)
{
    ox_stream_settings settings;
    return ox_stream_settings_get(STREAM, &settings, ERR);
}

static void removed(void *arg, const char *id)
{
    (void)arg;
    read_text(id);
}

/* Calls that answer with a number, or with nothing. */
#define CALL(name, expression)                                                                 \
    static int name(struct call *call)                                                         \
    {                                                                                          \
        int64_t rc = expression;                                                               \
        return rc < 0 ? (int)rc : 0;                                                           \
    }
CALL(clean, ox_queue_clean(QUEUE, OX_WAITING, 0, 0, removed, NULL, ERR))
CALL(retry, ox_queue_retry(QUEUE, "1", OX_FAILED, 0, ERR))
CALL(retry_all, ox_queue_retry_all(QUEUE, OX_FAILED, 0, ERR))
CALL(promote, ox_queue_promote(QUEUE, "1", ERR))
CALL(promote_all, ox_queue_promote_all(QUEUE, ERR))
CALL(remove_job, ox_queue_remove(QUEUE, "1", true, ERR))
CALL(cancel, ox_queue_cancel(QUEUE, "1", "why", ERR))
CALL(add_log, ox_queue_add_log(QUEUE, "1", "row", 5, ERR))
CALL(pause_queue, ox_queue_pause(QUEUE, ERR))
CALL(is_paused, ox_queue_is_paused(QUEUE, ERR))
CALL(drain, ox_queue_drain(QUEUE, true, ERR))
CALL(obliterate, ox_queue_obliterate(QUEUE, false, ERR))
CALL(rate_limit, ox_queue_rate_limit(QUEUE, 5, ERR))
CALL(remove_dependency, ox_queue_remove_child_dependency(QUEUE, "1", ERR))

static const struct {
    char letter;
    int (*run)(struct call *call);
} calls[] = {
    { 'a', add_plain },
    { 'b', add_mixed },
    { 'c', add_bulk },
    { 'd', add_flow },
    { 'e', get_job },
    { 'f', get_state },
    { 'g', get_waiting },
    { 'h', get_delayed },
    { 'i', get_counts },
    { 'j', get_priorities },
    { 'k', get_logs },
    { 'l', get_children },
    { 'm', get_place },
    { 'n', get_info },
    { 'o', get_metrics },
    { 'p', get_workers },
    { 'q', get_schedulers },
    { 'r', get_queues },
    { 's', get_time },
    { 't', wait_durable },
    { 'u', wait_for_job },
    { 'v', follow },
    { 'w', follow_new },
    { 'x', set_scheduler },
    { 'y', clean },
    { 'A', retry },
    { 'B', retry_all },
    { 'C', promote },
    { 'D', promote_all },
    { 'E', remove_job },
    { 'F', add_log },
    { 'G', pause_queue },
    { 'H', is_paused },
    { 'I', drain },
    { 'J', obliterate },
    { 'K', rate_limit },
    { 'L', remove_dependency },
    { 'M', cancel },
    { 'N', tail_all },
    { 'O', tail_new },
    { 'P', replay },
    { 'Q', publish },
    { 'R', get_bindings },
    { 'S', get_streams },
    { 'T', get_stream },
    { 'U', get_settings },
};

static void make_call(int (*run)(struct call *call))
{
    const ox_client_options options = { .url = "unix:///none", .connect_tries = 1 };
    struct call call = { 0 };
    expect(ox_client_new(&call.client, &options, &call.err) == 0);
    expect(ox_queue_new(&call.queue, call.client, "q", NULL, &call.err) == 0);
    expect(ox_stream_new(&call.stream, call.client, NULL, NULL, &call.err) == 0);
    int rc = run(&call);
    if (rc < 0) {
        fuzz_failure(&call.err, rc);
    }
    ox_stream_free(call.stream);
    ox_queue_free(call.queue);
    ox_client_free(call.client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; size > 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].letter == data[0]) {
            answers = data + 1;
            answers_len = size - 1;
            connections = 0;
            make_call(calls[i].run);
        }
    }
    return 0;
}
