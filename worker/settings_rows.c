/*
 * settings_rows.c - each option of ox-worker is a row of a table: its kind, bounds, default and
 * help. Those of the handlers are rows as well, which the program of handlers lists. Which
 * table a row is in says which sections of a settings file may have it.
 */
#include "settings_rows.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#define MIN_LOCK_MS 100

/* ---- values that are not of a kind ----------------------------------------------------------
 */

static bool parse_filled(char *text, void *out, char **why)
{
    *(const char **)out = text;
    if (*text == '\0') {
        *why = g_strdup("is empty");
    }
    return *text != '\0';
}

/* What Redis takes for the name of a client; without one, no list of workers has it. */
static bool parse_name(char *text, void *out, char **why)
{
    *(const char **)out = text;
    bool visible = *text != '\0';
    for (const char *at = text; *at != '\0'; at++) {
        visible = visible && *at > ' ' && *at <= '~';
    }
    if (!visible) {
        *why = g_strdup_printf("\"%s\" is not a name of visible ASCII characters", text);
    }
    return visible;
}

static bool parse_times(char *text, void *out, char **why)
{
    g_autofree char *not_a_count = NULL;
    if (strcmp(text, "any") == 0) {
        *(int64_t *)out = -1;
        return true;
    }
    if (ox__parse_count(text, 1, INT32_MAX, out, &not_a_count)) {
        return true;
    }
    *why = g_strdup_printf("\"%s\" is not a whole number from 1 on, or any", text);
    return false;
}

static bool parse_stream_backoff(char *text, void *out, char **why)
{
    const ox_backoff *backoff = out;
    g_autofree char *given = g_strdup(text);
    if (!ox__parse_backoff(text, out, why)) {
        return false;
    }
    if (strcmp(backoff->type, "fixed") == 0 || strcmp(backoff->type, "exponential") == 0) {
        return true;
    }
    *why = g_strdup_printf("\"%s\" is neither fixed:TIME nor exponential:TIME", given);
    return false;
}

/* Where a group begins: as ox_group_create() takes it. */
static bool parse_place(char *text, void *out, char **why)
{
    *(const char **)out = text;
    if (strcmp(text, "start") == 0 || strcmp(text, "end") == 0 ||
        g_regex_match_simple("^[0-9]+(-[0-9]+)?$", text, G_REGEX_DOLLAR_ENDONLY, 0)) {
        return true;
    }
    *why = g_strdup_printf("\"%s\" is neither start, end, a position such as 1700000000000-42, "
                           "nor Unix time in milliseconds",
        text);
    return false;
}

/* ---- rows -----------------------------------------------------------------------------------
 */

#define AT(field) .offset = offsetof(struct command, field)

const struct opt command_rows[] = {
    { .name = "config",
        .kind = OPT_PARSED,
        AT(config),
        .arg = "FILE",
        .env = "OX_CONFIG",
        .parse = parse_filled,
        .help = "read settings from this file, too" },
    { .name = "check-config",
        .kind = OPT_FLAG,
        AT(check),
        .help = "check all settings, print all that is wrong and stop" },
    { .name = "handlers",
        .kind = OPT_FLAG,
        AT(handlers),
        .help = "print the handlers with their options and stop" },
    { .name = "help",
        .letter = 'h',
        .kind = OPT_FLAG,
        AT(help),
        .help = "print help and stop" },
    { .name = "version", .kind = OPT_FLAG, AT(version), .help = "print the version and stop" },
    { 0 },
};
#undef AT

#define AT(field) .offset = offsetof(struct settings, field)

