/*
 * fuzz_worker_exec_command.c - the command of the exec handler: split into words, and its
 * program found.
 *
 * Input: a letter, c for a command and s for a script; then the command, or the text of a file
 * that the command names. Words that are quoted again are the same command.
 */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "worker/handlers/exec.h"

static char *quoted(char **words)
{
    GString *text = g_string_new(NULL);
    for (; *words != NULL; words++) {
        g_autofree char *word = g_shell_quote(*words);
        g_string_append_printf(text, "%s%s", text->len > 0 ? " " : "", word);
    }
    return g_string_free(text, FALSE);
}

static void read_again(const struct exec_command *command)
{
    struct exec_command again;
    char *problem = NULL;
    g_autofree char *text = quoted(command->words);
    expect(exec_command_read(&again, text, &problem));
    expect(g_strv_equal((const char *const *)command->words, (const char *const *)again.words));
    expect(strcmp(command->path, again.path) == 0 && strcmp(command->name, again.name) == 0);
    exec_command_done(&again);
}

static void try_command(const char *text, bool is_text)
{
    struct exec_command command;
    char *problem = NULL;
    if (exec_command_read(&command, text, &problem)) {
        expect(problem == NULL);
        expect(command.words != NULL && command.words[0] != NULL);
        expect(g_path_is_absolute(command.path) && access(command.path, X_OK) == 0);
        expect(strchr(command.name, '/') == NULL);
        read_again(&command);
    } else {
        expect(problem != NULL && *problem != '\0');
        expect(!is_text || g_utf8_validate(problem, -1, NULL));
    }
    g_free(problem);
    exec_command_done(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    if (size < 1) {
        return 0;
    }
    g_setenv("PATH", "/usr/bin:/bin", TRUE);
    if (data[0] == 'c') {
        char *text = fuzz_text(data + 1, size - 1);
        try_command(text, g_utf8_validate(text, -1, NULL));
        free(text);
    } else if (data[0] == 's') {
        int fd = memfd_create("script", MFD_CLOEXEC);
        expect(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
        snprintf(path, sizeof path, "/proc/self/fd/%d --flag 'two words'", fd);
        try_command(path, false);
        close(fd);
    }
    return 0;
}
