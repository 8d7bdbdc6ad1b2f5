/*
 * settings_secrets.c - variables of the environment that hold a secret of a handler, and whose
 * children get them.
 *
 * A variable that a handler of this worker reads as a secret is for the children of that
 * handler alone: the others' programs would hand it on to whatever they start. One that no
 * handler here reads stays in the environment of all, because programs often need it: a worker
 * that only runs programs leaves DATABASE_URL where it is. --pass-env says which ones a handler
 * gets all the same.
 */
#include "settings_reading.h"

#include <string.h>

static bool has_option(const struct route_settings *route, const char *name)
{
    g_autofree char *beginning = g_strdup_printf("--%s=", name);
    for (char **option = route->options; *option != NULL; option++) {
        if (g_str_has_prefix(*option, beginning)) {
            return true;
        }
    }
    return false;
}

/* Those that its handler reads. */
static char **find_secrets(const struct reading *reading, const struct route_settings *route)
{
    GPtrArray *names = g_ptr_array_new();
    const struct handler_info *info =
        route->handler != NULL ? handler_list_find(&reading->handlers, route->handler) : NULL;
    for (size_t i = 0; info != NULL && i < info->secret_count; i++) {
        const struct handler_secret *secret = &info->secrets[i];
        if (g_getenv(secret->variable) != NULL &&
            (secret->option == NULL || !has_option(route, secret->option))) {
            g_ptr_array_add(names, g_strdup(secret->variable));
        }
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static bool contains(char **names, const char *name)
{
    return g_strv_contains((const char *const *)names, name);
}

/* Names that no handler reads as a secret are mistakes: others are passed anyway, or, as those
 * of ox-worker itself, never. */
static void check_passed(
    struct reading *reading, const struct route_settings *route, char **passed)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (size_t h = 0; h < reading->handlers.count; h++) {
        const struct handler_info *info = &reading->handlers.items[h];
        for (size_t i = 0; i < info->secret_count; i++) {
            g_ptr_array_add(known, (char *)(uintptr_t)info->secrets[i].variable);
        }
    }
    g_ptr_array_add(known, NULL);
    for (char **name = passed; *name != NULL; name++) {
        if (!contains((char **)known->pdata, *name)) {
            g_autofree char *all = g_strjoinv(", ", (char **)known->pdata);
            g_autofree char *why = g_strdup_printf(
                "--pass-env: \"%s\" is not a secret of a handler, as are: %s", *name, all);
            reading_blame(reading, route, why);
        }
    }
}

static void hide_from(struct reading *reading, struct route_settings *route, GPtrArray *all)
{
    g_auto(GStrv) passed = g_strsplit(route->pass_env != NULL ? route->pass_env : "", ",", -1);
    GPtrArray *names = g_ptr_array_new();
    check_passed(reading, route, passed);
    for (guint i = 0; i < all->len; i++) {
        const char *name = all->pdata[i];
        if (!contains(route->secrets, name) && !contains(passed, name)) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    g_ptr_array_add(names, NULL);
    route->hidden = (char **)g_ptr_array_free(names, FALSE);
}

static void each_route(struct reading *reading, GPtrArray *all,
    void (*call)(struct reading *reading, struct route_settings *route, GPtrArray *all))
{
    for (size_t q = 0; q < reading->settings->queue_count; q++) {
        for (size_t r = 0; r < reading->settings->queues[q].route_count; r++) {
            call(reading, &reading->settings->queues[q].routes[r], all);
        }
    }
}

/* Borrowed by `all`, each once. */
static void add_secrets(struct reading *reading, struct route_settings *route, GPtrArray *all)
{
    route->secrets = find_secrets(reading, route);
    for (char **name = route->secrets; *name != NULL; name++) {
        if (!g_ptr_array_find_with_equal_func(all, *name, g_str_equal, NULL)) {
            g_ptr_array_add(all, *name);
        }
    }
}

void reading_hide_secrets(struct reading *reading)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    each_route(reading, all, add_secrets);
    each_route(reading, all, hide_from);
}
