/*
 * settings_layers.c - where a setting comes from: a flag, else a variable of the environment,
 * else the settings file, else its default.
 *
 * Each struct is filled from the lowest layer up, so that the highest one stays, and a value is
 * checked even when it is overridden. A queue or a route is filled like the worker itself, with
 * one section of the file more; so a flag holds for all of them.
 */
#include "settings_reading.h"

#include <string.h>

#include "base/suggest.h"

/* Once, however often it is found. */
static void add_fault(struct reading *reading, char *fault)
{
    if (g_ptr_array_find_with_equal_func(reading->faults, fault, g_str_equal, NULL)) {
        g_free(fault);
    } else {
        g_ptr_array_add(reading->faults, fault);
    }
}

void reading_fault(struct reading *reading, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_fault(reading, g_strdup_vprintf(format, args));
    va_end(args);
}

void reading_passing_fault(struct reading *reading, const char *format, ...)
{
    guint before = reading->faults->len;
    va_list args;
    va_start(args, format);
    add_fault(reading, g_strdup_vprintf(format, args));
    va_end(args);
    reading->passing += reading->faults->len - before;
}

const char *reading_keep(struct reading *reading, const char *text, size_t length)
{
    return g_string_chunk_insert_len(reading->settings->strings, text, (gssize)length);
}

/* ---- the command line ----------------------------------------------------------------------
 */

static const char *find_word(char **words, const char *name)
{
    g_autofree char *option = g_strconcat("--", name, NULL);
    size_t length = strlen(option);
    const char *found = NULL;
    for (char **word = words; *word != NULL && strcmp(*word, "--") != 0; word++) {
        if (strcmp(*word, option) == 0) {
            found = word[1];
        } else if (g_str_has_prefix(*word, option) && (*word)[length] == '=') {
            found = *word + length + 1;
        }
    }
    return found;
}

static bool is_empty(const char *text)
{
    return text == NULL || *text == '\0';
}

const char *reading_find_early(const struct reading *reading, const char *name)
{
    const struct opt opt = { .name = name };
    const char *word = find_word(reading->words, name);
    g_autofree char *variable = ox__option_variable(&opt, VARIABLE_PREFIX);
    const struct config_section *section =
        reading->config != NULL ? config_find(reading->config, "worker", "") : NULL;
    const struct config_entry *entry = section != NULL ? config_get(section, name) : NULL;
    if (word == NULL && variable != NULL) {
        word = g_getenv(variable);
    }
    if (is_empty(word) && entry != NULL) {
        word = entry->value;
    }
    return is_empty(word) ? NULL : word; /* one that may not be empty is refused later */
}

char *reading_find_above_file(const struct reading *reading, const struct opt *opt)
{
    return find_word(reading->words, opt->name) != NULL
               ? g_strconcat("--", opt->name, NULL)
               : ox__option_variable(opt, VARIABLE_PREFIX);
}

/* Targets that come first are filled, all others are only known. */
static bool take_words(struct reading *reading, const struct opt_target *targets, size_t count,
    char ***rest, char **why)
{
    g_autofree struct opt_target *all =
        g_new0(struct opt_target, count + reading->known_count + 1);
    for (size_t i = 0; i < count; i++) {
        all[i] = targets[i];
    }
    for (size_t i = 0; i < reading->known_count; i++) {
        all[count + i] = reading->known[i];
    }
    *rest = g_strdupv(reading->words);
    return ox__options_parse(
        rest, all, count + reading->known_count, false, reading->settings->strings, why);
}

void reading_take_words(struct reading *reading, char ***rest)
{
    const struct opt_target commands = { command_rows, &reading->command };
    g_autofree char *why = NULL;
    reading->words_good = take_words(reading, &commands, 1, rest, &why);
    if (!reading->words_good) {
        reading_fault(reading, "%s", why);
    }
}

/* ---- layers --------------------------------------------------------------------------------
 */

static void preset(struct reading *reading, const struct opt_target *target)
{
    for (const struct opt *opt = target->opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *why = NULL;
        if (!ox__option_preset(opt, target->base, reading->settings->strings, &why)) {
            reading_fault(reading, "%s", why);
        }
    }
}

bool reading_refuse_quotes(struct reading *reading, const struct config_entry *entry)
{
    g_autofree char *bare = config_unquote(entry->value);
    if (bare != NULL) {
        config_fault(reading->config, reading->faults, entry->line,
            "%s: values are not quoted; write %s = %s", entry->key, entry->key, bare);
    }
    return bare != NULL;
}

/* Of a value that is split like a shell does it, quotes are a part. */
static bool is_command(const struct opt *opt)
{
    return opt->arg != NULL && strcmp(opt->arg, "COMMAND") == 0;
}

static void take_entry(struct reading *reading, const struct opt_target *target,
    const struct opt *opt, const struct config_entry *entry)
{
    g_autofree char *why = NULL;
    if (!is_command(opt) && reading_refuse_quotes(reading, entry)) {
        return;
    }
    if (!ox__option_read(
            opt, target->base, entry->key, entry->value, reading->settings->strings, &why)) {
        config_fault(reading->config, reading->faults, entry->line, "%s", why);
    }
}

