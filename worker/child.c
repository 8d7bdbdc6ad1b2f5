/*
 * child.c - starts, feeds, times and buries one child process.
 *
 * Three streams lead to a child: the socket of frames on its descriptor 3, its stderr, which
 * becomes log lines, and the news of its death. Death is decided in one place, on_exit_news():
 * by then all that the child ever wrote lies in the socket, so it is read to its end first, and
 * a result that was sent before a crash still counts. Then the four handles are closed, and
 * when the last of them is, `gone` is called and the memory freed.
 *
 * The process that is started is the keeper of a tree of processes, see tree.h. It is told to
 * end, and when it has, nothing of the tree is left. It leads a session of its own, so Ctrl-C
 * on a terminal reaches the parent alone, which drains.
 */
#include "child.h"

#include <errno.h>
#include <glib.h>
#include <ox.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "log.h"
#include "outgoing.h"
#include "output.h"
#include "private_words.h"
#include "serve.h"
#include "usage.h"

#define RETIRE_MS 2000            /* a retired child has that long to go by itself */
#define HANG_UP_MS 1000           /* so has one that closed its socket */
#define KILL_MS 10000             /* and the keeper of a tree to kill it */
#define SAID_MAX_BYTES (4u << 20) /* log rows of one job; more is left out */
#define ROW_BYTES 32              /* what a row costs besides its text */
#define REST_MAX_BYTES (4u << 20) /* read from a dead child: more than a socket holds */
#define HANDLES 5
#define WATCH_MS 200 /* between looks at the memory of a job */

enum state {
    STARTING,
    IDLE,
    BUSY,
    RETIRED, /* told to go */
    DOOMED   /* killed by us, for `reason` */
};

struct child {
    const struct child_settings *settings;
    const struct child_hooks *hooks;
    void *owner;
    enum state state;
    uint32_t serial;     /* of the job that runs, or of the last one */
    uint32_t timeout_ms; /* of that job */
    bool job_open;       /* a job was given and has no result */
    bool hung_up;        /* it closed its socket */
    bool held;           /* its frames are not read */
    uint64_t left_ms;    /* of its job's time, while it is held; 0: any */
    bool exited;         /* its handles are being closed */
    size_t said_bytes;   /* log rows of this job, and what each costs besides */
    enum failure kind;   /* of its death.. */
    char *reason;        /* ..once that is known */

    uv_process_t process;
    uv_pipe_t pipe, output;
    uv_timer_t timer, watch;
    int handles_open;

    uv_shutdown_t shutdown;
    struct outgoing outgoing;
    struct frame_reader reader;
    struct output said; /* on its stderr */
};

/* ---- Its end ----------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;
    if (--child->handles_open > 0) {
        return;
    }
    if (child->exited) {
        child->hooks->gone(child->owner, child->kind, child->reason);
    }
    frame_reader_done(&child->reader);
    output_done(&child->said);
    g_free(child->reason);
    g_free(child);
}

static void close_handles(struct child *child)
{
    uv_handle_t *handles[HANDLES] = { (uv_handle_t *)&child->process,
        (uv_handle_t *)&child->pipe, (uv_handle_t *)&child->output,
        (uv_handle_t *)&child->timer, (uv_handle_t *)&child->watch };
    for (size_t i = 0; i < HANDLES; i++) {
        uv_close(handles[i], on_closed);
    }
}

/* It should have killed its tree long ago: a process of it may hang in the kernel, or, without
 * a namespace, fork faster than it is killed. */
static void on_not_killed(uv_timer_t *timer)
{
    struct child *child = timer->data;
    log_begin(LOG_ERROR, "not-killed");
    log_place(&child->settings->place);
    log_number("pid", child->process.pid);
    log_text("reason", "processes of the job are still there; they may run on");
    log_end();
    kill(child->process.pid, SIGKILL);
}

void child_kill(struct child *child, enum failure kind, const char *reason)
{
    if (child->state == DOOMED) {
        return;
    }
    child->state = DOOMED;
    child->kind = kind;
    child->reason = g_strdup(reason);
    uv_read_stop((uv_stream_t *)&child->pipe);
    if (!child->exited) {
        kill(child->process.pid, SIGTERM);
        kill(child->process.pid, SIGCONT); /* a job without a namespace may have stopped it */
        uv_timer_stop(&child->watch);
        uv_timer_start(&child->timer, on_not_killed, KILL_MS, 0);
    }
}

