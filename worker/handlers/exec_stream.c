/*
 * exec_stream.c - one program for many jobs: a line of JSON for each job in, lines of JSON out.
 *
 * An interpreter so starts once. The program is started by the first job, and again when it has
 * ended or was killed because of what it said. One job is with it at a time; the first line
 * with `result` or `error` ends it.
 *
 * A program may end itself between two jobs. When that shows only as the next one is on its
 * way, and nothing of it was read, a new program gets it: the job has not begun.
 *
 * A line that breaks the rules leaves nobody sure of where the program is, so it is killed. Its
 * job is tried again, unlike one whose program had ended well and printed what cannot be
 * stored.
 */
#include "exec.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/stored.h"
#include "base/text.h"
#include "frame.h"

#define SHOWN_BYTES 100 /* of a line that breaks the rules */
#define CLOSED_MS 2000  /* a program that closed its stdout has that long to end */
#define LEAVE_MS 1500L  /* and one whose stdin was closed; the parent waits a little longer */
#define IDLE_TURNS 64   /* what it says between jobs is read so often, before the next one */
#define LINE_MAX_BYTES ((size_t)FRAME_RESULT_MAX)

/* The members of a line that mean something: one of the first four, and what goes with it. */
enum { PROGRESS, LOG, RESULT, ERROR, KINDS, ID = KINDS, RETRY, MEMBERS };

static const char *const names[MEMBERS] = { "progress", "log", "result", "error", "id",
    "retry" };

/* What a line, or what came instead of one, does to the job. */
enum step {
    GO_ON,
    ANSWERED, /* it has ended; the program is fit for another one */
    DIED,     /* without an answer */
    BROKEN    /* the program broke the rules */
};

/* A job that is with the program. */
struct talk {
    struct exec_program *program;
    const struct handler_job *job;
    const struct handler_io *io;
    enum handler_result result; /* once it is answered */
    GString *out;               /* the return value or the reason */
    size_t searched;            /* bytes of `said` that hold no end of a line */
};

/* ---- in: the job ---------------------------------------------------------------------------
 */

static void put_member(struct ox__buf *line, const char *name, const char *text, size_t length)
{
    ox__buf_text(line, name);
    ox__json_string(line, text, length);
}

/* {"id":..., "name":..., "queue":..., "attempt":..., "deadline":..., "data":...}; of a batch
 * "group", "stream" and "events" for "name", "queue" and "data". The data may be laid out over
 * several lines; in JSON a line break is white space, and only that. */
static char *job_line(const struct handler_job *job, size_t *length)
{
    struct ox__buf line = { 0 };
    put_member(&line, "{\"id\":", job->id, strlen(job->id));
    bool batch = job->events > 0;
    put_member(&line, batch ? ",\"group\":" : ",\"name\":", job->name, job->name_len);
    put_member(&line, batch ? ",\"stream\":" : ",\"queue\":", job->queue, strlen(job->queue));
    ox__buf_text(&line, ",\"attempt\":");
    ox__buf_int(&line, job->attempt);
    ox__buf_text(&line, ",\"deadline\":");
    if (job->deadline_ms > 0) {
        ox__buf_int(&line, job->deadline_ms);
    } else {
        ox__buf_text(&line, "null");
    }
    ox__buf_text(&line, batch ? ",\"events\":" : ",\"data\":");
    size_t before = line.len;
    ox__buf_put(&line, job->data, job->data_len);
    for (char *at = line.data + before; !line.failed && at < line.data + line.len; at++) {
        *at = *at == '\n' || *at == '\r' ? ' ' : *at;
    }
    ox__buf_text(&line, "}\n");
    *length = line.len;
    return ox__buf_steal(&line);
}

/* ---- out: its answers
 * ------------------------------------------------------------------------ */

/* The first bytes of the line say more to somebody who looks for a stray print() than a column
 * would. */
static enum step refuse(struct talk *talk, const char *what, const char *line)
{
    g_autofree char *shown = g_strndup(line, ox__utf8_truncate(line, SHOWN_BYTES));
    g_autofree char *clean = ox__text_clean(shown, "");
    g_string_printf(talk->out, "bad output: %s: %s", what, clean);
    talk->io->failure(talk->io->arg, FAILURE_BAD_OUTPUT);
    return BROKEN;
}

