/*
 * simple_worker.h - a worker on libox for tests, in a process of its own: the test program run
 * again. Its jobs do what their names say: "bad" fails with "it went wrong", "stuck" never
 * ends, any other tells progress and two log rows and returns its data.
 */
#ifndef OX_TESTS_SIMPLE_WORKER_H
#define OX_TESTS_SIMPLE_WORKER_H

#include "process.h"

/** To be called first in main(). Returns -1 when the program is to run its tests, else what
 *  main() should return. */
int simple_worker_main(int argc, char **argv);

/** Starts this program as a worker and waits until it is ready. Frees: test_process_free. */
struct test_process *simple_worker_start(const char *url, const char *queue);

#endif /* OX_TESTS_SIMPLE_WORKER_H */