static void on_timeout(uv_timer_t *timer)
{
    struct child *child = timer->data;
    char text[24];
    g_autofree char *reason = NULL;
    enum failure kind = FAILURE_TIMEOUT;
    if (child->state == RETIRED) {
        reason = g_strdup("handler killed: did not exit when told to");
    } else if (child->hung_up) {
        kind = FAILURE_BAD_OUTPUT;
        reason = g_strdup("handler killed: closed its socket");
    } else if (child->state == STARTING) {
        reason = g_strdup_printf("handler not ready within %s",
            ox__duration_text(child->settings->start_timeout_ms, text));
    } else {
        reason = g_strdup_printf(
            "handler killed: timeout after %s", ox__duration_text(child->timeout_ms, text));
    }
    child_kill(child, kind, reason);
}

static void set_timer(struct child *child, uint32_t timeout_ms)
{
    if (timeout_ms > 0) {
        uv_timer_start(&child->timer, on_timeout, timeout_ms, 0);
    } else {
        uv_timer_stop(&child->timer);
    }
}

/* ---- What it uses ------------------------------------------------------------------------ */

/* Only jobs that take longer than this are looked at; whoever fills the machine's memory in
 * less time meets the kernel. */
static void on_watch(uv_timer_t *watch)
{
    struct child *child = watch->data;
    enum failure kind;
    g_autofree char *reason = usage_excess(child->process.pid, child->settings->memory_bytes,
        child->settings->max_processes, &kind);
    if (reason != NULL) {
        child_kill(child, kind, reason);
    }
}

static void set_watch(struct child *child, bool on)
{
    if (on && (child->settings->memory_bytes > 0 || child->settings->max_processes > 0)) {
        uv_timer_start(&child->watch, on_watch, WATCH_MS, WATCH_MS);
    } else {
        uv_timer_stop(&child->watch);
    }
}

/* ---- What it says ------------------------------------------------------------------------ */

static void violation(struct child *child, const char *what)
{
    g_autofree char *reason = g_strdup_printf("handler killed: malformed frame (%s)", what);
    child_kill(child, FAILURE_BAD_OUTPUT, reason);
}

/* The text, made valid UTF-8 in *valid when it is not. */
static const char *repaired(const char *text, char **valid)
{
    if (g_utf8_validate(text, -1, NULL)) {
        return text;
    }
    return *valid = g_utf8_make_valid(text, -1);
}

static void close_job(struct child *child)
{
    child->job_open = false;
    output_tell_left_out(&child->said);
    if (child->state == BUSY) {
        child->state = IDLE;
        uv_timer_stop(&child->timer);
        set_watch(child, false);
    }
}

static void end_job(struct child *child, enum handler_result result, const char *text)
{
    g_autofree char *valid = NULL;
    if (result != HANDLER_DONE) {
        text = repaired(text, &valid);
    }
    close_job(child);
    child->hooks->result(child->owner, result, text);
}

/* Many empty rows are much as well. */
static void take_row(struct child *child, const char *text)
{
    g_autofree char *valid = NULL;
    size_t before = child->said_bytes;
    child->said_bytes += strlen(text) + ROW_BYTES;
    if (child->said_bytes <= SAID_MAX_BYTES) {
        child->hooks->log(child->owner, repaired(text, &valid));
    } else if (before <= SAID_MAX_BYTES) {
        child->hooks->log(child->owner, "more than 4 MB of logs: the rest is left out");
    }
}

/* Of progress only the newest value counts, so there is no end to it. */
static void take_progress(struct child *child, const char *text)
{
    g_autofree char *valid = NULL;
    child->hooks->progress(child->owner, repaired(text, &valid));
}

static void take_retry_after(struct child *child, const char *text)
{
    gint64 ms;
    if (g_ascii_string_to_signed(text, 10, 0, INT64_MAX, &ms, NULL)) {
        child->hooks->retry_after(child->owner, ms);
    } else {
        violation(child, "not a wait");
    }
}

static void take_failure(struct child *child, const char *word)
{
    enum failure kind;
    if (failure_said(word, &kind)) {
        child->hooks->failure(child->owner, kind);
    } else {
        violation(child, "not a kind of failure");
    }
}

/* Frames are structs of one build; another build's child would be misunderstood. */
static void on_ready(struct child *child, const char *version)
{
    if (strcmp(version, ox_version()) != 0) {
        child_kill(child, FAILURE_BAD_OUTPUT, "the program of handlers is of another version");
        return;
    }
    child->state = IDLE;
    uv_timer_stop(&child->timer);
    child->hooks->ready(child->owner);
}

