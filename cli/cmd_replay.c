/*
 * cmd_replay.c - ox replay: makes jobs of events that are in a stream, or gives them to a
 * group or a command.
 *
 * However it ends, the last line says how far it came, as a position: with that as --from it
 * goes on and makes no job twice. Only after a lost connection some jobs may be made beyond it;
 * their number is told. Ctrl-C stops it in this way; a second one ends the program.
 */
#include "jobopts.h"
#include "json.h"
#include "progress.h"
#include "replay_command.h"
#include "server.h"
#include "streams.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

struct opts {
    ox_job_options job; /* first: the shared rows count from here */
    const char *stream, *name, *group;
    struct stream_part part;
    uint32_t rate;
    int64_t batch;
    bool holes, dry_run;
};

static const struct opt rows[] = {
    STREAM_ROW(struct opts),
    PART_ROWS(struct opts, "Required",
        "the last one: 5m, a time, a position, or end, the default: as it is now"),
    { .name = "name",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, name),
        .arg = "NAME",
        .help = "the name of the jobs; default: the event's type" },
    { .name = "group",
        .kind = OPT_TEXT,
        .offset = offsetof(struct opts, group),
        .arg = "GROUP",
        .help = "no jobs: that group of the stream alone runs the events again, before what it "
                "has yet to read" },
    { .name = "holes",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, holes),
        .help = "make only jobs that do not exist: with the ids that bindings give. Else each "
                "event makes a new one" },
    { .name = "rate",
        .kind = OPT_COUNT32,
        .offset = offsetof(struct opts, rate),
        .min = 1,
        .max = UINT32_MAX,
        .arg = "N",
        .help = "at most N events a second" },
    { .name = "batch",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, batch),
        .min = 1,
        .max = 100000,
        .standard = "100",
        .arg = "N",
        .help = "how many events one run of the command gets at most" },
    { .name = "dry-run",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, dry_run),
        .help = "count, and make no job" },
    { 0 },
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool on_progress(void *arg, const ox_replayed *so_far)
{
    double share = so_far->of > 0 ? (double)so_far->read / (double)so_far->of : -1;
    progress_update(arg, share, (uint64_t)so_far->sent);
    return !interrupted;
}

/* ---- what came of it --------------------------------------------------------------------- */

static void print_object(const ox_replayed *done, double seconds)
{
    struct obj obj;
    obj_begin(&obj);
    obj_int(&obj, "sent", done->sent);
    obj_int(&obj, "existed", done->existed);
    obj_int(&obj, "skipped", done->skipped);
    obj_int(&obj, "lost", done->lost);
    obj_int(&obj, "unknown", done->unknown);
    obj_int(&obj, "read", done->read);
    obj_text(&obj, "position", done->position[0] != '\0' ? done->position : NULL);
    obj_bool(&obj, "stopped", done->stopped);
    obj_int(&obj, "ms", (int64_t)(seconds * 1000));
    obj_print(&obj);
}

static void append_count(GString *text, int64_t count, const char *what)
{
    if (count > 0) {
        g_autofree char *number = number_grouped(count);
        g_string_append_printf(text, ", %s %s", number, what);
    }
}

/* "made 1,234 jobs of 2,000 events, 3 existed, ...". `command`: that gets them; or NULL. Heap.
 */
static char *summary(const struct opts *opts, const char *command, const ox_replayed *done)
{
    const char *verb = command != NULL       ? "would give" /* else it is not replayed here */
                       : opts->group != NULL ? opts->dry_run ? "would have" : "had"
                       : opts->dry_run       ? "would make"
                                             : "made";
    GString *text = g_string_new(verb);
    g_autofree char *sent = number_grouped(done->sent);
    g_autofree char *read = number_grouped(done->read);
    if (opts->group != NULL) {
        g_string_append_printf(text, " %s of %s event%s run again in group %s", sent, read,
            done->read == 1 ? "" : "s", opts->group);
    } else if (command != NULL) {
        g_string_append_printf(
            text, " %s of %s event%s to %s", sent, read, done->read == 1 ? "" : "s", command);
    } else {
        g_string_append_printf(text, " %s job%s of %s event%s", sent,
            done->sent == 1 ? "" : "s", read, done->read == 1 ? "" : "s");
    }
    append_count(text, done->existed, "existed");
    append_count(text, done->skipped, "skipped (no event, or without a type or id)");
    append_count(text, done->lost, "no longer in the log");
    append_count(text, done->unknown, "without an answer, which may exist");
    return g_string_free(text, FALSE);
}

static int report(struct run *run, const ox_replayed *done, const ox_error *err, double seconds)
{
    const struct opts *opts = run->opts;
    g_autofree char *text = summary(opts, run->tail != NULL ? run->tail[0] : NULL, done);
    if (run->json) {
        print_object(done, seconds);
    }
    if (err->code == 0 && !done->stopped) {
        g_autofree char *rate = number_grouped((int64_t)((double)done->read / seconds));
        g_autofree char *speed =
            opts->dry_run ? g_strdup("") : g_strdup_printf(" (%s events/s)", rate);
        fprintf(stderr, "%s in %.1fs%s\n", text, seconds, speed);
        return STATUS_DONE;
    }
    const char *from = done->position[0] != '\0' ? done->position : opts->part.from;
    complain(run, "%s; %s; --from %s goes on", err->code < 0 ? err->text : "interrupted", text,
        from);
    return err->code < 0 ? status_of(err->code) : STATUS_FAILED;
}

