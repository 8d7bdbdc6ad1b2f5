/*
 * sql.h - the sql handler: one statement of the operator's, prepared once in each child and run
 * for each job, in a transaction of its own. docs/sql.md says what it may be and what comes
 * back.
 *
 * sql.c reads the options and the job, and knows no database; sql_pg.c and sql_lite.c know
 * theirs; sql_rows.c writes what comes back as JSON. Nothing of a job is ever part of the
 * statement: its five values are bound.
 */
#ifndef OX_WORKER_HANDLERS_SQL_H
#define OX_WORKER_HANDLERS_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "handler.h"

extern const struct handler sql_handler;

/* $1 the job's data as JSON, $2 its id, $3 its name, $4 its queue, $5 the attempt. */
enum { SQL_DATA, SQL_ID, SQL_NAME, SQL_QUEUE, SQL_ATTEMPT, SQL_VALUES };

/* One run, as an engine sees it. Borrowed. */
struct sql_job {
    const char *values[SQL_VALUES]; /* in UTF-8, without a NUL but the one at the end */
    int64_t attempt;                /* the number of values[SQL_ATTEMPT] */
    int64_t until_ms;               /* Unix time when it must have ended; 0: whenever */
    const struct handler_io *io;
};

/* Unix time in milliseconds. */
int64_t sql_now_ms(void);
/* How long the job may still take, at least 1 ms and at most `max_ms`. */
int64_t sql_left_ms(const struct sql_job *job, int64_t max_ms);

/* ---- what comes back: sql_rows.c ----------------------------------------------------------
 */

struct sql_rows {
    struct ox__buf text; /* the JSON so far */
    int64_t count, max;  /* rows, and how many there may be */
    bool changed;        /* the statement has no rows; `count` are those that it changed */
    bool too_large;      /* a value alone was over the limit */
    bool first_cell;
};

/* Empties it. */
void sql_rows_start(struct sql_rows *rows, int64_t max);
void sql_rows_begin_row(struct sql_rows *rows);
/* False, and the reason in `why`, when there are more rows or bytes than there may be. */
bool sql_rows_end_row(struct sql_rows *rows, GString *why);
/* The next column of the row; one of the others follows, which gives its value. */
void sql_rows_cell(struct sql_rows *rows, const char *name);
void sql_rows_null(struct sql_rows *rows);
void sql_rows_bool(struct sql_rows *rows, bool value);
/* JSON, and so numbers, as they stand; what is not JSON, as a string. */
void sql_rows_json(struct sql_rows *rows, const char *text, size_t length);
void sql_rows_text(struct sql_rows *rows, const char *text, size_t length);
/* Bytes as a string in PostgreSQL's form, \x00ff. */
void sql_rows_bytes(struct sql_rows *rows, const void *bytes, size_t length);
/* The statement has no rows; so many were changed. */
void sql_rows_changed(struct sql_rows *rows, int64_t count);
/* The return value. */
void sql_rows_finish(struct sql_rows *rows, GString *out);

/* The first column whose name an earlier one has, or NULL: no object can hold both. */
const char *sql_repeated_name(const char *(*name_of)(void *arg, int column), void *arg, int n);

/* ---- databases ----------------------------------------------------------------------------
 */

enum sql_opened {
    SQL_OPEN,
    SQL_AWAY, /* it cannot be reached now; that may pass */
    SQL_WRONG /* it was reached and refuses, or the settings are wrong */
};

struct sandbox_needs;

struct sql_engine {
    /* What it needs of the system to open `place`; `reads` and `root` live as long as the
     * process. */
    void (*needs)(const char *place, struct sandbox_needs *out);
    /* Connects and prepares the statement; what was open before is closed. The texts stay where
     * they are for as long as the process lives. Unless SQL_OPEN, a message in *problem
     * (g_free).
     */
    enum sql_opened (*open)(const char *place, const char *statement, char **problem);
    /* Runs the statement in a transaction, which is committed if the result is HANDLER_DONE and
     * rolled back if not; otherwise the reason is in `why`. */
    enum handler_result (*run)(const struct sql_job *job, struct sql_rows *rows, GString *why);
    void (*close)(void);
};

extern const struct sql_engine sql_pg, sql_lite;

#endif /* OX_WORKER_HANDLERS_SQL_H */