/* Frames that begin and end a child's start. */
static void on_start_frame(struct child *child, const struct frame *frame, const char *text)
{
    g_autofree char *valid = NULL;
    if (frame->type == FRAME_READY) {
        on_ready(child, text);
    } else if (frame->type == FRAME_REFUSED) {
        child_kill(child, FAILURE_EXITED, repaired(text, &valid));
    } else {
        violation(child, "not ready yet");
    }
}

static void on_job_frame(struct child *child, const struct frame *frame, const char *text)
{
    switch (frame->type) {
    case FRAME_PROGRESS:
        take_progress(child, text);
        break;
    case FRAME_LOG:
        take_row(child, text);
        break;
    case FRAME_RETRY_AFTER:
        take_retry_after(child, text);
        break;
    case FRAME_FAILURE:
        take_failure(child, text);
        break;
    case FRAME_DONE:
        end_job(child, HANDLER_DONE, text);
        break;
    case FRAME_RETRY:
        end_job(child, HANDLER_RETRY, text);
        break;
    case FRAME_FATAL:
        end_job(child, HANDLER_FATAL, text);
        break;
    case FRAME_OUTDATED:
        close_job(child);
        child->hooks->outdated(child->owner);
        break;
    default:
        violation(child, "ready twice");
    }
}

static void on_frame(struct child *child, const struct frame *frame)
{
    const char *text = frame_text(frame);
    if (text == NULL) {
        violation(child, "no text");
    } else if (child->state == STARTING) {
        on_start_frame(child, frame, text);
    } else if (!child->job_open || child->outgoing.writing || frame->serial != child->serial) {
        violation(child, "an answer to nothing");
    } else {
        on_job_frame(child, frame, text);
    }
}

/* A killed child has nothing more to say. */
static void take_frames(struct child *child)
{
    struct frame frame;
    const char *problem;
    int got = 1;
    while (got > 0 && child->state != DOOMED && !child->held) {
        got = frame_reader_next(&child->reader, &frame, &problem);
        if (got > 0) {
            on_frame(child, &frame);
        } else if (got < 0) {
            violation(child, problem);
        }
    }
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct child *child = handle->data;
    (void)suggested;
    buffer->len = frame_reader_room(&child->reader, &buffer->base);
}

/* A closed socket mostly means that the child is dying, and the news of why is on the way; it
 * must not be killed before, or that would be why. */
static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct child *child = stream->data;
    (void)buffer;
    if (count > 0) {
        frame_reader_filled(&child->reader, (size_t)count);
        take_frames(child);
    } else if (count < 0) {
        uv_read_stop(stream);
        child->hung_up = true;
        if (child->state != RETIRED) {
            set_timer(child, HANG_UP_MS);
        }
    }
}

void child_hold(struct child *child, bool hold)
{
    if (hold == child->held || child->exited) {
        return;
    }
    child->held = hold;
    if (hold) {
        bool timed = uv_is_active((uv_handle_t *)&child->timer);
        child->left_ms = timed ? MAX(uv_timer_get_due_in(&child->timer), 1) : 0;
        if (child->state == BUSY) {
            uv_timer_stop(&child->timer);
        }
        uv_read_stop((uv_stream_t *)&child->pipe);
        return;
    }
    if (child->state == BUSY && child->left_ms > 0) {
        set_timer(child, (uint32_t)child->left_ms);
    }
    take_frames(child); /* what was read already; it may be held again */
    if (!child->held && child->state != DOOMED && !child->hung_up) {
        uv_read_start((uv_stream_t *)&child->pipe, give_room, on_read);
    }
}

/* ---- Its stderr -------------------------------------------------------------------------- */

static void give_output_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct child *child = handle->data;
    (void)suggested;
    buffer->len = output_room(&child->said, &buffer->base);
}

static void on_output(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct child *child = stream->data;
    (void)buffer;
    if (count > 0) {
        output_filled(&child->said, (size_t)count, uv_now(child->settings->loop));
    } else if (count < 0) {
        uv_read_stop(stream);
    }
}

/* ---- Its death --------------------------------------------------------------------------- */

/* Reads what a dead child left in one of its pipes: at most what a pipe holds, or somebody
 * who got hold of the other end could keep us here. */
static void read_rest(struct child *child, uv_pipe_t *pipe, uv_alloc_cb room, uv_read_cb take)
{
    uv_os_fd_t fd;
    ssize_t count = 1;
    if (uv_fileno((uv_handle_t *)pipe, &fd) < 0) {
        return;
    }
    for (size_t total = 0; count > 0 && total < REST_MAX_BYTES; total += (size_t)count) {
        uv_buf_t buffer;
        room((uv_handle_t *)pipe, 0, &buffer);
        do {
            count = read(fd, buffer.base, buffer.len);
        } while (count < 0 && errno == EINTR);
        if (count > 0) {
            take((uv_stream_t *)pipe, count, &buffer);
        }
        if (count < 0 || child->state == DOOMED) {
            break;
        }
    }
}

