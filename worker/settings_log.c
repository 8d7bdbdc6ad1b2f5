/*
 * settings_log.c - what a worker was told to do, as the first lines of its log: one for each
 * handler of a queue, and one for each setting that is a risk.
 */
#include <glib.h>
#include <ox.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "settings.h"

/* Each "--name=value" as a field of that name; a URL without its password. */
static void log_options(char **options)
{
    for (; *options != NULL; options++) {
        const char *value = strchr(*options, '=');
        g_autofree char *name = g_strndup(*options + 2, strcspn(*options + 2, "="));
        g_autofree char *shown = settings_shown(name, value != NULL ? value + 1 : "true");
        log_text(name, shown);
    }
}

/* Loud when something is not there that could be. */
static void log_sandbox(const struct route_settings *route)
{
    bool weak = false;
    for (char **layer = route->layers; *layer != NULL; layer++) {
        weak = weak || g_str_has_suffix(*layer, "=no") || g_str_has_suffix(*layer, "=off");
    }
    log_begin(weak ? LOG_WARN : LOG_INFO, "sandbox");
    log_place(&route->place);
    log_text("jobs", route->group == NULL ? route->job : NULL);
    log_text("handler", route->handler);
    log_options(route->layers);
    log_end();
}

static void log_stream(const struct stream_settings *stream)
{
    log_number("batch", stream->batch);
    log_number("wait_ms", stream->wait_ms);
    log_number("attempts", stream->attempts);
    if (stream->ordered) {
        log_true("ordered");
    }
}

static void log_route(const struct settings *settings, const struct queue_settings *queue,
    const struct route_settings *route)
{
    g_autofree char *redis = settings_redact(settings->redis);
    g_autofree char *arg = route->arg != NULL ? settings_shown("", route->arg) : NULL;
    g_autofree char *hidden = *route->hidden != NULL ? g_strjoinv(",", route->hidden) : NULL;
    log_begin(LOG_INFO, "start");
    log_text("version", ox_version());
    log_place(&route->place);
    log_text("jobs", route->group == NULL ? route->job : NULL);
    log_text("handler", route->handler);
    log_text("arg", arg);
    log_number("concurrency", queue->concurrency);
    if (queue->group != NULL) {
        log_stream(&queue->stream);
    }
    log_options(route->options);
    log_text("env_without", hidden);
    log_number("timeout_ms", route->timeout_ms);
    log_text("redis", redis);
    log_text("prefix", settings->prefix);
    log_text("name", settings->name);
    log_number("pid", getpid());
    log_end();
}

static void log_queue(const struct settings *settings, const struct queue_settings *queue)
{
    for (size_t i = 0; i < queue->route_count; i++) {
        log_route(settings, queue, &queue->routes[i]);
        log_sandbox(&queue->routes[i]);
    }
}

static void log_risks(const struct settings *settings)
{
    if (settings->redis_exposed) {
        log_note(LOG_WARN, "exposed", "every user can read the file of --redis (chmod 600)");
    }
    if (settings->file_exposed) {
        log_note(LOG_WARN, "exposed",
            "every user can read the passwords in the settings file (chmod 600)");
    }
    if (settings->tls.insecure) {
        log_note(LOG_WARN, "insecure", "--tls-insecure: the server is not verified");
    }
}

void settings_log(const struct settings *settings)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        log_queue(settings, &settings->queues[i]);
    }
    log_risks(settings);
}
