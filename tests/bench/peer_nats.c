/*
 * peer_nats.c - the NATS side of the benchmarks of streams, with the options and answers of
 * ox_streams.c. It is built where libnats is installed.
 *
 *   peer_nats append --url URL [--jobs N] [--warm N] [--payload BYTES]
 *
 * It publishes N events to a stream of JetStream, which keeps it in a file, with libnats'
 * asynchronous publish; up to 4,096 are not acknowledged. A run is exact when each event was
 * acknowledged with the number that follows the one before, and the stream has them all.
 */
#include "measure.h"

#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PENDING_MAX = 4096, STALL_MS = 20000 };

static struct {
    char *url;
    int jobs, warm, payload;
    natsConnection *connection;
    jsCtx *js;
    GString *data, *text;

    GMutex lock;
    GCond all;
    int acknowledged;
    uint64_t last; /* number of the last event that was acknowledged */
    bool wrong;
} b = { .jobs = 100000, .payload = 175 };

static void check(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        fprintf(stderr, "peer_nats: %s: %s\n", what, natsStatus_GetText(status));
        exit(1);
    }
}

static void on_acknowledged(
    jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *failed, void *arg)
{
    (void)js;
    (void)arg;
    g_mutex_lock(&b.lock);
    b.wrong |= failed != NULL || ack == NULL || ack->Duplicate || ack->Sequence != b.last + 1;
    b.last++;
    if (++b.acknowledged == b.jobs) {
        g_cond_signal(&b.all);
    }
    g_mutex_unlock(&b.lock);
    natsMsg_Destroy(message);
}

static void open_server(void)
{
    jsOptions options;
    check(natsConnection_ConnectTo(&b.connection, b.url), "connect");
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = PENDING_MAX;
    options.PublishAsync.StallWait = STALL_MS;
    options.PublishAsync.AckHandler = on_acknowledged;
    check(natsConnection_JetStream(&b.js, b.connection, &options), "JetStream");
}

static void open_stream(const char *name)
{
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = name;
    config.Subjects = &name;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    check(js_AddStream(NULL, b.js, &config, NULL, NULL), "add a stream");
    b.acknowledged = 0;
    b.last = 0;
}

/* The event as Ox writes it; the attributes have about 160 bytes. */
static void make_event(int number)
{
    g_string_printf(b.text,
        "{\"specversion\":\"1.0\",\"id\":\"019acfe5-6800-7000-8000-000000000000\","
        "\"source\":\"/s\",\"type\":\"c\",\"time\":\"2026-11-29T08:50:00.123Z\","
        "\"datacontenttype\":\"application/json\",\"data\":%s}",
        measure_data(b.data, number, b.payload - 160));
}

static void append(const char *subject)
{
    for (int i = 0; i < b.jobs; i++) {
        make_event(i);
        check(js_PublishAsync(b.js, subject, b.text->str, (int)b.text->len, NULL), "publish");
    }
    check(js_PublishAsyncComplete(b.js, NULL), "wait for the acknowledgements");
    /* The handler of the last may still run. */
    g_mutex_lock(&b.lock);
    while (b.acknowledged < b.jobs) {
        g_cond_wait(&b.all, &b.lock);
    }
    g_mutex_unlock(&b.lock);
}

static bool all_stored(const char *name)
{
    jsStreamInfo *info = NULL;
    check(js_GetStreamInfo(&info, b.js, name, NULL, NULL), "ask for the stream");
    bool all = info->State.Msgs == (uint64_t)b.jobs && info->State.LastSeq == b.last;
    jsStreamInfo_Destroy(info);
    return all;
}

static void bench(void)
{
    struct measure m;
    open_server();
    if (b.warm > 0) {
        int jobs = b.jobs;
        b.jobs = b.warm;
        open_stream("warm");
        append("warm");
        check(js_DeleteStream(b.js, "warm", NULL, NULL), "delete a stream");
        b.jobs = jobs;
    }
    open_stream("bench");
    measure_begin(&m);
    append("bench");
    measure_end(&m);
    measure_report(&m, b.jobs, !b.wrong && all_stored("bench"), NULL);
    jsCtx_Destroy(b.js);
    natsConnection_Destroy(b.connection);
    nats_Close();
}

int main(int argc, char **argv)
{
    GOptionEntry entries[] = {
        { "url", 0, 0, G_OPTION_ARG_STRING, &b.url, "where nats-server is", "URL" },
        { "jobs", 0, 0, G_OPTION_ARG_INT, &b.jobs, "how many events", "N" },
        { "warm", 0, 0, G_OPTION_ARG_INT, &b.warm, "how many before them", "N" },
        { "payload", 0, 0, G_OPTION_ARG_INT, &b.payload, "bytes of an event", "BYTES" },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("append");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2 ||
        strcmp(argv[1], "append") != 0 || b.url == NULL || b.jobs < 1) {
        fprintf(stderr, "peer_nats: %s\n",
            error != NULL ? error->message : "append, with --url and --jobs of at least 1");
        return 2;
    }
    b.data = g_string_new(NULL);
    b.text = g_string_new(NULL);
    bench();
    g_string_free(b.data, TRUE);
    g_string_free(b.text, TRUE);
    g_free(b.url);
    return 0;
}
