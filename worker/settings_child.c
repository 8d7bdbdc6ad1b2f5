/*
 * settings_child.c - what a child is started with: the words that say what it is to do, and an
 * environment without what is about Redis.
 */
#include "settings.h"

#include <glib.h>
#include <string.h>

static void add_word(GPtrArray *words, const char *option, const char *value)
{
    if (value != NULL) {
        g_ptr_array_add(words, g_strdup_printf("--%s=%s", option, value));
    }
}

char **settings_child_argv(const struct queue_settings *queue, int parent_pid)
{
    GPtrArray *words = g_ptr_array_new();
    g_ptr_array_add(words, g_strdup("ox-handler"));
    add_word(words, "queue", queue->queue);
    add_word(words, "handler", queue->handler);
    add_word(words, "arg", queue->arg);
    for (char **option = queue->options; option != NULL && *option != NULL; option++) {
        g_ptr_array_add(words, g_strdup(*option));
    }
    g_ptr_array_add(words, g_strdup_printf("--parent=%d", parent_pid));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

char **settings_child_env(void)
{
    static const char *const secret[] = { "OX_REDIS_URL", "REDIS_URL", "OX_TLS_CA",
        "OX_TLS_CERT", "OX_TLS_KEY", "OX_TLS_NAME", "NOTIFY_SOCKET" };
    char **env = g_get_environ();
    for (size_t i = 0; i < G_N_ELEMENTS(secret); i++) {
        env = g_environ_unsetenv(env, secret[i]);
    }
    return env;
}

char *settings_redact(const char *url)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *user = scheme != NULL ? scheme + 3 : url;
    const char *colon = at != NULL && user < at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (colon == NULL) {
        return g_strdup(url);
    }
    return g_strdup_printf("%.*s:***%s", (int)(colon - url), url, at);
}
