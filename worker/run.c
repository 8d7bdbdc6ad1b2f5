/*
 * run.c - see run.h.
 */
#include "run.h"

#include <glib.h>

struct run *run_new(const struct run_type *type, void *of)
{
    struct run *run = g_new0(struct run, 1);
    run->type = type;
    run->of = of;
    return run;
}

void run_free(struct run *run)
{
    if (run != NULL) {
        g_free(run->reason);
    }
    g_free(run);
}
