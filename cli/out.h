/*
 * out.h - properties of stdout, and formats of numbers, times and untrusted text.
 *
 * Everything that comes from a queue (names, data, reasons, log rows) may hold control
 * characters; it must be printed on a terminal through text_clean() or the table only.
 */
#ifndef OX_CLI_OUT_H
#define OX_CLI_OUT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct out {
    bool terminal; /* stdout is one */
    bool color;    /* on the terminal, and NO_COLOR is not set */
    int width;     /* columns of the terminal; undefined without one */
};

enum tint {
    TINT_NONE,
    TINT_DIM,
    TINT_BOLD,
    TINT_RED,
    TINT_GREEN,
    TINT_YELLOW,
    TINT_BLUE,
    TINT_MAGENTA,
    TINT_CYAN,
};

void out_init(struct out *out);
/* The escape sequences around a tint, "" where there is no colour. */
const char *tint_on(const struct out *out, enum tint tint);
const char *tint_off(const struct out *out, enum tint tint);
/* The tint of a job state (enum ox_state). */
enum tint tint_of_state(int state);

/* False once stdout is closed or cannot be written: stop then. */
bool out_alive(void);
/* Flushes stdout, for a reader that waits for the line. Returns out_alive(). */
bool out_flush(void);
/* At the very end: `status`, or 1 with a line on stderr when output was lost. A reader that
 * went away (a closed pipe) is not a failure. */
int out_finish(int status);

/* An id as printed in a pipe: \\ \t \n \r and \0 for a backslash, a tab, line breaks and a NUL,
 * so that a line is one id and can be decoded. Heap. */
char *id_escape(const char *id);
/* Reverses id_escape(). A backslash before any other character stands for itself. Heap. */
char *id_unescape(const char *text);

/* Prints a line of text, words of others in it: on a terminal through text_clean(). */
void out_say(const struct out *out, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Prints "name<TAB>value", tabs and line breaks of the value as spaces. */
void out_pair(const char *name, const char *value);

/* Columns that UTF-8 text takes on a terminal. */
int text_width(const char *text);
/* Valid UTF-8 without control characters: those become one visible character. Heap. */
char *text_clean(const char *text);
/* Like text_clean, but line feeds and tabs stay. Heap. */
char *text_clean_lines(const char *text);
/* Truncates cleaned text to `width` columns, with an ellipsis. Heap. */
char *text_cut(const char *text, int width);

/* "12,345" */
char *number_grouped(int64_t number);
/* "850ms", "1.2s", "3m 20s", "2h 5m", "4d 3h" */
char *span_text(int64_t span_ms);
/* "now", "42s ago", "3m ago", "in 5s" */
char *time_relative(int64_t at_ms, int64_t now_ms);
/* "2026-01-31 14:05:09.123", local time */
char *time_local(int64_t at_ms);
/* "2026-01-31T13:05:09.123Z" */
char *time_iso(int64_t at_ms);
/* This machine's clock, Unix ms. */
int64_t time_now_ms(void);

#endif /* OX_CLI_OUT_H */
