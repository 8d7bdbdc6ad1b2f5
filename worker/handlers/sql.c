/*
 * sql.c - the sql handler: its options, and the five values of a job. Which database it is
 * follows from --db.
 */
#include "sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/startup.h"
#include "base/stored.h"
#include "sandbox.h"

#define STATEMENT_MAX_BYTES ((gsize)1 << 20)
#define LITE_SCHEME "sqlite:"
/* What is left of a job's time when its statement must have ended: a tenth of it, at most so
 * much. Then the transaction is rolled back, and the connection stays; later the whole process
 * is killed. */
#define SPARE_MAX_MS 1000

static const char needs_statement[] =
    "sql needs a statement: QUEUE=sql:FILE, or --statement SQL";
static const char needs_db[] =
    "sql needs a database: --db postgresql://[USER@]HOST/DATABASE, --db sqlite:PATH, OX_DB or "
    "DATABASE_URL";

struct sql_options {
    const char *db, *statement;
    int64_t max_rows;
};

static struct {
    const struct sql_engine *engine; /* NULL: not started */
    char *db, *statement;            /* as they were read */
    struct sql_rows rows;
} sql;

int64_t sql_now_ms(void)
{
    return g_get_real_time() / 1000;
}

int64_t sql_left_ms(const struct sql_job *job, int64_t max_ms)
{
    return job->until_ms == 0 ? max_ms : CLAMP(job->until_ms - sql_now_ms(), 1, max_ms);
}

/* ---- Start --------------------------------------------------------------------------------
 */

static bool read_file(const char *path, char **text, char **problem)
{
    g_autoptr(GError) error = NULL;
    gsize length;
    if (!g_file_get_contents(path, text, &length, &error)) {
        *problem = g_strdup_printf("the statement cannot be read: %s", error->message);
        return false;
    }
    if (length > STATEMENT_MAX_BYTES || strlen(*text) != length) {
        *problem = g_strdup_printf("%s is not a statement: it has %s", path,
            length > STATEMENT_MAX_BYTES ? "more than 1 MB" : "a NUL");
        return false;
    }
    return true;
}

/* What follows "sql:" is a file; --statement is the text, or "@FILE". NULL: no file. */
static const char *statement_file(const struct handler_config *config)
{
    const char *text = ((const struct sql_options *)config->options)->statement;
    if (config->arg != NULL) {
        return config->arg;
    }
    return text != NULL && *text == '@' ? text + 1 : NULL;
}

/* The first word of a statement, behind blanks and comments; empty where databases do not agree
 * on the end of a comment. */
static const char *first_word(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n\f\v;");
        if (g_str_has_prefix(text, "--")) {
            text += strcspn(text, "\n");
        } else if (g_str_has_prefix(text, "/*")) {
            const char *inner = strstr(text + 2, "/*"), *end = strstr(text + 2, "*/");
            if (end == NULL || (inner != NULL && inner < end)) {
                return "";
            }
            text = end + 2;
        } else {
            return text;
        }
    }
}

/* These cannot be of use in a job, which is a transaction: they would end it, or begin another
 * one. Other ways to end it, such as a procedure that commits, are seen when the job has run.
 */
static void refuse_transaction(const char *statement, char **problem)
{
    static const char *const words[] = { "BEGIN", "START", "COMMIT", "END", "ROLLBACK",
        "ABORT" };
    const char *word = first_word(statement);
    size_t length = strspn(word, G_CSET_A_2_Z G_CSET_a_2_z);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strlen(words[i]) == length && g_ascii_strncasecmp(word, words[i], length) == 0) {
            *problem = g_strdup_printf("the statement is %s, but each job is a transaction "
                                       "already, and ends by itself",
                words[i]);
        }
    }
}

static bool read_statement(const struct handler_config *config, char **problem)
{
    const struct sql_options *options = config->options;
    const char *text = options->statement, *file = statement_file(config);
    if (file != NULL && !read_file(file, &sql.statement, problem)) {
        return false;
    }
    if (file == NULL && text != NULL) {
        sql.statement = g_strdup(text);
    }
    if (sql.statement == NULL || sql.statement[strspn(sql.statement, " \t\r\n;")] == '\0') {
        *problem = g_strdup(needs_statement);
    } else if (!g_utf8_validate(sql.statement, -1, NULL)) {
        *problem = g_strdup("the statement is not UTF-8");
    } else {
        refuse_transaction(sql.statement, problem);
    }
    return *problem == NULL;
}

