/*
 * jobopts.c - see jobopts.h.
 */
#include "jobopts.h"
#include "base/units.h"
#include "json.h"
#include "parse.h"
#include <string.h>

const struct opt jobopts_rows[] = {
    { .name = "delay",
        .kind = OPT_DURATION,
        .offset = offsetof(struct jobopts, delay_ms),
        .arg = "TIME",
        .help = "run it after TIME (500ms, 10s, 5m, 2h, 1d)" },
    { .name = "priority",
        .kind = OPT_COUNT,
        .offset = offsetof(struct jobopts, priority),
        .max = MAX_PRIORITY,
        .arg = "N",
        .help = "1 runs first, 2097151 last; 0, the default, before all of them" },
    { .name = "lifo",
        .kind = OPT_FLAG,
        .offset = offsetof(struct jobopts, lifo),
        .help = "run it next, before waiting jobs" },
    { .name = "attempts",
        .kind = OPT_COUNT,
        .offset = offsetof(struct jobopts, attempts),
        .min = 1,
        .max = 1000000,
        .arg = "N",
        .help = "attempts in all; default 1" },
    { .name = "backoff",
        .kind = OPT_PARSED,
        .offset = offsetof(struct jobopts, backoff),
        .arg = "TYPE:TIME",
        .parse = parse_backoff,
        .help =
            "the delay between attempts: fixed:1s, exponential:1s, or a type that the worker "
            "knows; :jitter=0.5 makes that share of it random" },
    { .name = "remove-on-complete",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct jobopts, on_complete),
        .arg = "KEEP",
        .parse = ox__parse_keep,
        .help =
            "which completed jobs are kept: true (none, also without KEEP), false (all), the "
            "number of newest, an age such as 1d, or count=N,age=TIME,limit=N" },
    { .name = "remove-on-fail",
        .kind = OPT_PARSED,
        .optional = true,
        .offset = offsetof(struct jobopts, on_fail),
        .arg = "KEEP",
        .parse = ox__parse_keep,
        .help = "the same for failed jobs" },
    { .name = "keep-logs",
        .kind = OPT_COUNT,
        .offset = offsetof(struct jobopts, keep_logs),
        .min = 1,
        .max = INT32_MAX,
        .arg = "N",
        .help = "keep the newest N log rows" },
    { .name = "stack-trace-limit",
        .kind = OPT_COUNT,
        .offset = offsetof(struct jobopts, stack_traces),
        .max = INT32_MAX,
        .fallback = -1,
        .arg = "N",
        .help = "keep the newest N stack traces; 0: none" },
    { .name = "parent",
        .kind = OPT_TEXT,
        .offset = offsetof(struct jobopts, parent),
        .arg = "QUEUE:ID",
        .help = "the job that waits for this one; PREFIX:QUEUE:ID under another prefix. Only a "
                "scheduler's job (repeat:SCHEDULER:TIME) may have colons in its id" },
    { .name = "on-failure",
        .kind = OPT_PARSED,
        .offset = offsetof(struct jobopts, child_failure),
        .arg = "WHAT",
        .parse = parse_child_failure,
        .help = "what the parent does when this job fails for good: wait (default), fail, "
                "continue, ignore, remove" },
    { .name = "opts",
        .kind = OPT_TEXT,
        .offset = offsetof(struct jobopts, json),
        .arg = "JSON",
        .help = "job options under BullMQ's names; separate options override them" },
    { 0 },
};

/* Whether it is "repeat:SCHEDULER:TIME"; the scheduler's id may have colons as well. */
static bool is_scheduler_job(const char *id)
{
    const char *time = strrchr(id, ':');
    return g_str_has_prefix(id, "repeat:") && time - id > (ptrdiff_t)strlen("repeat:") &&
           time[1] && !time[1 + strspn(time + 1, "0123456789")];
}

/* The colon before the id: the last one, but before a scheduler's job the first behind which
 * that stands, as no queue's name has a colon. */
static const char *find_id(const char *text)
{
    for (const char *colon = strchr(text, ':'); colon != NULL; colon = strchr(colon + 1, ':')) {
        if (is_scheduler_job(colon + 1)) {
            return colon;
        }
    }
    return strrchr(text, ':');
}

/* "QUEUE:ID" or "PREFIX:QUEUE:ID". */
static bool fill_parent(struct run *run, const char *text, ox_parent *parent)
{
    const char *colon = find_id(text);
    if (colon == NULL || colon == text || !colon[1]) {
        return false;
    }
    g_autofree char *place = g_strndup(text, (gsize)(colon - text));
    g_autofree char *full = strchr(place, ':') != NULL
                                ? g_strdup(place)
                                : g_strconcat(run->prefix, ":", place, NULL);
    parent->queue = g_string_chunk_insert(run->strings, full);
    parent->id = colon + 1;
    return true;
}

int jobopts_fill(struct run *run, const struct jobopts *from, ox_job_options *out)
{
    out->delay_ms = from->delay_ms;
    out->priority = (uint32_t)from->priority;
    out->lifo = from->lifo;
    out->attempts = (uint32_t)from->attempts;
    out->backoff = from->backoff;
    out->remove_on_complete = from->on_complete;
    out->remove_on_fail = from->on_fail;
    out->keep_logs = (uint32_t)from->keep_logs;
    if (from->stack_traces >= 0) {
        out->stack_trace_limit = from->stack_traces ? (int32_t)from->stack_traces : -1;
    }
    out->on_failure = from->child_failure;
    out->json = from->json;
    if (from->parent != NULL && !fill_parent(run, from->parent, &out->parent)) {
        return complain_usage(run, "--parent: \"%s\" is not QUEUE:ID", from->parent);
    }
    if (from->child_failure && from->parent == NULL) {
        return complain_usage(run, "--on-failure needs --parent");
    }
    if (from->json != NULL && (from->json[strspn(from->json, " \t\r\n")] != '{' ||
                                  !json_valid(from->json, strlen(from->json), NULL))) {
        return complain_usage(run, "--opts: not a JSON object: %s", from->json);
    }
    return STATUS_DONE;
}
