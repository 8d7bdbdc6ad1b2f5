/*
 * options_help.c - texts of options for --help and the manual pages, from their rows.
 */
#include "base/options.h"

#include "base/units.h"

#include <inttypes.h>
#include <string.h>

#define INDENT 26

/* A maximum from here on is only that of the type, and not shown. */
#define HUGE_COUNT INT32_MAX

char *ox__option_usage(const struct opt *opt)
{
    GString *text = g_string_new(NULL);
    if (opt->letter != '\0') {
        g_string_append_printf(text, "-%c, ", opt->letter);
    }
    g_string_append_printf(text, "--%s", opt->name);
    if (opt->arg != NULL) {
        g_string_append_printf(text, opt->optional ? "[=%s]" : " %s", opt->arg);
    }
    return g_string_free(text, FALSE);
}

static const char *bound_text(const struct opt *opt, int64_t bound, char buffer[static 24])
{
    if (opt->kind == OPT_DURATION) {
        return ox__duration_text(bound, buffer);
    }
    if (opt->kind == OPT_BYTES) {
        return ox__bytes_text(bound, buffer);
    }
    g_snprintf(buffer, 24, "%" PRId64, bound);
    return buffer;
}

/* "1 to 1024", "at least 100ms", or nothing where it is obvious. */
static char *bounds_text(const struct opt *opt)
{
    char low[24], high[24];
    bool is_count = opt->kind == OPT_COUNT || opt->kind == OPT_COUNT32;
    bool is_number = is_count || opt->kind == OPT_DURATION || opt->kind == OPT_BYTES;
    bool has_max = is_count ? opt->max < HUGE_COUNT : opt->max > 0 && opt->max < UINT32_MAX;
    if (!is_number || (!has_max && opt->min <= 1)) {
        return NULL;
    }
    bound_text(opt, opt->min, low);
    if (!has_max) {
        return g_strdup_printf("at least %s", low);
    }
    return g_strdup_printf("%s to %s", low, bound_text(opt, opt->max, high));
}

char *ox__option_help(const struct opt *opt)
{
    g_autofree char *bounds = bounds_text(opt);
    GString *text = g_string_new(opt->help);
    if (bounds == NULL && opt->standard == NULL) {
        return g_string_free(text, FALSE);
    }
    g_string_append_printf(text, " (%s", bounds != NULL ? bounds : "");
    if (opt->standard != NULL) {
        g_string_append_printf(text, "%sdefault %s", bounds != NULL ? ", " : "", opt->standard);
    }
    g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}

static void wrap_line(GString *to, const char *line, int indent, int width)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    int column = indent;
    for (char **word = words; *word != NULL; word++) {
        int length = (int)g_utf8_strlen(*word, -1);
        if (column > indent && column + 1 + length > width) {
            g_string_append_printf(to, "\n%*s", indent, "");
            column = indent;
        } else if (word != words) {
            g_string_append_c(to, ' ');
            column++;
        }
        g_string_append(to, *word);
        column += length;
    }
}

char *ox__wrap(const char *text, int indent, int width)
{
    GString *wrapped = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (line != lines) {
            g_string_append_printf(wrapped, "\n%*s", **line != '\0' ? indent : 0, "");
        }
        wrap_line(wrapped, *line, indent, width);
    }
    return g_string_free(wrapped, FALSE);
}

void ox__options_print(FILE *to, const struct opt *opts, int width)
{
    for (const struct opt *opt = opts; opt != NULL && opt->name != NULL; opt++) {
        g_autofree char *usage = ox__option_usage(opt);
        g_autofree char *help = ox__option_help(opt);
        g_autofree char *text = ox__wrap(help, INDENT, width);
        if ((int)strlen(usage) + 4 > INDENT) {
            fprintf(to, "  %s\n%*s%s\n", usage, INDENT, "", text);
        } else {
            fprintf(to, "  %-*s%s\n", INDENT - 2, usage, text);
        }
    }
}
