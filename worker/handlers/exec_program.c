/*
 * exec_program.c - starts one program, and talks to it over three pipes at once.
 *
 * Its stdin, stdout and stderr are served by one poll(), so that a program which fills one of
 * them while it waits for another cannot stand still. Our ends do not block. Its death is seen
 * as SIGCHLD, which is blocked but while we poll, so that it cannot come between the look and
 * the wait.
 *
 * The program's end is the end of the job, whoever else still holds its pipes: a process that
 * it left behind could keep them open for ever. What lies in them then is read, at most what a
 * pipe holds.
 *
 * The program leads a group of its own: when it signals its group (kill 0 in sh), that is not
 * this process, and what it leaves there can be killed as a whole.
 */
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"

#define PIPE_BYTES (64u << 10)
#define PIPE_MAX_BYTES (1u << 20) /* the largest that a program without rights can ask for */

/* EX_DATAERR of <sysexits.h>: trying again is of no use. All others are tried again,
 * EX_TEMPFAIL (75) by its name. */
#define STATUS_FOR_GOOD 65

static sigset_t while_polling;

static void on_child_signal(int number)
{
    (void)number; /* it ends the poll() */
}

void exec_program_init(void)
{
    struct sigaction action = { .sa_handler = on_child_signal };
    sigset_t children;
    sigaction(SIGCHLD, &action, NULL);
    action.sa_handler = SIG_IGN; /* a program that does not read its stdin is no error */
    sigaction(SIGPIPE, &action, NULL);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, &while_polling);
    sigdelset(&while_polling, SIGCHLD);
}

/* ---- start ------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* Three pipes: theirs[i] becomes descriptor i of the program. */
static bool open_pipes(struct exec_program *program, int theirs[3])
{
    int *const ours[3] = { &program->in, &program->out, &program->err };
    for (int i = 0; i < 3; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) {
            return false;
        }
        *ours[i] = ends[i == 0];
        theirs[i] = ends[i != 0];
        fcntl(*ours[i], F_SETFL, O_NONBLOCK);
    }
    return true;
}

/* A program begins as one does that a shell starts: no signal is blocked or ignored, and there
 * are three descriptors. 0 or an errno. */
static int spawn(struct exec_program *program, char **environment, const int theirs[3])
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, ignored;
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    for (int i = 0; i < 3; i++) {
        posix_spawn_file_actions_adddup2(&actions, theirs[i], i);
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &ignored);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int error = posix_spawn(&program->pid, program->command->path, &actions, &attributes,
        program->command->words, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return error;
}

static const char *start_problem(int error)
{
    return error == ENOEXEC ? "not a program (a script begins with a line such as #!/bin/sh)"
                            : g_strerror(error);
}

bool exec_program_start(struct exec_program *program, char **environment, GString *why)
{
    int theirs[3] = { -1, -1, -1 };
    *program = (struct exec_program){
        .command = program->command,
        .in = -1,
        .out = -1,
        .err = -1,
        .said = g_string_new(NULL),
        .last_line = g_string_new(NULL),
    };
    int error = open_pipes(program, theirs) ? spawn(program, environment, theirs) : errno;
    for (int i = 0; i < 3; i++) {
        close_fd(&theirs[i]);
    }
    if (error != 0) {
        g_autofree char *text = g_strdup_printf("cannot start: %s", start_problem(error));
        exec_program_reason(program, why, text);
        program->pid = 0;
        exec_program_end(program);
    }
    return error == 0;
}

/* ---- stdin ------------------------------------------------------------------------------- */

/* How much of what was sent nobody has read can only be asked before that. */
static void close_input(struct exec_program *program)
{
    int unread = 0;
    if (program->in >= 0 && ioctl(program->in, FIONREAD, &unread) == 0) {
        program->unread_bytes = (size_t)unread;
    }
    close_fd(&program->in);
    program->unsent_bytes = 0;
}

static void send_some(struct exec_program *program)
{
    ssize_t count = write(program->in, program->unsent, program->unsent_bytes);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (count < 0) {
        close_input(program);
        return;
    }
    program->unsent += count;
    program->unsent_bytes -= (size_t)count;
    program->sent_bytes += (size_t)count;
    if (program->unsent_bytes == 0 && program->last_input) {
        close_input(program);
    }
}

void exec_program_feed(struct exec_program *program, const char *bytes, size_t count, bool last)
{
    program->unsent = bytes;
    program->unsent_bytes = count;
    program->sent_bytes = program->unread_bytes = 0;
    program->last_input = last;
    if (count == 0 && last) {
        close_input(program);
    }
}

/* ---- stdout and stderr ------------------------------------------------------------------- */

/* False when nothing is there, or never will be: then it is closed. */
static bool read_some(int *fd, char *to, size_t room, size_t *got)
{
    ssize_t count = *fd >= 0 ? read(*fd, to, room) : 0;
    *got = count > 0 ? (size_t)count : 0;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        close_fd(fd);
    }
    return count > 0;
}

static bool read_output(struct exec_program *program, size_t *got)
{
    static char bytes[PIPE_BYTES];
    bool some = read_some(&program->out, bytes, sizeof bytes, got);
    g_string_append_len(program->said, bytes, (gssize)*got);
    return some;
}

