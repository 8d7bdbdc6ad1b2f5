/*
 * tree.h - the processes of one child, and how they end together.
 *
 * The process that ox-worker starts runs no handler. It is the keeper of a tree of processes:
 * it starts the handler, waits, and when the handler ends, when it is told to (SIGTERM) or when
 * ox-worker is gone it kills the whole tree, waits until nothing of it is left, and ends as the
 * handler did.
 *
 *     ox-worker --- keeper --- handler --- what the handler starts
 *                     |
 *                     +------- init (in a namespace only: pid 1 of the tree)
 *
 * In a PID namespace nothing can leave the tree: the kernel kills all of it with its pid 1,
 * also when the keeper gets SIGKILL. Root may make one, and other users where they may make
 * user namespaces. Else the keeper is the subreaper of its tree, so that whoever leaves the
 * group or the session, or loses its parent, is still below it, and is found by a walk over
 * /proc; then a SIGKILL to the keeper itself leaves what the handler started.
 */
#ifndef OX_WORKER_TREE_H
#define OX_WORKER_TREE_H

#include <stdbool.h>
#include <sys/types.h>

enum tree_kind { TREE_SUBREAPER, TREE_NAMESPACE };

/* What the system gives. */
struct tree_probe {
    enum tree_kind kind;
    bool own_proc; /* /proc shows the tree's processes, by the ids that they know */
    int error;     /* errno: why there is no namespace */
};
void tree_probe(struct tree_probe *out);

/* Makes this process, whose parent has to be `parent`, the keeper of a tree, and returns in the
 * process of the handler only, which leads a session of its own. Returns false, in the first
 * process, with a message in *problem (g_free) when there can be no tree; ends the process
 * when the parent is not there any more. `handler_fd` is the descriptor that the handler alone
 * keeps. */
bool tree_enter(enum tree_kind kind, pid_t parent, int handler_fd, char **problem);

/* The handler's process is in a tree of that kind; from then on it, or the program that it has
 * become, may call what follows. */
void tree_inside(enum tree_kind kind);
/* Kills all that this process has started, directly or not, and returns when nothing of that is
 * left; one system call when there is nothing. `kept`: a child of this process that stays, with
 * what it has started itself, for the next job; 0: none. */
void tree_kill_rest(pid_t kept);

#endif /* OX_WORKER_TREE_H */
