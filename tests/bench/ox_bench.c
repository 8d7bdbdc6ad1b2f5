/*
 * ox_bench.c - the Ox side of the benchmarks: one question a run, one line of JSON as answer.
 *
 *   ox_bench MODE --url URL [--jobs N] [--concurrency N] [--payload BYTES] [--drop] [--quiet]
 *            [--spread MS] [--batch N] [--calls N] [--prefilled]
 *
 *   single   adds N jobs, waiting for each
 *   bulk     adds N jobs as a stream
 *   process  adds N jobs (not timed), then runs them with a callback that does nothing
 *   latency  adds N jobs one at a time to an idle worker: from before the add to the callback
 *   delayed  adds N jobs due within --spread ms: how late each starts
 *   serve    runs what there is until SIGTERM; whoever started it counts
 *
 * --drop removes jobs when they complete, --quiet writes no events. Each job carries its
 * number; a run is exact when every number was run exactly once. run.mjs calls this and its
 * peers, which answer with the same fields.
 */
#include <ox.h>

#include <glib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <uv.h>

struct bench {
    char *url;
    int jobs, concurrency, payload, spread_ms, batch, calls;
    gboolean drop, quiet, prefilled;

    ox_client *client;
    ox_queue *queue;
    ox_job_options job_options;
    GString *data;

    uv_loop_t loop;
    ox_worker *worker;
    unsigned char *runs; /* by number: how often it ran */
    int done;
    bool closed;
    double *samples;     /* ms, by number */
    double cpu_before_s; /* used before the timed part began */
    pthread_mutex_t lock;
    pthread_cond_t ran;
    int expected; /* latency: the job that is awaited */
    int64_t added_ns;
};

static struct bench b = { .jobs = 10000, .concurrency = 50, .payload = 100, .spread_ms = 5000 };