/* The database that a text names; NULL for none. */
static const struct sql_engine *find_engine(const char *db)
{
    if (g_str_has_prefix(db, "postgresql://") || g_str_has_prefix(db, "postgres://")) {
        return &sql_pg;
    }
    return g_str_has_prefix(db, LITE_SCHEME) && db[strlen(LITE_SCHEME)] != '\0' ? &sql_lite
                                                                                : NULL;
}

/* Passwords behind a '?' are not hidden where the rest of a URL's are, in ps(1) and the log. */
static bool shows_password(const char *db)
{
    const char *query = strchr(db, '?');
    return query != NULL && strstr(query, "password=") != NULL;
}

static bool read_db(const struct handler_config *config, bool check_only, char **problem)
{
    const char *given = ((const struct sql_options *)config->options)->db;
    bool exposed;
    if (given == NULL) {
        *problem = g_strdup(needs_db);
        return false;
    }
    if (!ox__startup_read_url(given, &sql.db, &exposed, problem)) {
        return false;
    }
    if (exposed && check_only) {
        fprintf(stderr, "sql: every user can read the file of --db (chmod 600)\n");
    }
    if (find_engine(sql.db) == NULL) {
        *problem =
            g_strdup("--db is neither postgresql://[USER@]HOST/DATABASE nor sqlite:PATH");
    } else if (*given != '@' && shows_password(given)) {
        *problem =
            g_strdup("--db shows a password behind its '?'; write it as USER:PASSWORD@HOST, "
                     "or the whole into a file: --db @FILE");
    }
    return *problem == NULL;
}

/* Who gives neither is told of both. */
static bool refuse_nothing(const struct handler_config *config, char **problem)
{
    const struct sql_options *options = config->options;
    if (options->db == NULL && options->statement == NULL && config->arg == NULL) {
        *problem = g_strdup_printf("%s; and %s", needs_statement, needs_db);
    }
    return *problem == NULL;
}

static const char *place_of(const struct sql_engine *engine, const char *db)
{
    return db + (engine == &sql_lite ? strlen(LITE_SCHEME) : 0);
}

/* Of the database, and the two files that are read at the start. */
static void needs(const struct handler_config *config, struct sandbox_needs *out)
{
    static const char *first_reads[3]; /* lives as long as the process */
    static char *db;
    const char *given = ((const struct sql_options *)config->options)->db;
    g_autofree char *problem = NULL; /* init() tells it */
    bool exposed;
    size_t count = 0;
    *out = (struct sandbox_needs){ 0 };
    g_clear_pointer(&db, g_free);
    const struct sql_engine *engine =
        given != NULL && ox__startup_read_url(given, &db, &exposed, &problem) ? find_engine(db)
                                                                              : NULL;
    if (engine != NULL) {
        engine->needs(place_of(engine, db), out);
    }
    if (statement_file(config) != NULL) {
        first_reads[count++] = statement_file(config);
    }
    if (given != NULL && *given == '@') {
        first_reads[count++] = given + 1;
    }
    first_reads[count] = NULL;
    out->confined = true;
    out->first_reads = first_reads;
}

static void close_engine(void)
{
    if (sql.engine != NULL) {
        sql.engine->close();
    }
    sql.engine = NULL;
    g_clear_pointer(&sql.db, g_free);
    g_clear_pointer(&sql.statement, g_free);
    ox__buf_done(&sql.rows.text);
}

/* A database that is away when the worker starts is no reason not to: children wait for it. */
static bool accept(enum sql_opened opened, bool check_only, char **problem)
{
    if (opened == SQL_AWAY && check_only) {
        fprintf(stderr, "sql: %s; jobs wait until it is there\n", *problem);
        g_clear_pointer(problem, g_free);
        return true;
    }
    return opened == SQL_OPEN;
}

static bool init(const struct handler_config *config, bool check_only, char **problem)
{
    close_engine();
    if (!refuse_nothing(config, problem) || !read_statement(config, problem) ||
        !read_db(config, check_only, problem)) {
        return false;
    }
    sql.engine = find_engine(sql.db);
    const char *place = place_of(sql.engine, sql.db);
    if (check_only) {
        /* The worker waits for the check, and kills one that takes longer than 30 seconds: a
         * PostgreSQL that takes connections and says nothing must be told from that. Seconds;
         * libpq waits twice. */
        g_setenv("PGCONNECT_TIMEOUT", "3", FALSE);
    }
    bool good = accept(sql.engine->open(place, sql.statement, problem), check_only, problem);
    if (check_only) {
        close_engine();
    }
    return good;
}

/* ---- Run ----------------------------------------------------------------------------------
 */

/* The text if it is UTF-8 without a NUL, else a copy in which each such byte is U+FFFD, which
 * *copy then owns: databases refuse the one, and PostgreSQL the other. */
