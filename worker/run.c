/*
 * run.c - see run.h.
 */
#include "run.h"

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
        if (run->text != NULL) {
            g_string_free(run->text, TRUE);
        }
    }
    g_free(run);
}