static void die(const ox_error *err)
{
    fprintf(stderr, "ox_bench: %s\n", err->text);
    exit(1);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static double now_s(void)
{
    return (double)now_ns(CLOCK_MONOTONIC) / 1e9;
}

static double cpu_s(struct rusage *usage)
{
    getrusage(RUSAGE_SELF, usage);
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/* {"n":17,"pad":"xxx"} with about as many bytes as asked for. */
static const char *data_of(int number)
{
    g_string_printf(b.data, "{\"n\":%d,\"pad\":\"", number);
    size_t used = b.data->len + 2;
    while (used++ < (size_t)b.payload) {
        g_string_append_c(b.data, 'x');
    }
    g_string_append(b.data, "\"}");
    return b.data->str;
}

/* ---- adding ------------------------------------------------------------------------------ */

static void add_one(int number, const ox_job_options *options)
{
    ox_error err = { 0 };
    if (ox_queue_add(b.queue, "bench", data_of(number), options, NULL, &err) < 0) {
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
        const ox_new_job job = { "bench", data_of(i), &b.job_options };
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

static void on_closed(void *arg)
{
    (void)arg;
    b.closed = true;
}

static void note_run(int number, double sample_ms)
{
    if (number >= 0 && number < b.jobs) {
        b.runs[number] += b.runs[number] < 255 ? 1 : 0;
        b.samples[number] = sample_ms;
    }
}

static int number_of(const char *data)
{
    return (int)strtol(data + strlen("{\"n\":"), NULL, 10);
}

static void process(ox_task *task, void *arg)
{
    const char *data = ox_job_text(ox_task_job(task), OX_JOB_DATA);
    int number = number_of(data);
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
    int number = number_of(ox_job_text(job, OX_JOB_DATA));
    (void)arg;
    /* Its options say after how long, its timestamp since when. */
    const char *delay = strstr(ox_job_text(job, OX_JOB_OPTS), "\"delay\":");
    due = ox_job_number(job, OX_JOB_TIMESTAMP, 0) +
          (delay != NULL ? strtoll(delay + strlen("\"delay\":"), NULL, 10) : 0);
    note_run(number, (double)now_ns(CLOCK_REALTIME) / 1e6 - (double)due);
    ox_task_complete(task, NULL);
    if (++b.done == b.jobs) {
        ox_worker_close(b.worker, on_closed, NULL);
    }
}

static void process_latency(ox_task *task, void *arg)
{
    int64_t now = now_ns(CLOCK_MONOTONIC);
    int number = number_of(ox_job_text(ox_task_job(task), OX_JOB_DATA));
    (void)arg;
    pthread_mutex_lock(&b.lock);
    note_run(number, (double)(now - b.added_ns) / 1e6);
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
        .concurrency = (uint32_t)b.concurrency, .calls = (uint32_t)b.calls, .error = on_error
    };
    struct rusage usage;
    b.cpu_before_s = cpu_s(&usage);
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

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, c = *(const double *)y;
    return (a > c) - (a < c);
}

static double percentile(double p)
{
    int at = (int)(p * (double)(b.jobs - 1) + 0.5);
    return b.samples[at];
}

/* ---- modes ------------------------------------------------------------------------------- */

static double run_single(void)
{
    double start = now_s();
    for (int i = 0; i < b.jobs; i++) {
        add_one(i, &b.job_options);
    }
    return now_s() - start;
}

static double run_bulk(void)
{
    double start = now_s();
    add_stream();
    return now_s() - start;
}

static double run_process(void)
{
    if (!b.prefilled) {
        add_stream();
    }
    double start = now_s();
    start_worker(process);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    return now_s() - start;
}

/* Adds the next job when the last one was seen and the worker has gone to sleep again. */
static void *feed_latency(void *arg)
{
    (void)arg;
    for (int i = 0; i < b.jobs; i++) {
        const struct timespec rest = { .tv_nsec = 5000000 };
        nanosleep(&rest, NULL);
        pthread_mutex_lock(&b.lock);
        b.added_ns = now_ns(CLOCK_MONOTONIC);
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

static double run_latency(void)
{
    pthread_t feeder;
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.ran, NULL);
    start_worker(process_latency);
    double start = now_s();
    pthread_create(&feeder, NULL, feed_latency, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    pthread_join(feeder, NULL);
    return now_s() - start;
}

static double run_delayed(void)
{
    ox_error err = { 0 };
    ox_adder *adder = NULL;
    if (ox_adder_new(&adder, b.queue, NULL, NULL, &err) < 0) {
        die(&err);
    }
    int64_t begin = now_ns(CLOCK_REALTIME) / 1000000 + 2000;
    for (int i = 0; i < b.jobs; i++) {
        ox_job_options options = b.job_options;
        options.timestamp_ms = now_ns(CLOCK_REALTIME) / 1000000;
        int64_t due = begin + (int64_t)i * b.spread_ms / b.jobs;
        options.delay_ms = due > options.timestamp_ms ? due - options.timestamp_ms : 0;
        const ox_new_job job = { "bench", data_of(i), &options };
        if (ox_adder_put(adder, &job, &err) < 0) {
            die(&err);
        }
    }
    if (ox_adder_flush(adder, &err) < 0) {
        die(&err);
    }
    ox_adder_free(adder);
    double start = now_s();
    start_worker(process_delayed);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    return now_s() - start;
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

static double run_serve(void)
{
    uv_signal_t term;
    start_worker(process_any);
    memset(b.runs, 1, (size_t)b.jobs);
    uv_signal_init(&b.loop, &term);
    uv_signal_start(&term, on_term, SIGTERM);
    double start = now_s();
    uv_run(&b.loop, UV_RUN_DEFAULT);
    return now_s() - start;
}

static const struct {
    const char *name;
    double (*run)(void);
} modes[] = {
    { "single", run_single },
    { "bulk", run_bulk },
    { "process", run_process },
    { "latency", run_latency },
    { "delayed", run_delayed },
    { "serve", run_serve },
};

static void open_queue(void)
{
    ox_error err = { 0 };
    const ox_client_options client = { .url = b.url };
    const ox_queue_options queue = { .no_events = b.quiet, .batch = (uint32_t)b.batch };
    b.data = g_string_new(NULL);
    if (b.drop) {
        b.job_options.remove_on_complete.mode = OX_KEEP_NONE;
    }
    if (ox_client_new(&b.client, &client, &err) < 0 ||
        ox_queue_new(&b.queue, b.client, "bench", &queue, &err) < 0) {
        die(&err);
    }
}

static void report(double seconds)
{
    struct rusage usage;
    double cpu = cpu_s(&usage) - b.cpu_before_s;
    printf("{\"jobs\":%d,\"seconds\":%.6f,\"per_s\":%.1f,\"exact\":%s,\"cpu_s\":%.4f,"
           "\"rss_kb\":%ld",
        b.jobs, seconds, b.jobs / seconds, exact() ? "true" : "false", cpu, usage.ru_maxrss);
    if (b.samples != NULL) {
        qsort(b.samples, (size_t)b.jobs, sizeof(double), by_value);
        printf(",\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f", percentile(0.5),
            percentile(0.99), percentile(1));
    }
    printf("}\n");
}

static void close_all(void)
{
    if (b.worker != NULL) {
        uv_loop_close(&b.loop);
    }
    ox_queue_free(b.queue);
    ox_client_free(b.client);
    g_string_free(b.data, TRUE);
    g_free(b.runs);
    g_free(b.samples);
    g_free(b.url);
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "url", 0, 0, G_OPTION_ARG_STRING, &b.url, "where Redis is", "URL" },
        { "jobs", 0, 0, G_OPTION_ARG_INT, &b.jobs, "how many", "N" },
        { "concurrency", 0, 0, G_OPTION_ARG_INT, &b.concurrency, "slots", "N" },
        { "payload", 0, 0, G_OPTION_ARG_INT, &b.payload, "bytes of data", "BYTES" },
        { "spread", 0, 0, G_OPTION_ARG_INT, &b.spread_ms, "delayed: all due within", "MS" },
        { "batch", 0, 0, G_OPTION_ARG_INT, &b.batch, "jobs in one call", "N" },
        { "calls", 0, 0, G_OPTION_ARG_INT, &b.calls, "calls in flight", "N" },
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
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            open_queue();
            report(modes[i].run());
            close_all();
            return 0;
        }
    }
    fprintf(stderr, "ox_bench: unknown mode %s\n", argv[1]);
    return 2;
}
