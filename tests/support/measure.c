/*
 * measure.c - see measure.h.
 *
 * The peak memory is VmHWM and not what getrusage() says: that figure survives exec(), so a
 * small program started by a large one would answer with the large one's.
 */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double read_clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double measure_now_ms(void)
{
    return read_clock_s(CLOCK_MONOTONIC) * 1e3;
}

double measure_wall_ms(void)
{
    return read_clock_s(CLOCK_REALTIME) * 1e3;
}

void measure_sleep_ms(int ms)
{
    const struct timespec rest = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    nanosleep(&rest, NULL);
}

const char *measure_data(GString *text, int number, int bytes)
{
    g_string_printf(text, "{\"n\":%d,\"pad\":\"", number);
    size_t used = text->len + strlen("\"}");
    size_t missing = used < (size_t)bytes ? (size_t)bytes - used : 0;
    size_t at = text->len;
    g_string_set_size(text, at + missing);
    memset(text->str + at, 'x', missing);
    g_string_append(text, "\"}");
    return text->str;
}

int measure_number(const char *data)
{
    const char *head = "{\"n\":";
    return g_str_has_prefix(data, head) ? (int)strtol(data + strlen(head), NULL, 10) : -1;
}

void measure_begin(struct measure *m)
{
    int c;
    printf("ready\n");
    fflush(stdout);
    do {
        c = getchar();
    } while (c != '\n' && c != EOF);
    m->cpu_s = read_clock_s(CLOCK_PROCESS_CPUTIME_ID);
    m->start_s = read_clock_s(CLOCK_MONOTONIC);
}

void measure_end(struct measure *m)
{
    m->seconds = read_clock_s(CLOCK_MONOTONIC) - m->start_s;
    m->cpu_s = read_clock_s(CLOCK_PROCESS_CPUTIME_ID) - m->cpu_s;
}

static long peak_kb(void)
{
    g_autofree char *status = NULL;
    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL)) {
        return 0;
    }
    const char *line = strstr(status, "VmHWM:");
    return line != NULL ? strtol(line + strlen("VmHWM:"), NULL, 10) : 0;
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

void measure_report(const struct measure *m, int jobs, bool exact, double *samples_ms)
{
    printf("{\"jobs\":%d,\"seconds\":%.6f,\"per_s\":%.1f,\"exact\":%s,\"cpu_s\":%.4f,"
           "\"rss_kb\":%ld",
        jobs, m->seconds, jobs / m->seconds, exact ? "true" : "false", m->cpu_s, peak_kb());
    if (samples_ms != NULL) {
        int last = jobs - 1;
        qsort(samples_ms, (size_t)jobs, sizeof(double), by_value);
        printf(",\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f",
            samples_ms[(int)(0.5 * last + 0.5)], samples_ms[(int)(0.99 * last + 0.5)],
            samples_ms[last]);
    }
    printf("}\n");
}