static void take_section(struct reading *reading, const struct opt_target *targets,
    size_t count, const struct config_section *section)
{
    for (size_t i = 0; section != NULL && i < section->count; i++) {
        for (size_t t = 0; t < count; t++) {
            const struct config_entry *entry = &section->entries[i];
            const struct opt *opt = ox__option_find(targets[t].opts, entry->key);
            if (opt != NULL) {
                take_entry(reading, &targets[t], opt, entry);
            }
        }
    }
}

static void take_variables(struct reading *reading, const struct opt_target *target)
{
    for (const struct opt *opt = target->opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *variable = ox__option_variable(opt, VARIABLE_PREFIX), *why = NULL;
        if (variable != NULL && !ox__option_read(opt, target->base, variable,
                                    g_getenv(variable), reading->settings->strings, &why)) {
            reading_fault(reading, "%s", why);
        }
    }
}

void reading_fill(struct reading *reading, const struct opt_target *targets, size_t count,
    const struct config_section *general, const struct config_section *specific)
{
    g_autofree char *why = NULL;
    g_auto(GStrv) rest = NULL;
    for (size_t i = 0; i < count; i++) {
        preset(reading, &targets[i]);
    }
    take_section(reading, targets, count, general);
    take_section(reading, targets, count, specific);
    for (size_t i = 0; i < count; i++) {
        take_variables(reading, &targets[i]);
    }
    take_words(reading, targets, count, &rest, &why); /* what is wrong with them was told */
}

void reading_fill_keys(struct reading *reading, const struct opt_target *target,
    const struct config_section *section)
{
    preset(reading, target);
    take_section(reading, target, 1, section);
}

/* ---- sections of the file ------------------------------------------------------------------
 */

static const char *const kinds[] = { "worker", "queue", "handler", "stream" };
static const char kinds_text[] =
    "[worker], [queue NAME], [handler QUEUE/NAME] and [stream STREAM]";

/* Where a key that is wrong here would be right; heap, or NULL. */
static char *find_place(const struct reading *reading, const char *key)
{
    if (ox__option_find(command_rows, key) != NULL) {
        return g_strdup("is for the command line only");
    }
    if (ox__option_find(worker_rows, key) != NULL) {
        return g_strdup("belongs into [worker]");
    }
    if (ox__option_find(queue_rows, key) != NULL) {
        return g_strdup("belongs into [queue NAME] or [worker]");
    }
    if (ox__option_find(route_rows, key) != NULL || strcmp(key, "run") == 0) {
        return g_strdup("belongs into [handler QUEUE/NAME] or [stream STREAM]");
    }
    if (ox__option_find(stream_rows, key) != NULL) {
        return g_strdup("belongs into [stream STREAM]");
    }
    g_autoptr(GString) owners = g_string_new(NULL);
    bool jobs = false, batches = false;
    for (size_t i = 0; i < reading->handlers.count; i++) {
        const struct handler_info *info = &reading->handlers.items[i];
        if (ox__option_find(info->opts, key) != NULL) {
            g_string_append_printf(owners, "%s%s", owners->len > 0 ? " or " : "", info->name);
            jobs = jobs || info->runs != HANDLER_RUNS_BATCHES;
            batches = batches || info->runs != HANDLER_RUNS_JOBS;
        }
    }
    return owners->len > 0
               ? g_strdup_printf("is an option of the handler %s, and belongs into "
                                 "a %s%s%s that runs it",
                     owners->str, jobs ? "[handler QUEUE/NAME]" : "",
                     jobs && batches ? " or " : "", batches ? "[stream STREAM]" : "")
               : NULL;
}

/* What may stand in a section, and the one of it that was meant. */
struct allowed {
    GString *list;
    struct ox__suggestion best;
};

static void allow(struct allowed *allowed, const char *name)
{
    g_string_append_printf(allowed->list, "%s%s", allowed->list->len > 0 ? ", " : "", name);
    ox__suggest(&allowed->best, name);
}

/* Keys are the names of the flags; who writes that of the variable gets that name. */
static char *flag_name(const char *key)
{
    char *name = g_ascii_strdown(
        key + (g_str_has_prefix(key, VARIABLE_PREFIX) ? strlen(VARIABLE_PREFIX) : 0), -1);
    return g_strdelimit(name, "_", '-');
}

/* Of what queues have, a stream has the number of runs at once alone. */
static bool is_not_of_streams(const char *key)
{
    return ox__option_find(queue_rows, key) != NULL && strcmp(key, "concurrency") != 0;
}

