/*
 * rlimits.c - see rlimits.h. A limit that is over the system's hard one is lowered to that.
 */
#include "rlimits.h"

#include <glib.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/units.h"

/* A sanitizer reserves terabytes of it. */
#if defined(__SANITIZE_ADDRESS__)
#define RESERVES_SPACE true
#else
#define RESERVES_SPACE false
#endif

bool rlimits_parse(char *text, struct rlimits *out, char **why)
{
    static const struct ox__word words[] = {
        { "cpu", OX__WORD_DURATION, offsetof(struct rlimits, cpu_ms) },
        { "file-size", OX__WORD_BYTES, offsetof(struct rlimits, file_bytes) },
        { "open-files", OX__WORD_COUNT, offsetof(struct rlimits, open_files) },
    };
    return ox__parse_words(text, ',', words, G_N_ELEMENTS(words), out, why);
}

static void set(__rlimit_resource_t resource, int64_t value)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0) {
        limit.rlim_cur = MIN((rlim_t)value, limit.rlim_max);
        setrlimit(resource, &limit);
    }
}

void rlimits_enter(const struct rlimits *limits, int64_t space_bytes)
{
    static const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    if (limits->file_bytes > 0) {
        set(RLIMIT_FSIZE, limits->file_bytes);
    }
    if (limits->open_files > 0) {
        set(RLIMIT_NOFILE, limits->open_files);
    }
    if (space_bytes > 0 && !RESERVES_SPACE) {
        set(RLIMIT_AS, space_bytes);
    }
}

static int64_t used_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
}

/* The kernel counts whole seconds since the process began, and ends it by SIGXCPU. */
void rlimits_start_job(const struct rlimits *limits)
{
    if (limits->cpu_ms > 0) {
        set(RLIMIT_CPU, used_s() + 1 + (limits->cpu_ms + 999) / 1000);
    }
}
