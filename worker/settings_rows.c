/*
 * settings_rows.c - each option of ox-worker is a row of a table: its kind, bounds, default and
 * help. Those of the handlers are rows as well, which the program of handlers lists.
 */
#include "settings_rows.h"

#include <glib.h>
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

static bool parse_stalls(char *text, void *out, char **why)
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

/* ---- rows -----------------------------------------------------------------------------------
 */

#define AT(field) .offset = offsetof(struct given, field)

const struct opt settings_rows[] = {
    { .name = "redis",
        .kind = OPT_PARSED,
        AT(settings.redis),
        .arg = "URL|@FILE",
        .env = "OX_REDIS_URL REDIS_URL",
        .standard = "redis://127.0.0.1:6379",
        .parse = parse_filled,
        .help = "the server, else OX_REDIS_URL, else REDIS_URL" },
    OX__TLS_ROWS(struct given, settings.tls),
    { .name = "handlers",
        .kind = OPT_PARSED,
        AT(handlers),
        .arg = "PROGRAM",
        .parse = parse_filled,
        .help = "what runs the handlers; else ox-handler, beside ox-worker or in ../libexec" },
    { .name = "prefix",
        .kind = OPT_PARSED,
        AT(settings.prefix),
        .arg = "PREFIX",
        .standard = "bull",
        .parse = parse_filled,
        .help = "prefix of all keys" },
    { .name = "legacy-pause",
        .kind = OPT_FLAG,
        AT(settings.legacy_pause),
        .help = "for queues shared with BullMQ 5.x: park the waiting jobs of a paused queue as "
                "it does" },
    { .name = "name",
        .kind = OPT_PARSED,
        AT(settings.name),
        .arg = "NAME",
        .parse = parse_name,
        .help = "name of this worker, for dashboards" },
    { .name = "concurrency",
        .kind = OPT_COUNT,
        AT(settings.each.concurrency),
        .min = 1,
        .max = MAX_CHILDREN,
        .arg = "N",
        .help = "jobs of a queue at once; else one per core" },
    { .name = "timeout",
        .kind = OPT_DURATION,
        AT(settings.each.timeout_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "60s",
        .help = "kill a job that runs longer; 0: never" },
    { .name = "grace",
        .kind = OPT_DURATION,
        AT(settings.grace_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "30s",
        .help = "time for running jobs to finish when told to stop" },
    { .name = "lock",
        .kind = OPT_DURATION,
        AT(settings.lock_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "10s",
        .help = "lock of a running job, renewed while it runs" },
    { .name = "sweep",
        .kind = OPT_DURATION,
        AT(settings.sweep_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .help = "how often stalled jobs are looked for; else twice in the time of a lock" },
    { .name = "max-stalled",
        .kind = OPT_PARSED,
        AT(settings.max_stalled),
        .arg = "N",
        .standard = "1",
        .parse = parse_stalls,
        .help = "fail a job whose worker went away more often while it ran; or any" },
    { .name = "on-disconnect",
        .kind = OPT_CHOICE,
        AT(settings.on_disconnect),
        .arg = "continue|kill",
        .standard = "continue",
        .help =
            "let jobs continue while Redis is away, or kill them when their locks run out" },
    { .name = "limiter",
        .kind = OPT_PARSED,
        AT(settings.each.limit),
        .arg = "MAX/TIME",
        .parse = ox__parse_rate,
        .help = "start at most so many in so long, over all workers" },
    { .name = "recycle",
        .kind = OPT_COUNT,
        AT(settings.each.recycle),
        .max = UINT32_MAX,
        .arg = "N",
        .standard = "0",
        .help = "replace a child after so many jobs; 0: never" },
    { .name = "remove-on-complete",
        .kind = OPT_PARSED,
        AT(settings.remove_on_complete),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help =
            "for completed jobs that do not say: true (none stay), false (all), a number of "
            "newest, an age such as 1d, or count=N,age=TIME,limit=N" },
    { .name = "remove-on-fail",
        .kind = OPT_PARSED,
        AT(settings.remove_on_fail),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help = "the same for failed jobs" },
    { .name = "events",
        .kind = OPT_CHOICE,
        AT(settings.events),
        .arg = "on|off",
        .standard = "on",
        .help = "write the events that QueueEvents reads" },
    { .name = "batch",
        .kind = OPT_COUNT,
        AT(settings.batch),
        .min = 1,
        .max = 500,
        .arg = "N",
        .standard = "50",
        .help = "jobs in one script call at most" },
    { .name = "calls",
        .kind = OPT_COUNT,
        AT(settings.calls),
        .min = 1,
        .max = 16,
        .arg = "N",
        .standard = "4",
        .help = "script calls in flight at most" },
    { .name = "metrics",
        .kind = OPT_COUNT,
        AT(settings.metrics),
        .max = 1000000, /* minutes: about two years */
        .arg = "N",
        .standard = "0",
        .help = "keep the counts of the last N minutes, for ox metrics" },
    { .name = "log-format",
        .kind = OPT_CHOICE,
        AT(settings.log_format),
        .arg = "logfmt|json",
        .standard = "logfmt",
        .help = "how log lines are written" },
    { .name = "log-level",
        .kind = OPT_CHOICE,
        AT(settings.log_level),
        .arg = "error|warn|info|debug",
        .standard = "info",
        .help = "which log lines are written" },
    { .name = "help",
        .letter = 'h',
        .kind = OPT_FLAG,
        AT(help),
        .help = "print help and stop" },
    { .name = "version", .kind = OPT_FLAG, AT(version), .help = "print the version and stop" },
    { 0 },
};
