/*
 * cmd_import.c - ox import: a job for each line of a file.
 *
 * Memory is constant: one line at a time, and the library bounds the jobs in flight. Replies
 * come in the order of the jobs, so a queue of the line numbers in flight tells to which line a
 * reply belongs.
 *
 * A line whose job id exists, or whose deduplication id is held, makes no job; such lines are
 * counted separately and are not failures, so that the same file can be imported again.
 *
 * At a bad line: nothing of it is sent, the jobs of the lines before it are added, those after
 * it are not, and one line on stderr reports where it stopped, why, and how many jobs were
 * added. With --keep-going bad lines are reported and skipped. After a lost connection the
 * lines that got no answer are named, because their jobs may have been added. Ctrl-C stops it
 * in the same orderly way; a second one ends the program.
 */
#include "act.h"
#include "data.h"
#include "jobline.h"
#include "jobopts.h"
#include "json.h"
#include "lines.h"
#include "progress.h"
#include "server.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REPORTED 20

struct opts {
    ox_job_options job; /* first: the shared rows count from here */
    const char *name;
    bool keep_going, ids;
};

static const struct opt rows[] = {
    { .name = "name",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, name),
        .arg = "NAME",
        .help = "every line is the data of a job called NAME" },
    { .name = "keep-going",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, keep_going),
        .help = "skip bad lines instead of stopping at the first; the exit status is still 1" },
    { .name = "ids",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, ids),
        .help = "print the id of each job, in order" },
    PARENT_ROWS,
    { 0 },
};

