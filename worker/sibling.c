/*
 * sibling.c - see sibling.h. What cannot be started is passed over: its handlers are not there.
 */
#include "sibling.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* Letters, digits, '-' and '_': not a path, and not a file that a build or an editor left. */
static bool is_name(const char *text)
{
    return *text != '\0' && text[strspn(text, G_CSET_a_2_z G_CSET_DIGITS "-_")] == '\0';
}

static bool is_program(const char *path)
{
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) && access(path, X_OK) == 0;
}

void sibling_become(const char *handler, char **argv)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *path = self != NULL ? g_strconcat(self, "-", handler, NULL) : NULL;
    if (path != NULL && is_name(handler) && is_program(path)) {
        execv(path, argv);
    }
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Paths of all of them, sorted. */
static GPtrArray *find_siblings(const char *self)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *folder = g_path_get_dirname(self), *own = g_path_get_basename(self);
    g_autofree char *beginning = g_strconcat(own, "-", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    for (const char *name; dir != NULL && (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        if (g_str_has_prefix(name, beginning) && is_name(name + strlen(beginning)) &&
            is_program(path)) {
            g_ptr_array_add(paths, g_steal_pointer(&path));
        }
    }
    g_ptr_array_sort(paths, by_name);
    return paths;
}

void sibling_list(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autoptr(GPtrArray) paths = self != NULL ? find_siblings(self) : NULL;
    for (guint i = 0; paths != NULL && i < paths->len; i++) {
        char *argv[] = { paths->pdata[i], (char[]){ "--list" }, NULL };
        g_spawn_sync(
            NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, NULL, NULL);
    }
}
