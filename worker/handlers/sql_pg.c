/*
 * sql_pg.c - the sql handler on PostgreSQL.
 *
 * A connection is opened when the child starts, and again when it is found broken: before a
 * job's transaction has begun nothing is lost by that, and it is done at once; after that the
 * job fails and is tried again.
 *
 * Values go as text, of the types that the server finds for the parameters, and rows are read
 * one by one, so that a statement with a million of them ends at the limit.
 */
#include "sql.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"

/* The name of the statement in the session. */
#define STATEMENT "ox"
/* A server that restarts is waited for, if the job has that much time. */
#define AWAY_MAX_MS 10000
#define AWAY_REST_MS 200

/* Types that rows and parameters may have, by their numbers in the system catalogue. */
enum {
    TYPE_BOOL = 16,
    TYPE_BYTES = 17,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_OID = 26,
    TYPE_JSON = 114,
    TYPE_FLOAT4 = 700,
    TYPE_FLOAT8 = 701,
    TYPE_NUMERIC = 1700,
    TYPE_JSONB = 3802
};

static struct {
    const char *url, *text;
    PGconn *conn;                /* NULL: none */
    int parameters;              /* of the statement */
    int64_t own_timeout_ms;      /* statement_timeout of the role, database or URL; 0: none */
    const struct handler_io *io; /* of the job that runs, or NULL */
} pg;

static void disconnect(void)
{
    PQfinish(pg.conn);
    pg.conn = NULL;
}

/* ---- Files ---------------------------------------------------------------------------------
 */

/* What the URL says of these options, else a service or a variable, is a file or a folder. */
static const char *const file_options[] = { "passfile", "sslcert", "sslkey", "sslrootcert",
    "sslcrl", "sslcrldir" };

/* (g_free) */
static char *option_value(const PQconninfoOption *options, const char *name)
{
    for (; options != NULL && options->keyword != NULL; options++) {
        if (strcmp(options->keyword, name) == 0) {
            return g_strdup(options->val);
        }
    }
    return NULL;
}

static void add_path(GPtrArray *paths, const char *path)
{
    if (path != NULL && *path != '\0') {
        g_ptr_array_add(paths, g_strdup(path));
    }
}

static void add_options(GPtrArray *paths, PQconninfoOption *options)
{
    for (size_t i = 0; i < G_N_ELEMENTS(file_options); i++) {
        g_autofree char *value = option_value(options, file_options[i]);
        add_path(paths, value);
    }
    PQconninfoFree(options);
}

/* A service that the URL names is read as if PGSERVICE had named it, which libpq offers. */
static void add_option_files(GPtrArray *paths, const char *place)
{
    PQconninfoOption *of_url = PQconninfoParse(place, NULL);
    g_autofree char *service = option_value(of_url, "service");
    g_autofree char *before = g_strdup(g_getenv("PGSERVICE"));
    if (service != NULL) {
        g_setenv("PGSERVICE", service, TRUE);
    }
    add_options(paths, PQconndefaults());
    add_options(paths, of_url);
    if (service != NULL && before != NULL) {
        g_setenv("PGSERVICE", before, TRUE);
    } else if (service != NULL) {
        g_unsetenv("PGSERVICE");
    }
}

/* Each by itself, since they may be links. */
static void add_home_files(GPtrArray *paths)
{
    static const char *const names[] = { ".pgpass", ".pg_service.conf", ".postgresql/root.crt",
        ".postgresql/root.crl", ".postgresql/postgresql.crt", ".postgresql/postgresql.key" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(g_get_home_dir(), names[i], NULL);
        add_path(paths, path);
    }
    g_autofree char *tickets = g_strdup_printf("/tmp/krb5cc_%u", (unsigned)getuid());
    const char *given = g_getenv("KRB5CCNAME");
    if (given == NULL) {
        add_path(paths, tickets);
    } else {
        add_path(paths, g_str_has_prefix(given, "FILE:") ? given + strlen("FILE:") : given);
    }
}

