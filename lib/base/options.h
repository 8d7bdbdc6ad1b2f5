/*
 * options.h - options as rows of a table: one engine for ox, ox-worker and the handlers.
 *
 * A row names an option, the kind of its value with bounds and default, what it means, and
 * where in a struct of the caller the value goes. Parsing is strict, so that a program sees
 * checked values only; help, manual page and completions are made from the rows. There are
 * hundreds of rows, so their type and its constants have no prefix ox__.
 *
 * An option is "--name VALUE" or "--name=VALUE", "-x VALUE" or "-xVALUE"; a flag has no value,
 * and flags of one letter may stand together. A value that may be left out needs the '='. What
 * follows "--" is never an option.
 */
#ifndef OX_LIB_BASE_OPTIONS_H
#define OX_LIB_BASE_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum opt_kind {
    OPT_FLAG,     /* bool */
    OPT_TEXT,     /* const char *; NULL when not given */
    OPT_COUNT,    /* int64_t, min..max; `fallback` when not given */
    OPT_COUNT32,  /* uint32_t, likewise */
    OPT_DURATION, /* int64_t in ms, min..max (0: no maximum); `fallback` when not given */
    OPT_BYTES,    /* int64_t, likewise */
    OPT_CHOICE,   /* int64_t, which of the words in `arg` ("on|off": 0 or 1), or see `name_of`;
                     `fallback` when not given */
    OPT_PARSED    /* what `parse` makes of it; all zero when not given */
};

struct opt {
    const char *name; /* long name without the dashes */
    char letter;      /* 0: none */
    enum opt_kind kind;
    bool optional; /* the value may be left out */
    size_t offset;
    int64_t min, max, fallback;
    const char *arg;      /* name of the value in the help; NULL for a flag */
    const char *standard; /* the default as text, read as if it were given; NULL: none */
    const char
        *env; /* environment variables used when it is not given, separated by spaces; the first
                 that is set and not empty counts, before `standard`; NULL: none */
    const char *help;
    /* Reads `text`, which stays valid and may be cut up, into `out`. `text` is NULL when an
     * optional value was left out. False leaves a message in *why (g_free). */
    bool (*parse)(char *text, void *out, char **why);
    /* OPT_CHOICE among the values 0 to 62 whose bits `max` has: the name of a value, and the
     * value of a name (negative: none). */
    const char *(*name_of)(int value);
    int (*value_of)(const char *name);
};

/* One table, ended by a row without name, and the struct that it fills. */
struct opt_target {
    const struct opt *opts; /* may be NULL */
    void *base;
};

/* ---- one row -------------------------------------------------------------------------------
 */

/* The row with that name, or NULL. `opts` may be NULL. */
const struct opt *ox__option_find(const struct opt *opts, const char *name);
/* Sets what holds when nothing is given. */
bool ox__option_preset(const struct opt *opt, void *base, GStringChunk *strings, char **why);
/* Reads a value as if it were given as `given`, which begins the message in *why. A flag takes
 * true or false here, or NULL: true. */
bool ox__option_read(const struct opt *opt, void *base, const char *given, const char *value,
    GStringChunk *strings, char **why);
/* The variable that stands in for the option and is set: one of those that the row names, else,
 * with a `prefix` such as "OX_", that and its name: OX_LOG_LEVEL. Heap, or NULL. */
char *ox__option_variable(const struct opt *opt, const char *prefix);

/* ---- all of them ---------------------------------------------------------------------------
 */

/* Sets what is not given: variables of the environment, defaults, fallbacks. Comes before
 * ox__options_parse(). `strings` will own the values. False leaves a message in *why. */
bool ox__options_init(
    const struct opt_target *targets, size_t count, GStringChunk *strings, char **why);

/*
 * Removes the options from `args` (a heap array that ends in NULL and begins with the name of
 * the program; changed in place) and fills the targets. An option that several targets have is
 * stored in each.
 * @param first_only  stop at the first argument that is no option
 * @param strings     will own the values
 * @return false with a message in *why
 */
bool ox__options_parse(char ***args, const struct opt_target *targets, size_t count,
    bool first_only, GStringChunk *strings, char **why);

/* ---- for people ----------------------------------------------------------------------------
 */

/* How it is written: "-y, --yes", "--delay TIME", "--wait[=TIME]". Heap. */
char *ox__option_usage(const struct opt *opt);
/* What it means, with its bounds and default: "jobs at once (1 to 1024, default 4)". Heap. */
char *ox__option_help(const struct opt *opt);
/* The rows as a list for --help, `width` columns wide. */
void ox__options_print(FILE *to, const struct opt *opts, int width);
/* Breaks text into lines of at most `width` columns, each but the first behind `indent`
 * spaces. Line breaks in the text stay. Heap. */
char *ox__wrap(const char *text, int indent, int width);

#endif /* OX_LIB_BASE_OPTIONS_H */
