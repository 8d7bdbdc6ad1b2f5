/*
 * settings.c - the command line, read and checked.
 *
 * An option is a row of `rows`: its name, its help, its default, and a function that turns
 * its text into a value. --help is made from the same rows. Whatever is wrong leaves one
 * sentence and nothing started.
 */
#include "settings.h"

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/startup.h"
#include "program.h"
#include "units.h"

#define DEFAULT_REDIS "redis://127.0.0.1:6379"
#define MAX_CHILDREN 1024
#define MIN_LOCK_MS 100
#define MAX_BATCH 500
#define MAX_CALLS 16
#define MAX_METRICS 1000000 /* minutes: about two years */

/* What the options leave: settings of the whole, and those that all queues of a command line
 * share. */
struct shared {
    struct settings *settings;
    struct queue_settings queue;
};

/* ---- Values ------------------------------------------------------------------------------ */

static bool take_concurrency(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 1, MAX_CHILDREN, &number);
    into->queue.concurrency = fits ? (uint32_t)number : 0;
    return fits;
}

static bool take_recycle(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 0, G_MAXUINT32, &number);
    into->queue.recycle = fits ? (uint32_t)number : 0;
    return fits;
}

static bool take_max_pixels(struct shared *into, const char *text)
{
    return parse_count(text, 1, G_MAXINT64, &into->queue.max_pixels);
}

static bool take_max_bytes(struct shared *into, const char *text)
{
    return parse_bytes(text, &into->queue.max_bytes) && into->queue.max_bytes > 0;
}

static bool take_timeout(struct shared *into, const char *text)
{
    return parse_duration(text, &into->queue.timeout_ms);
}

static bool take_limiter(struct shared *into, const char *text)
{
    return parse_rate(text, &into->queue.limiter_max, &into->queue.limiter_duration_ms);
}

static bool take_grace(struct shared *into, const char *text)
{
    return parse_duration(text, &into->settings->grace_ms);
}

static bool take_lock(struct shared *into, const char *text)
{
    return parse_duration(text, &into->settings->lock_ms) &&
           into->settings->lock_ms >= MIN_LOCK_MS;
}

static bool take_sweep(struct shared *into, const char *text)
{
    return parse_duration(text, &into->settings->sweep_ms) &&
           into->settings->sweep_ms >= MIN_LOCK_MS;
}

static bool take_max_stalled(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 1, G_MAXINT32, &number);
    into->settings->max_stalled = fits ? (int32_t)number : -1;
    return fits || strcmp(text, "any") == 0;
}

static bool take_on_disconnect(struct shared *into, const char *text)
{
    bool kills = strcmp(text, "kill") == 0;
    into->settings->on_disconnect = kills ? OX_DISCONNECT_KILL : OX_DISCONNECT_CONTINUE;
    return kills || strcmp(text, "continue") == 0;
}

static bool take_batch(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 1, MAX_BATCH, &number);
    into->settings->batch = fits ? (uint32_t)number : 0;
    return fits;
}

static bool take_calls(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 1, MAX_CALLS, &number);
    into->settings->calls = fits ? (uint32_t)number : 0;
    return fits;
}

static bool take_events(struct shared *into, const char *text)
{
    into->settings->no_events = strcmp(text, "off") == 0;
    return into->settings->no_events || strcmp(text, "on") == 0;
}

static bool take_legacy_pause(struct shared *into, const char *text)
{
    (void)text;
    into->settings->legacy_pause = true;
    return true;
}

/* BullMQ's own forms, and a time: "true", "false", a number of jobs, or an age. */
static bool take_keep(ox_keep *keep, const char *text)
{
    uint64_t count;
    uint32_t age_ms;
    if (strcmp(text, "true") == 0 || strcmp(text, "0") == 0) {
        keep->mode = OX_KEEP_NONE;
    } else if (strcmp(text, "false") == 0) {
        keep->mode = OX_KEEP_ALL;
    } else if (parse_count(text, 1, G_MAXINT32, &count)) {
        *keep = (ox_keep){ .mode = OX_KEEP_SOME, .count = (int64_t)count };
    } else if (parse_duration(text, &age_ms) && age_ms >= 1000) {
        *keep = (ox_keep){ .mode = OX_KEEP_SOME, .age_s = age_ms / 1000 };
    } else {
        return false;
    }
    return true;
}

