/*
 * daemon.c - one loop that runs no handler: workers of libox take jobs, pools of children run
 * them, signals steer.
 *
 * Life of the process:
 *
 *     WORKING      until SIGTERM or SIGINT, or SIGHUP of a terminal that is gone; SIGTSTP stops
 *                  the taking, SIGCONT goes on
 *     DRAINING     nothing is taken, running jobs finish, for at most --grace. When none is
 * left and every result is stored, only the answer to a take may be missing: that is waited for
 * for a moment GIVING_BACK  the children of those that did not are killed, the jobs are
 * released. A second signal comes straight here and leaves less time for it ABORTING     the
 * server did not take what is left, so it is left to stall
 *
 * A line of the daemon has a queue, a worker and a pool. They end in that order: the worker
 * when every result is stored, then the pool, when its children are gone. The loop runs until
 * the last handle is closed, so leaving it means that nothing is left behind.
 */
#include "daemon.h"

#include <fcntl.h>
#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "log.h"
#include "notify.h"
#include "pool.h"
#include "settings.h"

#define ANSWER_MS 3000    /* for a server that is silent to answer the last take */
#define GIVE_BACK_MS 5000 /* for released jobs to reach the server.. */
#define KILL_MS 1000      /* ..after a second signal */
#define ABORT_MS 3000     /* for everything to be closed */
#define LOG_DELAY_MS 5
#define OUTAGE_LINE_MS 60000 /* between lines of one kind about a lost connection.. */
#define ERROR_LINE_MS 1000   /* ..and about jobs */
#define STEADY_MS 1000       /* a connection that breaks sooner was none */

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

enum phase { WORKING, DRAINING, GIVING_BACK, ABORTING };

/* An error that was logged: the same one is left out for a while, and counted. */
struct told {
    int code; /* 0: none */
    uint64_t at_ns, left_out;
};

struct line {
    struct daemon *daemon;
    const struct queue_settings *queue;
    struct pool *pool;
    ox_worker *worker; /* NULL once closed */
    bool connected;    /* it was, at least once */
    bool quiet;        /* the last line about the connection said that it is there */
    uint64_t ready_ns; /* since when it is there; 0: it is not */
    struct told outage, job_error;
};

struct daemon {
    const struct settings *settings;
    uv_loop_t loop;
    enum phase phase;
    struct line *lines;
    size_t open_lines;      /* whose pool is not closed */
    size_t connected;       /* lines that were, at least once */
    uv_timer_t timer;       /* of the phase */
    uv_prepare_t log_watch; /* starts.. */
    uv_timer_t log_timer;   /* ..this when there are lines to write */
    uint64_t drained_ns;    /* when the grace period is over */
    bool had_terminal;      /* at the start, and whoever closes it means to stop us */
    bool start_logged;
    int status;
    ox_error refused; /* why it ends before it has worked; code 0: it does not */
};

static void on_signal(uv_signal_t *handle, int number);

static const int signals[] = { SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGHUP };

/* A signal handle a row, in the same order. */
static uv_signal_t signal_handles[G_N_ELEMENTS(signals)];

/* Signals are caught before anything else is known. */
static struct daemon the_daemon;

/* ---- Stopping ---------------------------------------------------------------------------- */

static void close_own_handles(struct daemon *daemon)
{
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        uv_close((uv_handle_t *)&signal_handles[i], NULL);
    }
    uv_close((uv_handle_t *)&daemon->timer, NULL);
    uv_close((uv_handle_t *)&daemon->log_watch, NULL);
    uv_close((uv_handle_t *)&daemon->log_timer, NULL);
}

static void on_pool_closed(void *arg)
{
    struct line *line = arg;
    line->pool = NULL;
    if (--line->daemon->open_lines == 0) {
        close_own_handles(line->daemon);
    }
}

static void on_worker_closed(void *arg)
{
    struct line *line = arg;
    line->worker = NULL;
    pool_close(line->pool, on_pool_closed, line);
}

