/*
 * peer_beanstalkd.c - the beanstalkd side of the benchmarks: the questions that it can answer.
 *
 *   peer_beanstalkd MODE --socket PATH [--jobs N] [--warm N] [--payload BYTES]
 *                        [--concurrency N]
 *
 *   single   puts N jobs, waiting for each
 *   bulk     puts N jobs, up to 200 unanswered
 *   process  puts N jobs (not timed), then reserves and deletes them, up to --concurrency
 * (1..100) at once latency  puts N jobs one at a time for a reserve that waits: until it has
 * its answer
 *
 * The text protocol by hand, because it is small: a command is a line, its answer is a line,
 * and commands may be sent before the answers to earlier ones are there (the server takes them
 * in order). A connection collects commands and sends them when it would have to wait for an
 * answer, so batches time themselves. What is unanswered stays far below what a socket buffers;
 * neither side can wait for the other in vain.
 *
 * Every mode ends with all jobs reserved and deleted: a run is exact when each number came once
 * and nothing is left.
 */
#include "measure.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PUTS_MAX = 200, TASKS_MAX = 100, LINE_MAX_BYTES = 256 };

/* How long a job may stay away; 0 asks without waiting. */
#define RESERVE "reserve-with-timeout 20\r\n"

struct line {
    int fd;
    GString *out;
    char in[65536];
    size_t at, end; /* what of `in` is not read yet */
    char text[LINE_MAX_BYTES];
};

struct bench {
    char *socket;
    int jobs, warm, payload, concurrency;
    struct line line;
    GString *data;

    GByteArray *runs; /* by number: how often it came */
    double *samples;  /* ms, by number; only for latency */
    pthread_mutex_t lock;
    pthread_cond_t seen;
    int arrived; /* latency: jobs that came */
    double put_ms;
    bool late; /* a job did not come in time */
};

static struct bench b = { .jobs = 10000, .payload = 100, .concurrency = TASKS_MAX };

static void die(const char *what)
{
    fprintf(stderr, "peer_beanstalkd: %s\n", what);
    exit(1);
}

/* ---- the connection ---------------------------------------------------------------------- */

static void line_open(struct line *line)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (b.socket == NULL || g_strlcpy(address.sun_path, b.socket, sizeof(address.sun_path)) >=
                                sizeof(address.sun_path)) {
        die("--socket must name a unix socket");
    }
    line->out = g_string_new(NULL);
    line->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die("cannot connect");
    }
}

static void line_close(struct line *line)
{
    close(line->fd);
    g_string_free(line->out, TRUE);
}

static void line_flush(struct line *line)
{
    for (size_t sent = 0; sent < line->out->len;) {
        ssize_t n = send(line->fd, line->out->str + sent, line->out->len - sent, MSG_NOSIGNAL);
        if (n <= 0) {
            die("connection lost");
        }
        sent += (size_t)n;
    }
    g_string_truncate(line->out, 0);
}

static char next_byte(struct line *line)
{
    if (line->at == line->end) {
        line_flush(line);
        ssize_t n = recv(line->fd, line->in, sizeof(line->in), 0);
        if (n <= 0) {
            die("connection lost");
        }
        line->at = 0;
        line->end = (size_t)n;
    }
    return line->in[line->at++];
}

/* The next line without its end; borrowed until the next call. */
static const char *next_line(struct line *line)
{
    size_t used = 0;
    for (char c = next_byte(line); c != '\n'; c = next_byte(line)) {
        if (used + 1 < sizeof(line->text)) {
            line->text[used++] = c;
        }
    }
    line->text[used > 0 ? used - 1 : 0] = '\0';
    return line->text;
}

static void expect(struct line *line, const char *word)
{
    const char *text = next_line(line);
    if (!g_str_has_prefix(text, word)) {
        fprintf(stderr, "peer_beanstalkd: %s instead of %s\n", text, word);
        exit(1);
    }
}

/* Uses the tube for what is put and reserved from now on. */
static void choose_tube(struct line *line, const char *tube, const char *before)
{
    g_string_append_printf(
        line->out, "use %s\r\nwatch %s\r\nignore %s\r\n", tube, tube, before);
    expect(line, "USING");
    expect(line, "WATCHING");
    expect(line, "WATCHING");
}