struct import {
    struct run *run;
    ox_adder *adder;
    struct lines lines;
    uint64_t size_bytes; /* of a regular file, else 0 */
    GQueue on_the_way;   /* line numbers, oldest first */
    uint64_t added, bad, reported;
    uint64_t duplicated, deduplicated; /* lines that made no job, see enum ox_added */
    uint64_t unknown, first_unknown;   /* lines that got no answer */
    char *why; /* it stopped before the end of the input; NULL: it did not. Heap */
    struct progress progress;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* No further line is read. The first of several reasons is reported. */
static void stop(struct import *import, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void stop(struct import *import, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (import->why == NULL) {
        import->why = g_strdup_vprintf(format, args);
    }
    va_end(args);
}

static void bad_line(struct import *import, uint64_t number, const char *why)
{
    const struct opts *opts = import->run->opts;
    import->bad++;
    if (!opts->keep_going) {
        stop(import, "line %" PRIu64 ": %s", number, why);
    }
    if (import->why != NULL || ++import->reported > MAX_REPORTED) {
        return;
    }
    progress_end(&import->progress);
    complain(import->run, "line %" PRIu64 ": %s", number, why);
    if (import->reported == MAX_REPORTED) {
        complain(import->run, "further bad lines are counted, not shown");
    }
}

static bool is_unknown(int code)
{
    return code == OX_ELOST || code == OX_ETIMEOUT;
}

static void answered(void *arg, uint64_t index, const char *id, int code, const ox_error *err)
{
    (void)index;
    struct import *import = arg;
    const struct opts *opts = import->run->opts;
    uint64_t number = GPOINTER_TO_SIZE(g_queue_pop_head(&import->on_the_way));
    if (code >= 0) {
        uint64_t *const counts[] = { [OX_ADDED] = &import->added,
            [OX_DUPLICATED] = &import->duplicated,
            [OX_DEDUPLICATED] = &import->deduplicated };
        ++*counts[code];
        if (opts->ids) {
            act_print_id(import->run, id);
        }
    } else if (is_unknown(code)) {
        import->first_unknown = import->unknown++ ? import->first_unknown : number;
        stop(import, "%s", err->text);
    } else {
        bad_line(import, number, err->text);
    }
}

/* Sends one line's job. */
static void put(struct import *import, const ox_new_job *job)
{
    uint64_t number = import->lines.number;
    ox_error err = { 0 };
    g_queue_push_tail(&import->on_the_way, GSIZE_TO_POINTER(number));
    int code = ox_adder_put(import->adder, job, &err);
    if (code >= 0) {
        return;
    }
    g_queue_pop_tail(&import->on_the_way); /* not taken, so there will be no reply */
    if (code == OX_EINVAL) {
        bad_line(import, number, err.text);
    } else {
        stop(import, "%s", err.text);
    }
}

static void import_line(struct import *import, char *line, size_t length)
{
    const struct opts *opts = import->run->opts;
    ox_job_options job = opts->job;
    if (opts->name != NULL) {
        if (strlen(line) == length) {
            put(import, &(ox_new_job){ .name = opts->name, .json = line, .options = &job });
        } else {
            bad_line(import, import->lines.number, "it contains a NUL byte");
        }
        return;
    }
    struct jobline parts = { 0 };
    g_autofree char *why = NULL;
    if (!jobline_read(line, length, &parts, &why)) {
        bad_line(import, import->lines.number, why);
        return;
    }
    if (parts.opts != NULL) {
        job.json = parts.opts;
    }
    put(import, &(ox_new_job){ .name = parts.name, .json = parts.data, .options = &job });
    jobline_done(&parts);
}

static bool is_blank(const char *line, size_t length)
{
    return strspn(line, " \t") == length;
}

static void import_lines(struct import *import)
{
    char *line;
    size_t length;
    int got = LINES_END;
    while (import->why == NULL && !interrupted &&
           (got = lines_next(&import->lines, &line, &length)) == LINES_LINE) {
        if (!is_blank(line, length)) {
            import_line(import, line, length);
        }
        double share =
            import->size_bytes ? (double)import->lines.bytes / (double)import->size_bytes : -1;
        progress_update(&import->progress, share, import->added);
    }
    if (interrupted) {
        stop(import, "interrupted after line %" PRIu64, import->lines.number);
    } else if (got == LINES_TOO_LONG) {
        stop(import, "line %" PRIu64 " is longer than %zu bytes", import->lines.number + 1,
            MAX_LINE_BYTES);
    } else if (got == LINES_ERRNO) {
        stop(import, "cannot read the input: %s", data_read_reason(errno));
    }
}

static void print_numbers(const struct import *import, double seconds)
{
    struct obj obj;
    obj_begin(&obj);
    obj_int(&obj, "added", (int64_t)import->added);
    obj_int(&obj, "bad", (int64_t)import->bad);
    obj_int(&obj, "unknown", (int64_t)import->unknown);
    obj_int(&obj, "lines", (int64_t)import->lines.number);
    obj_int(&obj, "duplicated", (int64_t)import->duplicated);
    obj_int(&obj, "deduplicated", (int64_t)import->deduplicated);
    obj_int(&obj, "ms", (int64_t)(seconds * 1000));
    obj_print(&obj);
}

/* ", 2 already there, 1 deduplicated", or "". Heap. */
static char *not_added(const struct import *import)
{
    GString *text = g_string_new(NULL);
    g_autofree char *there = number_grouped((int64_t)import->duplicated);
    g_autofree char *dropped = number_grouped((int64_t)import->deduplicated);
    if (import->duplicated) {
        g_string_append_printf(text, ", %s already there (same id)", there);
    }
    if (import->deduplicated) {
        g_string_append_printf(text, ", %s dropped by deduplication", dropped);
    }
    return g_string_free(text, FALSE);
}

static void report_stop(const struct import *import, const char *added)
{
    g_autofree char *unknown =
        import->unknown ? g_strdup_printf("; %" PRIu64 " more, from line %" PRIu64
                                          " on, got no reply and may have been added",
                              import->unknown, import->first_unknown)
                        : g_strdup("");
    g_autofree char *others = not_added(import);
    complain(import->run, "%s; stopped, %s job%s added%s%s", import->why, added,
        import->added == 1 ? " was" : "s were", others, unknown);
}

static void report_end(const struct import *import, const char *added, double seconds)
{
    g_autofree char *rate = number_grouped((int64_t)((double)import->added / seconds));
    g_autofree char *bad = number_grouped((int64_t)import->bad);
    fprintf(stderr, "added %s job%s in %.1fs (%s jobs/s)", added, import->added == 1 ? "" : "s",
        seconds, rate);
    g_autofree char *others = not_added(import);
    fputs(others, stderr);
    if (import->bad) {
        fprintf(stderr, ", skipped %s bad line%s", bad, import->bad == 1 ? "" : "s");
    }
    fputc('\n', stderr);
}

static void report(const struct import *import, double seconds)
{
    g_autofree char *added = number_grouped((int64_t)import->added);
    if (import->run->json) {
        print_numbers(import, seconds);
    }
    if (import->why != NULL) {
        report_stop(import, added);
    } else {
        report_end(import, added, seconds);
    }
}

static int import_all(struct import *import, ox_queue *queue)
{
    ox_error err = { 0 };
    if (ox_adder_new(&import->adder, queue, answered, import, &err) < 0) {
        return complain_error(import->run, &err);
    }
    const struct sigaction orderly = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &orderly, NULL);
    progress_begin(&import->progress, "jobs");
    import_lines(import);
    if (ox_adder_flush(import->adder, &err) < 0 && !import->bad) {
        stop(import, "%s", err.text);
    }
    ox_adder_free(import->adder);
    double seconds = progress_seconds(&import->progress);
    progress_end(&import->progress);
    report(import, MAX(seconds, 1e-6));
    return import->why != NULL || import->bad ? STATUS_FAILED : STATUS_DONE;
}

static uint64_t file_bytes(int fd)
{
    struct stat info;
    return !fstat(fd, &info) && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
}

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    struct import import = { .run = run };
    int status = jobopts_check(run, &opts->job);
    if (status) {
        return status;
    }
    if (run->args[1] == NULL && isatty(STDIN_FILENO)) {
        complain(run, "reading jobs from the terminal; end with Ctrl-D");
    }
    int fd = data_open(run, run->args[1]);
    if (fd < 0) {
        return STATUS_FAILED;
    }
    import.size_bytes = file_bytes(fd);
    g_autoptr(ox_queue) queue = NULL;
    status = server_queue(run, run->args[0], &queue);
    if (!status) {
        lines_init(&import.lines, fd);
        status = import_all(&import, queue);
        lines_done(&import.lines);
    }
    g_queue_clear(&import.on_the_way);
    g_free(import.why);
    close(fd);
    return status;
}

const struct cmd cmd_import = {
    .name = "import",
    .summary = "add many jobs, one a line",
    .usage = "QUEUE [FILE]",
    .help =
        "Adds a job for each line of FILE, or of standard input: {\"name\":..,\"data\":..,"
        "\"opts\":..}, where data and opts may be left out and opts are BullMQ's job options. "
        "Options on the command line apply to every job and override those of its line. Empty "
        "lines are skipped.\n"
        "\n"
        "A bad line or Ctrl-C stops the import with exit status 1. The jobs of the lines "
        "before it are added, and their number is printed.\n"
        "\n"
        "A line whose jobId exists, or whose deduplication id is held by another job, adds no "
        "job. Such lines are counted separately (with --json as duplicated and deduplicated) "
        "and are not failures; --ids prints the id of the job that was there.",
    .example = "  ox import images jobs.ndjson\n"
               "  seq 1000 | ox import numbers --name square --remove-on-complete",
    .opts = rows,
    .more = jobopts_rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 2,
    .exec = exec,
};
