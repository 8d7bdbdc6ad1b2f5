/*
 * main.c - the program ox-worker: reads what is asked, then works.
 */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

/* While settings are read, a signal to stop stays pending, where who waits for a handler's
 * check sees it. */
static void block_stop_signals(sigset_t *before)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, before);
}

/* Ends as that signal ends programs, if one cut the reading off. */
static void end_if_stopped(void)
{
    static const int numbers[] = { SIGTERM, SIGINT };
    sigset_t pending;
    sigpending(&pending);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (sigismember(&pending, numbers[i]) == 1) {
            g_autofree char *text = g_strdup_printf(
                "stopped by SIG%s before the settings were checked", sigabbrev_np(numbers[i]));
            log_complaint(text, false);
            signal(numbers[i], SIG_DFL);
        }
    }
}

int main(int argc, char **argv)
{
    sigset_t mask;
    ox__startup_open_streams();
    daemon_catch_signals();
    /* Processes of the same user cannot look into this one: its memory, its descriptors. */
    prctl(PR_SET_DUMPABLE, 0);
    block_stop_signals(&mask);
    struct settings *settings = NULL;
    g_auto(GStrv) words = ox__startup_take_arguments(argc, argv);
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
    int status = 0;
    enum settings_outcome outcome = settings_parse(&settings, words, faults);
    if (outcome == SETTINGS_WRONG || outcome == SETTINGS_UNCHECKED) {
        end_if_stopped();
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
    switch (outcome) {
    case SETTINGS_RUN:
        status = daemon_run(settings, words);
        break;
    case SETTINGS_WRONG:
        complain(faults, settings->file == NULL);
        status = EXIT_USAGE;
        break;
    case SETTINGS_UNCHECKED:
        complain(faults, false);
        status = EXIT_FAILED;
        break;
    case SETTINGS_DONE:
        status = fflush(stdout) == 0 && !ferror(stdout) ? 0 : EXIT_FAILED;
        break;
    }
    settings_unref(settings);
    return status;
}
