/*
 * server.c - see server.h.
 *
 * The URL is never printed, since it may contain a password. The library's messages name the
 * host only.
 */
#include "server.h"
#include "base/startup.h"
#include <string.h>
#include <unistd.h>

/* The advice is given on a terminal only: a secret that a container mounts is often readable by
 * all. */
static int read_url(const struct run *run, char **url)
{
    const char *given = run->redis;
    g_autofree char *problem = NULL;
    bool exposed = false;
    if (given != NULL && !ox__startup_read_url(given, url, &exposed, &problem)) {
        complain(run, "%s", problem);
        return STATUS_FAILED;
    }
    if (exposed && isatty(STDERR_FILENO)) {
        complain(run, "note: every user of this machine can read %s (chmod 600 %s)", given + 1,
            given + 1);
    }
    return STATUS_DONE;
}

const char *server_variable(const struct run *run)
{
    static const char *const names[] = { "OX_REDIS_URL", "REDIS_URL" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (run->redis != NULL && g_strcmp0(g_getenv(names[i]), run->redis) == 0) {
            return names[i];
        }
    }
    return NULL;
}

/* Without --redis the message names the source of the URL. */
static int refuse_server(const struct run *run, const ox_error *err)
{
    const char *variable = server_variable(run);
    if (run->redis == NULL && err->code == OX_ECONNECT) {
        complain(run, "%s (ox dev starts a server; --redis and OX_REDIS_URL name another)",
            err->text);
    } else if (variable != NULL && err->code == OX_EINVAL) {
        complain(run, "%s: %s", variable, err->text);
    } else {
        return complain_error(run, err);
    }
    return status_of(err->code);
}

int server_client(struct run *run)
{
    if (run->client != NULL) {
        return STATUS_DONE;
    }
    g_autofree char *url = NULL;
    int status = read_url(run, &url);
    if (status) {
        return status;
    }
    ox_client_options options = { .url = url };
    ox_error err;
    ox__tls_use(&run->tls, &options);
    if (run->tls.insecure) {
        complain(run, "WARNING: --tls-insecure: the server's certificate is not verified");
    }
    if (ox_client_new(&run->client, &options, &err) < 0) {
        return refuse_server(run, &err);
    }
    return STATUS_DONE;
}

ox_queue_options server_queue_options(const struct run *run)
{
    return (ox_queue_options){ .prefix = run->prefix, .legacy_pause = run->legacy_pause };
}

int server_queue(struct run *run, const char *name, ox_queue **out)
{
    if (!*name) {
        return complain_usage(run, "queue name is empty");
    }
    if (strchr(name, ':') != NULL) {
        return complain_usage(run, "queue name must not contain a colon: \"%s\"", name);
    }
    int status = server_client(run);
    if (status) {
        return status;
    }
    const ox_queue_options options = server_queue_options(run);
    ox_error err;
    if (ox_queue_new(out, run->client, name, &options, &err) < 0) {
        return complain_error(run, &err);
    }
    return STATUS_DONE;
}

int server_stream(struct run *run, const char *name, const char *source, ox_stream **out)
{
    int status = server_client(run);
    if (status) {
        return status;
    }
    const ox_stream_options options = {
        .prefix = run->prefix, .source = source, .legacy_pause = run->legacy_pause
    };
    ox_error err;
    if (ox_stream_new(out, run->client, name, &options, &err) < 0) {
        return complain_error(run, &err);
    }
    return STATUS_DONE;
}

static bool has_jobs(const ox_counts *counts)
{
    for (int state = 0; state < OX_STATE_COUNT; state++) {
        if (counts->of[state]) {
            return true;
        }
    }
    return false;
}

/* Whether a queue without jobs exists: it has settings or other keys. */
static int find_traces(struct run *run, ox_queue *queue, bool *found)
{
    ox_queue_info info;
    ox_error err = { 0 };
    if (ox_queue_info_get(queue, &info, &err) < 0) {
        return complain_error(run, &err);
    }
    *found = info.next_id || info.version[0] || info.max_events || info.paused ||
             info.concurrency || info.rate_max || info.rate_ttl_ms;
    return STATUS_DONE;
}

static int find_queue(struct run *run, ox_queue *queue, bool *found)
{
    ox_counts counts;
    ox_error err = { 0 };
    if (ox_queue_counts(queue, &counts, &err) < 0) {
        return complain_error(run, &err);
    }
    *found = has_jobs(&counts);
    return *found ? STATUS_DONE : find_traces(run, queue, found);
}

static int refuse_unknown(const struct run *run, const ox_queue *queue)
{
    complain(run, "queue %s does not exist under prefix %s (ox queues lists them)",
        ox_queue_name(queue), run->prefix);
    return STATUS_NOT_FOUND;
}

int server_check_queue(struct run *run, ox_queue *queue, const ox_counts *counts)
{
    bool found = counts != NULL && has_jobs(counts);
    int status = STATUS_DONE;
    if (!found) {
        status =
            counts != NULL ? find_traces(run, queue, &found) : find_queue(run, queue, &found);
    }
    return status || found ? status : refuse_unknown(run, queue);
}

int server_note_new(struct run *run, ox_queue *queue)
{
    bool found = true;
    int status = find_queue(run, queue, &found);
    if (!found) {
        complain(run, "note: queue %s did not exist before", ox_queue_name(queue));
    }
    return status;
}
