/*
 * process.c - programs run by tests.
 *
 * Input and output are files in a temporary folder rather than pipes: nothing can block on a
 * full pipe, and a test may read what a running program has said so far. Between fork and
 * exec only async-signal-safe calls are made.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "files.h"

/* No command that a test runs to its end takes longer, sanitizers included. */
#define RUN_LIMIT_MS 30000

static int open_or_fail(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        test_fatal("cannot open %s: %s", path, g_strerror(errno));
    return fd;
}

static void become(char *const *argv, const int fds[3], pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            _exit(127);
    execvp(argv[0], argv);
    _exit(127);
}

struct test_process *test_start(const char *const *argv, const char *input)
{
    g_autofree char *dir = test_dir_new();
    g_autofree char *in_path = g_build_filename(dir, "in", NULL);
    g_auto(GStrv) copy = g_strdupv((char **)argv);
    struct test_process *process = g_new0(struct test_process, 1);
    pid_t parent = getpid();

    process->out_path = g_build_filename(dir, "out", NULL);
    process->err_path = g_build_filename(dir, "err", NULL);
    process->status = TEST_STILL_RUNNING;
    char *program = test_program(copy[0]);
    g_free(copy[0]);
    copy[0] = program;
    if (input)
        test_write(in_path, input, -1);

    int fds[3] = { open_or_fail(input ? in_path : "/dev/null", O_RDONLY),
        open_or_fail(process->out_path, O_WRONLY | O_CREAT | O_APPEND),
        open_or_fail(process->err_path, O_WRONLY | O_CREAT | O_APPEND) };
    process->pid = fork();
    if (process->pid < 0)
        test_fatal("cannot fork: %s", g_strerror(errno));
    if (process->pid == 0)
        become(copy, fds, parent);
    setpgid(process->pid, process->pid); /* so that the group is there when we return */
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    return process;
}

static bool has_ended(void *arg)
{
    struct test_process *process = arg;
    int status;
    if (process->status != TEST_STILL_RUNNING)
        return true;
    if (waitpid(process->pid, &status, WNOHANG) != process->pid)
        return false;
    process->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

int test_process_wait(struct test_process *process, int64_t deadline_ms)
{
    test_wait_for(deadline_ms, has_ended, process);
    return process->status;
}

void test_process_signal(struct test_process *process, int signal_number)
{
    if (!has_ended(process))
        kill(process->pid, signal_number);
}

static char *text_of(const char *path)
{
    char *text = test_read(path, NULL);
    return text ? text : g_strdup("");
}

char *test_process_out(const struct test_process *process)
{
    return text_of(process->out_path);
}

char *test_process_err(const struct test_process *process)
{
    return text_of(process->err_path);
}

struct said {
    const struct test_process *process;
    const char *text;
};

static bool has_said(void *arg)
{
    const struct said *said = arg;
    g_autofree char *out = test_process_out(said->process);
    g_autofree char *err = test_process_err(said->process);
    return strstr(err, said->text) || strstr(out, said->text);
}

bool test_process_says(struct test_process *process, const char *text, int64_t deadline_ms)
{
    struct said said = { process, text };
    return test_wait_for(deadline_ms, has_said, &said);
}

void test_process_free(struct test_process *process)
{
    if (!process)
        return;
    kill(-process->pid, SIGKILL);
    while (!has_ended(process))
        test_process_wait(process, 1000);
    g_free(process->out_path);
    g_free(process->err_path);
    g_free(process);
}

int test_run(const char *const *argv, const char *input, char **out, char **err)
{
    struct test_process *process = test_start(argv, input);
    int status = test_process_wait(process, RUN_LIMIT_MS);
    g_autofree char *said = test_process_err(process);
    if (out)
        *out = test_process_out(process);
    if (err)
        *err = g_strdup(said);
    test_process_free(process);
    if (status == TEST_STILL_RUNNING)
        test_fatal(
            "%s did not end within %d s; stderr: %s", argv[0], RUN_LIMIT_MS / 1000, said);
    return status;
}

int test_run_words(char **out, char **err, const char *word, ...)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    va_list args;
    va_start(args, word);
    for (; word; word = va_arg(args, const char *))
        g_ptr_array_add(words, (void *)word);
    va_end(args);
    g_ptr_array_add(words, NULL);
    return test_run((const char *const *)words->pdata, NULL, out, err);
}
