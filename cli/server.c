/*
 * server.c - see server.h.
 *
 * The URL is never printed by us: it may hold a password. The library's messages name the
 * host only.
 */
#include "server.h"
#include <string.h>

static const char *from_environment(const char *name)
{
    const char *value = g_getenv(name);
    return value && *value ? value : NULL;
}

const char *server_url(const struct run *run)
{
    if (run->redis)
        return run->redis;
    const char *own = from_environment("OX_REDIS_URL");
    return own ? own : from_environment("REDIS_URL");
}

int server_client(struct run *run)
{
    if (run->client)
        return STATUS_DONE;
    ox_client_options options = { .url = server_url(run) };
    ox_error err;
    if (ox_client_new(&run->client, &options, &err) < 0)
        return complain_error(run, &err);
    return STATUS_DONE;
}

int server_queue(struct run *run, const char *name, ox_queue **out)
{
    ox_queue_options options = { 0 };
    return server_queue_with(run, name, &options, out);
}

int server_queue_with(
    struct run *run, const char *name, ox_queue_options *options, ox_queue **out)
{
    if (!*name)
        return complain_usage(run, "the queue's name is empty");
    if (strchr(name, ':'))
        return complain_usage(run, "a queue's name has no colon: \"%s\"", name);
    int status = server_client(run);
    if (status)
        return status;
    options->prefix = run->prefix;
    ox_error err;
    if (ox_queue_new(out, run->client, name, options, &err) < 0)
        return complain_error(run, &err);
    return STATUS_DONE;
}

int server_check_queue(struct run *run, ox_queue *queue, const ox_counts *counts)
{
    for (int state = 0; state < OX_STATE_COUNT; state++)
        if (counts->of[state])
            return STATUS_DONE;
    ox_queue_info info;
    ox_error err = { 0 };
    if (ox_queue_info_get(queue, &info, &err) < 0)
        return complain_error(run, &err);
    if (info.next_id || info.version[0] || info.max_events)
        return STATUS_DONE;
    complain(run, "there is no queue %s under the prefix %s (ox queues lists them)",
        ox_queue_name(queue), run->prefix);
    return STATUS_NOT_FOUND;
}