const struct opt worker_rows[] = {
    { .name = "redis",
        .kind = OPT_PARSED,
        AT(redis),
        .arg = "URL|@FILE",
        .env = "OX_REDIS_URL REDIS_URL",
        .standard = "redis://127.0.0.1:6379",
        .parse = parse_filled,
        .help = "the server, else OX_REDIS_URL, else REDIS_URL" },
    OX__TLS_ROWS(struct settings, tls),
    { .name = "handler-program",
        .kind = OPT_PARSED,
        AT(handler_program),
        .arg = "PROGRAM",
        .parse = parse_filled,
        .help = "what runs the handlers; else ox-handler, beside ox-worker or in ../libexec" },
    { .name = "prefix",
        .kind = OPT_PARSED,
        AT(prefix),
        .arg = "PREFIX",
        .standard = "bull",
        .parse = parse_filled,
        .help = "prefix of all keys" },
    { .name = "legacy-pause",
        .kind = OPT_FLAG,
        AT(legacy_pause),
        .help = "for queues shared with BullMQ 5.x: park the waiting jobs of a paused queue as "
                "it does" },
    { .name = "name",
        .kind = OPT_PARSED,
        AT(name),
        .arg = "NAME",
        .parse = parse_name,
        .help = "name of this worker, for dashboards" },
    { .name = "grace",
        .kind = OPT_DURATION,
        AT(grace_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "30s",
        .help = "time for running jobs to finish when told to stop" },
    { .name = "lock",
        .kind = OPT_DURATION,
        AT(lock_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "10s",
        .help = "lock of a running job, renewed while it runs" },
    { .name = "stalled-interval",
        .kind = OPT_DURATION,
        AT(stalled_interval_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .help = "time between stalled checks; else half of the lock time" },
    { .name = "max-stalled",
        .kind = OPT_PARSED,
        AT(max_stalled),
        .arg = "N",
        .standard = "1",
        .parse = parse_times,
        .help = "fail a job whose worker went away more often while it ran; or any" },
    { .name = "max-started",
        .kind = OPT_PARSED,
        AT(max_started),
        .arg = "N",
        .standard = "any",
        .parse = parse_times,
        .help = "fail a job that was started as often, for whatever reason; or any" },
    { .name = "on-disconnect",
        .kind = OPT_CHOICE,
        AT(on_disconnect),
        .arg = "continue|kill",
        .standard = "continue",
        .help =
            "let jobs continue while Redis is away, or kill them when their locks run out" },
    { .name = "remove-on-complete",
        .kind = OPT_PARSED,
        AT(remove_on_complete),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help =
            "for completed jobs without the option: true (none stay), false (all), a number of "
            "newest, an age such as 1d, or count=N,age=TIME,limit=N" },
    { .name = "remove-on-fail",
        .kind = OPT_PARSED,
        AT(remove_on_fail),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help = "the same for failed jobs" },
    { .name = "events",
        .kind = OPT_CHOICE,
        AT(events),
        .arg = "on|off",
        .standard = "on",
        .help = "write the events that QueueEvents reads" },
    { .name = "batch",
        .kind = OPT_COUNT,
        AT(batch),
        .min = 1,
        .max = 500,
        .arg = "N",
        .standard = "50",
        .help = "jobs in one script call at most" },
    { .name = "calls",
        .kind = OPT_COUNT,
        AT(calls),
        .min = 1,
        .max = 16,
        .arg = "N",
        .standard = "4",
        .help = "script calls in flight at most" },
    { .name = "metrics",
        .kind = OPT_COUNT,
        AT(metrics),
        .max = 1000000, /* minutes: about two years */
        .arg = "N",
        .standard = "0",
        .help = "keep the counts of the last N minutes, for ox metrics" },
    { .name = "sandbox",
        .kind = OPT_CHOICE,
        AT(sandbox),
        .arg = "on|strict|off",
        .standard = "on",
        .help = "take from handlers what they do not need, as far as the system can; or refuse "
                "to start without all of it; or do not" },
    { .name = "log-format",
        .kind = OPT_CHOICE,
        AT(log_format),
        .arg = "logfmt|json",
        .standard = "logfmt",
        .help = "how log lines are written" },
    { .name = "log-level",
        .kind = OPT_CHOICE,
        AT(log_level),
        .arg = "error|warn|info|debug",
        .standard = "info",
        .help = "which log lines are written" },
    { 0 },
};
#undef AT

#define AT(field) .offset = offsetof(struct queue_settings, field)

const struct opt queue_rows[] = {
    { .name = "concurrency",
        .kind = OPT_COUNT,
        AT(concurrency),
        .min = 1,
        .max = MAX_CHILDREN,
        .arg = "N",
        .help = "jobs of a queue at once; else one per core" },
    { .name = "ahead",
        .kind = OPT_COUNT,
        AT(ahead),
        .max = MAX_CHILDREN,
        .arg = "N",
        .standard = "0",
        .help =
            "take up to N jobs before a child is free for them, for jobs of a millisecond or "
            "less; one that waits 20ms goes back" },
    { .name = "limiter",
        .kind = OPT_PARSED,
        AT(limit),
        .arg = "MAX/TIME",
        .parse = ox__parse_rate,
        .help = "start at most so many in so long, over all workers" },
    { .name = "lock-after",
        .kind = OPT_DURATION,
        AT(lock_after_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "0",
        .help = "lock only jobs that run so long, 20ms to 50ms: less work in Redis for shorter "
                "ones, which others can remove meanwhile; 0: all, at their start" },
    { .name = "late-start",
        .kind = OPT_FLAG,
        AT(late_start),
        .help = "with --lock-after: write processedOn and ats with the lock or the end, too" },
    { 0 },
};
#undef AT

#define AT(field) .offset = offsetof(struct route_settings, field)

const struct opt route_rows[] = {
    { .name = "timeout",
        .kind = OPT_DURATION,
        AT(timeout_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "60s",
        .help = "kill a job that runs longer; 0: never" },
    { .name = "recycle",
        .kind = OPT_COUNT,
        AT(recycle),
        .max = UINT32_MAX,
        .arg = "N",
        .standard = "0",
        .help = "replace a child after so many jobs; 0: never" },
    { .name = "recycle-memory",
        .kind = OPT_BYTES,
        AT(recycle_bytes),
        .arg = "SIZE",
        .help = "replace a child that holds more after a job" },
    { .name = "memory",
        .kind = OPT_BYTES,
        AT(memory_bytes),
        .fallback = -1,
        .arg = "SIZE",
        .help = "kill a job whose processes hold more; 0: never; else what the handler says" },
    { .name = "processes",
        .kind = OPT_COUNT,
        AT(max_processes),
        .max = INT32_MAX,
        .fallback = -1,
        .arg = "N",
        .help = "kill a job that has more processes; 0: never; else what the handler says" },
    { .name = "rlimit",
        .kind = OPT_TEXT,
        AT(rlimit),
        .arg = "LIMITS",
        .help =
            "what each process of a job may use: cpu=TIME,file-size=SIZE,open-files=N, any of "
            "them" },
    { .name = "pass-env",
        .kind = OPT_TEXT,
        AT(pass_env),
        .arg = "NAME,...",
        .help = "give the handler's processes these variables, although they are secrets that "
                "another handler of this worker reads: DATABASE_URL" },
    { 0 },
};
#undef AT

#define AT(field) .offset = offsetof(struct stream_settings, field)

const struct opt stream_rows[] = {
    { .name = "group",
        .kind = OPT_PARSED,
        AT(group),
        .arg = "NAME",
        .parse = parse_filled,
        .help = "whose events these are; workers with the same group share them" },
    { .name = "batch",
        .kind = OPT_COUNT,
        AT(batch),
        .min = 1,
        .max = 100000,
        .arg = "N",
        .standard = "1000",
        .help = "events in a batch at most" },
    { .name = "batch-bytes",
        .kind = OPT_BYTES,
        AT(batch_bytes),
        .min = 1,
        .max = INT64_C(64) << 20,
        .arg = "SIZE",
        .standard = "1M",
        .help = "bytes of events in a batch at most, passed by one event" },
    { .name = "wait",
        .kind = OPT_DURATION,
        AT(wait_ms),
        .max = 3600000,
        .arg = "TIME",
        .standard = "0",
        .help = "longest wait until a batch is full; 0: what is there is taken" },
    { .name = "attempts",
        .kind = OPT_COUNT,
        AT(attempts),
        .min = 1,
        .max = INT32_MAX,
        .arg = "N",
        .standard = "5",
        .help = "runs of a batch before it is halved until single events fail" },
    { .name = "backoff",
        .kind = OPT_PARSED,
        AT(backoff),
        .arg = "TYPE:TIME",
        .standard = "exponential:1s",
        .parse = parse_stream_backoff,
        .help = "wait between attempts: fixed or exponential, as of jobs" },
    { .name = "max-started",
        .kind = OPT_COUNT,
        AT(max_started),
        .min = 1,
        .max = 1000,
        .arg = "N",
        .standard = "5",
        .help = "starts of a batch whose worker went away before its events run one by one" },
    { .name = "ordered",
        .kind = OPT_FLAG,
        AT(ordered),
        .help = "one worker of the group at a time, and one batch, in order" },
    { .name = "from",
        .kind = OPT_PARSED,
        AT(from),
        .arg = "start|end|POSITION",
        .standard = "end",
        .parse = parse_place,
        .help = "where a group begins that does not exist yet" },
    { 0 },
};
#undef AT

/* ---- what cannot change while the worker runs ----------------------------------------------
 */

static bool is_text(const struct opt *opt)
{
    return opt->kind == OPT_TEXT || opt->parse == parse_filled || opt->parse == parse_name ||
           opt->parse == parse_place;
}

static bool same_value(const struct opt *opt, const void *a, const void *b)
{
    if (is_text(opt)) {
        return g_strcmp0(*(const char *const *)a, *(const char *const *)b) == 0;
    }
    if (opt->parse == ox__parse_keep) {
        const ox_keep *one = a, *other = b;
        return one->mode == other->mode && one->count == other->count &&
               one->age_s == other->age_s && one->limit == other->limit;
    }
    if (opt->parse == parse_stream_backoff) {
        const ox_backoff *one = a, *other = b;
        return strcmp(one->type, other->type) == 0 && one->delay_ms == other->delay_ms &&
               fabs(one->jitter - other->jitter) < 1e-9;
    }
    return opt->kind == OPT_FLAG ? *(const bool *)a == *(const bool *)b
                                 : *(const int64_t *)a == *(const int64_t *)b;
}

bool settings_same_stream(const struct stream_settings *a, const struct stream_settings *b)
{
    const struct opt *opt = stream_rows;
    while (opt->name != NULL &&
           same_value(opt, (const char *)a + opt->offset, (const char *)b + opt->offset)) {
        opt++;
    }
    return opt->name == NULL;
}

static void copy_value(
    struct settings *settings, const struct opt *opt, void *to, const void *from)
{
    const char *text = is_text(opt) ? *(const char *const *)from : NULL;
    if (text != NULL) {
        *(const char **)to = g_string_chunk_insert(settings->strings, text);
    } else if (is_text(opt)) {
        *(const char **)to = NULL;
    } else if (opt->parse == ox__parse_keep) {
        *(ox_keep *)to = *(const ox_keep *)from;
    } else if (opt->kind == OPT_FLAG) {
        *(bool *)to = *(const bool *)from;
    } else {
        *(int64_t *)to = *(const int64_t *)from;
    }
}

/* A short lock is for finding the dead soon. */
int64_t settings_stalled_interval_ms(const struct settings *settings)
{
    return settings->stalled_interval_ms > 0 ? settings->stalled_interval_ms
                                             : settings->lock_ms / 2;
}

/* Of queues that go on. True when one was to have another value. */
static bool keep_locks(struct settings *settings, const struct settings *before)
{
    bool kept = false;
    for (size_t i = 0; i < settings->queue_count; i++) {
        struct queue_settings *queue = &settings->queues[i];
        const struct queue_settings *was = settings_queue(before, queue->queue, queue->group);
        if (was != NULL && (queue->lock_after_ms != was->lock_after_ms ||
                               queue->late_start != was->late_start)) {
            queue->lock_after_ms = was->lock_after_ms;
            queue->late_start = was->late_start;
            kept = true;
        }
    }
    return kept;
}

char *settings_keep_fixed(struct settings *settings, const struct settings *before)
{
    static const char *const live[] = { "grace", "log-format", "log-level", "sandbox", NULL };
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const struct opt *opt = worker_rows; opt->name != NULL; opt++) {
        void *value = (char *)settings + opt->offset;
        const void *was = (const char *)before + opt->offset;
        if (!g_strv_contains(live, opt->name) && !same_value(opt, value, was)) {
            g_ptr_array_add(names, (gpointer)(uintptr_t)opt->name);
            copy_value(settings, opt, value, was);
        }
    }
    if (keep_locks(settings, before)) {
        g_ptr_array_add(names, (gpointer)(uintptr_t) "lock-after");
    }
    g_ptr_array_add(names, NULL);
    return names->len > 1 ? g_strjoinv(", ", (char **)names->pdata) : NULL;
}