/* ---- jobs -------------------------------------------------------------------------------- */

static void put(int number)
{
    const char *data = measure_data(b.data, number, b.payload);
    g_string_append_printf(b.line.out, "put 0 0 60 %zu\r\n%s\r\n", b.data->len, data);
}

static void put_stream(void)
{
    int unanswered = 0;
    for (int i = 0; i < b.jobs; i++) {
        put(i);
        if (++unanswered == PUTS_MAX) {
            line_flush(&b.line);
            for (; unanswered > PUTS_MAX / 2; unanswered--) {
                expect(&b.line, "INSERTED");
            }
        }
    }
    for (; unanswered > 0; unanswered--) {
        expect(&b.line, "INSERTED");
    }
}

/* Reads the answer to a reserve. Returns the job's number and its id, or false when none came
 * in time. */
static bool take(struct line *line, int *number, uint64_t *id)
{
    char head[LINE_MAX_BYTES];
    const char *text = next_line(line);
    if (strcmp(text, "TIMED_OUT") == 0) {
        return false;
    }
    char *after = NULL;
    if (!g_str_has_prefix(text, "RESERVED ")) {
        die(text);
    }
    *id = strtoull(text + strlen("RESERVED "), &after, 10);
    size_t bytes = strtoul(after, NULL, 10);
    for (size_t i = 0; i < bytes + strlen("\r\n"); i++) {
        char c = next_byte(line);
        if (i < sizeof(head) - 1) {
            head[i] = c;
            head[i + 1] = '\0';
        }
    }
    *number = measure_number(head);
    return true;
}

static void note_run(int number)
{
    if (number >= 0 && number < b.jobs && b.runs->data[number] < 255) {
        b.runs->data[number]++;
    }
}

/* Answers come in the order of the commands: `next` is a ring of what is awaited. Each job
 * deleted makes room for one more reserve. */
static void run_all(struct line *line)
{
    bool reserves[2 * TASKS_MAX] = { false };
    int head = 0, tail = 0, asked = 0, unanswered = 0;
    for (int done = 0; done < b.jobs;) {
        int number = -1;
        uint64_t id = 0;
        for (; asked < b.jobs && unanswered < b.concurrency; asked++, unanswered++) {
            g_string_append(line->out, RESERVE);
            reserves[tail++ % (2 * TASKS_MAX)] = true;
        }
        if (!reserves[head++ % (2 * TASKS_MAX)]) {
            expect(line, "DELETED");
            unanswered--;
            done++;
        } else if (take(line, &number, &id)) {
            note_run(number);
            g_string_append_printf(line->out, "delete %" G_GUINT64_FORMAT "\r\n", id);
            reserves[tail++ % (2 * TASKS_MAX)] = false;
        } else {
            b.late = true;
            return;
        }
    }
}

/* ---- modes ------------------------------------------------------------------------------- */

static void nothing(void)
{
}

static void run_single(void)
{
    for (int i = 0; i < b.jobs; i++) {
        put(i);
        expect(&b.line, "INSERTED");
    }
}

static void run_process(void)
{
    run_all(&b.line);
}

static void drain(void)
{
    run_all(&b.line);
}

static void *work_latency(void *arg)
{
    struct line *line = arg;
    int number = -1;
    uint64_t id = 0;
    for (int i = 0; i < b.jobs; i++) {
        g_string_append(line->out, RESERVE);
        bool came = take(line, &number, &id);
        double now_ms = measure_now_ms();
        pthread_mutex_lock(&b.lock);
        if (came) {
            note_run(number);
            b.samples[i] = now_ms - b.put_ms;
        }
        b.late = b.late || !came;
        b.arrived++;
        pthread_cond_signal(&b.seen);
        pthread_mutex_unlock(&b.lock);
        if (!came) {
            break;
        }
        g_string_append_printf(line->out, "delete %" G_GUINT64_FORMAT "\r\n", id);
        expect(line, "DELETED");
    }
    return NULL;
}

