/*
 * process.h - programs run by tests: started, fed, waited for, signalled, read.
 *
 * A program's first word is looked up in the build folder, then in PATH. Its stdout and
 * stderr go to files, which can be read while it runs. It dies with the test program, and
 * has a process group of its own.
 */
#ifndef OX_TESTS_PROCESS_H
#define OX_TESTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** What a wait returns when the time is over and the program still runs. */
#define TEST_STILL_RUNNING (-1)

struct test_process {
    pid_t pid;
    int status; /* exit status, 128 + signal, or TEST_STILL_RUNNING */
    char *out_path, *err_path;
};

/** Starts a program. `input`, may be NULL, is its stdin. Never NULL: fails the test. */
struct test_process *test_start(const char *const *argv, const char *input);

/** Its exit status (128 + signal when one ended it), or TEST_STILL_RUNNING. */
int test_process_wait(struct test_process *process, int64_t deadline_ms);

/** Sends a signal to the program alone. */
void test_process_signal(struct test_process *process, int signal_number);

/** What it has written so far; the caller's (g_free). Never NULL. */
char *test_process_out(const struct test_process *process);
char *test_process_err(const struct test_process *process);

/** Waits until `text` stands in what it wrote to stderr (or to stdout). */
bool test_process_says(struct test_process *process, const char *text, int64_t deadline_ms);

/** Kills what still runs of its process group and forgets it. NULL is fine. */
void test_process_free(struct test_process *process);

/**
 * Runs a program to its end, 30 s at most: then it is killed and the test fails.
 * @param input       its stdin, may be NULL
 * @param out, err    what it wrote, the caller's (g_free); each may be NULL
 * @return exit status, or 128 + signal
 */
int test_run(const char *const *argv, const char *input, char **out, char **err);

/** The same from words: test_run_words(&out, &err, "ox", "counts", "q", NULL). */
int test_run_words(char **out, char **err, const char *word, ...) __attribute__((sentinel));

#endif /* OX_TESTS_PROCESS_H */
