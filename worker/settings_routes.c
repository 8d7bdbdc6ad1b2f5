/*
 * settings_routes.c - which queues there are, and which handler runs which of their jobs.
 *
 * A section [handler QUEUE/NAME] of the file and a word QUEUE/NAME=HANDLER say the same, and so
 * do [stream STREAM] with a group and STREAM@GROUP=HANDLER. A queue needs no section of its
 * own; one that has a section needs a handler.
 */
#include "settings_reading.h"

#include <string.h>

#include "base/suggest.h"

/* ---- queues --------------------------------------------------------------------------------
 */

static const struct config_section *find_section(
    const struct reading *reading, const char *kind, const char *name)
{
    return reading->config != NULL ? config_find(reading->config, kind, name) : NULL;
}

static bool check_queue_name(struct reading *reading, const char *origin, const char *queue)
{
    if (strchr(queue, ':') != NULL) {
        reading_fault(reading, "%s: the queue name '%s' has a colon", origin, queue);
    } else if (!g_utf8_validate(queue, -1, NULL)) {
        reading_fault(reading, "%s: the queue name '%s' is not UTF-8", origin, queue);
    } else {
        return true;
    }
    return false;
}

/* Adds a queue, or a group of a stream. */
static struct queue_settings *add_queue(struct reading *reading, const char *name,
    const char *group, const struct config_section *section)
{
    struct settings *settings = reading->settings;
    settings->queues =
        g_renew(struct queue_settings, settings->queues, settings->queue_count + 1);
    struct queue_settings *queue = &settings->queues[settings->queue_count++];
    const struct opt_target target = { queue_rows, queue };
    *queue = (struct queue_settings){
        .queue = reading_keep(reading, name, strlen(name)),
        .group = group != NULL ? reading_keep(reading, group, strlen(group)) : NULL,
    };
    reading_fill(reading, &target, 1, find_section(reading, "worker", ""), section);
    return queue;
}

/* The queue of that name, which is made if there is none. */
static struct queue_settings *open_queue(struct reading *reading, const char *name)
{
    struct settings *settings = reading->settings;
    for (size_t i = 0; i < settings->queue_count; i++) {
        if (settings->queues[i].group == NULL && strcmp(settings->queues[i].queue, name) == 0) {
            return &settings->queues[i];
        }
    }
    struct queue_settings *queue =
        add_queue(reading, name, NULL, find_section(reading, "queue", name));
    if (queue->concurrency == 0) {
        queue->concurrency = MIN(g_get_num_processors(), MAX_CHILDREN);
    }
    return queue;
}

/* ---- routes --------------------------------------------------------------------------------
 */

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

/* "./send-mail" and "exec ./send-mail" of someone who means exec:./send-mail; heap, or NULL. */
static char *find_meant(const struct reading *reading, const char *handler)
{
    g_autofree char *first = g_strndup(handler, strcspn(handler, " \t"));
    const char *rest = handler + strlen(first) + strspn(handler + strlen(first), " \t");
    if (*rest != '\0' && handler_list_find(&reading->handlers, first) != NULL) {
        return g_strconcat(first, ":", rest, NULL);
    }
    bool runs_programs = handler_list_find(&reading->handlers, "exec") != NULL;
    return strchr(first, '/') != NULL && runs_programs ? g_strconcat("exec:", handler, NULL)
                                                       : NULL;
}

static void refuse_handler(struct reading *reading, const char *origin, const char *handler)
{
    struct ox__suggestion best = { .word = handler };
    g_autoptr(GString) names = g_string_new(NULL);
    for (size_t i = 0; i < reading->handlers.count; i++) {
        const char *name = reading->handlers.items[i].name;
        ox__suggest(&best, name);
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", name);
    }
    if (reading->handlers.count == 0) {
        return; /* why there are none is told */
    }
    g_autofree char *meant = find_meant(reading, handler);
    const char *nearest = meant != NULL ? meant : best.nearest;
    reading_fault(reading, "%s: no handler is called %s;%s%s%s there are: %s", origin, handler,
        nearest != NULL ? " did you mean " : "", nearest != NULL ? nearest : "",
        nearest != NULL ? "?" : "", names->str);
}

/* Not each handler knows what to do with a batch, nor with a job. */
static void check_kind(struct reading *reading, const char *origin,
    const struct handler_info *info, const struct queue_settings *queue)
{
    if (queue->group != NULL && info->runs == HANDLER_RUNS_JOBS) {
        reading_fault(reading,
            "%s: %s runs jobs, not batches of events; bind a queue to the events (ox bind) and "
            "run that",
            origin, info->name);
    } else if (queue->group == NULL && info->runs == HANDLER_RUNS_BATCHES) {
        reading_fault(reading,
            "%s: %s runs batches of events, not jobs; STREAM@GROUP=%s is a group of a stream",
            origin, info->name, info->name);
    }
}

