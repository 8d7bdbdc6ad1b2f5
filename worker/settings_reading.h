/*
 * settings_reading.h - one reading of the settings, which settings.c begins and ends: what
 * there is to read, and what is wrong with it.
 */
#ifndef OX_WORKER_SETTINGS_READING_H
#define OX_WORKER_SETTINGS_READING_H

#include "config.h"
#include "program.h"
#include "settings_rows.h"

struct reading {
    struct settings *settings; /* what comes of it */
    GPtrArray *faults;         /* of heap texts.. */
    guint passing;             /* ..of which so many may pass, see reading_passing_fault() */
    struct command command;
    struct handler_list handlers;
    struct config *config; /* NULL: there is no file, or it cannot be read */
    char **words;          /* the command line, ended by NULL */
    bool words_good;       /* its options are */
    /* All that a command line may fill, wherever it goes in the end. */
    struct opt_target *known;
    size_t known_count;
    struct settings any_settings;
    struct queue_settings any_queue;
    struct route_settings any_route;
};

/* Adds a fault. */
void reading_fault(struct reading *reading, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Adds one that is not of the settings and may pass, such as want of memory. */
void reading_passing_fault(struct reading *reading, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
/* A text that lives as long as the settings. */
const char *reading_keep(struct reading *reading, const char *text, size_t length);

/* The word behind an option that has to be known before all others can be read: from the
 * command line, its variable, or [worker]. NULL: none, or an empty one. */
const char *reading_find_early(const struct reading *reading, const char *name);

/* What gives an option of a handler a value that counts more than the file's, the flag or the
 * variable; heap, or NULL. */
char *reading_find_above_file(const struct reading *reading, const struct opt *opt);

/* Whether the value of a key stands in quotes, which is a fault; it is added. */
bool reading_refuse_quotes(struct reading *reading, const struct config_entry *entry);

/* Reads the options of the command line; leaves the other words (g_strfreev) in *rest. */
void reading_take_words(struct reading *reading, char ***rest);

/* Fills targets, layer upon layer: the defaults, the sections of the file (NULL: none), from
 * general to specific, the environment, the command line. */
void reading_fill(struct reading *reading, const struct opt_target *targets, size_t count,
    const struct config_section *general, const struct config_section *specific);
/* Fills one from its defaults and one section (NULL: none) alone. */
void reading_fill_keys(struct reading *reading, const struct opt_target *target,
    const struct config_section *section);

/* Checks which sections and keys there are; values are reading_fill()'s. */
void reading_check_sections(struct reading *reading);
/* "STREAM@GROUP", or a stream alone if `section` has `group = GROUP`: their names, heap. False
 * adds a fault, which begins with `origin`. */
bool reading_split_stream(struct reading *reading, const char *origin, const char *name,
    const struct config_section *section, char **stream, char **group);
/* Whether a section of that name in the file is one of a handler: its queue and job name, heap;
 * false: the name is not QUEUE/NAME. */
bool reading_split_route(const char *name, char **queue, char **job);

/* Makes the queues and routes, of the file and of words QUEUE[/NAME]=HANDLER[:ARG]. */
void reading_add_routes(struct reading *reading, char **words);
/* Adds a fault of a route, "--KEY: ..." or any other text: with the line of the key, if the
 * file has it, else with where the route was given. */
void reading_blame(
    struct reading *reading, const struct route_settings *route, const char *why);
/* Finds the variables that hold secrets of the handlers in use, and who gets them. */
void reading_hide_secrets(struct reading *reading);
/* Has each handler check its settings. */
void reading_check_handlers(struct reading *reading);

#endif /* OX_WORKER_SETTINGS_READING_H */