static uint32_t running_jobs(const struct daemon *daemon)
{
    uint32_t running = 0;
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        if (daemon->lines[i].pool != NULL) {
            running += pool_running(daemon->lines[i].pool);
        }
    }
    return running;
}

static void log_phase(
    const struct daemon *daemon, enum log_level level, const char *event, const char *reason)
{
    log_begin(level, event);
    log_text("reason", reason);
    log_number("running", running_jobs(daemon));
    log_end();
}

static void on_time_over(uv_timer_t *timer);

static void enter(struct daemon *daemon, enum phase phase, uint32_t time_ms)
{
    daemon->phase = phase;
    uv_timer_start(&daemon->timer, on_time_over, time_ms, 0);
}

static void give_back(struct daemon *daemon, const char *reason, uint32_t time_ms)
{
    log_phase(daemon, LOG_WARN, "giving-back", reason);
    enter(daemon, GIVING_BACK, time_ms);
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        if (daemon->lines[i].worker != NULL) {
            pool_give_back(daemon->lines[i].pool);
        }
    }
}

static bool has_workers(const struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        if (daemon->lines[i].worker != NULL) {
            return true;
        }
    }
    return false;
}

/* Runs that go on, or whose end the server has not stored. */
static uint32_t open_runs(const struct daemon *daemon)
{
    uint32_t runs = running_jobs(daemon);
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        const ox_worker *worker = daemon->lines[i].worker;
        runs += ox_worker_running(worker) + ox_worker_unstored(worker);
    }
    return runs;
}

static const char *why_abort(const struct daemon *daemon)
{
    if (!has_workers(daemon)) {
        return "the children did not end in time";
    }
    return open_runs(daemon) > 0
               ? "the server did not take the results in time; these jobs run "
                 "again when their locks are over"
               : "the server did not answer the last take in time; a job that "
                 "it gave to this worker runs when its lock is over";
}

static void abort_workers(struct daemon *daemon)
{
    log_phase(daemon, LOG_ERROR, "aborting", why_abort(daemon));
    daemon->status = EXIT_FAILED;
    enter(daemon, ABORTING, ABORT_MS);
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        struct line *line = &daemon->lines[i];
        if (line->worker != NULL) {
            pool_abandon(line->pool);
            ox_worker_abort(line->worker, on_worker_closed, line);
        }
    }
}

/* Runs end, and the answer to a take may still bring one. */
static void wait_drained(struct daemon *daemon)
{
    uint64_t now_ns = uv_hrtime();
    uint64_t left_ms =
        daemon->drained_ns > now_ns ? (daemon->drained_ns - now_ns) / 1000000 : 0;
    bool idle = has_workers(daemon) && open_runs(daemon) == 0;
    enter(daemon, DRAINING, idle ? ANSWER_MS : (uint32_t)left_ms);
}

static void on_time_over(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (daemon->phase == DRAINING && has_workers(daemon) && open_runs(daemon) == 0) {
        abort_workers(daemon);
    } else if (daemon->phase == DRAINING && uv_hrtime() < daemon->drained_ns) {
        wait_drained(daemon);
    } else if (daemon->phase == DRAINING) {
        give_back(daemon, "the grace period is over", GIVE_BACK_MS);
    } else if (daemon->phase == GIVING_BACK) {
        abort_workers(daemon);
    } else {
        log_close();
        _exit(EXIT_FAILED);
    }
}

static void drain(struct daemon *daemon, const char *reason)
{
    log_phase(daemon, LOG_INFO, "draining", reason);
    notify_service_manager("STOPPING=1");
    daemon->drained_ns = uv_hrtime() + (uint64_t)daemon->settings->grace_ms * 1000000;
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        ox_worker_close(daemon->lines[i].worker, on_worker_closed, &daemon->lines[i]);
    }
    wait_drained(daemon);
}

