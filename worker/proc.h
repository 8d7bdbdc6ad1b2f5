/*
 * proc.h - what /proc tells of processes. They may end at any moment: then there is nothing to
 * tell.
 */
#ifndef OX_WORKER_PROC_H
#define OX_WORKER_PROC_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Appends the children of a process, of all its threads, to an array of pid_t. */
void proc_add_children(GArray *pids, pid_t pid);
/* The process and all below it (g_array_unref). */
GArray *proc_tree(pid_t root);

/* Bytes of memory that a process has in RAM, all that it shares with others included.. */
int64_t proc_resident(pid_t pid);
/* ..or divided among those that share it, if that can be known. */
int64_t proc_proportional(pid_t pid);

/* Whether the ids of processes in /proc are those that getpid() and kill() know: in a PID
 * namespace it may be the system's. */
bool proc_is_own(void);

#endif /* OX_WORKER_PROC_H */