static int replay(struct run *run, ox_stream *stream, ox_replay_options *options)
{
    struct progress progress;
    ox_replayed done;
    ox_error err = { 0 };
    progress_begin(&progress, "jobs");
    options->progress = on_progress;
    options->arg = &progress;
    int code = ox_stream_replay(stream, options, &done, &err);
    double seconds = progress_seconds(&progress);
    progress_end(&progress);
    return code == OX_EINVAL ? complain_error(run, &err)
                             : report(run, &done, &err, MAX(seconds, 1e-6));
}

static bool has_command(const struct run *run)
{
    return run->tail != NULL && run->tail[0] != NULL;
}

static int check_usage(struct run *run)
{
    const struct opts *opts = run->opts;
    bool to_queue = run->args[0] != NULL, to_command = has_command(run),
         to_group = opts->group != NULL;
    if (opts->part.from == NULL) {
        return complain_usage(run, "--from is missing: start, 1h, or a position");
    }
    if (to_queue + to_command + to_group > 1) {
        return complain_usage(
            run, "it goes to a queue, to a group or to a command, not to several of them");
    }
    if ((to_command || to_group) && (opts->holes || opts->name != NULL)) {
        return complain_usage(run, "--holes and --name are for jobs, which only a queue gets");
    }
    if (to_queue + to_command + to_group == 0 && (!opts->dry_run || opts->holes)) {
        return complain_usage(run, "QUEUE is missing, or --group, or -- and a command");
    }
    return STATUS_DONE;
}

static int replay_for_command(struct run *run, ox_stream *stream, ox_tail_options part)
{
    const struct opts *opts = run->opts;
    const struct replay_command command = { .argv = run->tail,
        .batch = opts->batch,
        .rate = opts->rate,
        .from = opts->part.from,
        .interrupted = &interrupted };
    part.to = part.to != NULL ? part.to : "end";
    return replay_to_command(run, stream, &part, &command);
}

static int exec(struct run *run)
{
    struct opts *opts = run->opts;
    g_autoptr(ox_stream) stream = NULL;
    ox_tail_options part;
    OX_AUTOLIST ox_group_info **groups = NULL;
    const ox_group_info *group = NULL;
    ox_stream_info info;
    int status = check_usage(run);
    status = status ? status : jobopts_check(run, &opts->job);
    status = status ? status : server_stream(run, opts->stream, NULL, &stream);
    status = status ? status : stream_part_read(run, &opts->part, &part);
    status = status                ? status
             : opts->group != NULL ? stream_group(run, stream, opts->group, &groups, &group)
                                   : stream_info(run, stream, &info);
    if (status) {
        return status;
    }
    const struct sigaction orderly = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &orderly, NULL);
    if (has_command(run) && !opts->dry_run) {
        return replay_for_command(run, stream, part);
    }
    ox_replay_options options = { .from = part.from,
        .to = part.to,
        .pattern = part.pattern,
        .subject = part.subject,
        .queue = run->args[0],
        .group = opts->group,
        .job_name = opts->name,
        .job = &opts->job,
        .holes = opts->holes,
        .dry_run = opts->dry_run,
        .rate = opts->rate };
    return replay(run, stream, &options);
}

const struct cmd cmd_replay = {
    .name = "replay",
    .summary = "make jobs of events in a stream, or give them to a group or a command",
    .usage = "[QUEUE | -- COMMAND [ARGUMENT...]]",
    .help =
        "Reads a part of a stream and adds a job to QUEUE for each event in it, with these "
        "options and the event as its data, as ox bind does for new ones. Bindings play no "
        "part. Each job is a new one, unless --holes is given: then an event whose job exists, "
        "made by a binding or an earlier replay with --holes, makes none.\n"
        "\n"
        "A line on standard error says how many jobs were made, and after Ctrl-C or a failure "
        "(exit status 1) from which position a replay goes on. In a pipe it prints nothing. "
        "With --dry-run QUEUE may be "
        "left "
        "out.",
    .example = "  ox replay images --from 1h --type car.posted --dry-run\n"
               "  ox replay warehouse --stream clicks --from 7d --to 6d --rate 500\n"
               "  ox replay mail --from start --type 'user.>' --holes\n"
               "  ox replay --stream clicks --from 1h --group warehouse\n"
               "  ox replay --stream clicks --from 1h --batch 1000 -- ./store",
    .opts = rows,
    .more = jobopts_rows,
    .opts_size = sizeof(struct opts),
    .max_args = 1,
    .takes_tail = true,
    .exec = exec,
};
