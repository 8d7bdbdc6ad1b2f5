/*
 * out.c - properties of the terminal, colours, widths, numbers and times.
 *
 * stdout is written with stdio and SIGPIPE is ignored, so a reader that closed the pipe is
 * noticed as a failed write. Long listings ask out_alive() now and then; out_finish()
 * distinguishes a closed pipe (quiet) from a full disk (an error) by asking the kernel whether
 * the reader is still there.
 */
#include "out.h"
#include "base/text.h"
#include <inttypes.h>
#include <ox.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const tints[] = {
    [TINT_NONE] = "",
    [TINT_DIM] = "\033[2m",
    [TINT_BOLD] = "\033[1m",
    [TINT_RED] = "\033[31m",
    [TINT_GREEN] = "\033[32m",
    [TINT_YELLOW] = "\033[33m",
    [TINT_BLUE] = "\033[34m",
    [TINT_MAGENTA] = "\033[35m",
    [TINT_CYAN] = "\033[36m",
};

static const enum tint state_tints[OX_STATE_COUNT] = {
    [OX_COMPLETED] = TINT_GREEN,
    [OX_FAILED] = TINT_RED,
    [OX_DELAYED] = TINT_BLUE,
    [OX_PRIORITIZED] = TINT_MAGENTA,
    [OX_ACTIVE] = TINT_CYAN,
    [OX_WAITING] = TINT_YELLOW,
    [OX_PAUSED] = TINT_DIM,
    [OX_WAITING_CHILDREN] = TINT_BLUE,
    [OX_UNKNOWN] = TINT_DIM,
};

static int terminal_width(void)
{
    struct winsize size;
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0) {
        return size.ws_col;
    }
    const char *columns = g_getenv("COLUMNS");
    guint64 number;
    if (columns != NULL && g_ascii_string_to_unsigned(columns, 10, 20, 10000, &number, NULL)) {
        return (int)number;
    }
    return 80;
}

void out_init(struct out *out)
{
    const char *term = g_getenv("TERM");
    const char *no_color = g_getenv("NO_COLOR");
    out->terminal = isatty(STDOUT_FILENO);
    out->color = out->terminal && !(no_color != NULL && *no_color) &&
                 !(term != NULL && !strcmp(term, "dumb"));
    out->width = terminal_width();
}

const char *tint_on(const struct out *out, enum tint tint)
{
    return out->color ? tints[tint] : "";
}

const char *tint_off(const struct out *out, enum tint tint)
{
    return out->color && tint != TINT_NONE ? "\033[0m" : "";
}

enum tint tint_of_state(int state)
{
    return state >= 0 && state < OX_STATE_COUNT ? state_tints[state] : TINT_NONE;
}

bool out_alive(void)
{
    return !ferror(stdout);
}

bool out_flush(void)
{
    fflush(stdout);
    return out_alive();
}

static bool reader_is_gone(void)
{
    struct pollfd fd = { .fd = STDOUT_FILENO };
    return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLERR | POLLHUP));
}

int out_finish(int status)
{
    if (out_flush() || reader_is_gone()) {
        return status;
    }
    fprintf(stderr, "ox: cannot write the output\n");
    return 1;
}

void out_say(const struct out *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *cleaned = out->terminal ? text_clean(text) : g_strdup(text);
    puts(cleaned);
}

void out_pair(const char *name, const char *value)
{
    printf("%s\t", name);
    for (const char *p = value; *p; p++) {
        putchar(strchr("\t\n\r", *p) != NULL ? ' ' : *p);
    }
    putchar('\n');
}

static int char_width(gunichar c)
{
    if (g_unichar_iszerowidth(c)) {
        return 0;
    }
    return g_unichar_iswide(c) ? 2 : 1;
}

int text_width(const char *text)
{
    int width = 0;
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        width += char_width(g_utf8_get_char(p));
    }
    return width;
}

char *text_clean(const char *text)
{
    return ox__text_clean(text, "");
}

char *text_clean_lines(const char *text)
{
    return ox__text_clean(text, "\n\t");
}

/* Escapes in ids, in a pipe, for bytes that end a cell or a line. The library returns a NUL as
 * C0 80. */
static const struct {
    const char *bytes;
    char letter;
} escapes[] = { { "\\", '\\' }, { "\t", 't' }, { "\n", 'n' }, { "\r", 'r' },
    { "\xc0\x80", '0' } };