/* Connections out, and what libpq reads for each of them. */
static void needs_pg(const char *place, struct sandbox_needs *out)
{
    static const char *const fixed[] = { "/etc/passwd", "/etc/postgresql-common",
        "/etc/krb5.conf", "/etc/krb5.conf.d", "/etc/gss" };
    static const char *const variables[] = { "PGSERVICEFILE", "PGSYSCONFDIR", "KRB5_CONFIG",
        "OPENSSL_CONF" };
    static GPtrArray *reads; /* lives as long as the process */
    g_clear_pointer(&reads, g_ptr_array_unref);
    reads = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++) {
        add_path(reads, fixed[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(variables); i++) {
        add_path(reads, g_getenv(variables[i]));
    }
    add_home_files(reads);
    add_option_files(reads, place);
    g_ptr_array_add(reads, NULL);
    out->connects = true;
    out->reads = (const char *const *)reads->pdata;
}

/* ---- Messages ------------------------------------------------------------------------------
 */

/* The first line of what the connection says (g_free). */
static char *connection_problem(void)
{
    const char *said = PQerrorMessage(pg.conn);
    char *line = g_strndup(said, strcspn(said, "\n"));
    if (*g_strstrip(line) == '\0') {
        g_free(line);
        return g_strdup("the connection was lost");
    }
    return line;
}

/* "MESSAGE (SQLSTATE 23505)" (g_free). */
static char *server_problem(const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return message != NULL && state != NULL
               ? g_strdup_printf("%s (SQLSTATE %s)", message, state)
               : connection_problem();
}

static bool has_state(const PGresult *result, const char *beginning)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state != NULL && g_str_has_prefix(state, beginning);
}

static void log_part(const PGresult *result, int field, const char *name)
{
    const char *text = PQresultErrorField(result, field);
    if (text != NULL && pg.io != NULL) {
        g_autofree char *row = g_strdup_printf("%s: %s", name, text);
        pg.io->log(pg.io->arg, row);
    }
}

/* What statements and triggers say with RAISE is for the job's log. */
static void on_notice(void *arg, const PGresult *result)
{
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
    (void)arg;
    log_part(result, PG_DIAG_MESSAGE_PRIMARY, severity != NULL ? severity : "NOTICE");
}

/* ---- Connect -------------------------------------------------------------------------------
 */

/* A program waits for half of forever by default. What the URL says of it counts first. */
static const char *const names[] = { "connect_timeout", "keepalives_idle",
    "keepalives_interval", "keepalives_count", "fallback_application_name", "dbname",
    "client_encoding", NULL };

static void connection_values(const char *values[G_N_ELEMENTS(names)])
{
    const char *const all[G_N_ELEMENTS(names)] = { getenv("PGCONNECT_TIMEOUT") != NULL ? NULL
                                                                                       : "10",
        "30", "10", "3", "ox-worker", pg.url, "UTF8", NULL };
    memcpy(values, all, sizeof all);
}

/* Whether the server can be reached; if not, or if it is just starting, that may pass. */
static bool is_away(void)
{
    const char *values[G_N_ELEMENTS(names)];
    connection_values(values);
    PGPing ping = PQpingParams(names, values, 1);
    return ping == PQPING_NO_RESPONSE || ping == PQPING_REJECT;
}

/* Forms of text that roles may have changed are set back; the time that the role has for a
 * statement is read. */
static bool set_up_session(char **problem)
{
    PGresult *result = PQexec(pg.conn,
        "SET bytea_output = hex; SET datestyle = ISO; SET extra_float_digits = 1; "
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'");
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (good) {
        pg.own_timeout_ms = g_ascii_strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    } else {
        *problem = server_problem(result);
    }
    PQclear(result);
    return good;
}

/* The number behind the '$' of a message, from 0; negative when there is none up to $5. */
static int named_parameter(const PGresult *result)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *dollar = message != NULL ? strchr(message, '$') : NULL;
    bool good = dollar != NULL && dollar[1] >= '1' && dollar[1] < '1' + SQL_VALUES &&
                !g_ascii_isdigit(dollar[2]);
    return good ? dollar[1] - '1' : -1;
}

/* The line of the statement that an error is in, as " in line 3", or "" (g_free). */
static char *error_line(const PGresult *result)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
    int64_t characters = position != NULL ? g_ascii_strtoll(position, NULL, 10) : 0;
    int line = 1;
    const char *at = pg.text;
    for (; characters > 1 && *at != '\0'; characters--, at = g_utf8_next_char(at)) {
        line += *at == '\n';
    }
    return position != NULL ? g_strdup_printf(" in line %d", line) : g_strdup("");
}

/* Parses the statement. The server finds the types of its parameters by where they stand; for
 * one of which it can tell nothing, or that is left out, it is told the type, one after the
 * other. */
static bool prepare(char **problem)
{
    static const Oid own[SQL_VALUES] = { TYPE_JSON, TYPE_TEXT, TYPE_TEXT, TYPE_TEXT,
        TYPE_INT4 };
    Oid types[SQL_VALUES] = { 0 };
    for (int told = 0;;) {
        PGresult *result = PQprepare(pg.conn, STATEMENT, pg.text, told, types);
        if (PQresultStatus(result) == PGRES_COMMAND_OK) {
            PQclear(result);
            return true;
        }
        int unknown = has_state(result, "42P18") ? named_parameter(result) : -1;
        if (unknown < 0 || types[unknown] != 0) {
            g_autofree char *said = server_problem(result), *line = error_line(result);
            *problem = g_strdup_printf("the statement%s: %s", line, said);
            PQclear(result);
            return false;
        }
        PQclear(result);
        types[unknown] = own[unknown];
        told = MAX(told, unknown + 1);
    }
}

