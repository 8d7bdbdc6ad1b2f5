/*
 * exec.h - the exec handler: a program of the operator's as a worker.
 *
 * What such a program is given and what it may say is written in docs/handlers.md. Nothing of a
 * job is ever part of the command: its data goes to the program's stdin, the rest into its
 * environment.
 */
#ifndef OX_WORKER_HANDLERS_EXEC_H
#define OX_WORKER_HANDLERS_EXEC_H

#include <sys/types.h>

#include "handler.h"
#include "linebuf.h"

extern const struct handler exec_handler;

/* ---- the command: exec_command.c ----------------------------------------------------------
 */

/* What the operator wrote, split as a shell splits it, and the program that it names. */
struct exec_command {
    char **words; /* the program's arguments; words[0] as it was written */
    char *path;   /* the program's file, absolute */
    char *name;   /* its last component: what reasons call it */
};

/* False, and a message in *problem (g_free), when the text cannot be split or names no program
 * that could be started. Free what was read in any case. */
bool exec_command_read(struct exec_command *out, const char *text, char **problem);
void exec_command_done(struct exec_command *command);

/* ---- a running program: exec_program.c ----------------------------------------------------
 */

/* One program and the three pipes that lead to it. All zeros but for `command`: none runs. */
struct exec_program {
    const struct exec_command *command;
    const struct handler_io *io; /* of the job that runs, for its log; NULL: between jobs */
    pid_t pid;                   /* 0: it has ended, or never ran */
    int status;                  /* its end, as waitpid() has it */
    int in, out, err;            /* our ends of its pipes; -1: closed */
    const char *unsent;          /* what its stdin still gets; borrowed */
    size_t unsent_bytes;
    size_t sent_bytes;   /* since exec_program_feed() */
    size_t unread_bytes; /* of what was sent, left in the pipe when stdin was closed */
    bool last_input;     /* its stdin is closed once all is sent */
    GString *said;       /* its stdout; the caller takes what it has used */
    struct linebuf lines;
    GString *last_line; /* of its stderr, in this job; empty: none */
};

/* Once in a process, before any program runs. */
void exec_program_init(void);

/* Starts the command with this environment. False, and the reason in `why`, when it cannot be
 * started. */
bool exec_program_start(struct exec_program *program, char **environment, GString *why);

/* Has its stdin written, from now on, as fast as it reads. A program that does not read is no
 * error. `last`: nothing follows, and its stdin is closed. */
void exec_program_feed(
    struct exec_program *program, const char *bytes, size_t count, bool last);

/* Waits until it reads, says something or ends, and deals with that: rows of its stderr go to
 * `io`, its stdout is added to `said`. False once it has ended, all that it left is read and
 * `status` is set, or when nothing happened within the time (-1: any). */
bool exec_program_turn(struct exec_program *program, int timeout_ms);

/* Reads what is there of its stderr, so that rows written before an answer come before it. */
void exec_program_read_rows(struct exec_program *program);

/* Kills it, if it runs, and waits for that; closes its pipes and forgets all but `command`. */
void exec_program_end(struct exec_program *program);

/* What its exit status says of the job, which it has, and in `out` the reason when it failed.
 */
enum handler_result exec_program_verdict(const struct exec_program *program, GString *out);

/* "exec: NAME: TEXT" in `out`. */
void exec_program_reason(const struct exec_program *program, GString *out, const char *text);

/* ---- a program that runs many jobs: exec_stream.c -----------------------------------------
 */

/* Runs one job in the program, which is started when it does not run. */
enum handler_result exec_stream_run(struct exec_program *program, char **environment,
    const struct handler_job *job, const struct handler_io *io, GString *out);

/* Lets it go: it gets the end of its stdin, and some time. */
void exec_stream_done(struct exec_program *program);

#endif /* OX_WORKER_HANDLERS_EXEC_H */
