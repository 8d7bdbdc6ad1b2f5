/*
 * serve_jobs.c - runs jobs in a child process, one at a time; see serve_jobs.h.
 *
 * Frames come in and go out on one socket; see frame.h. The loop blocks: it reads a job, runs
 * its handler, writes what became of it, and reads on. The end of the socket is the order to
 * go; that is how the parent retires a child.
 */
#include "serve_jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/text.h"
#include "batch.h"
#include "sandbox.h"
#include "serve.h"
#include "tree.h"

/* A child that has had no job for so long is idle. */
enum { IDLE_MS = 1000 };

/* A result buffer larger than this is given back after the job. */
#define KEEP_OUT_BYTES ((gsize)1 << 20)

static uint32_t serial; /* of the job that runs */

/* Writes everything or ends the process: without the parent there is nothing left to do. */
static void send_all(struct iovec *parts, int count)
{
    while (count > 0) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)count };
        ssize_t sent = sendmsg(SERVE_FD, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            _exit(EXIT_FAILURE);
        }
        for (; count > 0 && (size_t)sent >= parts->iov_len; parts++, count--) {
            sent -= (ssize_t)parts->iov_len;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + sent;
            parts->iov_len -= (size_t)sent;
        }
    }
}

/* False, and nothing was sent, when the text is too long. */
static bool send_text(enum frame_type type, const char *text)
{
    struct frame_head head;
    size_t length = strlen(text);
    if (!frame_text_head(&head, type, serial, length)) {
        return false;
    }
    struct iovec parts[] = {
        { &head, sizeof head },
        { (char *)(uintptr_t)text, length + 1 },
    };
    send_all(parts, G_N_ELEMENTS(parts));
    return true;
}

/* A text for people may lose its end. */
void serve_say(enum frame_type type, const char *text)
{
    if (send_text(type, text)) {
        return;
    }
    g_autofree char *cut = g_strndup(text, ox__utf8_truncate(text, FRAME_TEXT_MAX - 1));
    send_text(type, cut);
}

/* Of a batch nobody looks at it. */
static void say_progress(void *arg, const char *json)
{
    const struct handler_job *job = arg;
    if (job->events == 0 && !send_text(FRAME_PROGRESS, json)) {
        send_text(FRAME_LOG, "progress of more than 256 KB was left out");
    }
}

/* A batch has no log of its own; what is printed goes to that of ox-worker. */
static void say_log(void *arg, const char *row)
{
    const struct handler_job *job = arg;
    if (job->events > 0) {
        fprintf(stderr, "%s\n", row);
    } else {
        serve_say(FRAME_LOG, row);
    }
}

static void say_retry_after(void *arg, int64_t ms)
{
    char text[24];
    (void)arg;
    snprintf(text, sizeof text, "%" PRId64, MAX(ms, 0));
    send_text(FRAME_RETRY_AFTER, text);
}

static void say_failure(void *arg, enum failure kind)
{
    (void)arg;
    send_text(FRAME_FAILURE, failure_word(kind));
}

static void send_result(enum handler_result result, const GString *out)
{
    if (result == HANDLER_RETRY) {
        serve_say(FRAME_RETRY, out->str);
    } else if (result == HANDLER_FATAL) {
        serve_say(FRAME_FATAL, out->str);
    } else if (!send_text(FRAME_DONE, out->str)) {
        say_failure(NULL, FAILURE_BAD_OUTPUT);
        send_text(FRAME_FATAL, "the return value is over the limit of 16 MB");
    }
}

/* For what a handler returned of a batch, the places of the events that failed. */
static enum handler_result take_failures(
    const struct handler_job *job, const struct handler_io *io, GString *out)
{
    g_autoptr(GArray) failed = g_array_new(FALSE, FALSE, sizeof(guint32));
    g_autofree char *problem = NULL;
    if (!batch_read_failures(job->data, out->str, failed, &problem)) {
        io->failure(io->arg, FAILURE_BAD_OUTPUT);
        g_string_assign(out, problem);
        return HANDLER_RETRY;
    }
    g_string_truncate(out, 0);
    batch_write_places(failed, out);
    return HANDLER_DONE;
}

static void run(const struct served *served, const struct frame *frame, GString *out)
{
    const struct handler *handler = served->handler;
    struct frame_job parts;
    if (!frame_parse_job(frame, &parts)) {
        _exit(EXIT_FAILURE);
    }
    serial = frame->serial;
    struct handler_job job = {
        .queue = served->queue,
        .id = parts.id,
        .name = parts.name,
        .data = parts.data,
        .name_len = parts.name_len,
        .data_len = parts.data_len,
        .events = parts.events,
        .attempt = parts.attempt,
        .deadline_ms = parts.deadline_ms,
        .timestamp_ms = parts.timestamp_ms,
    };
    const struct handler_io io = { say_progress, say_log, say_retry_after, say_failure, &job };
    g_string_truncate(out, 0);
    rlimits_start_job(served->limits);
    enum handler_result result = handler->run(&job, served->config, &io, out);
    if (result == HANDLER_DONE && job.events > 0) {
        result = take_failures(&job, &io, out);
    }
    if (handler->starts_programs) {
        tree_kill_rest(handler->keeps != NULL ? handler->keeps() : 0);
    }
    send_result(result, out);
}

/* Once after a job, when no other follows: what it needed goes back to the system. Not at once,
 * because the next job would have to ask for it all again. A time limit of the socket would do
 * without poll(), but the child would wake once more for each job: a blocked read() also wakes
 * when the parent takes the answer. */
static void give_memory_back(bool *worked)
{
    struct pollfd job = { .fd = SERVE_FD, .events = POLLIN };
    if (*worked && poll(&job, 1, IDLE_MS) == 0) {
        malloc_trim(0);
        *worked = false;
    }
}

static bool fill(struct frame_reader *reader)
{
    char *at;
    size_t room = frame_reader_room(reader, &at);
    ssize_t count;
    do {
        count = read(SERVE_FD, at, room);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
        frame_reader_filled(reader, (size_t)count);
    }
    return count > 0;
}

/* A job that this process could do no more, because of files that it may not read, is left to
 * one that may. */
static void take_job(const struct served *served, const struct frame *frame, GString *out)
{
    if (sandbox_is_outdated()) {
        serial = frame->serial;
        send_text(FRAME_OUTDATED, "");
    } else {
        run(served, frame, out);
    }
}

void serve_jobs(const struct served *served)
{
    struct frame_reader reader;
    struct frame frame;
    const char *problem;
    bool worked = false;
    GString *out = g_string_sized_new(4096);
    frame_reader_init(&reader, FROM_PARENT);
    for (;;) {
        int got = frame_reader_next(&reader, &frame, &problem);
        if (got == 0) {
            give_memory_back(&worked);
        }
        if (got < 0 || (got == 0 && !fill(&reader))) {
            break;
        }
        if (got > 0) {
            take_job(served, &frame, out);
            worked = true;
        }
        if (out->allocated_len > KEEP_OUT_BYTES) {
            g_string_free(out, TRUE);
            out = g_string_sized_new(4096);
        }
    }
    frame_reader_done(&reader);
    g_string_free(out, TRUE);
}
