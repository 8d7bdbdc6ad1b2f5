/*
 * main.c - the program ox-worker: reads what is asked, then works.
 */
#include <glib.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "base/startup.h"
#include "daemon.h"
#include "log.h"
#include "settings.h"

enum { EXIT_FAILED = 1, EXIT_USAGE };

/* A line for each; the last one has a hint to --help where a command line is all there is. */
static void complain(const GPtrArray *faults, bool usage)
{
    for (guint i = 0; i < faults->len; i++) {
        log_complaint(faults->pdata[i], usage && i + 1 == faults->len);
    }
}

int main(int argc, char **argv)
{
    ox__startup_open_streams();
    daemon_catch_signals();
    struct settings *settings = NULL;
    g_auto(GStrv) words = ox__startup_take_arguments(argc, argv);
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    int status = 0;
    switch (settings_parse(&settings, words, faults)) {
    case SETTINGS_RUN:
        /* Children of the same user cannot look into this process: its memory, its
         * descriptors. */
        prctl(PR_SET_DUMPABLE, 0);
        status = daemon_run(settings, words);
        break;
    case SETTINGS_WRONG:
        complain(faults, settings->file == NULL);
        status = EXIT_USAGE;
        break;
    case SETTINGS_DONE:
        status = fflush(stdout) == 0 && !ferror(stdout) ? 0 : EXIT_FAILED;
        break;
    }
    settings_unref(settings);
    return status;
}