/* A second signal; a third one does not wait for the server at all. */
static void insist(struct daemon *daemon, const char *reason)
{
    daemon->status = EXIT_FAILED;
    if (daemon->phase == DRAINING) {
        give_back(daemon, reason, KILL_MS);
    } else if (daemon->phase == GIVING_BACK) {
        abort_workers(daemon);
    }
}

/* Undoes a start that did not succeed. */
static void stop_lines(struct daemon *daemon)
{
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        struct line *line = &daemon->lines[i];
        if (line->worker != NULL) {
            ox_worker_abort(line->worker, on_worker_closed, line);
        } else if (line->pool != NULL) {
            pool_close(line->pool, on_pool_closed, line);
        }
    }
}

/* ---- Signals ----------------------------------------------------------------------------- */

static void hold(struct daemon *daemon, bool hold_on)
{
    if (daemon->phase != WORKING) {
        return;
    }
    log_phase(daemon, LOG_INFO, hold_on ? "held" : "resumed", NULL);
    for (size_t i = 0; i < daemon->settings->queue_count; i++) {
        pool_hold(daemon->lines[i].pool, hold_on);
    }
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0;
}

/* SIGHUP means that the terminal was closed, or is sent by people and programs to whom it means
 * that a daemon reads its settings or opens its log again. */
static void hang_up(struct daemon *daemon)
{
    if (!daemon->had_terminal || has_terminal()) {
        log_note(LOG_WARN, "ignored", "SIGHUP: settings are read at the start only");
    } else if (daemon->phase == WORKING) {
        drain(daemon, "SIGHUP: the terminal was closed");
    }
}