static const char *valid_text(const char *text, size_t length, char **copy)
{
    if (strlen(text) == length && g_utf8_validate(text, (gssize)length, NULL)) {
        return text;
    }
    return *copy = g_utf8_make_valid(text, (gssize)length);
}

static int64_t until_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - sql_now_ms();
    return deadline_ms == 0 ? 0 : deadline_ms - CLAMP(left / 10, 0, SPARE_MAX_MS);
}

/* The column of that name; PostgreSQL makes it lower case where it is not in quotes. */
static struct ox__slice identifier_of(struct ox__slice row)
{
    struct ox__slice value = ox__slice_get(row, "itemIdentifier");
    return value.at != NULL ? value : ox__slice_get(row, "itemidentifier");
}

/* Rows with a column itemIdentifier are the events of a batch that failed; NULL names none, as
 * a CASE without ELSE gives it for those that did not. */
static void name_failures(GString *out)
{
    g_autoptr(GString) list = g_string_new(NULL);
    struct ox__slice row, rows = ox__slice_at(out->str);
    const char *at = NULL;
    while (*rows.at == '[' && ox__slice_element(rows, &at, &row)) {
        const struct ox__slice value = identifier_of(row);
        if (value.at != NULL) {
            g_string_append_printf(list, "%s{\"itemIdentifier\":%.*s}",
                list->len > 0 ? "," : "", (int)(value.end - value.at), value.at);
        }
    }
    if (list->len > 0) {
        g_string_printf(out, "{\"batchItemFailures\":[%s]}", list->str);
    }
}

static enum handler_result run(const struct handler_job *job,
    const struct handler_config *config, const struct handler_io *io, GString *out)
{
    g_autofree char *data = NULL, *id = NULL, *name = NULL, *queue = NULL;
    char attempt[24];
    if (ox__json_scan(job->data, job->data_len, OX__JSON_STORED) != 1) {
        g_string_assign(out, "sql: the job's data is not JSON");
        return HANDLER_FATAL;
    }
    snprintf(attempt, sizeof attempt, "%" PRIu32, job->attempt);
    const struct sql_job values = {
        .values = {
            [SQL_DATA] = valid_text(job->data, job->data_len, &data),
            [SQL_ID] = valid_text(job->id, strlen(job->id), &id),
            [SQL_NAME] = valid_text(job->name, job->name_len, &name),
            [SQL_QUEUE] = valid_text(job->queue, strlen(job->queue), &queue),
            [SQL_ATTEMPT] = attempt,
        },
        .attempt = job->attempt,
        .until_ms = until_ms(job->deadline_ms),
        .io = io,
    };
    sql_rows_start(&sql.rows, ((const struct sql_options *)config->options)->max_rows);
    enum handler_result result = sql.engine->run(&values, &sql.rows, out);
    if (result == HANDLER_DONE) {
        sql_rows_finish(&sql.rows, out);
    }
    if (result == HANDLER_DONE && job->events > 0) {
        name_failures(out);
    }
    return result;
}

static const struct opt rows[] = {
    { .name = "db",
        .kind = OPT_TEXT,
        .offset = offsetof(struct sql_options, db),
        .arg = "URL|@FILE",
        .env = "OX_DB DATABASE_URL",
        .help = "the database, postgresql://[USER[:PASSWORD]@]HOST/NAME or sqlite:PATH, else "
                "OX_DB, else DATABASE_URL" },
    { .name = "statement",
        .kind = OPT_TEXT,
        .offset = offsetof(struct sql_options, statement),
        .arg = "SQL|@FILE",
        .help =
            "what to run, for queues that give no file after sql: ($1 data, $2 id, $3 name, "
            "$4 queue, $5 attempt)" },
    { .name = "max-rows",
        .kind = OPT_COUNT,
        .offset = offsetof(struct sql_options, max_rows),
        .min = 1,
        .max = 1000000,
        .arg = "N",
        .standard = "1000",
        .help = "fail a job whose statement gives more rows, and change nothing" },
    { 0 },
};

/* The second is libpq's own. */
static const struct handler_secret secrets[] = {
    { "DATABASE_URL", "db" },
    { "PGPASSWORD", NULL },
    { 0 },
};

const struct handler sql_handler = {
    .name = "sql",
    .runs = HANDLER_RUNS_BOTH,
    .summary =
        "run a statement in PostgreSQL or SQLite: job data is $1, its rows are the return "
        "value",
    .argument = "FILE",
    .opts = rows,
    .options_size = sizeof(struct sql_options),
    .secrets = secrets,
    .needs = needs,
    .init = init,
    .run = run,
    .done = close_engine, /* a server notes in its log who leaves without a word */
};
