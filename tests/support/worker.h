/*
 * worker.h - ox-worker as a test has it: started and stopped, its log read, its jobs awaited.
 */
#ifndef OX_TESTS_WORKER_H
#define OX_TESTS_WORKER_H

#include <ox.h>

#include "process.h"

/** How long anything of a worker may take: a machine may be busy. */
#define TEST_WORKER_DEADLINE_MS 60000

/** Words of a command line, ended by NULL. */
#define TEST_WORDS(...)                                                                        \
    (const char *const[])                                                                      \
    {                                                                                          \
        __VA_ARGS__, NULL                                                                      \
    }

/** Starts ox-worker on the server of that URL.
 *  @param options  a space apart; "" for none
 *  @param words    behind them, with whatever is in them */
struct test_process *test_worker_start(
    const char *url, const char *options, const char *const *words);
/** Waits until its log has that. */
void test_worker_says(struct test_process *worker, const char *text);
/** Waits until it takes jobs. */
void test_worker_connects(struct test_process *worker);
/** Waits until it has ended, with this status, and nothing that a sanitizer complained of. */
void test_worker_ends(struct test_process *worker, int status);
/** Ends it by SIGTERM; its exit status is 0. */
void test_worker_stop(struct test_process *worker);

/** A socket for what is told to systemd, see NOTIFY_SOCKET; a read waits so long at most. The
 *  caller's. */
int test_notify_socket(const char *path);

/** Waits until the job has completed or failed.
 *  @param worker  whose log is told when it does not; may be NULL */
void test_job_ends(ox_queue *queue, const char *id, const struct test_process *worker);
/** Waits until the job is in that state. */
void test_job_is(ox_queue *queue, const char *id, int state, const struct test_process *worker);

#endif /* OX_TESTS_WORKER_H */
