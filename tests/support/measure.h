/*
 * measure.h - what the benchmarks' C programs share: clocks, the job's data, and the answer.
 *
 * The JavaScript and Ruby ones do the same in common.mjs and peer_sidekiq.rb: a program warms
 * up, prints "ready", waits for a line on stdin, does the timed part, and prints one line of
 * JSON. Whoever started it can so look at the servers right before and after.
 */
#ifndef OX_TESTS_MEASURE_H
#define OX_TESTS_MEASURE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/** One timed part: started by measure_begin(), ended by measure_end(). */
struct measure {
    double start_s, seconds;
    double cpu_s; /**< of this process, all threads */
};

double measure_now_ms(void);  /**< monotonic */
double measure_wall_ms(void); /**< since 1970 */
void measure_sleep_ms(int ms);

/** {"n":17,"pad":"xxx"} with about as many bytes as asked for; borrowed from `text`. */
const char *measure_data(GString *text, int number, int bytes);
/** The number in such data; -1 when there is none. */
int measure_number(const char *data);

/** Prints "ready" and waits for a line, or the end, of stdin. Then the clock runs. */
void measure_begin(struct measure *m);
void measure_end(struct measure *m);

/** Prints the answer. Sorts `samples_ms` (NULL: none), of which there are `jobs`. */
void measure_report(const struct measure *m, int jobs, bool exact, double *samples_ms);

#endif
