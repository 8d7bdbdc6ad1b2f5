/*
 * program.c - finds and questions ox-handler; see program.h.
 *
 * This happens once, before the loop runs, so it may wait. The parent is not linked with the
 * handlers and knows none of them; what is wrong with a handler's settings, the handler says.
 */
#include "program.h"

#include <glib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "settings.h"

static const char *const places[] = { "ox-handler", "../libexec/ox-handler" };

static bool is_program(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0;
}

char *program_find(const char *given, char **problem)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
    if (given && is_program(given))
        return g_canonicalize_filename(given, NULL);
    for (size_t i = 0; !given && folder && i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_canonicalize_filename(places[i], folder);
        if (is_program(path))
            return g_steal_pointer(&path);
    }
    *problem = given ? g_strdup_printf("--handlers: %s is no program", given)
                     : g_strdup_printf("ox-handler is neither in %s nor in its ../libexec",
                           folder ? folder : "(unknown folder)");
    return NULL;
}

/* Runs it to its end; true when its exit status is 0. */
static bool ask(char **argv, char **out, char **err, char **problem)
{
    g_autoptr(GError) error = NULL;
    int status;
    if (!g_spawn_sync(
            NULL, argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, out, err, &status, &error)) {
        *problem = g_strdup(error->message);
        return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

char *program_handlers(const char *program)
{
    g_autofree char *out = NULL, *err = NULL, *problem = NULL;
    char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t) "--list", NULL };
    if (!ask(argv, &out, &err, &problem))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(g_strchomp(out), "\n", -1);
    g_autoptr(GString) text = g_string_new(NULL);
    for (char **line = lines; *line; line++) {
        char *summary = strchr(*line, '\t');
        if (summary)
            *summary++ = '\0';
        g_string_append_printf(text, "  %-10s %s\n", *line, summary ? summary : "");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The first line of what it said, without its name. */
static char *first_line(const char *err)
{
    const char *text =
        g_str_has_prefix(err, "ox-handler: ") ? err + strlen("ox-handler: ") : err;
    return g_strndup(text, strcspn(text, "\n"));
}

bool program_check(
    const struct settings *settings, const struct queue_settings *queue, char **problem)
{
    g_autofree char *out = NULL, *err = NULL, *said = NULL;
    g_auto(GStrv) words = settings_child_argv(queue, getpid());
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    for (char **word = words; *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, (char *)(uintptr_t) "--check");
    g_ptr_array_add(argv, NULL);
    argv->pdata[0] = settings->handler_program;
    if (ask((char **)argv->pdata, &out, &err, problem))
        return true;
    said = err ? first_line(err) : NULL;
    if (!*problem)
        *problem = g_strdup_printf("%s=%s: %s", queue->queue, queue->handler,
            said && *said ? said : "the handler's check failed");
    return false;
}