char *id_escape(const char *id)
{
    GString *text = g_string_new(NULL);
    while (*id) {
        size_t i = 0;
        while (i < G_N_ELEMENTS(escapes) && !g_str_has_prefix(id, escapes[i].bytes)) {
            i++;
        }
        if (i < G_N_ELEMENTS(escapes)) {
            g_string_append_printf(text, "\\%c", escapes[i].letter);
            id += strlen(escapes[i].bytes);
        } else {
            g_string_append_c(text, *id++);
        }
    }
    return g_string_free(text, FALSE);
}

char *id_unescape(const char *text)
{
    GString *id = g_string_new(NULL);
    for (; *text; text++) {
        size_t i = 0;
        while (*text == '\\' && i < G_N_ELEMENTS(escapes) && escapes[i].letter != text[1]) {
            i++;
        }
        if (*text == '\\' && i < G_N_ELEMENTS(escapes)) {
            g_string_append(id, escapes[i].bytes);
            text++;
        } else {
            g_string_append_c(id, *text);
        }
    }
    return g_string_free(id, FALSE);
}

char *text_cut(const char *text, int width)
{
    if (text_width(text) <= width) {
        return g_strdup(text);
    }
    int used = 0;
    const char *p = text;
    for (; *p; p = g_utf8_next_char(p)) {
        int next = char_width(g_utf8_get_char(p));
        if (used + next > width - 1) {
            break;
        }
        used += next;
    }
    if (width < 1) {
        return g_strdup("");
    }
    return g_strdup_printf("%.*s…", (int)(p - text), text);
}

char *number_grouped(int64_t number)
{
    g_autofree char *plain = g_strdup_printf("%" PRId64, number);
    const char *digits = plain + (*plain == '-');
    GString *result = g_string_new(*plain == '-' ? "-" : NULL);
    for (size_t left = strlen(digits); left > 0; left--, digits++) {
        g_string_append_c(result, *digits);
        if (left > 1 && (left - 1) % 3 == 0) {
            g_string_append_c(result, ',');
        }
    }
    return g_string_free(result, FALSE);
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    { "y", INT64_C(365) * 86400000 },
    { "d", 86400000 },
    { "h", 3600000 },
    { "m", 60000 },
    { "s", 1000 },
};

char *span_text(int64_t span_ms)
{
    if (span_ms < 1000) {
        return g_strdup_printf("%" PRId64 "ms", MAX(span_ms, 0));
    }
    if (span_ms < 60000) {
        return g_strdup_printf(
            "%" PRId64 ".%" PRId64 "s", span_ms / 1000, span_ms % 1000 / 100);
    }
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(units); i++) {
        if (span_ms < units[i].ms) {
            continue;
        }
        int64_t rest = span_ms % units[i].ms / units[i + 1].ms;
        if (!rest) {
            return g_strdup_printf("%" PRId64 "%s", span_ms / units[i].ms, units[i].name);
        }
        return g_strdup_printf("%" PRId64 "%s %" PRId64 "%s", span_ms / units[i].ms,
            units[i].name, rest, units[i + 1].name);
    }
    return g_strdup("");
}

char *time_relative(int64_t at_ms, int64_t now_ms)
{
    int64_t span = at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        if (span >= units[i].ms) {
            return g_strdup_printf(at_ms > now_ms ? "in %" PRId64 "%s" : "%" PRId64 "%s ago",
                span / units[i].ms, units[i].name);
        }
    }
    return g_strdup("now");
}

/* GLib's dates end with the year 9999; a stored time may be any number. */
#define MAX_TIME_MS INT64_C(253402300799999)

static char *format_time(GDateTime *time, const char *format, int64_t at_ms, const char *zone)
{
    g_autofree char *seconds = time != NULL ? g_date_time_format(time, format) : NULL;
    if (seconds == NULL) {
        return g_strdup_printf("%" PRId64 "ms", at_ms);
    }
    return g_strdup_printf("%s.%03d%s", seconds, (int)(at_ms % 1000), zone);
}

char *time_local(int64_t at_ms)
{
    bool sane = at_ms >= 0 && at_ms <= MAX_TIME_MS;
    g_autoptr(GDateTime) time = sane ? g_date_time_new_from_unix_local(at_ms / 1000) : NULL;
    return format_time(time, "%Y-%m-%d %H:%M:%S", at_ms, "");
}

char *time_iso(int64_t at_ms)
{
    bool sane = at_ms >= 0 && at_ms <= MAX_TIME_MS;
    g_autoptr(GDateTime) time = sane ? g_date_time_new_from_unix_utc(at_ms / 1000) : NULL;
    return format_time(time, "%Y-%m-%dT%H:%M:%S", at_ms, "Z");
}

int64_t time_now_ms(void)
{
    return g_get_real_time() / 1000;
}