static bool take_remove_on_complete(struct shared *into, const char *text)
{
    return take_keep(&into->settings->remove_on_complete, text);
}

static bool take_remove_on_fail(struct shared *into, const char *text)
{
    return take_keep(&into->settings->remove_on_fail, text);
}

static bool take_metrics(struct shared *into, const char *text)
{
    uint64_t number;
    bool fits = parse_count(text, 0, MAX_METRICS, &number);
    into->settings->metrics = fits ? (uint32_t)number : 0;
    return fits;
}

static bool take_log_format(struct shared *into, const char *text)
{
    into->settings->log_format = strcmp(text, "json") == 0 ? LOG_JSON : LOG_LOGFMT;
    return into->settings->log_format == LOG_JSON || strcmp(text, "logfmt") == 0;
}

static bool take_log_level(struct shared *into, const char *text)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            into->settings->log_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* What Redis takes for the name of a client; without one, no list of workers has it. */
static bool take_name(struct shared *into, const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at <= ' ' || *at > '~')
            return false;
    into->settings->name = g_strdup(text);
    return *text != '\0';
}

static bool take_root(struct shared *into, const char *text)
{
    char *path = g_file_test(text, G_FILE_TEST_IS_DIR) ? realpath(text, NULL) : NULL;
    into->queue.root = g_strdup(path);
    free(path);
    return into->queue.root != NULL;
}

static bool take_redis(struct shared *into, const char *text)
{
    into->settings->redis = g_strdup(text);
    return *text != '\0';
}

static bool take_prefix(struct shared *into, const char *text)
{
    into->settings->prefix = g_strdup(text);
    return *text != '\0';
}

static bool take_handlers(struct shared *into, const char *text)
{
    (void)into; /* program_find() has it already */
    return *text != '\0';
}

enum row_index { ROW_REDIS, ROW_HANDLERS }; /* the rows that are asked for by name */

