/*
 * progress.c - see progress.h. Drawn at most ten times a second.
 */
#include "progress.h"
#include "out.h"
#include <stdio.h>
#include <unistd.h>

#define BAR_COLUMNS 30
#define REDRAW_US 100000

void progress_begin(struct progress *progress)
{
    progress->shown = isatty(STDERR_FILENO);
    progress->begun_us = g_get_monotonic_time();
    progress->next_us = progress->begun_us + REDRAW_US;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(g_get_monotonic_time() - progress->begun_us) / 1e6;
}

static void draw_bar(double share)
{
    int filled = (int)(CLAMP(share, 0, 1) * BAR_COLUMNS);
    for (int i = 0; i < BAR_COLUMNS; i++)
        fputs(i < filled ? "█" : "░", stderr);
    fprintf(stderr, " %3d%%  ", (int)(CLAMP(share, 0, 1) * 100));
}

void progress_update(struct progress *progress, double share, uint64_t count)
{
    if (!progress->shown)
        return;
    int64_t now_us = g_get_monotonic_time();
    if (now_us < progress->next_us)
        return;
    progress->next_us = now_us + REDRAW_US;
    g_autofree char *number = number_grouped((int64_t)count);
    fputs("\r\033[K", stderr);
    if (share >= 0)
        draw_bar(share);
    fprintf(stderr, "%s jobs  %.0f/s", number, (double)count / progress_seconds(progress));
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
