/*
 * progress.c - see progress.h. Drawn at most ten times a second.
 *
 * A line that is longer than the terminal would wrap, and could not be erased. So the bar gets
 * the columns that the numbers leave, and numbers that do not fit are cut.
 */
#include "progress.h"
#include "out.h"
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_COLUMNS 30
#define BAR_MIN_COLUMNS 5 /* a shorter one is left out */
#define REDRAW_US 100000

void progress_begin(struct progress *progress, const char *unit)
{
    progress->unit = unit;
    progress->shown = isatty(STDERR_FILENO);
    progress->drawn = false;
    progress->begun_us = g_get_monotonic_time();
    progress->next_us = progress->begun_us + REDRAW_US;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(g_get_monotonic_time() - progress->begun_us) / 1e6;
}

/* Columns that may be written to: a terminal wraps when its last one is. */
static int columns_free(void)
{
    struct winsize size;
    return !ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0 ? size.ws_col - 1 : 79;
}

static void draw_bar(double share, int columns)
{
    int filled = (int)(share * columns);
    for (int i = 0; i < columns; i++) {
        fputs(i < filled ? "█" : "░", stderr);
    }
}

void progress_update(struct progress *progress, double share, uint64_t count)
{
    if (!progress->shown) {
        return;
    }
    int64_t now_us = g_get_monotonic_time();
    if (now_us < progress->next_us) {
        return;
    }
    progress->next_us = now_us + REDRAW_US;
    g_autofree char *number = number_grouped((int64_t)count);
    double rate = (double)count / progress_seconds(progress);
    share = MIN(share, 1);
    g_autofree char *percent =
        share >= 0 ? g_strdup_printf(" %3d%%  ", (int)(share * 100)) : g_strdup("");
    g_autofree char *text =
        g_strdup_printf("%s%s %s  %.0f/s", percent, number, progress->unit, rate);
    int left = columns_free() - text_width(text);
    g_autofree char *cut = text_cut(text, text_width(text) + MIN(left, 0));
    progress->drawn = true;
    fputs("\r\033[K", stderr);
    if (share >= 0 && left >= BAR_MIN_COLUMNS) {
        draw_bar(share, MIN(left, BAR_COLUMNS));
    }
    fputs(cut, stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
    }
    progress->shown = progress->drawn = false;
}
