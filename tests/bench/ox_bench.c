/*
 * ox_bench.c - the Ox side of the benchmarks: one question a run, one line of JSON as answer.
 *
 *   ox_bench MODE --url URL [--jobs N] [--concurrency N] [--payload BYTES] [--drop] [--quiet]
 *            [--warm N] [--spread MS] [--batch N] [--calls N] [--prefilled]
 *            [--lock-after MS [--late-start]] [--spin US]
 *
 *   single   adds N jobs, waiting for each
 *   bulk     adds N jobs as a stream
 *   process  adds N jobs (not timed), then runs them with a callback that does nothing
 *   latency  adds N jobs one at a time to an idle worker: from before the add to the callback
 *   delayed  adds N jobs due within --spread ms: how late each starts
 *   serve    runs what there is until SIGTERM; whoever started it counts
 *
 * --drop removes jobs when they complete, --quiet writes no events, --warm does the same with
 * N jobs of another queue before. Each job carries its number; a run is exact when every number
 * was run exactly once. (Whether what was added is in Redis, run.mjs looks itself.) run.mjs
 * calls this and its peers, which answer with the same fields; see measure.h.
 */
#include "measure.h"

#include <ox.h>

#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

struct bench {
    char *url;
    int jobs, warm, concurrency, payload, spread_ms, batch, calls, lock_after_ms, spin_us;
    gboolean drop, quiet, prefilled, late_start;

    ox_client *client;
    ox_queue *queue;
    ox_job_options job_options;
    GString *data;

    uv_loop_t loop;
    ox_worker *worker;
    unsigned char *runs; /* by number: how often it ran */
    int done;
    double *samples; /* ms, by number */
    pthread_mutex_t lock;
    pthread_cond_t ran;
    int expected; /* latency: the job that is awaited */
    double added_ms;
};

static struct bench b = { .jobs = 10000, .concurrency = 50, .payload = 100, .spread_ms = 5000 };

static void die(const ox_error *err)
{
    fprintf(stderr, "ox_bench: %s\n", err->text);
    exit(1);
}

/* ---- adding ------------------------------------------------------------------------------ */

static void add_one(int number, const ox_job_options *options)
{
    ox_error err = { 0 };
    if (ox_queue_add(b.queue, "bench", measure_data(b.data, number, b.payload), options, NULL,
            &err) < 0) {
        die(&err);
    }
}

static void add_stream(void)
{
    ox_error err = { 0 };
    ox_adder *adder = NULL;
    if (ox_adder_new(&adder, b.queue, NULL, NULL, &err) < 0) {
        die(&err);
    }
    for (int i = 0; i < b.jobs; i++) {
        const ox_new_job job = { .name = "bench",
            .json = measure_data(b.data, i, b.payload),
            .options = &b.job_options };
        if (ox_adder_put(adder, &job, &err) < 0) {
            die(&err);
        }
    }
    if (ox_adder_flush(adder, &err) < 0) {
        die(&err);
    }
    ox_adder_free(adder);
}

/* ---- working ----------------------------------------------------------------------------- */

/* Nothing is left on the loop then, so that it ends by itself. */
static void on_closed(void *arg)
{
    (void)arg;
}

static void note_run(int number, double sample_ms)
{
    if (number >= 0 && number < b.jobs) {
        b.runs[number] += b.runs[number] < 255 ? 1 : 0;
        b.samples[number] = sample_ms;
    }
}

static void process(ox_task *task, void *arg)
{
    const char *data = ox_job_text(ox_task_job(task), OX_JOB_DATA);
    int number = measure_number(data);
    (void)arg;
    note_run(number, 0);
    ox_task_complete(task, NULL);
    if (++b.done == b.jobs) {
        ox_worker_close(b.worker, on_closed, NULL);
    }
}

static void process_delayed(ox_task *task, void *arg)
{
    const ox_job *job = ox_task_job(task);
    int64_t due = 0;
    int number = measure_number(ox_job_text(job, OX_JOB_DATA));
    (void)arg;
    /* Its options say after how long, its timestamp since when. */
    const char *delay = strstr(ox_job_text(job, OX_JOB_OPTS), "\"delay\":");
    due = ox_job_number(job, OX_JOB_TIMESTAMP, 0) +
          (delay != NULL ? strtoll(delay + strlen("\"delay\":"), NULL, 10) : 0);
    note_run(number, measure_wall_ms() - (double)due);
    ox_task_complete(task, NULL);
    if (++b.done == b.jobs) {
        ox_worker_close(b.worker, on_closed, NULL);
    }
}

