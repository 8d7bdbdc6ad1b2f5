/*
 * sql_lite.c - the sql handler on SQLite.
 *
 * A transaction that may write takes the write lock at its beginning: one that read first and
 * then could not write, because another did meanwhile, would have to begin again. Who has the
 * lock is waited for. The file's journal mode is its owner's matter and stays as it is.
 */
#include "sql.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

/* How long a lock of others is waited for, if the job has that much time. */
#define BUSY_MAX_MS 10000
/* Instructions of SQLite's between two looks at the clock: some 0.1 ms. */
#define STEPS_A_LOOK 10000
#define JSON_SUBTYPE 'J' /* what SQLite's JSON functions give their results */

static struct {
    const char *path, *text;
    sqlite3 *db;               /* NULL: not open */
    sqlite3_stmt *statement;   /* its only one */
    const struct sql_job *job; /* the one that runs */
} lite;

static void close_file(void)
{
    sqlite3_finalize(lite.statement);
    sqlite3_close(lite.db);
    lite.statement = NULL;
    lite.db = NULL;
}

/* ---- Open ---------------------------------------------------------------------------------
 */

/* The value that a parameter stands for, from 0; negative for none. "$1", "?1" and "$1::json",
 * which SQLite takes for a name, are the first; so is the first "?". */
static int value_of(int parameter)
{
    const char *name = sqlite3_bind_parameter_name(lite.statement, parameter);
    if (name == NULL) {
        return parameter <= SQL_VALUES ? parameter - 1 : -1;
    }
    bool good = (name[0] == '$' || name[0] == '?') && name[1] >= '1' &&
                name[1] < '1' + SQL_VALUES &&
                (name[2] == '\0' || g_str_has_prefix(name + 2, "::"));
    return good ? name[1] - '1' : -1;
}

static bool check_parameters(char **problem)
{
    for (int i = 1; i <= sqlite3_bind_parameter_count(lite.statement); i++) {
        if (value_of(i) < 0) {
            const char *name = sqlite3_bind_parameter_name(lite.statement, i);
            *problem = g_strdup_printf("the statement has a parameter %s; there are $1 to $%d",
                name != NULL ? name : "too many", SQL_VALUES);
            return false;
        }
    }
    return true;
}

static const char *column_name(void *arg, int column)
{
    return sqlite3_column_name(arg, column);
}

static bool check_columns(char **problem)
{
    const char *name =
        sql_repeated_name(column_name, lite.statement, sqlite3_column_count(lite.statement));
    if (name != NULL) {
        *problem =
            g_strdup_printf("two columns are called \"%s\"; name one otherwise, with AS", name);
    }
    return name == NULL;
}

/* What follows the statement may be comments, not another one. */
static bool check_rest(const char *rest, char **problem)
{
    while (*rest != '\0') {
        sqlite3_stmt *other = NULL;
        int code = sqlite3_prepare_v2(lite.db, rest, -1, &other, &rest);
        bool is_statement = code != SQLITE_OK || other != NULL;
        sqlite3_finalize(other);
        if (is_statement) {
            *problem = g_strdup("the statement is more than one; a job runs one");
            return false;
        }
    }
    return true;
}

/* Why a file of another folder does not open is nothing that SQLite knows. */
static const char *hint(int code)
{
    return (code & 0xff) == SQLITE_CANTOPEN && sqlite3_system_errno(lite.db) == EACCES
               ? " (permission denied; the sandbox opens files in the folder of --db only)"
               : "";
}

static enum sql_opened failed(int code, const char *what, char **problem)
{
    int kind = code & 0xff;
    *problem = g_strdup_printf("%s: %s%s", what, sqlite3_errmsg(lite.db), hint(code));
    return kind == SQLITE_BUSY || kind == SQLITE_LOCKED ? SQL_AWAY : SQL_WRONG;
}

