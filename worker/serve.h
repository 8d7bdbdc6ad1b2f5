/*
 * serve.h - the whole of the program ox-handler, but for its table of handlers: the child's
 * side of child.h.
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
