/*
 * enqueue.c - the enqueue handler: makes jobs of the events of a batch, in the queue that is
 * named or in those that are bound to the stream, as publishing does it where queue and log can
 * be written in one step. The id of a job is made of the event's source and id, so a repeat
 * makes no second one.
 */
#include <string.h>

#include "base/json.h"
#include "events.h"
#include "sandbox.h"

struct enqueue_options {
    const char *job_name, *job_options;
};

static struct {
    const struct enqueue_options *options;
    ox_client *client;
    ox_stream *stream; /* whose bindings count; NULL: none do */
    ox_queue *queue;   /* that gets all jobs; NULL: those that are bound do */
    const char *prefix;
} to;

/* ---- Jobs -------------------------------------------------------------------------------- */

/* "ev-" and the SHA-1 of source, NUL and id: as the bindings of the stream make it. */
static char *job_id(const struct event *event)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, (const guchar *)event->source, (gssize)strlen(event->source) + 1);
    g_checksum_update(sum, (const guchar *)event->id, -1);
    return g_strconcat("ev-", g_checksum_get_string(sum), NULL);
}

/* What all jobs of one call share. */
struct made {
    ox_queue *queue;
    const char *name, *options; /* NULL: the event's type, none */
};

/* One call for all: either each of them has its job in the end, or the failure is told. */
static int add_jobs(const struct made *made, GPtrArray *events, ox_error *err)
{
    g_autofree ox_job_options *options = g_new0(ox_job_options, events->len);
    g_autofree ox_new_job *jobs = g_new0(ox_new_job, events->len);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < events->len; i++) {
        const struct event *event = events->pdata[i];
        char *id = job_id(event);
        g_ptr_array_add(ids, id);
        options[i].id = id;
        options[i].timestamp_ms = event->time_ms;
        options[i].json = made->options;
        jobs[i].name = made->name != NULL ? made->name : event->type;
        jobs[i].json = event->json;
        jobs[i].options = &options[i];
    }
    return ox_queue_add_bulk(made->queue, jobs, events->len, NULL, err);
}

/* ---- By the bindings --------------------------------------------------------------------- */

static int add_bound(const ox_binding *binding, GPtrArray *events, ox_error *err)
{
    const ox_queue_options options = { .prefix = to.prefix };
    struct made made = { NULL, binding->job_name, binding->options };
    int status = ox_queue_new(&made.queue, to.client, binding->queue, &options, err);
    if (status >= 0) {
        status = add_jobs(&made, events, err);
    }
    ox_queue_free(made.queue);
    return status;
}

/* Events of one type, which the same bindings are for. */
static int add_type(const char *type, GPtrArray *events, ox_error *err)
{
    ox_binding **bindings = NULL;
    size_t count = 0;
    int status = ox_stream_route(to.stream, type, &bindings, &count, err);
    for (size_t i = 0; status >= 0 && i < count; i++) {
        status = add_bound(bindings[i], events, err);
    }
    ox_list_free(bindings);
    return status;
}

static GHashTable *by_type(GPtrArray *events)
{
    GHashTable *types =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    for (guint i = 0; i < events->len; i++) {
        struct event *event = events->pdata[i];
        GPtrArray *same = g_hash_table_lookup(types, event->type);
        if (same == NULL) {
            same = g_ptr_array_new();
            g_hash_table_insert(types, event->type, same);
        }
        g_ptr_array_add(same, event);
    }
    return types;
}

static int add_by_bindings(GPtrArray *events, ox_error *err)
{
    g_autoptr(GHashTable) types = by_type(events);
    GHashTableIter iter;
    gpointer type, same;
    int status = 0;
    g_hash_table_iter_init(&iter, types);
    while (status >= 0 && g_hash_table_iter_next(&iter, &type, &same)) {
        status = add_type(type, same, err);
    }
    return status;
}

/* ---- Handler ----------------------------------------------------------------------------- */

static int write_all(GPtrArray *events, ox_error *err)
{
    for (guint i = 0; i < events->len; i++) {
        const struct event *event = events->pdata[i];
        if (event->type == NULL || event->source == NULL || event->id == NULL) {
            g_snprintf(err->text, sizeof err->text, "the event has no type, source or id");
            return err->code = OX_EINVAL;
        }
    }
    if (to.queue != NULL) {
        const struct made made = { to.queue, to.options->job_name, to.options->job_options };
        return add_jobs(&made, events, err);
    }
    return add_by_bindings(events, err);
}

static void done(void)
{
    ox_stream_free(to.stream);
    ox_queue_free(to.queue);
    ox_client_free(to.client);
    to.stream = NULL;
    to.queue = NULL;
    to.client = NULL;
}

static bool open_target(const struct handler_config *config, char **problem)
{
    const ox_stream_options stream_options = { .prefix = to.prefix };
    const ox_queue_options queue_options = { .prefix = to.prefix };
    ox_error err = { 0 };
    int status =
        config->arg != NULL
            ? ox_queue_new(&to.queue, to.client, config->arg, &queue_options, &err)
            : ox_stream_new(&to.stream, to.client, config->stream, &stream_options, &err);
    if (status < 0) {
        *problem = g_strdup_printf("enqueue: %s", err.text);
    }
    return status >= 0;
}

static bool is_object(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{' && ox__json_valid(text, strlen(text));
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    to.options = config->options;
    to.prefix = config->server->prefix;
    if (config->arg == NULL &&
        (to.options->job_name != NULL || to.options->job_options != NULL)) {
        *problem =
            g_strdup_printf("--%s: only with a queue, enqueue:QUEUE; a binding has its own",
                to.options->job_name != NULL ? "job-name" : "job-options");
        return false;
    }
    if (to.options->job_options != NULL && !is_object(to.options->job_options)) {
        *problem =
            g_strdup_printf("--job-options: not a JSON object, such as {\"attempts\":3}: "
                            "%.60s",
                to.options->job_options);
        return false;
    }
    to.client = events_connect(config, problem);
    bool good = to.client != NULL && open_target(config, problem);
    if (check_only || !good) {
        done();
    }
    return good;
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    (void)config;
    return events_run(job, write_all, io, out);
}

static const struct opt rows[] = {
    { .name = "job-name",
        .kind = OPT_TEXT,
        .offset = offsetof(struct enqueue_options, job_name),
        .arg = "NAME",
        .help = "name of the jobs in enqueue:QUEUE; else the type of the event" },
    { .name = "job-options",
        .kind = OPT_TEXT,
        .offset = offsetof(struct enqueue_options, job_options),
        .arg = "JSON",
        .help = "their options, as BullMQ has them: {\"attempts\":3}" },
    { 0 },
};

const struct handler enqueue_handler = {
    .name = "enqueue",
    .summary = "make jobs of events, in a queue or in those that are bound to the stream",
    .argument = "QUEUE",
    .runs = HANDLER_RUNS_BATCHES,
    .opts = rows,
    .options_size = sizeof(struct enqueue_options),
    .uses_server = true,
    .needs = events_needs,
    .init = init,
    .run = run,
    .done = done,
};
