/*
 * cmd_dev.c - ox dev: runs a private Redis and a worker.
 *
 * The server listens on a unix socket in the folder and on no port, and writes an append-only
 * file there. It is started first and stopped last: a worker that drains needs it to store
 * its results. One loop waits for signals and for children that end; everything else follows
 * from what it saw:
 *
 *   Ctrl-C or SIGTERM   the worker gets SIGTERM and finishes its jobs; a second Ctrl-C passes a
 *                       second SIGTERM on: it moves them to wait; a third kills it. Then Redis
 *                       gets SIGTERM, which makes it write everything out. Exit 0 if both ended
 *                       well.
 *   a child ends        reports which and how, stops the other, exit 1.
 */
#include "json.h"
#include "place.h"
#include "server.h"
#include "spawn.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 50
#define PATIENCE_MS 3000     /* before it reports that Redis takes long to start */
#define REDIS_STOP_MS 60000  /* to write its data out, before it is killed */
#define ORPHAN_STOP_MS 10000 /* for a worker without a server, before it is killed */

struct opts {
    const char *dir;
    bool no_worker;
};

static const struct opt rows[] = {
    { .name = "dir",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, dir),
        .arg = "D",
        .help = "where the data is kept; default .ox" },
    { .name = "no-worker",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, no_worker),
        .help = "start Redis only" },
    { 0 },
};

/* The default for WORKER-ARGS: photos below the current folder, and echo to try things out. */
static const char *const default_worker[] = { "images=image", "echo=echo", "--root", ".",
    NULL };

struct dev {
    struct run *run;
    struct place place;
    struct spawn redis, worker;
    int signal_fd;
    int stops; /* stop signals so far */
};

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void look(struct dev *dev, int timeout_ms)
{
    struct spawn *const children[] = { &dev->redis, &dev->worker };
    dev->stops += spawn_wait(dev->signal_fd, children, G_N_ELEMENTS(children), timeout_ms);
}

static void say(const char *format, ...) G_GNUC_PRINTF(1, 2);
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *cleaned = text_clean(text);
    fprintf(stderr, "ox dev: %s\n", cleaned);
}

/* ---- starting ---------------------------------------------------------------------------- */

/* A program beside ox itself, else in PATH. Heap, or NULL. */
static char *find_program(const char *name)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self != NULL ? g_path_get_dirname(self) : g_strdup(".");
    g_autofree char *beside = g_build_filename(dir, name, NULL);
    if (g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE)) {
        return g_steal_pointer(&beside);
    }
    return g_find_program_in_path(name);
}

static int start_redis(struct dev *dev)
{
    g_autofree char *program = g_find_program_in_path("redis-server");
    if (program == NULL) {
        complain(dev->run, "redis-server is not installed (Debian: apt install redis-server)");
        return STATUS_FAILED;
    }
    const char *const argv[] = { program, "--port", "0", "--unixsocket", dev->place.socket,
        "--unixsocketperm", "700", "--dir", dev->place.dir, "--appendonly", "yes",
        "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction",
        "--daemonize", "no", "--logfile", dev->place.log, NULL };
    /* Its files are private, even in a folder that others can read. */
    mode_t mask = umask(077);
    bool started = spawn_start(&dev->redis, argv, true, dev->place.lock_fd);
    int failure = errno;
    umask(mask);
    errno = failure;
    if (started) {
        return STATUS_DONE;
    }
    complain(dev->run, "cannot start %s: %s", program, g_strerror(errno));
    return STATUS_FAILED;
}

/* Whether the server answers and has read all its data. */
static bool redis_is_ready(const struct dev *dev)
{
    if (!g_file_test(dev->place.socket, G_FILE_TEST_EXISTS)) {
        return false;
    }
    ox_client_options options = { .url = dev->place.url,
        .connect_timeout_ms = 500,
        .command_timeout_ms = 2000,
        .connect_tries = 1 };
    ox_client *client = NULL;
    if (ox_client_new(&client, &options, NULL) < 0) {
        return false;
    }
    g_autoptr(ox_queue) queue = NULL;
    bool ready = ox_queue_new(&queue, client, "ox-dev", NULL, NULL) >= 0 &&
                 ox_queue_is_paused(queue, NULL) >= 0;
    ox_queue_free(g_steal_pointer(&queue));
    ox_client_free(client);
    return ready;
}

