/*
 * serve.c - runs jobs in a child process, one at a time, for the parent that started it.
 *
 * Frames come in and go out on one socket; see frame.h. The loop blocks: it reads a job, runs
 * its handler, writes what became of it, and reads on. The end of the socket is the order to
 * go; that is how the parent retires a child, and how a child learns that its parent is gone
 * before it could ask to die with it. From then on the kernel sees to that (PDEATHSIG), also
 * in the middle of a job.
 *
 * Nothing of the parent is of use here but the socket and stderr, so every other descriptor
 * is closed, and stdout goes where stderr goes: a library that prints must not break frames.
 *
 * Besides serving, the program answers two questions for the parent, which is not linked with
 * the handlers: which are there (--list), and would this one start (--check).
 */
#include "serve.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/text.h"
#include "frame.h"
#include "units.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

/* A result buffer larger than this is given back after the job. */
#define KEEP_OUT_BYTES ((gsize)1 << 20)

static struct {
    char *queue, *handler, *arg, *root, *max_pixels, *max_bytes;
    int parent;
    gboolean list, check;
} given;

static const GOptionEntry entries[] = {
    { "list", 0, 0, G_OPTION_ARG_NONE, &given.list, "Print the handlers", NULL },
    { "check", 0, 0, G_OPTION_ARG_NONE, &given.check, "Check the handler's settings", NULL },
    { "parent", 0, 0, G_OPTION_ARG_INT, &given.parent, "Who must be alive", "PID" },
    { "queue", 0, 0, G_OPTION_ARG_FILENAME, &given.queue, "Whose jobs these are", "NAME" },
    { "handler", 0, 0, G_OPTION_ARG_FILENAME, &given.handler, "What runs them", "NAME" },
    { "arg", 0, 0, G_OPTION_ARG_FILENAME, &given.arg, "The handler's argument", "TEXT" },
    { "root", 0, 0, G_OPTION_ARG_FILENAME, &given.root, "The handler's folder", "DIR" },
    { "max-pixels", 0, 0, G_OPTION_ARG_FILENAME, &given.max_pixels, "Refuse more", "N" },
    { "max-bytes", 0, 0, G_OPTION_ARG_FILENAME, &given.max_bytes, "Refuse larger", "SIZE" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* One child has one parent, one handler and one job, so they are what they look like. */
static const struct handler *handler;
static struct handler_config config;
static uint32_t serial;

static void fail(const char *problem)
{
    fprintf(stderr, "ox-handler: %s\n", problem);
}

/* Writes everything or ends the process: without the parent there is nothing left to do. */
static void send_all(struct iovec *parts, int count)
{
    while (count > 0) {
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = (size_t)count };
        ssize_t sent = sendmsg(SERVE_FD, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            _exit(EXIT_FAILED);
        for (; count > 0 && (size_t)sent >= parts->iov_len; parts++, count--)
            sent -= (ssize_t)parts->iov_len;
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
    if (!frame_text_head(&head, type, serial, length))
        return false;
    struct iovec parts[] = {
        { &head, sizeof head },
        { (char *)(uintptr_t)text, length + 1 },
    };
    send_all(parts, G_N_ELEMENTS(parts));
    return true;
}

/* A text for people may lose its end. */
static void send_cut(enum frame_type type, const char *text)
{
    if (send_text(type, text))
        return;
    g_autofree char *cut = g_strndup(text, oxb_cut_utf8(text, FRAME_TEXT_MAX - 1));
    send_text(type, cut);
}

static void say_progress(void *arg, const char *json)
{
    (void)arg;
    if (!send_text(FRAME_PROGRESS, json))
        send_text(FRAME_LOG, "progress of more than 256 KB was left out");
}

static void say_log(void *arg, const char *row)
{
    (void)arg;
    send_cut(FRAME_LOG, row);
}

static void send_result(enum handler_result result, const GString *out)
{
    if (result == HANDLER_RETRY)
        send_cut(FRAME_RETRY, out->str);
    else if (result == HANDLER_FATAL)
        send_cut(FRAME_FATAL, out->str);
    else if (!send_text(FRAME_DONE, out->str))
        send_text(FRAME_FATAL, "the return value is over the limit of 16 MB");
}

static void run(const struct frame *frame, GString *out)
{
    static const struct handler_io io = { say_progress, say_log, NULL };
    struct frame_job parts;
    if (!frame_parse_job(frame, &parts))
        _exit(EXIT_FAILED);
    serial = frame->serial;
    struct handler_job job = {
        .queue = given.queue,
        .id = parts.id,
        .name = parts.name,
        .data = parts.data,
        .data_len = parts.data_len,
        .attempt = parts.attempt,
    };
    g_string_truncate(out, 0);
    send_result(handler->run(&job, &config, &io, out), out);
}

static bool fill(struct frame_reader *reader)
{
    char *at;
    size_t room = frame_reader_room(reader, &at);
    ssize_t count;
    do
        count = read(SERVE_FD, at, room);
    while (count < 0 && errno == EINTR);
    if (count > 0)
        frame_reader_filled(reader, (size_t)count);
    return count > 0;
}

/* Until the parent closes its end. */
static void serve(void)
{
    struct frame_reader reader;
    struct frame frame;
    const char *problem;
    GString *out = g_string_sized_new(4096);
    frame_reader_init(&reader, FROM_PARENT);
    for (;;) {
        int got = frame_reader_next(&reader, &frame, &problem);
        if (got < 0 || (got == 0 && !fill(&reader)))
            break;
        if (got > 0)
            run(&frame, out);
        if (out->allocated_len > KEEP_OUT_BYTES) {
            g_string_free(out, TRUE);
            out = g_string_sized_new(4096);
        }
    }
    frame_reader_done(&reader);
    g_string_free(out, TRUE);
}

/* A job that starts need not push aside who serves others, such as the parent, which renews
 * leases, or Redis. It has as much of the processor as before, in longer turns. */
static void work_in_bulk(void)
{
    const struct sched_param none = { 0 };
    if (sched_getscheduler(0) == SCHED_OTHER)
        sched_setscheduler(0, SCHED_BATCH, &none); /* if not, then as it was */
}

/* Ties this process to its parent and keeps nothing else of it. */
static bool prepare_process(void)
{
    int type;
    socklen_t size = sizeof type;
    if (getsockopt(SERVE_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0) {
        fail("runs jobs for ox-worker, which starts it; see ox-worker --help");
        return false;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != given.parent)
        return false;
    work_in_bulk();
    closefrom(SERVE_FD + 1);
    return dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
}

static int serve_program(void)
{
    g_autofree char *problem = NULL;
    if (!prepare_process())
        return EXIT_USAGE;
    if (handler->init && !handler->init(&config, false, &problem)) {
        send_cut(FRAME_REFUSED, problem ? problem : "the handler gave no reason");
        return EXIT_FAILED;
    }
    send_text(FRAME_READY, OX_VERSION_TEXT);
    serve();
    return EXIT_DONE;
}

static int check_program(void)
{
    g_autofree char *problem = NULL;
    if (!handler->init || handler->init(&config, true, &problem))
        return EXIT_DONE;
    fail(problem ? problem : "the handler gave no reason");
    return EXIT_USAGE;
}

static int list_program(const struct handler *const table[])
{
    for (size_t i = 0; table[i]; i++)
        printf("%s\t%s\n", table[i]->name, table[i]->summary);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static bool find_handler(const struct handler *const table[])
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; table[i]; i++) {
        if (given.handler && strcmp(table[i]->name, given.handler) == 0) {
            handler = table[i];
            return true;
        }
        g_string_append_printf(names, "%s%s", i ? ", " : "", table[i]->name);
    }
    g_autofree char *problem = g_strdup_printf("no handler is called %s; there are: %s",
        given.handler ? given.handler : "(nothing)", names->str);
    fail(problem);
    return false;
}

static bool take_settings(void)
{
    config = (struct handler_config){ .arg = given.arg, .root = given.root };
    if (given.max_pixels && !parse_count(given.max_pixels, 0, G_MAXINT64, &config.max_pixels)) {
        fail("--max-pixels is no number");
        return false;
    }
    if (given.max_bytes && !parse_bytes(given.max_bytes, &config.max_bytes)) {
        fail("--max-bytes is no size");
        return false;
    }
    return true;
}

int serve_main(int argc, char **argv, const struct handler *const table[])
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GOptionContext) context =
        g_option_context_new("- runs jobs for ox-worker, which starts it");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fail(error->message);
        return EXIT_USAGE;
    }
    if (given.list)
        return list_program(table);
    if (!find_handler(table) || !take_settings())
        return EXIT_USAGE;
    return given.check ? check_program() : serve_program();
}
