/*
 * records.h - the output of verbs that list, in each format.
 *
 * A verb declares its fields once and gives each record once, as values by field. They come out
 * as an aligned table on a terminal, as lines of cells with tabs between in a pipe (see
 * table.h), and with --json as an object a line.
 */
#ifndef OX_CLI_RECORDS_H
#define OX_CLI_RECORDS_H

#include "cmd.h"
#include "table.h"

/* The type of a value, and its format: in JSON; in a table. */
enum field_kind {
    FIELD_TEXT,    /* a string, null for none; the text */
    FIELD_NUMBER,  /* a number; in a table with its thousands marked */
    FIELD_TIME,    /* Unix ms; "3m ago", in a pipe ISO 8601. 0: none */
    FIELD_SECONDS, /* seconds; "2m 5s" */
    FIELD_BOOL,    /* true or false; its key when true */
    FIELD_JSON,    /* stored text that should be JSON, as it is */
    FIELD_MEMBERS, /* an object, whose members become the record's own; nothing */
};

struct field {
    const char *title; /* of its column; NULL: in JSON only */
    const char *key;   /* its name in JSON; NULL: in tables only. "": see RECORDS_KEYED */
    enum field_kind kind;
    unsigned flags; /* enum field_flags, and enum column_flags */
    enum tint tint;
    int rank;         /* columns stand in the order of their ranks, then of their fields */
    int width;        /* RECORDS_STREAM: columns that are kept for it */
    const char *none; /* on a terminal: what an empty cell shows, dimmed */
};

enum field_flags {
    FIELD_OPTIONAL = 1 << 16,    /* left out of JSON when it is 0 or NULL */
    FIELD_NO_PIPE = 1 << 17,     /* no column of it in a pipe */
    FIELD_NO_TERMINAL = 1 << 18, /* no column of it on a terminal */
};

/* The value of one field. Borrowed for the call. */
struct value {
    const char *text;
    const char *shown; /* what a table shows in its place; NULL: itself */
    int64_t number;
    enum tint tint; /* TINT_NONE: that of the field */
};

enum records_shape {
    RECORDS_ROWS, /* a record is a row, an object */
    /* The first field names the record: one object holds them all under these names, each an
     * object of its other fields, or the value of the one whose key is "". */
    RECORDS_KEYED,
    /* One record whose fields are the rows of a table: title and value. Of a COLUMN_RARE that
     * is empty there is no row. */
    RECORDS_CARD,
    RECORDS_STREAM, /* rows that are printed at once, on a terminal too */
};

struct records_style {
    const struct field *fields;
    size_t count;
    enum records_shape shape;
    const char *titles[2]; /* RECORDS_CARD: the titles of its two columns */
};

struct records;

/* `style` and what it names outlive the records. */
struct records *records_new(const struct run *run, const struct records_style *style);
/* One record: a value for each field. */
void records_add(struct records *records, const struct value *values);
/* Prints records that are still buffered and frees them. Returns their number. */
size_t records_end(struct records *records);

/* A note on stderr beside a listing, on a terminal only: not in a pipe, not with --json. */
void records_hint(const struct run *run, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif /* OX_CLI_RECORDS_H */