/* Puts the next job when the last one was seen and the worker waits again. */
static void feed_latency(void)
{
    for (int i = 0; i < b.jobs && !b.late; i++) {
        measure_sleep_ms(5);
        pthread_mutex_lock(&b.lock);
        b.put_ms = measure_now_ms();
        pthread_mutex_unlock(&b.lock);
        put(i);
        expect(&b.line, "INSERTED");
        pthread_mutex_lock(&b.lock);
        while (b.arrived <= i) {
            pthread_cond_wait(&b.seen, &b.lock);
        }
        pthread_mutex_unlock(&b.lock);
    }
}

static struct line worker;
static const char *tube = "warm";

static void run_latency(void)
{
    pthread_t thread;
    line_open(&worker);
    choose_tube(&worker, tube, "default");
    b.samples = g_new0(double, b.jobs);
    b.arrived = 0;
    pthread_create(&thread, NULL, work_latency, &worker);
    feed_latency();
    pthread_join(thread, NULL);
    line_close(&worker);
}

static const struct mode {
    const char *name;
    void (*before)(void); /* not timed */
    void (*run)(void);
    void (*after)(void); /* not timed */
} modes[] = {
    { "single", nothing, run_single, drain },
    { "bulk", nothing, put_stream, drain },
    { "process", put_stream, run_process, nothing },
    { "latency", nothing, run_latency, nothing },
};

static void start_runs(int jobs)
{
    b.jobs = jobs;
    g_byte_array_set_size(b.runs, (guint)jobs);
    memset(b.runs->data, 0, b.runs->len);
}

static void warm_up(const struct mode *mode)
{
    int jobs = b.jobs;
    start_runs(b.warm);
    mode->before();
    mode->run();
    mode->after();
    start_runs(jobs);
    g_clear_pointer(&b.samples, g_free);
}

static bool exact(void)
{
    int number = -1;
    uint64_t id = 0;
    for (int i = 0; i < b.jobs; i++) {
        if (b.runs->data[i] != 1) {
            return false;
        }
    }
    g_string_append(b.line.out, "reserve-with-timeout 0\r\n");
    return !b.late && !take(&b.line, &number, &id);
}

static void bench(const struct mode *mode)
{
    struct measure m;
    line_open(&b.line);
    choose_tube(&b.line, "warm", "default");
    if (b.warm > 0) {
        warm_up(mode);
    }
    tube = "bench";
    choose_tube(&b.line, "bench", "warm");
    start_runs(b.jobs);
    mode->before();
    measure_begin(&m);
    mode->run();
    measure_end(&m);
    mode->after();
    measure_report(&m, b.jobs, exact(), b.samples);
    line_close(&b.line);
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "socket", 0, 0, G_OPTION_ARG_STRING, &b.socket, "where beanstalkd is", "PATH" },
        { "jobs", 0, 0, G_OPTION_ARG_INT, &b.jobs, "how many", "N" },
        { "warm", 0, 0, G_OPTION_ARG_INT, &b.warm, "how many before them", "N" },
        { "payload", 0, 0, G_OPTION_ARG_INT, &b.payload, "bytes of data", "BYTES" },
        { "concurrency", 0, 0, G_OPTION_ARG_INT, &b.concurrency, "jobs at once", "N" },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("MODE");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 || b.jobs < 1 ||
        b.concurrency < 1 || b.concurrency > TASKS_MAX) {
        fprintf(stderr, "peer_beanstalkd: %s\n",
            error != NULL ? error->message : "one MODE, please");
        return 2;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            b.data = g_string_new(NULL);
            b.runs = g_byte_array_new();
            pthread_mutex_init(&b.lock, NULL);
            pthread_cond_init(&b.seen, NULL);
            bench(&modes[i]);
            g_string_free(b.data, TRUE);
            g_byte_array_free(b.runs, TRUE);
            g_free(b.samples);
            g_free(b.socket);
            return 0;
        }
    }
    fprintf(stderr, "peer_beanstalkd: unknown mode %s\n", argv[1]);
    return 2;
}