static const char *column_name(void *arg, int column)
{
    return PQfname(arg, column);
}

/* What the server found of the statement. */
static bool describe(char **problem)
{
    PGresult *result = PQdescribePrepared(pg.conn, STATEMENT);
    const char *name = sql_repeated_name(column_name, result, PQnfields(result));
    pg.parameters = PQnparams(result);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        *problem = server_problem(result);
    } else if (pg.parameters > SQL_VALUES) {
        *problem = g_strdup_printf("the statement has a parameter $%d; there are $1 to $%d",
            pg.parameters, SQL_VALUES);
    } else if (name != NULL) {
        *problem =
            g_strdup_printf("two columns are called \"%s\"; name one otherwise, with AS", name);
    }
    PQclear(result);
    return *problem == NULL;
}

static enum sql_opened open_session(char **problem)
{
    const char *values[G_N_ELEMENTS(names)];
    disconnect();
    connection_values(values);
    pg.conn = PQconnectdbParams(names, values, 1);
    if (PQstatus(pg.conn) != CONNECTION_OK) {
        *problem = connection_problem();
        return is_away() ? SQL_AWAY : SQL_WRONG;
    }
    PQsetNoticeReceiver(pg.conn, on_notice, NULL);
    if (set_up_session(problem) && prepare(problem) && describe(problem)) {
        return SQL_OPEN;
    }
    return PQstatus(pg.conn) == CONNECTION_OK ? SQL_WRONG : SQL_AWAY;
}

static enum sql_opened open_pg(const char *place, const char *statement, char **problem)
{
    pg.url = place;
    pg.text = statement;
    enum sql_opened opened = open_session(problem);
    if (opened != SQL_OPEN) {
        disconnect();
    }
    return opened;
}

/* ---- Errors --------------------------------------------------------------------------------
 */

/* Wrong data, constraints, views' checks, limits of the server's: no attempt changes them. */
static bool is_final(const PGresult *result)
{
    static const char *const classes[] = { "22", "23", "44", "54" };
    for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
        if (has_state(result, classes[i])) {
            return true;
        }
    }
    return false;
}

/* What passes with a new session: the statement is unknown, or its plan does not fit its tables
 * any more; the server has become one that only reads. */
static bool wants_new_session(const PGresult *result)
{
    return has_state(result, "26000") || has_state(result, "0A000") ||
           has_state(result, "25006") || PQstatus(pg.conn) != CONNECTION_OK;
}

static enum handler_result refuse(const PGresult *result, GString *why)
{
    g_autofree char *said = server_problem(result);
    g_string_printf(why, "sql: %s", said);
    log_part(result, PG_DIAG_MESSAGE_DETAIL, "DETAIL");
    log_part(result, PG_DIAG_MESSAGE_HINT, "HINT");
    log_part(result, PG_DIAG_CONTEXT, "CONTEXT");
    return is_final(result) ? HANDLER_FATAL : HANDLER_RETRY;
}

/* ---- Rows ----------------------------------------------------------------------------------
 */

static void put_value(struct sql_rows *rows, Oid type, const char *text, size_t length)
{
    switch (type) {
    case TYPE_BOOL:
        sql_rows_bool(rows, *text == 't');
        break;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_OID:
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
    case TYPE_NUMERIC: /* NaN and Infinity are strings, as in the server's own JSON */
    case TYPE_JSON:
    case TYPE_JSONB:
        sql_rows_json(rows, text, length);
        break;
    default:
        sql_rows_text(rows, text, length);
    }
}

static bool put_row(const PGresult *result, struct sql_rows *rows, GString *why)
{
    sql_rows_begin_row(rows);
    for (int i = 0; i < PQnfields(result); i++) {
        sql_rows_cell(rows, PQfname(result, i));
        if (PQgetisnull(result, 0, i)) {
            sql_rows_null(rows);
        } else {
            put_value(rows, PQftype(result, i), PQgetvalue(result, 0, i),
                (size_t)PQgetlength(result, 0, i));
        }
    }
    return sql_rows_end_row(rows, why);
}

/* ---- Run -----------------------------------------------------------------------------------
 */

