/*
 * sandbox.h - what is taken away from a handler's process before it sees a job.
 *
 * Layers, each on its own as far as the kernel has it:
 *
 *   no new privileges  always: no program that it starts gains rights (setuid, capabilities of
 *                      files)
 *   capabilities       a confined handler of root keeps those about files only
 *   Landlock           files: its root and what it must read, nothing else; no TCP, or none to
 *                      serve with; signals to its own processes alone
 *   seccomp            no sockets, or only those that connect; no other programs, and without
 *                      these no change of files' modes, owners and times; and never ptrace,
 *                      mounts, namespaces, keys, kernel modules, io_uring and the like
 *
 * The first one is everybody's; the others are for handlers that say what they need.
 */
#ifndef OX_WORKER_SANDBOX_H
#define OX_WORKER_SANDBOX_H

#include <glib.h>
#include <stdbool.h>

#include "handler.h"

enum sandbox_mode {
    SANDBOX_ON,     /* what the kernel has */
    SANDBOX_STRICT, /* all of it, or no start */
    SANDBOX_OFF
};

/* What a handler needs besides computing, and reading its libraries. */
struct sandbox_needs {
    bool confined;            /* false: it needs everything, and nothing is taken away */
    bool network;             /* sockets of any kind */
    bool connects;            /* sockets that connect (TCP, UDP, unix), names, certificates */
    bool programs;            /* it starts others; `reads` are run as well */
    const char *root;         /* a folder that it reads and writes; NULL: none */
    const char *const *reads; /* paths that it reads, ended by NULL; NULL: none */
    /* The same, of files that it reads before its first job and never again. */
    const char *const *first_reads;
};

/* What is active. */
struct sandbox_layers {
    bool no_new_privs;
    int landlock; /* its version; 0: none */
    bool seccomp;
    const char *missing; /* the first layer that was wanted and is not there, or NULL.. */
    int error;           /* ..and the errno that says why */
};

/* Applies all layers to this process, for good. It must have one thread. */
void sandbox_enter(const struct sandbox_needs *needs, struct sandbox_layers *out);
/* The same in a process of its own, to see which there are. */
void sandbox_probe(const struct sandbox_needs *needs, struct sandbox_layers *out);

/* Whether another file has taken the place of one that this process may read: Landlock allows
 * files and not names, so the new one is closed to it, and to a new process it is not. That
 * happens to /etc/resolv.conf when a lease is renewed, and to certificates. */
bool sandbox_is_outdated(void); /* landlock.c */

/* The needs of a handler that only computes, as its row names them (handler.h). */
void sandbox_confine(const struct handler_config *config, struct sandbox_needs *out);

/* The file system. Returns the version of Landlock, or a negative errno. landlock.c */
int landlock_enter(const struct sandbox_needs *needs);
/* The system calls. 0 or a negative errno. syscalls.c */
int syscalls_enter(const struct sandbox_needs *needs);

#endif /* OX_WORKER_SANDBOX_H */