static const struct row {
    const char *name;
    const char *arg; /* NULL for a flag, whose text is its name */
    const char *help;
    const char *standard; /* NULL: nothing is set */
    bool (*take)(struct shared *into, const char *text);
    const char *wants;
} rows[] = {
    [ROW_REDIS] = { "redis", "URL|@FILE", "Server, else OX_REDIS_URL, else REDIS_URL",
        DEFAULT_REDIS, take_redis, "a URL" },
    [ROW_HANDLERS] = { "handlers", "PROGRAM", "What runs the handlers", "ox-handler",
        take_handlers, "a program" },
    { "prefix", "P", "Prefix of all keys", "bull", take_prefix, "a prefix" },
    { "legacy-pause", NULL,
        "For queues shared with BullMQ 5.x: park the waiting jobs of a paused queue as it does",
        NULL, take_legacy_pause, NULL },
    { "name", "NAME", "Name of this worker, for dashboards", NULL, take_name,
        "a name of visible ASCII characters" },
    { "concurrency", "N", "Jobs of a queue at once, else one per core", NULL, take_concurrency,
        "a number from 1 to 1024" },
    { "root", "DIR", "The only folder that handlers read and write", NULL, take_root,
        "a folder" },
    { "timeout", "TIME", "Kill a job that runs longer; 0: never", "60s", take_timeout,
        "a time like 500ms, 60s or 5m, or 0" },
    { "grace", "TIME", "Time for running jobs to finish when told to stop", "30s", take_grace,
        "a time like 500ms, 30s or 5m, or 0" },
    { "lock", "TIME", "Lease of a running job, renewed while it runs", "10s", take_lock,
        "a time like 10s, at least 100ms" },
    { "sweep", "TIME", "How often stalled jobs are looked for, else twice in a lease", NULL,
        take_sweep, "a time like 5s, at least 100ms" },
    { "max-stalled", "N", "Fail a job whose worker went away more often while it ran", "1",
        take_max_stalled, "a number from 1 on, or any" },
    { "on-disconnect", "WHAT",
        "Let jobs continue while Redis is away, or kill them when their "
        "locks run out",
        "continue", take_on_disconnect, "continue or kill" },
    { "limiter", "MAX/TIME", "Start at most so many in so long, over all workers", NULL,
        take_limiter, "a rate like 100/1s" },
    { "recycle", "N", "Replace a child after so many jobs; 0: never", "0", take_recycle,
        "a number" },
    { "remove-on-complete", "KEEP", "For jobs that do not say: true, false, N or an age",
        "false", take_remove_on_complete, "true, false, a number of jobs or a time like 1d" },
    { "remove-on-fail", "KEEP", "The same for failed jobs", "false", take_remove_on_fail,
        "true, false, a number of jobs or a time like 1d" },
    { "events", "on|off", "Write the events that QueueEvents reads", "on", take_events,
        "on or off" },
    { "batch", "N", "Jobs in one script call at most", "50", take_batch,
        "a number from 1 to 500" },
    { "calls", "N", "Script calls in flight at most", "4", take_calls,
        "a number from 1 to 16" },
    { "metrics", "N", "Keep the counts of the last N minutes, for ox metrics", "0",
        take_metrics, "a number of minutes, at most 1000000" },
    { "max-pixels", "N", "image: refuse more", "50000000", take_max_pixels,
        "a number of pixels" },
    { "max-bytes", "SIZE", "image: refuse larger files", "128M", take_max_bytes,
        "a size like 500K, 128M or 1G" },
    { "log-format", "FORMAT", "logfmt or json", "logfmt", take_log_format, "logfmt or json" },
    { "log-level", "LEVEL", "error, warn, info or debug", "info", take_log_level,
        "error, warn, info or debug" },
};

/* What was given: the text of each row as bytes, in no locale's charset, and the rest. */
static char *texts[G_N_ELEMENTS(rows)];
static gboolean flags[G_N_ELEMENTS(rows)];
static char **queue_words;
static gboolean want_help, want_version;

static bool take_rows(struct shared *into, char **problem)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *text = flags[i] ? rows[i].name : texts[i] ? texts[i] : rows[i].standard;
        if (text && !rows[i].take(into, text)) {
            *problem =
                g_strdup_printf("--%s: '%s' is not %s", rows[i].name, text, rows[i].wants);
            return false;
        }
    }
    return true;
}

/* ---- Queues ------------------------------------------------------------------------------ */

static bool has_queue(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->queue_count; i++)
        if (strcmp(settings->queues[i].queue, name) == 0)
            return true;
    return false;
}

/* QUEUE=HANDLER[:ARG] */
static bool add_queue(struct settings *settings, const struct queue_settings *shared,
    const char *word, char **problem)
{
    const char *equals = strchr(word, '='), *colon = equals ? strchr(equals, ':') : NULL;
    if (!equals || equals == word || equals[1] == '\0' || colon == equals + 1) {
        *problem = g_strdup_printf("'%s' is not QUEUE=HANDLER[:ARG]", word);
        return false;
    }
    g_autofree char *queue = g_strndup(word, (gsize)(equals - word));
    if (strchr(queue, ':') || has_queue(settings, queue)) {
        *problem = g_strdup_printf(strchr(queue, ':') ? "the queue name '%s' has a colon"
                                                      : "the queue '%s' is given twice",
            queue);
        return false;
    }
    if (!g_utf8_validate(queue, -1, NULL)) {
        *problem = g_strdup_printf("the queue name '%s' is not UTF-8", queue);
        return false;
    }
    struct queue_settings *added = &settings->queues[settings->queue_count++];
    *added = *shared;
    added->queue = g_steal_pointer(&queue);
    added->handler =
        colon ? g_strndup(equals + 1, (gsize)(colon - equals - 1)) : g_strdup(equals + 1);
    added->arg = colon ? g_strdup(colon + 1) : NULL;
    added->root = g_strdup(shared->root);
    return true;
}

