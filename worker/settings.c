/*
 * settings.c - the command line, read and checked.
 *
 * An option is a row of `rows`. Those of the handlers are rows as well, which the program of
 * handlers lists; their values are handed to the children, which read and check them. Whatever
 * is wrong leaves one sentence and nothing started.
 */
#include "settings.h"

#include <glib.h>
#include <ox.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "base/options.h"
#include "base/startup.h"
#include "program.h"

#define MAX_CHILDREN 1024
#define MIN_LOCK_MS 100
#define HELP_WIDTH 96

/* All that a command line fills. */
struct given {
    struct settings settings;
    const char *handlers;
    bool help, version;
};

/* ---- values that are not of a kind ----------------------------------------------------------
 */

static bool parse_filled(char *text, void *out, char **why)
{
    *(const char **)out = text;
    if (*text == '\0') {
        *why = g_strdup("is empty");
    }
    return *text != '\0';
}

/* What Redis takes for the name of a client; without one, no list of workers has it. */
static bool parse_name(char *text, void *out, char **why)
{
    *(const char **)out = text;
    bool visible = *text != '\0';
    for (const char *at = text; *at != '\0'; at++) {
        visible = visible && *at > ' ' && *at <= '~';
    }
    if (!visible) {
        *why = g_strdup_printf("\"%s\" is not a name of visible ASCII characters", text);
    }
    return visible;
}

static bool parse_stalls(char *text, void *out, char **why)
{
    g_autofree char *not_a_count = NULL;
    if (strcmp(text, "any") == 0) {
        *(int64_t *)out = -1;
        return true;
    }
    if (ox__parse_count(text, 1, INT32_MAX, out, &not_a_count)) {
        return true;
    }
    *why = g_strdup_printf("\"%s\" is not a whole number from 1 on, or any", text);
    return false;
}

/* ---- rows -----------------------------------------------------------------------------------
 */

#define AT(field) .offset = offsetof(struct given, field)

