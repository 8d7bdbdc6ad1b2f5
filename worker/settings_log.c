/*
 * settings_log.c - what a worker was told to do, as the first lines of its log: one a queue,
 * and one for each setting that is a risk.
 */
#include <glib.h>
#include <ox.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "settings.h"

/* Each "--name=value" as a field of that name. */
static void log_options(char **options)
{
    for (; *options != NULL; options++) {
        const char *value = strchr(*options, '=');
        g_autofree char *name = g_strndup(*options + 2, strcspn(*options + 2, "="));
        log_text(name, value != NULL ? value + 1 : "true");
    }
}

void settings_log(const struct settings *settings)
{
    g_autofree char *redis = settings_redact(settings->redis);
    for (size_t i = 0; i < settings->queue_count; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        log_begin(LOG_INFO, "start");
        log_text("version", ox_version());
        log_text("queue", queue->queue);
        log_text("handler", queue->handler);
        log_text("arg", queue->arg);
        log_number("concurrency", queue->concurrency);
        log_options(queue->options);
        log_number("timeout_ms", queue->timeout_ms);
        log_text("redis", redis);
        log_text("prefix", settings->prefix);
        log_text("name", settings->name);
        log_number("pid", getpid());
        log_end();
    }
    if (settings->redis_exposed) {
        log_note(LOG_WARN, "exposed", "every user can read the file of --redis (chmod 600)");
    }
    if (settings->tls.insecure) {
        log_note(LOG_WARN, "insecure", "--tls-insecure: the server is not verified");
    }
}