static bool add_queues(
    struct settings *settings, const struct queue_settings *shared, char **problem)
{
    guint count = queue_words ? g_strv_length(queue_words) : 0;
    if (count == 0) {
        *problem = g_strdup("which queue? QUEUE=HANDLER is missing");
        return false;
    }
    settings->queues = g_new0(struct queue_settings, count);
    for (guint i = 0; i < count; i++)
        if (!add_queue(settings, shared, queue_words[i], problem))
            return false;
    return true;
}

/* ---- All of it --------------------------------------------------------------------------- */

static void take_environment(void)
{
    static const char *const names[] = { "OX_REDIS_URL", "REDIS_URL" };
    for (size_t i = 0; i < G_N_ELEMENTS(names) && !texts[ROW_REDIS]; i++) {
        const char *value = g_getenv(names[i]);
        if (value && *value)
            texts[ROW_REDIS] = g_strdup(value);
    }
}

/* Whether a child of one queue is started as one of the other, but for the queue's name. */
static bool same_handler(const struct queue_settings *a, const struct queue_settings *b)
{
    return strcmp(a->handler, b->handler) == 0 && g_strcmp0(a->arg, b->arg) == 0 &&
           g_strcmp0(a->root, b->root) == 0 && a->max_pixels == b->max_pixels &&
           a->max_bytes == b->max_bytes;
}

/* A check is a process; many queues with one handler need one. */
static bool check_handlers(const struct settings *settings, char **problem)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        size_t first = 0;
        while (!same_handler(&settings->queues[first], &settings->queues[i]))
            first++;
        if (first == i && !program_check(settings, &settings->queues[i], problem))
            return false;
    }
    return true;
}

/* "@FILE" keeps a password off the command line and out of the environment. */
static bool read_server(struct settings *settings, char **problem)
{
    g_autofree char *given = g_steal_pointer(&settings->redis);
    return startup_read_url(given, &settings->redis, &settings->redis_exposed, problem);
}

static bool fill_in(struct settings *out, char **problem)
{
    struct shared shared = { .settings = out };
    shared.queue.concurrency = MIN(g_get_num_processors(), MAX_CHILDREN);
    take_environment();
    out->handler_program = program_find(texts[ROW_HANDLERS], problem);
    bool good = out->handler_program && take_rows(&shared, problem) &&
                read_server(out, problem) && add_queues(out, &shared.queue, problem) &&
                check_handlers(out, problem);
    g_free(shared.queue.root);
    return good;
}

static void print_help(GOptionContext *context)
{
    g_autofree char *problem = NULL, *program = program_find(texts[ROW_HANDLERS], &problem);
    g_autofree char *handlers = program ? program_handlers(program) : NULL;
    g_autofree char *below = g_strdup_printf("Handlers:\n%s\nExample:\n"
                                             "  ox-worker images=image --root ./photos\n",
        handlers ? handlers : "  (ox-handler was not found)\n");
    g_option_context_set_description(context, below);
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
    fputs(help, stdout);
}

/* The help of a row with its default; the group of options frees it. */
static const char *help_text(const struct row *row, GPtrArray *texts_of_help)
{
    char *text = row->standard ? g_strdup_printf("%s (%s)", row->help, row->standard)
                               : g_strdup(row->help);
    g_ptr_array_add(texts_of_help, text);
    return text;
}

static void add_entries(GOptionContext *context, GPtrArray *texts_of_help)
{
    GOptionEntry entries[G_N_ELEMENTS(rows) + 1] = { 0 };
    const GOptionEntry others[] = {
        { "help", 'h', 0, G_OPTION_ARG_NONE, &want_help, "Show this help", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &want_version, "Show the version", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &queue_words, NULL,
            "QUEUE=HANDLER[:ARG]..." },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        entries[i] = (GOptionEntry){
            .long_name = rows[i].name,
            .arg = rows[i].arg ? G_OPTION_ARG_FILENAME : G_OPTION_ARG_NONE,
            .arg_data = rows[i].arg ? (void *)&texts[i] : &flags[i],
            .description = help_text(&rows[i], texts_of_help),
            .arg_description = rows[i].arg,
        };
    g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, others, NULL);
}

