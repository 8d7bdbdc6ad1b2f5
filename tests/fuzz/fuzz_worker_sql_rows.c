/*
 * fuzz_worker_sql_rows.c - what a statement of the sql handler gave, as JSON.
 *
 * Input: a byte for the most rows that there may be; then cells, a letter each, two bytes of
 * length and so many of the value. r begins a row. What is taken is JSON.
 */
#include "fuzz_handler.h"

#include "worker/handlers/sql.h"

static void put_cell(struct sql_rows *rows, uint8_t kind, const char *bytes, size_t length)
{
    sql_rows_cell(rows, "a\xff\"b");
    switch (kind % 5) {
    case 0:
        sql_rows_null(rows);
        break;
    case 1:
        sql_rows_bool(rows, length > 0);
        break;
    case 2:
        sql_rows_json(rows, bytes, length);
        break;
    case 3:
        sql_rows_text(rows, bytes, length);
        break;
    default:
        sql_rows_bytes(rows, bytes, length);
    }
}

/* False: the statement is rolled back. */
static bool put_rows(struct sql_rows *rows, const uint8_t *data, size_t size, GString *why)
{
    bool open = false;
    while (size >= 3) {
        uint8_t kind = data[0];
        size_t length = MIN((size_t)data[1] << 8 | data[2], size - 3);
        data += 3;
        size -= 3;
        if (kind == 'r' || !open) {
            if (open && !sql_rows_end_row(rows, why)) {
                return false;
            }
            sql_rows_begin_row(rows);
            open = true;
            continue;
        }
        char *bytes = fuzz_text(data, length);
        put_cell(rows, kind, bytes, length);
        free(bytes);
        data += length;
        size -= length;
    }
    return !open || sql_rows_end_row(rows, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sql_rows rows;
    g_autoptr(GString) out = g_string_new(NULL);
    if (size < 1) {
        return 0;
    }
    sql_rows_start(&rows, data[0]);
    if (put_rows(&rows, data + 1, size - 1, out)) {
        expect(out->len == 0 && rows.count <= rows.max);
        sql_rows_finish(&rows, out);
        expect(ox__json_scan(out->str, out->len, OX__JSON_DEEP) == 1);
    } else {
        expect(out->len > 0 && g_utf8_validate(out->str, (gssize)out->len, NULL));
    }
    return 0;
}