static bool begin(const struct sql_job *job, char **problem)
{
    char text[64] = "BEGIN";
    if (job->until_ms != 0) {
        int64_t most_ms = pg.own_timeout_ms > 0 ? pg.own_timeout_ms : INT32_MAX;
        g_snprintf(text, sizeof text, "BEGIN; SET LOCAL statement_timeout = %" G_GINT64_FORMAT,
            sql_left_ms(job, most_ms));
    }
    PGresult *result = PQexec(pg.conn, text);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good) {
        *problem = server_problem(result);
    }
    PQclear(result);
    return good;
}

static bool reconnect(const struct sql_job *job, char **problem)
{
    int64_t until_ms = sql_now_ms() + sql_left_ms(job, AWAY_MAX_MS);
    enum sql_opened opened;
    while (
        (opened = open_pg(pg.url, pg.text, problem)) == SQL_AWAY && sql_now_ms() < until_ms) {
        g_clear_pointer(problem, g_free);
        g_usleep(AWAY_REST_MS * 1000);
    }
    return opened == SQL_OPEN;
}

/* Begins the transaction, on a new connection if the old one is found to be broken. */
static bool begin_somehow(const struct sql_job *job, GString *why)
{
    g_autofree char *problem = NULL;
    if (pg.conn != NULL && begin(job, &problem)) {
        return true;
    }
    g_clear_pointer(&problem, g_free);
    if (reconnect(job, &problem) && begin(job, &problem)) {
        return true;
    }
    disconnect();
    g_string_printf(why, "sql: %s", problem);
    return false;
}

/* One of the results that a statement gives. A connection that is in the middle of more is
 * closed, which also rolls back. */
static enum handler_result take_result(
    const PGresult *result, struct sql_rows *rows, GString *why)
{
    enum handler_result becomes = HANDLER_DONE;
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
        if (!put_row(result, rows, why)) {
            disconnect();
            becomes = HANDLER_FATAL;
        }
        break;
    case PGRES_TUPLES_OK: /* no more rows */
        break;
    case PGRES_COMMAND_OK: {
        const char *changed = PQcmdTuples((PGresult *)(uintptr_t)result);
        sql_rows_changed(rows, g_ascii_strtoll(changed, NULL, 10));
        break;
    }
    case PGRES_FATAL_ERROR:
        becomes = refuse(result, why);
        if (wants_new_session(result)) {
            disconnect();
        }
        break;
    default:
        g_string_assign(why, "sql: the statement copies from or to its client; a job cannot");
        disconnect();
        becomes = HANDLER_FATAL;
    }
    return becomes;
}

static enum handler_result execute(
    const struct sql_job *job, struct sql_rows *rows, GString *why)
{
    enum handler_result becomes = HANDLER_DONE;
    PGresult *result;
    if (!PQsendQueryPrepared(pg.conn, STATEMENT, pg.parameters, job->values, NULL, NULL, 0)) {
        g_autofree char *problem = connection_problem();
        g_string_printf(why, "sql: %s", problem);
        disconnect();
        return HANDLER_RETRY;
    }
    PQsetSingleRowMode(pg.conn);
    while (pg.conn != NULL && (result = PQgetResult(pg.conn)) != NULL) {
        if (becomes == HANDLER_DONE) {
            becomes = take_result(result, rows, why);
        }
        PQclear(result);
    }
    if (becomes == HANDLER_DONE && PQtransactionStatus(pg.conn) != PQTRANS_INTRANS) {
        g_string_assign(why, "sql: the statement ended its transaction, which it must not");
        disconnect();
        becomes = HANDLER_FATAL;
    }
    return becomes;
}

/* Ends the transaction; what was put off to its end is checked now. */
static enum handler_result end(const char *command, GString *why)
{
    enum handler_result becomes = HANDLER_DONE;
    PGresult *result = PQexec(pg.conn, command);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        becomes = refuse(result, why);
        if (PQstatus(pg.conn) != CONNECTION_OK) {
            g_string_append(why, "; whether the transaction was committed is not known");
        }
        if (wants_new_session(result)) {
            disconnect();
        }
    }
    PQclear(result);
    return becomes;
}

static enum handler_result run(const struct sql_job *job, struct sql_rows *rows, GString *why)
{
    enum handler_result becomes = HANDLER_RETRY;
    pg.io = job->io;
    if (begin_somehow(job, why)) {
        becomes = execute(job, rows, why);
        if (becomes == HANDLER_DONE) {
            becomes = end("COMMIT", why);
        } else if (pg.conn != NULL) {
            g_autoptr(GString) unused = g_string_new(NULL);
            end("ROLLBACK", unused);
        }
    }
    pg.io = NULL;
    return becomes;
}

const struct sql_engine sql_pg = {
    .needs = needs_pg,
    .open = open_pg,
    .run = run,
    .close = disconnect,
};