/* `run` is HANDLER[:ARG], `section` that of the file, or NULL. */
static void make_route(struct reading *reading, const char *origin,
    struct queue_settings *queue, const char *job, const char *run,
    const struct config_section *section)
{
    const char *colon = strchr(run, ':');
    g_autofree char *handler = g_strndup(run, strcspn(run, ":"));
    const struct handler_info *info = handler_list_find(&reading->handlers, handler);
    if (info == NULL) {
        refuse_handler(reading, origin, handler);
    } else {
        check_kind(reading, origin, info, queue);
    }
    queue->routes = g_renew(struct route_settings, queue->routes, queue->route_count + 1);
    struct route_settings *route = &queue->routes[queue->route_count++];
    const bool is_queue = queue->group == NULL;
    *route = (struct route_settings){
        .queue = queue->queue,
        .group = queue->group,
        .place = { is_queue ? queue->queue : NULL, is_queue ? NULL : queue->queue,
            queue->group },
        .job = reading_keep(reading, job, strlen(job)),
        .origin = reading_keep(reading, origin, strlen(origin)),
        .server = info != NULL && info->uses_server ? reading->settings : NULL,
        .handler = info != NULL ? reading_keep(reading, handler, strlen(handler)) : NULL,
        .arg = colon != NULL ? reading_keep(reading, colon + 1, strlen(colon + 1)) : NULL,
    };
    if (info != NULL) {
        memset(info->values, 0, info->opt_count * sizeof *info->values);
    }
    const struct opt_target targets[] = {
        { route_rows, route },
        { info != NULL ? info->opts : NULL, info != NULL ? info->values : NULL },
    };
    reading_fill(
        reading, targets, G_N_ELEMENTS(targets), find_section(reading, "worker", ""), section);
    route->options = info != NULL ? option_words(info) : g_new0(char *, 1);
    route->sandbox = reading->settings->sandbox;
    if (route->memory_bytes < 0) {
        route->memory_bytes = info != NULL ? info->memory_bytes : 0;
    }
    if (route->max_processes < 0) {
        route->max_processes = info != NULL ? info->max_processes : 0;
    }
}

static void add_route(struct reading *reading, const char *origin, const char *queue_name,
    const char *job, const char *run, const struct config_section *section)
{
    if (!check_queue_name(reading, origin, queue_name)) {
        return;
    }
    struct queue_settings *queue = open_queue(reading, queue_name);
    const struct route_settings *before = settings_route(queue, job);
    if (before != NULL && strcmp(before->job, job) == 0) {
        reading_fault(reading, "%s: the jobs %s/%s have a handler already (%s)", origin,
            queue_name, job, before->origin);
        return;
    }
    make_route(reading, origin, queue, job, run, section);
}

static void add_stream(struct reading *reading, const char *origin, const char *name,
    const char *run, const struct config_section *section)
{
    g_autofree char *stream = NULL, *group = NULL;
    if (!reading_split_stream(reading, origin, name, section, &stream, &group)) {
        return;
    }
    const struct queue_settings *before = settings_queue(reading->settings, stream, group);
    if (before != NULL) {
        reading_fault(reading, "%s: the group %s of the stream %s has a handler already (%s)",
            origin, group, stream, before->routes[0].origin);
        return;
    }
    struct queue_settings *queue = add_queue(reading, stream, group, section);
    const struct opt_target target = { stream_rows, &queue->stream };
    reading_fill_keys(reading, &target, section);
    queue->concurrency =
        queue->concurrency > 0 && !queue->stream.ordered ? queue->concurrency : 1;
    make_route(reading, origin, queue, ANY_JOB, run, section);
}

/* HANDLER[:ARG] of a section and where it stands (heap); NULL, and a fault, if there is none.
 */
static const char *find_run(
    struct reading *reading, const struct config_section *section, char **origin)
{
    const struct config_entry *run = config_get(section, "run");
    *origin = g_strdup_printf(
        "%s:%u", reading->config->path, run != NULL ? run->line : section->line);
    if (run == NULL || *run->value == '\0' || *run->value == ':') {
        reading_fault(reading, "%s: [%s %s] needs run = HANDLER[:ARG]", *origin, section->kind,
            section->name);
        return NULL;
    }
    return reading_refuse_quotes(reading, run) ? NULL : run->value;
}

static void add_stream_section(struct reading *reading, const struct config_section *section)
{
    g_autofree char *origin = NULL;
    const char *run = find_run(reading, section, &origin);
    if (run != NULL) {
        add_stream(reading, origin, section->name, run, section);
    }
}

