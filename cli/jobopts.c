/*
 * jobopts.c - see jobopts.h.
 */
#include "jobopts.h"
#include "base/units.h"
#include "json.h"
#include "parse.h"
#include <string.h>

#define AT(field) .offset = offsetof(ox_job_options, field)

const struct opt jobopts_rows[] = {
    { .name = "delay",
        .kind = OPT_DURATION,
        AT(delay_ms),
        .arg = "TIME",
        .help = "run it after TIME (500ms, 10s, 5m, 2h, 1d)" },
    { .name = "priority",
        .kind = OPT_COUNT32,
        AT(priority),
        .max = MAX_PRIORITY,
        .arg = "N",
        .help = "1 runs first, 2097151 last; 0, the default, before all of them" },
    { .name = "lifo", .kind = OPT_FLAG, AT(lifo), .help = "run it next, before waiting jobs" },
    { .name = "attempts",
        .kind = OPT_COUNT32,
        AT(attempts),
        .min = 1,
        .max = 1000000,
        .arg = "N",
        .help = "attempts in all; default 1" },
    { .name = "backoff",
        .kind = OPT_PARSED,
        AT(backoff),
        .arg = "TYPE:TIME",
        .parse = ox__parse_backoff,
        .help =
            "the delay between attempts: fixed:1s, exponential:1s, or a type that the worker "
            "knows; :jitter=0.5 makes that share of it random" },
    { .name = "remove-on-complete",
        .kind = OPT_PARSED,
        .optional = true,
        AT(remove_on_complete),
        .arg = "KEEP",
        .parse = ox__parse_keep,
        .help =
            "which completed jobs are kept: true (none, also without KEEP), false (all), the "
            "number of newest, an age such as 1d, or count=N,age=TIME,limit=N" },
    { .name = "remove-on-fail",
        .kind = OPT_PARSED,
        .optional = true,
        AT(remove_on_fail),
        .arg = "KEEP",
        .parse = ox__parse_keep,
        .help = "the same for failed jobs" },
    { .name = "keep-logs",
        .kind = OPT_COUNT32,
        AT(keep_logs),
        .min = 1,
        .max = INT32_MAX,
        .arg = "N",
        .help = "keep the newest N log rows" },
    { .name = "stack-trace-limit",
        .kind = OPT_PARSED,
        AT(stack_trace_limit),
        .arg = "N",
        .parse = parse_stack_trace_limit,
        .help = "keep the newest N stack traces; 0: none" },
    { .name = "timeout",
        .kind = OPT_DURATION,
        AT(timeout_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .help = "kill a run that takes longer, on ox-worker; its own --timeout holds as well; "
                "0: that alone" },
    { .name = "expire",
        .kind = OPT_DURATION,
        AT(expire_ms),
        .max = INT64_C(9007199254740991),
        .arg = "TIME",
        .help = "fail the job unrun, on workers of Ox, if it would start later than this after "
                "its timestamp; a delay counts; 0: never" },
    { .name = "opts",
        .kind = OPT_TEXT,
        AT(json),
        .arg = "JSON",
        .help = "job options under BullMQ's names; separate options override them" },
    { 0 },
};

int jobopts_check(struct run *run, ox_job_options *options)
{
    const char *queue = options->parent.queue, *json = options->json;
    if (queue != NULL && strchr(queue, ':') == NULL) {
        g_autofree char *full = g_strconcat(run->prefix, ":", queue, NULL);
        options->parent.queue = g_string_chunk_insert(run->strings, full);
    }
    if (options->on_failure != OX_CHILD_WAIT && queue == NULL) {
        return complain_usage(run, "--on-failure needs --parent");
    }
    if (json != NULL &&
        (json[strspn(json, " \t\r\n")] != '{' || !json_valid(json, strlen(json), NULL))) {
        return complain_usage(run, "--opts: not a JSON object: %s", json);
    }
    return STATUS_DONE;
}
