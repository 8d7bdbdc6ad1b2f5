/*
 * options.c - option rows, scanned by GLib and read by kind.
 *
 * Every row becomes a GOptionEntry with one and the same callback, which finds its row again
 * by name and stores the value at the row's offset. Values are copied into the caller's
 * string chunk, so a row's text stays valid for the whole run.
 *
 * GLib takes the next word as the value of an option whose value is optional. Here such a
 * value needs '=', so that `--wait '{"data":1}'` keeps its data: a lone --wait is turned into
 * "--wait=" before GLib sees it.
 */
#include "options.h"
#include "cmd.h"
#include "parse.h"
#include "suggest.h"
#include <string.h>

const struct opt global_opts[] = {
    { .name = "redis",
        .kind = OPT_TEXT,
        .offset = offsetof(struct globals, redis),
        .arg = "URL",
        .help =
            "the server: redis://[user:password@]host[:port][/db] or unix:///path[?db=n], or "
            "@FILE that holds one, so that no password is typed; else OX_REDIS_URL, else "
            "REDIS_URL, else redis://127.0.0.1:6379" },
    { .name = "prefix",
        .kind = OPT_TEXT,
        .offset = offsetof(struct globals, prefix),
        .arg = "PREFIX",
        .help = "the prefix of all keys, as BullMQ's; default bull" },
    { .name = "legacy-pause",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, legacy_pause),
        .help = "for queues shared with BullMQ 5.x: park the waiting jobs of a paused queue as "
                "it does, or its resume may lose them" },
    { .name = "json",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, json),
        .help = "print JSON: one object, or one object a line for lists" },
    { .name = "help",
        .letter = 'h',
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, help),
        .help = "print help and stop" },
    { .name = "version",
        .kind = OPT_FLAG,
        .offset = offsetof(struct globals, version),
        .help = "print the version and stop" },
    { 0 },
};

/* What the callback needs to find its row again. */
struct scan {
    const struct opt_target *targets;
    size_t count;
    GStringChunk *strings;
};

static const struct opt *find_name(const struct opt *opts, const char *name)
{
    for (const struct opt *opt = opts; opt && opt->name; opt++)
        if (!strcmp(opt->name, name))
            return opt;
    return NULL;
}

static const struct opt *find_letter(const struct opt *opts, char letter)
{
    for (const struct opt *opt = opts; opt && opt->name; opt++)
        if (opt->letter == letter)
            return opt;
    return NULL;
}

/* `given` is "--name" or "-x", as GLib hands it over. */
static const struct opt *find_given(const struct scan *scan, const char *given, void **base)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct opt *opts = scan->targets[i].opts;
        const struct opt *opt = g_str_has_prefix(given, "--") ? find_name(opts, given + 2)
                                                              : find_letter(opts, given[1]);
        *base = scan->targets[i].base;
        if (opt)
            return opt;
    }
    return NULL;
}

static char *state_names(int64_t set)
{
    GString *names = g_string_new(NULL);
    for (int state = 0; state < OX_UNKNOWN; state++)
        if (set & STATE_BIT(state))
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", ox_state_name(state));
    return g_string_free(names, FALSE);
}

static bool read_state(const char *text, int64_t set, int64_t *out, char **why)
{
    int state = ox_state_parse(text);
    if (state >= 0 && state < OX_UNKNOWN && (set & STATE_BIT(state))) {
        *out = state;
        return true;
    }
    g_autofree char *names = state_names(set);
    *why = g_strdup_printf("\"%s\" is no state here; it is one of %s", text, names);
    return false;
}

static bool read_value(const struct opt *opt, char *text, void *out, char **why)
{
    switch (opt->kind) {
    case OPT_FLAG:
        *(bool *)out = true;
        return true;
    case OPT_TEXT:
        *(const char **)out = text;
        return true;
    case OPT_COUNT:
        return parse_count(text, opt->min, opt->max, out, why);
    case OPT_DURATION:
        return parse_duration(text, opt->min, opt->max, out, why);
    case OPT_STATE:
        return read_state(text, opt->max, out, why);
    case OPT_PARSED:
        return opt->parse(text, out, why);
    }
    return false;
}

static gboolean take_option(
    const gchar *given, const gchar *value, gpointer data, GError **error)
{
    const struct scan *scan = data;
    void *base = NULL;
    const struct opt *opt = find_given(scan, given, &base);
    g_assert(opt);
    char *text = value ? g_string_chunk_insert(scan->strings, value) : NULL;
    if (text && opt->optional && !*text)
        text = NULL;
    g_autofree char *why = NULL;
    if (read_value(opt, text, (char *)base + opt->offset, &why))
        return TRUE;
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "%s: %s", given, why);
    return FALSE;
}

