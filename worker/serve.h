/*
 * serve.h - the whole of the programs that run handlers, but for their tables: the child's side
 * of child.h.
 *
 * The parent knows one of them, ox-handler. It lists, beside its own handlers, those of every
 * program beside it that is called ox-handler-NAME, and for the handler NAME, which it does not
 * have, it becomes that program.
 */
#ifndef OX_WORKER_SERVE_H
#define OX_WORKER_SERVE_H

#include "handler.h"

/* The descriptor that the parent's frames come in on, and answers go out on. */
#define SERVE_FD 3

/* main() of a program that runs these handlers (a table ended by NULL). The table comes as an
 * argument so that a test can bring handlers of its own, which crash and hang. */
int serve_main(int argc, char **argv, const struct handler *const table[]);

#endif /* OX_WORKER_SERVE_H */
