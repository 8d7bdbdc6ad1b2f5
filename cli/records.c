/*
 * records.c - see records.h.
 *
 * With --json a record becomes an object at once; else its fields that have a column become
 * cells of a table. These fields and their order are determined once.
 */
#include "records.h"
#include "json.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct records {
    const struct run *run;
    const struct records_style *style;
    struct table *table;    /* NULL with --json */
    struct column *columns; /* of the table */
    size_t *order;          /* the fields that have a column */
    size_t column_count;
    struct obj whole; /* RECORDS_KEYED with --json: all records */
    size_t count;
    int64_t now_ms;
};

/* ---- as JSON ----------------------------------------------------------------------------- */

static bool is_empty(const struct field *field, const struct value *value)
{
    bool number = field->kind == FIELD_NUMBER || field->kind == FIELD_TIME ||
                  field->kind == FIELD_SECONDS || field->kind == FIELD_BOOL;
    return number ? value->number == 0 : value->text == NULL;
}

static void put(
    struct obj *obj, const char *key, const struct field *field, const struct value *value)
{
    switch (field->kind) {
    case FIELD_TEXT:
        obj_text(obj, key, value->text);
        break;
    case FIELD_NUMBER:
    case FIELD_TIME:
    case FIELD_SECONDS:
        obj_int(obj, key, value->number);
        break;
    case FIELD_BOOL:
        obj_bool(obj, key, value->number != 0);
        break;
    case FIELD_JSON:
        obj_json(obj, key, value->text);
        break;
    case FIELD_MEMBERS:
        obj_members(obj, value->text);
        break;
    }
}

/* Puts the fields of JSON from the one at `first` on. */
static void put_fields(struct obj *obj, const struct records_style *style, size_t first,
    const struct value *values)
{
    for (size_t i = first; i < style->count; i++) {
        const struct field *field = &style->fields[i];
        bool left_out = field->flags & FIELD_OPTIONAL && is_empty(field, &values[i]);
        if (field->key != NULL && !left_out) {
            put(obj, field->key, field, &values[i]);
        }
    }
}

static void add_keyed(struct records *records, const struct value *values)
{
    const struct records_style *style = records->style;
    for (size_t i = 1; i < style->count; i++) {
        const struct field *field = &style->fields[i];
        bool value = field->key != NULL && *field->key == '\0';
        if (value && field->kind != FIELD_MEMBERS) {
            put(&records->whole, values[0].text, field, &values[i]);
            return;
        }
    }
    struct obj obj;
    obj_begin(&obj);
    put_fields(&obj, style, 1, values);
    g_autofree char *json = obj_take(&obj);
    obj_raw(&records->whole, values[0].text, json);
}

static void add_object(struct records *records, const struct value *values)
{
    if (records->style->shape == RECORDS_KEYED) {
        add_keyed(records, values);
        return;
    }
    struct obj obj;
    obj_begin(&obj);
    put_fields(&obj, records->style, 0, values);
    obj_print(&obj);
}

/* ---- as a table -------------------------------------------------------------------------- */

static bool has_column(const struct run *run, const struct field *field)
{
    unsigned hidden = run->out.terminal ? FIELD_NO_TERMINAL : FIELD_NO_PIPE;
    return field->title != NULL && (field->flags & hidden) == 0;
}

/* Inserts a field behind those of its rank. */
static void insert(struct records *records, size_t index)
{
    const struct field *fields = records->style->fields;
    size_t at = records->column_count++;
    for (; at > 0 && fields[records->order[at - 1]].rank > fields[index].rank; at--) {
        records->order[at] = records->order[at - 1];
    }
    records->order[at] = index;
}

static void make_table(struct records *records)
{
    const struct run *run = records->run;
    const struct records_style *style = records->style;
    bool stream = style->shape == RECORDS_STREAM;
    records->order = g_new0(size_t, style->count);
    records->columns = g_new0(struct column, MAX(style->count, 2));
    for (size_t i = 0; i < style->count; i++) {
        if (has_column(run, &style->fields[i])) {
            insert(records, i);
        }
    }
    for (size_t i = 0; i < records->column_count; i++) {
        const struct field *field = &style->fields[records->order[i]];
        records->columns[i] =
            (struct column){ field->title, field->flags & COLUMN_FLAGS, field->width };
    }
    if (style->shape == RECORDS_CARD) {
        records->columns[0] = (struct column){ .title = style->titles[0] };
        records->columns[1] = (struct column){ .title = style->titles[1] };
    }
    size_t count = style->shape == RECORDS_CARD ? 2 : records->column_count;
    records->table = stream ? table_new_stream(records->columns, count, &run->out)
                            : table_new(records->columns, count, &run->out);
}

static void add_cell(
    const struct records *records, const struct field *field, const struct value *value)
{
    enum tint tint = value->tint != TINT_NONE ? value->tint : field->tint;
    const char *shown = value->shown;
    g_autofree char *made = NULL;
    if (shown == NULL && field->kind == FIELD_NUMBER) {
        table_number(records->table, value->number);
        return;
    }
    if (shown == NULL && field->kind == FIELD_TIME) {
        table_time(records->table, value->number, records->now_ms);
        return;
    }
    if (shown == NULL && field->kind == FIELD_SECONDS) {
        made = span_text(value->number * 1000);
        shown = made;
    } else if (shown == NULL && field->kind == FIELD_BOOL) {
        shown = value->number != 0 ? field->key : NULL;
    } else if (shown == NULL) {
        shown = value->text;
    }
    bool none =
        field->none != NULL && records->run->out.terminal && (shown == NULL || *shown == '\0');
    table_cell(records->table, none ? field->none : shown, none ? TINT_DIM : tint);
}

static void add_row(struct records *records, const struct value *values)
{
    const struct records_style *style = records->style;
    for (size_t i = 0; i < records->column_count; i++) {
        size_t at = records->order[i];
        const struct field *field = &style->fields[at];
        bool card = style->shape == RECORDS_CARD;
        bool empty = is_empty(field, &values[at]) && values[at].shown == NULL;
        if (card && field->flags & COLUMN_RARE && empty) {
            continue;
        }
        if (card) {
            table_cell(records->table, field->title, TINT_NONE);
        }
        add_cell(records, field, &values[at]);
    }
}

/* ---- both -------------------------------------------------------------------------------- */

struct records *records_new(const struct run *run, const struct records_style *style)
{
    struct records *records = g_new0(struct records, 1);
    records->run = run;
    records->style = style;
    records->now_ms = time_now_ms();
    if (!run->json) {
        make_table(records);
    } else if (style->shape == RECORDS_KEYED) {
        obj_begin(&records->whole);
    }
    return records;
}

void records_add(struct records *records, const struct value *values)
{
    records->count++;
    if (records->run->json) {
        add_object(records, values);
    } else {
        add_row(records, values);
    }
}

size_t records_end(struct records *records)
{
    size_t count = records->count;
    if (records->table != NULL) {
        table_end(records->table);
    } else if (records->style->shape == RECORDS_KEYED) {
        obj_print(&records->whole);
    }
    g_free(records->columns);
    g_free(records->order);
    g_free(records);
    return count;
}

void records_hint(const struct run *run, const char *format, ...)
{
    va_list args;
    if (!run->out.terminal || run->json) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    complain(run, "%s", text);
}
