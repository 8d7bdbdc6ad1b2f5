/*
 * program.h - the program that runs the handlers, asked before any job is: where it is, which
 * handlers it has, and whether one would start.
 */
#ifndef OX_WORKER_PROGRAM_H
#define OX_WORKER_PROGRAM_H

#include <stdbool.h>

struct settings;
struct queue_settings;

/* Path of ox-handler: the file `given`, or else beside this program or in ../libexec. NULL and
 * a message in *problem when it is not there; both g_free. */
char *program_find(const char *given, char **problem);

/* Its handlers, a line each for --help (g_free); NULL when it does not say. */
char *program_handlers(const char *program);

/* Has it check the handler of a queue and its settings. */
bool program_check(
    const struct settings *settings, const struct queue_settings *queue, char **problem);

#endif /* OX_WORKER_PROGRAM_H */
