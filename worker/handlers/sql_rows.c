/*
 * sql_rows.c - what a statement gave, as JSON: an array with an object a row, or how many rows
 * it changed.
 *
 * The text never grows much beyond what a return value may have: a value that is larger by
 * itself is not copied, and the end of each row looks at the sum.
 */
#include "sql.h"

#include <string.h>

#include "base/json.h"
#include "frame.h"

void sql_rows_start(struct sql_rows *rows, int64_t max)
{
    ox__buf_reset(&rows->text, (size_t)1 << 20);
    rows->count = 0;
    rows->max = max;
    rows->changed = rows->too_large = false;
}

void sql_rows_begin_row(struct sql_rows *rows)
{
    ox__buf_text(&rows->text, rows->count++ == 0 ? "[{" : ",{");
    rows->first_cell = true;
}

bool sql_rows_end_row(struct sql_rows *rows, GString *why)
{
    ox__buf_char(&rows->text, '}');
    if (rows->count > rows->max) {
        g_string_printf(
            why, "sql: more than %" G_GINT64_FORMAT " rows (--max-rows)", rows->max);
        return false;
    }
    if (rows->too_large || rows->text.failed || rows->text.len + 2 > FRAME_RESULT_MAX) {
        g_string_printf(
            why, "sql: the rows are more than %u MB as JSON", FRAME_RESULT_MAX >> 20);
        return false;
    }
    return true;
}

void sql_rows_cell(struct sql_rows *rows, const char *name)
{
    if (!rows->first_cell) {
        ox__buf_char(&rows->text, ',');
    }
    rows->first_cell = false;
    ox__json_string(&rows->text, name, strlen(name));
    ox__buf_char(&rows->text, ':');
}

void sql_rows_null(struct sql_rows *rows)
{
    ox__buf_text(&rows->text, "null");
}

void sql_rows_bool(struct sql_rows *rows, bool value)
{
    ox__buf_text(&rows->text, value ? "true" : "false");
}

/* Whether there is room for a value of so many bytes, or about so many. */
static bool has_room(struct sql_rows *rows, size_t length)
{
    if (length > FRAME_RESULT_MAX || rows->text.len > FRAME_RESULT_MAX) {
        rows->too_large = true;
    }
    return !rows->too_large;
}

void sql_rows_json(struct sql_rows *rows, const char *text, size_t length)
{
    if (!has_room(rows, length)) {
        return;
    }
    if (ox__json_valid(text, length)) {
        ox__buf_put(&rows->text, text, length);
    } else {
        ox__json_string(&rows->text, text, length);
    }
}

void sql_rows_text(struct sql_rows *rows, const char *text, size_t length)
{
    if (has_room(rows, length)) {
        ox__json_string(&rows->text, text, length);
    }
}

void sql_rows_bytes(struct sql_rows *rows, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    char *to = has_room(rows, 2 * length) ? ox__buf_room(&rows->text, 2 * length + 5) : NULL;
    if (to == NULL) {
        return;
    }
    memcpy(to, "\"\\\\x", 4);
    for (size_t i = 0; i < length; i++) {
        to[4 + 2 * i] = digits[from[i] >> 4];
        to[5 + 2 * i] = digits[from[i] & 15];
    }
    to[4 + 2 * length] = '"';
    rows->text.len += 2 * length + 5;
}

void sql_rows_changed(struct sql_rows *rows, int64_t count)
{
    rows->changed = true;
    rows->count = count;
}

void sql_rows_finish(struct sql_rows *rows, GString *out)
{
    if (rows->changed) {
        g_string_append_printf(out, "{\"rows\":%" G_GINT64_FORMAT "}", rows->count);
    } else if (rows->count == 0) {
        g_string_append(out, "[]");
    } else {
        g_string_append_len(out, rows->text.data, (gssize)rows->text.len);
        g_string_append_c(out, ']');
    }
}

const char *sql_repeated_name(const char *(*name_of)(void *arg, int column), void *arg, int n)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (int column = 0; column < n; column++) {
        const char *name = name_of(arg, column);
        if (!g_hash_table_add(seen, (gpointer)(uintptr_t)name)) {
            return name;
        }
    }
    return NULL;
}