static void process_latency(ox_task *task, void *arg)
{
    double now_ms = measure_now_ms();
    int number = measure_number(ox_job_text(ox_task_job(task), OX_JOB_DATA));
    (void)arg;
    pthread_mutex_lock(&b.lock);
    note_run(number, now_ms - b.added_ms);
    b.expected = number + 1;
    pthread_cond_signal(&b.ran);
    pthread_mutex_unlock(&b.lock);
    ox_task_complete(task, NULL);
    if (++b.done == b.jobs) {
        ox_worker_close(b.worker, on_closed, NULL);
    }
}

static void on_error(ox_worker *worker, const char *id, const ox_error *err, void *arg)
{
    (void)worker;
    (void)arg;
    fprintf(stderr, "ox_bench: %s: %s\n", id != NULL ? id : "worker", err->text);
}

static void start_worker(ox_process_fn *fn)
{
    ox_error err = { 0 };
    const ox_worker_options options = {
        .concurrency = (uint32_t)b.concurrency,
        .calls = (uint32_t)b.calls,
        .lock_after_ms = (uint32_t)b.lock_after_ms,
        .late_start = b.late_start,
        .error = on_error,
    };
    b.runs = g_malloc0((size_t)b.jobs);
    b.samples = g_new0(double, b.jobs);
    uv_loop_init(&b.loop);
    if (ox_worker_new(&b.worker, &b.loop, b.queue, &options, fn, NULL, &err) < 0) {
        die(&err);
    }
}

static bool exact(void)
{
    for (int i = 0; b.runs != NULL && i < b.jobs; i++) {
        if (b.runs[i] != 1) {
            return false;
        }
    }
    return true;
}

/* ---- modes ------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void run_single(void)
{
    for (int i = 0; i < b.jobs; i++) {
        add_one(i, &b.job_options);
    }
}

static void fill(void)
{
    if (!b.prefilled) {
        add_stream();
    }
}

static void run_process(void)
{
    start_worker(process);
    uv_run(&b.loop, UV_RUN_DEFAULT);
}

/* Adds the next job when the last one was seen and the worker has gone to sleep again. */
static void *feed_latency(void *arg)
{
    (void)arg;
    for (int i = 0; i < b.jobs; i++) {
        measure_sleep_ms(5);
        pthread_mutex_lock(&b.lock);
        b.added_ms = measure_now_ms();
        pthread_mutex_unlock(&b.lock);
        add_one(i, &b.job_options);
        pthread_mutex_lock(&b.lock);
        while (b.expected <= i) {
            pthread_cond_wait(&b.ran, &b.lock);
        }
        pthread_mutex_unlock(&b.lock);
    }
    return NULL;
}

static void run_latency(void)
{
    pthread_t feeder;
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.ran, NULL);
    start_worker(process_latency);
    pthread_create(&feeder, NULL, feed_latency, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    pthread_join(feeder, NULL);
}

/* Due from when all of them are surely there. */
static void add_delayed(void)
{
    ox_error err = { 0 };
    ox_adder *adder = NULL;
    if (ox_adder_new(&adder, b.queue, NULL, NULL, &err) < 0) {
        die(&err);
    }
    int64_t begin = (int64_t)measure_wall_ms() + 500 + b.jobs / 5;
    for (int i = 0; i < b.jobs; i++) {
        ox_job_options options = b.job_options;
        options.timestamp_ms = (int64_t)measure_wall_ms();
        int64_t due = begin + (int64_t)i * b.spread_ms / b.jobs;
        options.delay_ms = due > options.timestamp_ms ? due - options.timestamp_ms : 0;
        const ox_new_job job = {
            .name = "bench", .json = measure_data(b.data, i, b.payload), .options = &options
        };
        if (ox_adder_put(adder, &job, &err) < 0) {
            die(&err);
        }
    }
    if (ox_adder_flush(adder, &err) < 0) {
        die(&err);
    }
    ox_adder_free(adder);
    if (measure_wall_ms() > (double)begin) {
        fprintf(stderr, "ox_bench: the first jobs were due before the last were added\n");
        exit(1);
    }
}

static void run_delayed(void)
{
    start_worker(process_delayed);
    uv_run(&b.loop, UV_RUN_DEFAULT);
}

static void process_any(ox_task *task, void *arg)
{
    (void)arg;
    ox_task_complete(task, NULL);
}

static void on_term(uv_signal_t *signal, int number)
{
    (void)number;
    uv_close((uv_handle_t *)signal, NULL);
    ox_worker_close(b.worker, on_closed, NULL);
}

static void run_serve(void)
{
    uv_signal_t term;
    start_worker(process_any);
    memset(b.runs, 1, (size_t)b.jobs);
    uv_signal_init(&b.loop, &term);
    uv_signal_start(&term, on_term, SIGTERM);
    uv_run(&b.loop, UV_RUN_DEFAULT);
}

