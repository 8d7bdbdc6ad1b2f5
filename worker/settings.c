/*
 * settings.c - the command line, the environment and the settings file, read and checked.
 *
 * The options are rows, see settings_rows.h. Those of the handlers, which their program lists,
 * are handed to the children, which read and check them. Whatever is wrong is told, all of it,
 * and nothing started.
 */
#include "settings.h"

#include <stdio.h>
#include <string.h>

#include "base/startup.h"
#include "base/units.h"
#include "settings_reading.h"

#define HELP_WIDTH 96
#define KEY_WIDTH 30

/* ---- what is printed -----------------------------------------------------------------------
 */

static void print_handlers(const struct handler_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        printf("  %-10s %s\n", list->items[i].name, list->items[i].summary);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].opt_count > 0) {
            printf("\nOptions of %s:\n", list->items[i].name);
            ox__options_print(stdout, list->items[i].opts, HELP_WIDTH);
        }
    }
}

/* As options are printed, without the dashes. */
static void print_keys(const struct opt *rows)
{
    for (const struct opt *opt = rows; opt->name != NULL; opt++) {
        g_autofree char *key = opt->arg != NULL && opt->kind != OPT_FLAG
                                   ? g_strdup_printf("%s = %s", opt->name, opt->arg)
                                   : g_strdup_printf("%s = yes|no", opt->name);
        g_autofree char *help = ox__option_help(opt);
        g_autofree char *lines = ox__wrap(help, KEY_WIDTH + 2, HELP_WIDTH);
        printf("  %-*s%s\n", KEY_WIDTH, key, lines);
    }
}

static void print_help(const struct handler_list *list)
{
    printf("Usage: ox-worker [OPTIONS] QUEUE[/NAME]=HANDLER[:ARG]...\n"
           "       ox-worker [OPTIONS] STREAM@GROUP=HANDLER[:ARG]...\n"
           "       ox-worker [OPTIONS] --config FILE\n\n"
           "Runs the jobs of queues; with /NAME, a queue's jobs of that name; and batches of "
           "the\nevents that a group of a stream has not read yet.\n\nOptions:\n");
    ox__options_print(stdout, command_rows, HELP_WIDTH);
    printf(
        "\nEach option below is also a variable of the environment (OX_LOG_LEVEL stands for\n"
        "--log-level) and a key of the settings file (log-level).\n\n"
        "Options of the worker:\n");
    ox__options_print(stdout, worker_rows, HELP_WIDTH);
    printf("\nOptions of queues:\n");
    ox__options_print(stdout, queue_rows, HELP_WIDTH);
    printf("\nOptions of all handlers:\n");
    ox__options_print(stdout, route_rows, HELP_WIDTH);
    printf("\nKeys of a section [stream STREAM] of the settings file, which are no options:\n");
    print_keys(stream_rows);
    printf("\nHandlers:\n");
    print_handlers(list);
    printf("\nExamples:\n  ox-worker images=image --root ./photos\n"
           "  ox-worker 'mail=exec:./send-mail --from ann@example.com'\n"
           "  ox-worker 'clicks@warehouse=exec:./store'\n"
           "  ox-worker --config /etc/ox/worker.conf\n");
}

static void print_good(const struct settings *settings)
{
    for (size_t q = 0; q < settings->queue_count; q++) {
        const struct queue_settings *queue = &settings->queues[q];
        for (size_t r = 0; r < queue->route_count; r++) {
            const struct route_settings *route = &queue->routes[r];
            printf("%s%c%s: %s\n", queue->queue, queue->group != NULL ? '@' : '/',
                queue->group != NULL ? queue->group : route->job, route->handler);
        }
    }
    if (settings->file_exposed) {
        printf("%s: every user can read its passwords (chmod 600)\n", settings->file);
    }
}

/* ---- reading -------------------------------------------------------------------------------
 */

/* "@FILE" keeps a password off the command line and out of the environment. */
static void read_server(struct reading *reading)
{
    struct settings *settings = reading->settings;
    g_autofree char *url = NULL, *why = NULL;
    if (ox__startup_read_url(settings->redis, &url, &settings->redis_exposed, &why)) {
        settings->redis = reading_keep(reading, url, strlen(url));
    } else {
        reading_fault(reading, "%s", why);
    }
}

/* A URL with a password, or a key of a webhook. */
static bool is_secret(const char *value)
{
    g_autofree char *shown = settings_redact(value);
    return (strstr(value, "://") != NULL && strcmp(shown, value) != 0) ||
           strstr(value, "whsec_") != NULL;
}