static const struct opt rows[] = {
    { .name = "redis",
        .kind = OPT_PARSED,
        AT(settings.redis),
        .arg = "URL|@FILE",
        .env = "OX_REDIS_URL REDIS_URL",
        .standard = "redis://127.0.0.1:6379",
        .parse = parse_filled,
        .help = "the server, else OX_REDIS_URL, else REDIS_URL" },
    OX__TLS_ROWS(struct given, settings.tls),
    { .name = "handlers",
        .kind = OPT_PARSED,
        AT(handlers),
        .arg = "PROGRAM",
        .parse = parse_filled,
        .help = "what runs the handlers; else ox-handler, beside ox-worker or in ../libexec" },
    { .name = "prefix",
        .kind = OPT_PARSED,
        AT(settings.prefix),
        .arg = "PREFIX",
        .standard = "bull",
        .parse = parse_filled,
        .help = "prefix of all keys" },
    { .name = "legacy-pause",
        .kind = OPT_FLAG,
        AT(settings.legacy_pause),
        .help = "for queues shared with BullMQ 5.x: park the waiting jobs of a paused queue as "
                "it does" },
    { .name = "name",
        .kind = OPT_PARSED,
        AT(settings.name),
        .arg = "NAME",
        .parse = parse_name,
        .help = "name of this worker, for dashboards" },
    { .name = "concurrency",
        .kind = OPT_COUNT,
        AT(settings.each.concurrency),
        .min = 1,
        .max = MAX_CHILDREN,
        .arg = "N",
        .help = "jobs of a queue at once; else one per core" },
    { .name = "timeout",
        .kind = OPT_DURATION,
        AT(settings.each.timeout_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "60s",
        .help = "kill a job that runs longer; 0: never" },
    { .name = "grace",
        .kind = OPT_DURATION,
        AT(settings.grace_ms),
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "30s",
        .help = "time for running jobs to finish when told to stop" },
    { .name = "lock",
        .kind = OPT_DURATION,
        AT(settings.lock_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .standard = "10s",
        .help = "lock of a running job, renewed while it runs" },
    { .name = "sweep",
        .kind = OPT_DURATION,
        AT(settings.sweep_ms),
        .min = MIN_LOCK_MS,
        .max = UINT32_MAX,
        .arg = "TIME",
        .help = "how often stalled jobs are looked for; else twice in the time of a lock" },
    { .name = "max-stalled",
        .kind = OPT_PARSED,
        AT(settings.max_stalled),
        .arg = "N",
        .standard = "1",
        .parse = parse_stalls,
        .help = "fail a job whose worker went away more often while it ran; or any" },
    { .name = "on-disconnect",
        .kind = OPT_CHOICE,
        AT(settings.on_disconnect),
        .arg = "continue|kill",
        .standard = "continue",
        .help =
            "let jobs continue while Redis is away, or kill them when their locks run out" },
    { .name = "limiter",
        .kind = OPT_PARSED,
        AT(settings.each.limit),
        .arg = "MAX/TIME",
        .parse = ox__parse_rate,
        .help = "start at most so many in so long, over all workers" },
    { .name = "recycle",
        .kind = OPT_COUNT,
        AT(settings.each.recycle),
        .max = UINT32_MAX,
        .arg = "N",
        .standard = "0",
        .help = "replace a child after so many jobs; 0: never" },
    { .name = "remove-on-complete",
        .kind = OPT_PARSED,
        AT(settings.remove_on_complete),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help =
            "for completed jobs that do not say: true (none stay), false (all), a number of "
            "newest, an age such as 1d, or count=N,age=TIME,limit=N" },
    { .name = "remove-on-fail",
        .kind = OPT_PARSED,
        AT(settings.remove_on_fail),
        .arg = "KEEP",
        .standard = "false",
        .parse = ox__parse_keep,
        .help = "the same for failed jobs" },
    { .name = "events",
        .kind = OPT_CHOICE,
        AT(settings.events),
        .arg = "on|off",
        .standard = "on",
        .help = "write the events that QueueEvents reads" },
    { .name = "batch",
        .kind = OPT_COUNT,
        AT(settings.batch),
        .min = 1,
        .max = 500,
        .arg = "N",
        .standard = "50",
        .help = "jobs in one script call at most" },
    { .name = "calls",
        .kind = OPT_COUNT,
        AT(settings.calls),
        .min = 1,
        .max = 16,
        .arg = "N",
        .standard = "4",
        .help = "script calls in flight at most" },
    { .name = "metrics",
        .kind = OPT_COUNT,
        AT(settings.metrics),
        .max = 1000000, /* minutes: about two years */
        .arg = "N",
        .standard = "0",
        .help = "keep the counts of the last N minutes, for ox metrics" },
    { .name = "log-format",
        .kind = OPT_CHOICE,
        AT(settings.log_format),
        .arg = "logfmt|json",
        .standard = "logfmt",
        .help = "how log lines are written" },
    { .name = "log-level",
        .kind = OPT_CHOICE,
        AT(settings.log_level),
        .arg = "error|warn|info|debug",
        .standard = "info",
        .help = "which log lines are written" },
    { .name = "help",
        .letter = 'h',
        .kind = OPT_FLAG,
        AT(help),
        .help = "print help and stop" },
    { .name = "version", .kind = OPT_FLAG, AT(version), .help = "print the version and stop" },
    { 0 },
};

/* ---- queues ---------------------------------------------------------------------------------
 */

static bool has_queue(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        if (strcmp(settings->queues[i].queue, name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *keep(struct settings *settings, const char *text, size_t length)
{
    return g_string_chunk_insert_len(settings->strings, text, (gssize)length);
}

static bool check_queue_name(const struct settings *settings, const char *queue, char **problem)
{
    if (strchr(queue, ':') != NULL) {
        *problem = g_strdup_printf("the queue name '%s' has a colon", queue);
    } else if (has_queue(settings, queue)) {
        *problem = g_strdup_printf("the queue '%s' is given twice", queue);
    } else if (!g_utf8_validate(queue, -1, NULL)) {
        *problem = g_strdup_printf("the queue name '%s' is not UTF-8", queue);
    }
    return *problem == NULL;
}

/* What was given of the handler's options, as words for its child. */
static char **option_words(const struct handler_info *handler)
{
    GPtrArray *words = g_ptr_array_new();
    for (size_t i = 0; i < handler->opt_count; i++) {
        const struct opt *opt = &handler->opts[i];
        const union handler_value *value = &handler->values[i];
        if (opt->kind == OPT_FLAG && value->flag) {
            g_ptr_array_add(words, g_strdup_printf("--%s", opt->name));
        } else if (opt->kind == OPT_TEXT && value->text != NULL) {
            g_ptr_array_add(words, g_strdup_printf("--%s=%s", opt->name, value->text));
        }
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

static bool refuse_handler(
    const struct queue_settings *queue, const struct handler_list *list, char **problem)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < list->count; i++) {
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", list->items[i].name);
    }
    *problem = g_strdup_printf("%s=%s: no handler is called %s; there are: %s", queue->queue,
        queue->handler, queue->handler, names->str);
    return false;
}

/* QUEUE=HANDLER[:ARG] */
static bool add_queue(struct settings *settings, const struct handler_list *list,
    const char *word, char **problem)
{
    const char *equals = strchr(word, '=');
    const char *colon = equals != NULL ? strchr(equals, ':') : NULL;
    if (equals == NULL || equals == word || equals[1] == '\0' || colon == equals + 1) {
        *problem = g_strdup_printf("'%s' is not QUEUE=HANDLER[:ARG]", word);
        return false;
    }
    struct queue_settings queue = settings->each;
    const char *handler = equals + 1;
    queue.queue = keep(settings, word, (size_t)(equals - word));
    queue.handler =
        keep(settings, handler, colon != NULL ? (size_t)(colon - handler) : strlen(handler));
    queue.arg = colon != NULL ? keep(settings, colon + 1, strlen(colon + 1)) : NULL;
    const struct handler_info *info = handler_list_find(list, queue.handler);
    if (!check_queue_name(settings, queue.queue, problem)) {
        return false;
    }
    if (info == NULL) {
        return refuse_handler(&queue, list, problem);
    }
    queue.options = option_words(info);
    settings->queues[settings->queue_count++] = queue;
    return true;
}

static bool add_queues(
    struct settings *settings, const struct handler_list *list, char **words, char **problem)
{
    guint count = g_strv_length(words);
    if (count == 0) {
        *problem = g_strdup("which queue? QUEUE=HANDLER is missing");
        return false;
    }
    settings->queues = g_new0(struct queue_settings, count);
    for (guint i = 0; i < count; i++) {
        if (!add_queue(settings, list, words[i], problem)) {
            return false;
        }
    }
    return true;
}

/* Whether a child of one queue is started as one of the other, but for the queue's name: the
 * options are those of the command line. */
static bool same_handler(const struct queue_settings *a, const struct queue_settings *b)
{
    return strcmp(a->handler, b->handler) == 0 && g_strcmp0(a->arg, b->arg) == 0;
}

static bool check_handler(
    const struct settings *settings, const struct queue_settings *queue, char **problem)
{
    g_auto(GStrv) words = settings_child_argv(queue, getpid());
    g_autofree char *why = NULL;
    if (program_check(settings->handler_program, words, &why)) {
        return true;
    }
    *problem = g_strdup_printf("%s=%s: %s", queue->queue, queue->handler, why);
    return false;
}

/* A check is a process; many queues with one handler need one. */
static bool check_handlers(const struct settings *settings, char **problem)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        size_t first = 0;
        while (!same_handler(&settings->queues[first], &settings->queues[i])) {
            first++;
        }
        if (first == i && !check_handler(settings, &settings->queues[i], problem)) {
            return false;
        }
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------
 */

/* "@FILE" keeps a password off the command line and out of the environment. */
static bool read_server(struct settings *settings, char **problem)
{
    g_autofree char *url = NULL;
    if (!ox__startup_read_url(settings->redis, &url, &settings->redis_exposed, problem)) {
        return false;
    }
    settings->redis = keep(settings, url, strlen(url));
    return true;
}

static void print_help(const struct handler_list *list)
{
    printf("Usage: ox-worker [OPTIONS] QUEUE=HANDLER[:ARG]...\n\n"
           "Runs the jobs of queues.\n\nOptions:\n");
    ox__options_print(stdout, rows, HELP_WIDTH);
    printf("\nHandlers:\n");
    for (size_t i = 0; i < list->count; i++) {
        printf("  %-10s %s\n", list->items[i].name, list->items[i].summary);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].opt_count > 0) {
            printf("\nOptions of %s:\n", list->items[i].name);
            ox__options_print(stdout, list->items[i].opts, HELP_WIDTH);
        }
    }
    printf("\nExample:\n  ox-worker images=image --root ./photos\n");
}

/* The program of handlers has to be known before their options can be read. */
static const char *find_program_word(char **argv)
{
    static const char option[] = "--handlers";
    const char *found = NULL;
    for (char **word = argv; *word != NULL && strcmp(*word, "--") != 0; word++) {
        if (strcmp(*word, option) == 0 && word[1] != NULL) {
            found = word[1];
        } else if (g_str_has_prefix(*word, option) && (*word)[sizeof option - 1] == '=') {
            found = *word + sizeof option;
        }
    }
    return found;
}

static bool read_words(
    struct given *given, const struct handler_list *list, char ***words, char **problem)
{
    g_autofree struct opt_target *targets = g_new0(struct opt_target, list->count + 1);
    targets[0] = (struct opt_target){ rows, given };
    for (size_t i = 0; i < list->count; i++) {
        targets[i + 1] = (struct opt_target){ list->items[i].opts, list->items[i].values };
    }
    GStringChunk *strings = given->settings.strings;
    return ox__options_init(targets, list->count + 1, strings, problem) &&
           ox__options_parse(words, targets, list->count + 1, false, strings, problem);
}

static bool fill_in(
    struct settings *settings, const struct handler_list *list, char **words, char **problem)
{
    if (settings->each.concurrency == 0) {
        settings->each.concurrency = MIN(g_get_num_processors(), MAX_CHILDREN);
    }
    return read_server(settings, problem) && add_queues(settings, list, words, problem) &&
           check_handlers(settings, problem);
}

static enum settings_outcome parse(
    struct given *given, struct handler_list *list, char **argv, char **problem)
{
    struct settings *settings = &given->settings;
    g_auto(GStrv) words = g_strdupv(argv);
    g_autofree char *missing = NULL;
    settings->handler_program = program_find(find_program_word(argv), &missing);
    if (settings->handler_program != NULL) {
        program_list(list, settings->handler_program, &missing);
    }
    if (!read_words(given, list, &words, problem)) {
        if (missing != NULL) { /* which also explains an option that only a handler has */
            g_free(*problem);
            *problem = g_steal_pointer(&missing);
        }
        return SETTINGS_WRONG;
    }
    if (given->version) {
        printf("ox-worker %s\n", ox_version());
        return SETTINGS_DONE;
    }
    if (given->help) {
        print_help(list);
        return SETTINGS_DONE;
    }
    if (missing != NULL) {
        *problem = g_steal_pointer(&missing);
        return SETTINGS_WRONG;
    }
    char **queues = words[0] != NULL ? words + 1 : words;
    return fill_in(settings, list, queues, problem) ? SETTINGS_RUN : SETTINGS_WRONG;
}

enum settings_outcome settings_parse(struct settings *out, char **argv, char **problem)
{
    struct given given = { .settings.strings = g_string_chunk_new(1024) };
    struct handler_list list = { 0 };
    *problem = NULL;
    enum settings_outcome outcome = parse(&given, &list, argv, problem);
    handler_list_done(&list);
    *out = given.settings;
    return outcome;
}

void settings_done(struct settings *settings)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        g_strfreev(settings->queues[i].options);
    }
    g_free(settings->queues);
    g_free(settings->handler_program);
    g_string_chunk_free(settings->strings);
}

/* ---- children -------------------------------------------------------------------------------
 */

static void add_word(GPtrArray *words, const char *option, const char *value)
{
    if (value != NULL) {
        g_ptr_array_add(words, g_strdup_printf("--%s=%s", option, value));
    }
}

char **settings_child_argv(const struct queue_settings *queue, int parent_pid)
{
    GPtrArray *words = g_ptr_array_new();
    g_ptr_array_add(words, g_strdup("ox-handler"));
    add_word(words, "queue", queue->queue);
    add_word(words, "handler", queue->handler);
    add_word(words, "arg", queue->arg);
    for (char **option = queue->options; option != NULL && *option != NULL; option++) {
        g_ptr_array_add(words, g_strdup(*option));
    }
    g_ptr_array_add(words, g_strdup_printf("--parent=%d", parent_pid));
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

char **settings_child_env(void)
{
    static const char *const secret[] = { "OX_REDIS_URL", "REDIS_URL", "OX_TLS_CA",
        "OX_TLS_CERT", "OX_TLS_KEY", "OX_TLS_NAME", "NOTIFY_SOCKET" };
    char **env = g_get_environ();
    for (size_t i = 0; i < G_N_ELEMENTS(secret); i++) {
        env = g_environ_unsetenv(env, secret[i]);
    }
    return env;
}

char *settings_redact(const char *url)
{
    const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
    const char *user = scheme != NULL ? scheme + 3 : url;
    const char *colon = at != NULL && user < at ? memchr(user, ':', (size_t)(at - user)) : NULL;
    if (colon == NULL) {
        return g_strdup(url);
    }
    return g_strdup_printf("%.*s:***%s", (int)(colon - url), url, at);
}