/* The last line of the server's log usually says why it exited. */
static void report_redis_exit(const struct dev *dev)
{
    g_autofree char *fate = spawn_fate(&dev->redis);
    g_autofree char *log = NULL;
    const char *last = "";
    if (WIFEXITED(dev->redis.status) && g_file_get_contents(dev->place.log, &log, NULL, NULL)) {
        g_strchomp(log);
        const char *line = strrchr(log, '\n');
        last = line != NULL ? line + 1 : log;
    }
    complain(dev->run, "Redis %s%s%s (%s)", fate, *last ? ": " : "", last, dev->place.log);
}

/* Returns once the server is ready, has exited, or a stop signal came. */
static int await_redis(struct dev *dev)
{
    int64_t patient_until_ms = now_ms() + PATIENCE_MS;
    bool reported = false;
    while (!dev->stops && !dev->redis.ended) {
        if (redis_is_ready(dev)) {
            return STATUS_DONE;
        }
        if (!reported && now_ms() > patient_until_ms) {
            say("Redis is starting (%s)", dev->place.log);
            reported = true;
        }
        look(dev, POLL_MS);
    }
    if (dev->redis.ended) {
        report_redis_exit(dev);
    }
    return dev->redis.ended ? STATUS_FAILED : STATUS_DONE;
}

static const char *const *worker_words(const struct run *run)
{
    return run->tail != NULL && run->tail[0] != NULL ? (const char *const *)run->tail
                                                     : default_worker;
}

/* The server is named on the command line, which overrides any settings file. */
static int start_worker(struct dev *dev, const char *program)
{
    const char *const ours[] = { program, "--redis", dev->place.url, "--prefix",
        dev->run->prefix, NULL };
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    const char *const *const parts[] = { ours, worker_words(dev->run) };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        for (const char *const *word = parts[i]; *word != NULL; word++) {
            g_ptr_array_add(argv, (gpointer)*word);
        }
    }
    g_ptr_array_add(argv, NULL);
    if (spawn_start(&dev->worker, (const char *const *)argv->pdata, false, -1)) {
        return STATUS_DONE;
    }
    complain(dev->run, "cannot start %s: %s", program, g_strerror(errno));
    return STATUS_FAILED;
}

/* The stream of the first word STREAM@GROUP=HANDLER of the worker, or NULL. Heap. */
static char *served_stream(const struct run *run)
{
    for (const char *const *word = worker_words(run); *word != NULL; word++) {
        size_t at = strcspn(*word, "@=/");
        if (**word != '-' && (*word)[at] == '@' && strchr(*word, '=') != NULL) {
            return g_strndup(*word, at);
        }
    }
    return NULL;
}

/* What one can type in another terminal. */
static void suggest_commands(const struct dev *dev)
{
    const struct out *out = &dev->run->out;
    g_autofree char *stream = served_stream(dev->run);
    if (!dev->worker.pid) {
        printf("  ox-worker images=image --root .\n");
    } else if (worker_words(dev->run) == default_worker) {
        printf("  ox add echo hello '{\"a\":1}' --wait\n");
        printf("  ox bind 'car.*' echo; ox publish car.posted '{\"id\":17}'\n");
    } else if (stream != NULL) {
        out_say(out, "  ox publish hello '{\"a\":1}' --stream %s", stream);
        out_say(out, "  ox group ls --stream %s", stream);
    } else {
        printf("  ox queues\n");
    }
}