static bool has_secret(const struct config *config)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct config_section *section = config->sections[i];
        for (size_t e = 0; e < section->count; e++) {
            if (is_secret(section->entries[e].value)) {
                return true;
            }
        }
    }
    return false;
}

static void read_file(struct reading *reading)
{
    const char *path = reading_find_early(reading, "config");
    if (path == NULL) {
        return;
    }
    reading->settings->file = reading_keep(reading, path, strlen(path));
    reading->config = config_read(path, reading->faults);
    if (reading->config != NULL) {
        reading->settings->file_exposed =
            reading->config->readable && has_secret(reading->config);
    }
}

static void know_targets(struct reading *reading)
{
    const struct handler_list *list = &reading->handlers;
    reading->known = g_new0(struct opt_target, list->count + 4);
    reading->known[0] = (struct opt_target){ command_rows, &reading->command };
    reading->known[1] = (struct opt_target){ worker_rows, &reading->any_settings };
    reading->known[2] = (struct opt_target){ queue_rows, &reading->any_queue };
    reading->known[3] = (struct opt_target){ route_rows, &reading->any_route };
    reading->known_count = 4;
    for (size_t i = 0; i < list->count; i++) {
        reading->known[reading->known_count++] =
            (struct opt_target){ list->items[i].opts, list->items[i].values };
    }
}

static void read_worker(struct reading *reading)
{
    const struct config_section *section =
        reading->config != NULL ? config_find(reading->config, "worker", "") : NULL;
    const struct opt_target targets[] = {
        { worker_rows, reading->settings },
        { queue_rows, &reading->any_queue },
        { route_rows, &reading->any_route },
    };
    reading_fill(reading, targets, G_N_ELEMENTS(targets), section, NULL);
}

/* What --help and the like print; false when none of them was given. */
static bool answer(const struct reading *reading)
{
    if (reading->command.version) {
        printf("ox-worker %s\n", ox_version());
    } else if (reading->command.help) {
        print_help(&reading->handlers);
    } else if (reading->command.handlers) {
        print_handlers(&reading->handlers);
    } else {
        return false;
    }
    return true;
}

/* What the worker of a queue would refuse. */
static void check_locks(struct reading *reading)
{
    const struct settings *settings = reading->settings;
    int64_t interval_ms = settings_stalled_interval_ms(settings);
    char after[24], interval[24];
    for (size_t i = 0; i < settings->queue_count; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        if (queue->lock_after_ms > interval_ms / 2) {
            reading_fault(reading,
                "lock-after (%s) of the queue %s must be at most half of the stalled interval "
                "(%s)",
                ox__duration_text(queue->lock_after_ms, after), queue->queue,
                ox__duration_text(interval_ms, interval));
        } else if (queue->lock_after_ms > 0 && settings->on_disconnect == OX_DISCONNECT_KILL) {
            reading_fault(reading, "lock-after requires on-disconnect = continue");
        } else if (queue->late_start && queue->lock_after_ms == 0) {
            reading_fault(reading, "late-start requires lock-after");
        }
    }
}

/* Several routes share the jobs at once of a queue: one that has more could run too many. */
static void check_ahead(struct reading *reading)
{
    const struct settings *settings = reading->settings;
    for (size_t i = 0; i < settings->queue_count; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        if (queue->ahead > 0 && queue->group == NULL && queue->route_count > 1) {
            reading_fault(reading,
                "ahead requires one handler for all jobs of a queue; the queue %s has %zu, and "
                "needs ahead = 0",
                queue->queue, queue->route_count);
        }
    }
}

/* That there are no handlers to ask. */
static void add_missing(struct reading *reading, const char *missing, bool passing)
{
    if (passing) {
        reading_passing_fault(reading, "%s; try again", missing);
    } else {
        reading_fault(reading, "%s", missing);
    }
}

static enum settings_outcome refuse(const struct reading *reading)
{
    return reading->faults->len > reading->passing ? SETTINGS_WRONG : SETTINGS_UNCHECKED;
}