/* Finds the members in a line that is a JSON object; of two with one name the last counts.
 * Returns how many of the first four are there. */
static int find_members(struct ox__slice object, struct ox__slice members[MEMBERS])
{
    struct ox__slice name, value;
    const char *at = NULL;
    int kinds = 0;
    while (ox__slice_member(object, &at, &name, &value)) {
        for (int i = 0; i < MEMBERS; i++) {
            if (ox__slice_is(name, names[i])) {
                members[i] = value;
            }
        }
    }
    for (int i = 0; i < KINDS; i++) {
        kinds += members[i].at != NULL;
    }
    return kinds;
}

/* The text of a string, or the JSON of anything else (g_free). */
static char *text_of(struct ox__slice value)
{
    char *text = ox__slice_text(value);
    char *copy =
        text != NULL ? g_strdup(text) : g_strndup(value.at, (gsize)(value.end - value.at));
    free(text);
    return copy;
}

static enum step take_members(struct talk *talk, struct ox__slice members[MEMBERS])
{
    int kind = 0;
    while (members[kind].at == NULL) {
        kind++;
    }
    g_autofree char *text =
        kind == LOG || kind == ERROR
            ? text_of(members[kind])
            : g_strndup(members[kind].at, (gsize)(members[kind].end - members[kind].at));
    if (kind == PROGRESS) {
        talk->io->progress(talk->io->arg, text);
        return GO_ON;
    }
    if (kind == LOG) {
        talk->io->log(talk->io->arg, text);
        return GO_ON;
    }
    bool for_good = members[RETRY].at != NULL && *members[RETRY].at == 'f';
    talk->result = kind == RESULT ? HANDLER_DONE : for_good ? HANDLER_FATAL : HANDLER_RETRY;
    g_string_assign(talk->out, text);
    return ANSWERED;
}

/* An answer names its job: one that comes late, or twice, must not end the next one. */
static bool is_of_job(const struct talk *talk, const struct ox__slice members[MEMBERS])
{
    bool ends_job = members[RESULT].at != NULL || members[ERROR].at != NULL;
    return members[ID].at != NULL ? ox__slice_is(members[ID], talk->job->id) : !ends_job;
}

/* `line` ends in a NUL in place of its line break. */
static enum step take_line(struct talk *talk, const char *line, size_t length)
{
    struct ox__slice members[MEMBERS] = { { NULL, NULL } };
    if (line[strspn(line, " \t\r")] == '\0' && strlen(line) == length) {
        return GO_ON;
    }
    if (!ox__json_valid(line, length) || *ox__slice_at(line).at != '{') {
        return refuse(talk, "not a JSON object", line);
    }
    if (find_members(ox__slice_at(line), members) != 1) {
        return refuse(talk, "not one of progress, log, result and error", line);
    }
    if (!is_of_job(talk, members)) {
        return refuse(talk, "not with the id of the job that runs", line);
    }
    if (members[RETRY].at != NULL && strchr("tf", *members[RETRY].at) == NULL) {
        return refuse(talk, "retry is not true or false", line);
    }
    return take_members(talk, members);
}

/* Takes what is whole of its stdout, up to an answer; at its end also what has no line break.
 */
static enum step take_lines(struct talk *talk)
{
    GString *said = talk->program->said;
    enum step step = GO_ON;
    size_t start = 0;
    while (step == GO_ON && start < said->len) {
        char *end = memchr(said->str + talk->searched, '\n', said->len - talk->searched);
        if (end == NULL && talk->program->pid > 0) {
            talk->searched = said->len;
            break;
        }
        end = end != NULL ? end : said->str + said->len;
        *end = '\0';
        step = take_line(talk, said->str + start, (size_t)(end - said->str) - start);
        start = talk->searched = MIN((size_t)(end - said->str) + 1, said->len);
    }
    g_string_erase(said, 0, (gssize)start);
    talk->searched -= start;
    if (step == GO_ON && said->len > LINE_MAX_BYTES) {
        return refuse(talk, "a line of more than 16 MB", said->str);
    }
    return step;
}

