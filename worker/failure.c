/*
 * failure.c - see failure.h.
 */
#include "failure.h"

#include <glib.h>
#include <signal.h>
#include <string.h>

static const struct {
    const char *word;
    bool by_handler;
} kinds[] = {
#define FAILURE_ROW(name, word, by_handler) [FAILURE_##name] = { word, by_handler },
    FAILURES(FAILURE_ROW)
#undef FAILURE_ROW
};

const char *failure_word(enum failure kind)
{
    return kinds[kind].word;
}

bool failure_said(const char *word, enum failure *out)
{
    for (size_t i = FAILURE_NONE + 1; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i].by_handler && strcmp(kinds[i].word, word) == 0) {
            *out = (enum failure)i;
            return true;
        }
    }
    return false;
}

char *failure_of_death(int64_t status, int signal_number, enum failure *kind)
{
    *kind = signal_number == 0         ? FAILURE_EXITED
            : signal_number == SIGXCPU ? FAILURE_CPU
                                       : FAILURE_CRASHED;
    if (signal_number == SIGKILL) {
        return g_strdup("handler crashed: SIGKILL (from outside; out of memory, perhaps)");
    }
    if (signal_number == SIGXCPU) {
        return g_strdup("CPU time limit exceeded");
    }
    if (signal_number != 0 && sigabbrev_np(signal_number) != NULL) {
        return g_strdup_printf("handler crashed: SIG%s", sigabbrev_np(signal_number));
    }
    if (signal_number != 0) {
        return g_strdup_printf("handler crashed: signal %d", signal_number);
    }
    return g_strdup_printf("handler exited with status %d", (int)status);
}
