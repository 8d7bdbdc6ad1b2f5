/*
 * usage.c - see usage.h.
 *
 * Memory is the pages that the processes have in RAM. Those that several share are counted for
 * each, which is cheap; only when that is too much are they divided among them (PSS), for which
 * the kernel walks over every page.
 */
#include "usage.h"

#include <glib.h>
#include <inttypes.h>

#include "base/units.h"
#include "proc.h"

#define OWN_PROCESSES 2 /* at most: keeper and init */

static int64_t sum(const GArray *pids, int64_t (*measure)(pid_t pid))
{
    int64_t total = 0;
    for (guint i = 0; i < pids->len; i++) {
        total += measure(g_array_index(pids, pid_t, i));
    }
    return total;
}

/* The dead that nobody has waited for hold nothing. */
static int64_t count_living(const GArray *pids)
{
    int64_t count = 0;
    for (guint i = 0; i < pids->len; i++) {
        count += proc_resident(g_array_index(pids, pid_t, i)) > 0;
    }
    return count;
}

static bool hold_more(const GArray *pids, int64_t bytes)
{
    return sum(pids, proc_resident) > bytes && sum(pids, proc_proportional) > bytes;
}

int64_t usage_resident(pid_t keeper)
{
    g_autoptr(GArray) pids = proc_tree(keeper);
    return sum(pids, proc_resident);
}

bool usage_is_above(pid_t keeper, int64_t bytes)
{
    g_autoptr(GArray) pids = proc_tree(keeper);
    return hold_more(pids, bytes);
}

char *usage_excess(
    pid_t keeper, int64_t memory_bytes, int64_t max_processes, enum failure *kind)
{
    g_autoptr(GArray) pids = proc_tree(keeper);
    char text[24];
    if (max_processes > 0 && count_living(pids) > max_processes + OWN_PROCESSES) {
        *kind = FAILURE_PROCESSES;
        return g_strdup_printf("process limit %" PRId64 " exceeded", max_processes);
    }
    if (memory_bytes > 0 && hold_more(pids, memory_bytes)) {
        *kind = FAILURE_MEMORY;
        return g_strdup_printf("memory limit %s exceeded", ox__bytes_text(memory_bytes, text));
    }
    return NULL;
}
