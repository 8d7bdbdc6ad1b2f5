/*
 * options.c - reading a command line by its rows; see options.h.
 *
 * Values are copied into the caller's string chunk, so that they stay valid when the arguments
 * are changed or freed.
 */
#include "base/options.h"

#include "base/suggest.h"
#include "base/units.h"

#include <inttypes.h>
#include <string.h>

/* State of one parse. */
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

static bool read_flag(const char *text, bool *out, char **why)
{
    static const char *const yes[] = { "true", "yes", "on", "1", NULL };
    static const char *const no[] = { "false", "no", "off", "0", NULL };
    *out = text == NULL || g_strv_contains(yes, text);
    if (*out || g_strv_contains(no, text)) {
        return true;
    }
    *why = g_strdup_printf("\"%s\" is neither true nor false", text);
    return false;
}

static bool read_count32(const struct opt *opt, const char *text, uint32_t *out, char **why)
{
    int64_t number;
    if (!ox__parse_count(text, opt->min, opt->max, &number, why)) {
        return false;
    }
    *out = (uint32_t)number;
    return true;
}

static bool read_value(const struct opt *opt, char *text, void *out, char **why)
{
    switch (opt->kind) {
    case OPT_FLAG:
        return read_flag(text, out, why);
    case OPT_TEXT:
        *(const char **)out = text;
        return true;
    case OPT_COUNT:
        return ox__parse_count(text, opt->min, opt->max, out, why);
    case OPT_COUNT32:
        return read_count32(opt, text, out, why);
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

bool ox__option_read(const struct opt *opt, void *base, const char *given, const char *value,
    GStringChunk *strings, char **why)
{
    char *text = value != NULL ? g_string_chunk_insert(strings, value) : NULL;
    g_autofree char *what = NULL;
    if (read_value(opt, text, (char *)base + opt->offset, &what)) {
        return true;
    }
    *why = g_strdup_printf("%s: %s", given, what);
    return false;
}

/* Stores the value of one row. `given` is what the message names: "--delay", "OX_REDIS_URL". */
static bool store(const struct reading *reading, const struct opt *opt, void *base,
    const char *given, const char *value)
{
    return ox__option_read(opt, base, given, value, reading->strings, reading->why);
}

/* ---- what is not given ---------------------------------------------------------------------
 */

static bool is_set(const char *variable)
{
    const char *value = g_getenv(variable);
    return value != NULL && *value != '\0';
}

char *ox__option_variable(const struct opt *opt, const char *prefix)
{
    g_auto(GStrv) names = g_strsplit(opt->env != NULL ? opt->env : "", " ", -1);
    for (char **name = names; *name != NULL; name++) {
        if (is_set(*name)) {
            return g_strdup(*name);
        }
    }
    if (opt->env != NULL || prefix == NULL) {
        return NULL;
    }
    g_autofree char *upper = g_ascii_strup(opt->name, -1);
    g_autofree char *name = g_strconcat(prefix, g_strdelimit(upper, "-", '_'), NULL);
    return is_set(name) ? g_steal_pointer(&name) : NULL;
}

static bool has_fallback(const struct opt *opt)
{
    return opt->kind == OPT_COUNT || opt->kind == OPT_DURATION || opt->kind == OPT_BYTES ||
           opt->kind == OPT_CHOICE;
}

bool ox__option_preset(const struct opt *opt, void *base, GStringChunk *strings, char **why)
{
    if (opt->standard != NULL) {
        return ox__option_read(opt, base, opt->name, opt->standard, strings, why);
    }
    void *out = (char *)base + opt->offset;
    if (opt->kind == OPT_COUNT32) {
        *(uint32_t *)out = (uint32_t)opt->fallback;
    } else if (has_fallback(opt)) {
        *(int64_t *)out = opt->fallback;
    }
    return true;
}

static bool preset(const struct reading *reading, const struct opt *opt, void *base)
{
    g_autofree char *variable = ox__option_variable(opt, NULL);
    return variable != NULL ? store(reading, opt, base, variable, g_getenv(variable))
                            : ox__option_preset(opt, base, reading->strings, reading->why);
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

const struct opt *ox__option_find(const struct opt *opts, const char *name)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        if (strcmp(opt->name, name) == 0) {
            return opt;
        }
    }
    return NULL;
}

static const struct opt *find_letter(const struct opt *opts, char letter)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        if (opt->letter == letter) {
            return opt;
        }
    }
    return NULL;
}

static const struct opt *find(const struct reading *reading, const char *name, char letter)
{
    const struct opt *found = NULL;
    for (size_t i = 0; i < reading->count && found == NULL; i++) {
        found = name != NULL ? ox__option_find(reading->targets[i].opts, name)
                             : find_letter(reading->targets[i].opts, letter);
    }
    return found;
}

static bool store_all(
    const struct reading *reading, const char *name, const char *given, const char *value)
{
    for (size_t i = 0; i < reading->count; i++) {
        const struct opt *opt = ox__option_find(reading->targets[i].opts, name);
        if (opt != NULL && !store(reading, opt, reading->targets[i].base, given, value)) {
            return false;
        }
    }
    return true;
}

/* Sets the error for an option that was `given`. Returns false. */
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
