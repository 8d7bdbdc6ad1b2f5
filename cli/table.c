/*
 * table.c - see table.h.
 *
 * A cell is cleaned when it is added, so stored text cannot move the cursor. Rows are one flat
 * array of cells, `count` to a row. When the columns do not fit the terminal, the widest
 * flexible one is narrowed, down to MIN_FLEX; then spare ones are left out. Columns with a
 * minimum of their own are narrowed only if that is not enough, if necessary below it: a row is
 * always one line.
 */
#include "table.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define MIN_FLEX 8
#define GAP 2

struct cell {
    char *text; /* heap, cleaned */
    enum tint tint;
    bool blank; /* nothing, or the number 0 */
};

struct table {
    const struct column *columns;
    size_t count;
    const struct out *out;
    GArray *cells; /* on a terminal: all rows, in a stream one. In a pipe: nothing */
    bool stream;
    size_t filled; /* cells of the row so far, in a pipe */
};

static void free_cell(gpointer data)
{
    struct cell *cell = data;
    g_free(cell->text);
}

struct table *table_new(const struct column *columns, size_t count, const struct out *out)
{
    struct table *table = g_new0(struct table, 1);
    table->columns = columns;
    table->count = count;
    table->out = out;
    table->cells = g_array_new(FALSE, FALSE, sizeof(struct cell));
    g_array_set_clear_func(table->cells, free_cell);
    return table;
}

struct table *table_new_stream(
    const struct column *columns, size_t count, const struct out *out)
{
    struct table *table = table_new(columns, count, out);
    table->stream = true;
    return table;
}

static void print_flat(const char *text)
{
    for (const char *p = text; *p; p++) {
        putchar(strchr("\t\n\r", *p) != NULL ? ' ' : *p);
    }
}

static void pipe_cell(struct table *table, const char *text)
{
    if (table->filled) {
        putchar('\t');
    }
    if (table->columns[table->filled].flags & COLUMN_ID) {
        g_autofree char *id = id_escape(text);
        fputs(id, stdout);
    } else {
        print_flat(text);
    }
    if (++table->filled < table->count) {
        return;
    }
    putchar('\n');
    table->filled = 0;
}

/* A row of a stream. */
static void print_streamed(struct table *table)
{
    int left = table->out->width;
    for (size_t i = 0; i < table->count; i++) {
        const struct cell *cell = &g_array_index(table->cells, struct cell, i);
        const struct column *column = &table->columns[i];
        bool last = i + 1 == table->count;
        int most = last ? left : column->flags & COLUMN_FLEX ? left / 2 : INT_MAX;
        g_autofree char *cut = text_cut(cell->text, MAX(most, column->width));
        int pad = last ? 0 : MAX(column->width - text_width(cut), 0);
        printf("%s%s%s%*s", tint_on(table->out, cell->tint), cut,
            tint_off(table->out, cell->tint), pad + (last ? 0 : GAP), "");
        left = MAX(left - text_width(cut) - pad - GAP, 0);
    }
    putchar('\n');
    g_array_set_size(table->cells, 0);
}

void table_cell(struct table *table, const char *text, enum tint tint)
{
    if (!table->out->terminal) {
        pipe_cell(table, text != NULL ? text : "");
        return;
    }
    struct cell cell = { text_clean(text != NULL ? text : ""), tint, text == NULL || !*text };
    g_array_append_val(table->cells, cell);
    if (table->stream && table->cells->len == table->count) {
        print_streamed(table);
    }
}

void table_number(struct table *table, int64_t number)
{
    g_autofree char *text =
        table->out->terminal ? number_grouped(number) : g_strdup_printf("%" PRId64, number);
    table_cell(table, text, number ? TINT_NONE : TINT_DIM);
    if (!number && table->cells->len) {
        g_array_index(table->cells, struct cell, table->cells->len - 1).blank = true;
    }
}

void table_time(struct table *table, int64_t at_ms, int64_t now_ms)
{
    g_autofree char *text = NULL;
    if (at_ms) {
        text = table->out->terminal ? time_relative(at_ms, now_ms) : time_iso(at_ms);
    }
    table_cell(table, text, TINT_NONE);
}

static const struct cell *cell_at(const struct table *table, size_t row, size_t column)
{
    return &g_array_index(table->cells, struct cell, row * table->count + column);
}

