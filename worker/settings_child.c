/*
 * settings_child.c - what a child is started with: a command line, which everybody can see, an
 * environment without what is meant for ox-worker, and words that the child alone sees.
 */
#include "settings_rows.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

static void add_word(GPtrArray *words, const char *option, const char *value)
{
    if (value != NULL) {
        g_ptr_array_add(words, g_strdup_printf("--%s=%s", option, value));
    }
}

static const char *const sandbox_words[] = { "on", "strict", "off" };

char **settings_child_argv(const struct route_settings *route, int parent_pid)
{
    GPtrArray *words = g_ptr_array_new();
    g_ptr_array_add(words, g_strdup("ox-handler"));
    add_word(words, "queue", route->queue);
    add_word(words, "group", route->group);
    add_word(words, "handler", route->handler);
    g_ptr_array_add(words, g_strdup("--private-words"));
    add_word(words, "sandbox", sandbox_words[route->sandbox]);
    add_word(words, "rlimit", route->rlimit);
    if (route->memory_bytes > 0) {
        g_ptr_array_add(words, g_strdup_printf("--memory=%" PRId64, route->memory_bytes));
    }
    if (parent_pid > 0) {
        add_word(words, "tree", route->in_namespace ? "namespace" : "subreaper");
        g_ptr_array_add(words, g_strdup_printf("--parent=%d", parent_pid));
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* Of the connection, too: its URL may have a password. */
static void add_server(GPtrArray *words, const struct settings *settings)
{
    add_word(words, "redis", settings->redis);
    add_word(words, "prefix", settings->prefix);
    add_word(words, "tls-ca", settings->tls.ca);
    add_word(words, "tls-cert", settings->tls.cert);
    add_word(words, "tls-key", settings->tls.key);
    add_word(words, "tls-name", settings->tls.name);
    if (settings->tls.insecure) {
        g_ptr_array_add(words, g_strdup("--tls-insecure"));
    }
}

/* Nothing of a handler's own settings is on the command line: what of it is a secret, such as a
 * URL with a password, only the handler knows. */
char **settings_private_words(const struct route_settings *route)
{
    GPtrArray *words = g_ptr_array_new();
    add_word(words, "arg", route->arg);
    for (char **option = route->options; *option != NULL; option++) {
        g_ptr_array_add(words, g_strdup(*option));
    }
    if (route->server != NULL) {
        add_server(words, route->server);
    }
    for (char **name = route->secrets; name != NULL && *name != NULL; name++) {
        const char *value = g_getenv(*name);
        g_ptr_array_add(words, g_strdup_printf("%s=%s", *name, value != NULL ? value : ""));
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* OX_... may be a password, or an option that a handler takes as well. */
static bool is_ours(const char *name)
{
    static const char *const others[] = { "REDIS_URL", "NOTIFY_SOCKET", "WATCHDOG_USEC",
        "WATCHDOG_PID", NULL };
    return g_str_has_prefix(name, VARIABLE_PREFIX) || g_strv_contains(others, name);
}

static bool has(char **names, const char *name)
{
    return names != NULL && g_strv_contains((const char *const *)names, name);
}

char **settings_child_env(const struct route_settings *route)
{
    char **env = g_get_environ();
    g_auto(GStrv) names = g_listenv();
    for (char **name = names; *name != NULL; name++) {
        if (is_ours(*name) || has(route->secrets, *name) || has(route->hidden, *name)) {
            env = g_environ_unsetenv(env, *name);
        }
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

char *settings_shown(const char *name, const char *value)
{
    static const char *const secret[] = { "secret", "password", "token", "key" };
    for (size_t i = 0; i < G_N_ELEMENTS(secret); i++) {
        if (strstr(name, secret[i]) != NULL && *value != '@') { /* which names a file */
            return g_strdup("***");
        }
    }
    return settings_redact(value);
}
