/*
 * rogue.h - handlers that crash, hang and lie, for tests of the worker.
 *
 * A test program becomes a program of handlers when its main() begins with
 *
 *     if (rogue_wanted(argc, argv))
 *         return serve_main(argc, argv, rogue_handlers);
 *
 * and its own path is then what child_new() or `ox-worker --handler-program` takes.
 */
#ifndef OX_TESTS_ROGUE_H
#define OX_TESTS_ROGUE_H

#include <stdbool.h>

#include "worker/handler.h"

/** What each does stands in rogue.c. Ended by NULL. */
extern const struct handler *const rogue_handlers[];

/** Whether nothing is left of the processes of the handlers `hang` or `stray`, whose file is at
 *  that path. */
bool rogue_is_gone(void *path);

/** Whether the program was started to run handlers. */
bool rogue_wanted(int argc, char **argv);

#endif /* OX_TESTS_ROGUE_H */