static void announce(const struct dev *dev)
{
    const struct out *out = &dev->run->out;
    const char *url = dev->place.url;
    if (dev->run->json) {
        struct obj obj;
        obj_begin(&obj);
        obj_text(&obj, "url", url);
        obj_text(&obj, "socket", dev->place.socket);
        obj_text(&obj, "dir", dev->place.dir);
        obj_int(&obj, "redis", dev->redis.pid);
        if (dev->worker.pid) {
            obj_int(&obj, "worker", dev->worker.pid);
        }
        obj_print(&obj);
    } else if (!out->terminal) {
        puts(url);
    } else {
        g_autofree char *words = g_strjoinv(" ", (char **)(void *)worker_words(dev->run));
        const char *on = tint_on(out, TINT_BOLD), *off = tint_off(out, TINT_BOLD);
        printf("%sRedis%s   ", on, off);
        out_say(out, "%s", url);
        out_say(out, "        data and log in %s", dev->place.dir);
        if (dev->worker.pid) {
            printf("%sWorker%s  ", on, off);
            out_say(out, "ox-worker %s", words);
        }
        printf("\nIn another terminal:\n");
        out_say(out, "  export OX_REDIS_URL=%s", url);
        suggest_commands(dev);
        printf("\nFrom Node, with BullMQ:\n");
        out_say(out, "  connection: { path: '%s' }", dev->place.socket);
        printf("\nCtrl-C stops both; nothing is lost.\n");
    }
    out_flush();
}

/* ---- stopping ---------------------------------------------------------------------------- */

/* Waits for a child to end, at most until the deadline (0: no limit), then kills it. */
static void await_end(struct dev *dev, struct spawn *child, int64_t until_ms)
{
    while (child->pid) {
        int64_t left = until_ms ? until_ms - now_ms() : POLL_MS;
        if (left <= 0) {
            complain(dev->run, "%s does not stop; killing it", child->name);
            spawn_signal(child, SIGKILL);
            left = until_ms = 0;
        }
        look(dev, (int)CLAMP(left, 1, 1000));
    }
}

static void stop_worker(struct dev *dev)
{
    if (!dev->worker.pid) {
        return;
    }
    if (dev->redis.ended) {
        spawn_signal(&dev->worker, SIGTERM);
        await_end(dev, &dev->worker, now_ms() + ORPHAN_STOP_MS);
        return;
    }
    say("the worker finishes its jobs (Ctrl-C again moves them to wait)");
    spawn_signal(&dev->worker, SIGTERM);
    int seen = dev->stops;
    while (dev->worker.pid && !dev->redis.ended) {
        look(dev, 1000);
        if (dev->stops == seen) {
            continue;
        }
        spawn_signal(&dev->worker, seen > 1 ? SIGKILL : SIGTERM);
        seen = MAX(dev->stops, 2);
    }
    await_end(dev, &dev->worker, now_ms() + ORPHAN_STOP_MS);
}

static void stop_redis(struct dev *dev)
{
    if (!dev->redis.pid) {
        return;
    }
    spawn_signal(&dev->redis, SIGTERM);
    await_end(dev, &dev->redis, now_ms() + REDIS_STOP_MS);
    if (dev->redis.status == 0) {
        say("stopped; the data is in %s", dev->place.dir);
    }
}

/* ---- all of it --------------------------------------------------------------------------- */

static int start(struct dev *dev, const char *worker)
{
    int status = start_redis(dev);
    if (!status) {
        status = await_redis(dev);
    }
    if (!status && !dev->stops && worker != NULL) {
        status = start_worker(dev, worker);
    }
    if (!status && !dev->stops) {
        announce(dev);
    }
    return status;
}

/* Runs until a stop signal (0) or until a child exits on its own (1). */
static int watch(struct dev *dev)
{
    while (!dev->stops && !dev->redis.ended && !dev->worker.ended) {
        look(dev, -1);
    }
    if (dev->redis.ended) {
        report_redis_exit(dev);
    }
    if (dev->worker.ended && !dev->stops) {
        g_autofree char *fate = spawn_fate(&dev->worker);
        complain(dev->run, "the worker %s", fate);
    }
    return dev->redis.ended || (dev->worker.ended && !dev->stops) ? STATUS_FAILED : STATUS_DONE;
}

