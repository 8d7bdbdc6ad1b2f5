/*
 * settings.c - the command line, read and checked.
 *
 * The options are rows, see settings_rows.h. Those of the handlers, which their program lists,
 * are handed to the children, which read and check them. Whatever is wrong leaves one sentence
 * and nothing started.
 */
#include "settings.h"

#include <glib.h>
#include <ox.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include "base/startup.h"
#include "program.h"
#include "settings_rows.h"

#define HELP_WIDTH 96

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
    ox__options_print(stdout, settings_rows, HELP_WIDTH);
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
    targets[0] = (struct opt_target){ settings_rows, given };
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
