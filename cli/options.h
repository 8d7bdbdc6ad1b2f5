/*
 * options.h - options as rows of a table.
 *
 * A row names an option, the kind of value it takes with its bounds, what it means, and where
 * in the verb's struct the value goes. GLib does the scanning of the command line; the kinds
 * do the strict reading, so that a verb sees checked values only.
 */
#ifndef OX_CLI_OPTIONS_H
#define OX_CLI_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum opt_kind {
    OPT_FLAG,     /* bool */
    OPT_TEXT,     /* const char *; NULL when not given */
    OPT_COUNT,    /* int64_t, min..max; `fallback` when not given */
    OPT_DURATION, /* int64_t in ms, min..max; `fallback` when not given */
    OPT_STATE,    /* int64_t, an enum ox_state of the set `max`; `fallback` when not given */
    OPT_PARSED    /* what `parse` makes of it; all zero when not given */
};

/* The set of states that an OPT_STATE row allows. */
#define STATE_BIT(state) (INT64_C(1) << (state))
#define ANY_STATE (STATE_BIT(OX_UNKNOWN) - 1)

struct opt {
    const char *name; /* long name without the dashes */
    char letter;      /* 0: none */
    enum opt_kind kind;
    bool optional; /* the value may be left out; with a value it is --name=VALUE */
    size_t offset;
    int64_t min, max, fallback;
    const char *arg; /* what the value is called in the help; NULL for a flag */
    const char *help;
    /* Reads `text`, which stays valid and may be cut up, into `out`. `text` is NULL when an
     * optional value was left out. False leaves a message in *why, freed by the caller. */
    bool (*parse)(char *text, void *out, char **why);
};

/* Options that every verb takes. */
struct globals {
    const char *redis, *prefix;
    bool legacy_pause, json, help, version;
};
extern const struct opt global_opts[];

/* One table and the struct that it fills. */
struct opt_target {
    const struct opt *opts; /* may be NULL */
    void *base;
};

/*
 * Takes the options out of `args` (a heap array that ends in NULL, changed in place) and
 * fills the targets.
 * @param first_only  stop at the first argument that is no option
 * @param strings     will own the values
 * @return false with a message in *why
 */
bool options_parse(char ***args, const struct opt_target *targets, size_t count,
    bool first_only, GStringChunk *strings, char **why);

#endif /* OX_CLI_OPTIONS_H */
