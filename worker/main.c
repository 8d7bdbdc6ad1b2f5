/*
 * main.c - the program ox-worker: reads what is asked, then works.
 */
#include <glib.h>

#include "daemon.h"
#include "log.h"
#include "settings.h"

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
    struct settings settings;
    g_autofree char *problem = NULL;
    int status = 0;
    switch (settings_parse(&settings, argc, argv, &problem)) {
    case SETTINGS_RUN:
        status = daemon_run(&settings);
        break;
    case SETTINGS_WRONG:
        log_complaint(problem, true);
        status = EXIT_USAGE;
        break;
    case SETTINGS_DONE:
        break;
    }
    settings_done(&settings);
    return status;
}