/* Widths by content; 0 for a column that is left out. */
static void measure(const struct table *table, size_t rows, int *widths)
{
    for (size_t i = 0; i < table->count; i++) {
        bool blank = true;
        widths[i] = text_width(table->columns[i].title);
        for (size_t row = 0; row < rows; row++) {
            const struct cell *cell = cell_at(table, row, i);
            widths[i] = MAX(widths[i], text_width(cell->text));
            blank = blank && cell->blank;
        }
        if (blank && (table->columns[i].flags & COLUMN_RARE)) {
            widths[i] = 0;
        }
    }
}

static int total_width(const struct table *table, const int *widths)
{
    int total = -GAP;
    for (size_t i = 0; i < table->count; i++) {
        total += widths[i] ? widths[i] + GAP : 0;
    }
    return total;
}

static bool is_too_wide(const struct table *table, const int *widths)
{
    return total_width(table, widths) > table->out->width;
}

/* Which columns are narrowed, and down to what. */
enum squeeze {
    PLAIN,  /* flexible ones that name no minimum */
    FLEX,   /* all flexible ones, down to their minimum */
    DESPAIR /* all, down to MIN_FLEX */
};

/* The width below which a column is not cut, or INT_MAX when it is not cut at all. */
static int lowest(const struct column *column, enum squeeze which)
{
    int named = (int)(column->flags >> COLUMN_MIN_SHIFT);
    if (which == DESPAIR) {
        return MIN_FLEX;
    }
    if (!(column->flags & COLUMN_FLEX) || (which == PLAIN && named)) {
        return INT_MAX;
    }
    return MAX(named, MIN_FLEX);
}

/* Narrows the widest of those columns until all fit or none can be narrowed. */
static void squeeze(const struct table *table, int *widths, enum squeeze which)
{
    while (is_too_wide(table, widths)) {
        int *widest = NULL;
        for (size_t i = 0; i < table->count; i++) {
            if (widths[i] > lowest(&table->columns[i], which) &&
                (widest == NULL || widths[i] > *widest)) {
                widest = &widths[i];
            }
        }
        if (widest == NULL) {
            return;
        }
        (*widest)--;
    }
}

static void drop_spares(const struct table *table, int *widths)
{
    for (size_t i = table->count; i-- > 0 && is_too_wide(table, widths);) {
        if (table->columns[i].flags & COLUMN_SPARE) {
            widths[i] = 0;
        }
    }
}

/* Without spare columns, those with a minimum may be whole. Returns false when not. */
static bool fit_whole(const struct table *table, int *widths)
{
    g_autofree int *tried = g_memdup2(widths, table->count * sizeof *widths);
    squeeze(table, tried, PLAIN);
    drop_spares(table, tried);
    if (is_too_wide(table, tried)) {
        return false;
    }
    for (size_t i = 0; i < table->count; i++) {
        widths[i] = tried[i] ? widths[i] : 0;
    }
    squeeze(table, widths, PLAIN);
    return true;
}

static void fit(const struct table *table, int *widths)
{
    if (fit_whole(table, widths)) {
        return;
    }
    squeeze(table, widths, FLEX);
    drop_spares(table, widths);
    squeeze(table, widths, DESPAIR);
}

static void print_cell(const struct table *table, size_t column, const char *text,
    enum tint tint, const int *widths)
{
    g_autofree char *cut = text_cut(text, widths[column]);
    int pad = widths[column] - text_width(cut);
    bool right = table->columns[column].flags & COLUMN_RIGHT;
    bool last = true;
    for (size_t i = column + 1; i < table->count; i++) {
        last = last && !widths[i];
    }
    printf("%*s%s%s%s%*s", right ? pad : 0, "", tint_on(table->out, tint), cut,
        tint_off(table->out, tint), right || last ? 0 : pad, "");
    if (!last) {
        printf("%*s", GAP, "");
    }
}

static void print_rows(const struct table *table, size_t rows, const int *widths)
{
    for (size_t i = 0; i < table->count; i++) {
        if (widths[i]) {
            print_cell(table, i, table->columns[i].title, TINT_BOLD, widths);
        }
    }
    putchar('\n');
    for (size_t row = 0; row < rows && out_alive(); row++) {
        for (size_t i = 0; i < table->count; i++) {
            if (widths[i]) {
                const struct cell *cell = cell_at(table, row, i);
                print_cell(table, i, cell->text, cell->tint, widths);
            }
        }
        putchar('\n');
    }
}

void table_end(struct table *table)
{
    size_t rows = table->cells->len / table->count;
    if (rows) {
        g_autofree int *widths = g_new0(int, table->count);
        measure(table, rows, widths);
        fit(table, widths);
        print_rows(table, rows, widths);
    }
    g_array_unref(table->cells);
    g_free(table);
}