static void add_section(struct reading *reading, const struct config_section *section)
{
    g_autofree char *queue = NULL, *job = NULL, *origin = NULL;
    if (!reading_split_route(section->name, &queue, &job)) {
        return;
    }
    const char *run = find_run(reading, section, &origin);
    if (run != NULL) {
        add_route(reading, origin, queue, job, run, section);
        return;
    }
    if (check_queue_name(reading, origin, queue)) {
        open_queue(reading, queue);
    }
}

/* QUEUE[/NAME]=HANDLER[:ARG], or STREAM@GROUP=HANDLER[:ARG]: a queue whose name has a '@' is
 * given with a name of jobs, or with '*' for all: QUEUE/NAME. */
static void add_word(struct reading *reading, const char *word)
{
    g_autofree char *place = g_strndup(word, strcspn(word, "="));
    const char *run = word + strlen(place) + (word[strlen(place)] != '\0');
    g_autofree char *queue = NULL, *job = NULL;
    g_autofree char *origin = g_strndup(word, (gsize)(run - word) + strcspn(run, ":"));
    bool has_name = strchr(place, '/') != NULL;
    bool good = has_name ? reading_split_route(place, &queue, &job) : *place != '\0';
    if (!good || *run == '\0' || *run == ':') {
        reading_fault(reading,
            "'%s' is neither QUEUE[/NAME]=HANDLER[:ARG] nor STREAM@GROUP=HANDLER[:ARG]", word);
        return;
    }
    if (!has_name && strchr(place, '@') != NULL) {
        add_stream(reading, origin, place, run, NULL);
        return;
    }
    add_route(reading, origin, has_name ? queue : place, has_name ? job : ANY_JOB, run, NULL);
}

/* ---- all of them ---------------------------------------------------------------------------
 */

static void check_queue_section(struct reading *reading, const struct config_section *section)
{
    const struct settings *settings = reading->settings;
    struct ox__suggestion best = { .word = section->name };
    for (size_t i = 0; i < settings->queue_count; i++) {
        if (settings->queues[i].group != NULL) {
            continue;
        }
        if (strcmp(settings->queues[i].queue, section->name) == 0) {
            return;
        }
        ox__suggest(&best, settings->queues[i].queue);
    }
    if (best.nearest != NULL) {
        config_fault(reading->config, reading->faults, section->line,
            "the queue %s has no handler; did you mean [queue %s]?", section->name,
            best.nearest);
    } else {
        config_fault(reading->config, reading->faults, section->line,
            "the queue %s has no handler: add [handler %s/*]", section->name, section->name);
    }
}

void reading_add_routes(struct reading *reading, char **words)
{
    const struct config *config = reading->config;
    for (size_t i = 0; config != NULL && i < config->count; i++) {
        const struct config_section *section = config->sections[i];
        if (strcmp(section->kind, "handler") == 0) {
            add_section(reading, section);
        } else if (strcmp(section->kind, "stream") == 0 && *section->name != '\0') {
            add_stream_section(reading, section);
        }
    }
    for (char **word = words; *word != NULL; word++) {
        add_word(reading, *word);
    }
    for (size_t i = 0; config != NULL && i < config->count; i++) {
        const struct config_section *section = config->sections[i];
        if (strcmp(section->kind, "queue") == 0 && *section->name != '\0') {
            check_queue_section(reading, section);
        }
    }
    if (reading->settings->queue_count == 0 && reading->faults->len == 0) {
        reading_fault(reading, "%s",
            config != NULL ? "which queue or stream? There is neither [handler QUEUE/NAME] nor "
                             "[stream STREAM] in the file, nor QUEUE=HANDLER"
                           : "which queue? QUEUE=HANDLER is missing");
    }
}

/* What a handler says of its options, in the words of a settings file: "QUEUE=sql:FILE or
 * --db URL" is "run = sql:FILE or db = URL" there. Heap. */
static char *in_file_words(const char *why)
{
    static const char *const words[][2] = {
        { "QUEUE='([^']*)'", "run = \\1" },
        { "QUEUE=", "run = " },
        { "--([a-z][a-z-]*) (?=[A-Za-z]+:|[A-Z])", "\\1 = " },
        { "--([a-z][a-z-]*)", "\\1" },
    };
    char *text = g_strdup(why);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autoptr(GRegex) regex = g_regex_new(words[i][0], 0, 0, NULL);
        g_autofree char *before = text;
        text = g_regex_replace(regex, before, -1, 0, words[i][1], 0, NULL);
    }
    return text;
}