static enum sql_opened open_file(char **problem)
{
    const char *rest = "";
    close_file();
    int code = sqlite3_open_v2(lite.path, &lite.db, SQLITE_OPEN_READWRITE, NULL);
    if (lite.db == NULL) {
        *problem = g_strdup(sqlite3_errstr(code));
        return SQL_AWAY;
    }
    sqlite3_extended_result_codes(lite.db, 1);
    sqlite3_busy_timeout(lite.db, BUSY_MAX_MS);
    if (code == SQLITE_OK) { /* off unless told, by a habit of SQLite's older than its keys */
        code = sqlite3_exec(lite.db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK) {
        return failed(code, lite.path, problem);
    }
    code = sqlite3_prepare_v3(
        lite.db, lite.text, -1, SQLITE_PREPARE_PERSISTENT, &lite.statement, &rest);
    if (code != SQLITE_OK) {
        return failed(code, "the statement", problem);
    }
    if (lite.statement == NULL) {
        *problem = g_strdup("the statement is empty");
        return SQL_WRONG;
    }
    bool good =
        check_rest(rest, problem) && check_parameters(problem) && check_columns(problem);
    return good ? SQL_OPEN : SQL_WRONG;
}

/* The folder in which the file really lies: its journals are made beside it, whatever links
 * lead there. NULL when there is none (g_free). */
static char *folder_of(const char *place)
{
    char *path = realpath(place, NULL);
    char *folder = path != NULL ? g_path_get_dirname(path) : NULL;
    free(path);
    return folder;
}

static void needs_lite(const char *place, struct sandbox_needs *out)
{
    static char *root;
    g_free(root);
    root = folder_of(place);
    out->root = root;
}

/* Large sorts go to files without a name, which may be made there only. */
static void keep_temporary_files(const char *place)
{
    g_autofree char *folder = folder_of(place);
    if (folder != NULL) {
        g_setenv("SQLITE_TMPDIR", folder, TRUE);
    }
}

static enum sql_opened open_lite(const char *place, const char *statement, char **problem)
{
    lite.path = place;
    lite.text = statement;
    keep_temporary_files(place);
    enum sql_opened opened = open_file(problem);
    if (opened != SQL_OPEN) {
        close_file();
    }
    return opened;
}

/* ---- Errors -------------------------------------------------------------------------------
 */

/* After these the file is opened again: it may be another one now. */
static bool is_lost(int kind)
{
    return kind == SQLITE_IOERR || kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ||
           kind == SQLITE_CANTOPEN || kind == SQLITE_READONLY;
}

/* What is wrong with the values of a job stays wrong. */
static enum handler_result refuse(int code, GString *why)
{
    int kind = code & 0xff;
    if (kind == SQLITE_INTERRUPT) {
        g_string_assign(why, "sql: the job's time was over before the statement had ended");
    } else {
        g_string_printf(why, "sql: %s%s", sqlite3_errmsg(lite.db), hint(code));
    }
    if (is_lost(kind)) {
        close_file(); /* which rolls back */
    }
    bool final = kind == SQLITE_CONSTRAINT || kind == SQLITE_MISMATCH || kind == SQLITE_TOOBIG;
    return final ? HANDLER_FATAL : HANDLER_RETRY;
}

/* ---- Rows ---------------------------------------------------------------------------------
 */

/* With the fewest digits that give the same number. */
static void put_real(struct sql_rows *rows, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    static const char *const formats[] = { "%.15g", "%.16g", "%.17g" };
    if (!isfinite(value)) {
        const char *name = value > 0 ? "Infinity" : "-Infinity";
        sql_rows_text(rows, name, strlen(name));
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_ascii_formatd(text, sizeof text, formats[i], value);
        if (g_ascii_strtod(text, NULL) == value) {
            break;
        }
    }
    sql_rows_json(rows, text, strlen(text));
}

static void put_integer(struct sql_rows *rows, int64_t value, const char *type)
{
    if (g_ascii_strncasecmp(type, "bool", 4) == 0 && (value == 0 || value == 1)) {
        sql_rows_bool(rows, value == 1);
    } else {
        char text[24];
        sql_rows_json(rows, text, ox__int_text(text, value));
    }
}

/* SQLite has no types for truth and JSON; that a column is of one is told by what its table
 * calls it, or by the function that made it. */
static void put_column(struct sql_rows *rows, sqlite3_stmt *statement, int column)
{
    const char *declared = sqlite3_column_decltype(statement, column);
    const char *type = declared != NULL ? declared : "";
    bool is_json =
        g_ascii_strncasecmp(type, "json", 4) == 0 ||
        sqlite3_value_subtype(sqlite3_column_value(statement, column)) == JSON_SUBTYPE;
    sql_rows_cell(rows, sqlite3_column_name(statement, column));
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_NULL:
        sql_rows_null(rows);
        break;
    case SQLITE_INTEGER:
        put_integer(rows, sqlite3_column_int64(statement, column), type);
        break;
    case SQLITE_FLOAT:
        put_real(rows, sqlite3_column_double(statement, column));
        break;
    case SQLITE_BLOB: {
        const void *bytes = sqlite3_column_blob(statement, column);
        sql_rows_bytes(rows, bytes, (size_t)sqlite3_column_bytes(statement, column));
        break;
    }
    default: {
        const char *text = (const char *)sqlite3_column_text(statement, column);
        size_t length = (size_t)sqlite3_column_bytes(statement, column);
        (is_json ? sql_rows_json : sql_rows_text)(rows, text != NULL ? text : "", length);
    }
    }
}