/* "ox:progress JSON". What looks like it but is not JSON stays a row, for somebody to see. */
static bool take_progress(struct exec_program *program, const char *line)
{
    static const char word[] = "ox:progress ";
    const char *json = g_str_has_prefix(line, word) ? line + sizeof word - 1 : NULL;
    if (json == NULL || program->io == NULL || !ox__json_valid(json, strlen(json))) {
        return false;
    }
    program->io->progress(program->io->arg, json);
    return true;
}

/* Between jobs there is none whose row it could be; the worker's own log gets it. */
static void take_line(void *arg, const char *line)
{
    struct exec_program *program = arg;
    if (take_progress(program, line)) {
        return;
    }
    if (program->io == NULL) {
        fprintf(stderr, "%s: %s\n", program->command->name, line);
        return;
    }
    program->io->log(program->io->arg, line);
    if (line[strspn(line, " \t\r")] != '\0') {
        g_string_assign(program->last_line, line);
    }
}

static bool read_rows(struct exec_program *program, size_t *got)
{
    char *at;
    size_t room = linebuf_room(&program->lines, &at);
    bool some = read_some(&program->err, at, room, got);
    if (some) {
        linebuf_filled(&program->lines, *got, take_line, program);
    }
    return some;
}

/* As long as there is something, but for who writes faster than it is read. */
static void read_rest(
    struct exec_program *program, bool (*take)(struct exec_program *program, size_t *got))
{
    size_t got;
    for (size_t total = 0; total < PIPE_MAX_BYTES && take(program, &got); total += got) {
    }
}

void exec_program_read_rows(struct exec_program *program)
{
    read_rest(program, read_rows);
}

/* ---- its end ----------------------------------------------------------------------------- */

static bool has_ended(struct exec_program *program)
{
    if (waitpid(program->pid, &program->status, WNOHANG) != program->pid) {
        return false;
    }
    program->pid = 0;
    close_input(program);
    read_rest(program, read_output);
    read_rest(program, read_rows);
    linebuf_end(&program->lines, take_line, program);
    close_fd(&program->out);
    close_fd(&program->err);
    return true;
}

bool exec_program_turn(struct exec_program *program, int timeout_ms)
{
    size_t got;
    short writes = program->unsent_bytes > 0 ? POLLOUT : 0;
    struct pollfd fds[] = {
        { program->in, writes, 0 },
        { program->out, POLLIN, 0 },
        { program->err, POLLIN, 0 },
    };
    const struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
    if (program->pid == 0) {
        return false;
    }
    int count = ppoll(fds, G_N_ELEMENTS(fds), timeout_ms < 0 ? NULL : &timeout, &while_polling);
    if (count <= 0) {
        return count < 0 && !has_ended(program);
    }
    if (fds[0].revents & POLLERR) { /* nobody can read it any more */
        close_input(program);
    } else if (fds[0].revents != 0) {
        send_some(program);
    }
    if (fds[1].revents != 0) {
        read_output(program, &got);
    }
    if (fds[2].revents != 0) {
        read_rows(program, &got);
    }
    /* A poll() that finds something to read looks at no signal, and somebody whom the program
     * left behind may see to it that there always is something. */
    return !has_ended(program);
}

void exec_program_end(struct exec_program *program)
{
    if (program->pid > 0) {
        kill(program->pid, SIGKILL);
        while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (program->said != NULL) { /* else it was never started, and 0 is not its stdin */
        close_fd(&program->in);
        close_fd(&program->out);
        close_fd(&program->err);
        g_string_free(program->said, TRUE);
        g_string_free(program->last_line, TRUE);
    }
    *program = (struct exec_program){ .command = program->command };
}

/* ---- what it says of the job ------------------------------------------------------------- */

void exec_program_reason(const struct exec_program *program, GString *out, const char *text)
{
    g_string_printf(out, "exec: %s: %s", program->command->name, text);
}

static char *signal_text(int number)
{
    const char *name = sigabbrev_np(number);
    return name != NULL ? g_strdup_printf("killed by SIG%s", name)
                        : g_strdup_printf("killed by signal %d", number);
}

enum handler_result exec_program_verdict(const struct exec_program *program, GString *out)
{
    int exited = WIFEXITED(program->status) ? WEXITSTATUS(program->status) : -1;
    const char *last = program->last_line->str;
    g_autofree char *text = NULL;
    if (exited == 0) {
        return HANDLER_DONE;
    }
    if (WIFSIGNALED(program->status)) {
        int number = WTERMSIG(program->status);
        g_autofree char *killed = signal_text(number);
        program->io->failure(
            program->io->arg, number == SIGXCPU ? FAILURE_CPU : FAILURE_CRASHED);
        text = g_strconcat(killed, *last ? ": " : "", last, NULL);
    } else {
        text = *last ? g_strdup(last) : g_strdup_printf("exited with status %d", exited);
    }
    exec_program_reason(program, out, text);
    return exited == STATUS_FOR_GOOD ? HANDLER_FATAL : HANDLER_RETRY;
}
