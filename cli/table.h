/*
 * table.h - rows on a terminal and in a pipe.
 *
 * On a terminal: a header, columns aligned by what they hold and cut to the terminal's width,
 * printed at the end. In a pipe: one line a row, cells separated by tabs, no header, printed at
 * once. A tab or line break inside a cell becomes a space there, so that a line is always a row
 * and a tab always separates cells; --json keeps every byte.
 */
#ifndef OX_CLI_TABLE_H
#define OX_CLI_TABLE_H

#include "out.h"
#include <stdbool.h>
#include <stddef.h>

enum column_flags {
    COLUMN_RIGHT = 1, /* numbers */
    COLUMN_FLEX = 2,  /* may be cut when the terminal is narrow */
    COLUMN_RARE = 4,  /* left out on a terminal when it is empty or 0 in every row */
    COLUMN_SPARE = 8, /* left out on a terminal that is too narrow, the rightmost first */
    COLUMN_ID = 16,   /* in a pipe as id_escape() writes it, for verbs that read ids */
};

struct column {
    const char *title;
    unsigned flags;
    int width; /* in a stream: columns that are kept for it */
};

/* Among the flags of a COLUMN_FLEX: spare columns go before it is cut, and it keeps `n` columns
 * if it can. */
#define COLUMN_MIN_SHIFT 8
#define COLUMN_MIN(n) ((unsigned)(n) << COLUMN_MIN_SHIFT)
#define COLUMN_FLAGS 0xffffu /* all of these */

struct table;

/* `columns` and `out` outlive the table. */
struct table *table_new(const struct column *columns, size_t count, const struct out *out);
/* The same for rows that come one by one and are printed at once, without a header. On a
 * terminal each column keeps its width, and a longer cell pushes those behind it; a COLUMN_FLEX
 * is cut to half of what is left of the line, the last column to all of it. */
struct table *table_new_stream(
    const struct column *columns, size_t count, const struct out *out);
/* The next cell of the row, any text, NULL for none; the last one ends the row. */
void table_cell(struct table *table, const char *text, enum tint tint);
void table_number(struct table *table, int64_t number);
/* A point in time: relative on a terminal, ISO 8601 in a pipe. 0: none. */
void table_time(struct table *table, int64_t at_ms, int64_t now_ms);
/* Prints buffered rows and frees the table. */
void table_end(struct table *table);

#endif /* OX_CLI_TABLE_H */
