/*
 * ox_streams.c - the Ox side of the benchmarks of streams: one question a run, as ox_bench.c.
 *
 *   ox_streams MODE --url URL [--jobs N] [--warm N] [--payload BYTES] [--deflate] [--prefilled]
 *
 *   append  publishes N events through a publisher
 *   bound   the same, with three queues bound to their type
 *   read    publishes N events (not timed), then a group reads and acknowledges all
 *   both    publishes N events while a group in another thread reads and acknowledges them
 *   latency publishes N events one at a time, some ms apart, each with a call of its own, for a
 *           tail that waits in another thread: from before the call until the tail has it
 *
 * A run is exact when each event was reported with the number that follows the one before, and,
 * where it is read, when every event was read exactly once. What is read stays text, as it does
 * in the peer: its JSON is for whoever gets it.
 */
#include "measure.h"

#include <ox.h>

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BATCH 1000

static struct {
    char *url;
    int jobs, warm, payload;
    gboolean deflate, prefilled;

    ox_client *client;
    ox_stream *stream;
    const char *name; /* of the stream */
    GString *data;
    uv_loop_t loop;
    uv_idle_t idle; /* runs while the publisher takes events */
    ox_publisher *publisher;
    int put, answered;
    int64_t last; /* number of the last event that was reported */
    bool wrong;

    uv_loop_t read_loop;
    ox_consumer *consumer;
    unsigned char *reads; /* by number of the event */
    int done;

    GMutex lock;
    GCond seen;
    int arrived; /* latency: events that the tail has */
    double put_ms;
    double *samples; /* ms, by number; only for latency */
} b = { .jobs = 100000, .payload = 175 };

static void die(const ox_error *err)
{
    fprintf(stderr, "ox_streams: %s\n", err->text);
    exit(1);
}

/* ---- publishing -------------------------------------------------------------------------- */

static int64_t number_of(const char *position)
{
    return g_ascii_strtoll(strchr(position, '-') + 1, NULL, 10);
}

static void on_published(
    void *arg, void *data, const ox_published *published, const ox_error *err)
{
    (void)arg;
    (void)data;
    if (published == NULL) {
        die(err);
    }
    b.wrong |= published->duplicate || number_of(published->position) != b.last + 1;
    b.last++;
    b.answered++;
}

/* Puts as many as are taken. The attributes have about 160 bytes. */
static void put_some(uv_idle_t *idle)
{
    ox_error err = { 0 };
    for (int i = 0; i < BATCH && b.put < b.jobs; i++) {
        const ox_new_event event = {
            .type = "c", .source = "/s", .json = measure_data(b.data, b.put, b.payload - 160)
        };
        int rc = ox_publisher_put(b.publisher, &event, NULL, &err);
        if (rc == OX_ESTATE) {
            uv_idle_stop(idle);
            break;
        }
        if (rc < 0) {
            die(&err);
        }
        b.put++;
    }
    if (b.put == b.jobs) {
        uv_close((uv_handle_t *)idle, NULL);
        ox_publisher_close(b.publisher, NULL, NULL);
    }
}

static void on_drained(ox_publisher *publisher, void *arg)
{
    (void)publisher;
    (void)arg;
    uv_idle_start(&b.idle, put_some);
}