/* Once, as soon as it is known that this is no start that is refused. */
static void log_start(struct daemon *daemon)
{
    if (!daemon->start_logged && daemon->refused.code == 0) {
        daemon->start_logged = true;
        settings_log(daemon->settings);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    log_start(daemon);
    g_autofree char *name = g_strdup_printf("SIG%s", sigabbrev_np(number));
    if (number == SIGHUP) {
        hang_up(daemon);
    } else if (number == SIGTSTP || number == SIGCONT) {
        hold(daemon, number == SIGTSTP);
    } else if (daemon->phase == WORKING) {
        drain(daemon, name);
    } else {
        insist(daemon, name);
    }
}

/* ---- Workers ----------------------------------------------------------------------------- */

static void process(ox_task *task, void *arg)
{
    struct line *line = arg;
    pool_process(task, line->pool);
}

static void lock_lost(ox_task *task, void *arg)
{
    struct line *line = arg;
    pool_lock_lost(task, line->pool);
}

static void said(ox_task *task, void *arg)
{
    (void)arg;
    pool_said(task);
}

static void run_ended(ox_worker *worker, const ox_run_end *end, void *arg)
{
    struct line *line = arg;
    (void)worker;
    pool_run_ended(end, line->pool);
    if (line->daemon->phase == DRAINING) {
        wait_drained(line->daemon);
    }
}

static const struct {
    enum log_level level;
    const char *event, *reason;
} notices[] = {
    [OX_NOTICE_STALLED] = { LOG_WARN, "stalled", "its worker has gone; it runs again" },
    [OX_NOTICE_STALLED_TOO_OFTEN] = { LOG_WARN, "stalled",
        "its worker has gone, once too often; it fails" },
    [OX_NOTICE_TAKE_LOST] = { LOG_WARN, "take-lost",
        "the reply that brought it was lost; it waits again" },
    [OX_NOTICE_LOCKED_AGAIN] = { LOG_WARN, "locked-again",
        "its lock ran out and nobody else had it; its run goes on" },
    [OX_NOTICE_RESTORED] = { LOG_WARN, "restored", "it was in no state; it waits again" },
    [OX_NOTICE_NO_STATE] = { LOG_WARN, "no-state",
        "it has ended, but is neither completed nor failed; left as it is" },
};

static void on_notice(ox_worker *worker, int notice, const char *job_id, void *arg)
{
    struct line *line = arg;
    (void)worker;
    log_begin(notices[notice].level, notices[notice].event);
    log_text("queue", line->queue->queue);
    log_text("id", job_id);
    log_text("reason", notices[notice].reason);
    log_end();
}

/* Whether waiting may mend it: the server is not there yet, or loads its data. */
static bool may_pass(int code)
{
    return code == OX_ECONNECT || code == OX_ETIMEOUT || code == OX_ELOST;
}

/* A server that is away is waited for, but no waiting mends a wrong password. */
static void give_up_start(struct daemon *daemon, const ox_error *error)
{
    daemon->refused = *error;
    enter(daemon, ABORTING, ABORT_MS);
    stop_lines(daemon);
}

static bool is_news(struct told *told, int code, uint64_t rest_ms)
{
    uint64_t now = uv_hrtime();
    if (told->code == code && now - told->at_ns < rest_ms * 1000000) {
        told->left_out++;
        return false;
    }
    told->code = code;
    told->at_ns = now;
    return true;
}

/* One line when the connection is lost, one when it is back, however often both are tried; a
 * connection that was good for a while makes the next loss news. */
static void on_error(ox_worker *worker, const char *job_id, const ox_error *error, void *arg)
{
    struct line *line = arg;
    struct daemon *daemon = line->daemon;
    (void)worker;
    if (!may_pass(error->code) && daemon->connected == 0 && daemon->phase == WORKING) {
        give_up_start(daemon, error);
        return;
    }
    log_start(daemon);
    if (job_id == NULL && line->ready_ns > 0 &&
        uv_hrtime() - line->ready_ns > STEADY_MS * 1000000ull) {
        line->outage.code = 0;
    }
    if (job_id == NULL) {
        line->ready_ns = 0;
    }
    struct told *told = job_id != NULL ? &line->job_error : &line->outage;
    if (!is_news(told, error->code, job_id != NULL ? ERROR_LINE_MS : OUTAGE_LINE_MS)) {
        return;
    }
    log_begin(LOG_ERROR, "error");
    log_text("queue", line->queue->queue);
    log_text("id", job_id);
    log_text("reason", error->text);
    if (told->left_out > 0) {
        log_number("left_out", (int64_t)told->left_out);
    }
    log_end();
    told->left_out = 0;
    line->quiet = line->quiet && job_id != NULL;
}

static void on_ready(ox_worker *worker, void *arg)
{
    struct line *line = arg;
    (void)worker;
    log_start(line->daemon);
    line->ready_ns = uv_hrtime();
    if (!line->quiet) {
        log_begin(LOG_INFO, "connected");
        log_text("queue", line->queue->queue);
        log_end();
    }
    line->quiet = true;
    if (line->connected) {
        return;
    }
    line->connected = true;
    if (++line->daemon->connected == line->daemon->settings->queue_count) {
        notify_service_manager("READY=1");
    }
}

static int start_worker(struct line *line, ox_client *client, ox_error *err)
{
    const struct settings *settings = line->daemon->settings;
    const ox_queue_options queue_settings = {
        .prefix = settings->prefix,
        .no_events = settings->events != 0,
        .legacy_pause = settings->legacy_pause,
        .batch = (uint32_t)settings->batch,
    };
    /* A short lease is for finding the dead soon. */
    int64_t sweep_ms = settings->sweep_ms > 0 ? settings->sweep_ms : settings->lock_ms / 2;
    const ox_worker_options worker_options = {
        .name = settings->name,
        .concurrency = (uint32_t)line->queue->concurrency,
        .lock_ms = (uint32_t)settings->lock_ms,
        .sweep_ms = (uint32_t)sweep_ms,
        .max_stalled = (int32_t)settings->max_stalled,
        .on_disconnect = (int)settings->on_disconnect,
        .calls = (uint32_t)settings->calls,
        .remove_on_complete = settings->remove_on_complete,
        .remove_on_fail = settings->remove_on_fail,
        .limiter_max = (uint32_t)line->queue->limit.max,
        .limiter_duration_ms = line->queue->limit.duration_ms,
        .metrics_points = (uint32_t)settings->metrics,
        .lock_lost = lock_lost,
        .error = on_error,
        .run_ended = run_ended,
        .notice = on_notice,
        .said = said,
        .ready = on_ready,
    };
    ox_queue *queue = NULL;
    int status = ox_queue_new(&queue, client, line->queue->queue, &queue_settings, err);
    if (status >= 0) {
        status = ox_worker_new(
            &line->worker, &line->daemon->loop, queue, &worker_options, process, line, err);
    }
    ox_queue_free(queue);
    return status;
}

/* ---- Starting ---------------------------------------------------------------------------- */

static void on_log_timer(uv_timer_t *timer)
{
    (void)timer;
    log_flush();
}

/* Under load the lines of many turns go out as one write. */
static void on_turn(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;
    if (log_pending() && !uv_is_active((uv_handle_t *)&daemon->log_timer)) {
        uv_timer_start(&daemon->log_timer, on_log_timer, LOG_DELAY_MS, 0);
    }
}

/* As nohup(1) leaves SIGHUP. */
static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void daemon_catch_signals(void)
{
    struct daemon *daemon = &the_daemon;
    uv_loop_init(&daemon->loop);
    daemon->had_terminal = !is_ignored(SIGHUP) && has_terminal();
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        uv_signal_init(&daemon->loop, &signal_handles[i]);
        signal_handles[i].data = daemon;
        uv_signal_start(&signal_handles[i], on_signal, signals[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTTOU, SIG_IGN); /* of a terminal that stops who writes from the background */
}

static void start_timers(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->timer);
    daemon->timer.data = daemon;
    uv_timer_init(&daemon->loop, &daemon->log_timer);
    uv_prepare_init(&daemon->loop, &daemon->log_watch);
    daemon->log_watch.data = daemon;
    uv_prepare_start(&daemon->log_watch, on_turn);
}

static int start_lines(struct daemon *daemon, ox_client *client, ox_error *err)
{
    int status = 0;
    daemon->lines = g_new0(struct line, daemon->settings->queue_count);
    for (size_t i = 0; status >= 0 && i < daemon->settings->queue_count; i++) {
        struct line *line = &daemon->lines[i];
        line->daemon = daemon;
        line->queue = &daemon->settings->queues[i];
        line->pool = pool_new(&daemon->loop, daemon->settings, line->queue);
        daemon->open_lines++;
        status = start_worker(line, client, err);
        pool_attach(line->pool, line->worker);
    }
    return status;
}

/* Says why there is no start, and returns the exit status for it. */
static int refuse(const ox_error *err)
{
    bool usage = err->code == OX_EINVAL;
    log_complaint(err->text, usage);
    return usage ? EXIT_USAGE : EXIT_FAILED;
}

static int run(struct daemon *daemon, ox_client *client)
{
    log_open(STDERR_FILENO, (enum log_format)daemon->settings->log_format,
        (enum log_level)daemon->settings->log_level);
    start_timers(daemon);
    if (start_lines(daemon, client, &daemon->refused) < 0) {
        daemon->phase = ABORTING;
        stop_lines(daemon);
    }
    ox_client_free(client);
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    if (daemon->refused.code == 0) {
        log_note(LOG_INFO, "stopped", NULL);
    }
    log_close();
    uv_loop_close(&daemon->loop);
    g_free(daemon->lines);
    return daemon->refused.code != 0 ? refuse(&daemon->refused) : daemon->status;
}

/* The workers wait for a server that is away, with the same patience as later on; what is wrong
 * for good, such as the password, their first try tells. */
int daemon_run(const struct settings *settings)
{
    struct daemon *daemon = &the_daemon;
    ox_client_options client_options = { .url = settings->redis, .connect_later = true };
    ox_client *client = NULL;
    ox_error err = { 0 };
    daemon->settings = settings;
    ox__tls_use(&settings->tls, &client_options);
    int status = ox_client_new(&client, &client_options, &err);
    return status >= 0 ? run(daemon, client) : refuse(&err);
}