static const struct mode {
    const char *name;
    void (*before)(void); /* not timed */
    void (*run)(void);
    const char *warm; /* the mode that warms up for it */
} modes[] = {
    { "single", nothing, run_single, "single" },
    { "bulk", nothing, add_stream, "bulk" },
    { "process", fill, run_process, "process" },
    { "latency", nothing, run_latency, "latency" },
    { "delayed", add_delayed, run_delayed, "process" },
    { "serve", nothing, run_serve, "process" },
};

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(modes[i].name, name) == 0) {
            return &modes[i];
        }
    }
    return NULL;
}

static void open_queue(const char *name)
{
    ox_error err = { 0 };
    const ox_queue_options queue = { .no_events = b.quiet, .batch = (uint32_t)b.batch };
    if (ox_queue_new(&b.queue, b.client, name, &queue, &err) < 0) {
        die(&err);
    }
}

static void close_queue(void)
{
    if (b.worker != NULL) {
        uv_loop_close(&b.loop);
        b.worker = NULL;
    }
    ox_queue_free(b.queue);
    g_free(b.runs);
    g_free(b.samples);
    b.queue = NULL;
    b.runs = NULL;
    b.samples = NULL;
    b.done = b.expected = 0;
}

static void warm_up(const struct mode *mode)
{
    int jobs = b.jobs;
    gboolean prefilled = b.prefilled;
    b.jobs = b.warm;
    b.prefilled = FALSE;
    g_autofree char *own = g_strdup_printf("warm-%d", (int)getpid());
    open_queue(own);
    mode->before();
    mode->run();
    close_queue();
    b.jobs = jobs;
    b.prefilled = prefilled;
}

static void bench(const struct mode *mode)
{
    ox_error err = { 0 };
    struct measure m;
    const ox_client_options client = { .url = b.url, .spin_us = (uint32_t)b.spin_us };
    b.data = g_string_new(NULL);
    if (b.drop) {
        b.job_options.remove_on_complete.mode = OX_KEEP_NONE;
    }
    if (ox_client_new(&b.client, &client, &err) < 0) {
        die(&err);
    }
    if (b.warm > 0) {
        warm_up(find_mode(mode->warm));
    }
    open_queue("bench");
    mode->before();
    measure_begin(&m);
    mode->run();
    measure_end(&m);
    measure_report(&m, b.jobs, exact(), b.samples);
    close_queue();
    ox_client_free(b.client);
    g_string_free(b.data, TRUE);
    g_free(b.url);
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "url", 0, 0, G_OPTION_ARG_STRING, &b.url, "where Redis is", "URL" },
        { "jobs", 0, 0, G_OPTION_ARG_INT, &b.jobs, "how many", "N" },
        { "warm", 0, 0, G_OPTION_ARG_INT, &b.warm, "how many before them", "N" },
        { "concurrency", 0, 0, G_OPTION_ARG_INT, &b.concurrency, "slots", "N" },
        { "payload", 0, 0, G_OPTION_ARG_INT, &b.payload, "bytes of data", "BYTES" },
        { "spread", 0, 0, G_OPTION_ARG_INT, &b.spread_ms, "delayed: all due within", "MS" },
        { "batch", 0, 0, G_OPTION_ARG_INT, &b.batch, "jobs in one call", "N" },
        { "calls", 0, 0, G_OPTION_ARG_INT, &b.calls, "calls in flight", "N" },
        { "lock-after", 0, 0, G_OPTION_ARG_INT, &b.lock_after_ms, "for locks", "MS" },
        { "late-start", 0, 0, G_OPTION_ARG_NONE, &b.late_start, "with the lock", NULL },
        { "spin", 0, 0, G_OPTION_ARG_INT, &b.spin_us, "look for answers", "US" },
        { "drop", 0, 0, G_OPTION_ARG_NONE, &b.drop, "remove on completion", NULL },
        { "quiet", 0, 0, G_OPTION_ARG_NONE, &b.quiet, "write no events", NULL },
        { "prefilled", 0, 0, G_OPTION_ARG_NONE, &b.prefilled, "the jobs are there", NULL },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("MODE");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || b.jobs < 1) {
        fprintf(stderr, "ox_bench: %s\n", error != NULL ? error->message : "one MODE, please");
        return 2;
    }
    const struct mode *mode = find_mode(argv[1]);
    if (mode == NULL) {
        fprintf(stderr, "ox_bench: unknown mode %s\n", argv[1]);
        return 2;
    }
    bench(mode);
    return 0;
}