static void on_exit_news(uv_process_t *process, int64_t status, int signal_number)
{
    struct child *child = process->data;
    enum failure kind;
    g_autofree char *reason = failure_of_death(status, signal_number, &kind);
    bool told_to = child->state == RETIRED;
    child->exited = true;
    child->held = false; /* there is an end to what a dead one says */
    if (child->state != DOOMED) {
        take_frames(child);
    }
    if (child->state != DOOMED) {
        read_rest(child, &child->pipe, give_room, on_read);
    }
    read_rest(child, &child->output, give_output_room, on_output);
    output_end(&child->said, uv_now(child->settings->loop));
    if (child->reason == NULL && !told_to) {
        child->kind = kind;
        child->reason = g_steal_pointer(&reason);
    }
    close_handles(child);
}

/* ---- Its life ---------------------------------------------------------------------------- */

static int spawn(struct child *child)
{
    int words = private_words_send(child->settings->words);
    if (words < 0) {
        return words; /* libuv's errors are negative errnos as well */
    }
    uv_stdio_container_t stdio[SERVE_FD + 1] = {
        { .flags = UV_INHERIT_FD, .data.fd = words },
        { .flags = UV_IGNORE },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
            .data.stream = (uv_stream_t *)&child->output },
        { .flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE,
            .data.stream = (uv_stream_t *)&child->pipe },
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_news,
        .file = child->settings->program,
        .args = child->settings->argv,
        .env = child->settings->env,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = G_N_ELEMENTS(stdio),
        .stdio = stdio,
    };
    int status = uv_spawn(child->settings->loop, &child->process, &options);
    close(words);
    return status;
}

struct child *child_new(const struct child_settings *settings, const struct child_hooks *hooks,
    void *owner, char **problem)
{
    struct child *child = g_new0(struct child, 1);
    child->settings = settings;
    child->hooks = hooks;
    child->owner = owner;
    child->handles_open = HANDLES;
    child->process.data = child->pipe.data = child->output.data = child;
    child->timer.data = child->watch.data = child;
    output_init(&child->said, &settings->place, uv_now(settings->loop));
    frame_reader_init(&child->reader, FROM_CHILD);
    uv_pipe_init(settings->loop, &child->pipe, 0);
    uv_pipe_init(settings->loop, &child->output, 0);
    uv_timer_init(settings->loop, &child->timer);
    uv_timer_init(settings->loop, &child->watch);
    int status = spawn(child);
    if (status < 0) {
        *problem =
            g_strdup_printf("cannot start %s: %s", settings->program, uv_strerror(status));
        close_handles(child);
        return NULL;
    }
    child->said.pid = child->process.pid;
    uv_read_start((uv_stream_t *)&child->pipe, give_room, on_read);
    uv_read_start((uv_stream_t *)&child->output, give_output_room, on_output);
    set_timer(child, settings->start_timeout_ms);
    return child;
}

void child_run(struct child *child, const struct frame_job *job, uint32_t timeout_ms)
{
    if (!outgoing_fits(&child->outgoing, ++child->serial, job)) {
        child_kill(child, FAILURE_INVALID, "job of more than 768 MB");
        return;
    }
    child->state = BUSY;
    child->job_open = true;
    child->said_bytes = 0;
    child->timeout_ms = timeout_ms;
    set_timer(child, timeout_ms);
    set_watch(child, true);
    outgoing_send(&child->outgoing, (uv_stream_t *)&child->pipe, job);
}

bool child_usable(const struct child *child)
{
    return !child->exited && !child->hung_up && child->state < RETIRED;
}

pid_t child_pid(const struct child *child)
{
    return child->process.pid;
}

int64_t child_left_ms(const struct child *child)
{
    if (child->held) {
        return child->left_ms > 0 ? (int64_t)child->left_ms : -1;
    }
    return uv_is_active((const uv_handle_t *)&child->timer)
               ? (int64_t)uv_timer_get_due_in(&child->timer)
               : -1;
}

static void on_shut(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown, (void)status;
}

void child_retire(struct child *child)
{
    if (!child_usable(child)) {
        return;
    }
    if (child->state == STARTING) {
        child_kill(child, FAILURE_STOPPED, "not needed any more");
        return;
    }
    child->state = RETIRED;
    set_timer(child, RETIRE_MS);
    uv_shutdown(&child->shutdown, (uv_stream_t *)&child->pipe, on_shut);
}
