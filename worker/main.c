/*
 * main.c - the program ox-worker: reads what is asked, then works.
 */
#include <glib.h>
#include <stdio.h>

#include "daemon.h"
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
        fprintf(stderr, "ox-worker: %s (see ox-worker --help)\n", problem);
        status = EXIT_USAGE;
        break;
    case SETTINGS_DONE:
        break;
    }
    settings_done(&settings);
    return status;
}