/* ---- one job -------------------------------------------------------------------------------
 */

static enum step died(struct talk *talk)
{
    talk->result = exec_program_verdict(talk->program, talk->out);
    if (talk->result == HANDLER_DONE) {
        const char *last = talk->program->last_line->str;
        exec_program_reason(
            talk->program, talk->out, *last ? last : "exited with status 0 before it answered");
        talk->result = HANDLER_RETRY;
    }
    return DIED;
}

static enum step give(struct talk *talk, const char *line, size_t length)
{
    struct exec_program *program = talk->program;
    enum step step = GO_ON;
    bool goes_on = true;
    program->io = talk->io;
    g_string_truncate(program->last_line, 0);
    exec_program_feed(program, line, length, false);
    while (step == GO_ON && goes_on) {
        goes_on = exec_program_turn(program, program->out < 0 ? CLOSED_MS : -1);
        step = take_lines(talk);
    }
    if (step == ANSWERED) {
        exec_program_read_rows(program);
    } else if (step == GO_ON && program->pid == 0) {
        step = died(talk);
    } else if (step == GO_ON) {
        g_string_assign(talk->out, "bad output: stdout was closed before the answer");
        talk->io->failure(talk->io->arg, FAILURE_BAD_OUTPUT);
        step = BROKEN;
    }
    program->io = NULL;
    return step;
}

/* Why a program that had a job cannot have the next one, or NULL. */
static const char *unfit(const struct exec_program *program)
{
    if (program->said->len > 0) {
        return "printed more after its answer";
    }
    if (program->in < 0 || program->out < 0) {
        return "closed its stdin or stdout";
    }
    return NULL;
}

/* Whether a program runs that can have a job; one that cannot is ended. */
static bool is_ready(struct exec_program *program)
{
    if (program->said == NULL) {
        return false;
    }
    for (int turns = 0; turns < IDLE_TURNS && exec_program_turn(program, 0); turns++) {
    }
    const char *why = program->pid > 0 ? unfit(program) : NULL;
    if (why != NULL) {
        fprintf(stderr, "exec: %s %s; it is started again\n", program->command->name, why);
    }
    if (why != NULL || program->pid == 0) {
        exec_program_end(program);
    }
    return program->said != NULL;
}

/* Gives the job to a program. A second one gets it when the first, which had been running for
 * other jobs, turns out to have ended without reading any of it. */
static enum step run_job(struct talk *talk, char **environment, const char *line, size_t length)
{
    for (;;) {
        struct exec_program *program = talk->program;
        bool is_new = !is_ready(program);
        if (is_new && !exec_program_start(program, environment, talk->out)) {
            talk->result = HANDLER_RETRY;
            return DIED;
        }
        talk->searched = 0;
        enum step step = give(talk, line, length);
        bool began = program->sent_bytes > program->unread_bytes;
        if (step != DIED || is_new || began) {
            return step;
        }
    }
}

enum handler_result exec_stream_run(struct exec_program *program, char **environment,
    const struct handler_job *job, const struct handler_io *io, GString *out)
{
    struct talk talk = {
        .program = program, .job = job, .io = io, .result = HANDLER_RETRY, .out = out
    };
    size_t length;
    char *line = job_line(job, &length);
    if (line == NULL) {
        exec_program_reason(program, out, "the job is too large for a line");
        return HANDLER_FATAL;
    }
    enum step step = run_job(&talk, environment, line, length);
    /* Also one that answered before it had read its job: the rest of that line would follow. */
    if (step == BROKEN || step == DIED || program->unsent_bytes > 0) {
        exec_program_end(program);
    }
    free(line);
    return talk.result;
}

void exec_stream_done(struct exec_program *program)
{
    if (program->said == NULL) {
        return;
    }
    int64_t until_us = g_get_monotonic_time() + LEAVE_MS * 1000, left_ms = LEAVE_MS;
    exec_program_feed(program, "", 0, true);
    while (program->pid > 0 && left_ms > 0) {
        exec_program_turn(program, (int)left_ms);
        g_string_truncate(program->said, 0);
        left_ms = (until_us - g_get_monotonic_time()) / 1000;
    }
    exec_program_end(program);
}
