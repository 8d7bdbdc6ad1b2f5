/*
 * main.c - the program ox-worker: reads what is asked, then works.
 */
#include <glib.h>
#include <stdio.h>

#include "base/startup.h"
#include "daemon.h"
#include "log.h"
#include "settings.h"

enum { EXIT_FAILED = 1, EXIT_USAGE };

int main(int argc, char **argv)
{
    ox__startup_open_streams();
    daemon_catch_signals();
    struct settings settings;
    g_auto(GStrv) words = ox__startup_take_arguments(argc, argv);
    g_autofree char *problem = NULL;
    int status = 0;
    switch (settings_parse(&settings, words, &problem)) {
    case SETTINGS_RUN:
        status = daemon_run(&settings);
        break;
    case SETTINGS_WRONG:
        log_complaint(problem, true);
        status = EXIT_USAGE;
        break;
    case SETTINGS_DONE:
        status = fflush(stdout) == 0 ? 0 : EXIT_FAILED;
        break;
    }
    settings_done(&settings);
    return status;
}
