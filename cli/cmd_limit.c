/*
 * cmd_limit.c - ox limit: how many jobs of a queue run at once and how many start in a while,
 * over all workers.
 */
#include "base/units.h"
#include "records.h"
#include "server.h"

struct opts {
    int64_t concurrency; /* -1: not given */
    struct ox__rate rate;
    int64_t hold_ms; /* -1: not given */
    bool clear;
};

static const struct opt rows[] = {
    { .name = "concurrency",
        .kind = OPT_COUNT,
        .offset = offsetof(struct opts, concurrency),
        .max = UINT32_MAX,
        .fallback = -1,
        .arg = "N",
        .help = "at most N jobs at once over all workers; 0: no limit" },
    { .name = "rate",
        .kind = OPT_PARSED,
        .offset = offsetof(struct opts, rate),
        .arg = "MAX/TIME",
        .parse = ox__parse_rate,
        .help = "at most MAX starts in TIME (100/1s) over all workers" },
    { .name = "hold",
        .kind = OPT_DURATION,
        .offset = offsetof(struct opts, hold_ms),
        .fallback = -1,
        .arg = "TIME",
        .help = "start no job for TIME on workers that have a rate limit; 0 ends it" },
    { .name = "clear",
        .kind = OPT_FLAG,
        .offset = offsetof(struct opts, clear),
        .help = "remove both limits" },
    { 0 },
};

static bool sets(const struct opts *opts)
{
    return opts->concurrency > 0 || opts->rate.max || opts->hold_ms > 0;
}

static int change(struct run *run, ox_queue *queue)
{
    const struct opts *opts = run->opts;
    ox_error err = { 0 };
    int code = 0;
    if (opts->clear || opts->concurrency >= 0) {
        code = ox_queue_set_concurrency(
            queue, opts->clear ? 0 : (uint32_t)opts->concurrency, &err);
    }
    if (code >= 0 && (opts->clear || opts->rate.max)) {
        code = ox_queue_set_rate(queue, opts->clear ? 0 : (uint32_t)opts->rate.max,
            opts->clear ? 0 : opts->rate.duration_ms, &err);
    }
    if (code >= 0 && opts->hold_ms >= 0) {
        code = ox_queue_rate_limit(queue, opts->hold_ms, &err);
    }
    return code < 0 ? complain_error(run, &err) : STATUS_DONE;
}

enum { CONCURRENCY, RATE, MAX_STARTS, DURATION, OPENS_IN, FIELD_COUNT };
static const struct field fields[FIELD_COUNT] = {
    [CONCURRENCY] = { .title = "concurrency",
        .key = "concurrency",
        .kind = FIELD_NUMBER,
        .flags = FIELD_OPTIONAL },
    [RATE] = { .title = "rate", .kind = FIELD_TEXT },
    [MAX_STARTS] = { .key = "max", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [DURATION] = { .key = "duration", .kind = FIELD_NUMBER, .flags = FIELD_OPTIONAL },
    [OPENS_IN] = { .title = "opens in",
        .key = "ttl",
        .kind = FIELD_NUMBER,
        .flags = COLUMN_RARE,
        .tint = TINT_YELLOW },
};
static const struct records_style style = { .fields = fields,
    .count = FIELD_COUNT,
    .shape = RECORDS_CARD,
    .titles = { "LIMIT", "VALUE" } };

static void print_limits(const struct run *run, const ox_queue_info *info)
{
    g_autofree char *concurrency =
        info->concurrency ? g_strdup_printf("%u", info->concurrency) : g_strdup("none");
    g_autofree char *span = span_text(info->rate_duration_ms);
    g_autofree char *rate =
        info->rate_max ? g_strdup_printf("%u in %s", info->rate_max, span) : g_strdup("none");
    g_autofree char *left = info->rate_ttl_ms > 0 ? span_text(info->rate_ttl_ms) : NULL;
    struct records *records = records_new(run, &style);
    records_add(
        records, (const struct value[FIELD_COUNT]){
                     [CONCURRENCY] = { .number = info->concurrency, .shown = concurrency },
                     [RATE] = { .text = rate },
                     [MAX_STARTS] = { .number = info->rate_max },
                     [DURATION] = { .number = info->rate_max ? info->rate_duration_ms : 0 },
                     [OPENS_IN] = { .number = info->rate_ttl_ms, .shown = left },
                 });
    records_end(records);
}

static int show(struct run *run, ox_queue *queue)
{
    ox_queue_info info;
    ox_error err = { 0 };
    if (ox_queue_info_get(queue, &info, &err) < 0) {
        return complain_error(run, &err);
    }
    print_limits(run, &info);
    return STATUS_DONE;
}

static int exec(struct run *run)
{
    const struct opts *opts = run->opts;
    if (opts->clear && (opts->concurrency >= 0 || opts->rate.max)) {
        return complain_usage(run, "--clear excludes --concurrency and --rate");
    }
    g_autoptr(ox_queue) queue = NULL;
    int status = server_queue(run, run->args[0], &queue);
    if (!status) {
        status =
            sets(opts) ? server_note_new(run, queue) : server_check_queue(run, queue, NULL);
    }
    if (!status) {
        status = change(run, queue);
    }
    return status ? status : show(run, queue);
}

const struct cmd cmd_limit = {
    .name = "limit",
    .summary = "show or set a queue's global limits",
    .usage = "QUEUE",
    .help = "Sets limits over all workers of QUEUE together and shows them; without options it "
            "only shows them.",
    .example = "  ox limit mail --rate 100/1m\n"
               "  ox limit images --concurrency 8",
    .opts = rows,
    .opts_size = sizeof(struct opts),
    .min_args = 1,
    .max_args = 1,
    .exec = exec,
};
