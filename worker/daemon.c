/*
 * daemon.c - one loop that runs no handler: workers of libox take jobs, pools of children run
 * them, signals steer.
 *
 * Life of the process:
 *
 *     WORKING      until SIGTERM or SIGINT, or SIGHUP of a terminal that is gone; SIGTSTP stops
 *                  the taking, SIGCONT goes on; any other SIGHUP has the settings read again
 *     DRAINING     nothing is taken, running jobs finish, for at most --grace. When none is
 *                  left and every result is stored, only the answer to a take may be missing:
 *                  that is waited for for a moment
 *     GIVING_BACK  the children of those that did not are killed, the jobs are released. A
 *                  second signal comes straight here and leaves less time for it
 *     ABORTING     the server did not take what is left, so it is left to stall
 *
 * The daemon has a consumer for each queue. The loop runs until the last handle is closed, so
 * leaving it means that nothing is left behind.
 *
 * Settings are read again by a thread, since the handlers check theirs and the loop has locks
 * to renew. Only good settings replace those that hold.
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

#include "ask.h"
#include "log.h"
#include "notify.h"
#include "queues.h"
#include "settings.h"
#include "status.h"

#define ANSWER_MS 3000    /* for a server that is silent to answer the last take */
#define GIVE_BACK_MS 5000 /* for released jobs to reach the server.. */
#define KILL_MS 1000      /* ..after a second signal */
#define ABORT_MS 3000     /* for everything to be closed */
#define LOG_DELAY_MS 5

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

enum phase { WORKING, DRAINING, GIVING_BACK, ABORTING };

static const char *const phase_names[] = { "working", "draining", "giving-back", "aborting" };

/* A reading of settings by a thread of the pool, which has these members to itself meanwhile.
 */
struct rereading {
    uv_work_t work;
    char **words;
    struct settings *settings;
    GPtrArray *faults;
    enum settings_outcome outcome;
};

struct daemon {
    struct settings *settings; /* held */
    char **words;              /* the command line */
    uv_loop_t loop;
    enum phase phase;
    struct queues queues;
    bool ready;               /* systemd was told */
    bool reading, read_again; /* settings are read; and have to be once more */
    struct rereading rereading;
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

static const int signals[] = { SIGTERM, SIGINT, SIGTSTP, SIGCONT, SIGHUP, SIGUSR1 };

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
    notify_stop();
}

static void log_phase(
    const struct daemon *daemon, enum log_level level, const char *event, const char *reason)
{
    log_begin(level, event);
    log_text("reason", reason);
    log_number("running", queues_running(&daemon->queues));
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
    queues_give_back(&daemon->queues);
}

static const char *why_abort(const struct daemon *daemon)
{
    if (!queues_have_workers(&daemon->queues)) {
        return "the children did not end in time";
    }
    return queues_open_runs(&daemon->queues) > 0
               ? "the server did not take the results in time; these jobs run "
                 "again when their locks are over"
               : "the server did not answer the last take in time; a job that "
                 "it gave to this worker runs when its lock is over";
}

static void abort_work(struct daemon *daemon)
{
    log_phase(daemon, LOG_ERROR, "aborting", why_abort(daemon));
    daemon->status = EXIT_FAILED;
    enter(daemon, ABORTING, ABORT_MS);
    queues_abort(&daemon->queues);
}

/* Runs end, and the answer to a take may still bring one. */
static void wait_drained(struct daemon *daemon)
{
    uint64_t now_ns = uv_hrtime();
    uint64_t left_ms =
        daemon->drained_ns > now_ns ? (daemon->drained_ns - now_ns) / 1000000 : 0;
    bool idle = queues_have_workers(&daemon->queues) && queues_open_runs(&daemon->queues) == 0;
    enter(daemon, DRAINING, idle ? ANSWER_MS : (uint32_t)left_ms);
}

static void on_time_over(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (daemon->phase == DRAINING && queues_have_workers(&daemon->queues) &&
        queues_open_runs(&daemon->queues) == 0) {
        abort_work(daemon);
    } else if (daemon->phase == DRAINING && uv_hrtime() < daemon->drained_ns) {
        wait_drained(daemon);
    } else if (daemon->phase == DRAINING) {
        give_back(daemon, "the grace period is over", GIVE_BACK_MS);
    } else if (daemon->phase == GIVING_BACK) {
        abort_work(daemon);
    } else {
        log_close();
        _exit(EXIT_FAILED);
    }
}

