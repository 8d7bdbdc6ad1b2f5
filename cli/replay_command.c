/*
 * replay_command.c - see replay_command.h.
 *
 * The command gets what the exec handler of ox-worker gives it: events as lines on stdin, each
 * with its position as the last member, their number and the stream in the environment; its
 * exit status is that of the batch, and what it prints may name single events that failed. Both
 * ends are files in memory, so there is no pipe on which it and ox could wait for each other.
 *
 * It has a process group of its own: Ctrl-C is for ox, which lets it finish its batch.
 */
#include "replay_command.h"
#include "json.h"
#include "progress.h"
#include "server.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_REPORTED 20
#define NAP_US 100000

struct giving {
    struct run *run;
    const char *stream;
    const struct replay_command *command;
    GString *lines;       /* of the batch */
    GPtrArray *positions; /* of its events */
    int64_t events, batches, failed, skipped, lost;
    char position[OX_POSITION_SIZE]; /* all up to here is done; "": nothing */
    char *why;                       /* it stopped before the end. Heap */
    struct progress progress;
};

/* ---- one run ----------------------------------------------------------------------------- */

static int file_with(const GString *bytes)
{
    int fd = memfd_create("ox-replay", MFD_CLOEXEC);
    for (gsize at = 0; fd >= 0 && bytes != NULL && at < bytes->len;) {
        ssize_t put = write(fd, bytes->str + at, bytes->len - at);
        if (put < 0 && errno != EINTR) {
            close(fd);
            return -1;
        }
        at += put > 0 ? (gsize)put : 0;
    }
    if (fd >= 0) {
        lseek(fd, 0, SEEK_SET);
    }
    return fd;
}

static void become(const struct giving *giving, int in, int out)
{
    char count[24];
    g_snprintf(count, sizeof(count), "%u", giving->positions->len);
    g_setenv("OX_STREAM", giving->stream, TRUE);
    g_setenv("OX_EVENTS", count, TRUE);
    g_setenv("OX_ATTEMPT", "1", TRUE);
    signal(SIGINT, SIG_DFL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        execvp(giving->command->argv[0], giving->command->argv);
    }
    fprintf(stderr, "ox replay: cannot start %s: %s\n", giving->command->argv[0],
        g_strerror(errno));
    _exit(127);
}

/* What it printed. Heap. */
static char *read_all(int fd)
{
    struct stat info;
    gsize have = 0, size = fstat(fd, &info) == 0 ? (gsize)info.st_size : 0;
    char *text = g_malloc(size + 1);
    while (have < size) {
        ssize_t got = pread(fd, text + have, size - have, (off_t)have);
        if (got <= 0 && errno != EINTR) {
            break;
        }
        have += got > 0 ? (gsize)got : 0;
    }
    text[have] = '\0';
    return text;
}