/* Numbers that are not given have their row's fallback; all else is zero by itself. */
static void preset(const struct opt_target *target)
{
    for (const struct opt *opt = target->opts; opt && opt->name; opt++)
        if (opt->kind == OPT_COUNT || opt->kind == OPT_DURATION || opt->kind == OPT_STATE)
            *(int64_t *)((char *)target->base + opt->offset) = opt->fallback;
}

static GArray *make_entries(const struct opt_target *targets, size_t count)
{
    GArray *entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    /* GLib wants the function as a data pointer, which POSIX allows and ISO C does not know */
    const union {
        GOptionArgFunc function;
        gpointer pointer;
    } callback = { .function = take_option };
    for (size_t i = 0; i < count; i++)
        for (const struct opt *opt = targets[i].opts; opt && opt->name; opt++) {
            /* "filename" means: any bytes, and no conversion from the locale */
            GOptionEntry entry = { .long_name = opt->name,
                .short_name = opt->letter,
                .flags = opt->kind == OPT_FLAG ? G_OPTION_FLAG_NO_ARG : G_OPTION_FLAG_FILENAME,
                .arg = G_OPTION_ARG_CALLBACK,
                .arg_data = callback.pointer };
            if (opt->optional)
                entry.flags |= G_OPTION_FLAG_OPTIONAL_ARG;
            g_array_append_val(entries, entry);
        }
    return entries;
}

/* The row of "--name" or "--name=value". */
static const struct opt *find_word(const struct scan *scan, const char *word)
{
    void *base;
    g_autofree char *given = g_strndup(word, strcspn(word, "="));
    return find_given(scan, given, &base);
}

/* Goes over the words behind the first before GLib does: marks values that were left out, and
 * refuses the ones that GLib would drop in silence. */
static bool prepare_words(char **args, const struct scan *scan, bool first_only, char **why)
{
    for (char **arg = args + 1; *arg && strcmp(*arg, "--") != 0; arg++) {
        if (!g_str_has_prefix(*arg, "--")) {
            if (first_only && **arg != '-')
                break;
            continue;
        }
        const struct opt *opt = find_word(scan, *arg);
        const char *value = strchr(*arg, '=');
        if (!opt)
            continue;
        if (opt->kind == OPT_FLAG && value) {
            *why = g_strdup_printf("--%s takes no value", opt->name);
            return false;
        }
        if (opt->optional && !value) {
            char *marked = g_strconcat(*arg, "=", NULL);
            g_free(*arg);
            *arg = marked;
        } else if (opt->kind != OPT_FLAG && !value && arg[1]) {
            arg++; /* its value */
        }
    }
    return true;
}

/* "Unknown option --prio" becomes our own line, with the nearest name that exists. */
static char *explain_unknown(
    const GError *error, const struct opt_target *targets, size_t count)
{
    const char *dashes = strchr(error->message, '-');
    if (!dashes)
        return g_strdup(error->message);
    struct suggestion best = { .word = dashes + strspn(dashes, "-") };
    for (size_t i = 0; i < count; i++)
        for (const struct opt *opt = targets[i].opts; opt && opt->name; opt++)
            suggest_offer(&best, opt->name);
    if (best.nearest && dashes[1] == '-')
        return g_strdup_printf("unknown option %s; did you mean --%s?", dashes, best.nearest);
    return g_strdup_printf("unknown option %s", dashes);
}

static char *explain(const GError *error, const struct opt_target *targets, size_t count)
{
    static const char missing[] = "Missing argument for ";
    if (g_error_matches(error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION))
        return explain_unknown(error, targets, count);
    if (g_str_has_prefix(error->message, missing))
        return g_strdup_printf("%s needs a value", error->message + sizeof missing - 1);
    return g_strdup(error->message);
}

bool options_parse(char ***args, const struct opt_target *targets, size_t count,
    bool first_only, GStringChunk *strings, char **why)
{
    struct scan scan = { targets, count, strings };
    for (size_t i = 0; i < count; i++)
        preset(&targets[i]);
    if (**args && !prepare_words(*args, &scan, first_only, why))
        return false;

    g_autoptr(GArray) entries = make_entries(targets, count);
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    GOptionGroup *group = g_option_group_new("ox", "", "", &scan, NULL);
    g_option_group_add_entries(group, (const GOptionEntry *)(void *)entries->data);
    g_option_context_set_main_group(context, group);
    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_strict_posix(context, first_only);
    g_autoptr(GError) error = NULL;
    if (g_option_context_parse_strv(context, args, &error))
        return true;
    *why = explain(error, targets, count);
    return false;
}