/* GLib would drop the "no" of --legacy-pause=no in silence. */
static const char *flag_with_value(char **argv)
{
    for (char **arg = argv; *arg && strcmp(*arg, "--") != 0; arg++)
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            size_t length = strlen(rows[i].name);
            if (!rows[i].arg && g_str_has_prefix(*arg, "--") &&
                strncmp(*arg + 2, rows[i].name, length) == 0 && (*arg)[2 + length] == '=')
                return rows[i].name;
        }
    return NULL;
}

static enum settings_outcome parse(struct settings *out, int argc, char **argv, char **problem)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) texts_of_help = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GOptionContext) context = g_option_context_new("- run jobs of queues");
    g_option_context_set_help_enabled(context, FALSE);
    add_entries(context, texts_of_help);
    const char *flag = flag_with_value(argv);
    if (flag) {
        *problem = g_strdup_printf("--%s takes no value", flag);
        return SETTINGS_WRONG;
    }
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        *problem = g_strdup(error->message);
        return SETTINGS_WRONG;
    }
    if (want_help)
        print_help(context);
    else if (want_version)
        printf("ox-worker %s\n", OX_VERSION_TEXT);
    else
        return fill_in(out, problem) ? SETTINGS_RUN : SETTINGS_WRONG;
    return SETTINGS_DONE;
}

enum settings_outcome settings_parse(
    struct settings *out, int argc, char **argv, char **problem)
{
    *out = (struct settings){ .log_format = LOG_LOGFMT };
    *problem = NULL;
    enum settings_outcome outcome = parse(out, argc, argv, problem);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        g_clear_pointer(&texts[i], g_free);
    memset(flags, 0, sizeof flags);
    g_clear_pointer(&queue_words, g_strfreev);
    want_help = want_version = FALSE;
    return outcome;
}

void settings_done(struct settings *settings)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        g_free(settings->queues[i].queue);
        g_free(settings->queues[i].handler);
        g_free(settings->queues[i].arg);
        g_free(settings->queues[i].root);
    }
    g_free(settings->queues);
    g_free(settings->redis);
    g_free(settings->prefix);
    g_free(settings->name);
    g_free(settings->handler_program);
}

static void add_word(GPtrArray *words, const char *option, const char *value)
{
    if (value)
        g_ptr_array_add(words, g_strdup_printf("--%s=%s", option, value));
}

static void add_number(GPtrArray *words, const char *option, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
    add_word(words, option, text);
}

char **settings_child_argv(const struct queue_settings *queue, int parent_pid)
{
    GPtrArray *words = g_ptr_array_new();
    g_ptr_array_add(words, g_strdup("ox-handler"));
    add_word(words, "queue", queue->queue);
    add_word(words, "handler", queue->handler);
    add_word(words, "arg", queue->arg);
    add_word(words, "root", queue->root);
    add_number(words, "max-pixels", queue->max_pixels);
    add_number(words, "max-bytes", queue->max_bytes);
    add_number(words, "parent", (uint64_t)parent_pid);
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

char **settings_child_env(void)
{
    static const char *const secret[] = { "OX_REDIS_URL", "REDIS_URL", "NOTIFY_SOCKET" };
    char **env = g_get_environ();
    for (size_t i = 0; i < G_N_ELEMENTS(secret); i++)
        env = g_environ_unsetenv(env, secret[i]);
    return env;
}

char *settings_redact(const char *url)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *user = scheme ? scheme + 3 : url;
    const char *colon = at && user < at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (!colon)
        return g_strdup(url);
    return g_strdup_printf("%.*s:***%s", (int)(colon - url), url, at);
}