static void refuse_key(struct reading *reading, const struct config_section *section,
    const struct config_entry *entry, const struct opt *const *tables, bool runs)
{
    g_autofree char *meant = flag_name(entry->key);
    struct allowed allowed = { g_string_new(NULL), { .word = meant } };
    g_autofree char *place = find_place(reading, entry->key);
    g_autofree char *name =
        g_strconcat(section->kind, *section->name != '\0' ? " " : "", section->name, NULL);
    if (runs) {
        allow(&allowed, "run");
    }
    for (; *tables != NULL; tables++) {
        for (const struct opt *opt = *tables; opt->name != NULL; opt++) {
            if (strcmp(section->kind, "stream") != 0 || !is_not_of_streams(opt->name)) {
                allow(&allowed, opt->name);
            }
        }
    }
    if (place != NULL) {
        config_fault(reading->config, reading->faults, entry->line, "%s %s", entry->key, place);
    } else if (allowed.best.nearest != NULL) {
        config_fault(reading->config, reading->faults, entry->line,
            "unknown key %s in [%s]; did you mean %s?", entry->key, name, allowed.best.nearest);
    } else {
        config_fault(reading->config, reading->faults, entry->line,
            "unknown key %s in [%s]; allowed: %s", entry->key, name, allowed.list->str);
    }
    g_string_free(allowed.list, TRUE);
}

static void check_keys(struct reading *reading, const struct config_section *section,
    const struct opt *const *tables, bool runs)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct config_entry *entry = &section->entries[i];
        bool known = runs && strcmp(entry->key, "run") == 0;
        for (const struct opt *const *table = tables; *table != NULL; table++) {
            known = known || ox__option_find(*table, entry->key) != NULL;
        }
        if (!known) {
            refuse_key(reading, section, entry, tables, runs);
        }
    }
}

bool reading_split_route(const char *name, char **queue, char **job)
{
    const char *slash = strrchr(name, '/');
    if (slash == NULL || slash == name || slash[1] == '\0') {
        return false;
    }
    *queue = g_strndup(name, (gsize)(slash - name));
    *job = g_strdup(slash + 1);
    return true;
}

/* The handler that a section names, or NULL: that is the fault then, and what else it may have
 * is not known. */
static const struct handler_info *find_handler(
    const struct reading *reading, const struct config_section *section)
{
    const struct config_entry *run = config_get(section, "run");
    g_autofree char *name =
        run != NULL ? g_strndup(run->value, strcspn(run->value, ":")) : NULL;
    return name != NULL ? handler_list_find(&reading->handlers, name) : NULL;
}

static void refuse_queue_keys(struct reading *reading, const struct config_section *section)
{
    for (size_t i = 0; i < section->count; i++) {
        const struct config_entry *entry = &section->entries[i];
        if (is_not_of_streams(entry->key)) {
            config_fault(reading->config, reading->faults, entry->line,
                "%s is for queues; of a stream, concurrency says how many batches run at once",
                entry->key);
        }
    }
}

static void check_stream_section(struct reading *reading, const struct config_section *section)
{
    const struct handler_info *info = find_handler(reading, section);
    if (info != NULL) {
        check_keys(reading, section,
            (const struct opt *[]){ stream_rows, queue_rows, route_rows, info->opts, NULL },
            true);
    }
    refuse_queue_keys(reading, section);
}

static void check_handler_section(struct reading *reading, const struct config_section *section)
{
    g_autofree char *queue = NULL, *job = NULL;
    if (!reading_split_route(section->name, &queue, &job)) {
        config_fault(reading->config, reading->faults, section->line,
            "[handler%s%s] is not [handler QUEUE/NAME]; NAME is a job's name, or * for all "
            "that "
            "have no handler of their own",
            *section->name != '\0' ? " " : "", section->name);
        return;
    }
    const struct handler_info *info = find_handler(reading, section);
    if (info != NULL) {
        check_keys(
            reading, section, (const struct opt *[]){ route_rows, info->opts, NULL }, true);
    }
}

static void refuse_section(struct reading *reading, const struct config_section *section)
{
    struct ox__suggestion best = { .word = section->kind };
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        ox__suggest(&best, kinds[i]);
    }
    bool other = best.nearest != NULL && strcmp(best.nearest, section->kind) != 0;
    config_fault(reading->config, reading->faults, section->line,
        "unknown section [%s%s%s];%s%s%s there are %s", section->kind,
        *section->name != '\0' ? " " : "", section->name, other ? " did you mean " : "",
        other ? best.nearest : "", other ? "?" : "", kinds_text);
}

static void check_section(struct reading *reading, const struct config_section *section)
{
    if (strcmp(section->kind, "worker") == 0 && *section->name == '\0') {
        check_keys(reading, section,
            (const struct opt *[]){ worker_rows, queue_rows, route_rows, NULL }, false);
    } else if (strcmp(section->kind, "queue") == 0 && *section->name != '\0') {
        check_keys(reading, section, (const struct opt *[]){ queue_rows, NULL }, false);
    } else if (strcmp(section->kind, "handler") == 0) {
        check_handler_section(reading, section);
    } else if (strcmp(section->kind, "stream") == 0 && *section->name != '\0') {
        check_stream_section(reading, section);
    } else {
        refuse_section(reading, section);
    }
}

void reading_check_sections(struct reading *reading)
{
    for (size_t i = 0; reading->config != NULL && i < reading->config->count; i++) {
        check_section(reading, reading->config->sections[i]);
    }
}