static void run_publisher(void)
{
    const ox_publisher_options options = { .most = 8 * BATCH, .drained = on_drained };
    ox_error err = { 0 };
    uv_loop_init(&b.loop);
    if (ox_publisher_new(&b.publisher, &b.loop, b.stream, &options, on_published, NULL, &err) <
        0) {
        die(&err);
    }
    uv_idle_init(&b.loop, &b.idle);
    uv_idle_start(&b.idle, put_some);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    b.wrong |= b.answered != b.jobs;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void on_closed(void *arg)
{
    (void)arg;
}

static void on_batch(ox_batch *batch, void *arg)
{
    (void)arg;
    size_t count = ox_batch_count(batch);
    for (size_t i = 0; i < count; i++) {
        char position[OX_POSITION_SIZE];
        ox_batch_position(batch, i, position);
        int64_t number = number_of(position);
        b.wrong |= number < 1 || number > b.jobs || b.reads[number - 1]++ != 0;
    }
    b.done += (int)count;
    ox_batch_done(batch);
    if (b.done >= b.jobs) {
        ox_consumer_close(b.consumer, on_closed, NULL);
    }
}

static void on_error(ox_consumer *consumer, const ox_error *err, void *arg)
{
    (void)consumer;
    (void)arg;
    die(err);
}

static void open_consumer(void)
{
    const ox_consumer_options options = {
        .from = "start", .batch_events = BATCH, .concurrency = 4, .error = on_error
    };
    ox_error err = { 0 };
    uv_loop_init(&b.read_loop);
    b.reads = g_malloc0((size_t)b.jobs);
    if (ox_consumer_new(
            &b.consumer, &b.read_loop, b.stream, "bench", &options, on_batch, NULL, &err) < 0) {
        die(&err);
    }
}

static void run_consumer(void)
{
    uv_run(&b.read_loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.read_loop);
    for (int i = 0; i < b.jobs; i++) {
        b.wrong |= b.reads[i] != 1;
    }
    g_free(b.reads);
}

/* ---- one event at a time ------------------------------------------------------------------
 */

/* With a client of its own: one belongs to one thread. */
static gpointer follow(gpointer name)
{
    const ox_client_options options = { .url = b.url };
    const ox_tail_options tail_options = { .from = "start" };
    ox_client *client = NULL;
    ox_stream *stream = NULL;
    ox_tail *tail = NULL;
    ox_error err = { 0 };
    if (ox_client_new(&client, &options, &err) < 0 ||
        ox_stream_new(&stream, client, name, NULL, &err) < 0 ||
        ox_tail_new(&tail, stream, &tail_options, &err) < 0) {
        die(&err);
    }
    for (int i = 0; i < b.jobs; i++) {
        ox_stream_event event = { 0 };
        if (ox_tail_next(tail, 0, &event, &err) < 0) {
            die(&err);
        }
        double now_ms = measure_now_ms();
        g_mutex_lock(&b.lock);
        b.samples[i] = now_ms - b.put_ms;
        b.wrong |= event.number != i + 1 || event.lost != 0;
        b.arrived++;
        g_cond_signal(&b.seen);
        g_mutex_unlock(&b.lock);
    }
    ox_tail_free(tail);
    ox_stream_free(stream);
    ox_client_free(client);
    return NULL;
}

/* Publishes the next event when the last one was seen and the tail waits again. */
static void publish_one(int number)
{
    ox_error err = { 0 };
    ox_published published = { 0 };
    const ox_new_event event = {
        .type = "c", .source = "/s", .json = measure_data(b.data, number, b.payload - 160)
    };
    measure_sleep_ms(5);
    g_mutex_lock(&b.lock);
    b.put_ms = measure_now_ms();
    g_mutex_unlock(&b.lock);
    if (ox_stream_publish(b.stream, &event, &published, &err) < 0) {
        die(&err);
    }
    b.wrong |= published.duplicate;
    g_mutex_lock(&b.lock);
    while (b.arrived <= number) {
        g_cond_wait(&b.seen, &b.lock);
    }
    g_mutex_unlock(&b.lock);
}

static void run_latency(void)
{
    g_free(b.samples);
    b.samples = g_new0(double, b.jobs);
    b.arrived = 0;
    GThread *thread = g_thread_new("tail", follow, (gpointer)b.name);
    for (int i = 0; i < b.jobs; i++) {
        publish_one(i);
    }
    g_thread_join(thread);
}

/* ---- modes ------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void bind_queues(void)
{
    static const char *const queues[] = { "bench1", "bench2", "bench3" };
    ox_error err = { 0 };
    for (size_t i = 0; i < G_N_ELEMENTS(queues); i++) {
        const ox_binding binding = { .pattern = "*", .queue = queues[i] };
        if (ox_stream_bind(b.stream, &binding, &err) < 0) {
            die(&err);
        }
    }
}

static void fill(void)
{
    if (!b.prefilled) {
        run_publisher();
    }
}

static void read_all(void)
{
    open_consumer();
    run_consumer();
}

static gpointer consume(gpointer data)
{
    run_consumer();
    return data;
}

static void run_both(void)
{
    open_consumer();
    GThread *thread = g_thread_new("consumer", consume, NULL);
    run_publisher();
    g_thread_join(thread);
}

static const struct mode {
    const char *name;
    void (*before)(void); /* not timed */
    void (*run)(void);
} modes[] = {
    { "append", nothing, run_publisher },
    { "bound", bind_queues, run_publisher },
    { "read", fill, read_all },
    { "both", nothing, run_both },
    { "latency", nothing, run_latency },
};

static void open_stream(const char *name)
{
    const ox_stream_settings settings = { .deflate = b.deflate, .keep_events = 0 };
    ox_error err = { 0 };
    if (ox_stream_new(&b.stream, b.client, name, NULL, &err) < 0 ||
        ox_stream_settings_set(b.stream, &settings, OX_SET_DEFLATE | OX_SET_KEEP_EVENTS, &err) <
            0) {
        die(&err);
    }
    b.name = name;
    b.put = b.answered = b.done = 0;
    b.last = 0;
}

static void bench(const struct mode *mode)
{
    struct measure m;
    ox_error err = { 0 };
    const ox_client_options options = { .url = b.url };
    b.data = g_string_new(NULL);
    if (ox_client_new(&b.client, &options, &err) < 0) {
        die(&err);
    }
    if (b.warm > 0) {
        int jobs = b.jobs;
        b.jobs = b.warm;
        open_stream("warm");
        if (mode->run == run_latency) {
            run_latency();
        } else {
            run_publisher();
        }
        if (mode->run == read_all) {
            read_all();
        }
        ox_stream_remove(b.stream, true, NULL);
        ox_stream_free(b.stream);
        b.jobs = jobs;
    }
    open_stream("bench");
    mode->before();
    measure_begin(&m);
    mode->run();
    measure_end(&m);
    measure_report(&m, b.jobs, !b.wrong, b.samples);
    ox_stream_free(b.stream);
    ox_client_free(b.client);
    g_string_free(b.data, TRUE);
    g_free(b.samples);
    g_free(b.url);
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "url", 0, 0, G_OPTION_ARG_STRING, &b.url, "where Redis is", "URL" },
        { "jobs", 0, 0, G_OPTION_ARG_INT, &b.jobs, "how many events", "N" },
        { "warm", 0, 0, G_OPTION_ARG_INT, &b.warm, "how many before them", "N" },
        { "payload", 0, 0, G_OPTION_ARG_INT, &b.payload, "bytes of an event", "BYTES" },
        { "deflate", 0, 0, G_OPTION_ARG_NONE, &b.deflate, "compress entries", NULL },
        { "prefilled", 0, 0, G_OPTION_ARG_NONE, &b.prefilled, "the events are there", NULL },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("MODE");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || b.jobs < 1) {
        fprintf(
            stderr, "ox_streams: %s\n", error != NULL ? error->message : "one MODE, please");
        return 2;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            bench(&modes[i]);
            return 0;
        }
    }
    fprintf(stderr, "ox_streams: unknown mode %s\n", argv[1]);
    return 2;
}