/* After an orderly start and end: whether both ended as they should. A worker that was just
 * starting is ended by SIGTERM itself. */
static int judge(const struct dev *dev)
{
    int worker_status = dev->worker.status;
    if (WIFSIGNALED(worker_status) && WTERMSIG(worker_status) == SIGTERM) {
        worker_status = 0;
    }
    if (worker_status) {
        g_autofree char *fate = spawn_fate(&dev->worker);
        complain(dev->run, "the worker %s; its active jobs will run again", fate);
    }
    if (dev->redis.status) {
        report_redis_exit(dev);
    }
    return worker_status || dev->redis.status ? STATUS_FAILED : STATUS_DONE;
}

static int run_all(struct dev *dev, const char *worker)
{
    int status = start(dev, worker);
    if (!status) {
        status = watch(dev);
    }
    stop_worker(dev);
    stop_redis(dev);
    return status ? status : judge(dev);
}

static int check(struct run *run, char **worker)
{
    const struct opts *opts = run->opts;
    if (run->redis != NULL && server_variable(run) == NULL) {
        return complain_usage(run, "--redis cannot be used: ox dev runs its own server");
    }
    if (opts->no_worker && run->tail != NULL && run->tail[0] != NULL) {
        return complain_usage(run, "--no-worker excludes arguments for the worker");
    }
    if (opts->no_worker) {
        return STATUS_DONE;
    }
    *worker = find_program("ox-worker");
    if (*worker != NULL) {
        return STATUS_DONE;
    }
    complain(run, "ox-worker is neither beside ox nor in PATH (--no-worker runs without)");
    return STATUS_FAILED;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    g_autofree char *worker = NULL;
    int status = check(run, &worker);
    if (status) {
        return status;
    }
    struct dev dev = { .run = run, .redis.name = "Redis", .worker.name = "the worker" };
    status = place_open(run, &dev.place, opts->dir);
    dev.signal_fd = spawn_signals();
    if (!status && dev.signal_fd < 0) {
        complain(run, "cannot listen for signals: %s", g_strerror(errno));
        status = STATUS_FAILED;
    }
    if (!status) {
        status = run_all(&dev, worker);
    }
    if (dev.signal_fd >= 0) {
        close(dev.signal_fd);
    }
    place_done(&dev.place);
    return status;
}

const struct cmd cmd_dev = {
    .name = "dev",
    .summary = "run a private Redis and a worker here",
    .usage = "[-- WORKER-ARGS]",
    .help =
        "Starts a private Redis and an ox-worker, prints the URL to use, and runs until "
        "Ctrl-C. The server keeps its data in a folder (append-only file), listens on a unix "
        "socket there and on no port. Arguments after -- are for the worker; the default is "
        "images=image echo=echo --root . (photos below the current folder, and a handler to "
        "try things out). They may name queues that events are bound to, and groups of "
        "streams: "
        "STREAM@GROUP=HANDLER.\n"
        "\n"
        "Ctrl-C or SIGTERM stops the worker first, which finishes its jobs, then the server, "
        "which saves its data for the next start. If either exits on its own, the other is "
        "stopped and the exit status is 1. In a pipe, standard "
        "output is the URL alone. BullMQ's clients take the socket's path, which --json prints "
        "as "
        "\"socket\": connection: { path: '.ox/redis.sock' }.\n"
        "\n"
        "Only you can read what the server writes, even in a folder that others may look "
        "into.",
    .example = "  ox dev\n"
               "  ox dev --dir /srv/ox -- images=image --root /srv/photos --concurrency 4\n"
               "  ox dev -- 'clicks@warehouse=exec:./store'",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .max_args = 0,
    .takes_tail = true,
    .exec = exec,
};