static void drain(struct daemon *daemon, const char *reason)
{
    log_phase(daemon, LOG_INFO, "draining", reason);
    notify_stopping();
    ask_stop(); /* settings that are read again are not needed any more */
    daemon->drained_ns = uv_hrtime() + (uint64_t)daemon->settings->grace_ms * 1000000;
    queues_drain(&daemon->queues);
    if (daemon->queues.consumers->len == 0) {
        close_own_handles(daemon);
    } else {
        wait_drained(daemon);
    }
}

/* A second signal; a third one does not wait for the server at all. */
static void insist(struct daemon *daemon, const char *reason)
{
    daemon->status = EXIT_FAILED;
    if (daemon->phase == DRAINING) {
        give_back(daemon, reason, KILL_MS);
    } else if (daemon->phase == GIVING_BACK) {
        abort_work(daemon);
    }
}

/* ---- Consumers --------------------------------------------------------------------------- */

/* Once all queues are connected. */
static void check_ready(struct daemon *daemon)
{
    if (queues_all_connected(&daemon->queues) && !daemon->ready) {
        daemon->ready = true;
        notify_ready();
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

static void on_telling(void *owner)
{
    log_start(owner);
}

static void on_connected(void *owner)
{
    check_ready(owner);
}

static void on_run_ended(void *owner)
{
    struct daemon *daemon = owner;
    if (daemon->phase == DRAINING) {
        wait_drained(daemon);
    }
}

static void on_refused(void *owner, const ox_error *error)
{
    struct daemon *daemon = owner;
    if (daemon->phase == WORKING && !daemon->ready && !queues_any_connected(&daemon->queues)) {
        daemon->refused = *error;
        enter(daemon, ABORTING, ABORT_MS);
        queues_abort(&daemon->queues);
    }
}

static void on_consumer_closed(void *owner, struct consumer *consumer)
{
    struct daemon *daemon = owner;
    uint32_t left = queues_forget(&daemon->queues, consumer);
    if (daemon->phase != WORKING && left == 0) {
        close_own_handles(daemon);
    }
}

static const struct consumer_hooks consumer_hooks = {
    .telling = on_telling,
    .connected = on_connected,
    .refused = on_refused,
    .run_ended = on_run_ended,
    .closed = on_consumer_closed,
};

/* ---- Other settings ---------------------------------------------------------------------- */

static void log_faults(const GPtrArray *faults)
{
    for (guint i = 0; i < faults->len; i++) {
        log_begin(LOG_ERROR, "bad-settings");
        log_text("reason", faults->pdata[i]);
        log_end();
    }
    log_note(LOG_ERROR, "not-reloaded", "the settings stay as they were");
}

static void take_settings(struct daemon *daemon, struct settings *settings)
{
    g_autofree char *fixed = settings_keep_fixed(settings, daemon->settings);
    ox_error err = { 0 };
    if (fixed != NULL) {
        log_begin(LOG_WARN, "needs-restart");
        log_text("settings", fixed);
        log_end();
    }
    settings_unref(daemon->settings);
    daemon->settings = settings_ref(settings);
    log_change((enum log_format)settings->log_format, (enum log_level)settings->log_level);
    if (queues_use(&daemon->queues, settings, &err) < 0) {
        log_note(LOG_ERROR, "error", err.text);
    }
    settings_log(settings);
    log_begin(LOG_INFO, "reloaded");
    log_text("file", settings->file);
    log_number("queues", (int64_t)settings->queue_count);
    log_end();
}

static void read_settings(uv_work_t *work)
{
    struct rereading *rereading = work->data;
    rereading->outcome =
        settings_parse(&rereading->settings, rereading->words, rereading->faults);
}

static void reload(struct daemon *daemon);

static void on_settings_read(uv_work_t *work, int status)
{
    struct rereading *rereading = work->data;
    struct daemon *daemon = work->loop->data;
    (void)status; /* it is never cancelled */
    daemon->reading = false;
    if (daemon->phase == WORKING && rereading->outcome == SETTINGS_RUN) {
        take_settings(daemon, rereading->settings);
    } else if (daemon->phase == WORKING) {
        log_faults(rereading->faults);
    }
    settings_unref(rereading->settings);
    g_ptr_array_free(rereading->faults, TRUE);
    if (daemon->ready && daemon->phase == WORKING) {
        notify_ready();
    }
    if (daemon->read_again && daemon->phase == WORKING) {
        reload(daemon);
    }
}

static void reload(struct daemon *daemon)
{
    daemon->read_again = daemon->reading;
    if (daemon->reading) {
        return;
    }
    if (daemon->ready) {
        notify_reloading();
    }
    daemon->reading = true;
    daemon->rereading = (struct rereading){
        .words = daemon->words,
        .faults = g_ptr_array_new_with_free_func(g_free),
    };
    daemon->rereading.work.data = &daemon->rereading;
    uv_queue_work(&daemon->loop, &daemon->rereading.work, read_settings, on_settings_read);
}

/* ---- Signals ----------------------------------------------------------------------------- */

static void hold(struct daemon *daemon, bool hold_on)
{
    if (daemon->phase != WORKING) {
        return;
    }
    log_phase(daemon, LOG_INFO, hold_on ? "held" : "resumed", NULL);
    queues_hold(&daemon->queues, hold_on);
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
    if (daemon->phase != WORKING) {
        return;
    }
    if (daemon->had_terminal && !has_terminal()) {
        drain(daemon, "SIGHUP: the terminal was closed");
    } else if (daemon->settings->file == NULL) {
        log_note(
            LOG_WARN, "ignored", "SIGHUP: there is no settings file (--config) to read again");
    } else {
        reload(daemon);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    log_start(daemon);
    g_autofree char *name = g_strdup_printf("SIG%s", sigabbrev_np(number));
    if (number == SIGHUP) {
        hang_up(daemon);
    } else if (number == SIGUSR1) {
        status_log(daemon->queues.consumers,
            daemon->queues.held ? "held" : phase_names[daemon->phase]);
    } else if (number == SIGTSTP || number == SIGCONT) {
        hold(daemon, number == SIGTSTP);
    } else if (daemon->phase == WORKING) {
        drain(daemon, name);
    } else {
        insist(daemon, name);
    }
}

/* ---- Starting ---------------------------------------------------------------------------- */

static void on_log_timer(uv_timer_t *timer)
{
    (void)timer;
    log_flush();
}

static void tell_status(const struct daemon *daemon)
{
    char text[100];
    if (!notify_wanted()) {
        return;
    }
    if (daemon->phase == WORKING && !daemon->ready) {
        notify_status("connecting to Redis");
        return;
    }
    status_write(daemon->queues.consumers, text, sizeof text);
    g_autofree char *whole =
        daemon->phase != WORKING || daemon->queues.held
            ? g_strdup_printf("%s: %s",
                  daemon->phase != WORKING ? phase_names[daemon->phase] : "held", text)
            : g_strdup(text);
    notify_status(whole);
}

/* Under load the lines of many turns go out as one write. */
static void on_turn(uv_prepare_t *prepare)
{
    struct daemon *daemon = prepare->data;
    if (log_pending() && !uv_is_active((uv_handle_t *)&daemon->log_timer)) {
        uv_timer_start(&daemon->log_timer, on_log_timer, LOG_DELAY_MS, 0);
    }
    tell_status(daemon);
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
    daemon->loop.data = daemon;
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
    notify_start(&daemon->loop);
}

/* Says why there is no start, and returns the exit status for it. */
static int refuse(const ox_error *err)
{
    bool usage = err->code == OX_EINVAL;
    log_complaint(err->text, usage);
    return usage ? EXIT_USAGE : EXIT_FAILED;
}

static int run(struct daemon *daemon)
{
    log_open(STDERR_FILENO, (enum log_format)daemon->settings->log_format,
        (enum log_level)daemon->settings->log_level);
    start_timers(daemon);
    if (queues_use(&daemon->queues, daemon->settings, &daemon->refused) < 0) {
        daemon->phase = ABORTING;
        queues_abort(&daemon->queues);
        if (daemon->queues.consumers->len == 0) {
            close_own_handles(daemon);
        }
    }
    uv_run(&daemon->loop, UV_RUN_DEFAULT);
    if (daemon->refused.code == 0) {
        log_note(LOG_INFO, "stopped", NULL);
    }
    log_close();
    uv_loop_close(&daemon->loop);
    return daemon->refused.code != 0 ? refuse(&daemon->refused) : daemon->status;
}

int daemon_run(struct settings *settings, char **words)
{
    struct daemon *daemon = &the_daemon;
    daemon->settings = settings_ref(settings);
    daemon->words = words;
    queues_init(&daemon->queues, &daemon->loop, &consumer_hooks, daemon);
    int status = run(daemon);
    queues_done(&daemon->queues);
    settings_unref(daemon->settings);
    return status;
}