static enum settings_outcome read_all(struct reading *reading)
{
    struct settings *settings = reading->settings;
    g_auto(GStrv) rest = NULL;
    g_autofree char *missing = NULL;
    read_file(reading);
    g_autofree char *program =
        program_find(reading_find_early(reading, "handler-program"), &missing);
    bool passing = program != NULL &&
                   program_list(&reading->handlers, program, &missing) == PROGRAM_PASSING;
    know_targets(reading);
    reading_take_words(reading, &rest);
    if (!reading->words_good && missing != NULL) { /* may explain an option of a handler */
        g_ptr_array_set_size(reading->faults, 0);
        add_missing(reading, missing, passing);
        return refuse(reading);
    }
    if (reading->words_good && answer(reading)) {
        return SETTINGS_DONE;
    }
    if (missing != NULL) {
        add_missing(reading, missing, passing);
    }
    read_worker(reading);
    settings->handler_program =
        program != NULL ? reading_keep(reading, program, strlen(program)) : NULL;
    reading_check_sections(reading);
    read_server(reading);
    reading_add_routes(
        reading, reading->words_good && rest[0] != NULL ? rest + 1 : (char *[]){ NULL });
    check_locks(reading);
    check_ahead(reading);
    reading_hide_secrets(reading);
    if (missing == NULL) {
        reading_check_handlers(reading);
    }
    if (reading->faults->len > 0) {
        return refuse(reading);
    }
    if (reading->command.check) {
        print_good(settings);
        return SETTINGS_DONE;
    }
    return SETTINGS_RUN;
}

/* The line of the settings file that a fault is about; the last one for any other fault. */
static guint64 line_of(const struct settings *settings, const char *fault)
{
    size_t length = settings->file != NULL ? strlen(settings->file) : 0;
    bool ours = length > 0 && strncmp(fault, settings->file, length) == 0 &&
                fault[length] == ':' && g_ascii_isdigit(fault[length + 1]);
    return ours ? g_ascii_strtoull(fault + length + 1, NULL, 10) : G_MAXUINT64;
}

static gint by_line(gconstpointer a, gconstpointer b, gpointer settings)
{
    guint64 one = line_of(settings, *(char *const *)a);
    guint64 other = line_of(settings, *(char *const *)b);
    return one < other ? -1 : one > other;
}

enum settings_outcome settings_parse(struct settings **out, char **argv, GPtrArray *faults)
{
    struct settings *settings = g_rc_box_new0(struct settings);
    settings->strings = g_string_chunk_new(1024);
    struct reading reading = { .settings = settings, .faults = faults, .words = argv };
    enum settings_outcome outcome = read_all(&reading);
    g_ptr_array_sort_with_data(faults, by_line, settings);
    handler_list_done(&reading.handlers);
    config_free(reading.config);
    g_free(reading.known);
    *out = settings;
    return outcome;
}

/* ---- what is read --------------------------------------------------------------------------
 */

struct settings *settings_ref(struct settings *settings)
{
    return g_rc_box_acquire(settings);
}

static void settings_free(gpointer memory)
{
    struct settings *settings = memory;
    for (size_t q = 0; q < settings->queue_count; q++) {
        for (size_t r = 0; r < settings->queues[q].route_count; r++) {
            g_strfreev(settings->queues[q].routes[r].options);
            g_strfreev(settings->queues[q].routes[r].layers);
            g_strfreev(settings->queues[q].routes[r].secrets);
            g_strfreev(settings->queues[q].routes[r].hidden);
        }
        g_free(settings->queues[q].routes);
    }
    g_free(settings->queues);
    g_string_chunk_free(settings->strings);
}

void settings_unref(struct settings *settings)
{
    g_rc_box_release_full(settings, settings_free);
}

const struct queue_settings *settings_queue(
    const struct settings *settings, const char *queue, const char *group)
{
    for (size_t i = 0; i < settings->queue_count; i++) {
        if (strcmp(settings->queues[i].queue, queue) == 0 &&
            g_strcmp0(settings->queues[i].group, group) == 0) {
            return &settings->queues[i];
        }
    }
    return NULL;
}

const struct route_settings *settings_route(const struct queue_settings *queue, const char *job)
{
    const struct route_settings *any = NULL;
    for (size_t i = 0; i < queue->route_count; i++) {
        const struct route_settings *route = &queue->routes[i];
        if (strcmp(route->job, job) == 0) {
            return route;
        }
        any = strcmp(route->job, ANY_JOB) == 0 ? route : any;
    }
    return any;
}

static bool same_words(char **one, char **other)
{
    size_t i = 0;
    while (one[i] != NULL && other[i] != NULL &&
           (strcmp(one[i], other[i]) == 0 || g_str_has_prefix(one[i], "--queue="))) {
        i++;
    }
    return one[i] == NULL && other[i] == NULL;
}

bool settings_same_child(const struct route_settings *a, const struct route_settings *b)
{
    g_auto(GStrv) argv_a = settings_child_argv(a, 0), argv_b = settings_child_argv(b, 0);
    g_auto(GStrv) words_a = settings_private_words(a), words_b = settings_private_words(b);
    return same_words(argv_a, argv_b) && same_words(words_a, words_b) &&
           same_words(a->hidden, b->hidden);
}
