/*
 * options.c - reading a command line by its rows; see options.h.
 *
 * Values are copied into the caller's string chunk, so that a row's text stays valid for the
 * whole run whatever becomes of the arguments.
 */
#include "base/options.h"

#include "base/suggest.h"
#include "base/units.h"

#include <inttypes.h>
#include <string.h>

/* What one reading needs. */
struct reading {
    const struct opt_target *targets;
    size_t count;
    GStringChunk *strings;
    char **why;
};

/* ---- values --------------------------------------------------------------------------------
 */

static char **choice_names(const struct opt *opt)
{
    if (opt->name_of == NULL) {
        return g_strsplit(opt->arg, "|", -1);
    }
    GPtrArray *names = g_ptr_array_new();
    for (int value = 0; value < 63; value++) {
        if ((opt->max >> value & 1) != 0) {
            g_ptr_array_add(names, g_strdup(opt->name_of(value)));
        }
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static int find_choice(const struct opt *opt, char **names, const char *text)
{
    if (opt->name_of != NULL) {
        int value = opt->value_of(text);
        return value >= 0 && value < 63 && (opt->max >> value & 1) != 0 ? value : -1;
    }
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

static bool read_choice(const struct opt *opt, const char *text, int64_t *out, char **why)
{
    g_auto(GStrv) names = choice_names(opt);
    int value = find_choice(opt, names, text);
    if (value >= 0) {
        *out = value;
        return true;
    }
    g_autofree char *list = g_strjoinv(", ", names);
    *why = g_strdup_printf("\"%s\" is not one of %s", text, list);
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
        return ox__parse_count(text, opt->min, opt->max, out, why);
    case OPT_DURATION:
        return ox__parse_duration(text, opt->min, opt->max, out, why);
    case OPT_BYTES:
        return ox__parse_bytes(text, opt->min, opt->max, out, why);
    case OPT_CHOICE:
        return read_choice(opt, text, out, why);
    case OPT_PARSED:
        return opt->parse(text, out, why);
    }
    return false;
}

/* Stores the value of one row. `given` is what the message names: "--delay", "OX_REDIS_URL". */
static bool store(const struct reading *reading, const struct opt *opt, void *base,
    const char *given, const char *value)
{
    char *text = value != NULL ? g_string_chunk_insert(reading->strings, value) : NULL;
    g_autofree char *why = NULL;
    if (read_value(opt, text, (char *)base + opt->offset, &why)) {
        return true;
    }
    *reading->why = g_strdup_printf("%s: %s", given, why);
    return false;
}

/* ---- what is not given ---------------------------------------------------------------------
 */

/* The variable that stands in for the option, or NULL. */
static char *find_variable(const struct opt *opt)
{
    g_auto(GStrv) names = g_strsplit(opt->env != NULL ? opt->env : "", " ", -1);
    for (char **name = names; *name != NULL; name++) {
        const char *value = g_getenv(*name);
        if (value != NULL && *value != '\0') {
            return g_strdup(*name);
        }
    }
    return NULL;
}

static bool has_fallback(const struct opt *opt)
{
    return opt->kind == OPT_COUNT || opt->kind == OPT_DURATION || opt->kind == OPT_BYTES ||
           opt->kind == OPT_CHOICE;
}

static bool preset(const struct reading *reading, const struct opt *opt, void *base)
{
    g_autofree char *variable = find_variable(opt);
    if (variable != NULL) {
        return store(reading, opt, base, variable, g_getenv(variable));
    }
    if (opt->standard != NULL) {
        return store(reading, opt, base, opt->name, opt->standard);
    }
    if (has_fallback(opt)) {
        *(int64_t *)((char *)base + opt->offset) = opt->fallback;
    }
    return true;
}

bool ox__options_init(
    const struct opt_target *targets, size_t count, GStringChunk *strings, char **why)
{
    struct reading reading = { targets, count, strings, why };
    for (size_t i = 0; i < count; i++) {
        for (const struct opt *opt = targets[i].opts; opt != NULL && opt->name != NULL; opt++) {
            if (!preset(&reading, opt, targets[i].base)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- what is given -------------------------------------------------------------------------
 */

static const struct opt *find_in(const struct opt *opts, const char *name, char letter)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        if (name != NULL ? strcmp(opt->name, name) == 0 : opt->letter == letter) {
            return opt;
        }
    }
    return NULL;
}

static const struct opt *find(const struct reading *reading, const char *name, char letter)
{
    const struct opt *found = NULL;
    for (size_t i = 0; i < reading->count && found == NULL; i++) {
        found = find_in(reading->targets[i].opts, name, letter);
    }
    return found;
}

static bool store_all(
    const struct reading *reading, const char *name, const char *given, const char *value)
{
    for (size_t i = 0; i < reading->count; i++) {
        const struct opt *opt = find_in(reading->targets[i].opts, name, '\0');
        if (opt != NULL && !store(reading, opt, reading->targets[i].base, given, value)) {
            return false;
        }
    }
    return true;
}

/* Says what is wrong with the option that was `given`. Returns false. */
static bool refuse(const struct reading *reading, const char *given, const char *what)
{
    *reading->why = g_strdup_printf("%s %s", given, what);
    return false;
}

static bool refuse_unknown(const struct reading *reading, const char *given)
{
    bool is_long = g_str_has_prefix(given, "--");
    struct ox__suggestion best = { .word = given + 2 };
    for (size_t i = 0; i < reading->count && is_long; i++) {
        for (const struct opt *opt = reading->targets[i].opts; opt != NULL && opt->name != NULL;
             opt++) {
            ox__suggest(&best, opt->name);
        }
    }
    *reading->why =
        best.nearest != NULL
            ? g_strdup_printf("unknown option %s; did you mean --%s?", given, best.nearest)
            : g_strdup_printf("unknown option %s", given);
    return false;
}

/* Takes "--name", "--name=VALUE" or "--name" "VALUE"; moves on by the value. */
static bool take_long(const struct reading *reading, char ***word)
{
    const char *equals = strchr(**word, '='), *value = equals != NULL ? equals + 1 : NULL;
    g_autofree char *given = g_strndup(**word, strcspn(**word, "="));
    const struct opt *opt = find(reading, given + 2, '\0');
    if (opt == NULL) {
        return refuse_unknown(reading, given);
    }
    if (opt->kind == OPT_FLAG && value != NULL) {
        return refuse(reading, given, "takes no value");
    }
    if (opt->optional && value != NULL && *value == '\0') {
        value = NULL;
    }
    if (opt->kind != OPT_FLAG && !opt->optional && value == NULL) {
        value = *++*word;
        if (value == NULL) {
            return refuse(reading, given, "needs a value");
        }
    }
    return store_all(reading, opt->name, given, value);
}

/* Takes "-x", "-xyz" (flags), "-xVALUE" or "-x" "VALUE"; moves on by the value. */
static bool take_letters(const struct reading *reading, char ***word)
{
    for (const char *at = **word + 1; *at != '\0'; at++) {
        const char given[] = { '-', *at, '\0' };
        const struct opt *opt = find(reading, NULL, *at);
        if (opt == NULL) {
            return refuse_unknown(reading, given);
        }
        if (opt->kind == OPT_FLAG || opt->optional) {
            if (!store_all(reading, opt->name, given, NULL)) {
                return false;
            }
            continue;
        }
        const char *value = at[1] != '\0' ? at + 1 : *++*word;
        return value != NULL ? store_all(reading, opt->name, given, value)
                             : refuse(reading, given, "needs a value");
    }
    return true;
}

bool ox__options_parse(char ***args, const struct opt_target *targets, size_t count,
    bool first_only, GStringChunk *strings, char **why)
{
    struct reading reading = { targets, count, strings, why };
    g_autoptr(GPtrArray) rest = g_ptr_array_new_with_free_func(g_free);
    char **word = *args;
    if (*word != NULL) {
        g_ptr_array_add(rest, g_strdup(*word++));
    }
    for (; *word != NULL; word++) {
        if (strcmp(*word, "--") == 0) {
            word++;
            break;
        }
        bool is_option = (*word)[0] == '-' && (*word)[1] != '\0';
        if (!is_option && first_only) {
            break;
        }
        if (!is_option) {
            g_ptr_array_add(rest, g_strdup(*word));
        } else if (!((*word)[1] == '-' ? take_long : take_letters)(&reading, &word)) {
            return false;
        }
    }
    for (; *word != NULL; word++) {
        g_ptr_array_add(rest, g_strdup(*word));
    }
    g_ptr_array_add(rest, NULL);
    g_strfreev(*args);
    *args = (char **)g_ptr_array_steal(rest, NULL);
    return true;
}