static bool put_row(struct sql_rows *rows, GString *why)
{
    sql_rows_begin_row(rows);
    for (int i = 0; i < sqlite3_column_count(lite.statement); i++) {
        put_column(rows, lite.statement, i);
    }
    return sql_rows_end_row(rows, why);
}

/* ---- Run ----------------------------------------------------------------------------------
 */

static int bind_values(const struct sql_job *job)
{
    int code = SQLITE_OK;
    for (int i = 1; code == SQLITE_OK && i <= sqlite3_bind_parameter_count(lite.statement);
         i++) {
        int value = value_of(i);
        code = value == SQL_ATTEMPT
                   ? sqlite3_bind_int64(lite.statement, i, job->attempt)
                   : sqlite3_bind_text64(lite.statement, i, job->values[value],
                         strlen(job->values[value]), SQLITE_STATIC, SQLITE_UTF8);
    }
    return code;
}

/* Not 0 ends the statement. */
static int look_at_clock(void *arg)
{
    (void)arg;
    return lite.job->until_ms != 0 && sql_now_ms() >= lite.job->until_ms;
}

static enum handler_result step_through(struct sql_rows *rows, GString *why)
{
    int code;
    int before = sqlite3_total_changes(lite.db);
    while ((code = sqlite3_step(lite.statement)) == SQLITE_ROW) {
        if (!put_row(rows, why)) {
            return HANDLER_FATAL;
        }
    }
    if (code == SQLITE_DONE && sqlite3_column_count(lite.statement) == 0) {
        bool changed = sqlite3_total_changes(lite.db) != before;
        sql_rows_changed(rows, changed ? sqlite3_changes(lite.db) : 0);
    }
    return code == SQLITE_DONE ? HANDLER_DONE : refuse(code, why);
}

static enum handler_result transact(
    const struct sql_job *job, struct sql_rows *rows, GString *why)
{
    bool reads = sqlite3_stmt_readonly(lite.statement);
    int code = sqlite3_exec(lite.db, reads ? "BEGIN" : "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = bind_values(job);
    }
    if (code != SQLITE_OK) {
        return refuse(code, why);
    }
    enum handler_result result = step_through(rows, why);
    if (result != HANDLER_DONE) {
        return result;
    }
    sqlite3_reset(lite.statement);
    if (sqlite3_get_autocommit(lite.db)) {
        g_string_assign(why, "sql: the statement ended its transaction, which it must not");
        return HANDLER_FATAL;
    }
    code = sqlite3_exec(lite.db, "COMMIT", NULL, NULL, NULL);
    return code == SQLITE_OK ? HANDLER_DONE : refuse(code, why);
}

/* A file that was replaced or removed while it was open would take changes that nobody sees. */
static bool has_moved(void)
{
    int moved = 0;
    sqlite3_file_control(lite.db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved != 0;
}

static enum handler_result run(const struct sql_job *job, struct sql_rows *rows, GString *why)
{
    g_autofree char *problem = NULL;
    if (lite.db != NULL && has_moved()) {
        close_file();
    }
    if (lite.db == NULL && open_lite(lite.path, lite.text, &problem) != SQL_OPEN) {
        g_string_printf(why, "sql: %s", problem);
        return HANDLER_RETRY;
    }
    lite.job = job;
    sqlite3_busy_timeout(lite.db, (int)sql_left_ms(job, BUSY_MAX_MS));
    sqlite3_progress_handler(lite.db, STEPS_A_LOOK, look_at_clock, NULL);
    enum handler_result result = transact(job, rows, why);
    if (lite.db != NULL) {
        sqlite3_progress_handler(lite.db, 0, NULL, NULL);
        sqlite3_reset(lite.statement);
        sqlite3_clear_bindings(lite.statement);
        if (!sqlite3_get_autocommit(lite.db)) {
            sqlite3_exec(lite.db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    lite.job = NULL;
    return result;
}

const struct sql_engine sql_lite = {
    .needs = needs_lite,
    .open = open_lite,
    .run = run,
    .close = close_file,
};
