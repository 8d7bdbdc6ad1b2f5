/*
 * publish.c - the publish handler: publishes the events of a batch into another stream of the
 * same server, each as it is. Its source and id stay, so that stream's dedup window drops what
 * is repeated.
 */
#include "events.h"
#include "sandbox.h"

static struct {
    ox_client *client;
    ox_stream *stream; /* that is published to */
} to;

static int write_all(GPtrArray *events, ox_error *err)
{
    g_autofree ox_new_event *list = g_new0(ox_new_event, events->len);
    for (guint i = 0; i < events->len; i++) {
        const struct event *event = events->pdata[i];
        list[i].event = event->json;
    }
    return ox_stream_publish_many(to.stream, list, events->len, NULL, err);
}

static void done(void)
{
    ox_stream_free(to.stream);
    ox_client_free(to.client);
    to.stream = NULL;
    to.client = NULL;
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    ox_error err = { 0 };
    if (config->arg == NULL || *config->arg == '\0') {
        *problem = g_strdup("publish needs a stream: STREAM@GROUP=publish:STREAM");
        return false;
    }
    if (g_strcmp0(config->arg, config->stream) == 0) {
        *problem =
            g_strdup_printf("publish:%s publishes the events of %s into itself, without end",
                config->arg, config->arg);
        return false;
    }
    const ox_stream_options options = { .prefix = config->server->prefix };
    to.client = events_connect(config, problem);
    if (to.client != NULL &&
        ox_stream_new(&to.stream, to.client, config->arg, &options, &err) < 0) {
        *problem = g_strdup_printf("publish:%s: %s", config->arg, err.text);
    }
    bool good = to.stream != NULL;
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

const struct handler publish_handler = {
    .name = "publish",
    .summary = "publish events into another stream, with the ids that they have",
    .argument = "STREAM",
    .runs = HANDLER_RUNS_BATCHES,
    .uses_server = true,
    .needs = events_needs,
    .init = init,
    .run = run,
    .done = done,
};