/* The flag or the variable that sets a key for all handlers; heap, or NULL. */
static char *find_above_file(
    const struct reading *reading, const struct route_settings *route, const char *key)
{
    const struct handler_info *info = handler_list_find(&reading->handlers, route->handler);
    const struct opt *opt = ox__option_find(route_rows, key);
    if (opt == NULL && info != NULL) {
        opt = ox__option_find(info->opts, key);
    }
    return opt != NULL ? reading_find_above_file(reading, opt) : NULL;
}

/* The section that sets a key for a route: its own, else [worker]; NULL: none does. */
static const struct config_section *find_setter(
    const struct reading *reading, const struct config_section *own, const char *key)
{
    const struct config_section *sections[] = { own, find_section(reading, "worker", "") };
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        if (sections[i] != NULL && config_get(sections[i], key) != NULL) {
            return sections[i];
        }
    }
    return NULL;
}

/* That of the file which the route is of, or NULL. */
static const struct config_section *find_route_section(
    const struct reading *reading, const struct route_settings *route)
{
    g_autofree char *name = g_strconcat(route->queue, route->group != NULL ? "@" : "/",
        route->group != NULL ? route->group : route->job, NULL);
    const struct config_section *section =
        find_section(reading, route->group != NULL ? "stream" : "handler", name);
    if (section == NULL && route->group != NULL) {
        section = find_section(reading, "stream", route->queue);
        const struct config_entry *group =
            section != NULL ? config_get(section, "group") : NULL;
        section = group != NULL && strcmp(group->value, route->group) == 0 ? section : NULL;
    }
    return section;
}

/* "--depth: ..." is about a key of the route's section or of [worker], which has a line, unless
 * a flag or a variable set it. */
void reading_blame(struct reading *reading, const struct route_settings *route, const char *why)
{
    const struct config_section *section = find_route_section(reading, route);
    g_autofree char *key = g_str_has_prefix(why, "--") && strstr(why, ": ") != NULL
                               ? g_strndup(why + 2, strcspn(why + 2, ": "))
                               : NULL;
    const struct config_section *setter =
        key != NULL ? find_setter(reading, section, key) : NULL;
    g_autofree char *above = key != NULL && (section != NULL || setter != NULL)
                                 ? find_above_file(reading, route, key)
                                 : NULL;
    if (above != NULL) {
        reading_fault(reading, "%s%s", above, why + 2 + strlen(key));
    } else if (setter != NULL) {
        config_fault(
            reading->config, reading->faults, config_get(setter, key)->line, "%s", why + 2);
    } else if (section != NULL) {
        g_autofree char *text = in_file_words(why);
        reading_fault(reading, "%s: %s", route->origin, text);
    } else {
        reading_fault(reading, "%s: %s", route->origin, why);
    }
}

static void check_handler(struct reading *reading, struct route_settings *route)
{
    g_auto(GStrv) argv = settings_child_argv(route, 0), env = settings_child_env(route),
                  words = settings_private_words(route);
    const struct program_start start = { argv, env, words };
    g_autofree char *why = NULL;
    switch (program_check(reading->settings->handler_program, &start, &route->layers, &why)) {
    case PROGRAM_GOOD:
        break;
    case PROGRAM_BAD:
        reading_blame(reading, route, why);
        break;
    case PROGRAM_PASSING:
        reading_passing_fault(reading,
            "%s: the handler %s of %s%c%s could not be checked: %s; try again", route->origin,
            route->handler, route->queue, route->group != NULL ? '@' : '/',
            route->group != NULL ? route->group : route->job, why);
        break;
    }
}

/* A check is a process; many routes with one handler need one. */
static void check_route(
    struct reading *reading, struct route_settings *route, GPtrArray *checked)
{
    if (route->handler == NULL) {
        return;
    }
    guint i = 0;
    while (i < checked->len && !settings_same_child(checked->pdata[i], route)) {
        i++;
    }
    if (i < checked->len) {
        const struct route_settings *same = checked->pdata[i];
        route->layers = g_strdupv(same->layers);
    } else {
        check_handler(reading, route);
        g_ptr_array_add(checked, route);
    }
    route->in_namespace =
        route->layers != NULL &&
        g_strv_contains((const char *const *)route->layers, "--namespace=yes");
}

void reading_check_handlers(struct reading *reading)
{
    g_autoptr(GPtrArray) checked = g_ptr_array_new();
    for (size_t q = 0; q < reading->settings->queue_count; q++) {
        const struct queue_settings *queue = &reading->settings->queues[q];
        for (size_t r = 0; r < queue->route_count; r++) {
            check_route(reading, &queue->routes[r], checked);
        }
    }
}
