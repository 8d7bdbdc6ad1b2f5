/*
 * exec_command.c - the operator's command: split into words, and its program found.
 *
 * It is looked up once, at the start, so that what is wrong with it is said then and with its
 * path. No shell takes part: quotes and backslashes work as in one, and nothing else does.
 */
#include "exec.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is wrong with a file as a program, as the end of a sentence, or NULL. */
static const char *file_problem(const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0) {
        return "not found";
    }
    if (S_ISDIR(info.st_mode)) {
        return "a folder, not a program";
    }
    if (!S_ISREG(info.st_mode)) {
        return "not a file";
    }
    return access(path, X_OK) < 0 ? "not executable (chmod +x)" : NULL;
}

/* The interpreter that a script names in its first line, or NULL (g_free). */
static char *interpreter(const char *path)
{
    char line[256] = "";
    FILE *file = fopen(path, "re");
    bool is_script =
        file != NULL && fgets(line, sizeof line, file) != NULL && g_str_has_prefix(line, "#!");
    if (file != NULL) {
        fclose(file);
    }
    char *name = line + 2 + (is_script ? strspn(line + 2, " \t") : 0);
    return is_script ? g_strndup(name, strcspn(name, " \t\r\n")) : NULL;
}

static bool check_file(const char *path, char **problem)
{
    const char *wrong = file_problem(path);
    if (wrong != NULL) {
        *problem = g_strdup_printf("%s: %s", path, wrong);
        return false;
    }
    g_autofree char *needed = interpreter(path);
    wrong = needed != NULL ? file_problem(needed) : NULL;
    if (wrong != NULL) {
        *problem = g_strdup_printf(
            "%s: its first line names \"%s\", which is %s", path, needed, wrong);
        return false;
    }
    return true;
}

/* The first file of that name in the folders of PATH that can be run, else the first at all. */
static char *find_in_path(const char *word)
{
    const char *list = g_getenv("PATH");
    g_auto(GStrv) folders = g_strsplit(list != NULL ? list : "/usr/bin:/bin", ":", -1);
    g_autofree char *found = NULL;
    for (char **folder = folders; *folder != NULL; folder++) {
        g_autofree char *path = g_build_filename(**folder ? *folder : ".", word, NULL);
        if (file_problem(path) == NULL) {
            return g_canonicalize_filename(path, NULL);
        }
        if (found == NULL && g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
            found = g_canonicalize_filename(path, NULL);
        }
    }
    return g_steal_pointer(&found);
}

static bool find_program(struct exec_command *command, char **problem)
{
    const char *word = command->words[0];
    command->path =
        strchr(word, '/') != NULL ? g_canonicalize_filename(word, NULL) : find_in_path(word);
    if (command->path != NULL) {
        return check_file(command->path, problem);
    }
    bool here = file_problem(word) == NULL;
    *problem = g_strdup_printf("%s: not found in PATH%s%s", word,
        here ? "; the one in this folder is ./" : "", here ? word : "");
    return false;
}

bool exec_command_read(struct exec_command *out, const char *text, char **problem)
{
    g_autoptr(GError) error = NULL;
    *out = (struct exec_command){ 0 };
    if (text == NULL || text[strspn(text, " \t\r\n")] == '\0') {
        *problem =
            g_strdup("exec needs a command: QUEUE='exec:PROGRAM ARG...', or --command COMMAND");
        return false;
    }
    if (!g_shell_parse_argv(text, NULL, &out->words, &error)) {
        bool quote = g_error_matches(error, G_SHELL_ERROR, G_SHELL_ERROR_BAD_QUOTING);
        *problem = g_strdup_printf("the command %s: %s",
            quote ? "has a quote or a backslash too much" : "is empty", text);
        return false;
    }
    out->name = g_path_get_basename(out->words[0]);
    return find_program(out, problem);
}

void exec_command_done(struct exec_command *command)
{
    g_strfreev(command->words);
    g_free(command->path);
    g_free(command->name);
    *command = (struct exec_command){ 0 };
}