/* Its exit status, 128 + signal, or -1 with errno. */
static int run_once(const struct giving *giving, char **printed)
{
    int in = file_with(giving->lines), out = file_with(NULL), status = -1;
    pid_t pid = in >= 0 && out >= 0 ? fork() : -1;
    if (pid == 0) {
        become(giving, in, out);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *printed = pid > 0 ? read_all(out) : NULL;
    close(in);
    close(out);
    return pid < 0 ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- what it printed --------------------------------------------------------------------- */

static bool has_position(const struct giving *giving, const char *position)
{
    return position != NULL &&
           g_ptr_array_find_with_equal_func(giving->positions, position, g_str_equal, NULL);
}

static void report_failed(struct giving *giving, const char *position)
{
    if (++giving->failed <= MAX_REPORTED) {
        progress_end(&giving->progress);
        complain(giving->run, "event %s failed", position);
    }
    if (giving->failed == MAX_REPORTED) {
        complain(giving->run, "further failed events are counted, not shown");
    }
}

/* Reads the events that it says have failed; what else it prints is passed on. */
static void take_output(struct giving *giving, const char *printed)
{
    json_t *root = json_loads(printed, 0, NULL);
    json_t *list = json_object_get(root, "batchItemFailures"), *item;
    size_t i;
    json_array_foreach (list, i, item) {
        const char *position = json_string_value(json_object_get(item, "itemIdentifier"));
        if (has_position(giving, position)) {
            report_failed(giving, position);
        } else if (giving->why == NULL) {
            giving->why = g_strdup("the command names a failed event that it was not given");
        }
    }
    if (list == NULL) {
        fputs(printed, giving->run->json ? stderr : stdout);
        fflush(stdout);
    }
    json_decref(root);
}

static void give_batch(struct giving *giving)
{
    guint count = giving->positions->len;
    g_autofree char *printed = NULL;
    if (count == 0 || giving->why != NULL) {
        return;
    }
    const char *first = g_ptr_array_index(giving->positions, 0);
    const char *last = g_ptr_array_index(giving->positions, count - 1);
    int status = run_once(giving, &printed);
    if (status < 0) {
        giving->why = g_strdup_printf("cannot run the command: %s", g_strerror(errno));
        return;
    }
    if (status > 0) {
        giving->why = g_strdup_printf(
            "the command ended with exit status %d at events %s to %s", status, first, last);
        return;
    }
    giving->events += count;
    giving->batches++;
    take_output(giving, printed);
    g_strlcpy(giving->position, last, sizeof(giving->position));
    g_string_truncate(giving->lines, 0);
    g_ptr_array_set_size(giving->positions, 0);
    progress_update(&giving->progress, -1, (uint64_t)giving->events);
}

/* ---- all --------------------------------------------------------------------------------- */

/* Waits until the rate allows another batch. */
static void wait_for_rate(const struct giving *giving)
{
    const struct replay_command *command = giving->command;
    double due = command->rate > 0 ? (double)giving->events / (double)command->rate : 0, left;
    while (!*command->interrupted && (left = due - progress_seconds(&giving->progress)) > 0) {
        g_usleep((gulong)MIN(left * 1e6, NAP_US));
    }
}

/* An event as a line, with its position as the last member, by which the command can name it.
 */
static void put_line(GString *lines, const ox_stream_event *event)
{
    size_t length = event->length;
    while (
        length > 0 && event->json[length - 1] != '}') { /* an object; white space behind it */
        length--;
    }
    g_string_append_len(lines, event->json, (gssize)length - 1);
    g_string_append_printf(lines, "%s\"position\":\"%s\"}\n",
        lines->len > 0 && lines->str[lines->len - 1] == '{' ? "" : ",", event->position);
}

static void take(struct giving *giving, const ox_stream_event *event)
{
    giving->lost += MAX(event->lost, 0);
    put_line(giving->lines, event);
    g_ptr_array_add(giving->positions, g_strdup(event->position));
    if (giving->positions->len >= giving->command->batch) {
        wait_for_rate(giving);
        give_batch(giving);
    }
}

static void give_all(struct giving *giving, ox_tail *tail)
{
    int got = 1;
    while (got != 0 && giving->why == NULL) {
        ox_stream_event event;
        ox_error err = { 0 };
        got = *giving->command->interrupted ? 0 : ox_tail_next(tail, 0, &event, &err);
        if (*giving->command->interrupted) {
            giving->why = g_strdup("interrupted");
        } else if (got == OX_EDATA) {
            giving->skipped++;
        } else if (got < 0) {
            giving->why = g_strdup(err.text);
        } else if (got > 0) {
            take(giving, &event);
        }
    }
    give_batch(giving);
}

static void print_object(const struct giving *giving, double seconds)
{
    struct obj obj;
    obj_begin(&obj);
    obj_int(&obj, "events", giving->events);
    obj_int(&obj, "batches", giving->batches);
    obj_int(&obj, "failed", giving->failed);
    obj_int(&obj, "skipped", giving->skipped);
    obj_int(&obj, "lost", giving->lost);
    obj_text(&obj, "position", giving->position[0] != '\0' ? giving->position : NULL);
    obj_bool(&obj, "stopped", giving->why != NULL);
    obj_int(&obj, "ms", (int64_t)(seconds * 1000));
    obj_print(&obj);
}

static int report(const struct giving *giving, double seconds)
{
    g_autofree char *events = number_grouped(giving->events);
    g_autofree char *text =
        g_strdup_printf("gave %s event%s to %s in %" PRId64 " run%s, %" PRId64 " failed",
            events, giving->events == 1 ? "" : "s", giving->command->argv[0], giving->batches,
            giving->batches == 1 ? "" : "s", giving->failed);
    if (giving->run->json) {
        print_object(giving, seconds);
    }
    if (giving->why == NULL) {
        fprintf(stderr, "%s, in %.1fs\n", text, seconds);
        return giving->failed > 0 ? STATUS_FAILED : STATUS_DONE;
    }
    complain(giving->run, "%s; %s; --from %s goes on", giving->why, text,
        giving->position[0] != '\0' ? giving->position : giving->command->from);
    return STATUS_FAILED;
}

int replay_to_command(struct run *run, ox_stream *stream, const ox_tail_options *part,
    const struct replay_command *command)
{
    g_autoptr(ox_tail) tail = NULL;
    ox_error err = { 0 };
    if (ox_tail_new(&tail, stream, part, &err) < 0) {
        return complain_error(run, &err);
    }
    struct giving giving = { .run = run,
        .stream = ox_stream_name(stream),
        .command = command,
        .lines = g_string_new(NULL),
        .positions = g_ptr_array_new_with_free_func(g_free) };
    progress_begin(&giving.progress, "events");
    give_all(&giving, tail);
    double seconds = progress_seconds(&giving.progress);
    progress_end(&giving.progress);
    int status = report(&giving, seconds);
    g_string_free(giving.lines, TRUE);
    g_ptr_array_free(giving.positions, TRUE);
    g_free(giving.why);
    return status;
}
